"""What both directions of translation are made of: moves of members, and what cannot be moved.

An object here is its members, each as its JSON text; a value that has no other
form in the other dialect goes on as the text that it is.
"""

from collections.abc import Callable, Collection, Mapping

import attrs

from rt_proxy.realtime.jsontext import Members, edit_object, read_members, write_object


@attrs.frozen
class Untranslated:
    """Why an event has no counterpart in the other dialect.

    Attributes:
        message: A sentence for the client.
        param: The path of the field at fault.
    """

    message: str
    param: str


class NoCounterpartError(Exception):
    """Carries an ``Untranslated`` out of the depth of an event."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.untranslated = Untranslated(message, param)


def rename(members: Members, names: Mapping[str, str]) -> Members:
    """Return the members under other names; one that is there under its new name stands."""
    return {
        names.get(name, name): value
        for name, value in members.items()
        if name not in names or names[name] not in members
    }


def without(members: Members, *names: str) -> Members:
    """Return the members but for some."""
    return {name: value for name, value in members.items() if name not in names}


def edit_member(members: Members, name: str, edit: Callable[[Members], Members]) -> Members:
    """Edit a member that is an object; without it, or where it is none, nothing changes."""
    if name not in members:
        return members
    return {**members, name: edit_object(members[name], edit)}


#: Where the flat members of a Beta object stand below ``audio`` in GA.
Places = Mapping[str, tuple[str, str]]


def nest(members: Members, places: Places) -> Members:
    """Put flat members at their places below ``audio``; what stands there already stays."""
    audio = read_members(members.get("audio", "{}"))
    flat = [name for name in members if name in places]
    if audio is None or not flat:
        return members
    moved = {"audio"}
    for name in flat:
        branch, leaf = places[name]
        inner = read_members(audio.get(branch, "{}"))
        if inner is not None:
            audio[branch] = write_object({leaf: members[name], **inner})
            moved.add(name)
    return _exchange(members, moved, {"audio": write_object(audio)})


def flatten(members: Members, places: Places) -> Members:
    """Take members from their places below ``audio``; what has no flat name stays there."""
    audio = read_members(members.get("audio", "null"))
    if audio is None:
        return members
    moved: Members = {}
    for name, (branch, leaf) in places.items():
        inner = read_members(audio.get(branch, "null"))
        if inner is not None and leaf in inner:
            moved[name] = inner.pop(leaf)
            audio[branch] = write_object(inner)
    left = {branch: value for branch, value in audio.items() if read_members(value) != {}}
    if left and not moved:
        return members
    flat = {name: value for name, value in moved.items() if name not in members}
    return _exchange(members, {"audio"}, {**flat, "audio": write_object(left)} if left else flat)


def _exchange(members: Members, old: Collection[str], new: Members) -> Members:
    """Return the members with new ones where the first of the old ones stood."""
    exchanged: Members = {}
    for name, value in members.items():
        if name in old:
            exchanged |= new
        else:
            exchanged[name] = value
    return exchanged
