"""The front door: from an accepted stream to a session, a page or a refusal.

What a stranger can do before a session exists ends here: sizes, deadlines, limits.
No event of a conversation is read here, and no exception leaves towards the listeners.
"""
