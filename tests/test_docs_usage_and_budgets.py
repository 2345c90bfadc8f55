"""The page docs/usage-and-budgets.md against the code that it speaks of."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import attrs
import pytest

from rt_proxy.configfile import load_settings
from rt_proxy.realtime.counts import Tokens, response_tokens, transcription_tokens
from rt_proxy.settings import PriceSettings, Settings
from rt_proxy.usage.prices import Prices, nano_usd
from rt_proxy.usage.publicprices import PUBLIC_PRICES, PUBLIC_PRICES_DATE, PUBLIC_PRICES_SOURCE
from rt_proxy.usage.record import NANO_USD_PER_USD, UsageKind, UsageRecord

DOCS = Path(__file__).parent.parent / "docs"
DOC = (DOCS / "usage-and-budgets.md").read_text(encoding="utf-8")
#: For an example that has no channel.
CHANNEL = """
[[channels]]
name = "openai"
provider = "openai"
api_key = "k"
models = ["*"]
"""
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def section(heading: str) -> str:
    """Return what stands under a heading of the second level."""
    return DOC.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a text, each with its head and without the line below it."""
    found = []
    for table in re.findall(r"(?m)(?:^\|.*\n)+", text):
        head, _, *rows = ([cell.strip(" `") for cell in line.strip("|").split("|")]
                          for line in table.splitlines())  # fmt: skip
        found.append([head, *rows])
    return found


def record(model: str, upstream_model: str, tokens: Tokens, milliseconds: int = 0) -> UsageRecord:
    """Return a record of a response or a transcription."""
    return UsageRecord(
        time=NOON,
        kind=UsageKind.RESPONSE,
        session_id="s",
        token_id="t",
        token_name="alice",
        channel="openai",
        model=model,
        upstream_model=upstream_model,
        tokens=tokens,
        milliseconds=milliseconds,
    )


# What things cost


def test_public_prices() -> None:
    """The tables are the built-in ones, figure by figure, with their date and their source."""
    told = {}
    for head, *rows in tables(section("What things cost")):
        for name, *cells in rows:
            amounts = zip(head[1:], cells, strict=True)
            told[name.removesuffix("(check)").strip(" `")] = PriceSettings(
                **{field: Decimal(cell) for field, cell in amounts if cell != "-"}
            )
    without_price = {model for model, [price] in PUBLIC_PRICES.items() if price == PriceSettings()}
    assert told == {
        model: price for model, [price] in PUBLIC_PRICES.items() if model not in without_price
    }
    assert f"Public prices as of {PUBLIC_PRICES_DATE}," in DOC
    assert f"({PUBLIC_PRICES_SOURCE})" in DOC
    for model in without_price:
        assert f"none for `{model}`" in DOC


def test_the_order() -> None:
    """Each place of the list is asked after those above it, and before those below."""
    lines = re.findall(r"(?m)^\d\. (.*)$", section("What things cost"))
    assert len(lines) == 5
    places = [
        ("the prices of the channel", "upstream's"),
        ("the prices of the channel", "client's"),
        ("`[prices]`", "upstream's"),
        ("`[prices]`", "client's"),
        ("the tables above", "upstream's"),
    ]
    for line, (table, whose) in zip(lines, places, strict=True):
        assert line.startswith(f"{table}, by the {whose} name")
    names = {"upstream's": "gpt-realtime-mini", "client's": "gpt-realtime"}
    for first, (_, named_by) in enumerate(places[:4]):
        own: list[dict[str, tuple[PriceSettings, ...]]] = [{}, {}]
        for rank in range(first, 4):
            name = names[places[rank][1]]
            own[rank // 2][name] = (PriceSettings(text_in=Decimal(rank + 100)),)
        of_channel, of_settings = own
        spent = record("gpt-realtime", "gpt-realtime-mini", Tokens(text_in=1_000_000))
        found = Prices(of_settings, {"openai": of_channel})(spent)
        assert found == first + 100, named_by
    assert Prices()(spent) == Decimal("0.60")


def examples(folder: Path) -> list[Settings]:
    """Return the settings of each example, read as a config file."""
    found = []
    for text in re.findall(r"```toml\n(.*?)```", section("What things cost"), re.DOTALL):
        path = folder / "config.toml"
        path.write_text(text if "[[channels]]" in text else CHANNEL + text, encoding="utf-8")
        found.append(load_settings(path, {"AZURE_OPENAI_API_KEY": "k"}))
    return found


def test_examples(tmp_path: Path) -> None:
    """The examples of prices are read as they stand, and do what the text says."""
    discount, change, scribe, azure, local = map(prices_of, examples(tmp_path))
    speech = Tokens(audio_out=1_000_000)
    spoken = record("gpt-realtime-2.1", "gpt-realtime-2.1", speech)
    assert discount(spoken) == Decimal("57.60")
    assert discount(attrs.evolve(spoken, tokens=Tokens(text_out=1_000_000))) == 24
    assert change(spoken) == 64
    assert change(attrs.evolve(spoken, time=datetime(2027, 1, 1, tzinfo=UTC))) == 48
    heard = record("gpt-4o-transcribe", "gpt-4o-transcribe", Tokens(audio_in=1_000_000))
    assert scribe(heard) == 6
    assert scribe(attrs.evolve(heard, tokens=Tokens(text_out=1_000_000))) == 10
    deployed = attrs.evolve(spoken, upstream_model="my-deployment")
    assert azure(attrs.evolve(deployed, channel="azure-eu")) == Decimal("70.40")
    assert azure(deployed) == 64
    at_home = record("gpt-realtime", "my-pipeline", Tokens(*[5] * 8), 60_000)
    assert local(attrs.evolve(at_home, channel="local")) == 0


def prices_of(settings: Settings) -> Prices:
    """Return the prices of some settings, as the proxy has them."""
    channels = {channel.name: channel.prices for channel in settings.channels}
    return Prices(settings.prices, channels)


def test_names_that_are_held() -> None:
    """What the text says of names is so."""
    text = section("What things cost")
    assert "`gpt-realtime-3` is not billed as `gpt-realtime`" in text
    assert Prices()(record("gpt-realtime-3", "gpt-realtime-3", Tokens())) is None
    assert '`[prices."gpt-realtime"]` holds for `gpt-realtime-2.1-mini` too' in text
    own = {"gpt-realtime": (PriceSettings(text_in=Decimal(9)),)}
    mini = record("gpt-realtime-2.1-mini", "gpt-realtime-2.1-mini", Tokens(text_in=1_000_000))
    assert Prices(own)(mini) == 9
    own["gpt-realtime-2.1-mini"] = (PriceSettings(text_in=Decimal(8)),)
    assert Prices(own)(mini) == 8


# A bill, checked by hand


#: Its steps: heading, model, usage, working and cost.
STEPS = re.findall(
    r"^### (\d\. .*?)\n.*?^Model: `(.*?)`\n.*?^```json\n(.*?)^```\n(.*?)^Cost: ([\d.]+) USD\.$",
    section("A bill, checked by hand"),
    re.DOTALL | re.MULTILINE,
)


@pytest.mark.parametrize(
    ("model", "usage", "rows", "cost"),
    [step[1:] for step in STEPS],
    ids=[step[0] for step in STEPS],
)
def test_a_step_of_the_bill(model: str, usage: str, rows: str, cost: str) -> None:
    """The counts, the prices and the cost are those of the code, and of plain arithmetic."""
    reported = json.loads(usage)
    if "type" in reported:
        metered = transcription_tokens(reported)
    else:
        metered = response_tokens(reported, spoke=True)
    assert metered.is_exact
    [price] = PUBLIC_PRICES[model]
    counts, total = {}, Fraction(0)
    [[_, *cells]] = tables(rows)
    for name, amount, per, usd in cells:
        assert Decimal(per) == getattr(price, name)
        if name == "per_minute_in":
            seconds = Fraction(amount.removesuffix(" s"))
            assert metered.milliseconds == seconds * 1000
            product = seconds / 60 * Fraction(per)
        else:
            counts[name] = int(amount)
            product = int(amount) * Fraction(per) / 10**6
        assert product == Fraction(usd)
        total += product
    assert metered.tokens == Tokens(**counts)
    assert total == Fraction(cost)
    usd = Prices()(record(model, model, metered.tokens, metered.milliseconds))
    assert usd == Decimal(cost)
    assert nano_usd(usd) == total * NANO_USD_PER_USD


def test_the_whole_bill() -> None:
    """The costs of all steps are added up to the last line."""
    parts, _, whole = (
        section("A bill, checked by hand").rstrip().rpartition("\n")[2].partition(" = ")
    )
    assert [Decimal(part) for part in parts.split(" + ")] == [Decimal(step[4]) for step in STEPS]
    assert sum(Decimal(step[4]) for step in STEPS) == Decimal(whole.removesuffix(" USD."))
    assert len(STEPS) == len(re.findall(r"(?m)^### \d", section("A bill, checked by hand"))) == 5
