"""Tokens: who may come in, and with which models.

The token as a value, its secret, and the stores that keep tokens in memory or in a file.
Only hashes are kept here, never a secret; nothing here knows of HTTP, sessions or channels.
"""
