"""Which proxy a request goes through: the channel's, the environment's, or none."""

import pytest
from dialkit import channel, request
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.channels.proxyurl import ProxyUrl
from rt_proxy.listener.proxyroute import proxy_for, stays_here

ALL = {"ALL_PROXY": "http://proxy.test:3128"}


def way(
    environ: dict[str, str], host: str = "up.test", port: int = 443, *, tls: bool = True
) -> str:
    """Return the host of the proxy on the way to an upstream, or ``-``."""
    proxy = proxy_for(channel(), request(host, port, tls=tls), environ)
    return "-" if proxy is None else proxy.host


class TestChannel:
    """The setting of the channel."""

    def test_goes_before_the_environment(self) -> None:
        """It holds whatever the environment says, and to this machine too."""
        environ = {**ALL, "NO_PROXY": "*"}
        own = channel(proxy="http://user:hush@own.test:8080")

        for host in ("up.test", "127.0.0.1"):
            proxy = proxy_for(own, request(host, 443, tls=True), environ)
            assert proxy == ProxyUrl.parse("http://user:hush@own.test:8080")

    def test_direct(self) -> None:
        """A channel can do without the proxy of the environment."""
        direct = channel(proxy="direct")

        assert proxy_for(direct, request("up.test", 443, tls=True), ALL) is None

    def test_wrong(self) -> None:
        """What is no proxy is told, and not repeated."""
        with pytest.raises(ValueError, match=r"^the setting must start with"):
            proxy_for(channel(proxy="hush"), request("up.test", 443, tls=True), {})


class TestEnvironment:
    """The variables that other programs know as well."""

    @pytest.mark.parametrize(
        ("environ", "with_tls", "without"),
        [
            ({}, "-", "-"),
            ({"HTTPS_PROXY": "http://a.test"}, "a.test", "-"),
            ({"https_proxy": "http://a.test"}, "a.test", "-"),
            ({"HTTP_PROXY": "http://a.test"}, "-", "a.test"),
            ({"http_proxy": "http://a.test"}, "-", "a.test"),
            ({"ALL_PROXY": "http://a.test"}, "a.test", "a.test"),
            ({"all_proxy": "http://a.test"}, "a.test", "a.test"),
            ({"ALL_PROXY": "http://a.test", "HTTPS_PROXY": "http://b.test"}, "b.test", "a.test"),
            ({"all_proxy": "http://a.test", "HTTP_PROXY": "http://b.test"}, "a.test", "b.test"),
            ({"HTTPS_PROXY": "http://a.test", "https_proxy": "http://b.test"}, "b.test", "-"),
            ({"HTTPS_PROXY": "http://a.test", "https_proxy": " "}, "a.test", "-"),
            ({"HTTPS_PROXY": ""}, "-", "-"),
            ({"HTTPS_PROXY": " https://a.test "}, "a.test", "-"),
        ],
    )
    def test_variables(self, environ: dict[str, str], with_tls: str, without: str) -> None:
        """Each is for its scheme, small letters go first, and an empty one is as good as none."""
        assert way(environ) == with_tls
        assert way(environ, port=80, tls=False) == without

    def test_without_a_scheme(self) -> None:
        """A host and a port alone are an HTTP proxy, as curl has it."""
        proxy = proxy_for(
            channel(), request("up.test", 443, tls=True), {"HTTPS_PROXY": "user:hush@a.test:3128"}
        )

        assert proxy == ProxyUrl.parse("http://user:hush@a.test:3128")

    @pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
    def test_wrong(self, name: str) -> None:
        """A proxy of another kind is told with its variable; we do not go around it."""
        with pytest.raises(ValueError, match=f"^{name} must start with"):
            way({name: "socks5://user:hush@a.test"})

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "localhost", "localhost."]
    )
    def test_never_to_this_machine(self, host: str) -> None:
        """A proxy elsewhere cannot reach what listens here."""
        assert way(ALL, host) == "-"


class TestNoProxy:
    """What is reached without the proxy of the environment."""

    @pytest.mark.parametrize(
        ("no_proxy", "host", "direct"),
        [
            ("*", "up.test", True),
            ("a.test,*", "10.0.0.1", True),
            ("up.test", "up.test", True),
            ("UP.test.", "up.test", True),
            ("up.test", "UP.test.", True),
            ("test", "up.test", True),
            (".test", "up.test", True),
            ("*.test", "up.test", True),
            (".up.test", "up.test", True),
            ("up.test", "eu.up.test", True),
            ("up.test", "startup.test", False),
            ("p.test", "up.test", False),
            ("eu.up.test", "up.test", False),
            ("a.test, up.test", "up.test", True),
            ("a.test up.test", "up.test", True),
            (",,", "up.test", False),
            (".", "up.test", False),
            ("", "up.test", False),
            ("up.test:443", "up.test", True),
            ("up.test:8443", "up.test", False),
            ("*:443", "up.test", False),
            ("up.test:port", "up.test", False),
            ("10.0.0.1", "10.0.0.1", True),
            ("10.0.0.1:443", "10.0.0.1", True),
            ("10.0.0.1:80", "10.0.0.1", False),
            ("10.0.0.0/8", "10.1.2.3", True),
            ("10.1.2.3/8", "10.9.9.9", True),
            ("10.0.0.0/8", "11.0.0.1", False),
            ("10.0.0.0/8", "up.test", False),
            ("0.0.1", "10.0.0.1", False),
            ("10.0.0.1", "::ffff:10.0.0.1", True),
            ("fd00::/8", "fd00::1", True),
            ("fd00::/8", "10.0.0.1", False),
            ("FD00:0::1", "fd00::1", True),
            ("[fd00::1]", "fd00::1", True),
            ("[fd00::1]:443", "fd00::1", True),
            ("[fd00::1]:80", "fd00::1", False),
            ("10.0.0.0/99", "10.0.0.1", False),
        ],
    )
    @pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
    def test_entries(self, name: str, no_proxy: str, host: str, direct: bool) -> None:
        """An entry is a name with all below it, an address or a network, perhaps with a port."""
        assert way({**ALL, name: no_proxy}, host) == ("-" if direct else "proxy.test")

    def test_small_letters_go_first(self) -> None:
        """As with the others, the spelling in small letters counts if it has a value."""
        assert way({**ALL, "no_proxy": "a.test", "NO_PROXY": "up.test"}) == "proxy.test"
        assert way({**ALL, "no_proxy": "", "NO_PROXY": "up.test"}) == "-"

    @given(
        st.text() | st.text(st.sampled_from("a.*:[]/0%1, f\t")),
        st.sampled_from(["up.test", "10.0.0.1", "fd00::1"]) | st.text("a.01:%", min_size=1),
    )
    def test_any_text(self, no_proxy: str, host: str) -> None:
        """Whatever is written, the answer is yes or no."""
        assert way({**ALL, "NO_PROXY": no_proxy}, host) in ("-", "proxy.test")

    @given(st.ip_addresses())
    def test_any_address(self, address: object) -> None:
        """An address is covered by itself, and by the network of all."""
        host = str(address)

        assert way({**ALL, "NO_PROXY": host}, host) == "-"
        assert way({**ALL, "NO_PROXY": "0.0.0.0/0,::/0"}, host) == "-"


@pytest.mark.parametrize(
    ("proxy", "host", "here"),
    [
        (None, "127.0.0.1", True),
        ("direct", "::1", True),
        (None, "localhost", True),
        (None, "up.test", False),
        (None, "10.0.0.1", False),
        ("http://proxy.test", "127.0.0.1", False),
        ("nonsense", "localhost", False),
    ],
)
def test_stays_here(proxy: str | None, host: str, here: bool) -> None:
    """Only what goes straight to this machine cannot be seen by others."""
    assert stays_here(channel(proxy=proxy), request(host, 80, tls=False)) is here
