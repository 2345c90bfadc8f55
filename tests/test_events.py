"""Facts about the events that are read on their way."""

import attrs
import pytest

from rt_proxy.realtime.events import EVENT_CLASSES, ResponseDone, ShownResponse, Usage


def test_the_types_that_are_read() -> None:
    """Five server events are read, under the names of the API."""
    assert set(EVENT_CLASSES) == {
        "session.created",
        "session.updated",
        "response.created",
        "response.done",
        "error",
    }


@pytest.mark.parametrize("event_class", EVENT_CLASSES.values())
def test_events_are_frozen(event_class: type) -> None:
    """An event is a value with one member, the object that it is about."""
    assert attrs.has(event_class)
    assert event_class.__setattr__ is not object.__setattr__
    (field,) = attrs.fields(event_class)
    assert field.name in ("session", "response", "error")


def test_what_is_not_named_is_absent() -> None:
    """No member of what is shown is required: upstreams differ."""
    assert ResponseDone(ShownResponse()).response.usage is None
    assert Usage().total_tokens == 0
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Usage().total_tokens = 1  # type: ignore[misc]  # that it fails is the point
