"""One client's stay: two legs, two linked pumps, a watchdog, in one nursery.

Nothing here knows of HTTP, tokens, channels or settings files; the gate opens
the legs and hands them over. trio-websocket enters by ``wslegs`` alone.
"""
