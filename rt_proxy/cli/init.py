"""``rt-proxy init``: a folder with a config file to start from."""

import importlib.resources
from pathlib import Path

import click

from rt_proxy.cli.help import command_line, examples
from rt_proxy.cli.outcome import fail


@click.command(epilog=examples("rt-proxy init .", "rt-proxy init /etc/rt-proxy"))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write DIR/config.toml, a config to start from.

    It works at once, without a key and a network. It lists every setting, and has
    OpenAI, Azure and other channels to uncomment.
    DIR is made if it is not there. A config file that is there is left alone.
    """
    path = folder / "config.toml"
    example = importlib.resources.files("rt_proxy").joinpath("data/config.toml").read_bytes()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_new(path, example)
    except FileExistsError as error:
        there = Path(error.filename)
        kind = "is there already and is left as it is" if there == path else "is not a folder"
        fail(f"{there} {kind}")
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}")
    click.echo(f"Wrote {path}. It answers with a simulator; no key is needed yet.")
    click.echo(f"Run it:                {command_line('serve', path)}")
    click.echo(f"After every change:    {command_line('check', path)}")


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, for keys may come to stand in it.

    Raises:
        FileExistsError: It is there, or a link of its name is; neither is touched.
    """
    path.touch(mode=0o600, exist_ok=False)
    try:
        path.write_bytes(content)
    except OSError:
        path.unlink()  # half an example would be taken for a whole one, and block the next try
        raise
