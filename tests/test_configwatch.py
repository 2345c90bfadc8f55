"""The files behind a configuration, and how a change of one is seen."""

import os
from pathlib import Path

import attrs
import pytest

from rt_proxy.configwatch import changed, files_behind, versions
from rt_proxy.settings import ChannelSettings, ListenSettings, Settings, TlsSettings

PLAIN = Settings(channels=(ChannelSettings("x", "simulator", {"*": "*"}),))


def behind(folder: Path, config: str, settings: Settings = PLAIN) -> list[str]:
    """Return the names of the files behind a config, without the folder."""
    path = folder / "config.toml"
    path.write_text(config)
    first, *others = files_behind(path, settings)
    assert first == path
    return [str(file.relative_to(folder)) for file in others]


def test_files_of_keys(tmp_path: Path) -> None:
    """Every file that holds a secret of a channel is among them, once, wherever it stands."""
    config = """
        tokens = { file = "tokens.toml" }
        [[channels]]
        api_key = { file = "one" }
        api_keys = [{ file = "sub/two" }, { env = "X" }, "sk-three", { file = "one" }]
        headers = { X-Key = { file = "four" } }
        api_key_from = { file = "read again by itself" }
        fault = { file = "five", and = "more" }
        """

    assert behind(tmp_path, config) == ["one", "sub/two", "four"]


def test_files_of_the_certificate(tmp_path: Path) -> None:
    """So are the certificate of the listener and its key."""
    tls = TlsSettings(tmp_path / "cert.pem", tmp_path / "key.pem")
    settings = attrs.evolve(PLAIN, listen=ListenSettings(tls=tls))

    assert behind(tmp_path, "", settings) == ["cert.pem", "key.pem"]


@pytest.mark.parametrize("config", ["channels = [", "channels = 1", "a = " + "[" * 5000])
def test_broken_config(tmp_path: Path, config: str) -> None:
    """Of a config that nobody can read only itself is known."""
    assert behind(tmp_path, config) == []
    (tmp_path / "config.toml").unlink()
    assert files_behind(tmp_path / "config.toml", PLAIN) == (tmp_path / "config.toml",)


def test_what_is_seen(tmp_path: Path) -> None:
    """A file that is written, replaced, removed or made has another version; one left alone not."""
    names = ("written", "replaced", "removed", "left", "made")
    files = [tmp_path / name for name in names]
    for file in files[:-1]:
        file.write_text("old")
    before = versions(files)

    files[0].write_text("longer")
    (tmp_path / "new").write_text("old")
    os.utime(tmp_path / "new", ns=(0, files[1].stat().st_mtime_ns))
    (tmp_path / "new").replace(files[1])
    files[2].unlink()
    files[4].write_text("new")
    now = versions(files)

    assert [file.name for file in changed(before, now)] == [
        "written",
        "replaced",
        "removed",
        "made",
    ]


def test_link(tmp_path: Path) -> None:
    """A link that leads to another file is a change, as where a whole folder is swapped."""
    link = tmp_path / "link"
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    link.symlink_to("one")
    before = versions([link])
    link.unlink()
    link.symlink_to("two")

    assert changed(before, versions([link])) == (link,)


def test_new_files_are_no_change() -> None:
    """A file that was not looked at before has not changed."""
    assert changed({}, {Path("a"): (1, 2, 3)}) == ()


def test_impossible_name() -> None:
    """A name that no file can have is a file that is not there."""
    path = Path("a\0b")

    assert versions([path]) == versions([path])
