"""rt-proxy: a self-hosted gateway for the Realtime voice API, and the library under it.

What is named here is the public interface; see ``docs/embedding.md``.
"""

from rt_proxy.channels import Channel, UpstreamRequest
from rt_proxy.configfile import load_settings
from rt_proxy.errors import (
    LedgerError,
    ListenError,
    RtProxyError,
    SettingsError,
    TokenStoreError,
)
from rt_proxy.listener.dial import Dial
from rt_proxy.observe import SessionRecord
from rt_proxy.proxy import Proxy, open_proxy, serve
from rt_proxy.settings import Secret, Settings
from rt_proxy.tokens.file import FileTokenStore
from rt_proxy.tokens.store import MemoryTokenStore, Standing, TokenStore
from rt_proxy.tokens.token import Token
from rt_proxy.usage.budgets import BudgetState
from rt_proxy.usage.ledger import Ledger, Spent
from rt_proxy.usage.record import PriceFunction, UsageKind, UsageRecord
from rt_proxy.usage.sqliteledger import SqliteLedger

__all__ = [
    "BudgetState",
    "Channel",
    "Dial",
    "FileTokenStore",
    "Ledger",
    "LedgerError",
    "ListenError",
    "MemoryTokenStore",
    "PriceFunction",
    "Proxy",
    "RtProxyError",
    "Secret",
    "SessionRecord",
    "Settings",
    "SettingsError",
    "Spent",
    "SqliteLedger",
    "Standing",
    "Token",
    "TokenStore",
    "TokenStoreError",
    "UpstreamRequest",
    "UsageKind",
    "UsageRecord",
    "load_settings",
    "open_proxy",
    "serve",
]
