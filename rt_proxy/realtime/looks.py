"""Small looks at an event that has been parsed; whatever a peer put there, none of them raises."""

from typing import Any


def value_at(thing: object, *path: str) -> Any:
    """Return what stands at a path of keys; None: nothing does."""
    for name in path:
        thing = thing.get(name) if isinstance(thing, dict) else None
    return thing


def object_at(thing: object, *path: str) -> dict[str, Any]:
    """Return the object at a path of keys; an empty one where there is none."""
    value = value_at(thing, *path)
    return value if isinstance(value, dict) else {}


def text_at(thing: object, *path: str) -> str | None:
    """Return the string at a path of keys; None: there is none."""
    value = value_at(thing, *path)
    return value if isinstance(value, str) else None
