"""What every token store does, shown of the one in memory and of the one in a file."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import assert_checkpoints

from rt_proxy.errors import TokenStoreError
from rt_proxy.settings import Budget, Secret
from rt_proxy.tokens.file import FileTokenStore
from rt_proxy.tokens.store import (
    Allowance,
    MemoryTokenStore,
    Standing,
    TokenStore,
    TokenTable,
)
from rt_proxy.tokens.token import Token, hash_secret

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MemoryTokenStore:
    """An empty store of each kind."""
    if request.param == "memory":
        return MemoryTokenStore()
    return FileTokenStore(tmp_path / "tokens.toml")


def test_both_are_stores(store: MemoryTokenStore) -> None:
    """Each store is what the proxy asks for."""
    wanted: TokenStore = store

    assert wanted.standing("tok_1", NOON) is Standing.REVOKED


def test_new_store_is_empty(store: MemoryTokenStore) -> None:
    """A new store has no tokens and lets nobody in."""
    assert store.tokens() == ()
    assert store.authenticate(Secret("")) is None


def test_secret_opens(store: MemoryTokenStore) -> None:
    """The secret that add returned, and nothing near it, finds the token."""
    token, secret = store.add("alice", now=NOON)

    assert store.authenticate(secret) == token
    assert store.authenticate(Secret(secret.reveal() + "x")) is None
    assert store.authenticate(Secret(secret.reveal().upper())) is None
    assert store.authenticate(Secret(token.sha256)) is None


def test_add_keeps_what_it_is_given(store: MemoryTokenStore) -> None:
    """Every argument of add is found in the token, moments in UTC."""
    token, secret = store.add(
        "alice", now=NOON, expires=NOON + SECOND, models=["a", "b"], default_model="b"
    )

    expected = Token(
        id=token.id,
        name="alice",
        sha256=hash_secret(secret),
        created=NOON,
        expires=NOON + SECOND,
        models=("a", "b"),
        default_model="b",
    )
    assert token == expected
    assert store.tokens() == (expected,)


def test_add_at_present(store: MemoryTokenStore) -> None:
    """Where no moment is given a token is made now, to the second, in UTC."""
    before = datetime.now(UTC).replace(microsecond=0)
    created = store.add("alice")[0].created

    assert before <= created <= datetime.now(UTC)
    assert (created.microsecond, created.tzinfo) == (0, UTC)


def test_tokens_are_in_the_order_of_making(store: MemoryTokenStore) -> None:
    """The list does not jump about when a token is revoked."""
    for name in ("c", "a", "b"):
        store.add(name, now=NOON)
    store.revoke("a")

    assert [token.name for token in store.tokens()] == ["c", "a", "b"]


def test_find_by_name_and_id(store: MemoryTokenStore) -> None:
    """A token is found by its name and by its id."""
    token, _ = store.add("alice", now=NOON)

    assert store.find("alice") == token
    assert store.find(token.id) == token
    assert store.find("bob") is None


def test_good_standing(store: MemoryTokenStore) -> None:
    """A token without an expiry stays good."""
    token, _ = store.add("alice", now=NOON)

    assert store.standing(token.id, NOON + timedelta(days=9999)) is Standing.GOOD


def test_standing_goes_by_id(store: MemoryTokenStore) -> None:
    """A name does not stand for its token where a session asks by id."""
    store.add("alice", now=NOON)

    assert store.standing("alice", NOON) is Standing.REVOKED


def test_expiry_is_exact(store: MemoryTokenStore) -> None:
    """A token expires at its expiry, not after; it is still told whose it is."""
    token, secret = store.add("alice", now=NOON, expires=NOON + SECOND)

    assert store.standing(token.id, NOON + SECOND - timedelta.resolution) is Standing.GOOD
    assert store.standing(token.id, NOON + SECOND) is Standing.EXPIRED
    assert store.authenticate(secret) == token


@pytest.mark.parametrize("by", ["name", "id"])
def test_revoke(store: MemoryTokenStore, by: str) -> None:
    """A revoked token is disabled, stays listed, and still says whose it is."""
    token, secret = store.add("alice", now=NOON)
    other, _ = store.add("bob", now=NOON)

    store.revoke(getattr(token, by))

    revoked = attrs.evolve(token, disabled=True)
    assert store.tokens() == (revoked, other)
    assert store.authenticate(secret) == revoked
    assert store.standing(token.id, NOON) is Standing.REVOKED
    assert store.standing(other.id, NOON) is Standing.GOOD


def test_revoked_is_said_before_expired(store: MemoryTokenStore) -> None:
    """Of a token that is both, the operator's word is told."""
    token, _ = store.add("alice", now=NOON, expires=NOON)
    store.revoke(token.id)

    assert store.standing(token.id, NOON) is Standing.REVOKED


def test_revoke_twice(store: MemoryTokenStore) -> None:
    """Revoking again is no error and changes nothing."""
    store.add("alice", now=NOON)
    store.revoke("alice")
    before = store.tokens()

    store.revoke("alice")

    assert store.tokens() == before


def test_revoke_nobody(store: MemoryTokenStore) -> None:
    """Revoking what is not there is an error, which does not repeat a secret given for a name."""
    with pytest.raises(TokenStoreError, match="no token") as caught:
        store.revoke("sk-rt-pasted")
    assert "sk-rt-pasted" not in str(caught.value)


@pytest.mark.parametrize("revoked", [False, True])
def test_name_is_given_once(store: MemoryTokenStore, revoked: bool) -> None:
    """A name is not given out again, not even that of a revoked token."""
    token, _ = store.add("alice", now=NOON)
    if revoked:
        store.revoke("alice")

    with pytest.raises(TokenStoreError, match=f"'alice' is taken by {token.id}"):
        store.add("alice", now=NOON)
    assert len(store.tokens()) == 1


@pytest.mark.parametrize("by", ["name", "id"])
def test_change(store: MemoryTokenStore, by: str) -> None:
    """A token gets other limits and another budget; its secret and all else of it stay."""
    token, secret = store.add("alice", now=NOON, limits={"sessions": 1}, models=["a"])
    other, _ = store.add("bob", now=NOON)
    store.change(getattr(token, by), lambda it: Allowance(it.limits, Budget(tokens=7)))

    changed = attrs.evolve(token, budget=Budget(tokens=7))
    assert store.authenticate(secret) == changed
    assert store.tokens() == (changed, other)


@pytest.mark.parametrize(
    "wrong",
    [
        Allowance({"sesions": 1}, None),
        Allowance({"sessions": -1}, None),
        Allowance(["sessions"], None),  # type: ignore[arg-type]
        Allowance({}, Budget()),
        Allowance({}, Budget(usd=0.1)),  # type: ignore[arg-type]
    ],
)
def test_wrong_change(store: MemoryTokenStore, wrong: Allowance) -> None:
    """What cannot be is refused, by add too, and nothing changes."""
    token, _ = store.add("alice", now=NOON)
    with pytest.raises(TokenStoreError, match=r"limits: |budget\.usd: "):
        store.change("alice", lambda _: wrong)
    with pytest.raises(TokenStoreError, match=r"limits: |budget\.usd: "):
        store.add("bob", limits=wrong.limits, budget=wrong.budget)

    assert store.tokens() == (token,)


def test_change_of_nobody(store: MemoryTokenStore) -> None:
    """Nobody is changed by a name that nobody has, and it is not repeated."""
    with pytest.raises(TokenStoreError, match=r"^no token has that name or id$"):
        store.change("sk-rt-hush", lambda _: Allowance({}, None))


def test_change_that_raises(store: MemoryTokenStore) -> None:
    """What a change raises comes out of it, and the store goes on as it was."""
    token, _ = store.add("alice", now=NOON)

    def refuse(_: Token) -> Allowance:
        raise LookupError

    with pytest.raises(LookupError):
        store.change("alice", refuse)
    assert store.tokens() == (token,)
    store.revoke("alice")  # the lock is free


def test_limits_are_a_copy(store: MemoryTokenStore) -> None:
    """Whoever gave limits cannot change a token through them."""
    limits: dict[str, float] = {"sessions": 1}
    store.add("alice", limits=limits)
    store.change("alice", lambda _: Allowance(limits, Budget(tokens=1)))
    limits["sessions"] = 9

    [token] = store.tokens()
    assert token.limits == {"sessions": 1}


def test_name_is_no_id(store: MemoryTokenStore) -> None:
    """The id of a token cannot be the name of another: revoke would not know which."""
    token, _ = store.add("alice", now=NOON)

    with pytest.raises(TokenStoreError, match="taken"):
        store.add(token.id, now=NOON)


@pytest.mark.parametrize("name", ["", "-x", "a\nb", "x" * 65])
def test_wrong_name(store: MemoryTokenStore, name: str) -> None:
    """A wrong name is refused and leaves no token behind."""
    with pytest.raises(TokenStoreError, match=r"^name: "):
        store.add(name, now=NOON)
    assert store.tokens() == ()


def test_wrong_models(store: MemoryTokenStore) -> None:
    """A default model that the token may not use is refused."""
    with pytest.raises(TokenStoreError, match=r"^models: .*'b'"):
        store.add("alice", now=NOON, models=["a"], default_model="b")


def test_local_times_are_refused(store: MemoryTokenStore) -> None:
    """A moment without an offset is an error of the caller."""
    local = NOON.replace(tzinfo=None)
    with pytest.raises(ValueError, match="offset"):
        store.add("alice", now=local)
    with pytest.raises(ValueError, match="offset"):
        store.add("alice", now=NOON, expires=local)


async def test_refresh_checkpoints(store: MemoryTokenStore) -> None:
    """Refresh lets other tasks run and can be cancelled, whether there is news or not."""
    with assert_checkpoints():
        await store.refresh()
    with trio.move_on_after(0) as scope:
        await store.refresh()
    assert scope.cancelled_caught


def test_memory_takes_tokens_of_the_embedder() -> None:
    """An embedder may start a memory store with tokens of its own making."""
    secret = Secret("a secret from elsewhere")
    token = Token(id="own", name="own", sha256=hash_secret(secret), created=NOON)

    assert MemoryTokenStore([token]).authenticate(secret) == token


def test_table_holds_each_secret_once() -> None:
    """Two tokens with one secret, or with one id, cannot stand in one table."""
    token = Token(id="tok_1", name="alice", sha256="0" * 64, created=NOON)
    table = TokenTable((token,))

    with pytest.raises(TokenStoreError, match="there already"):
        table.adding(attrs.evolve(token, id="tok_2", name="bob"))
    with pytest.raises(TokenStoreError, match="there already"):
        table.adding(attrs.evolve(token, name="bob", sha256="1" * 64))
