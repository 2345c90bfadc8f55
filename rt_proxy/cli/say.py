"""``rt-proxy say``: one turn as a client, to try a server."""

import click


@click.command()
def say() -> None:
    """Say something."""
