"""What sessions cost: prices, the ledger, budgets, and what is reported of them.

Values and decisions, and the one file that they are kept in. No WebSocket comes in here, and
nothing that a client or an upstream said but its counts and ids.
"""
