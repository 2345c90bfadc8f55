"""The language of the Realtime API, pure: bytes and text in, values out.

Frames, heads, events, dialects and close codes live here.
Nothing in this room awaits, imports trio, or looks at a clock.
"""
