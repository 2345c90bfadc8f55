"""The command ``rt-proxy``: arguments, signals, exit statuses, and ``trio.run``.

All printing happens here; the library below never prints, and never exits.
"""

import os
import sys
from pathlib import Path

import click

from rt_proxy.cli.check import check
from rt_proxy.cli.help import examples
from rt_proxy.cli.init import init
from rt_proxy.cli.say import say
from rt_proxy.cli.serve import serve
from rt_proxy.cli.simulate import simulate
from rt_proxy.cli.token import token
from rt_proxy.cli.translate import translate
from rt_proxy.cli.usage import usage


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "rt-proxy init .              write a config.toml to start from",
        "rt-proxy check               say what is wrong with it",
        "rt-proxy serve               serve it",
        "rt-proxy token add alice     let somebody in",
        'rt-proxy say "Hello"         try it',
        "rt-proxy usage               tell who spent what",
    ),
)
@click.version_option(package_name="rt-proxy", message="rt-proxy %(version)s")
def main() -> None:
    """A self-hosted gateway for the Realtime voice API.

    Clients connect with tokens of yours; the providers' keys stay here.
    """
    if sys.stderr is None:  # it was closed, and the log needs somewhere to go
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for good


for _command in (check, init, say, serve, simulate, token, translate, usage):
    main.add_command(_command)
