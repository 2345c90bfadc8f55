"""Programs for the Beta API against the real command, on an upstream that speaks GA.

They run in processes of their own (``clients/beta_turns.py``): over TLS, which is all
that their packages speak, and one of these is older than the one that is installed here.
"""

import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from commands import PATIENCE, SIMULATOR, Served

#: A machine may have to fetch the old package, with all that it needs.
INSTALLATION = 300
OLD_OPENAI = "openai[realtime]>=1.99,<2"

MODEL = "gpt-realtime-2.1"
#: What a Beta client calls the same model.
BETA_MODEL = "gpt-4o-realtime-preview"
CONFIG = SIMULATOR.replace(
    'models = ["*"]', f'models = {{ "{MODEL}" = "{MODEL}", "{BETA_MODEL}" = "{MODEL}" }}'
).replace("port = 0", 'port = 0\ntls = { cert = "cert.pem", key = "key.pem" }')

PROGRAM = Path(__file__).parent / "clients" / "beta_turns.py"


def without_repeats(types: Sequence[str]) -> list[str]:
    """Return types of events in order, with a run of one type told once."""
    return [type_ for type_, _ in itertools.groupby(types)]


class OldProgram(NamedTuple):
    """A program for the Beta API, and what it is to see.

    Attributes:
        old: Whether it has openai 1.x, and not the latest one.
        client: The class of its client.
        resource: Where its client has the connections.
        opens: The path and the query that it comes to.
    """

    old: bool
    client: str
    resource: str
    opens: str

    @property
    def azure(self) -> bool:
        """Whether it was written for Azure."""
        return self.client == "AsyncAzureOpenAI"


PREVIEW = f"/openai/realtime?api-version=2025-04-01-preview&deployment={BETA_MODEL}"
PROGRAMS = {
    "openai 1.x": OldProgram(
        True, "AsyncOpenAI", "beta.realtime", f"/v1/realtime?model={BETA_MODEL}"
    ),
    "azure of openai 1.x": OldProgram(True, "AsyncAzureOpenAI", "beta.realtime", PREVIEW),
    "azure of today": OldProgram(False, "AsyncAzureOpenAI", "beta.realtime", PREVIEW),
    # Sends no OpenAI-Beta header: the address alone says what it expects.
    "azure of today, by its new name": OldProgram(False, "AsyncAzureOpenAI", "realtime", PREVIEW),
}


class Outcome(NamedTuple):
    """What a program saw, and through which proxy."""

    program: OldProgram
    proxy: Served
    seen: dict[str, Any]


@pytest.fixture(scope="session")
def old_openai(pytestconfig: pytest.Config) -> Path:
    """Return a folder with openai 1.x, which is installed once and then kept in pytest's cache."""
    assert pytestconfig.cache is not None
    cache = pytestconfig.cache.mkdir("openai-1")
    folder = cache / str(sys.implementation.cache_tag)
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            install_old_openai(Path(scratch, "new"), folder)
    return folder


def install_old_openai(new: Path, folder: Path) -> None:
    """Install openai 1.x into a new folder, and put it in its place when it is complete."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input"]
    options = ["--disable-pip-version-check", "--target", str(new)]
    done = subprocess.run(
        [*pip, *options, OLD_OPENAI],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALLATION,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"pip cannot install {OLD_OPENAI}, which this test needs:\n{done.stderr}")
    try:
        new.rename(folder)
    except OSError:  # another run was faster
        assert folder.exists()


@pytest.fixture(scope="module")
def tls_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a GA upstream over TLS, with the certificate's authority in ``ca.pem``."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    with Served(folder, CONFIG) as proxy:
        yield proxy
    assert not re.findall(r"(?m)^.*(?:WARNING|ERROR|Traceback).*$", proxy.stderr.text)


@pytest.fixture(scope="module", params=PROGRAMS.values(), ids=PROGRAMS.keys())
def outcome(request: pytest.FixtureRequest, tls_proxy: Served) -> Outcome:
    """Run a program, and return what it saw."""
    program: OldProgram = request.param
    settings = {
        "SSL_CERT_FILE": str(tls_proxy.folder / "ca.pem"),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    if program.old:
        settings["PYTHONPATH"] = str(request.getfixturevalue("old_openai"))
    if program.azure:
        settings["AZURE_OPENAI_ENDPOINT"] = tls_proxy.address
        settings["AZURE_OPENAI_API_KEY"] = tls_proxy.token
        settings["OPENAI_API_VERSION"] = "2025-04-01-preview"
    else:
        settings["OPENAI_BASE_URL"] = tls_proxy.url
        settings["OPENAI_API_KEY"] = tls_proxy.token
    theirs = {name: value for name, value in os.environ.items() if "OPENAI_" not in name}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), program.client, program.resource],
        env={**theirs, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}\n{tls_proxy.stderr.text}"
    return Outcome(program, tls_proxy, json.loads(done.stdout))


def test_address(outcome: Outcome) -> None:
    """Each program comes to the address that its package makes, and is known as a Beta client."""
    program, proxy, seen = outcome
    host = proxy.address.removeprefix("https://")
    assert seen["version"].startswith("1.") is program.old
    assert seen["opened"] == [host + program.opens] * 3
    proxy.stderr.wait_for(r" dialect=beta upstream_dialect=ga ")
    assert set(re.findall(r" dialect=(\w+)", proxy.stderr.text)) == {"beta"}


@pytest.mark.parametrize("turn", ["text", "audio", "call"])
def test_types(outcome: Outcome, turn: str) -> None:
    """All that a Beta client gets is what the package's own types of the Beta ask for."""
    assert outcome.seen[turn]["misfits"] == []


def test_session(outcome: Outcome) -> None:
    """A session is flat from the first event on, and an update is taken as it was meant."""
    text, audio = outcome.seen["text"]["sessions"], outcome.seen["audio"]["sessions"]
    fresh, updated = {**text["session.created"]}, {**text["session.updated"]}
    assert fresh.pop("turn_detection")["type"] == "server_vad"
    assert fresh == {
        "model": BETA_MODEL,
        "modalities": ["text", "audio"],
        "voice": "alloy",
        "input_audio_format": "pcm16",
        "output_audio_format": "pcm16",
        "input_audio_transcription": None,
        "temperature": 0.8,
        "max_response_output_tokens": "inf",
        "instructions": "",
    }
    assert updated.pop("turn_detection")["threshold"] == 0.4
    assert updated == {
        "model": BETA_MODEL,
        "modalities": ["text"],
        "voice": "verse",
        "input_audio_format": "g711_ulaw",
        "output_audio_format": "g711_alaw",
        "input_audio_transcription": {"model": "whisper-1"},
        "temperature": 0.7,
        "max_response_output_tokens": 500,
        "instructions": "Be brief.",
    }
    assert audio["session.updated"]["modalities"] == ["text", "audio"]
    assert audio["session.updated"]["turn_detection"] is None


def test_text_turn(outcome: Outcome) -> None:
    """The pieces make up the text, and the response is a Beta one."""
    turn = outcome.seen["text"]
    response = turn["response"]
    assert turn["text"] == "You said: Hello there"
    assert response["status"] == "completed"
    assert response["output"][0]["content"] == [{"type": "text", "text": "You said: Hello there"}]
    assert response["modalities"] == ["text"]
    assert response["temperature"] == 0.7
    assert (response["voice"], response["output_audio_format"]) == ("verse", "g711_alaw")
    assert response["max_output_tokens"] == 500
    assert response["conversation_id"].startswith("conv_")
    usage = response["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0


def test_text_events(outcome: Outcome) -> None:
    """The events of a text turn are the Beta's, in its order; each item is created once."""
    turn = outcome.seen["text"]
    assert without_repeats(turn["types"]) == [
        "session.created",
        "conversation.created",
        "session.updated",
        "conversation.item.created",
        "response.created",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "response.text.delta",
        "response.text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    question, answer = turn["created"]
    assert question != answer == turn["response"]["output"][0]["id"]


def test_audio_turn(outcome: Outcome) -> None:
    """Speech is answered with speech that can be heard, and its words."""
    turn = outcome.seen["audio"]
    response = turn["response"]
    assert turn["loudest"] > 1000
    assert turn["samples"] > 12_000
    assert turn["transcript"] == "I heard you for 0.5 seconds."
    assert response["output"][0]["content"] == [
        {"type": "audio", "transcript": "I heard you for 0.5 seconds."}
    ]
    assert response["modalities"] == ["text", "audio"]
    assert (response["voice"], response["output_audio_format"]) == ("verse", "pcm16")
    assert response["temperature"] == 0.8
    assert response["usage"]["input_token_details"]["audio_tokens"] > 0
    assert response["usage"]["output_token_details"]["audio_tokens"] > 0


def test_audio_events(outcome: Outcome) -> None:
    """The events of a spoken turn are the Beta's, in its order; each item is created once."""
    turn = outcome.seen["audio"]
    deltas = ("response.audio.delta", "response.audio_transcript.delta")
    assert turn["types"].count("response.audio.delta") > 1
    assert without_repeats([type_ for type_ in turn["types"] if type_ not in deltas]) == [
        "session.created",
        "conversation.created",
        "session.updated",
        "input_audio_buffer.committed",
        "conversation.item.created",
        "response.created",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    question, answer = turn["created"]
    assert question != answer == turn["response"]["output"][0]["id"]


def test_function_call(outcome: Outcome) -> None:
    """A tool is called with its arguments in pieces, and its result becomes part of the talk."""
    turn = outcome.seen["call"]
    [call] = turn["response"]["output"]
    assert (call["type"], call["object"]) == ("function_call", "realtime.item")
    assert (call["name"], call["arguments"]) == ("get_weather", '{"city": "Paris"}')
    assert turn["arguments"] == '{"city": "Paris"}'
    assert turn["then"] == 'The tool says: {"sky": "clear"}'
    assert without_repeats(turn["types"])[-7:] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.created",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.done",
    ]
