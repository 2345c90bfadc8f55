"""Facts about how a channel is said to do."""

from typing import Any

import pytest

from rt_proxy.channels import Condition, make_channels, state_of
from rt_proxy.settings import ChannelSettings, Settings


@pytest.mark.parametrize(
    ("condition", "word", "seconds"),
    [
        ({}, "well", None),
        ({"busy": 1}, "well", None),
        ({"busy": 2}, "full", None),
        ({"cooling_until": 103.2, "failures": 1}, "cooling", 4),
        ({"cooling_until": 100.0, "failures": 1}, "well", None),
        ({"cooling_until": 103.0, "probing": True}, "probing", None),
        ({"barred_until": 160.0, "cooling_until": 103.0, "probing": True}, "left_alone", 60),
        ({"barred_until": 160.0, "key_refused": True, "busy": 2}, "key_refused", None),
    ],
)
def test_state(condition: dict[str, Any], word: str, seconds: int | None) -> None:
    """The state that weighs most is told, with how long it lasts."""
    written = ChannelSettings("c", "simulator", {"*": "*"}, max_sessions=2)
    [channel] = make_channels(Settings((written,)))
    state = state_of(channel, Condition(why="HTTP 500", **condition), 100.0)

    assert (state.state, state.seconds) == (word, seconds)
    assert state.as_json() == {
        "name": "c",
        "state": word,
        "sessions": condition.get("busy", 0),
        "failures": condition.get("failures", 0),
        "why": "HTTP 500",
        "seconds": seconds,
    }
