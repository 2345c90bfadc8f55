"""Facts about who is to blame where a channel could not serve."""

import json

import attrs
import pytest

from rt_proxy.channels import Channel, make_channels
from rt_proxy.listener.failure import (
    Failure,
    at_first_event,
    at_upgrade,
    breaks_off,
    for_unwritten_model,
)
from rt_proxy.realtime import closing
from rt_proxy.realtime.closing import Ending
from rt_proxy.realtime.frames import TEXT, Close, Fault, FaultKind, Message
from rt_proxy.session.wslegs import UpgradeFailedError
from rt_proxy.settings import ChannelSettings, Secret, Settings

WRITTEN = ChannelSettings("c", "openai", {"m": "m"}, Secret("sk-hush"))


def channel() -> Channel:
    """Return a channel of OpenAI, whose close codes have a meaning."""
    return make_channels(Settings((WRITTEN,)))[0]


def message(event: object) -> Message:
    """Return a text message with an event."""
    return Message(TEXT, json.dumps(event).encode(), b"")


@pytest.mark.parametrize(
    ("code", "is_channels", "refuses_key"),
    [
        ("server_error", True, False),
        ("invalid_api_key", True, True),
        ("credit_balance_exhausted", True, True),
        ("account_deactivated", True, True),
        ("model_not_found", False, False),
        ("invalid_intent", False, False),
    ],
)
def test_an_error_that_comes_first(code: str, *, is_channels: bool, refuses_key: bool) -> None:
    """Its code says what is refused: all, the key, or what was asked for."""
    failure = at_first_event(channel(), message({"type": "error", "error": {"code": code}}))
    assert failure is not None
    assert (failure.why, failure.code) == (f"error {code}", code)
    assert (failure.is_channels, failure.refuses_key) == (is_channels, refuses_key)


@pytest.mark.parametrize("error", [None, "x", {}, {"code": 5}, {"code": "Your key sk-hush is old"}])
def test_an_error_in_words_of_its_own(error: object) -> None:
    """What is no plain code is not repeated."""
    failure = at_first_event(channel(), message({"type": "error", "error": error}))
    assert failure is not None
    assert str(failure) == "c: error without a known code"


@pytest.mark.parametrize("event", [{"type": "session.created"}, {"type": 5}, [], "error"])
def test_any_other_event_is_good(event: object) -> None:
    """Whatever is no error is the beginning of a session."""
    assert at_first_event(channel(), message(event)) is None


@pytest.mark.parametrize(
    ("code", "is_channels", "refuses_key"),
    [
        (3000, True, True),
        (4000, False, False),
        (4004, False, False),
        (1013, True, False),
        (1011, True, False),
    ],
)
def test_a_close_that_comes_first(code: int, *, is_channels: bool, refuses_key: bool) -> None:
    """The provider's table says what its codes mean."""
    failure = at_first_event(channel(), Close(code, "the upstream's own words", b""))
    assert failure == Failure(
        "c",
        f"closed with {code} before the first event",
        is_channels=is_channels,
        refuses_key=refuses_key,
    )


def test_other_ends() -> None:
    """A peer that hangs up, and one that breaks the protocol, are told apart."""
    hung_up = at_first_event(channel(), None)
    broke = at_first_event(channel(), Fault(FaultKind.PROTOCOL, 1002, "x"))
    assert (str(hung_up), str(broke)) == (
        "c: hung up before the first event",
        f"c: broke the protocol: {FaultKind.PROTOCOL.value}",
    )


@pytest.mark.parametrize(("status", "refuses_key"), [(401, True), (403, False), (None, False)])
def test_an_upgrade_that_is_refused(status: int | None, *, refuses_key: bool) -> None:
    """A 401 is about the key; how long to wait is taken over."""
    failure = at_upgrade(channel(), UpgradeFailedError("HTTP x", status=status, retry_after=7))
    assert failure == Failure("c", "HTTP x", status=status, retry_after=7, refuses_key=refuses_key)


@pytest.mark.parametrize(
    ("status", "has_worked", "is_channels"),
    [
        *((status, False, False) for status in (400, 403, 404, 414, 431)),
        (401, False, True),
        (401, True, False),
        (500, True, True),
    ],
)
def test_a_model_that_nobody_wrote(status: int, *, has_worked: bool, is_channels: bool) -> None:
    """A model that only a client named condemns no key, nor a channel that has worked."""
    failure = at_upgrade(channel(), UpgradeFailedError("x", status=status, retry_after=None))
    judged = for_unwritten_model(failure, has_worked=has_worked)
    assert judged == attrs.evolve(failure, is_channels=is_channels, refuses_key=False)


@pytest.mark.parametrize(
    ("ending", "is_fault"),
    [
        (closing.upstream_closed(1011, ""), True),
        (closing.upstream_closed(1013, ""), True),
        (closing.upstream_closed(1006, ""), True),
        (closing.upstream_closed(1000, ""), False),
        (closing.upstream_closed(1001, "60 minutes"), False),
        (closing.upstream_closed(4000, ""), False),
        (closing.UPSTREAM_LOST, True),
        (closing.UPSTREAM_EXPIRES, False),
        (closing.MODEL_CHANGED, False),
        (closing.CLIENT_LOST, False),
        (closing.DRAIN, False),
    ],
)
def test_what_breaks_off(ending: Ending, *, is_fault: bool) -> None:
    """An upstream that drops a session or says that it has a fault has one."""
    assert breaks_off(ending) is is_fault
