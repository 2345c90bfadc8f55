"""Examples at the end of a command's help, a line each, to be pasted."""


def examples(*lines: str) -> str:
    """Return an epilog for click that shows these command lines as they are."""
    # The control character "\b" keeps click from filling the paragraph; a raw docstring has none.
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))
