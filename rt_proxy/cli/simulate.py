"""``rt-proxy simulate``: the simulated provider on a socket of its own."""

import errno
import signal

import click
import trio

from rt_proxy.cli.help import Number, WholeNumber, examples
from rt_proxy.cli.outcome import fail
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.simulated import serve_simulated
from rt_proxy.simulator import Fault, parse_fault

_HOST = "127.0.0.1"


def _read_fault(_context: click.Context, _option: click.Parameter, text: str | None) -> Fault:
    try:
        return parse_fault(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(
    epilog=examples(
        "rt-proxy simulate --port 9000",
        "rt-proxy simulate --port 9000 --fault close=1011",
        "rt-proxy simulate --port 9000 --dialect beta",
        'rt-proxy say "Hello" --url ws://127.0.0.1:9000/v1 --model any --token any',
    )
)
@click.option("--port", type=WholeNumber(0, 65_535), default=9000, show_default=True,
              help="The TCP port on 127.0.0.1; 0: any free one.")  # fmt: skip
@click.option("--dialect", type=click.Choice([dialect.value for dialect in Dialect]),
              default=Dialect.GA.value, show_default=True,
              help="The shape of its events; ga refuses clients that ask for Beta.")  # fmt: skip
@click.option("--fault", callback=_read_fault, metavar="FAULT",
              help="What goes wrong: delay=SECONDS, stall, drop=EVENTS, close=CODE, "
              "refuse=STATUS or error=CODE.")  # fmt: skip
@click.option("--pace", type=Number(0, 10), default=0.0, show_default=True,
              help="How fast answers come, as a share of real time; 0: at once.")  # fmt: skip
def simulate(port: int, dialect: str, fault: Fault, pace: float) -> None:
    """Be a simulated provider, to try clients without a key.

    It takes any credential and prints its URL on stdout. Stop it with Ctrl-C.
    """
    try:
        trio.run(_run, port, Dialect(dialect), fault, pace)
    except OSError as error:
        remedy = "; give another --port" if error.errno == errno.EADDRINUSE else ""
        fail(f"cannot listen on {_HOST}:{port}: {error.strerror or error}{remedy}")


async def _run(port: int, dialect: Dialect, fault: Fault, pace: float) -> None:
    listeners = await trio.open_tcp_listeners(port, host=_HOST)

    async def serve_one(stream: trio.SocketStream) -> None:
        await serve_simulated(stream, fault, dialect=dialect, pace=pace)

    bound = listeners[0].socket.getsockname()[1]
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, serve_one, listeners)
            click.echo(f"ws://{_HOST}:{bound}/v1")
            await anext(signals)
            nursery.cancel_scope.cancel("told to stop")
