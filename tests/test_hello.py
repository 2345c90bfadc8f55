"""Facts about reading a client's upgrade request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.realtime.dialects import Dialect
from rt_proxy.realtime.hello import (
    REALTIME_PATHS,
    Hello,
    RequestHead,
    credential,
    is_realtime_path,
    read_hello,
)
from rt_proxy.realtime.refusals import Refusal

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
SECRET = "sk-rt-very-secret"

UPGRADE = {
    b"host": b"localhost",
    b"connection": b"Upgrade",
    b"upgrade": b"websocket",
    b"sec-websocket-version": b"13",
    b"sec-websocket-key": KEY,
}


def upgrade(
    target: str = "/v1/realtime",
    *more: tuple[bytes, bytes],
    without: bytes = b"",
    method: str = "GET",
    http_version: str = "1.1",
) -> RequestHead:
    """Return a good upgrade request, with more headers or without one."""
    headers = [(name, value) for name, value in UPGRADE.items() if name != without]
    return RequestHead(method, target, (*headers, *more), http_version)


def hello(target: str = "/v1/realtime", *more: tuple[bytes, bytes]) -> Hello:
    """Read a good upgrade request."""
    read = read_hello(upgrade(target, *more))
    assert isinstance(read, Hello), read
    return read


def refusal(head: RequestHead) -> Refusal:
    """Read a bad upgrade request."""
    read = read_hello(head)
    assert isinstance(read, Refusal), read
    assert read.close_code is None, "it exists in the HTTP form only"
    return read


def revealed(head: RequestHead) -> str | None:
    """Return the text of a request's credential."""
    secret = credential(head)
    return None if secret is None else secret.reveal()


# Addresses


@pytest.mark.parametrize(
    ("path", "azure", "dialect"),
    [
        ("/v1/realtime", False, None),
        ("/realtime", False, None),
        ("/openai/v1/realtime", True, Dialect.GA),
        ("/openai/realtime", True, Dialect.BETA),
    ],
)
@pytest.mark.parametrize("end", ["", "/", "?model=m", "/?model=m"])
def test_addresses(path: str, azure: bool, dialect: Dialect | None, end: str) -> None:
    """The four addresses are served, with and without one trailing slash."""
    assert is_realtime_path(path + end)
    read = hello(path + end)
    assert (read.path, read.azure, read.dialect) == (path, azure, dialect)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "",
        "*",
        "/v1/realtime//",
        "/v1/realtime/x",
        "//v1/realtime",
        "/V1/realtime",
        "/v1http://h/realtime",
        "/v1/models",
    ],
)
def test_other_paths(target: str) -> None:
    """Any other path is no Realtime address, and reading a hello from it gives 404."""
    assert not is_realtime_path(target)
    assert refusal(upgrade(target)).status == 404


def test_absolute_target() -> None:
    """A target in absolute form names the same address (RFC 9112 3.2.2)."""
    read = hello("http://example.com:8080/v1/realtime?model=m")
    assert (read.path, read.model) == ("/v1/realtime", "m")


# Query


@pytest.mark.parametrize(
    ("query", "model"),
    [
        ("", None),
        ("?model=", None),
        ("?model", None),
        ("?model=gpt", "gpt"),
        ("?deployment=mine", "mine"),
        ("?deployment=mine&model=gpt", "gpt"),
        ("?model=&deployment=mine", "mine"),
        ("?model=&model=second", "second"),
        ("?model=a%2Fb%20c+d%C3%A9", "a/b c d\u00e9"),
        ("?model=%FF%zz", "\ufffd%zz"),
        ("?a=1&&model=gpt&user=x&api-version=2025-04-01-preview", "gpt"),
        ("?a=b?model=no", None),
        ("?model=a=b", "a=b"),
    ],
)
def test_model(query: str, model: str | None) -> None:
    """The first model that is not empty counts, model= before deployment=, decoded."""
    assert hello("/v1/realtime" + query).model == model


@pytest.mark.parametrize("name", ["a%1Bb", "a%C2%9Bb", "a%E2%80%AEb", "%00", "a%0A"])
def test_a_model_that_cannot_be_shown(name: str) -> None:
    """A name that could act on somebody's terminal is none, and is not repeated."""
    refused = refusal(upgrade(f"/v1/realtime?model={name}"))
    assert (refused.status, "cannot be printed" in refused.message) == (400, True)


@pytest.mark.parametrize(
    ("query", "intent"),
    [
        ("", None),
        ("?intent=", ""),
        ("?intent", ""),
        ("?intent=transcription", "transcription"),
        ("?intent=a&intent=b", "a"),
    ],
)
def test_intent(query: str, intent: str | None) -> None:
    """An absent intent differs from an empty one."""
    assert hello("/v1/realtime" + query).intent == intent


# Credentials

BEARER = (b"authorization", b"Bearer one")
API_KEY = (b"api-key", b"two")
X_API_KEY = (b"x-api-key", b"three")
SUBPROTOCOL = (b"sec-websocket-protocol", b"realtime, openai-insecure-api-key.four")
QUERY = "/v1/realtime?api_key=seven&api-key=six&token=five"


def test_credential_order() -> None:
    """Each place is looked at only when all before it have nothing."""
    places = [BEARER, API_KEY, X_API_KEY, SUBPROTOCOL]
    expected = ["one", "two", "three", "four", "five"]
    for skip, text in enumerate(expected):
        read = hello(QUERY, *reversed(places[skip:]))
        assert read.credential is not None
        assert read.credential.reveal() == text
    assert revealed(upgrade("/v1/realtime?api_key=seven&api-key=six&token=")) == "six"
    assert revealed(upgrade("/v1/realtime?api_key=seven&api-key=")) == "seven"
    assert revealed(upgrade()) is None


def test_empty_credentials_are_passed_over() -> None:
    """An empty credential does not decide; the next place does."""
    empty = (
        (b"authorization", b"Bearer"),
        (b"api-key", b""),
        (b"x-api-key", b""),
        (b"sec-websocket-protocol", b"realtime, openai-insecure-api-key."),
    )
    assert revealed(upgrade(QUERY, *empty)) == "five"
    assert revealed(upgrade("/v1/realtime?token=", *empty)) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"Bearer T", "T"),
        (b"bearer T", "T"),
        (b"BEARER    T   ", "T"),
        (b"Bearer\tT", "T"),
        (b"Bearer a b", "a b"),
        (b"Bearer   ", None),
        (b"", None),
        (b"T", None),
        (b"BearerT", None),
        (b"Basic T", None),
        (b"Bearer \xff\xe9", "\u00ff\u00e9"),
    ],
)
def test_authorization(value: bytes, text: str | None) -> None:
    """Bearer counts in any case, trimmed; another scheme counts as not found."""
    assert revealed(upgrade("/v1/realtime", (b"authorization", value))) == text


def test_another_scheme_lets_the_next_place_decide() -> None:
    """A Basic header, as a proxy may add it, does not hide a good api-key."""
    head = upgrade("/v1/realtime", (b"authorization", b"Basic dTpw"), API_KEY)
    assert revealed(head) == "two"


def test_query_credential_is_decoded() -> None:
    """A credential in the query is percent-decoded, and non-ASCII read as latin-1."""
    assert revealed(upgrade("/v1/realtime?token=a%2Db%E9")) == "a-b\u00e9"


def test_credential_without_upgrade() -> None:
    """A plain request carries its credential in the same places."""
    assert revealed(RequestHead("GET", "/v1/models", (BEARER,))) == "one"


# Subprotocols and dialect


def test_subprotocols_over_lines() -> None:
    """The subprotocol header may be split over lines, in any order, with empty items."""
    read = hello(
        "/v1/realtime",
        (b"sec-websocket-protocol", b"openai-beta.realtime-v1,,"),
        (b"sec-websocket-protocol", b" openai-insecure-api-key.T ,realtime"),
    )
    assert read.offers_realtime
    assert read.dialect is Dialect.BETA
    assert read.credential is not None
    assert read.credential.reveal() == "T"


def test_realtime_is_not_offered_unless_named() -> None:
    """Only the exact subprotocol realtime counts as offered."""
    assert not hello().offers_realtime
    assert not hello(
        "/realtime", (b"sec-websocket-protocol", b"Realtime, realtime2")
    ).offers_realtime


def test_beta_header() -> None:
    """OpenAI-Beta: realtime=v1 makes a client a Beta client."""
    assert hello("/realtime", (b"openai-beta", b"x=1, realtime=v1")).dialect is Dialect.BETA


@pytest.mark.parametrize(
    "value",
    [b"real time", b"realtime, a/b", b"realtime, openai-insecure-api-key.sk\xff", b'"realtime"'],
)
def test_subprotocols_that_are_no_tokens(value: bytes) -> None:
    """An item that is no token is 400."""
    assert refusal(upgrade("/v1/realtime", (b"sec-websocket-protocol", value))).status == 400


# The upgrade


def test_good_upgrade() -> None:
    """A good upgrade gives the key for the answer."""
    assert hello().websocket_key == KEY.decode()


def test_case_and_lists_in_upgrade_headers() -> None:
    """Options and protocols are compared without case, and may stand in lists."""
    head = RequestHead(
        "GET",
        "/v1/realtime",
        (
            (b"host", b"h"),
            (b"connection", b"keep-alive, UPGRADE"),
            (b"upgrade", b"h2c, WebSocket"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", KEY),
        ),
    )
    assert isinstance(read_hello(head), Hello)


@pytest.mark.parametrize("path", REALTIME_PATHS)
def test_plain_get(path: str) -> None:
    """A plain GET on a Realtime address is 426 and names WebSocket."""
    refused = refusal(RequestHead("GET", path, ((b"host", b"h"),)))
    assert refused.status == 426
    assert ("Upgrade", "websocket") in refused.headers


def test_upgrade_to_something_else() -> None:
    """An upgrade to another protocol counts as a plain GET."""
    assert refusal(upgrade("/realtime", (b"upgrade", b"h2c"), without=b"upgrade")).status == 426


def test_upgrade_in_http_1_0() -> None:
    """In HTTP/1.0 an upgrade does not count (RFC 9110 7.8): 426."""
    assert refusal(upgrade(http_version="1.0")).status == 426


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "CONNECT", "get"])
def test_other_methods(method: str) -> None:
    """Another method is 405 and says which one is allowed."""
    refused = refusal(upgrade(method=method))
    assert refused.status == 405
    assert refused.headers == (("Allow", "GET"),)


@pytest.mark.parametrize(
    "header",
    [
        (b"content-length", b"5"),
        (b"content-length", b"-1"),
        (b"content-length", b"x"),
        (b"content-length", b"9" * 5000),
        (b"transfer-encoding", b"chunked"),
        (b"transfer-encoding", b"identity"),
    ],
)
def test_body(header: tuple[bytes, bytes]) -> None:
    """A body is 400, with an upgrade and without."""
    assert refusal(upgrade("/v1/realtime", header)).status == 400
    assert refusal(RequestHead("GET", "/v1/realtime", (header,))).status == 400


def test_content_length_of_zero() -> None:
    """A Content-Length of 0 is no body."""
    assert hello("/v1/realtime", (b"content-length", b"0"))


@pytest.mark.parametrize(
    "name", [b"host", b"connection", b"sec-websocket-version", b"sec-websocket-key"]
)
def test_missing_headers(name: bytes) -> None:
    """Each header that RFC 6455 asks for is missed with 400."""
    assert refusal(upgrade(without=name)).status == 400


def test_connection_without_upgrade() -> None:
    """A Connection header without the option upgrade is 400."""
    other = (b"connection", b"keep-alive, xupgrade")
    assert refusal(upgrade("/v1/realtime", other, without=b"connection")).status == 400


@pytest.mark.parametrize("version", [b"8", b"", b"13, 8", b"013", b"\xff"])
def test_other_versions(version: bytes) -> None:
    """Another WebSocket version is 426 and names version 13."""
    other = (b"sec-websocket-version", version)
    refused = refusal(upgrade("/v1/realtime", other, without=b"sec-websocket-version"))
    assert refused.status == 426
    assert ("Sec-WebSocket-Version", "13") in refused.headers


def test_repeated_version() -> None:
    """A second Sec-WebSocket-Version is not overlooked."""
    assert refusal(upgrade("/v1/realtime", (b"sec-websocket-version", b"8"))).status == 426


@pytest.mark.parametrize("name", [b"host", b"sec-websocket-key"])
def test_repeated_headers(name: bytes) -> None:
    """A second Host or key is 400, even an equal one."""
    assert refusal(upgrade("/v1/realtime", (name, UPGRADE[name]))).status == 400


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"short",
        b"A" * 24,
        b"A" * 21 + b"===",
        b"A" * 23 + b"=",
        KEY + b"\n",
        b"\xff" * 22 + b"==",
    ],
)
def test_malformed_keys(key: bytes) -> None:
    """A key that is not the base64 of 16 bytes is 400."""
    malformed = (b"sec-websocket-key", key)
    assert refusal(upgrade("/v1/realtime", malformed, without=b"sec-websocket-key")).status == 400


# Secrecy and robustness


def test_reprs_hide_credentials() -> None:
    """Neither a head nor a hello shows a credential, wherever it stands."""
    secret = SECRET.encode()
    head = upgrade(
        f"/v1/realtime?token={SECRET}&api_key={SECRET}",
        (b"authorization", b"Bearer " + secret),
        (b"api-key", secret),
        (b"sec-websocket-protocol", b"openai-insecure-api-key." + secret),
    )
    assert SECRET not in repr(head)
    assert SECRET not in repr(read_hello(head))
    assert SECRET not in repr(credential(head))
    assert SECRET not in repr(RequestHead("GET", f"/v1/realtime&token={SECRET}", ()))


NAMES = st.sampled_from(
    [
        *UPGRADE,
        b"authorization",
        b"api-key",
        b"x-api-key",
        b"sec-websocket-protocol",
        b"openai-beta",
        b"content-length",
        b"transfer-encoding",
    ]
)
VALUES = st.binary(max_size=40) | st.sampled_from(
    [
        *UPGRADE.values(),
        b"0",
        b"realtime",
        b"Bearer " + SECRET.encode(),
        b"openai-insecure-api-key.\xff",
    ]
)
TARGETS = st.builds(
    str.__add__,
    st.sampled_from([*REALTIME_PATHS, "/realtime/", "http://h/realtime", "x"]),
    st.text(),
) | st.builds("/v1/realtime?{}={}".format, st.sampled_from(["model", "token", "intent"]), st.text())


@given(
    target=TARGETS,
    method=st.sampled_from(["GET"] * 4 + ["POST"]),
    more=st.lists(st.tuples(NAMES, VALUES), max_size=6),
    dropped=st.sets(NAMES, max_size=2),
)
def test_never_raises(
    target: str, method: str, more: list[tuple[bytes, bytes]], dropped: set[bytes]
) -> None:
    """Whatever the head holds, it gives a hello or a refusal, both of which can be told."""
    headers = [(name, value) for name, value in UPGRADE.items() if name not in dropped]
    head = RequestHead(method, target, (*headers, *more))
    read = read_hello(head)
    is_realtime_path(target)
    repr(head)
    if isinstance(read, Refusal):
        assert read.body()
    else:
        (read.model or "").encode()
        (read.intent or "").encode()
        assert SECRET not in repr(read)


BAD_HEADS = [
    upgrade(method="POST"),
    upgrade("/v1/realtime", (b"content-length", b"1")),
    upgrade(http_version="1.0"),
    upgrade("/elsewhere"),
    *(upgrade(without=name) for name in UPGRADE),
    upgrade("/v1/realtime", (b"sec-websocket-key", SECRET.encode())),
    upgrade("/v1/realtime", (b"sec-websocket-protocol", b"a b")),
]


@pytest.mark.parametrize("head", BAD_HEADS)
def test_refusals_hide_credentials(head: RequestHead) -> None:
    """No refusal of a request shows its credential."""
    carried = (
        (b"authorization", b"Bearer " + SECRET.encode()),
        (b"sec-websocket-protocol", b"openai-insecure-api-key." + SECRET.encode()),
    )
    target = f"{head.target}?token={SECRET}"
    refused = refusal(
        RequestHead(head.method, target, (*head.headers, *carried), head.http_version)
    )
    assert SECRET not in repr(refused)
    assert SECRET.encode() not in refused.body()
