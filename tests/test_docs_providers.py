"""The page docs/providers.md against the table of providers."""

import re
import tomllib
from pathlib import Path

import pytest

from rt_proxy.channels import Channel, make_channels, upstream_request
from rt_proxy.channels.providers import PROVIDERS
from rt_proxy.configfile import load_settings
from rt_proxy.realtime.dialects import Dialect

DOCS = Path(__file__).parent.parent / "docs"
DOC = (DOCS / "providers.md").read_text()
SECTIONS = {
    section.partition("\n")[0].replace("`", ""): section
    for section in re.split(r"^## (?=`)", DOC, flags=re.MULTILINE)[1:]
}
DIALLED = sorted(PROVIDERS.keys() - {"simulator"})


def channels(row: str, folder: Path) -> list[Channel]:
    """Return the channels of the examples of a section, each read as a config file."""
    environ = dict.fromkeys(re.findall(r"[A-Z_]+_KEY", DOC), "k")
    made = []
    for number, example in enumerate(re.findall(r"```toml\n(.*?)```", SECTIONS[row], re.DOTALL)):
        path = folder / f"{number}.toml"
        path.write_text(example)
        [channel] = make_channels(load_settings(path, environ))
        made.append(channel)
    return made


def told(row: str, what: str) -> str:
    """Return what a section says in a line of its list."""
    [line] = re.findall(rf"^- {what}: (.*)$", SECTIONS[row], re.MULTILINE)
    return str(line)


def opened(channel: Channel, intent: str | None) -> tuple[str, dict[str, str]]:
    """Return the URL and the headers that a session on a channel is opened with."""
    model = None if intent else next(iter(channel.models))
    key = next(iter(channel.api_keys), None)
    request = upstream_request(channel, key=key, model=model, intent=intent, new_id=lambda: "ID")
    url = f"{'wss' if request.tls else 'ws'}://{request.host_header}{request.resource}"
    return url, {
        name: value if isinstance(value, str) else value.reveal() for name, value in request.headers
    }


def test_every_provider_has_a_section() -> None:
    """The sections are those of the table, in the order of the list at the top."""
    assert list(SECTIONS) == list(PROVIDERS)
    names = re.findall(r"^\| .* \| \[(.*)\]\(#(.*)\) \|$", DOC, re.MULTILINE)

    assert [anchor for _, anchor in names] == [row.replace(" ", "-") for row in SECTIONS]


@pytest.mark.parametrize("row", PROVIDERS)
def test_examples(row: str, tmp_path: Path) -> None:
    """Each example is a config file that is accepted, of the provider of its section."""
    made = channels(row, tmp_path)

    assert made
    assert {channel.provider for channel in made} == {row.removesuffix(" preview")}


@pytest.mark.parametrize("row", DIALLED)
def test_urls(row: str, tmp_path: Path) -> None:
    """The example leads to the URLs that the section tells."""
    for channel in channels(row, tmp_path):
        assert told(row, "Sessions") == f"`{opened(channel, None)[0]}`"
        if channel.transcription:
            assert told(row, "Transcription") == f"`{opened(channel, 'transcription')[0]}`"
        else:
            assert told(row, "Transcription") == "not known"


@pytest.mark.parametrize("row", DIALLED)
def test_keys(row: str, tmp_path: Path) -> None:
    """The key of the example is sent in the way that the section tells."""
    channel = channels(row, tmp_path)[0]
    sent = {name: value for name, value in opened(channel, None)[1].items() if "k" in value.split()}

    if channel.auth == "none":
        assert sent == {}
        assert told(row, "Key").startswith("none here; `Authorization: Bearer` with `api_key`")
        assert PROVIDERS[row].auth == "bearer"
    else:
        [(name, value)] = sent.items()
        assert told(row, "Key") == f"`{name}`" if value == "k" else f"`{name}: {value[:-2]}`"


def test_entra(tmp_path: Path) -> None:
    """The second example of Azure has a token from a command, sent as bearer."""
    _, entra = channels("azure", tmp_path)

    assert entra.auth == "bearer"
    assert entra.api_key_from is not None
    assert entra.api_key_from.command is not None
    assert entra.api_key_from.command[0] == "az"


@pytest.mark.parametrize("row", DIALLED)
def test_what_is_left_out(row: str, tmp_path: Path) -> None:
    """The dialect and the fields that are left out are those of the table."""
    channel = channels(row, tmp_path)[0]

    assert told(row, "Dialect") == ("Beta" if channel.dialect is Dialect.BETA else "GA")
    fields = ", ".join(f"`{field}`" for field in sorted(channel.drop_fields))
    assert told(row, "Left out") == (fields or "nothing")


@pytest.mark.parametrize("row", DIALLED)
def test_what_is_unknown_is_said(row: str) -> None:
    """Each section says what is not known, unless it is about what cannot be known."""
    assert told(row, "Audio")
    assert ("\nNot known: " in SECTIONS[row]) is (row != "compatible")


def test_abilities() -> None:
    """What the page says of all providers at once holds for all rows."""
    assert all(facts.first_event for facts in PROVIDERS.values())
    assert [row for row, facts in PROVIDERS.items() if not facts.mcp] == ["vllm"]


def test_close_codes() -> None:
    """The codes of OpenAI are told as the table has them."""
    told_codes = {int(code) for code in re.findall(r"\b[134]\d{3}\b", SECTIONS["openai"])}

    assert told_codes == PROVIDERS["openai"].close_codes.keys()


def test_other_examples(tmp_path: Path) -> None:
    """Settings that stand in the text or in a table are TOML."""
    for setting in re.findall(r"`([a-z_]+ = [^`]+)`", DOC):
        assert tomllib.loads(setting)
    urls = re.findall(r'`"(wss://[^`"]*)"`', SECTIONS["compatible"])
    assert len(urls) == 2


def test_links() -> None:
    """What the page links to is there."""
    for file, anchor in re.findall(r"\]\(([\w./-]*)#?([\w-]*)\)", DOC):
        page = (DOCS / file).read_text() if file else DOC
        anchors = {
            re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", page, re.MULTILINE)
        }
        assert not anchor or anchor in anchors, (file, anchor)
