"""Facts about explaining whom a client is served by: as the gate decides, word for word."""

from datetime import UTC, datetime, timedelta
from random import Random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.channels import Channel, choose, make_channels
from rt_proxy.listener.admission import Ticket, admit, authenticate, wish_of
from rt_proxy.listener.explain import Explanation, explain
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.realtime.hello import Hello
from rt_proxy.realtime.refusals import Refusal
from rt_proxy.settings import ChannelSettings, Secret, Settings
from rt_proxy.tokens.store import MemoryTokenStore
from rt_proxy.tokens.token import Token, hash_secret

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = Secret("sk-rt-hush")
NAMES = ("one", "two", "three", "four")
MODELS = ("a", "b", "c")


def channel(name: str, *models: str, **fields: object) -> ChannelSettings:
    """Return a channel of OpenAI."""
    made = ChannelSettings(name, "openai", models or ("a",), api_key=Secret("sk-hush"))
    return attrs.evolve(made, **fields)


def token(**fields: object) -> Token:
    """Return a token that may use everything, but for some fields."""
    plain = Token("tok_1", "alice", hash_secret(SECRET), NOW - timedelta(days=1))
    return attrs.evolve(plain, **fields)


def explained(
    *channels: ChannelSettings,
    model: str | None = "a",
    transcription: bool = False,
    by: Token | None = None,
    **fields: object,
) -> Explanation:
    """Explain what becomes of a client."""
    settings = attrs.evolve(Settings(channels=channels), **fields)
    return explain(settings, model=model, token=by, now=NOW, transcription=transcription)


class TestPlaces:
    """The channels that are tried."""

    def test_in_order(self) -> None:
        """Priority decides; where it is equal, it is chance by weight, with its share."""
        told = explained(
            channel("reserve", priority=-1),
            channel("east", weight=1),
            channel("west", weight=3),
        )

        assert [
            (place.channel.name, place.first, place.last, place.chance) for place in told.places
        ] == [("west", 1, 2, 0.75), ("east", 1, 2, 0.25), ("reserve", 3, 3, 1.0)]
        assert told.refusal is None
        assert not told.passed_over

    def test_what_is_sent_there(self) -> None:
        """The upstream's name of the model, and its origin without path and query."""
        [place] = explained(
            channel("c", models={"a": "far-a"}, base_url="http://10.0.0.1:81/v1?key=sk-hush")
        ).places

        assert (place.upstream, place.upstream_model) == ("ws://10.0.0.1:81", "far-a")

    def test_simulator(self) -> None:
        """A simulator is nowhere."""
        [place] = explained(ChannelSettings("s", "simulator", ["*"])).places

        assert place.upstream is None
        assert place.upstream_model == "a"

    @pytest.mark.parametrize(
        ("dialect", "clients", "own", "translated"),
        [
            ("ga", "auto", None, (Dialect.BETA,)),
            ("beta", "auto", None, (Dialect.GA,)),
            ("ga", "beta", None, (Dialect.BETA,)),
            ("ga", "beta", "ga", ()),
            ("beta", "beta", None, ()),
            ("beta", "beta", "auto", (Dialect.GA,)),
        ],
    )
    def test_translation(
        self, dialect: str, clients: str, own: str | None, translated: tuple[Dialect, ...]
    ) -> None:
        """Events are translated for clients of the other dialect, as far as there can be any."""
        [place] = explained(
            channel("c", dialect=dialect), by=token(client_dialect=own), client_dialect=clients
        ).places

        assert place.translated_for == translated


class TestModel:
    """The model of a client that may name none."""

    @pytest.mark.parametrize(
        ("named", "of_token", "of_settings", "model"),
        [
            ("c", "b", "a", "c"),
            (None, "b", "a", "b"),
            (None, None, "b", "b"),
            (None, None, None, "a"),
        ],
    )
    def test_default(
        self, named: str | None, of_token: str | None, of_settings: str | None, model: str
    ) -> None:
        """It is the client's, else the token's, else that of the settings, else the first."""
        told = explained(
            channel("c", "a", "b", "c"),
            model=named,
            by=token(default_model=of_token),
            default_model=of_settings,
        )

        assert told.model == model
        assert [place.upstream_model for place in told.places] == [model]

    def test_none_at_all(self) -> None:
        """Where none can be found the client is refused, and no channel is blamed."""
        told = explained(channel("c", "*"), model=None)

        assert told.refusal is not None
        assert told.refusal.code == "missing_model"
        assert told.passed_over == {"c": "the client is refused before a channel is chosen"}


class TestPassedOver:
    """The channels that are not tried, and the refusal where none is."""

    def test_reasons(self) -> None:
        """Each other channel has its reason."""
        told = explained(
            channel("good"),
            channel("barred"),
            channel("other", "b"),
            by=token(channels=("good", "other")),
        )

        assert [place.channel.name for place in told.places] == ["good"]
        assert told.passed_over == {
            "barred": "the token may not use it",
            "other": "it does not serve the model 'a'",
        }

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"disabled": True}, "The token is disabled."),
            ({"expires": NOW}, "The token has expired."),
        ],
    )
    def test_bad_token(self, fields: dict[str, object], message: str) -> None:
        """A token that lets nobody in is refused as it is at the gate."""
        told = explained(channel("c"), by=token(**fields))

        assert told.refusal is not None
        assert (told.refusal.code, told.refusal.close_code) == ("invalid_api_key", 3000)
        assert told.refusal.message == message
        assert told.passed_over == {"c": "the client is refused before a channel is chosen"}

    @pytest.mark.parametrize(
        ("model", "fields", "status"),
        [
            ("unknown", {}, 404),
            ("a", {"models": ("b",)}, 403),
            ("a", {"channels": ("d",)}, 403),
        ],
    )
    def test_refused(self, model: str, fields: dict[str, object], status: int) -> None:
        """What is refused by its model says which of the three it was."""
        told = explained(channel("c", "a", "b"), channel("d", "b"), model=model, by=token(**fields))

        assert told.refusal is not None
        assert (told.refusal.code, told.refusal.status) == ("model_not_found", status)
        assert set(told.passed_over) == {"c", "d"}


class TestTranscription:
    """Sessions that only transcribe."""

    def test_goes_where_it_is_sent(self) -> None:
        """The channel of the settings, or of the token, and no other."""
        channels = channel("c"), channel("d"), channel("e", transcription=False)
        told = explained(
            *channels, transcription=True, by=token(transcription_channel="d"),
            transcription_channel="c",
        )  # fmt: skip

        assert [place.channel.name for place in told.places] == ["d"]
        assert told.passed_over == {
            "c": "transcription sessions go to d",
            "e": "it takes no transcription sessions",
        }

    def test_names_no_model(self) -> None:
        """It has no model, also where one was given, unless the URL must name one."""
        azure = ChannelSettings(
            "azure", "azure", {"a": "my-deployment"}, Secret("sk-hush"),
            endpoint="https://x.example.com", api_version="2025-04-01-preview",
        )  # fmt: skip
        told = explained(channel("c"), azure, transcription=True)
        models = {place.channel.name: place.upstream_model for place in told.places}

        assert told.model is None
        assert models == {"c": None, "azure": "my-deployment"}

    def test_names_its_model_where_the_url_must(self) -> None:
        """Where the URL must name a model, it is the one that the client names."""
        told = explained(
            channel("c", "a", "b", transcription_url="model and intent"),
            model="b",
            transcription=True,
        )

        assert [place.upstream_model for place in told.places] == ["b"]

    def test_limited_token(self) -> None:
        """A token that is limited to models gets none, as at the gate."""
        told = explained(channel("c"), transcription=True, by=token(models=("a",)))

        assert told.refusal is not None
        assert told.refusal.status == 403


channel_sets = st.lists(
    st.builds(
        channel,
        name=st.sampled_from(NAMES),
        models=st.dictionaries(
            st.sampled_from(MODELS), st.sampled_from(("up", "a")), min_size=1
        ) | st.just({"*": "*"}),
        priority=st.integers(-1, 1),
        weight=st.integers(1, 4),
        dialect=st.sampled_from(("ga", "beta")),
        transcription=st.none() | st.booleans(),
        max_sessions=st.integers(0, 2),
    ),
    min_size=1,
    unique_by=lambda one: one.name,
)  # fmt: skip
tokens = st.builds(
    token,
    disabled=st.sampled_from((False, False, False, True)),
    expires=st.sampled_from((None, NOW - timedelta(days=1), NOW + timedelta(days=1))),
    models=st.lists(st.sampled_from((*MODELS, "*"))).map(tuple),
    default_model=st.none() | st.sampled_from(MODELS),
    channels=st.lists(st.sampled_from(NAMES)).map(tuple),
    transcription_channel=st.none() | st.sampled_from(NAMES),
    client_dialect=st.sampled_from((None, "auto", "ga", "beta")),
)


def at_the_gate(
    settings: Settings, by: Token, model: str | None, transcription: bool, seed: int
) -> Ticket | Refusal:
    """Decide as the gate does, on a client that shows its secret."""
    known = authenticate(SECRET, MemoryTokenStore((by,)), NOW)
    if isinstance(known, Refusal):
        return known
    return admit(
        Hello("/v1/realtime", False, None, model, "transcription" if transcription else None,
              SECRET, False, ""),
        known,
        make_channels(settings),
        default_model=settings.default_model,
        client_dialect=settings.client_dialect,
        transcription_channel=settings.transcription_channel,
        health={},
        now=0.0,
        random=Random(seed),
    )  # fmt: skip


def order(channels: tuple[Channel, ...]) -> list[int]:
    """Return the priorities of channels, in their order."""
    return [one.priority for one in channels]


@given(
    channels=channel_sets,
    by=tokens.filter(lambda one: one.default_model is None or one.allows(one.default_model)),
    model=st.none() | st.sampled_from((*MODELS, "unknown")),
    transcription=st.booleans(),
    default_model=st.none() | st.sampled_from(MODELS),
    to=st.none() | st.sampled_from(NAMES),
    seed=st.integers(0, 9),
)
def test_as_the_gate_does(
    channels: list[ChannelSettings],
    by: Token,
    model: str | None,
    transcription: bool,
    default_model: str | None,
    to: str | None,
    seed: int,
) -> None:
    """Whatever is set: the same channels, by the same rank, for the same model, or the refusal."""
    settings = Settings(
        channels=tuple(channels), default_model=default_model, transcription_channel=to
    )
    gate = at_the_gate(settings, by, model, transcription, seed)
    told = explain(settings, model=model, token=by, now=NOW, transcription=transcription)

    tried = {place.channel.name for place in told.places}
    assert tried.isdisjoint(told.passed_over)
    assert tried.union(told.passed_over) == {one.name for one in channels}
    if isinstance(gate, Refusal):
        assert (told.refusal, tried) == (gate, set())
        return
    assert told.refusal is None
    assert told.model == gate.model
    chosen = choose(
        make_channels(settings), wish_of(by, gate.model, to),
        health={}, now=0.0, random=Random(seed),
    )  # fmt: skip
    assert tried == {one.name for one in chosen.channels}
    assert told.passed_over == chosen.passed_over
    assert order(tuple(place.channel for place in told.places)) == order(chosen.channels)
    for rank, one in enumerate(chosen.channels, 1):
        [place] = [place for place in told.places if place.channel == one]
        assert place.first <= rank <= place.last


def test_an_unlimited_token() -> None:
    """Where no token is named, it is one that may use everything."""
    channels = channel("c"), channel("d", "*")

    assert explained(*channels) == explained(*channels, by=token())
