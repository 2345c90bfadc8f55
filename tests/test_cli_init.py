"""``rt-proxy init``: a folder with a config file to start from."""

import importlib.resources
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rt_proxy.cli.init import init
from rt_proxy.configfile import load_settings


def run(folder: Path) -> Result:
    """Run ``rt-proxy init FOLDER``."""
    return CliRunner().invoke(init, [str(folder)])


def test_writes_the_example(tmp_path: Path) -> None:
    """The folder is made, and what is in it is the shipped example, which loads."""
    path = tmp_path / "new" / "folder" / "config.toml"
    result = run(path.parent)
    shipped = importlib.resources.files("rt_proxy").joinpath("data/config.toml").read_text()

    assert result.exit_code == 0
    assert path.read_text() == shipped
    assert load_settings(path, {}).tokens.file == path.parent / "tokens.toml"


def test_says_what_is_next(tmp_path: Path) -> None:
    """The commands that come next can be pasted, also with a space in the path."""
    folder = tmp_path / "my proxy"
    result = run(folder)

    assert f"rt-proxy serve --config '{folder}/config.toml'" in result.output
    assert f"rt-proxy check --config '{folder}/config.toml'" in result.output


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """Keys may come to stand in the file, so it has mode 0600."""
    run(tmp_path)

    assert stat.S_IMODE((tmp_path / "config.toml").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["mine", ""])
def test_never_overwrites(tmp_path: Path, content: str) -> None:
    """A config file that is there stays as it is, even an empty one."""
    path = tmp_path / "config.toml"
    path.write_text(content)
    result = run(tmp_path)

    assert result.exit_code == 1
    assert result.stderr == f"rt-proxy: {path} is there already and is left as it is\n"
    assert path.read_text() == content


def test_follows_no_link(tmp_path: Path) -> None:
    """A dangling link of that name is left alone, and what it names is not made."""
    (tmp_path / "config.toml").symlink_to(tmp_path / "elsewhere")
    result = run(tmp_path)

    assert result.exit_code == 1
    assert not (tmp_path / "elsewhere").exists()


def test_folder_is_a_file(tmp_path: Path) -> None:
    """A file in the place of the folder, or above it, is one clear line."""
    file = tmp_path / "file"
    file.write_text("mine")

    for folder in (file, file / "below"):
        result = run(folder)
        assert result.exit_code == 1
        assert result.stderr.startswith("rt-proxy: ")
        assert result.stderr.count("\n") == 1
    assert file.read_text() == "mine"


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full no half a config file stays behind."""

    def full(_path: Path, _content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    result = run(tmp_path)

    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert not list(tmp_path.iterdir())
