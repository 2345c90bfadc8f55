"""What several commands' helps share: the option ``--config``, and examples at the end."""

from pathlib import Path

import click

config_option = click.option(
    "--config",
    "path",
    metavar="FILE",
    default="config.toml",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The config file.",
)


def examples(*lines: str) -> str:
    """Return an epilog for click that shows these command lines as they are."""
    # The control character "\b" keeps click from filling the paragraph; a raw docstring has none.
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))
