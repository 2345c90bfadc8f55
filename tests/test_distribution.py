"""The wheel and the source archive: what is in them, and that the usual tools install them."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: What nobody wants who installs it.
NOISE = re.compile(r"(^|/)(\.git|\.ci|\.venv|\.hypothesis|__pycache__|.*\.(pyc|db|orig))(/|$)")


def run(*command: str | Path, **more: Any) -> str:
    """Run a command that must succeed, and return what it says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the archive, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    """The wheel."""
    [found] = built.glob("*.whl")
    return found


def names_of(folder: str, suffix: str = "") -> set[str]:
    """Return the files of the repository in a folder."""
    listed = run("git", "ls-files", folder, cwd=ROOT).splitlines()
    return {name for name in listed if name.endswith(suffix)}


def test_wheel(wheel: Path) -> None:
    """The wheel has the package with its data and its types, the license, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    inside = {name for name in names if ".dist-info/" not in name}
    assert inside == names_of("rt_proxy")
    assert {"rt_proxy/py.typed", "rt_proxy/data/config.toml"} <= inside
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_source_archive(built: Path) -> None:
    """The archive has also what is needed to test, to learn and to build, and no noise."""
    [path] = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    for folder in ("rt_proxy", "tests", "examples", "docs", "bench", "packaging"):
        assert names_of(folder) <= names
    assert {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "PKG-INFO"} <= names
    assert [name for name in names if NOISE.search(name) and name != ".gitignore"] == []


def test_metadata(wheel: Path) -> None:
    """An index can show it: what it is, who may use it, and the README as its page."""
    run(sys.executable, "-m", "twine", "check", "--strict", *wheel.parent.iterdir())
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    page = metadata.get_payload()
    assert page.startswith("# rt-proxy\n")
    assert "\n- `docs/providers.md`: what to write for each.\n" in page
    for link in re.findall(r"\]\(([^)]*)\)", page):  # nothing lies beside the page of an index
        assert link.startswith("https://"), link
    told = set(metadata.get_all("Classifier") or ())
    assert {"Typing :: Typed", "Framework :: Trio", "Topic :: Internet :: Proxy Servers"} <= told


def check_installed(command: Path, folder: Path) -> None:
    """See that an installed command has its version and its data."""
    assert run(command, "--version") == f"rt-proxy {PROJECT['version']}\n"
    run(command, "init", folder)
    assert ": ok, 1 channel" in run(command, "check", "--config", folder / "config.toml")


def test_pipx(wheel: Path, tmp_path: Path) -> None:
    """It installs with pipx."""
    places = {"PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    python = ("--python", sys.executable)
    run(sys.executable, "-m", "pipx", "install", *python, wheel, env={**os.environ, **places})
    check_installed(tmp_path / "bin" / "rt-proxy", tmp_path / "proxy")


def test_uv(wheel: Path, tmp_path: Path) -> None:
    """It installs with ``uv tool install``."""
    places = {
        "UV_TOOL_DIR": str(tmp_path / "home"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "UV_NO_CONFIG": "1",
    }
    uv = (sys.executable, "-m", "uv", "tool", "install", "--python", sys.executable)
    run(*uv, wheel, env={**os.environ, **places})
    check_installed(tmp_path / "bin" / "rt-proxy", tmp_path / "proxy")


def test_lowest_versions(tmp_path: Path) -> None:
    """With the lowest version of each dependency that it declares its sessions are as ever."""
    lowest = [text.replace(">=", "==") for text in PROJECT["dependencies"]]
    assert all("==" in text for text in lowest)
    # What trio-websocket needs and the tests import, by its own bound.
    lowest += [
        text.replace(">=", "==")
        for text in PROJECT["optional-dependencies"]["test"]
        if text.startswith("wsproto")
    ]
    constraints = tmp_path / "lowest.txt"
    constraints.write_text("\n".join(lowest))
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    tools = [
        text
        for text in PROJECT["optional-dependencies"]["test"]
        if text.startswith(("hypothesis", "pytest", "trustme", "tzdata", "websockets", "wsproto"))
    ]
    run(python, "-m", "pip", "install", "-q", "-c", constraints, ROOT, "tzdata", *tools)
    versions = run(python, "-m", "pip", "freeze").lower()
    for text in lowest:
        assert text.lower() in versions.replace("_", "-")
    modules = (
        "budgeted_sessions cli_check cli_main cli_token cli_usage codec configfile "
        "conversation events gate limits metered_sessions session tls_sessions tokens_store "
        "translated_sessions usage_sqliteledger wslegs"
    )
    files = [str(ROOT / "tests" / f"test_{name}.py") for name in modules.split()]
    assert " passed" in run(python, "-m", "pytest", "-q", *files, cwd=ROOT)
