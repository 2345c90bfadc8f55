"""What an operator sees of the proxy: the record of a session, and how log lines look.

Names, sizes, codes and durations only; a secret or a payload never comes in here.
"""

from rt_proxy.observe.logs import JsonFormatter, TextFormatter, configure, flush_log
from rt_proxy.observe.record import SessionRecord, log_session

__all__ = [
    "JsonFormatter",
    "SessionRecord",
    "TextFormatter",
    "configure",
    "flush_log",
    "log_session",
]
