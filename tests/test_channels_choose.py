"""Which channels serve a client, and in which order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.channels.channel import Channel, make_channels
from rt_proxy.channels.choose import Choice, Wish, choose, first_model, served_models
from rt_proxy.channels.health import Condition
from rt_proxy.settings import ChannelSettings, Secret, Settings

KEY = Secret("sk-hunter2")


def is_usable(condition: Condition, now: float) -> bool:
    """Whether a newcomer would be sent there in its turn."""
    return not condition.key_refused and now >= max(condition.cooling_until, condition.barred_until)


def channel(name: str, *models: str, **written: Any) -> Channel:
    """Return an OpenAI channel that serves some models under their own names."""
    own_names = {model: model for model in models}
    settings = ChannelSettings(name, "openai", own_names, api_key=KEY, **written)
    return make_channels(Settings((settings,)))[0]


def names(channels: Sequence[Channel]) -> list[str]:
    """Return the names of the channels to try."""
    return [channel.name for channel in channels]


def choice_for(
    channels: Sequence[Channel],
    model: str | None = "x",
    *,
    health: Mapping[str, Condition] | None = None,
    random: Random | None = None,
    **wish: Any,
) -> Choice:
    """Choose for a client, at the moment 100."""
    return choose(
        channels, Wish(model, **wish), health=health or {}, now=100, random=random or Random(1)
    )


def chosen_for(channels: list[Channel], model: str | None) -> tuple[Channel, ...]:
    """Choose for a client where all channels are well."""
    return choice_for(channels, model).channels


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
    chosen = choice_for(channels, random=random).channels

    assert sorted(c.name for c in channels) == sorted(c.name for c in chosen)
    assert sorted(-c.priority for c in channels) == [-c.priority for c in chosen]


def test_weights_are_shares() -> None:
    """Each place goes by weight among the channels that are left."""
    channels = [channel("a", "x", weight=6), channel("b", "x", weight=3), channel("c", "x")]
    random = Random(2)
    orders = Counter(
        "".join(names(choice_for(channels, random=random).channels)) for _ in range(5000)
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


def order(channels: Sequence[Channel], health: Mapping[str, Condition], **wish: Any) -> list[str]:
    """Return the names of the channels to try."""
    return names(choice_for(channels, health=health, **wish).channels)


def test_the_least_busy_among_equals() -> None:
    """Of channels with the same priority and weight the one with fewest sessions comes first."""
    channels = [channel(str(n), "x") for n in range(4)]
    health = {"0": Condition(busy=3), "1": Condition(busy=1), "2": Condition(busy=2)}

    for seed in range(20):
        chosen = choice_for(channels, health=health, random=Random(seed)).channels
        assert names(chosen) == ["3", "1", "2", "0"]


def test_weight_goes_before_being_idle() -> None:
    """How busy a channel is does not change the share of channels of another weight."""
    channels = [channel("heavy", "x", weight=99), channel("light", "x")]
    health = {"heavy": Condition(busy=50)}
    first = Counter(
        choice_for(channels, health=health, random=Random(seed)).channels[0].name
        for seed in range(300)
    )

    assert first["heavy"] > 280


def test_channels_that_cool_down_come_last() -> None:
    """A channel that failed lately is tried after all that are well, the soonest one first."""
    channels = [channel(str(n), "x", priority=-n) for n in range(4)]
    health = {
        "0": Condition(failures=2, why="HTTP 500", cooling_until=130),
        "1": Condition(failures=1, why="HTTP 502", cooling_until=110),
    }
    choice = choice_for(channels, health=health)

    assert names(choice.channels) == ["2", "3", "1", "0"]


def test_a_channel_whose_cooldown_is_over() -> None:
    """It is tried in its place by one session; to the others it comes last meanwhile."""
    channels = [channel("a", "x", priority=1), channel("b", "x")]
    over = Condition(failures=3, why="HTTP 500", cooling_until=100)

    assert order(channels, {"a": over}) == ["a", "b"]
    probed = Condition(failures=3, why="HTTP 500", cooling_until=100, probing=True)
    assert order(channels, {"a": probed}) == ["b", "a"]


def test_a_channel_that_nobody_may_try() -> None:
    """One whose key was refused, that is full, or that asked for time, is passed over, and why."""
    channels = [channel("a", "x"), channel("b", "x", max_sessions=2), channel("c", "x")]
    health = {
        "a": Condition(key_refused=True, why="HTTP 401"),
        "b": Condition(busy=2),
        "c": Condition(failures=1, why="HTTP 429", barred_until=160),
    }
    choice = choice_for(channels, health=health)

    assert choice.channels == ()
    assert choice.passed_over == {
        "a": "its key was refused (HTTP 401), it waits for a reload",
        "b": "it is full, with 2 of 2 sessions",
        "c": "it asked to be left alone for 60 s (HTTP 429)",
    }
    assert choice.retry_after == 5
    assert choice_for(channels[::2], health=health).retry_after == 60
    assert choice_for(channels[:1], health=health).retry_after is None


def test_room_on_a_channel() -> None:
    """A channel with a limit serves up to it; without one it is never full."""
    health = {"a": Condition(busy=1), "b": Condition(busy=1_000)}

    assert order([channel("a", "x", max_sessions=2)], health) == ["a"]
    assert order([channel("b", "x")], health) == ["b"]


def test_the_channels_of_a_token() -> None:
    """A token with a list of channels is served by these alone."""
    channels = [channel("a", "x"), channel("b", "x")]
    choice = choice_for(channels, allowed=("b", "none"))

    assert names(choice.channels) == ["b"]
    assert choice.passed_over == {"a": "the token may not use it"}


def test_the_channel_of_transcriptions() -> None:
    """Transcription sessions go where they are sent, and to no channel that takes none."""
    channels = [channel("a", "x"), channel("b", "x", transcription=False), channel("c", "*")]

    assert sorted(order(channels, {}, model=None)) == ["a", "c"]
    choice = choice_for(channels, None, transcription_channel="c")
    assert names(choice.channels) == ["c"]
    assert choice.passed_over == {
        "a": "transcription sessions go to c",
        "b": "it takes no transcription sessions",
    }
    assert choice_for(channels, None, transcription_channel="b").channels == ()


@given(
    st.lists(
        st.tuples(
            st.integers(-1, 1),
            st.integers(1, 3),
            st.integers(0, 2),
            st.builds(
                Condition,
                failures=st.integers(0, 3),
                cooling_until=st.sampled_from([-1.0, 99.0, 101.0]),
                barred_until=st.sampled_from([-1.0, 150.0]),
                key_refused=st.booleans(),
                probing=st.booleans(),
                busy=st.integers(0, 3),
            ),
        ),
        max_size=7,
    ),
    st.randoms(),
)
def test_each_channel_is_tried_once_or_explained(
    shape: list[tuple[int, int, int, Condition]], random: Random
) -> None:
    """Whatever the conditions are, a channel is tried once, or there is a reason why not."""
    channels = [
        channel(str(n), "x", priority=priority, weight=weight, max_sessions=most)
        for n, (priority, weight, most, _) in enumerate(shape)
    ]
    health = {str(n): condition for n, (*_, condition) in enumerate(shape)}
    choice = choice_for(channels, health=health, random=random)

    told = [*names(choice.channels), *choice.passed_over]
    assert sorted(told) == sorted(health)
    usable = [is_usable(health[channel.name], 100) for channel in choice.channels]
    assert usable == sorted(usable, reverse=True)
