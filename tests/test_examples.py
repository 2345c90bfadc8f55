"""What strangers read first: the example and the list of settings, held to the truth."""

import importlib.resources
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import tomli_w

from rt_proxy.configfile import load_settings
from rt_proxy.settings import (
    Budget,
    ChannelSettings,
    HealthSettings,
    KeySource,
    Limits,
    ListenSettings,
    LogSettings,
    PriceSettings,
    ScopeLimits,
    Settings,
    Timeouts,
    TlsSettings,
    TokensSettings,
    UsageSettings,
)

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "config.toml"
ENVIRON = dict.fromkeys(("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "LOCAL_API_KEY"), "hush")

#: Every section with its class; Settings itself holds the top level.
SECTIONS: dict[str, type] = {
    "listen": ListenSettings,
    "listen.tls": TlsSettings,
    "tokens": TokensSettings,
    "usage": UsageSettings,
    "budget": Budget,
    "channels[]": ChannelSettings,
    "channels[].api_key_from": KeySource,
    "channels[].client_cert": TlsSettings,
    "limits": Limits,
    "limits.per_token": ScopeLimits,
    "limits.per_address": ScopeLimits,
    "health": HealthSettings,
    "timeouts": Timeouts,
    "log": LogSettings,
}
#: Tables inside of a section that are always there.
INNER_SECTIONS = ("limits.per_token", "limits.per_address")
#: What the example sets otherwise, and why.
UNLIKE_DEFAULT = {
    "default_model": "a client that names no model must find one where any is served",
    "channels[].priority": "a forgotten simulator must not take its turn with real channels",
}


def defaults() -> Iterator[tuple[str, Any]]:
    """Yield every setting but the prices, by its place, with its default."""
    for field in attrs.fields(Settings):
        if field.name not in SECTIONS and field.name not in ("channels", "prices"):
            yield field.name, field.default
    for section, kind in SECTIONS.items():
        for field in attrs.fields(kind):
            place = f"{section}.{field.name}"
            if place not in INNER_SECTIONS:
                yield place, None if field.name == "prices" else field.default


def literal(value: object) -> str:
    """Write a default as TOML does."""
    plain = str(value) if isinstance(value, Path) else list(value) if value == () else value
    return tomli_w.dumps({"_": plain}).removeprefix("_ = ").strip()


def uncommented(text: str) -> str:
    """Take away the # in front of every setting and every header."""
    return re.sub(r"^#(?=\[|[a-z_]+ = )", "", text, flags=re.MULTILINE)


def values(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the place and the value of every setting in a document."""
    for key, value in table.items():
        place = f"{prefix}{key}"
        if place == "prices":
            continue
        if key == "channels":
            for channel in value:
                yield from values(channel, "channels[].")
            continue
        # A table inside of a section is a setting too where it can be absent.
        if place not in SECTIONS or place == "listen.tls" or "[]" in place:
            yield place, value
        if place in SECTIONS:
            yield from values(value, f"{place}.")


class TestSections:
    """The tests below look at every setting there is."""

    def test_no_section_is_forgotten(self) -> None:
        """A new section has to be named above, or these tests would not see it."""
        sections = {field.name for field in attrs.fields(Settings) if field.name != "prices"}
        top = {"default_model", "client_dialect", "transcription_channel", "refusals"}

        assert {name.split(".")[0].removesuffix("[]") for name in SECTIONS} | top == sections


class TestExample:
    """The example works as it is, and lists what can be set."""

    def test_is_the_packaged_one(self) -> None:
        """What ``init`` writes and what strangers see first is the same text."""
        packaged = importlib.resources.files("rt_proxy").joinpath("data/config.toml")

        assert EXAMPLE.read_bytes() == packaged.read_bytes()

    def test_works_at_once(self) -> None:
        """Without keys and network: one channel, the simulator, that serves any model."""
        settings = load_settings(EXAMPLE, {})
        [channel] = settings.channels

        assert (channel.provider, dict(channel.models)) == ("simulator", {"*": "*"})
        assert settings.tokens.file == EXAMPLE.parent / "tokens.toml"

    def test_lists_every_setting(self) -> None:
        """Every setting is there, set or commented out."""
        listed = {place for place, _ in values(tomllib.loads(uncommented(EXAMPLE.read_text())))}

        assert listed == {place for place, _ in defaults()}

    def test_shows_the_defaults(self) -> None:
        """What has a default is shown at it."""
        known = {place: literal(value) for place, value in defaults() if _has_default(value)}
        shown: dict[str, set[str]] = {}
        for place, value in values(tomllib.loads(uncommented(EXAMPLE.read_text()))):
            shown.setdefault(place, set()).add(literal(value))

        for place, default in known.items():
            assert default in shown[place], place
            assert shown[place] == {default} or place in UNLIKE_DEFAULT, place

    def test_what_is_set_is_at_its_default(self) -> None:
        """Outside of the channels the example changes one setting only, and has a ledger."""
        settings = load_settings(EXAMPLE, {})
        plain = attrs.evolve(
            Settings(channels=settings.channels),
            tokens=TokensSettings(file=EXAMPLE.parent / "tokens.toml"),
            usage=UsageSettings(file=EXAMPLE.parent / "usage.db"),
        )

        assert attrs.evolve(settings, default_model=None) == plain
        assert settings.default_model is not None

    def test_every_setting_says_why(self) -> None:
        """Each setting has its reason beside it; in the channels each at least once."""
        reasons: dict[str, bool] = {}
        section = ""
        for line in uncommented(EXAMPLE.read_text()).splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif " = " in line and not line.startswith("#"):
                place = f"{section}.{line.partition(' ')[0]}"
                reasons[place] = reasons.get(place, False) or bool(re.search(r" # \S", line))
        silent = {place for place, reason in reasons.items() if not reason}

        assert silent == set()

    def test_lines_are_short(self) -> None:
        """The example is read in a terminal."""
        assert max(map(len, EXAMPLE.read_text().splitlines())) <= 100

    def test_all_uncommented(self, tmp_path: Path) -> None:
        """All that stands ready can be uncommented together."""
        path = tmp_path / "config.toml"
        path.write_text(uncommented(EXAMPLE.read_text()))
        names = [channel.name for channel in load_settings(path, ENVIRON).channels]

        assert names == ["simulator", "openai", "azure", "azure-entra", "azure-preview", "local"]

    @pytest.mark.parametrize("name", ["openai", "azure", "azure-entra", "azure-preview", "local"])
    @pytest.mark.parametrize("simulator", [True, False])
    def test_one_uncommented(self, tmp_path: Path, name: str, simulator: bool) -> None:
        """Each channel loads beside the simulator, and in its place."""
        text = EXAMPLE.read_text()
        block = next(block for block in text.split("\n\n") if f'#name = "{name}"' in block)
        text = text.replace(block, uncommented(block))
        if not simulator:
            own = next(block for block in text.split("\n\n") if '\nname = "simulator"' in block)
            text = text.replace(own, "")
        if name == "azure-preview":  # the Beta dialect has models of its own
            text = text.replace('default_model = "gpt-realtime-2.1"', "")
        path = tmp_path / "config.toml"
        path.write_text(text)
        names = [channel.name for channel in load_settings(path, ENVIRON).channels]

        assert names == ["simulator", name] if simulator else [name]


class TestDocumentation:
    """docs/configuration.md names every setting with its default."""

    def test_every_setting(self) -> None:
        """Each setting has a heading, a unit, its true default and what is dangerous about it."""
        entries = dict(_entries())

        for place, default in defaults():
            text = entries[place]
            assert re.search(r"^- Unit: .+[^.]$", text, re.MULTILINE), place
            assert re.search(r"^- Danger: .+\.$", text, re.MULTILINE), place
            assert f"\n- Default: {_documented(default)}" in text, place
            assert text.strip().split("\n")[0].endswith("."), place

    def test_no_other_setting(self) -> None:
        """What is gone from the program is gone from its documentation."""
        assert {place for place, _ in _entries()} == {place for place, _ in defaults()}

    def test_prices(self) -> None:
        """Each price is in the table."""
        rows = re.findall(r"^\| `(\w+)` \|.*\| not set \|$", _documentation(), re.MULTILINE)

        assert rows == [field.name for field in attrs.fields(PriceSettings)]


def _has_default(value: object) -> bool:
    return value is not None and value is not attrs.NOTHING


def _documented(default: object) -> str:
    if default is attrs.NOTHING:
        return "none, it is required"
    return "not set\n" if default is None else f"`{literal(default)}`\n"


def _documentation() -> str:
    return (ROOT / "docs" / "configuration.md").read_text()


def _entries() -> Iterator[tuple[str, str]]:
    """Yield each documented setting with its text."""
    for entry in re.split(r"^### ", _documentation(), flags=re.MULTILINE)[1:]:
        heading, _, text = entry.partition("\n")
        yield heading.strip("`"), re.split(r"^## ", text, flags=re.MULTILINE)[0]
