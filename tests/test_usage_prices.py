"""Facts about what a record costs."""

import json
import tomllib
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs
import pytest
from eventexamples import USAGE
from hypothesis import example, given
from hypothesis import strategies as st

from rt_proxy.realtime.counts import Tokens, response_tokens, transcription_tokens
from rt_proxy.settings import PriceSettings
from rt_proxy.usage.prices import Prices, UnknownPrices, cost, nano_usd
from rt_proxy.usage.publicprices import PUBLIC_PRICES
from rt_proxy.usage.record import UsageKind, UsageRecord

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
#: One token of each kind, so that a price that is left out or taken twice shows.
ONE_OF_EACH = Tokens(*[1] * 8)
COUNTS = [field.name for field in attrs.fields(Tokens)]


def record(model: str | None = "gpt-realtime-2.1", **fields: Any) -> UsageRecord:
    """Return a record; its model has one name, where no other is given."""
    fields = {
        "time": NOON,
        "kind": UsageKind.RESPONSE,
        "session_id": "s",
        "token_id": "t",
        "token_name": "alice",
        "channel": "openai",
        "model": model,
        "upstream_model": model,
        "tokens": Tokens(text_in=1_000_000),
    } | fields
    return UsageRecord(**fields)


def price(**amounts: str) -> PriceSettings:
    """Return a price of amounts that are written as text."""
    return PriceSettings(**{name: Decimal(amount) for name, amount in amounts.items()})


def table(**amounts: str) -> dict[str, tuple[PriceSettings, ...]]:
    """Return a table that has a price of text by name: ``my_voice`` stands for ``my-voice``."""
    return {name.replace("_", "-"): (price(text_in=amount),) for name, amount in amounts.items()}


# What a sum is


def test_each_count_has_its_price() -> None:
    """Each of the eight counts is paid at the price of its name, per million tokens."""
    amounts = {name: str(10**place) for place, name in enumerate(COUNTS)}
    for place, name in enumerate(COUNTS):
        assert cost(price(**amounts), Tokens(**{name: 3})) == Decimal(3 * 10**place) / 10**6
    assert cost(price(**amounts), ONE_OF_EACH) == Decimal("11.111111")


def test_public_prices() -> None:
    """A response that is metered as the API reports it costs what the pages say, to the digit."""
    tokens = response_tokens(USAGE, spoke=True).tokens
    micro_usd = 55 * 4 + Decimal("64") * Decimal("0.4") + 13 * 32 + 30 * 24 + 91 * 64
    assert Prices()(record(tokens=tokens)) == micro_usd / 10**6


@pytest.mark.parametrize("kind", ["text", "audio", "image"])
def test_cached_without_a_price(kind: str) -> None:
    """What was cached is as dear as what was not where it has no price of its own."""
    cached = Tokens(**{f"{kind}_cached_in": 2_000_000})
    assert cost(price(**{f"{kind}_in": "3"}), cached) == 6
    assert cost(price(**{f"{kind}_in": "3", f"{kind}_cached_in": "0"}), cached) == 0


@pytest.mark.parametrize("name", COUNTS)
def test_a_price_is_missing(name: str) -> None:
    """Tokens without a price cost what the dearest of their direction does, and never nothing."""
    kind, direction = name.split("_", maxsplit=1)[0], name.rsplit("_", maxsplit=1)[-1]
    without = {
        other: "3" if other.endswith(direction) else "7"
        for other in COUNTS
        if not other.startswith(kind)
    }
    dearest = next(other for other in without if other.endswith(direction))
    assert cost(price(**without | {dearest: "5"}), Tokens(**{name: 10**6})) == 5
    assert cost(price(**without), Tokens()) == 0


def test_no_price_of_its_direction() -> None:
    """Where nothing that comes out has a price it costs what the dearest that goes in does."""
    assert cost(price(text_in="1", audio_in="2"), Tokens(text_out=10**6)) == 2
    assert cost(price(per_minute_in="2"), Tokens(text_out=1)) is None


@pytest.mark.parametrize(
    ("milliseconds", "usd"),
    [(60_000, "0.006"), (3_200, "0.00032"), (1, "0.0000001"), (3_600_000, "0.36")],
)
def test_minutes(milliseconds: int, usd: str) -> None:
    """Audio that is paid by the minute is paid to the millisecond."""
    found = Prices()(record("whisper-1", tokens=Tokens(), milliseconds=milliseconds))
    assert found == Decimal(usd)


def test_minutes_without_a_price() -> None:
    """A duration of a model that is paid by tokens is not known, nor are tokens of the other."""
    by_time = record("gpt-4o-transcribe", tokens=Tokens(), milliseconds=1)
    assert Prices()(by_time) is None
    assert Prices()(record("whisper-1")) is None


def test_tokens_and_minutes() -> None:
    """What is paid by both is the sum of both."""
    both = price(text_in="1", per_minute_in="2")
    assert cost(both, Tokens(text_in=1_000_000), 30_000) == 2


def test_nothing_was_taken() -> None:
    """Nothing costs nothing where the model is known; else nobody knows."""
    assert Prices()(record(tokens=Tokens())) == 0
    assert Prices()(record("gpt-realtime-3", tokens=Tokens())) is None
    empty = {"mine": (PriceSettings(),)}
    assert Prices(empty)(record("mine", tokens=Tokens())) is None


def test_the_arithmetic_is_exact() -> None:
    """A price of many digits is not rounded, however many tokens it is for."""
    amount = "999999.123456789012345678901234567891"
    found = cost(price(text_in=amount), Tokens(text_in=999_999_999))
    assert found is not None
    assert Fraction(found) == Fraction(amount) * 999_999_999 / 10**6


def test_the_dearest_that_is_believed() -> None:
    """No usage that is believed, at the highest price, is more than a ledger can hold."""
    most = {f"{kind}_tokens": 10**9 for kind in ("text", "audio", "image")}
    usage = {"input_token_details": most, "output_token_details": most}
    dearest = price(**dict.fromkeys(COUNTS, "1000000"), per_minute_in="1000000")
    for reported in (
        response_tokens(usage | {"total_tokens": 10**9}, spoke=True),
        transcription_tokens({"type": "duration", "seconds": 86_400}),
    ):
        usd = cost(dearest, reported.tokens, reported.milliseconds)
        assert usd is not None
        assert nano_usd(usd) > 10**18


amounts = st.decimals(0, 1_000_000, allow_nan=False, allow_infinity=False, places=9)
full_prices = st.builds(PriceSettings, *[amounts] * 9)
some_prices = st.builds(PriceSettings, *[st.none() | amounts] * 9)
some_tokens = st.builds(Tokens, *[st.integers(0, 10**8)] * 8)
durations = st.integers(0, 86_400_000)


@given(full_prices, some_tokens, some_tokens, durations, durations)
@example(price(per_minute_in="0.017"), Tokens(), Tokens(), 1, 2)
def test_a_sum_costs_the_sum(
    prices: PriceSettings, one: Tokens, other: Tokens, early: int, late: int
) -> None:
    """Two parts cost as much as the whole; rounding each may shift it by a nano USD."""
    parts = [cost(prices, one, early), cost(prices, other, late)]
    whole = cost(prices, one + other, early + late)
    assert whole is not None
    assert None not in parts
    assert abs(nano_usd(whole) - sum(nano_usd(part) for part in parts if part is not None)) <= 1


@given(some_prices, some_tokens, durations)
def test_never_negative(prices: PriceSettings, tokens: Tokens, milliseconds: int) -> None:
    """A cost is not known or 0 or more; and what is known for all is known for a part."""
    whole = cost(prices, tokens, milliseconds)
    part = cost(prices, attrs.evolve(tokens, audio_out=0), milliseconds)
    assert whole is None or (part is not None and 0 <= part <= whole)


values = st.integers(0, 10**9) | st.sampled_from([None, True, "7", [], -1, 1.5, 10**400])
details = st.fixed_dictionaries(
    {}, optional={"text_tokens": values, "audio_tokens": values, "cached_tokens": values}
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "type": values | st.sampled_from(["duration", "tokens"]),
            "seconds": values | st.floats(),
            "total_tokens": values,
            "input_tokens": values,
            "output_tokens": values,
            "input_token_details": values | details,
            "output_token_details": values | details,
        },
    ),
    st.sampled_from([None, "x", *PUBLIC_PRICES]),
)
def test_whatever_an_upstream_reports(usage: dict[str, Any], model: str | None) -> None:
    """Any JSON in ``usage`` has a cost of 0 or more that a ledger can hold, or none."""
    for reported in (response_tokens(usage, spoke=True), transcription_tokens(usage)):
        spent = record(model, tokens=reported.tokens, milliseconds=reported.milliseconds)
        usd = Prices()(spent)
        assert usd is None or nano_usd(usd) >= 0


# How it is rounded


@pytest.mark.parametrize(
    ("usd", "expected"),
    [
        ("0", 0),
        ("1", 1_000_000_000),
        ("0.0000000005", 0),
        ("0.0000000015", 2),
        ("0.0000000025", 2),
        ("0.00000000250000000000000000000000000000000001", 3),
        ("9223372036.854775807", 2**63 - 1),
        ("1234567890.1234567894999999999999999999999999", 1_234_567_890_123_456_789),
    ],
)
def test_nano_usd(usd: str, expected: int) -> None:
    """An amount is rounded to a nano USD, half to even, from its last digit on."""
    assert nano_usd(Decimal(usd)) == expected


@pytest.mark.parametrize(
    "usd", ["NaN", "sNaN", "Infinity", "-Infinity", "-0.01", "9223372036.8547758076", "1E+999999"]
)
def test_no_amount(usd: str) -> None:
    """What no ledger can hold is refused, as the price function of an embedder may return it."""
    with pytest.raises(ValueError, match="a cost must"):
        nano_usd(Decimal(usd))


@pytest.mark.parametrize("usd", [0.1, 1, "1", None])
def test_no_decimal(usd: object) -> None:
    """Money that is no Decimal is refused, a float above all."""
    with pytest.raises(TypeError, match=f"must be a Decimal, not {type(usd).__name__}"):
        nano_usd(usd)  # type: ignore[arg-type]


# Which price holds


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("gpt-realtime", True),
        ("gpt-realtime-2025-08-28", True),
        ("gpt-realtime-latest", True),
        ("gpt-realtime-mini-2025-12-15", True),
        ("gpt-4o-realtime-preview-2025-06-03", True),
        ("gpt-4o-realtime-preview-2024-10-01", False),
        ("gpt-realtime-3", False),
        ("gpt-realtime-2.2", False),
        ("gpt-realtime-2.1-nano", False),
        ("gpt-realtime-2025", False),
        ("gpt-realtime-2025-08-28-eu", False),
        ("gpt-realtime-2025-08-2x", False),
        ("gpt-realtime-٢٠٢٥-٠٨-٢٨", False),
        ("gpt-realtime-latest-2", False),
        ("gpt-realtimes", False),
        ("gpt-realtim", False),
        ("GPT-Realtime", False),
        ("gpt-live-1", False),
        ("", False),
        ("-latest", False),
        ("my-own-voice-latest", False),
        (None, False),
    ],
)
def test_public_names(name: str | None, known: bool) -> None:
    """A public price holds for its name, dated snapshots and the latest, and nothing else."""
    assert (Prices()(record(name)) is not None) is known


def test_a_snapshot_has_the_price_of_its_model() -> None:
    """A snapshot of a model is not taken for one of the model that its name begins with."""
    assert Prices()(record("gpt-realtime-mini-2025-12-15")) == Decimal("0.60")
    assert Prices()(record("gpt-realtime-2025-08-28")) == Decimal("4.00")


@pytest.mark.parametrize(
    ("name", "usd"),
    [
        ("my", "1"),
        ("my-voice", "2"),
        ("my-voice-2", "2"),
        ("my-voice.eu", "2"),
        ("my-voice/2", "2"),
        ("my-voices", "1"),
        ("my-voice2", "1"),
        ("my-voice2-x", "1"),
        ("my-voiceé", "1"),
        ("my-other", "1"),
        ("myself", None),
        ("not-my-voice", None),
    ],
)
def test_names_of_an_operator(name: str, usd: str | None) -> None:
    """An operator's name holds for all that go on with another word; the longest one counts."""
    expected = None if usd is None else Decimal(usd)
    short, long = table(my="1"), table(my_voice="2")
    for own in (short | long, long | short):
        assert Prices(own)(record(name)) == expected


@pytest.mark.parametrize(
    ("channel", "settings", "expected"),
    [
        ({"up": "1", "seen": "2"}, {"up": "3", "seen": "4"}, "1"),
        ({"seen": "2"}, {"up": "3", "seen": "4"}, "2"),
        ({}, {"up": "3", "seen": "4"}, "3"),
        ({}, {"seen": "4"}, "4"),
        ({}, {}, None),
        ({"other": "1"}, {"another": "2"}, None),
    ],
)
def test_the_order(channel: dict[str, str], settings: dict[str, str], expected: str | None) -> None:
    """The channel's word comes before the settings', and the upstream's name before ours."""
    prices = Prices(table(**settings), {"openai": table(**channel), "azure": table(up="9")})
    found = prices(record(model="seen", upstream_model="up"))
    assert found == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize("place", ["channel", "settings"])
@pytest.mark.parametrize("name", ["gpt-realtime-2.1", "gpt-realtime-mini"])
def test_an_operator_is_believed(place: str, name: str) -> None:
    """Whatever an operator says, by either name, is believed before the public price."""
    own = {name: (price(text_in="7"),)}
    prices = Prices(own) if place == "settings" else Prices({}, {"openai": own})
    spent = record(model="gpt-realtime-2.1", upstream_model="gpt-realtime-mini")
    assert prices(spent) == 7


def test_public_price_by_the_names() -> None:
    """A deployment of any name costs what the client's name does, one that is known its own."""
    assert Prices()(record(upstream_model="my-deployment")) == Decimal("4.00")
    assert Prices()(record(upstream_model=None)) == Decimal("4.00")
    assert Prices()(record(upstream_model="gpt-realtime-mini")) == Decimal("0.60")
    assert Prices()(record("my-voice", upstream_model="gpt-realtime-mini")) == Decimal("0.60")


def test_public_prices_are_not_mixed() -> None:
    """What the public price of one model lacks is not taken from that of another."""
    images = Tokens(image_in=10**6)
    spent = record(upstream_model="gpt-4o-realtime-preview", tokens=images)
    assert Prices()(spent) == 40  # as its audio, which is the dearest of what goes in
    assert Prices()(record(tokens=images)) == 5


def test_each_amount_for_itself() -> None:
    """What an operator does not say is as the next one has it: channel, settings, public."""
    prices = Prices(
        {"gpt-realtime-2.1": (price(text_in="20", audio_in="30"),)},
        {"openai": {"my-deployment": (price(text_in="10"),)}},
    )
    spent = record(upstream_model="my-deployment")
    found = prices.price("openai", (spent.upstream_model, spent.model), NOON)
    assert found is not None
    [public] = PUBLIC_PRICES["gpt-realtime-2.1"]
    assert found == attrs.evolve(public, text_in=Decimal(10), audio_in=Decimal(30))
    assert prices(attrs.evolve(spent, channel="azure")) == 20


def test_a_price_of_nothing() -> None:
    """A price of 0 is a price: it is not taken for one that is not set."""
    assert Prices(table(**{"gpt_realtime_2.1": "0"}))(record()) == 0


@pytest.mark.parametrize(
    ("time", "usd"),
    [
        (datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), 1),
        (datetime(2026, 12, 1, tzinfo=UTC), 2),
        (datetime(2026, 12, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), 1),
        (datetime(2026, 11, 30, 23, 30, tzinfo=timezone(-timedelta(hours=1))), 2),
        (datetime(2027, 6, 1, tzinfo=UTC), 3),
        (datetime(1970, 1, 1, tzinfo=UTC), 1),
    ],
)
def test_the_day_counts(time: datetime, usd: int) -> None:
    """Of several prices of a name that which came into force last holds, by the day in UTC."""
    times = (
        PriceSettings(text_in=Decimal(3), valid_from=date(2027, 1, 1)),
        PriceSettings(text_in=Decimal(1)),
        PriceSettings(text_in=Decimal(2), valid_from=date(2026, 12, 1)),
    )
    assert Prices({"mine": times})(record("mine", time=time)) == usd


def test_none_is_in_force_yet() -> None:
    """Until a price is in force its table says nothing: the next one does, or nobody."""
    later = (PriceSettings(text_in=Decimal(9), valid_from=date(2026, 11, 24)),)
    assert Prices({"mine": later})(record("mine")) is None
    assert Prices({"gpt-realtime-2.1": later})(record()) == Decimal("4.00")
    prices = Prices(table(mine="1"), {"openai": {"mine": later}})
    assert prices(record("mine")) == 1
    assert prices(record("mine", time=NOON + timedelta(days=1))) == 9


# What is not known


@pytest.mark.log_says("costs is not known")
def test_says_once_what_is_not_known(caplog: pytest.LogCaptureFixture) -> None:
    """A model without a price is warned of once, with the channel and what to write."""
    unknown = UnknownPrices()
    spent = record("gpt-realtime-3", tokens=Tokens(text_cached_in=1, text_in=1, audio_out=1))
    for channel in ("openai", "openai", "azure"):
        unknown.note(attrs.evolve(spent, channel=channel))
    unknown.note(record("my-scribe", tokens=Tokens(), milliseconds=5))
    assert {(one.name, one.levelname) for one in caplog.records} == {("rt_proxy.usage", "WARNING")}
    first, second = caplog.messages
    assert first == (
        'what "gpt-realtime-3" on channel openai costs is not known, and counts in no budget of '
        'USD; write [prices."gpt-realtime-3"] with text_in, audio_out into the config'
    )
    assert 'write [prices."my-scribe"] with per_minute_in into' in second


@pytest.mark.log_says("costs is not known")
def test_which_name_it_says(caplog: pytest.LogCaptureFixture) -> None:
    """The upstream's name is what to write, or the client's where there is no other."""
    for model, upstream_model in (("seen", "up"), ("seen", None)):
        UnknownPrices().note(record(model, upstream_model=upstream_model))
    UnknownPrices().note(record("nothing", tokens=Tokens()))
    written = [message.partition("write ")[2] for message in caplog.messages]
    assert written == [
        '[prices."up"] with text_in into the config',
        '[prices."seen"] with text_in into the config',
        '[prices."nothing"] with what it costs into the config',
    ]


@pytest.mark.log_says("costs is not known")
def test_doing_what_it_says_helps(caplog: pytest.LogCaptureFixture) -> None:
    """With the section and the settings that the warning names the price is known."""
    spent = record("seen", upstream_model="up", tokens=ONE_OF_EACH, milliseconds=1)
    assert Prices()(spent) is None
    UnknownPrices().note(spent)
    section, _, rest = caplog.messages[0].partition("write ")[2].partition(" with ")
    lines = [f"{name} = 1" for name in rest.removesuffix(" into the config").split(", ")]
    written = tomllib.loads("\n".join([section, *lines]))["prices"]
    prices = {name: (PriceSettings(**amounts),) for name, amounts in written.items()}
    assert Prices(prices)(spent) is not None


@pytest.mark.log_says("costs is not known")
@pytest.mark.parametrize(
    "name", ['a"b\\c', "a\nb", "\x1b[31m", "voix-\u00e9t\u00e9", "\x7f", "\U000e0001"]
)
def test_names_that_peers_made_up(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The section is that of the name, and no name brings a line or a colour into the log."""
    UnknownPrices().note(record(name))
    [message] = caplog.messages
    assert message.isprintable()
    section = message.partition("write ")[2].partition(" with ")[0]
    assert tomllib.loads(section) == {"prices": {name: {}}}


@pytest.mark.log_says("costs is not known")
def test_half_a_character(caplog: pytest.LogCaptureFixture) -> None:
    """JSON can bring what no text can hold; it can be logged all the same."""
    UnknownPrices().note(record(json.loads('"\\ud800"')))
    assert "\\U0000d800" in caplog.messages[0].encode("ascii").decode()


@pytest.mark.log_says("its model is not")
def test_a_model_without_a_name(caplog: pytest.LogCaptureFixture) -> None:
    """Where no model is known there is nothing to write, and that is said, once."""
    unknown = UnknownPrices()
    for _ in range(2):
        unknown.note(record(None, kind=UsageKind.TRANSCRIPTION))
    assert caplog.messages == [
        "what a transcription on channel openai cost is not known, for its model is not"
    ]


@pytest.mark.log_says("not known")
def test_endless_models(caplog: pytest.LogCaptureFixture) -> None:
    """Models without end fill neither the memory nor the log."""
    unknown = UnknownPrices()
    for number in range(1_000):
        unknown.note(record(f"{number}-" + "m" * 10_000))
    assert len(caplog.messages) == 257
    assert caplog.messages[-1] == (
        "the prices of more than 256 models are not known; further ones are not named"
    )
    assert '[prices."255-mmm' in caplog.messages[-2]
    assert max(map(len, caplog.messages)) < 1_000
    assert sum(map(len, unknown._said)) < 100_000
