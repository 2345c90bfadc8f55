"""Which model transcribes each item of a session.

The event that says what a transcription cost does not name the model, and the
session may have another by then: what counts is the one at the commit.
"""

from typing import Any

from rt_proxy.realtime.looks import object_at, text_at
from rt_proxy.realtime.memory import Memory

#: Where a session has its transcription, in either dialect.
_PLACES = (("audio", "input", "transcription"), ("input_audio_transcription",))
_LONGEST_NAME = 256


class Transcriptions:
    """The transcriptions of one session (mutable: it follows the upstream)."""

    __slots__ = ("_model", "_models")

    def __init__(self) -> None:
        self._model: str | None = None
        self._models = Memory()

    def model_of(self, item_id: str | None) -> str | None:
        """Return the model of an item's transcription; None: nothing is known of one.

        For an item whose commit was not seen it is the model that is in force.
        """
        return self._models.get(item_id) or self._model

    @property
    def is_waited_for(self) -> bool:
        """Whether an item has been committed whose transcription has not ended."""
        return bool(self._models)

    def note_session(self, session: dict[str, Any]) -> None:
        """Note what transcribes from now on; a session that does not say it changes nothing."""
        for *above, name in _PLACES:
            holder = object_at(session, *above)
            if name in holder:
                model = text_at(holder, name, "model") or None
                self._model = model if len(model or "") <= _LONGEST_NAME else None

    def note_committed(self, item_id: str | None) -> None:
        """Remember what transcribes an item."""
        if self._model is not None:
            self._models.keep(item_id, self._model)

    def note_ended(self, item_id: str | None) -> None:
        """Forget an item whose transcription has come, or failed."""
        self._models.take(item_id)
