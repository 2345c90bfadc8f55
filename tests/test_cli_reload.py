"""What the command makes of files that change: what it takes up, refuses, and says."""

import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from commands import SIMULATOR
from trio.testing import MockClock

from rt_proxy import Settings, SettingsError, open_proxy
from rt_proxy.cli.reload import LiveConfig, Reloader
from rt_proxy.cli.systemd import ServiceManager

#: Long enough for a change to be seen, on Trio's clock.
A_WHILE = 5


class Manager(ServiceManager):
    """Notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def ready(self) -> None:
        """Note it."""
        self.told.append("ready")

    def reloading(self) -> None:
        """Note it."""
        self.told.append("reloading")


class Scene:
    """A proxy whose files are watched."""

    def __init__(
        self, path: Path, reloader: Reloader, manager: Manager, applied: list[Settings]
    ) -> None:
        self.path = path
        self.reloader = reloader
        self.manager = manager
        self.applied = applied

    def write(self, config: str) -> None:
        """Put a file in place of the config, as editors do."""
        new = self.path.with_name("config.toml.new")
        new.write_text(config)
        new.replace(self.path)

    @property
    def drain(self) -> float:
        """Something of the settings that were last put in force."""
        return self.applied[-1].timeouts.drain if self.applied else 20


def config(drain: float = 20, more: str = "") -> str:
    """Return a good config with some differences."""
    return f"{more}\n{SIMULATOR}\n[timeouts]\ndrain = {drain}\n"


@asynccontextmanager
async def scene(folder: Path, text: str | None = None, **options: Any) -> AsyncIterator[Scene]:
    """Watch a config in a folder, from a state that nobody has complained of."""
    path = folder / "config.toml"
    path.write_text(config() if text is None else text)
    live, manager = LiveConfig(path), Manager()
    async with open_proxy(live.settings) as proxy, trio.open_nursery() as nursery:
        applied: list[Settings] = []
        options = dict[str, Any](handed_over=False, apply=applied.append) | options
        reloader = Reloader(live, proxy, manager, **options)
        played = Scene(path, reloader, manager, applied)
        nursery.start_soon(reloader.watch)
        yield played
        nursery.cancel_scope.cancel()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, dict[str, Any]]]]:
    """Give what was logged so far: each message and its fields."""
    caplog.set_level(logging.INFO, "rt_proxy")

    def records() -> Iterator[tuple[str, dict[str, Any]]]:
        for record in caplog.records:
            if record.name == "rt_proxy":
                yield record.getMessage(), getattr(record, "fields", {})

    return lambda: list(records())


# What is taken up


async def test_change_of_the_file(autojump_clock: MockClock, tmp_path: Path, log: Any) -> None:
    """A file that changed is put in force, once, and one record says what differs."""
    async with scene(tmp_path) as play:
        await trio.sleep(A_WHILE)
        assert play.applied == []
        play.write(config(drain=30))
        with trio.fail_after(A_WHILE):
            while play.drain != 30:
                await trio.sleep(0.1)
        await trio.sleep(A_WHILE)

        assert len(play.applied) == 1
        assert play.manager.told == ["reloading", "ready"]
        assert log() == [
            (
                "reloaded",
                {
                    "changes": ["timeouts.drain: 20 -> 30"],
                    "files": [str(play.path)],
                    "channels": ["simulator"],
                },
            )
        ]


async def test_nothing_changed(autojump_clock: MockClock, tmp_path: Path, log: Any) -> None:
    """A file that is left alone is not read again; one that was only touched is, without news."""
    async with scene(tmp_path) as play:
        await trio.sleep(600)
        assert log() == []
        os.utime(play.path, ns=(1, 1))
        await trio.sleep(A_WHILE)

        [(message, fields)] = log()
        assert (message, "changes" in fields) == ("reloaded", False)


async def test_half_a_file(autojump_clock: MockClock, tmp_path: Path, log: Any) -> None:
    """While a file goes on changing it is not read; half a config is never in force."""
    async with scene(tmp_path) as play:
        for length in range(20):
            play.path.write_text(config(drain=30)[:length])
            await trio.sleep(0.9)
        play.write(config(drain=40))
        await trio.sleep(A_WHILE)

        assert [fields["changes"] for _, fields in log()] == [["timeouts.drain: 20 -> 40"]]


async def test_change_between_reading_and_watching(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """What changed between the start and the first look is not missed."""
    path = tmp_path / "config.toml"
    path.write_text(config())
    live = LiveConfig(path)
    path.write_text(config(drain=30))
    looks = [live.has_changed() for _ in range(2)]

    assert looks == [False, True]


async def test_key_file(autojump_clock: MockClock, tmp_path: Path, log: Any) -> None:
    """A new key in a key file is taken up; the record says that it changed, and not what it is."""
    key = tmp_path / "key"
    key.write_text("sk-hush-1\n")
    text = SIMULATOR.replace("simulator", "compatible", 2).replace(
        'models = ["*"]',
        'models = ["*"]\nbase_url = "ws://up.test"\napi_key = { file = "key" }',
    )
    async with scene(tmp_path, text) as play:
        key.write_text("sk-hush-22\n")
        await trio.sleep(A_WHILE)

        secret = play.applied[-1].channels[0].api_key
        assert secret is not None
        assert secret.reveal() == "sk-hush-22"
        [(_, fields)] = log()
        assert fields["changes"] == ["channels[compatible].api_key changed"]
        assert fields["files"] == [str(key)]
        assert "hush" not in str(log())


async def test_signal_needs_no_change(tmp_path: Path, log: Any) -> None:
    """What is asked for is done, also where no file has changed."""
    async with scene(tmp_path) as play:
        play.reloader.reload()
        play.reloader.reload()

        assert [message for message, _ in log()] == ["reloaded"] * 2
        assert len(play.applied) == 2


# What is refused


@pytest.mark.log_says("not reloaded")
@pytest.mark.parametrize("bad", ["", "[[channels", config(drain=-1), None])
async def test_bad_file(
    autojump_clock: MockClock, tmp_path: Path, log: Any, bad: str | None
) -> None:
    """A bad file, or none, is told of once and changes nothing; when it is good it is taken up."""
    async with scene(tmp_path) as play:
        if bad is None:
            play.path.unlink()
        else:
            play.write(bad)
        await trio.sleep(600)
        [(message, _)] = log()
        assert message.startswith("not reloaded, the old settings stay in force: ")
        assert (play.applied, play.reloader.failed) == ([], True)
        assert play.manager.told == ["reloading", "ready"]

        play.write(config(drain=30))
        await trio.sleep(A_WHILE)
        assert (play.drain, play.reloader.failed) == (30, False)


@pytest.mark.log_says("not reloaded")
async def test_another_bad_file(autojump_clock: MockClock, tmp_path: Path, log: Any) -> None:
    """Each bad version is told of, every problem in a record."""
    async with scene(tmp_path) as play:
        play.write(config(drain=-1, more="colour = 1"))
        await trio.sleep(A_WHILE)
        play.write(config(drain=-2))
        await trio.sleep(A_WHILE)

        messages = [message for message, _ in log()]
        assert [("colour" in message, "drain" in message) for message in messages] == [
            (True, False),
            (False, True),
            (False, True),
        ]


@pytest.mark.log_says("not reloaded")
async def test_file_that_was_missing(autojump_clock: MockClock, tmp_path: Path, log: Any) -> None:
    """A file that a bad config named is watched: once it is there the config is taken up."""
    async with scene(tmp_path) as play:
        key = '\n[[channels]]\nname = "x"\nprovider = "openai"\nmodels = ["x"]\napi_key = {}\n'
        play.write(config(drain=30) + key.format('{ file = "key" }'))
        await trio.sleep(A_WHILE)
        assert play.applied == []
        (tmp_path / "key").write_text("sk-hush")
        await trio.sleep(A_WHILE)

        assert play.drain == 30


@pytest.mark.log_says("not reloaded, by a fault of rt-proxy itself")
async def test_fault_of_our_own(tmp_path: Path, log: Any) -> None:
    """A reload that fails by a bug is logged, and costs nobody the session."""

    def apply(_settings: Settings) -> None:
        raise RuntimeError("a bug")

    async with scene(tmp_path, apply=apply) as play:
        play.reloader.reload()

        assert play.manager.told == ["reloading", "ready"]


def test_bad_start(tmp_path: Path) -> None:
    """A config that is wrong from the start is an error with every problem."""
    with pytest.raises(SettingsError, match="there is no such file"):
        LiveConfig(tmp_path / "config.toml")


# Certificates


def issue(folder: Path, *names: str) -> None:
    """Write a new certificate, its key, or both."""
    leaf = trustme.CA().issue_cert("localhost")
    for name in names:
        blob = leaf.private_key_pem if name == "key" else leaf.cert_chain_pems[0]
        blob.write_to_path(str(folder / f"{name}.pem"))


TLS = SIMULATOR.replace("port = 0", 'port = 0\ntls = { cert = "cert.pem", key = "key.pem" }')


async def test_renewed_certificate(autojump_clock: MockClock, tmp_path: Path, log: Any) -> None:
    """A renewed pair is taken up, as the files that changed."""
    issue(tmp_path, "cert", "key")
    async with scene(tmp_path, TLS):
        issue(tmp_path, "cert", "key")
        await trio.sleep(A_WHILE)

        [(message, fields)] = log()
        assert message == "reloaded"
        assert fields["files"] == [str(tmp_path / name) for name in ("cert.pem", "key.pem")]


async def test_renewed_one_after_the_other(
    autojump_clock: MockClock, tmp_path: Path, log: Any
) -> None:
    """A key that follows its certificate within a second is no broken pair."""
    issue(tmp_path, "cert", "key")
    (tmp_path / "new").mkdir()
    issue(tmp_path / "new", "cert", "key")
    async with scene(tmp_path, TLS):
        for name in ("cert.pem", "key.pem"):
            (tmp_path / "new" / name).replace(tmp_path / name)
            await trio.sleep(0.9)
        await trio.sleep(A_WHILE)

        assert [message for message, _ in log()] == ["reloaded"]


@pytest.mark.log_says("not reloaded")
async def test_broken_certificate(autojump_clock: MockClock, tmp_path: Path, log: Any) -> None:
    """A pair that does not fit is told of once, with its place, among all that is wrong."""
    issue(tmp_path, "cert", "key")
    async with scene(tmp_path, TLS) as play:
        issue(tmp_path, "key")
        await trio.sleep(600)
        [(message, _)] = log()
        assert "listen.tls.key: " in message
        assert "is not the key of the certificate" in message
        play.reloader.reload()

        assert len(log()) == 2


# What needs a restart


@pytest.mark.log_says("these change only at a restart")
async def test_restart(tmp_path: Path, log: Any) -> None:
    """What only a restart can change is named each time, as long as it differs."""
    async with scene(tmp_path) as play:
        for text in (config().replace("port = 0", "port = 1"), config(drain=30)):
            play.write(text)
            play.reloader.reload()

        messages = [message for message, _ in log()]
        assert messages == [
            "these change only at a restart: listen.port",
            "reloaded",
            "reloaded",
        ]


@pytest.mark.log_says("these change only at a restart")
@pytest.mark.parametrize("handed_over", [False, True])
async def test_restart_for_the_ledger(tmp_path: Path, log: Any, handed_over: bool) -> None:
    """Another ledger is named, whoever made the listeners; other days and reserves hold at once."""
    usage = '[usage]\nfile = "usage.db"\n'
    async with scene(tmp_path, config(more=usage), handed_over=handed_over) as play:
        for more in (
            usage + 'time_zone = "Europe/Berlin"\nreserve = 1\n',
            '[usage]\nfile = "other.db"\nsync = 2\nkeep_days = 40\n',
            "",
        ):
            play.write(config(more=more))
            play.reloader.reload()

        assert [message for message, _ in log()] == [
            "reloaded",
            "these change only at a restart: usage.file, usage.sync, usage.keep_days",
            "reloaded",
            "these change only at a restart: usage",
            "reloaded",
        ]
        assert not (tmp_path / "other.db").exists()


async def test_restart_with_listeners_of_others(tmp_path: Path, log: Any) -> None:
    """Where the listeners were handed over, host and port mean nothing, and nobody complains."""
    async with scene(tmp_path, handed_over=True) as play:
        play.write(config().replace("port = 0", 'port = 1\nhost = "::"'))
        play.reloader.reload()

        assert [message for message, _ in log()] == ["reloaded"]
