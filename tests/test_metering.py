"""Facts about metering one session: what counts, once, and what is estimated."""

import base64
from typing import Any

import attrs
import pytest
from eventexamples import TOKENS_USAGE, USAGE
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.realtime.counts import Reported, Tokens
from rt_proxy.realtime.metering import Meter, Metered

TOKENS = Tokens(text_in=55, text_cached_in=64, audio_in=13, text_out=30, audio_out=91)


def done(id_: str | None = "r1", **more: Any) -> dict[str, Any]:
    """Return a response that has ended."""
    return {"id": id_, "status": "completed", "usage": USAGE} | more


def speech(milliseconds: int, bytes_per_millisecond: int = 48) -> int:
    """Return how many characters of base64 so much audio is."""
    return len(base64.b64encode(bytes(milliseconds * bytes_per_millisecond)))


def estimate(meter: Meter) -> Tokens:
    """Return the estimate of the one response whose end did not come."""
    [metered] = meter.unfinished()
    assert not metered.reported.is_exact
    return metered.reported.tokens


class TestResponses:
    """A response counts when it is done."""

    @pytest.mark.parametrize("status", ["completed", "cancelled", "incomplete", "failed"])
    def test_what_was_reported(self, status: str) -> None:
        """Whatever its end, what the upstream reported counts, to the last token."""
        meter = Meter()
        meter.note_created({"id": "r1"})
        metered = meter.note_done(done(status=status))
        assert metered == Metered("response", "r1", Reported(TOKENS), status=status)
        assert not meter.is_active

    def test_counts_once(self) -> None:
        """The same response again, before or after another one, counts no more."""
        meter = Meter()
        assert meter.note_done(done("r1")) is not None
        assert meter.note_done(done("r2")) is not None
        assert meter.note_done(done("r1")) is None
        assert meter.note_done(done("r2", usage={"total_tokens": 9})) is None

    def test_in_and_out_of_band(self) -> None:
        """Responses at the same time count each, whatever conversation they belong to."""
        meter = Meter()
        meter.note_created({"id": "in"})
        meter.note_created({"id": "out"})
        first = meter.note_done(done("out", conversation_id=None))
        second = meter.note_done(done("in", conversation_id="conv_1"))
        assert [one and one.upstream_id for one in (first, second)] == ["out", "in"]

    def test_an_end_without_a_beginning(self) -> None:
        """A response that nobody saw begin counts all the same, and its late beginning is none."""
        meter = Meter()
        assert meter.note_done(done()) is not None
        meter.note_created({"id": "r1"})
        assert not meter.is_active
        assert meter.unfinished() == []

    def test_without_an_id(self) -> None:
        """Responses that cannot be told from each other count each time."""
        meter = Meter()
        for id_ in (None, None, 7, {}):
            metered = meter.note_done(done(id_))  # type: ignore[arg-type]
            assert metered is not None
            assert metered.upstream_id is None

    def test_the_end_of_the_only_one(self) -> None:
        """An end without an id is that of the only response in progress."""
        meter = Meter()
        meter.note_created({"id": "r1"})
        metered = meter.note_done(done(None))
        assert metered is not None
        assert metered.reported.tokens == TOKENS
        assert (meter.is_active, meter.unfinished()) == (False, [])

    def test_failed_and_silent(self) -> None:
        """One that failed, said nothing and reports nothing has cost nothing: no guess."""
        meter = Meter()
        meter.note_created({"id": "r1"})
        metered = meter.note_done(done(status="failed", usage=None))
        assert metered is not None
        assert metered.reported == Reported(Tokens())

    @pytest.mark.parametrize("status", ["completed", "cancelled", "incomplete", "failed"])
    @pytest.mark.parametrize("usage", [None, {}, [], "many", 7])
    def test_no_usage_in_the_end(self, status: str, usage: object) -> None:
        """One whose end came without a usage is estimated from what passed."""
        meter = Meter()
        meter.note_created({"id": "r1"})
        meter.spoken.note(speech(1_000))
        metered = meter.note_done(done(status=status, usage=usage))
        assert metered is not None
        assert metered.reported == Reported(Tokens(audio_out=20), is_exact=False)

    def test_texts_of_a_peer_are_cut(self) -> None:
        """An id or a status that is too long is not kept."""
        meter = Meter()
        metered = meter.note_done(done("r" * 300, status="s" * 300))
        assert metered is not None
        assert metered.upstream_id is None
        assert metered.status == "s" * 256

    def test_so_many_at_once(self) -> None:
        """An upstream that begins responses and ends none takes no more memory than for 64."""
        meter = Meter()
        for number in range(1_000):
            meter.note_created({"id": f"r{number}"})
        meter.note_created({"id": "r" * 300})
        assert len(list(meter.active)) == 64


class TestEstimates:
    """What a response took whose usage does not come."""

    def test_speech(self) -> None:
        """A second of PCM is twenty tokens."""
        meter = Meter()
        meter.note_created({"id": "r1"})
        meter.spoken.note(speech(1_000))
        assert estimate(meter) == Tokens(audio_out=20)

    @pytest.mark.parametrize(
        "session",
        [
            {"audio": {"output": {"format": {"type": "audio/pcmu"}}}},
            {"output_audio_format": "g711_alaw"},
        ],
    )
    def test_speech_in_another_format(self, session: dict[str, Any]) -> None:
        """A second of G.711 is as many, although it is a sixth of the bytes."""
        meter = Meter()
        meter.note_session(session)
        meter.note_created({"id": "r1"})
        meter.spoken.note(speech(1_000, bytes_per_millisecond=8))
        assert estimate(meter) == Tokens(audio_out=20)

    def test_a_session_that_does_not_say_it(self) -> None:
        """An update without a format leaves it as it was."""
        meter = Meter()
        meter.note_session({"output_audio_format": "g711_ulaw"})
        meter.note_session({"audio": None, "voice": "alloy"})
        meter.note_created({"id": "r1"})
        meter.spoken.note(speech(1_000, bytes_per_millisecond=8))
        assert estimate(meter) == Tokens(audio_out=20)

    def test_text(self) -> None:
        """Four characters are a token, begun ones included."""
        meter = Meter()
        meter.note_created({"id": "r1"})
        meter.written.note(9)
        assert estimate(meter) == Tokens(text_out=3)

    def test_what_the_client_said(self) -> None:
        """A second of the client's audio is ten tokens of input, for the response after it."""
        meter = Meter()
        meter.hearing.heard.note(speech(1_000))
        meter.hearing.note_committed()
        meter.note_created({"id": "r1"})
        assert estimate(meter) == Tokens(audio_in=10)

    def test_what_was_said_before(self) -> None:
        """The next response is given all that the last one was given, and what it said."""
        meter = Meter()
        meter.hearing.heard.note(speech(5_000))
        meter.hearing.note_committed()
        meter.note_done(done("r1"))
        meter.hearing.heard.note(speech(1_000))
        meter.hearing.note_committed()
        meter.note_created({"id": "r2"})
        assert estimate(meter) == Tokens(text_in=55 + 30, text_cached_in=64, audio_in=13 + 91 + 10)

    def test_what_was_said_while_it_spoke(self) -> None:
        """Who speaks into a response is heard by the next one."""
        meter = Meter()
        meter.hearing.heard.note(speech(5_000))
        meter.hearing.note_committed()
        meter.note_created({"id": "r1"})
        meter.hearing.heard.note(speech(1_000))
        meter.hearing.note_committed()
        meter.note_done(done("r1"))
        meter.note_created({"id": "r2"})
        assert estimate(meter).audio_in == 13 + 91 + 10

    def test_an_open_microphone(self) -> None:
        """What nobody has committed is given to no response."""
        meter = Meter()
        meter.hearing.heard.note(speech(60_000))
        meter.note_created({"id": "r1"})
        assert estimate(meter) == Tokens()

    def test_a_response_beside_the_conversation_changes_no_context(self) -> None:
        """What was out of band is not given to the next response."""
        meter = Meter()
        meter.note_done(done("r1", conversation_id=None))
        meter.note_created({"id": "r2"})
        assert estimate(meter) == Tokens()

    def test_a_response_beside_the_conversation_is_given_nothing_of_it(self) -> None:
        """It is held for what it says alone, however long the conversation is."""
        meter = Meter()
        meter.hearing.heard.note(speech(5_000))
        meter.hearing.note_committed()
        meter.note_created({"id": "r1", "conversation_id": None})
        assert meter.in_progress() == Tokens()
        meter.note_done(done("r1", conversation_id=None))
        meter.note_created({"id": "r2", "conversation_id": "conv_1"})
        assert estimate(meter) == Tokens(audio_in=50)

    def test_each_its_own(self) -> None:
        """What passed is laid to the response that was the latest when it passed."""
        meter = Meter()
        meter.note_created({"id": "r1"})
        meter.spoken.note(speech(1_000))
        meter.note_created({"id": "r2"})
        meter.spoken.note(speech(2_000))
        meter.note_done(done("r2", conversation_id=None))
        meter.spoken.note(speech(500))
        assert estimate(meter) == Tokens(audio_out=30)

    def test_what_passed_before_is_not_its_own(self) -> None:
        """Audio of a response that is over counts for no other one."""
        meter = Meter()
        meter.note_created({"id": "r1"})
        meter.spoken.note(speech(9_000))
        meter.note_done(done("r1", usage=None, conversation_id=None))
        meter.note_created({"id": "r2"})
        assert estimate(meter) == Tokens()

    def test_what_came_together_with_the_beginning(self) -> None:
        """Frames are counted as they arrive, before the event is looked at that stands first."""
        meter = Meter()
        meter.spoken.note(speech(1_000))
        assert meter.in_progress() == Tokens()
        meter.note_created({"id": "r1"})
        assert meter.in_progress() == Tokens(audio_out=20)
        meter.spoken.note(speech(1_000))
        assert estimate(meter) == Tokens(audio_out=40)

    def test_while_it_goes_on(self) -> None:
        """The estimate of all that is in progress grows, and asking changes nothing."""
        meter = Meter()
        meter.note_created({"id": "r1"})
        meter.spoken.note(speech(1_000))
        assert meter.in_progress() == meter.in_progress() == Tokens(audio_out=20)
        meter.note_created({"id": "r2"})
        meter.written.note(40)
        assert meter.in_progress() == Tokens(audio_out=20, text_out=10)

    def test_unfinished_once(self) -> None:
        """An estimate is made once; a usage that comes after it counts no more."""
        meter = Meter()
        meter.note_created({"id": "r1"})
        [metered] = meter.unfinished()
        assert (metered.upstream_id, metered.status) == ("r1", "unfinished")
        assert meter.unfinished() == []
        assert meter.note_done(done("r1")) is None
        assert not meter.is_active


class TestSteps:
    """Whoever watches is called while a response goes on."""

    def test_by_speech(self) -> None:
        """The function is called at the first speech, and then after so many tokens as it says."""
        meter = Meter()
        calls: list[Tokens] = []

        def look() -> int:
            calls.append(meter.in_progress())
            return 10

        meter.watch(look)
        meter.note_created({"id": "r1"})
        for _ in range(20):
            meter.spoken.note(speech(100))
        assert [tokens.audio_out for tokens in calls] == [2, 12, 22, 32]

    def test_by_text(self) -> None:
        """So it is for text."""
        meter = Meter()
        calls: list[Tokens] = []

        def look() -> int:
            calls.append(meter.in_progress())
            return 5 * len(calls)

        meter.watch(look)
        meter.note_created({"id": "r1"})
        for _ in range(10):
            meter.written.note(8)
        assert [tokens.text_out for tokens in calls] == [2, 8, 18]

    def test_by_a_look(self) -> None:
        """A look from outside sets anew how much may pass."""
        meter = Meter()
        calls: list[Tokens] = []
        steps = iter([100, 5, 5, 5, 5])

        def look() -> int:
            calls.append(meter.in_progress())
            return next(steps)

        meter.look()
        meter.watch(look)
        meter.note_created({"id": "r1"})
        meter.look()
        meter.look()
        for _ in range(3):
            meter.spoken.note(speech(250))
        assert [tokens.audio_out for tokens in calls] == [0, 0, 5, 10, 15]


class TestTranscriptions:
    """A transcription counts when it is completed."""

    def test_by_tokens(self) -> None:
        """What it took counts, at the model that transcribed."""
        event = {"item_id": "i1", "content_index": 0, "usage": TOKENS_USAGE}
        assert Meter().note_transcribed(event, "gpt-4o-transcribe") == Metered(
            "transcription",
            "i1",
            Reported(Tokens(audio_in=17, text_out=9)),
            model="gpt-4o-transcribe",
        )

    def test_by_seconds(self) -> None:
        """A model that is paid by time tells the seconds of the audio."""
        event = {"item_id": "i1", "usage": {"type": "duration", "seconds": 3.2}}
        metered = Meter().note_transcribed(event, "whisper-1")
        assert metered is not None
        assert metered.reported == Reported(milliseconds=3_200)

    def test_counts_once(self) -> None:
        """Each part of an item counts once."""
        meter = Meter()
        event = {"item_id": "i1", "content_index": 0, "usage": TOKENS_USAGE}
        other = event | {"content_index": 1}
        metered = [meter.note_transcribed(one, None) for one in (event, other, event, other)]
        assert [one and one.content_index for one in metered] == [0, 1, None, None]

    @pytest.mark.parametrize("usage", [None, {}, [], 7, "x"])
    def test_without_usage(self, usage: object) -> None:
        """One that tells nothing counts as nothing, and as not sure."""
        metered = Meter().note_transcribed({"item_id": "i1", "usage": usage}, None)
        assert metered is not None
        assert metered.reported == Reported(is_exact=False)

    @pytest.mark.parametrize("index", [None, -1, True, "0", 1 << 40])
    def test_a_content_index_that_is_none(self, index: object) -> None:
        """What is no index counts as the first part."""
        metered = Meter().note_transcribed({"item_id": "i", "content_index": index}, None)
        assert metered is not None
        assert metered.content_index == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["created", "done", "transcribed", "session"]),
            st.dictionaries(
                st.sampled_from(["id", "item_id", "usage", "status", "conversation_id", "audio"]),
                JSON,
            ),
        ),
        max_size=10,
    )
)
def test_never_raises(events: list[tuple[str, dict[str, Any]]]) -> None:
    """Whatever an upstream says, every count is a whole number, none of them negative."""
    meter = Meter()
    metered: list[Metered | None] = []
    for kind, thing in events:
        meter.spoken.note(100)
        match kind:
            case "created":
                meter.note_created(thing)
            case "done":
                metered.append(meter.note_done(thing))
            case "transcribed":
                metered.append(meter.note_transcribed(thing, None))
            case "session":
                meter.note_session(thing)
    for one in [*metered, *meter.unfinished()]:
        if one is not None:
            counts = attrs.astuple(one.reported.tokens)
            assert all(type(count) is int and count >= 0 for count in counts)
