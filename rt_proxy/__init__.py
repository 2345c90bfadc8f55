"""rt-proxy: a self-hosted gateway for the Realtime voice API, and the library under it.

What is named here is the public interface; see ``docs/embedding.md``.
"""

from rt_proxy.channels import Channel, UpstreamRequest
from rt_proxy.configfile import load_settings
from rt_proxy.errors import ListenError, RtProxyError, SettingsError, TokenStoreError
from rt_proxy.listener.dial import Dial
from rt_proxy.observe import SessionRecord
from rt_proxy.proxy import Proxy, open_proxy, serve
from rt_proxy.settings import Secret, Settings
from rt_proxy.tokens.file import FileTokenStore
from rt_proxy.tokens.store import MemoryTokenStore, Standing, TokenStore
from rt_proxy.tokens.token import Token

__all__ = [
    "Channel",
    "Dial",
    "FileTokenStore",
    "ListenError",
    "MemoryTokenStore",
    "Proxy",
    "RtProxyError",
    "Secret",
    "SessionRecord",
    "Settings",
    "SettingsError",
    "Standing",
    "Token",
    "TokenStore",
    "TokenStoreError",
    "UpstreamRequest",
    "load_settings",
    "open_proxy",
    "serve",
]
