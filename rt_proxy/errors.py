"""The exceptions that rt-proxy raises to its embedders.

A peer's misbehaviour is never an exception here: it is an ``Ending`` value
(see ``realtime/closing.py``). What is raised is a mistake of the operator
or of the embedding program.
"""

from collections.abc import Sequence


class RtProxyError(Exception):
    """The root of what rt-proxy raises on purpose."""


class SettingsError(RtProxyError):
    """The settings are wrong; every problem is named, each with its place.

    Attributes:
        source: The file (or another name) that the settings came from.
        problems: One text per problem, such as
            ``channels[1].api_key: environment variable OPENAI_API_KEY is not set``.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))
        self.source = source
        self.problems = tuple(problems)


class TokenStoreError(RtProxyError):
    """The token file cannot be read, understood or written."""


class ListenError(RtProxyError):
    """A listener cannot be opened: address in use, or an unreadable certificate."""


class EventError(RtProxyError, ValueError):
    """A text is no event of the Realtime API, or a value cannot be written as one.

    It is raised to whoever parses or dumps events; the relay does neither.
    """


class LedgerError(RtProxyError):
    """The usage ledger cannot be opened, read or written; the message says which and why."""
