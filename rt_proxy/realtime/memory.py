"""What a session remembers of what its peers told, so much and no more."""

#: How much is remembered of each thing, and the longest text of it; in characters.
_MOST_REMEMBERED = 1024
_LONGEST_REMEMBERED = 512


class Memory:
    """The latest of what a session told of (mutable, and bounded)."""

    __slots__ = ("_texts",)

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def __contains__(self, key: str | None) -> bool:
        return key in self._texts

    def __len__(self) -> int:
        return len(self._texts)

    def keep(self, key: str | None, text: str = "") -> None:
        """Remember a text by a key; the oldest is forgotten for it, and what is too long."""
        if key is None or len(key) + len(text) > _LONGEST_REMEMBERED:
            return
        self._texts.pop(key, None)
        self._texts[key] = text
        if len(self._texts) > _MOST_REMEMBERED:
            del self._texts[next(iter(self._texts))]

    def get(self, key: str | None) -> str | None:
        """Return what is remembered by a key."""
        return None if key is None else self._texts.get(key)

    def take(self, key: str | None) -> str | None:
        """Return what is remembered by a key, and forget it."""
        return None if key is None else self._texts.pop(key, None)
