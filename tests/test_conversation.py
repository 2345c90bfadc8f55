"""Facts about what a session knows of its conversation, and what it decides."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.realtime import closing
from rt_proxy.realtime.closing import Ending
from rt_proxy.realtime.conversation import (
    EDITED_CLIENT_EVENTS,
    WATCHED_UPSTREAM_EVENTS,
    Answer,
    Conversation,
    Forward,
    Replace,
)
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.realtime.frames import Splice


def conversation(
    model: str | None = "alias",
    upstream_model: str | None = "real",
    *,
    silent: bool = True,
    dialect: Dialect | None = None,
    upstream: Dialect = Dialect.GA,
    drop: Iterable[str] = (),
    mcp: bool = True,
    metered: bool = False,
) -> Conversation:
    """Return a conversation of a session for one model."""
    return Conversation(
        model=model,
        upstream_model=upstream_model,
        client_dialect=dialect,
        upstream_dialect=upstream,
        client_was_silent=silent,
        drop_fields=frozenset(drop),
        mcp=mcp,
        metered=metered,
    )


def dumped(event: object) -> bytes:
    """Return the JSON of an event."""
    return json.dumps(event).encode()


def replaced(*payloads: bytes) -> Replace:
    """Return the verdict that these messages go on in place of another."""
    return Replace(payloads)


def update(model: object, **more: object) -> bytes:
    """Return a ``session.update`` that names a model."""
    return dumped({"type": "session.update", **more, "session": {"model": model, "prompt": 5}})


def shown(type_: str, model: str | None) -> bytes:
    """Return a session event of the upstream."""
    return dumped({"type": type_, "event_id": "e", "session": {"id": "s", "model": model}})


def response(type_: str, id_: object, usage: object = None) -> bytes:
    """Return a response event of the upstream."""
    return dumped({"type": f"response.{type_}", "response": {"id": id_, "usage": usage}})


class TestLanes:
    """Which messages come here at all."""

    def test_the_edit_lane(self) -> None:
        """Of what a client of a known dialect sends, that is read which may name a model."""
        updates = {"session.update", "transcription_session.update"}
        lanes = conversation(dialect=Dialect.GA).client_lanes
        assert {*updates, "response.create"} == EDITED_CLIENT_EVENTS
        for type_ in updates:
            assert lanes(dumped({"type": type_}), False) is True
        assert lanes(b'{"type":"response.create"', False) == "small"
        assert lanes(b'{"type":"input_audio_buffer.append"', False) is False
        assert lanes(b'{"type":"conversation.item.create"', False) is False

    def test_the_look_lane(self) -> None:
        """Of what an upstream sends, that is read which shows a model, a cost or an error.

        A session is cut for none that is too large for it but those that show a model.
        """
        lanes = conversation().upstream_lanes
        small = {
            "input_audio_buffer.committed",
            "conversation.item.input_audio_transcription.completed",
            "conversation.item.input_audio_transcription.failed",
        }
        assert small < WATCHED_UPSTREAM_EVENTS
        for type_ in WATCHED_UPSTREAM_EVENTS:
            assert lanes(dumped({"type": type_}), False) == ("small" if type_ in small else True)
        assert lanes(b'{"type":"response.output_audio.delta"', False) is False
        assert lanes(b'{"type":"response.done.not"', False) is False

    def test_a_client_that_has_shown_no_dialect(self) -> None:
        """What can show the dialect is read if it is not too large for that, until one does."""
        talk = conversation()
        for type_ in ("response.create", "conversation.item.create"):
            assert talk.client_lanes(dumped({"type": type_}), False) == "small"
        assert talk.on_client(b'{"type":"response.create"}') == Forward()
        assert talk.client_lanes(b'{"type":"conversation.item.create"', False) == "small"
        ga = dumped({"type": "session.update", "session": {"type": "realtime"}})
        assert talk.on_client(ga) == Forward()
        assert talk.client_lanes(b'{"type":"conversation.item.create"', False) is False
        assert talk.client_lanes(ga, False) is True

    @pytest.mark.parametrize(
        ("client", "upstream", "own", "other"),
        [
            (Dialect.BETA, Dialect.GA, b"response.audio.delta", b"response.output_audio.delta"),
            (Dialect.GA, Dialect.BETA, b"response.output_audio.delta", b"response.audio.delta"),
            (None, Dialect.BETA, b"response.output_audio.delta", b"response.audio.delta"),
        ],
    )
    def test_between_dialects(
        self, client: Dialect | None, upstream: Dialect, own: bytes, other: bytes
    ) -> None:
        """Deltas are renamed in passing, and retrieved items are read whatever their size."""
        lanes = conversation(dialect=client, upstream=upstream).upstream_lanes
        assert lanes(b'{"type":"%b","delta":' % other, False) == Splice(9, 9 + len(other), own)
        assert lanes(b'{"type":"%b","delta":' % own, False) is False
        assert lanes(b'{"type":"conversation.item.retrieved"', False) == "large"
        assert lanes(b'{"type":"rate_limits.updated"', False) is False


class TestDialects:
    """Both directions are translated, from the moment when the client's dialect is known."""

    BETA_UPDATE = dumped({"type": "session.update", "session": {"voice": "alloy"}})
    CREATED = dumped(
        {"type": "session.created", "event_id": "e", "session": {"type": "realtime", "id": "s"}}
    )

    @staticmethod
    def kinds(verdict: object) -> list[str]:
        """Return the types of what goes on in place of a message."""
        assert isinstance(verdict, Replace)
        return [json.loads(payload)["type"] for payload in verdict.payloads]

    def test_a_client_that_says_so_at_once(self) -> None:
        """A Beta client gets Beta events from the first one on."""
        talk = conversation(dialect=Dialect.BETA)
        verdict = talk.on_upstream(self.CREATED)
        assert self.kinds(verdict) == ["session.created", "conversation.created"]
        update_sent = talk.on_client(self.BETA_UPDATE)
        assert isinstance(update_sent, Replace)
        assert json.loads(update_sent.payloads[0])["session"] == {
            "type": "realtime",
            "audio": {"output": {"voice": "alloy"}},
        }

    def test_a_client_that_is_found_out_late(self) -> None:
        """Its first Beta event switches both directions; what it missed comes before the next."""
        talk = conversation()
        assert talk.on_upstream(self.CREATED) == Forward()
        assert talk.client_dialect is Dialect.GA
        assert self.kinds(talk.on_client(self.BETA_UPDATE)) == ["session.update"]
        assert talk.client_dialect is Dialect.BETA
        updated = self.CREATED.replace(b"created", b"updated")
        verdict = talk.on_upstream(updated)
        assert self.kinds(verdict) == ["conversation.created", "session.updated"]
        assert isinstance(verdict, Replace)
        assert "type" not in json.loads(verdict.payloads[1])["session"]
        assert talk.upstream_lanes(b'{"type":"response.output_audio.delta"', False)

    def test_a_client_that_speaks_before_the_upstream(self) -> None:
        """Where the first client event is a Beta one, session.created is not late yet."""
        talk = conversation()
        talk.on_client(self.BETA_UPDATE)
        assert self.kinds(talk.on_upstream(self.CREATED)) == [
            "session.created",
            "conversation.created",
        ]

    def test_a_late_transcription_client(self) -> None:
        """A transcription session has no conversation to tell of."""
        talk = conversation(None, None)
        talk.on_upstream(dumped({"type": "session.created", "session": {"type": "transcription"}}))
        talk.on_client(dumped({"type": "transcription_session.update", "session": {}}))
        session = {"type": "transcription", "id": "s"}
        verdict = talk.on_upstream(dumped({"type": "session.updated", "session": session}))
        assert self.kinds(verdict) == ["transcription_session.updated"]

    def test_the_first_dialect_shown_stays(self) -> None:
        """A client that mixes dialects after it has shown one is not switched again."""
        talk = conversation()
        ga = dumped({"type": "session.update", "session": {"type": "realtime"}})
        talk.on_client(ga)
        assert talk.on_client(self.BETA_UPDATE) == Forward()
        assert talk.client_dialect is Dialect.GA

    def test_a_dialect_that_was_set_is_not_detected(self) -> None:
        """Where the dialect is given, no event changes it."""
        talk = conversation(dialect=Dialect.GA)
        assert talk.on_client(self.BETA_UPDATE) == Forward()
        assert talk.client_dialect is Dialect.GA

    def test_undecided_on_a_beta_upstream(self) -> None:
        """A client counts as GA until it shows Beta; then nothing is translated any more."""
        created = dumped({"type": "session.created", "session": {"modalities": ["text"]}})
        talk = conversation(upstream=Dialect.BETA)
        verdict = talk.on_upstream(created)
        assert isinstance(verdict, Replace)
        assert json.loads(verdict.payloads[0])["session"]["type"] == "realtime"
        assert talk.on_client(self.BETA_UPDATE) == Forward()
        assert talk.on_upstream(created) == Forward()
        assert talk.upstream_lanes(b'{"type":"response.audio.delta"', False) is False

    def test_a_dialect_that_is_confirmed_keeps_what_is_remembered(self) -> None:
        """A GA client that shows itself on a Beta upstream loses no item in progress."""
        talk = conversation(upstream=Dialect.BETA)
        item = {"id": "i", "type": "message", "role": "assistant", "status": "in_progress"}
        talk.on_upstream(dumped({"type": "conversation.item.created", "item": item}))
        talk.on_client(dumped({"type": "session.update", "session": {"type": "realtime"}}))
        done = dumped({"type": "response.output_item.done", "item": item})
        assert self.kinds(talk.on_upstream(done)) == [
            "conversation.item.done",
            "response.output_item.done",
        ]

    def test_the_alias_of_a_beta_client(self) -> None:
        """The model is held to the session's in translation too."""
        talk = conversation(dialect=Dialect.BETA)
        payload = dumped({"type": "session.update", "session": {"model": "alias", "voice": "x"}})
        verdict = talk.on_client(payload)
        assert isinstance(verdict, Replace)
        assert json.loads(verdict.payloads[0])["session"]["model"] == "real"
        other = talk.on_client(update("other", event_id="mine"))
        assert isinstance(other, Answer)
        assert json.loads(other.payload)["error"]["event_id"] == "mine"

    def test_what_has_no_counterpart_is_answered(self) -> None:
        """The client is told by its event_id, and the upstream never sees the event."""
        part = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
        item = {"type": "message", "role": "user", "content": [part]}
        event = {"type": "conversation.item.create", "event_id": "mine", "item": item}
        verdict = conversation(dialect=Dialect.GA, upstream=Dialect.BETA).on_client(dumped(event))
        assert isinstance(verdict, Answer)
        error = json.loads(verdict.payload)["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_value")
        assert (error["param"], error["event_id"]) == ("item.content[0].type", "mine")

    def test_a_dropped_event(self) -> None:
        """What the client's dialect does not have goes no further."""
        talk = conversation(dialect=Dialect.BETA)
        assert talk.on_upstream(
            dumped({"type": "input_audio_buffer.timeout_triggered", "item_id": "i"})
        ) == Replace(())

    def test_the_account_is_kept_in_translation(self) -> None:
        """Responses are followed and metered whatever the dialects."""
        talk = conversation(dialect=Dialect.BETA)
        talk.on_upstream(response("created", "a"))
        assert talk.response_in_progress
        talk.on_upstream(response("done", "a", {"total_tokens": 3}))
        assert (talk.responses, talk.usage()) == (1, {"total_tokens": 3})


MANY = b"[" + b"[]," * 60_000 + b"[]]"


class TestIntricateMessages:
    """Nobody can keep the others waiting with members and elements without end."""

    @pytest.mark.parametrize("client", [None, *Dialect])
    @pytest.mark.parametrize("kind", ["response.create", "conversation.item.create"])
    def test_what_need_not_be_read(self, client: Dialect | None, kind: str) -> None:
        """It goes on as it is, whatever the dialects; the session lives."""
        talk = conversation(dialect=client)
        payload = b'{"type":"%b","response":{"modalities":%b}}' % (kind.encode(), MANY)
        assert talk.on_client(payload) == Forward()

    @pytest.mark.parametrize(
        "start", [b'{"type":"session.update",', b'{"session":{},"type":"session.update",']
    )
    def test_what_may_name_a_model(self, start: bytes) -> None:
        """It is answered, for its model could not be held to the session's."""
        verdict = conversation().on_client(start + b'"session":{"x":%b}}' % MANY)
        assert isinstance(verdict, Answer)
        assert json.loads(verdict.payload)["error"]["code"] == "invalid_value"

    def test_long_strings_are_not_intricate(self) -> None:
        """Audio, and any text, is one string, however many brackets are in it."""
        text = json.dumps("[{" * 100_000 + '"\\' * 1_000)
        payload = b'{"type":"session.update","session":{"voice":"x","instructions":%b}}'
        verdict = conversation(dialect=Dialect.BETA).on_client(payload % text.encode())
        assert isinstance(verdict, Replace)

    def test_of_an_upstream(self) -> None:
        """It is followed, and not translated."""
        talk = conversation(dialect=Dialect.BETA)
        talk.on_upstream(response("created", "a"))
        done = b'{"type":"response.done","response":{"id":"a","output":%b}}' % MANY
        assert talk.on_upstream(done) == Forward()
        assert not talk.response_in_progress
        shown_other = b'{"type":"session.updated","session":{"model":"other","x":%b}}' % MANY
        assert talk.on_upstream(shown_other) == closing.MODEL_CHANGED


class TestMixedUpstreams:
    """Some servers take and show the fields of both dialects."""

    def test_no_client_is_taken_for_beta(self) -> None:
        """Where the upstream's session has no type, a client's flat fields say nothing."""
        talk = conversation()
        talk.on_upstream(dumped({"type": "session.created", "session": {"voice": "x"}}))
        payload = dumped({"type": "session.update", "session": {"voice": "x"}})
        assert talk.on_client(payload) == Forward()
        assert talk.client_dialect is Dialect.GA


class TestLargeEventsOfTheUpstream:
    """A session does not end because an event would have to be translated."""

    @pytest.mark.parametrize(
        "kind",
        ["conversation.item.added", "conversation.item.done", "response.output_item.done"],
    )
    def test_they_may_go_on_unread(self, kind: str) -> None:
        """What only the translator reads is read unless it is too large for that."""
        lanes = conversation(dialect=Dialect.BETA).upstream_lanes
        assert lanes(dumped({"type": kind}), False) == "small"


class TestModelOfTheClient:
    """``session.model`` is held to the model that the session was opened for."""

    def test_the_alias_becomes_the_upstreams_name(self) -> None:
        """The client's name is replaced, and not a byte more."""
        payload = b'{ "session":{"prompt" : "x","model":"alias"},"type":"session.update","n":1.0}'
        assert conversation().on_client(payload) == replaced(payload.replace(b'"alias"', b'"real"'))

    def test_the_upstreams_name_passes(self) -> None:
        """Who knows the upstream's own name may say it."""
        assert conversation().on_client(update("real")) == Forward()

    def test_where_alias_and_name_are_one(self) -> None:
        """Without an alias nothing has to be changed."""
        assert conversation("real", "real").on_client(update("real")) == Forward()

    def test_another_model_is_answered(self) -> None:
        """The client gets an error that names its event; the upstream never sees the message."""
        verdict = conversation().on_client(update("other", event_id="mine"))
        assert isinstance(verdict, Answer)
        event = json.loads(verdict.payload)
        assert event["type"] == "error"
        assert event["error"]["type"] == "invalid_request_error"
        assert event["error"]["code"] == "model_not_found"
        assert event["error"]["param"] == "session.model"
        assert event["error"]["event_id"] == "mine"
        assert "'alias'" in event["error"]["message"]
        assert "real" not in event["error"]["message"]

    @pytest.mark.parametrize("event_id", [None, 5, {}, ["x"]])
    def test_an_event_id_that_is_none(self, event_id: object) -> None:
        """Without an event_id of its own, the client gets null."""
        verdict = conversation().on_client(update("other", event_id=event_id))
        assert isinstance(verdict, Answer)
        assert json.loads(verdict.payload)["error"]["event_id"] is None

    @pytest.mark.parametrize("model", [None, 5, True, ["alias"], {"model": "alias"}])
    def test_a_model_that_is_no_name(self, model: object) -> None:
        """It is not ours to judge: the upstream answers it."""
        assert conversation().on_client(update(model)) == Forward()

    @pytest.mark.parametrize("session", [None, [], "alias", {}])
    def test_no_model_at_all(self, session: object) -> None:
        """A session.update without a model goes on untouched."""
        payload = dumped({"type": "session.update", "session": session})
        assert conversation().on_client(payload) == Forward()
        assert conversation().on_client(b'{"type":"session.update"}') == Forward()

    def test_a_session_without_a_model(self) -> None:
        """Where no model is bound none is held to."""
        assert conversation(None, None).on_client(update("any")) == Forward()

    def test_a_model_given_twice(self) -> None:
        """No duplicate key keeps another model behind the alias."""
        payload = (
            b'{"type":"session.update","session":{"model":"other"},'
            b'"session":{"model":"other","model":"alias"}}'
        )
        verdict = conversation().on_client(payload)
        assert isinstance(verdict, Replace)
        assert b"other" not in verdict.payloads[0]
        assert verdict.payloads[0].count(b'"real"') == 3

    def test_other_events_go_on(self) -> None:
        """What was read only because nothing was proven goes on untouched."""
        payload = b'{"session":{"model":"other"},"type":"response.create"}'
        assert conversation().on_client(payload) == Forward()

    def test_a_model_in_a_response(self) -> None:
        """The API has none there; for servers that take one the same holds."""
        payload = b'{"type":"response.create", "response":{"model" : "alias"}}'
        assert conversation().on_client(payload) == replaced(payload.replace(b"alias", b"real"))
        other = {"type": "response.create", "event_id": "mine", "response": {"model": "other"}}
        verdict = conversation().on_client(dumped(other))
        assert isinstance(verdict, Answer)
        error = json.loads(verdict.payload)["error"]
        assert (error["code"], error["param"]) == ("model_not_found", "response.model")
        assert error["event_id"] == "mine"

    @pytest.mark.parametrize(
        "payload",
        [
            b'{"t\\u0079pe":"session.update","session":{"model":"other"}}',
            b'{"type":"session\\u002eupdate","session":{"model":"other"}}',
            b'{"type":"session.update","s\\u0065ssion":{"m\\u006fdel":"oth\\u0065r"}}',
            b'{"type":"session.update","session":{"model":"alias"},"session":{"model":"other"}}',
            b'{"type":"session.update","session":{"model":"alias","model":"other"}}',
            b'{"session":{"model":"other"},"type":"session.update"}',
            b'{"event_id":"%b","type":"session.update","session":{"model":"other"}}'
            % (b"e" * 2_000),
        ],
    )
    def test_no_form_hides_another_model(self, payload: bytes) -> None:
        """However an update is written whose last word is another model, it is answered."""
        talk = conversation()
        assert talk.client_lanes(payload[:1_024], True) is True
        assert isinstance(talk.on_client(payload), Answer)

    @pytest.mark.parametrize(
        "payload",
        [b"", b"{", b"[]", b"nonsense", b'{"type":"x","y":"session.update"', b'{"type":NaN}'],
    )
    def test_what_is_no_event_goes_on(self, payload: bytes) -> None:
        """Broken JSON is the upstream's to answer."""
        assert conversation().on_client(payload) == Forward()

    @pytest.mark.parametrize(
        "payload",
        [
            b'{"type":"session.update"',
            b'\xef\xbb\xbf{"type":"session.update","session":{"tracing":1}}',
            b'{"z":%b,"type":"session.update","session":{"tracing":1}}'
            % (b"[" * 50_000 + b"]" * 50_000),
            b'{"type":"response.create","response":{"z":%b}}' % (b"[" * 50_000 + b"]" * 50_000),
            b'{"a":"\\n","type":nonsense}',
        ],
    )
    def test_what_cannot_be_read_and_may_be_an_update(self, payload: bytes) -> None:
        """What a rule may speak of does not pass because it cannot be read."""
        verdict = conversation(drop=["tracing"]).on_client(payload)
        assert isinstance(verdict, Answer)
        assert b"no JSON object that can be read" in verdict.payload

    @pytest.mark.parametrize(
        "payload",
        [
            b'{"type":"session.update\xff"}',
            b'{"type":"session.update","session":{"instructions":"\xed\xa0\x80"}}',
            b'{"\\u0074ype":"\xff"}',
        ],
    )
    def test_what_is_not_utf8_ends_the_session(self, payload: bytes) -> None:
        """A text message that is not UTF-8 is a fault of the client: 1007 (RFC 6455, 8.1)."""
        ending = conversation().on_client(payload)
        assert isinstance(ending, Ending)
        assert (ending.side, ending.word) == (closing.Side.CLIENT, "protocol_error")
        assert (ending.client_code, ending.upstream_code) == (1007, 1000)

    @pytest.mark.parametrize("payload", [b"\xff", b'{"a":"\xff","type":"x"}'])
    def test_what_cannot_be_edited_is_not_read(self, payload: bytes) -> None:
        """What can be no ``session.update`` goes on without being decoded or parsed."""
        assert conversation().on_client(payload) == Forward()

    @pytest.mark.parametrize("depth", [*range(850, 1_000), 2_000, 50_000])
    def test_no_depth_is_too_deep(self, depth: int) -> None:
        """A message nested to any depth gets a verdict: what can be read can be edited."""
        nested = b"[" * depth + b"]" * depth
        payload = b'{"x":%b,"type":"session.update","session":{"y":%b,"model":"alias"}}'
        verdict = conversation().on_client(payload % (nested, nested))
        assert isinstance(verdict, Forward | Replace | Answer)


def renamed(payload: bytes, name: str) -> Replace:
    """Return the verdict that the client sees its own name in place of another, and no more."""
    return replaced(payload.replace(dumped(name), b'"alias"'))


class TestModelOfTheUpstream:
    """A session whose upstream shows another model is ended; the client sees its own name."""

    @pytest.mark.parametrize(
        ("type_", "holder"),
        [
            ("session.created", "session"),
            ("session.updated", "session"),
            ("transcription_session.created", "session"),
            ("transcription_session.updated", "session"),
            ("response.created", "response"),
            ("response.done", "response"),
        ],
    )
    def test_the_client_sees_its_own_name(self, type_: str, holder: str) -> None:
        """Wherever an event carries the model it is shown by the alias; another one ends it."""
        talk = conversation()
        talk.on_upstream(shown("session.created", "real"))
        payload = b'{ "type":"%b","%b":{"x" : 1e400,"model": "%b","real":"real"}}'
        ours, other = (payload % (type_.encode(), holder.encode(), m) for m in (b"real", b"r"))
        verdict = payload % (type_.encode(), holder.encode(), b"alias")
        assert talk.on_upstream(ours) == replaced(verdict)
        assert talk.on_upstream(other) == closing.MODEL_CHANGED

    def test_where_alias_and_name_are_one(self) -> None:
        """Nothing has to be changed, and the frames go on as they came."""
        talk = conversation("real", "real")
        assert talk.on_upstream(shown("session.created", "real")) == Forward()
        assert talk.on_upstream(shown("session.updated", "real")) == Forward()

    def test_the_first_event_binds(self) -> None:
        """What session.created shows before the client spoke is as good as the name."""
        talk = conversation()
        first = shown("session.created", "real-2025-08-28")
        assert talk.on_upstream(first) == renamed(first, "real-2025-08-28")
        for model in ("real-2025-08-28", "real"):
            updated = shown("session.updated", model)
            assert talk.on_upstream(updated) == renamed(updated, model)
        for nothing in (None, ""):
            assert talk.on_upstream(shown("session.updated", nothing)) == Forward()
        assert talk.on_upstream(shown("session.updated", "real-2024")) == closing.MODEL_CHANGED

    def test_a_model_behind_a_deployment(self) -> None:
        """The client is shown its alias also where the upstream shows a name we never said."""
        talk = conversation("alias", "my-deployment")
        for type_ in ("session.created", "session.updated"):
            payload = shown(type_, "gpt-realtime-2.1")
            assert talk.on_upstream(payload) == renamed(payload, "gpt-realtime-2.1")
        other = shown("session.updated", "gpt-realtime")
        assert talk.on_upstream(other) == closing.MODEL_CHANGED

    def test_a_snapshot_where_alias_and_name_are_one(self) -> None:
        """A client that asked for a model by its name is shown that name, and not a snapshot."""
        payload = shown("session.created", "alias-2025-08-28")
        verdict = conversation("alias", "alias").on_upstream(payload)
        assert verdict == renamed(payload, "alias-2025-08-28")

    def test_a_second_session_created(self) -> None:
        """Only the first one binds."""
        talk = conversation()
        assert isinstance(talk.on_upstream(shown("session.created", "real")), Replace)
        assert talk.on_upstream(shown("session.created", "other")) == closing.MODEL_CHANGED

    def test_updated_before_created(self) -> None:
        """An update cannot bind a session, nor can a response."""
        assert conversation().on_upstream(shown("session.updated", "other")) == (
            closing.MODEL_CHANGED
        )
        event = {"type": "response.created", "response": {"id": "r", "model": "other"}}
        assert conversation().on_upstream(dumped(event)) == closing.MODEL_CHANGED

    @pytest.mark.parametrize("type_", ["session.created", "session.updated"])
    def test_a_client_that_could_speak_first(self, type_: str) -> None:
        """Where the client may have named a model before, only the name asked for is good."""
        payload = shown(type_, "real")
        assert conversation(silent=False).on_upstream(payload) == renamed(payload, "real")
        assert conversation(silent=False).on_upstream(shown(type_, None)) == Forward()
        assert conversation(silent=False).on_upstream(shown(type_, "real-2025")) == (
            closing.MODEL_CHANGED
        )

    def test_a_session_without_a_model(self) -> None:
        """Where no model is bound any may be shown, by whatever name."""
        talk = conversation(None, None)
        assert talk.on_upstream(shown("session.created", "a")) == Forward()
        assert talk.on_upstream(shown("session.updated", "b")) == Forward()

    def test_the_clients_alias_is_not_a_name_upstream(self) -> None:
        """An upstream that shows the alias shows another model."""
        talk = conversation()
        talk.on_upstream(shown("session.created", "real"))
        assert talk.on_upstream(shown("session.updated", "alias")) == closing.MODEL_CHANGED

    @pytest.mark.parametrize("model", [5, True, ["other"], {"model": "other"}])
    def test_a_model_that_is_no_name(self, model: object) -> None:
        """What is no name is not judged, and goes on."""
        payload = dumped({"type": "session.updated", "session": {"model": model}})
        assert conversation().on_upstream(payload) == Forward()

    def test_what_a_wrong_model_cost_is_counted(self) -> None:
        """The response that ends the session for its model is on the bill."""
        talk = conversation()
        talk.on_upstream(response("created", "a"))
        done = {"id": "a", "model": "other", "usage": {"total_tokens": 3}}
        event = dumped({"type": "response.done", "response": done})
        assert talk.on_upstream(event) == closing.MODEL_CHANGED
        assert (talk.responses, talk.usage()) == (1, {"total_tokens": 3})

    def test_in_translation(self) -> None:
        """A client of the other dialect sees its own name too."""
        talk = conversation(dialect=Dialect.BETA)
        session = {"type": "realtime", "model": "real"}
        verdict = talk.on_upstream(dumped({"type": "session.created", "session": session}))
        assert isinstance(verdict, Replace)
        assert json.loads(verdict.payloads[0])["session"] == {"model": "alias", "temperature": 0.8}

    @pytest.mark.parametrize(
        "payload",
        [
            b'{"type":"session.updated","session":{"model":"real"},"session":{"model":"other"}}',
            b'{"type":"session.updated","session":{"model":"real","model":"other"}}',
            b'{"t\\u0079pe":"session.updated","session":{"model":"other"}}',
            b'{"type":"session\\u002eupdated","session":{"model":"other"}}',
            b'{"type":"session.updated","s\\u0065ssion":{"m\\u006fdel":"oth\\u0065r"}}',
            b'{"session":{"model":"other"},"type":"session.updated"}',
        ],
    )
    def test_no_form_hides_another_model(self, payload: bytes) -> None:
        """However an event is written that shows another model, it is read and ends the session."""
        talk = conversation()
        assert talk.upstream_lanes(payload, True) is True
        assert talk.on_upstream(payload) == closing.MODEL_CHANGED

    def test_no_form_hides_the_upstreams_name(self) -> None:
        """The name is replaced in every place that a parser could prefer."""
        payload = (
            b'{"type":"session.updated","session":{"model":"real","x":"\\u00e9"},'
            b'"s\\u0065ssion":{"model":5,"m\\u006fdel":"r\\u0065al"}}'
        )
        assert conversation().on_upstream(payload) == replaced(
            b'{"type":"session.updated","session":{"model":"alias","x":"\\u00e9"},'
            b'"s\\u0065ssion":{"model":"alias","m\\u006fdel":"alias"}}'
        )

    @pytest.mark.parametrize("depth", [*range(850, 1_000), 2_000, 50_000])
    def test_no_depth_is_too_deep(self, depth: int) -> None:
        """A message nested to any depth gets a verdict."""
        nested = b"[" * depth + b"]" * depth
        payload = b'{"x":%b,"type":"session.updated","session":{"y":%b,"model":"real"}}'
        assert isinstance(conversation().on_upstream(payload % (nested, nested)), Forward | Replace)


class TestFieldsOfTheChannel:
    """What the upstream would refuse is left out, or told to the client."""

    TOOLS = ({"type": "function", "name": "f"}, {"type": "mcp", "server_label": "s"})

    def test_a_field_of_an_update(self) -> None:
        """It is left out, and the rest keeps its text."""
        payload = (
            b'{"type":"session.update","session":{"tracing" : "auto", "n":1.0,"model":"real"}}'
        )
        assert conversation(drop=["tracing"]).on_client(payload) == replaced(
            b'{"type":"session.update","session":{"n":1.0,"model":"real"}}'
        )

    def test_a_field_of_a_response(self) -> None:
        """The same goes for ``response.create``, in a session of one dialect too."""
        talk = conversation(drop=["reasoning"], dialect=Dialect.GA)
        payload = b'{"type":"response.create","response":{"reasoning":{"effort":"low"},"x":1}}'
        assert talk.client_lanes(payload, True) == "small"
        assert talk.on_client(payload) == replaced(b'{"type":"response.create","response":{"x":1}}')

    def test_an_update_of_which_nothing_is_left(self) -> None:
        """It goes on all the same: the client waits for its answer."""
        payload = b'{"type":"session.update","session":{"type":"realtime","tracing":"auto"}}'
        assert conversation(drop=["tracing"]).on_client(payload) == replaced(
            b'{"type":"session.update","session":{"type":"realtime"}}'
        )

    def test_without_the_field(self) -> None:
        """An event that has none of them keeps its frames."""
        talk = conversation(drop=["tracing"])
        assert talk.on_client(b'{ "type":"response.create" , "response":{ } }') == Forward()
        assert talk.on_client(update("real")) == Forward()

    def test_in_the_dialect_of_the_upstream(self) -> None:
        """Fields are those that the upstream is sent, after translation."""
        session = {"type": "realtime", "audio": {"input": {"noise_reduction": None}}, "prompt": 5}
        payload = dumped({"type": "session.update", "session": session})
        beta = conversation(
            dialect=Dialect.GA, upstream=Dialect.BETA, drop=["input_audio_noise_reduction"]
        )
        verdict = beta.on_client(payload)
        assert isinstance(verdict, Replace)
        assert json.loads(verdict.payloads[0])["session"] == {"prompt": 5}
        ga = conversation(dialect=Dialect.BETA, drop=["audio.input.noise_reduction"])
        verdict = ga.on_client(
            dumped({"type": "session.update", "session": {"input_audio_noise_reduction": None}})
        )
        assert isinstance(verdict, Replace)
        assert json.loads(verdict.payloads[0])["session"] == {
            "type": "realtime", "audio": {"input": {}},
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("type_", "holder"), [("session.update", "session"), ("response.create", "response")]
    )
    @pytest.mark.parametrize("upstream", Dialect)
    def test_mcp_tools(self, type_: str, holder: str, upstream: Dialect) -> None:
        """Where the upstream has none the client is told by its event_id, and nothing goes on."""
        talk = conversation(mcp=False, dialect=Dialect.GA, upstream=upstream)
        event = {"type": type_, "event_id": "mine", holder: {"tools": self.TOOLS}}
        verdict = talk.on_client(dumped(event))
        assert isinstance(verdict, Answer)
        error = json.loads(verdict.payload)["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_value")
        assert (error["param"], error["event_id"]) == (f"{holder}.tools[1].type", "mine")
        functions = {"type": type_, holder: {"tools": self.TOOLS[:1]}}
        assert talk.on_client(dumped(functions)) == Forward()

    def test_mcp_tools_where_they_are_known(self) -> None:
        """Without the setting they go on."""
        payload = dumped({"type": "session.update", "session": {"tools": self.TOOLS}})
        assert conversation(dialect=Dialect.GA).on_client(payload) == Forward()

    @pytest.mark.parametrize("depth", [*range(850, 1_000), 2_000])
    def test_no_depth_is_too_deep(self, depth: int) -> None:
        """What is nested as deep as can just be read goes on, or is refused."""
        nested = b"[" * depth + b"]" * depth
        payload = b'{"type":"session.update","session":{"y":%b,"tracing":1}}' % nested
        verdict = conversation(drop=["tracing"]).on_client(payload)
        without = replaced(payload.replace(b',"tracing":1', b""))
        assert verdict in (Forward(), without) or isinstance(verdict, Answer)


class TestOnlyTranscribing:
    """A session that was opened without a model gets none to speak."""

    @pytest.mark.parametrize(
        ("event", "param"),
        [
            ({"type": "response.create"}, "type"),
            ({"type": "response.create", "response": {"model": "dear"}}, "type"),
            ({"type": "session.update", "session": {"type": "realtime"}}, "session.type"),
        ],
    )
    def test_it_stays_so(self, event: dict[str, object], param: str) -> None:
        """The client is told, and the upstream sees nothing of it."""
        verdict = conversation(None, None).on_client(dumped(event))
        assert isinstance(verdict, Answer)
        assert json.loads(verdict.payload)["error"]["param"] == param

    @pytest.mark.parametrize("kind", ["session.update", "transcription_session.update"])
    def test_updates(self, kind: str) -> None:
        """What only transcribes may be set as ever."""
        event = {"type": kind, "session": {"type": "transcription", "include": []}}
        assert conversation(None, None, dialect=Dialect.GA).on_client(dumped(event)) == Forward()

    def test_other_sessions(self) -> None:
        """A session with a model is of no concern here."""
        event = {"type": "session.update", "session": {"type": "realtime"}}
        assert conversation(dialect=Dialect.GA).on_client(dumped(event)) == Forward()


class TestTranscriptions:
    """What an item's transcription costs is put on the bill of the model that made it."""

    @staticmethod
    def item(step: str, item_id: str) -> bytes:
        """Return what an upstream says of an item."""
        kind = "conversation.item.input_audio_transcription."
        kind = "input_audio_buffer." if step == "committed" else kind
        return dumped({"type": kind + step, "item_id": item_id})

    @pytest.mark.parametrize("type_", ["session", "transcription_session"])
    @pytest.mark.parametrize("nested", [True, False])
    def test_the_model_at_the_commit(self, *, type_: str, nested: bool) -> None:
        """It is the one of the commit, also where the session has another by then."""
        talk = conversation(None, None, metered=True)
        for step, model, item in (("created", "one", "a"), ("updated", "two", "b")):
            transcription = {"model": model}
            session = (
                {"audio": {"input": {"transcription": transcription}}}
                if nested
                else {"input_audio_transcription": transcription}
            )
            event = dumped({"type": f"{type_}.{step}", "session": session})
            assert talk.on_upstream(event) == Forward()
            assert talk.on_upstream(self.item("committed", item)) == Forward()
        for item in ("a", "b"):
            assert talk.on_upstream(self.item("completed", item)) == Forward()
        assert [metered.model for metered in talk.take_metered()] == ["one", "two"]


class TestExpiry:
    """When the upstream will end the session is what it has shown last."""

    @pytest.mark.parametrize("type_", ["session.created", "transcription_session.updated"])
    def test_as_it_was_shown(self, type_: str) -> None:
        """It is a whole number, and an event without one changes nothing."""
        talk = conversation(None, None)
        assert talk.expires_at is None
        for expires_at in (1789728574, None, "1789728575", 1789728576.5, True, [1]):
            event = {"type": type_, "session": {"expires_at": expires_at}}
            assert talk.on_upstream(dumped(event)) == Forward()
            assert talk.expires_at == 1789728574
        talk.on_upstream(dumped({"type": type_, "session": {}}))
        assert talk.expires_at == 1789728574
        talk.on_upstream(dumped({"type": "session.updated", "session": {"expires_at": 5}}))
        assert talk.expires_at == 5


class TestResponses:
    """Responses are followed from created to done."""

    def test_in_progress(self) -> None:
        """A response is in progress from its created to its done; several may be."""
        talk = conversation()
        assert not talk.response_in_progress
        for id_ in ("a", "b"):
            assert talk.on_upstream(response("created", id_)) == Forward()
        assert talk.response_in_progress
        talk.on_upstream(response("done", "a"))
        assert talk.response_in_progress
        assert talk.on_upstream(response("done", "b")) == Forward()
        assert not talk.response_in_progress
        assert talk.responses == 2

    def test_done_without_created(self) -> None:
        """The end of a response that was never seen to begin counts, and ends nothing else."""
        talk = conversation()
        talk.on_upstream(response("created", "a"))
        talk.on_upstream(response("done", "unknown"))
        assert talk.response_in_progress
        talk.on_upstream(response("created", "b"))
        talk.on_upstream(response("done", None))
        assert list(talk.cancellations()) == [
            b'{"type": "response.cancel", "response_id": "a"}',
            b'{"type": "response.cancel", "response_id": "b"}',
        ]
        assert talk.responses == 2

    @pytest.mark.parametrize("id_", [None, 5, ["a"]])
    def test_a_response_without_an_id(self, id_: object) -> None:
        """What could never be seen to end is not in progress."""
        talk = conversation()
        talk.on_upstream(response("created", id_))
        assert not talk.response_in_progress

    def test_created_twice(self) -> None:
        """The same response is one response."""
        talk = conversation()
        talk.on_upstream(response("created", "a"))
        talk.on_upstream(response("created", "a"))
        talk.on_upstream(response("done", "a"))
        assert not talk.response_in_progress

    def test_an_odd_usage_does_not_keep_a_response_open(self) -> None:
        """A done whose usage cannot be read is a done."""
        for usage in ({"total_tokens": None}, 5, [], {"input_token_details": 7}):
            talk = conversation()
            talk.on_upstream(response("created", "a"))
            talk.on_upstream(response("done", "a", usage))
            assert not talk.response_in_progress
            assert talk.usage() == {}

    def test_endless_responses_take_no_memory(self) -> None:
        """An upstream that begins responses without end is not followed without end."""
        talk = conversation()
        for number in range(1_000):
            talk.on_upstream(response("created", str(number)))
        for number in range(64):
            assert talk.response_in_progress
            talk.on_upstream(response("done", str(number)))
        assert not talk.response_in_progress

    def test_an_error_ends_nothing(self) -> None:
        """An error of the upstream is relayed, and the response and the session go on."""
        talk = conversation()
        talk.on_upstream(response("created", "a"))
        assert talk.on_upstream(dumped({"type": "error", "error": {"code": "x"}})) == Forward()
        assert talk.response_in_progress

    @pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"\xff", b'{"type":"response.done"}'])
    def test_what_cannot_be_read_goes_on(self, payload: bytes) -> None:
        """The look lane passes on what it does not understand, not UTF-8 included."""
        talk = conversation()
        assert talk.on_upstream(payload) == Forward()
        assert talk.responses == 0


USAGE = {
    "total_tokens": 30,
    "input_tokens": 20,
    "output_tokens": 10,
    "input_token_details": {
        "text_tokens": 5,
        "audio_tokens": 14,
        "image_tokens": 1,
        "cached_tokens": 4,
        "cached_tokens_details": {"text_tokens": 4},
    },
    "output_token_details": {"text_tokens": 3, "audio_tokens": 7},
}


class TestUsage:
    """The tokens of all responses add up."""

    def test_adds_up(self) -> None:
        """Two responses have cost the sum of both, by direction and modality."""
        talk = conversation()
        talk.on_upstream(response("done", "a", USAGE))
        talk.on_upstream(response("done", "b", USAGE))
        talk.on_upstream(response("done", "c"))
        assert talk.responses == 3
        assert talk.usage() == {
            "total_tokens": 60,
            "input_tokens": 40,
            "output_tokens": 20,
            "input_text_tokens": 10,
            "input_audio_tokens": 28,
            "input_image_tokens": 2,
            "input_cached_tokens": 8,
            "output_text_tokens": 6,
            "output_audio_tokens": 14,
        }

    def test_without_details(self) -> None:
        """An upstream that tells only totals is believed in them."""
        talk = conversation()
        talk.on_upstream(response("done", "a", {"total_tokens": 3}))
        assert talk.usage() == {"total_tokens": 3}

    @pytest.mark.parametrize("count", [-1, 0, 1 << 53, 10**4_000])
    def test_what_cannot_be_believed(self, count: int) -> None:
        """A count below 0, or beyond any bill, is left out."""
        talk = conversation()
        talk.on_upstream(response("done", "a", {"total_tokens": count, "input_tokens": 1}))
        assert talk.usage() == {"input_tokens": 1}

    def test_is_a_copy(self) -> None:
        """What is handed out does not change the account."""
        talk = conversation()
        talk.usage()["total_tokens"] = 7
        assert talk.usage() == {}


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=8)
    | st.sampled_from(["alias", "real", "other", "session.update"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["session", "model", "id", "usage", "total_tokens"]), inner
        )
    ),
    max_leaves=10,
)


@given(
    st.sampled_from([*EDITED_CLIENT_EVENTS, *WATCHED_UPSTREAM_EVENTS, "x"]),
    st.dictionaries(st.sampled_from(["session", "response", "error", "event_id"]), _JSON),
    st.booleans(),
    st.sampled_from([None, *Dialect]),
    st.sampled_from(Dialect),
)
def test_never_raises_for_any_event(
    type_: str,
    members: dict[str, Any],
    silent: bool,
    dialect: Dialect | None,
    upstream: Dialect,
) -> None:
    """Whatever an event holds there is a verdict, and the account stays whole numbers."""
    drop = ["id", "model.id", "session.model"]
    talk = conversation(silent=silent, dialect=dialect, upstream=upstream, drop=drop, mcp=False)
    payload = dumped({"type": type_, **members})
    assert isinstance(talk.on_client(payload), Forward | Replace | Answer)
    verdict = talk.on_upstream(payload)
    assert isinstance(verdict, Forward | Replace) or verdict is closing.MODEL_CHANGED
    assert all(type(count) is int and count > 0 for count in talk.usage().values())


@given(st.binary(max_size=100) | _JSON.map(dumped))
def test_never_raises_for_any_bytes(payload: bytes) -> None:
    """Whatever bytes come there is a verdict."""
    talk = conversation()
    assert isinstance(talk.on_client(payload), Forward | Answer | Ending)
    assert talk.on_upstream(payload) == Forward()
