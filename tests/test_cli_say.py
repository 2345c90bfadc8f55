"""The command `say`: what it prints, where, what it saves, and its exit status."""

import array
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import wave
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from commands import PATIENCE, SIMULATOR, Command, Served
from conftest import Serve

from rt_proxy.cli.say import _usage_rows, say

#: A file that takes nothing.
FULL = Path("/dev/full")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(
    served: Served, *arguments: str, token: str | None = None, stdin: str | None = None
) -> Result:
    """Run `rt-proxy say` against a proxy, with its good token unless another is given."""
    given = served.token if token is None else token
    return CliRunner(env={"RT_PROXY_TOKEN": given}).invoke(
        say, [*arguments, "--url", served.url], input=stdin, prog_name="rt-proxy say"
    )


def test_answer_on_stdout_and_figures_on_stderr(simulated: Served) -> None:
    """Stdout has the words and a line end; stderr has usage and timing, aligned and with units."""
    result = run(simulated, "Hello")

    assert result.exit_code == 0, result.stderr
    assert result.stdout == "You said: Hello\n"
    lines = result.stderr.splitlines()
    assert [re.split("  +", line)[0] for line in lines] == [
        "session.created", "first text", "first audio", "total", "audio", "input", "output",
    ]  # fmt: skip
    matches = [re.fullmatch(r"(.+?) +([0-9.]+) (ms|s|tokens( \(.+\))?)", line) for line in lines]
    assert all(matches), result.stderr
    assert len({match.end(2) for match in matches if match}) == 1


def test_text_answer(simulated: Served) -> None:
    """With --text the answer is written, and no figure speaks of audio."""
    result = run(simulated, "Hello", "--text", "--model", "my-voice")

    assert result.exit_code == 0, result.stderr
    assert result.stdout == "You said: Hello\n"
    assert "audio" not in result.stderr


def test_counts_that_did_not_come() -> None:
    """A count that the server left out is 0, and none of its parts is told."""
    usage = {"output_tokens": 7, "output_audio_tokens": 5}

    assert _usage_rows({}) == [("input", "0", "tokens"), ("output", "0", "tokens")]
    assert _usage_rows(usage)[1] == ("output", "7", "tokens (5 audio)")


def test_saved_audio_can_be_heard(simulated: Served) -> None:
    """The WAV file has as much sound as was told, in the format of the API, and is not silence."""
    result = run(simulated, "Hello there", "--save", "reply.wav")

    assert result.exit_code == 0, result.stderr
    with wave.open("reply.wav", "rb") as file:
        shape = file.getnchannels(), file.getsampwidth(), file.getframerate()
        samples = array.array("h", file.readframes(file.getnframes()))
        seconds = file.getnframes() / file.getframerate()
    assert shape == (1, 2, 24_000)
    assert re.search(rf"audio +{seconds:.1f} s", result.stderr)
    loudness = (sum(sample * sample for sample in samples) / len(samples)) ** 0.5
    assert loudness > 500


@pytest.mark.log_says("session ended")
def test_what_came_before_the_cut_is_saved(serve: Serve) -> None:
    """A response that is cut exits with 1, and its audio so far is in the file."""
    served = serve(SIMULATOR + 'fault = "drop=14"\n')

    result = run(served, "Hello", "--save", "reply.wav", "--model", "gpt-realtime-2.1")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-2:] == [
        "rt-proxy: error upstream_lost: The upstream's connection ended without a close frame.",
        "rt-proxy: closed by the server with code 1011 (upstream_lost)",
    ]
    with wave.open("reply.wav", "rb") as file:
        assert file.getnframes() > 0


@pytest.mark.parametrize("path", ["no/such/folder/reply.wav", str(FULL)])
def test_a_file_that_cannot_be_written(simulated: Served, path: str) -> None:
    """A WAV file that cannot be written is told in one line, and the status is 1."""
    result = run(simulated, "Hello", "--save", path)

    assert result.exit_code == 1
    assert f"rt-proxy: {path} cannot be written" in result.stderr


def test_nothing_is_said_where_the_audio_could_not_be_saved(simulated: Served) -> None:
    """A folder that is not there is noticed before the turn, which may cost money."""
    result = run(simulated, "Hello", "--save", "no/such/folder/reply.wav")

    assert result.stdout == ""


def test_refusal_by_event(simulated: Served) -> None:
    """A refusal is two lines on stderr, with code and reason, and the status is 1."""
    result = run(simulated, "Hello", token="sk-rt-wrong")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "rt-proxy: error invalid_api_key: The token is not known here.",
        "rt-proxy: closed by the server with code 3000 (invalid_request_error.invalid_api_key)",
    ]


def test_refusal_by_http(serve: Serve) -> None:
    """A refusal in the HTTP form is one line, with the status and the code."""
    served = serve('refusals = "http"\n' + SIMULATOR)

    result = run(served, "Hello", token="sk-rt-wrong")

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "rt-proxy: refused: HTTP 401 invalid_api_key: The token is not known here."
    ]


@pytest.mark.log_says("session ended")
def test_hint_to_name_a_model(serve: Serve) -> None:
    """Where the server wants a model, the option to name one is told."""
    served = serve(SIMULATOR)

    result = run(served, "Hello")

    assert result.exit_code == 1
    assert "missing_model" in result.stderr
    assert result.stderr.splitlines()[-1] == "rt-proxy: name a model with --model"


def test_hint_to_give_a_token(simulated: Served) -> None:
    """Where the server wants a token and none was given, the ways to give one are told."""
    result = run(simulated, "Hello", token=" ")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "rt-proxy: there was no token: set RT_PROXY_TOKEN, or use --token-file FILE"
    )


def test_url_with_realtime(simulated: Served) -> None:
    """A URL that has the end which is added is taken as well."""
    arguments = ["Hello", "--text", "--token", simulated.token]

    result = CliRunner().invoke(say, [*arguments, "--url", f"{simulated.url}/realtime"])

    assert result.exit_code == 0, result.stderr


def test_nobody_listens() -> None:
    """A port that nobody listens on is one line, and the status is 1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    result = CliRunner().invoke(say, ["Hello", "--url", f"http://127.0.0.1:{port}/v1"])

    assert result.exit_code == 1
    assert result.stderr == (
        f"rt-proxy: cannot connect to 127.0.0.1 port {port}: connection refused\n"
    )


def test_timeout() -> None:
    """A server that says nothing is left in time, and the status is 1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

        result = CliRunner().invoke(say, ["Hello", "--url", url, "--timeout", "0.2"])

    assert result.exit_code == 1
    assert result.stderr == "rt-proxy: timed out: no connection within 0.2 s\n"


def test_controls_do_not_reach_the_terminal(simulated: Served) -> None:
    """What a server says cannot act on a terminal, nor turn around the text beside it."""
    result = run(simulated, "\x1b[31mred\x07\x9b2J \u202eback\u2069 naïve 🙂", "--text")

    assert result.exit_code == 0, result.stderr
    assert result.stdout == ("You said: \\x1b[31mred\\x07\\x9b2J \\u202eback\\u2069 naïve 🙂\n")


def test_controls_in_a_problem() -> None:
    """A server's words stay in their line, and cannot act on a terminal."""
    body = json.dumps({"error": {"code": "a\x9bb", "message": "a\x1b[2J\nb"}})
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                head = f"HTTP/1.1 400 Bad Request\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall((head + body).encode())

        server = threading.Thread(target=answer)
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        result = CliRunner().invoke(say, ["Hello", "--url", url])
        server.join(PATIENCE)

    assert result.exit_code == 1
    assert r"\x1b[2J" in result.stderr
    assert not {"\x1b", "\x9b"} & set(result.stderr)
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("how", ["file", "stdin", "option"])
def test_where_the_token_comes_from(simulated: Served, how: str) -> None:
    """A token from a file, from stdin or from an option goes before that of the environment."""
    Path("secret").write_text(f"  {simulated.token}\n")
    arguments = {
        "file": ["--token-file", "secret"],
        "stdin": ["--token-file", "-"],
        "option": ["--token", simulated.token],
    }[how]

    result = run(simulated, "Hello", *arguments, token="sk-rt-wrong", stdin=f"{simulated.token}\n")

    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "the token cannot be read from secret: No such file or directory"),
        (b"\xff\xfe", "the token cannot be read from secret: it is not UTF-8"),
        (b" \n", "there is no token in secret"),
    ],
)
def test_token_file_that_has_none(simulated: Served, content: bytes | None, problem: str) -> None:
    """A token file that cannot be used is one line, and the status is 1."""
    if content is not None:
        Path("secret").write_bytes(content)

    result = run(simulated, "Hello", "--token-file", "secret")

    assert result.exit_code == 1
    assert result.stderr == f"rt-proxy: {problem}\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "Missing argument 'TEXT'"),
        ([""], "there is nothing to say in it"),
        ([" \n"], "there is nothing to say in it"),
        (["Hello", "--url", "ftp://x"], "the URL must start with https://"),
        (["Hello", "--save", "a.wav", "--text"], "--save needs a spoken answer"),
        (["Hello", "--token", "a", "--token-file", "b"], "not both"),
        (["Hello", "--token", "two words"], "the token must be ASCII characters"),
        (["Hello", "--timeout", "0"], "is not in the range 0<x<=86400"),
        (["Hello", "--timeout", "nan"], "'nan' is not a valid number."),
        (["Hello", "--timeout", "abc"], "'abc' is not a valid number."),
        (["half a \udcc3 character"], "it is not UTF-8"),
    ],
)
def test_wrong_arguments(arguments: list[str], problem: str) -> None:
    """Wrong arguments, and nothing else, give the status 2; no secret is repeated."""
    result = CliRunner().invoke(say, arguments)

    assert result.exit_code == 2
    assert problem in result.stderr
    assert "two words" not in result.stderr


def test_help_warns_of_the_list_of_processes() -> None:
    """Who reads the help of --token learns who else can read the token."""
    result = CliRunner().invoke(say, ["--help"])

    described = " ".join(result.stdout.split())
    assert "Others on this host can see it" in described
    assert "--token-file" in described


def test_ctrl_c(tmp_path: Path) -> None:
    """Ctrl-C ends the command with 130 and without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        with Command(tmp_path, "say", "Hello", "--url", url) as command:
            connection, _ = listener.accept()
            command.signal(signal.SIGINT)
            status = command.wait()
        connection.close()

    assert status == 130
    assert command.stderr.text == "\n"


def test_closed_stdout(simulated: Served, tmp_path: Path) -> None:
    """Where nobody reads the answer any more, the command stops without a traceback."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rt_proxy", "say", "Hello", "--url", simulated.url,
         "--token", simulated.token],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        complaints = process.stderr.read()

    assert process.wait(PATIENCE) == 1
    assert "Traceback" not in complaints
    assert "Exception" not in complaints
