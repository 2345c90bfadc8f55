"""Which channels serve a client, and in which order."""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.channels.channel import Channel, make_channels
from rt_proxy.channels.choose import choose, first_model, served_models
from rt_proxy.settings import ChannelSettings, Secret, Settings

KEY = Secret("sk-hunter2")


def channel(name: str, *models: str, **written: Any) -> Channel:
    """Return an OpenAI channel that serves some models under their own names."""
    own_names = {model: model for model in models}
    settings = ChannelSettings(name, "openai", own_names, api_key=KEY, **written)
    return make_channels(Settings((settings,)))[0]


def names(channels: Sequence[Channel]) -> list[str]:
    """Return the names of the channels to try."""
    return [channel.name for channel in channels]


def chosen_for(channels: list[Channel], model: str | None) -> tuple[Channel, ...]:
    """Choose for a client."""
    return choose(channels, model=model, random=Random(1))


def test_only_channels_that_serve_the_model() -> None:
    """An alias or a star serves; other models do not."""
    channels = [channel("a", "x", priority=3), channel("b", "y"), channel("c", "*")]

    assert names(chosen_for(channels, "x")) == ["a", "c"]
    assert names(chosen_for(channels, "z")) == ["c"]


def test_a_transcription_session_may_go_anywhere() -> None:
    """Without a model every channel serves."""
    channels = [channel("a", "x", priority=2), channel("b", "y", priority=1), channel("c", "*")]

    assert names(chosen_for(channels, None)) == ["a", "b", "c"]


def test_dialects_do_not_matter() -> None:
    """A channel serves clients of either dialect, in the place of its priority."""
    channels = [channel("a", "x"), channel("b", "x", dialect="beta", priority=1)]

    assert names(chosen_for(channels, "x")) == ["b", "a"]


def test_no_channels() -> None:
    """With no channels nothing is chosen."""
    assert () == chosen_for([], "x") == chosen_for([], None)


def test_higher_priorities_come_first() -> None:
    """The order of tries follows the priority, not the file."""
    channels = [channel(str(n), "x", priority=n) for n in (0, 5, -2)]

    assert names(chosen_for(channels, "x")) == ["5", "0", "-2"]


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(1, 9)), max_size=6), st.randoms())
def test_order_is_a_permutation(shape: list[tuple[int, int]], random: Random) -> None:
    """Every serving channel is tried exactly once, priorities descending."""
    channels = [
        channel(str(n), "x", priority=priority, weight=weight)
        for n, (priority, weight) in enumerate(shape)
    ]
    chosen = choose(channels, model="x", random=random)

    assert sorted(c.name for c in channels) == sorted(c.name for c in chosen)
    assert sorted(-c.priority for c in channels) == [-c.priority for c in chosen]


def test_weights_are_shares() -> None:
    """Each place goes by weight among the channels that are left."""
    channels = [channel("a", "x", weight=6), channel("b", "x", weight=3), channel("c", "x")]
    random = Random(2)
    orders = Counter(
        "".join(names(choose(channels, model="x", random=random))) for _ in range(5000)
    )

    # a first: 6/10; then b of b and c: 3/4.
    assert orders["abc"] / 5000 == pytest.approx(0.6 * 0.75, abs=0.03)
    assert orders["acb"] / 5000 == pytest.approx(0.6 * 0.25, abs=0.03)
    # b first: 3/10; then a of a and c: 6/7.
    assert orders["bac"] / 5000 == pytest.approx(0.3 * 6 / 7, abs=0.03)
    # c first: 1/10.
    assert (orders["cab"] + orders["cba"]) / 5000 == pytest.approx(0.1, abs=0.02)


def test_the_same_chance_gives_the_same_order() -> None:
    """Nothing but the argument decides."""
    channels = [channel(str(n), "x") for n in range(9)]

    assert names(chosen_for(channels, "x")) == names(chosen_for(channels, "x"))


def test_served_models() -> None:
    """Models come by priority, then as written, each once, without the star."""
    channels = [
        channel("a", "m3", "*", "m1"),
        channel("b", "m2", "m1", priority=1),
        channel("c", "m4", dialect="beta"),
    ]

    assert served_models(channels) == ("m2", "m1", "m3", "m4")


def test_first_model() -> None:
    """The model of who names none is the first one of the highest priority."""
    assert first_model([channel("1", "a"), channel("2", "*", "b", priority=1)]) == "b"
    assert first_model([channel("1", "a"), channel("2", "*", priority=1)]) == "a"
    assert None is first_model([channel("1", "*")])
    assert None is first_model([])
