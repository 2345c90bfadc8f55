"""What is compared, and how each is started: the upstream, and the relays in front of it."""

import os
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Self

import attrs
import trustme
from load import Target
from processes import Child, ProcessError, free_port, run

_HERE = Path(__file__).parent

_CONFIG = """\
[listen]
port = {port}

[tokens]
file = "tokens.toml"

[limits]
sessions = {sessions}

[[channels]]
name = "bench"
provider = "compatible"
base_url = "{base_url}"
auth = "none"
models = ["*"]
"""

#: What makes rt-proxy count what is spent: a ledger, and a budget that every session looks at.
_METERING = """
[usage]
file = "usage.db"

[budget]
usd = 1000000
"""
#: A channel that is tried first, and is dead; how long that is known is the default.
_DEAD_CHANNEL = """
[[channels]]
name = "dead"
provider = "compatible"
base_url = "{base_url}"
auth = "none"
priority = 1
models = ["*"]

[timeouts]
first_event = 1

[health]
cooldown = {cooldown}
max_cooldown = {cooldown}
"""
#: How long a dead first channel is passed over, in seconds; chance adds up to a quarter.
COOLDOWN = 5.0


class Relay(StrEnum):
    """What stands between load generator and upstream."""

    DIRECT = "direct"
    PLAIN = "plain"
    RT_PROXY = "rt-proxy"
    METERED = "metered"


class First(StrEnum):
    """What the channel is like that a relay tries first; where it is dead, a second one serves."""

    WELL = "well"
    REFUSES = "refuses"
    SILENT = "silent"


class Transport(StrEnum):
    """What the upstream speaks; clients always reach a relay over plain TCP."""

    TCP = "tcp"
    TLS = "tls"


@attrs.frozen
class Endpoint:
    """A running relay, or the upstream itself.

    Attributes:
        target: How clients reach it.
        child: Its process.
        relay: What it is.
    """

    target: Target
    child: Child
    relay: Relay

    def cpu(self) -> float:
        """CPU time that the relay has used so far, in seconds; nothing if there is none."""
        return 0.0 if self.relay is Relay.DIRECT else self.child.cpu()


@attrs.frozen
class Bench:
    """Where the processes of one run live.

    Attributes:
        folder: A temporary folder for configuration, certificates and logs.
        load_core: The core of load generator and upstream.
        relay_core: The core of the relay alone.
        sessions: How many sessions a relay must be able to hold.
    """

    folder: Path
    load_core: int
    relay_core: int
    sessions: int

    @classmethod
    @contextmanager
    def open(cls, sessions: int) -> Iterator[Self]:
        """A bench with a certificate authority of its own; moves this process to its core."""
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[0]})
        with tempfile.TemporaryDirectory(prefix="rt-proxy-bench-") as name:
            folder = Path(name)
            authority = trustme.CA()
            authority.cert_pem.write_to_path(folder / "ca.pem")
            certificate = authority.issue_cert("localhost")
            certificate.private_key_and_cert_chain_pem.write_to_path(folder / "upstream.pem")
            yield cls(folder, cores[0], cores[min(1, len(cores) - 1)], sessions)

    @contextmanager
    def upstream(self, transport: Transport) -> Iterator[Endpoint]:
        """An upstream, just started."""
        port = free_port()
        command = [sys.executable, str(_HERE / "upstream.py"), str(port)]
        base_url, tls = f"ws://127.0.0.1:{port}/v1", None
        if transport is Transport.TLS:
            command.append(str(self.folder / "upstream.pem"))
            base_url = f"wss://localhost:{port}/v1"
            tls = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        target = Target(base_url, tls=tls)
        with run("upstream", command, core=self.load_core, folder=self.folder) as child:
            yield Endpoint(target, child, Relay.DIRECT)

    @contextmanager
    def relay(
        self, relay: Relay, upstream: Endpoint, first: First = First.WELL
    ) -> Iterator[Endpoint]:
        """A relay in front of the upstream, just started; for `direct`, the upstream.

        With a dead first channel only rt-proxy can do something; others have none.
        """
        if relay is Relay.DIRECT:
            yield upstream
            return
        port, token = free_port(), "none"
        base_url = upstream.target.base_url
        if relay is Relay.PLAIN:
            command = [sys.executable, str(_HERE / "plain_relay.py"), str(port), base_url]
        else:
            config = self._write_config(port, base_url, first, metered=relay is Relay.METERED)
            token = _add_token(config)
            command = [sys.executable, "-m", "rt_proxy", "serve", "--config", str(config)]
        target = Target(f"ws://127.0.0.1:{port}/v1", token)
        with run(relay, command, core=self.relay_core, folder=self.folder) as child:
            yield Endpoint(target, child, relay)

    def _write_config(self, port: int, base_url: str, first: First, *, metered: bool) -> Path:
        config = Path(tempfile.mkdtemp(dir=self.folder)) / "config.toml"
        text = _CONFIG.format(port=port, base_url=base_url, sessions=self.sessions)
        text += _METERING if metered else ""
        dead_url = {
            First.REFUSES: f"ws://127.0.0.1:{free_port()}/v1",
            First.SILENT: f"{base_url.removesuffix('/v1')}/silent",
        }.get(first)
        if dead_url is not None:
            text += _DEAD_CHANNEL.format(base_url=dead_url, cooldown=COOLDOWN)
        config.write_text(text)
        return config


def _add_token(config: Path) -> str:
    command = [sys.executable, "-m", "rt_proxy", "token", "add", "bench", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProcessError(f"rt-proxy token add failed\n{done.stderr}")
    return done.stdout.strip()
