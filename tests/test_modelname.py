"""Facts about the two names of a model: who says and sees which, and what is another model."""

import json

import pytest

from rt_proxy.realtime.modelname import NAMED_BY_CLIENTS, SHOWN_BY_UPSTREAMS, BoundModel


def bound(
    alias: str | None = "alias", name: str | None = "real", *, silent: bool = True
) -> BoundModel:
    """Return the model of a session."""
    return BoundModel(alias, name, client_was_silent=silent)


def event_of(type_: str, holder: str, model: object) -> str:
    """Return an event that carries a model."""
    return json.dumps({"type": type_, holder: {"id": "i", "model": model}})


def to_upstream(model: BoundModel, text: str) -> str | None:
    """Send an event of the client's on."""
    return model.to_upstream(json.loads(text), text)


def to_client(model: BoundModel, text: str) -> str | None:
    """Send an event of the upstream's on."""
    return model.to_client(json.loads(text), text)


@pytest.mark.parametrize(("type_", "place"), NAMED_BY_CLIENTS.items())
def test_what_clients_name(type_: str, place: tuple[str, str]) -> None:
    """The alias becomes the upstream's name, which may be said too; another is none of ours."""
    text = event_of(type_, place[0], "alias")
    assert to_upstream(bound(), text) == text.replace('"alias"', '"real"')
    text = event_of(type_, place[0], "real")
    assert to_upstream(bound(), text) == text
    for other in ("other", "", "Alias", "real-2025-08-28"):
        assert to_upstream(bound(), event_of(type_, place[0], other)) is None


@pytest.mark.parametrize(("type_", "place"), SHOWN_BY_UPSTREAMS.items())
def test_what_upstreams_show(type_: str, place: tuple[str, str]) -> None:
    """The upstream's name becomes the alias, and so does a snapshot of it; another is none."""
    model = bound()
    to_client(model, event_of("session.created", "session", "real"))
    for shown in ("real", "real-2025-08-28"):
        text = event_of(type_, place[0], shown)
        assert to_client(model, text) == text.replace(f'"{shown}"', '"alias"')
    for other in ("other", "alias", "real-mini", "real-2025", "real-2025-08-28-x"):
        assert to_client(model, event_of(type_, place[0], other)) is None


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("The model `real` is old.", "The model `alias` is old."),
        ("No real.", "No alias."),
        ("real", "alias"),
        ("real-mini, unreal, x.real and realtime", None),
        ("Something else.", None),
        (None, None),
        (5, None),
    ],
)
def test_errors_name_the_clients_model(message: object, told: str | None) -> None:
    """What an upstream says of its model in an error is said of the client's."""
    text = json.dumps({"type": "error", "error": {"message": message, "code": "x"}})
    shown = text if told is None else text.replace(json.dumps(message), json.dumps(told))
    assert to_client(bound(), text) == shown
    assert to_client(bound(None, None), text) == text
    assert to_client(bound("real", "real"), text) == text


@pytest.mark.parametrize("type_", ["session.created", "transcription_session.created"])
def test_the_first_word_binds(type_: str) -> None:
    """What the upstream shows at first, of itself, is a name of the model from then on."""
    model = bound()
    for shown in (type_, "session.updated"):
        text = event_of(shown, "session", "behind")
        assert to_client(model, text) == text.replace("behind", "alias")
    assert to_client(model, event_of(type_, "session", "other")) is None


@pytest.mark.parametrize("nothing", [None, "", 5, ["x"]])
def test_a_first_word_without_a_name(nothing: object) -> None:
    """It binds to the name that was asked for, and changes nothing."""
    model = bound()
    text = event_of("session.created", "session", nothing)
    assert to_client(model, text) == text
    assert to_client(model, event_of("session.created", "session", "behind")) is None


def test_a_client_that_could_speak_first() -> None:
    """What it may have brought about binds nobody."""
    text = event_of("session.created", "session", "behind")
    assert to_client(bound(silent=False), text) is None


@pytest.mark.parametrize("type_", ["rate_limits.updated", "error", "session.update", None, 5, []])
def test_other_events_carry_none(type_: object) -> None:
    """Only events that are known to carry the session's model are looked at."""
    text = json.dumps({"type": type_, "session": {"model": "other"}, "model": "real"})
    assert to_client(bound(), text) == text
    text = json.dumps({"type": "session.updated", "session": {"audio": {"model": "real"}}})
    assert to_client(bound(), text) == text
    assert to_upstream(bound(), text) == text


def test_no_model() -> None:
    """A session that was opened without one has none to hold to, and none to hide."""
    model = bound(None, None)
    assert model.alias is None
    for shown in ("a", "b"):
        for type_ in ("session.created", "session.updated"):
            text = event_of(type_, "session", shown)
            assert to_client(model, text) == text
        text = event_of("session.update", "session", shown)
        assert to_upstream(model, text) == text


def test_one_name() -> None:
    """Where both names are one, the text is the same text."""
    model = bound("one", "one")
    text = event_of("session.created", "session", "one")
    assert to_client(model, text) is text
    assert to_upstream(model, text) is text


def test_odd_names() -> None:
    """A name is written so that JSON can read it, whatever is in it."""
    model = bound('my "voice"\n\N{SNOWMAN}', "real")
    written = to_client(model, event_of("session.created", "session", "real"))
    assert written is not None
    assert json.loads(written)["session"]["model"] == 'my "voice"\n\N{SNOWMAN}'


@pytest.mark.parametrize(
    ("event", "is_conversation"),
    [
        ({"type": "session.created", "session": {"type": "transcription", "model": "m"}}, False),
        ({"type": "session.updated", "session": {"type": "transcription"}}, False),
        ({"type": "session.updated", "session": {"model": "m"}}, False),
        ({"type": "transcription_session.updated", "session": {"type": "realtime"}}, False),
        ({"type": "session.updated", "session": {"type": "realtime"}}, True),
        ({"type": "response.created", "response": {"id": "r"}}, True),
    ],
)
def test_a_session_that_only_transcribes(
    event: dict[str, object], *, is_conversation: bool
) -> None:
    """However a client hid its wish, an upstream that begins to answer shows another model."""
    text = json.dumps(event)
    shown = to_client(bound(None, None), text)
    assert shown == (None if is_conversation else text)
