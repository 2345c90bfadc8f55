"""The providers' keys: whose turn it is, which are refused, and those that change."""

import base64
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from rt_proxy.channels import Channel
from rt_proxy.channels.channel import make_channels
from rt_proxy.listener.keys import Keys
from rt_proxy.listener.keysource import KeyUnavailableError
from rt_proxy.settings import ChannelSettings, KeySource, Secret, Settings

SOURCE = KeySource(file=Path("never read"), seconds=1000)


def channel(name: str = "c", **written: Any) -> Channel:
    """Return a channel of OpenAI's."""
    settings = ChannelSettings(name, "openai", {"*": "*"}, **written)
    return make_channels(Settings((settings,)))[0]


def with_keys(*keys: str, name: str = "c") -> Channel:
    """Return a channel whose keys take turns."""
    return channel(name, api_keys=tuple(map(Secret, keys)))


def changing(source: KeySource = SOURCE, name: str = "c") -> Channel:
    """Return a channel whose key changes by itself."""
    return channel(name, api_key_from=source)


def token(**claims: object) -> Secret:
    """Return a token that says something of itself."""
    parts = ({"alg": "none"}, claims, "signature")
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts]
    return Secret(".".join(part.decode().rstrip("=") for part in encoded))


async def next_key(keys: Keys, on: Channel) -> str | None:
    """Return the next key of a channel in clear."""
    key = await keys.key(on)
    return None if key is None else key.reveal()


async def failure(keys: Keys, on: Channel) -> str:
    """Return why there is no key."""
    with pytest.raises(KeyUnavailableError) as caught:
        await keys.key(on)
    return str(caught.value)


class Source:
    """Stands for a command: gives one thing after the other, and tells how often it was asked."""

    def __init__(self, *answers: Secret | str | Exception, seconds: float = 0) -> None:
        self.answers = list(answers)
        self.seconds = seconds
        self.asked = 0
        self.cancelled = 0

    async def __call__(self, source: KeySource) -> Secret:
        """Give the next answer; the last one for ever."""
        self.asked += 1
        try:
            await trio.sleep(self.seconds)
        except trio.Cancelled:
            self.cancelled += 1
            raise
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Secret(answer) if isinstance(answer, str) else answer


class TestTurns:
    """Keys of the settings take turns."""

    async def test_one(self) -> None:
        """A channel with one key has it for every session."""
        keys, one = Keys(), channel(api_key=Secret("a"))

        assert [await next_key(keys, one) for _ in range(3)] == ["a", "a", "a"]

    async def test_several(self) -> None:
        """Several keys come one after the other, each channel's in its own turn."""
        keys, first, second = Keys(), with_keys("a", "b", "c"), with_keys("x", "y", name="d")

        assert [await next_key(keys, first) for _ in range(4)] == ["a", "b", "c", "a"]
        assert [await next_key(keys, second) for _ in range(3)] == ["x", "y", "x"]
        assert await next_key(keys, first) == "b"

    async def test_none(self) -> None:
        """Where the upstream takes no key there is none, whatever is written."""
        keys, fetch = Keys(), Source("a")

        assert await keys.key(channel(auth="none")) is None
        assert await keys.key(channel(auth="none", api_key=Secret("a"))) is None
        keys = Keys(fetch=fetch)
        assert await keys.key(channel(auth="none", api_key_from=SOURCE)) is None
        assert fetch.asked == 0

    async def test_refused(self) -> None:
        """A refused key is passed over, and the others go on taking turns."""
        keys, three = Keys(), with_keys("a", "b", "c")
        keys.refuse(three, Secret("b"))

        assert [await next_key(keys, three) for _ in range(4)] == ["a", "c", "a", "c"]
        assert not keys.all_refused(three)

    @pytest.mark.parametrize(
        ("names", "why"), [("a", "its key was refused"), ("ab", "all of its keys were refused")]
    )
    async def test_all_refused(self, names: str, why: str) -> None:
        """Where all are refused there is none, which other channels with the same key have."""
        keys, one, other = Keys(), with_keys(*names), with_keys(*names, name="d")
        for name in names:
            assert not keys.all_refused(one)
            keys.refuse(one, Secret(name))

        assert await failure(keys, one) == why
        assert keys.all_refused(one)
        assert not keys.all_refused(other)
        assert await next_key(keys, other) == "a"

    def test_a_channel_without_keys_has_none_refused(self) -> None:
        """Where no key is needed none can be refused."""
        assert not Keys().all_refused(channel(auth="none"))


class TestChanging:
    """A key that changes by itself is fetched, kept for its time, and fetched again."""

    async def test_kept_for_its_seconds(self, autojump_clock: MockClock) -> None:
        """A key is used until its seconds have passed."""
        fetch = Source("a", "b")
        keys, one = Keys(fetch=fetch), changing()

        assert await next_key(keys, one) == "a"
        await trio.sleep(999)
        assert await next_key(keys, one) == "a"
        await trio.sleep(1)
        assert await next_key(keys, one) == "b"
        assert fetch.asked == 2

    async def test_kept_for_a_moment(self, autojump_clock: MockClock) -> None:
        """A key may have less time than there is between fetches that fail."""
        keys, one = Keys(fetch=Source("a", "b")), changing(KeySource(("c",), seconds=0.5))

        assert await next_key(keys, one) == "a"
        await trio.sleep(0.4)
        assert await next_key(keys, one) == "a"
        await trio.sleep(0.1)
        assert await next_key(keys, one) == "b"

    async def test_each_channel_has_its_own(self) -> None:
        """Two channels with the same source fetch each for itself."""
        fetch = Source("a", "b")
        keys = Keys(fetch=fetch)

        assert await next_key(keys, changing(name="c")) == "a"
        assert await next_key(keys, changing(name="d")) == "b"

    async def test_replaced_before_it_expires(self, autojump_clock: MockClock) -> None:
        """A token that says when it expires is replaced a minute before."""
        start = trio.current_time()
        fetch = Source(token(exp=50_300), token(exp=50_900))
        keys = Keys(fetch=fetch, now=lambda: 50_000 + trio.current_time() - start)
        one = changing()

        assert await keys.key(one) == token(exp=50_300)
        await trio.sleep(239)
        assert await keys.key(one) == token(exp=50_300)
        await trio.sleep(1)
        assert await keys.key(one) == token(exp=50_900)
        assert fetch.asked == 2

    async def test_no_longer_than_its_seconds(self, autojump_clock: MockClock) -> None:
        """A token that lives long is fetched again after the seconds too."""
        fetch = Source(token(exp=99_999), "b")
        keys = Keys(fetch=fetch, now=lambda: 50_000)

        assert await keys.key(changing()) == token(exp=99_999)
        await trio.sleep(1000)
        assert await next_key(keys, changing()) == "b"

    @pytest.mark.parametrize(
        "odd",
        [
            token(),
            token(exp=None),
            token(exp=[]),
            token(exp=10**400),
            token(exp="never"),
            token(exp=float("nan")),
            Secret("a.b.c"),
            Secret("a." + base64.b64encode(b"[1]").decode() + ".c"),
            Secret("a." + base64.b64encode(b"[" * 9000).decode() + ".c"),
            Secret("sk.a.b.c"),
        ],
        ids=range(10),
    )
    async def test_a_key_that_does_not_say_when_it_expires(self, odd: Secret) -> None:
        """What is no token, or an odd one, is a key like any other."""
        keys = Keys(fetch=Source(odd))

        assert await keys.key(changing()) == odd

    @pytest.mark.log_says("no new key: its source gives a key that has expired")
    async def test_expired_already(self) -> None:
        """A token that comes too late is not used."""
        keys = Keys(fetch=Source(token(exp=50_000)), now=lambda: 50_000)

        assert await failure(keys, changing()) == "its source gives a key that has expired"

    @pytest.mark.log_says("channel c: no new key: why")
    async def test_failure(
        self, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Without a key the channel fails; the source is asked again after a pause only."""
        caplog.set_level(logging.INFO, "rt_proxy")
        fetch = Source(KeyUnavailableError("why"), KeyUnavailableError("why else"), "a")
        keys, one = Keys(fetch=fetch), changing()

        assert await failure(keys, one) == "why"
        await trio.sleep(9.9)
        assert await failure(keys, one) == "why"
        assert fetch.asked == 1
        await trio.sleep(0.1)
        assert await failure(keys, one) == "why else"
        await trio.sleep(10)
        assert await next_key(keys, one) == "a"
        assert caplog.messages == [
            "channel c: no new key: why",
            "channel c: there is a new key again",
        ]

    @pytest.mark.log_says("channel c: no new key: why; the old one is still used")
    async def test_the_old_key_goes_on(
        self, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """While no new key comes the old one is used as long as it is good; it is said once."""
        start = trio.current_time()
        fetch = Source(token(exp=300), KeyUnavailableError("why"))
        keys = Keys(fetch=fetch, now=lambda: trio.current_time() - start)

        for _ in range(30):
            assert await keys.key(changing()) == token(exp=300)
            await trio.sleep(10)
        assert await failure(keys, changing()) == "why"
        assert fetch.asked == 1 + 6 + 1
        assert len(caplog.messages) == 1

    async def test_an_old_key_that_expires_with_time_standing_still(self) -> None:
        """A key that expires while none may be fetched yet is not used."""
        time = [0.0]
        keys = Keys(fetch=Source(token(exp=5)), now=lambda: time[0])
        await keys.key(changing())
        time[0] = 5.0

        assert await failure(keys, changing()) == "its key has expired"

    @pytest.mark.log_says("no new key: its source takes more than 10 s; the old one")
    async def test_a_source_that_hangs_while_there_is_a_good_key(
        self, autojump_clock: MockClock
    ) -> None:
        """Who has a good key does not wait for long, and others not at all."""
        fetch = Source("a")
        keys, one = Keys(fetch=fetch), changing()
        await keys.key(one)
        fetch.seconds = 10_000
        await trio.sleep(1000)
        start = trio.current_time()

        async def take(seconds: float) -> None:
            assert await next_key(keys, one) == "a"
            assert trio.current_time() - start == seconds

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, 10)
            await trio.lowlevel.checkpoint()
            await wait_all_tasks_blocked()
            nursery.start_soon(take, 0)
        assert fetch.cancelled == 1

    async def test_refused(self, autojump_clock: MockClock) -> None:
        """A key that was refused is replaced at once, if it was not fetched just now."""
        fetch = Source("a", "b")
        keys, one = Keys(fetch=fetch), changing()
        await keys.key(one)
        await trio.sleep(10)
        keys.refuse(one, Secret("a"))

        assert not keys.all_refused(one)
        assert await next_key(keys, one) == "b"
        keys.refuse(one, Secret("a"))  # another session's, which is late
        assert await next_key(keys, one) == "b"

    @pytest.mark.log_says("no new key: its source still gives the key that was refused")
    async def test_refused_again_and_again(self, autojump_clock: MockClock) -> None:
        """A source whose keys are refused is asked with pauses, and an old key never returns."""
        fetch = Source("a", "a", "b", "c")
        keys, one = Keys(fetch=fetch), changing()
        await keys.key(one)
        keys.refuse(one, Secret("a"))

        assert await failure(keys, one) == "its key was refused"
        await trio.sleep(10)
        assert await failure(keys, one) == "its source still gives the key that was refused"
        await trio.sleep(10)
        assert await next_key(keys, one) == "b"
        keys.refuse(one, Secret("b"))
        assert await failure(keys, one) == "its key was refused"
        assert fetch.asked == 3


class TestOneFetchForAll:
    """Sessions that need the key at once wait for one fetch."""

    async def test_success(self, autojump_clock: MockClock) -> None:
        """One fetches, and all have the key."""
        fetch = Source("a", "b", seconds=3)
        keys, one = Keys(fetch=fetch), changing()
        got: list[str | None] = []

        async def take() -> None:
            got.append(await next_key(keys, one))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(take)

        assert got == ["a"] * 50
        assert fetch.asked == 1

    @pytest.mark.log_says("no new key: why")
    async def test_failure(self, autojump_clock: MockClock) -> None:
        """One fetches, and all fail with it."""
        fetch = Source(KeyUnavailableError("why"), seconds=3)
        keys, one = Keys(fetch=fetch), changing()

        async def take() -> None:
            assert await failure(keys, one) == "why"

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(take)

        assert fetch.asked == 1
        assert trio.current_time() < 4

    @pytest.mark.parametrize("cancelled", [0, 1, 4])
    async def test_cancelling_one(self, autojump_clock: MockClock, cancelled: int) -> None:
        """Whoever leaves, the others get the key; only the one that fetches takes its fetch away.

        No task of it stays behind: the fetch lives in the task that needs it.
        """
        fetch = Source("a", seconds=3)
        keys, one = Keys(fetch=fetch), changing()
        scopes = [trio.CancelScope() for _ in range(5)]
        got: list[int] = []

        async def take(index: int) -> None:
            with scopes[index]:
                assert await next_key(keys, one) == "a"
                got.append(index)

        async with trio.open_nursery() as nursery:
            for index in range(5):
                nursery.start_soon(take, index)
                await wait_all_tasks_blocked()
            scopes[cancelled].cancel()

        assert got == [index for index in range(5) if index != cancelled]
        assert (fetch.asked, fetch.cancelled) == ((2, 1) if cancelled == 0 else (1, 0))

    async def test_cancelling_all(self, autojump_clock: MockClock) -> None:
        """When all leave the fetch ends, and the next one begins anew."""
        fetch = Source("a", seconds=3)
        keys, one = Keys(fetch=fetch), changing()
        with trio.move_on_after(1):
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(keys.key, one)

        assert fetch.asked == fetch.cancelled
        assert await next_key(keys, one) == "a"


class TestReal:
    """Commands and files, as they are."""

    async def test_file_that_is_replaced(self, tmp_path: Path) -> None:
        """A token file that something else renews is read again."""
        path = tmp_path / "token"
        path.write_text(f"{token(exp=100).reveal()}\n")
        time, one = [0.0], changing(KeySource(file=path))
        keys = Keys(now=lambda: time[0])
        assert await keys.key(one) == token(exp=100)

        path.write_text(f"{token(exp=200).reveal()}\n")
        assert await keys.key(one) == token(exp=100)
        keys = Keys(now=lambda: 50.0)
        assert await keys.key(one) == token(exp=200)

    async def test_command_for_many(self, tmp_path: Path) -> None:
        """A command is run once for sessions that come together, the first of which leaves."""
        log = tmp_path / "log"
        code = (
            f"import time; open({str(log)!r}, 'a').write('x'); time.sleep(0.3); print('from-afar')"
        )
        keys, one = Keys(), changing(KeySource(command=(sys.executable, "-c", code)))
        got: list[str | None] = []

        async def take() -> None:
            got.append(await next_key(keys, one))

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                with trio.move_on_after(0.2):
                    await keys.key(one)
                for _ in range(10):
                    nursery.start_soon(take)

        assert got == ["from-afar"] * 10
        assert len(log.read_text()) <= 2

    @pytest.mark.log_says("channel c: no new key: its command ended with status 1")
    async def test_nothing_is_told_of_the_key(self, caplog: pytest.LogCaptureFixture) -> None:
        """No log, text or representation has a key or what a command was given."""
        source = KeySource(command=(sys.executable, "-c", "raise SystemExit('hush')"))
        one, keys = changing(source), Keys()
        why = await failure(keys, one)

        shown = [repr(one), repr(keys), repr(source), why, *caplog.messages]
        assert why == "its command ended with status 1"
        assert not any("hush" in text for text in shown)
        assert "hush" not in repr(vars(Keys(fetch=Source(Secret("hush")))))
