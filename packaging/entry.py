"""Where the executable begins: puts right what differs from an installed package, then runs it."""

import os
import ssl
import sys
from pathlib import Path

from rt_proxy.cli import main

#: Where systems have the certificates that they trust, if not where ours was built to look:
#: Debian and Alpine; Fedora and Red Hat; openSUSE; OpenBSD and macOS.
_TRUST_STORES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def _trust_whom_the_host_trusts() -> None:
    found = ssl.get_default_verify_paths()
    if found.cafile is None and found.capath is None:
        store = next((path for path in _TRUST_STORES if Path(path).is_file()), None)
        if store is not None:
            os.environ["SSL_CERT_FILE"] = store


def _give_the_environment_back() -> None:
    """Have programs that are started from here, such as those that fetch keys, use their own.

    And be called as the file is that was started.
    """
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    if before is None:
        os.environ.pop("LD_LIBRARY_PATH", None)
    else:
        os.environ["LD_LIBRARY_PATH"] = before
    for name in [name for name in os.environ if name.startswith("_PYI_")]:
        del os.environ[name]
    # What people are told to call, and not where it was unpacked.
    sys.argv[0] = os.environ.pop("RT_PROXY_CALLED_AS", sys.argv[0])


if __name__ == "__main__":
    _give_the_environment_back()
    _trust_whom_the_host_trusts()
    main(prog_name="rt-proxy")
