"""Facts about translation that hold for whatever clients and upstreams may send.

Events are generated as their texts, since it is the text that has to survive: a
``Raw`` is a value as somebody wrote it. ``exact`` reads a text with its numbers as
written, so that 0.10 is not 0.1.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rt_proxy.realtime.dialects import BetaClientTranslator, GaClientTranslator, Untranslated
from rt_proxy.realtime.dialects.translator import Translator
from rt_proxy.realtime.jsontext import parse_object
from rt_proxy.realtime.memory import Memory

Json = dict[str, Any]
Value = Any
Translation = Callable[[Translator, str], tuple[str, ...] | Untranslated]


class Raw(str):
    """A JSON value as it is written."""

    __slots__ = ()


class Number(str):
    """A number as it is written, which a string of the same characters does not equal."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(("number", str(self)))


def write(value: Value) -> str:
    """Return the text of a value, without a space that is not in a ``Raw``."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{write(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    return json.dumps(value)


def exact(text: str) -> Json:
    """Read an object with its numbers to the letter."""
    value = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=Number)
    assert isinstance(value, dict)
    return value


# --- what somebody may write

HUGE = "9" * 5_000
NUMBERS = st.sampled_from(["1e400", "-0.0", "0.10", "1E+2", "12345678901234567890", HUGE, "0.8"])
ODD = st.one_of(
    NUMBERS,
    st.sampled_from(
        [
            "null",
            "true",
            '""',
            '"\\u00e9\\ud800\\/"',
            '"\u00f6\U0001f600"',
            '"\\"type\\":\\"session.update\\""',
            "[ 1.0 , { } ]",
            '{ "type" : "text" , "voice" : 0.10 }',
            '{"a":1,"a":2}',
            "[" * 60 + "]" * 60,
            '{"type":' * 60 + "0" + "}" * 60,
        ]
    ),
    st.text(max_size=8).map(json.dumps),
).map(Raw)
NUMBER = NUMBERS.map(Raw)
TEXT = st.text(max_size=8) | st.sampled_from(["Hi", "", "\u00f6"])
ID = st.sampled_from(["item_1", "item_2", "item_3", "\u00f6"])


def some(**members: st.SearchStrategy[Value]) -> st.SearchStrategy[Json]:
    """Draw some of these members."""
    return st.fixed_dictionaries({}, optional=members)


TURNS = st.none() | some(
    type=st.sampled_from(["server_vad", "semantic_vad"]),
    threshold=NUMBER,
    eagerness=st.just("auto"),
    create_response=st.booleans(),
    idle_timeout_ms=st.none() | NUMBER,
)
TRANSCRIPTION = st.none() | some(model=TEXT, language=TEXT, prompt=TEXT)
NOISE = st.none() | some(type=st.just("near_field"), strength=NUMBER)
LIMIT = st.just("inf") | NUMBER
TOOLS = st.lists(some(type=st.just("function"), name=TEXT, parameters=some(x=ODD)), max_size=2)
TOOL_CHOICE = st.sampled_from(["auto", "none", "required"]) | st.fixed_dictionaries(
    {"type": st.just("function"), "name": TEXT}
)
NESTED_TOOL_CHOICE = st.fixed_dictionaries(
    {"type": st.just("function"), "function": st.fixed_dictionaries({"name": TEXT})}
)
COMMON = {
    "instructions": TEXT,
    "tools": TOOLS,
    "tracing": st.none() | st.just("auto") | some(group_id=TEXT),
    "prompt": st.none() | some(id=TEXT, variables=some(x=ODD)),
    "include": st.none() | st.lists(TEXT, max_size=1),
}
SERVER_ONLY = {"id": TEXT, "expires_at": NUMBER, "client_secret": some(value=TEXT)}

PCM = {"type": "audio/pcm", "rate": 24_000}
GA_FORMAT = st.sampled_from(
    [
        PCM,
        {"type": "audio/pcm"},
        {"type": "audio/pcm", "rate": 16_000},
        {"type": "audio/pcm", "rate": Raw(HUGE)},
        {"type": "audio/pcmu"},
        {"type": "audio/pcmu", "rate": 8_000},
        {"type": "audio/pcma"},
        {"type": "audio/opus", "rate": Raw("0.10")},
    ]
)
BETA_FORMAT = st.sampled_from(["pcm16", "g711_ulaw", "g711_alaw", "mp3"]) | GA_FORMAT
BETA_MODALITIES = st.sampled_from(
    [["text"], ["text", "audio"], ["audio", "text"], ["audio"], [], ["video"]]
)
GA_MODALITIES = st.sampled_from([["text"], ["audio"], ["video"]])
GA_VOICE = TEXT | st.fixed_dictionaries({"id": TEXT})

BETA_SESSION = some(
    **COMMON,
    model=TEXT,
    modalities=BETA_MODALITIES,
    voice=TEXT,
    speed=NUMBER,
    input_audio_format=BETA_FORMAT,
    output_audio_format=BETA_FORMAT,
    input_audio_transcription=TRANSCRIPTION,
    input_audio_noise_reduction=NOISE,
    turn_detection=TURNS,
    tool_choice=TOOL_CHOICE | NESTED_TOOL_CHOICE,
    temperature=NUMBER,
    max_response_output_tokens=LIMIT,
)
GA_AUDIO = some(
    input=some(
        format=GA_FORMAT, transcription=TRANSCRIPTION, noise_reduction=NOISE, turn_detection=TURNS
    ),
    output=some(format=GA_FORMAT, voice=GA_VOICE, speed=NUMBER),
)
ONLY_GA = {
    "reasoning": some(effort=TEXT),
    "parallel_tool_calls": st.booleans(),
    "truncation": st.just("auto"),
}
GA_SESSION = st.builds(
    lambda kind, session: {"type": kind, **session},
    st.just("realtime"),
    some(
        **COMMON,
        model=TEXT,
        output_modalities=GA_MODALITIES,
        audio=GA_AUDIO,
        tool_choice=TOOL_CHOICE,
        max_output_tokens=LIMIT,
    ),
)


def parts(*kinds: str) -> st.SearchStrategy[list[Value]]:
    """Draw the content of a message."""
    part = st.sampled_from(kinds).flatmap(
        lambda kind: some(text=TEXT, audio=TEXT, transcript=TEXT).map(
            lambda rest: {"type": kind, **rest}
        )
    )
    return st.lists(part, max_size=3)


def messages(assistant: tuple[str, ...], others: tuple[str, ...]) -> st.SearchStrategy[Json]:
    """Draw messages with parts of these types."""
    return st.sampled_from(["assistant", "user", "system"]).flatmap(
        lambda role: st.fixed_dictionaries(
            {
                "type": st.just("message"),
                "role": st.just(role),
                "content": parts(*(assistant if role == "assistant" else others)),
            },
            optional={"id": ID, "status": st.sampled_from(["completed", "in_progress"])},
        )
    )


OTHER_ITEMS = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("function_call"), "name": TEXT, "arguments": TEXT},
        optional={"id": ID, "call_id": TEXT, "status": st.just("in_progress")},
    ),
    st.fixed_dictionaries(
        {"type": st.just("function_call_output"), "call_id": TEXT, "output": TEXT},
        optional={"id": ID, "status": TEXT},
    ),
    st.fixed_dictionaries({"type": st.just("item_reference"), "id": ID}),
    st.fixed_dictionaries({"type": st.just("other"), "content": ODD}),
)
OBJECT = st.sampled_from([{}, {"object": "realtime.item"}])
BETA_ITEM = st.builds(
    lambda item, more: {**more, **item},
    messages(("text", "audio", "x"), ("input_text", "input_audio", "text", "x")) | OTHER_ITEMS,
    OBJECT,
)
GA_ITEM = st.builds(
    lambda item, more: {**more, **item},
    messages(("output_text", "output_audio", "x"), ("input_text", "input_audio", "x"))
    | OTHER_ITEMS,
    OBJECT,
)

WANTED = {
    **COMMON,
    "conversation": st.sampled_from(["auto", "none"]),
    "metadata": st.none() | some(topic=TEXT),
}
BETA_WANTED = some(
    **WANTED,
    modalities=BETA_MODALITIES,
    voice=TEXT,
    output_audio_format=BETA_FORMAT,
    tool_choice=TOOL_CHOICE | NESTED_TOOL_CHOICE,
    temperature=NUMBER,
    max_response_output_tokens=LIMIT,
    commit=st.booleans(),
    input=st.lists(BETA_ITEM, max_size=2),
)
GA_WANTED = some(
    **WANTED,
    output_modalities=GA_MODALITIES,
    audio=some(output=some(format=GA_FORMAT, voice=GA_VOICE)),
    tool_choice=TOOL_CHOICE,
    max_output_tokens=LIMIT,
    input=st.lists(GA_ITEM, max_size=2),
)


def shown_response(
    item: st.SearchStrategy[Json], **members: st.SearchStrategy[Value]
) -> st.SearchStrategy[Json]:
    """Draw a response as a server shows it."""
    return st.fixed_dictionaries(
        {
            "id": st.sampled_from(["resp_1", "resp_2"]),
            "status": TEXT,
            "status_details": st.none() | some(type=TEXT, reason=TEXT),
            "output": st.lists(item, max_size=2),
        },
        optional={
            "object": st.just("realtime.response"),
            "conversation_id": st.none() | TEXT,
            "max_output_tokens": LIMIT,
            "usage": st.none() | some(total_tokens=NUMBER, input_token_details=some(x=ODD)),
            "metadata": st.none() | some(topic=TEXT),
            **members,
        },
    )


BETA_RESPONSE = shown_response(
    BETA_ITEM,
    modalities=BETA_MODALITIES,
    voice=TEXT,
    output_audio_format=BETA_FORMAT,
    temperature=NUMBER,
)
GA_RESPONSE = shown_response(
    GA_ITEM,
    output_modalities=GA_MODALITIES,
    audio=some(output=some(format=GA_FORMAT, voice=GA_VOICE)),
)


# --- events


Kinds = dict[str, dict[str, st.SearchStrategy[Value]]]


def events(members: Kinds) -> st.SearchStrategy[Json]:
    """Draw events of these types, with an id."""

    def of_type(kind: str) -> st.SearchStrategy[Json]:
        return st.fixed_dictionaries({"type": st.just(kind), "event_id": EVENT_ID, **members[kind]})

    return st.sampled_from(sorted(members)).flatmap(of_type)


EVENT_ID = st.sampled_from(["e1", "e\u00f6", ""])
IDS: dict[str, st.SearchStrategy[Value]] = {
    "response_id": st.just("resp_1"),
    "item_id": ID,
    "previous_item_id": st.none() | ID,
}
SAME_UPSTREAM: Kinds = {
    "input_audio_buffer.speech_started": IDS,
    "response.content_part.added": {**IDS, "part": some(type=st.just("text"), text=TEXT)},
    "conversation.item.truncated": IDS,
    "rate_limits.updated": {"rate_limits": st.lists(some(remaining=NUMBER), max_size=1)},
    "conversation.item.input_audio_transcription.delta": {**IDS, "delta": TEXT},
    "nonsense": {"session": GA_SESSION, "item": BETA_ITEM},
}
SAME_CLIENT: Kinds = {
    "input_audio_buffer.append": {"audio": TEXT},
    "conversation.item.truncate": {"item_id": ID, "audio_end_ms": NUMBER},
    "response.cancel": {"response_id": TEXT},
    "nonsense": {"session": BETA_SESSION, "item": GA_ITEM, "response": BETA_WANTED},
}
PARAM = st.sampled_from(
    [
        None,
        "session.voice",
        "session.audio.output.voice",
        "session.turn_detection.threshold",
        "response.output_modalities[0]",
        "item.content[0].type",
    ]
)
ERROR = {"error": st.fixed_dictionaries({"message": TEXT, "param": PARAM, "event_id": EVENT_ID})}
STEPS = ("delta", "done")
RENAMED = ("text", "audio", "audio_transcript")

BETA_CLIENT: Kinds = {
    "session.update": {"session": BETA_SESSION},
    "transcription_session.update": {"session": BETA_SESSION},
    "response.create": {"response": BETA_WANTED},
    "conversation.item.create": {"previous_item_id": st.none() | ID, "item": BETA_ITEM},
    **SAME_CLIENT,
}
GA_CLIENT: Kinds = {
    "session.update": {"session": GA_SESSION},
    "response.create": {"response": GA_WANTED},
    "conversation.item.create": {"previous_item_id": st.none() | ID, "item": GA_ITEM},
    **SAME_CLIENT,
}
GA_UPSTREAM: Kinds = {
    "session.created": {"session": GA_SESSION},
    "session.updated": {"session": GA_SESSION},
    "conversation.item.added": {"item": GA_ITEM},
    "conversation.item.done": {"item": GA_ITEM.map(lambda item: {"id": "item_1", **item})},
    "conversation.item.retrieved": {"item": GA_ITEM},
    "conversation.item.deleted": {"item_id": ID},
    "input_audio_buffer.committed": IDS,
    "response.created": {"response": GA_RESPONSE},
    "response.done": {"response": GA_RESPONSE},
    "response.output_item.added": {"item": GA_ITEM},
    "response.output_item.done": {"item": GA_ITEM},
    "error": ERROR,
    **{f"response.output_{what}.{step}": IDS for what in RENAMED for step in STEPS},
    **SAME_UPSTREAM,
}
BETA_UPSTREAM: Kinds = {
    "session.created": {"session": BETA_SESSION},
    "session.updated": {"session": BETA_SESSION},
    "transcription_session.updated": {"session": BETA_SESSION},
    "conversation.item.created": {"item": BETA_ITEM},
    "conversation.item.retrieved": {"item": BETA_ITEM},
    "conversation.item.deleted": {"item_id": ID},
    "conversation.item.input_audio_transcription.completed": {"transcript": TEXT},
    "response.created": {"response": BETA_RESPONSE},
    "response.done": {"response": BETA_RESPONSE},
    "response.output_item.added": {"item": BETA_ITEM},
    "response.output_item.done": {"item": BETA_ITEM},
    "response.function_call_arguments.done": {**IDS, "arguments": TEXT},
    "error": ERROR,
    **{f"response.{what}.{step}": IDS for what in RENAMED for step in STEPS},
    **SAME_UPSTREAM,
}

#: Each of the four ways of an event: the translator, which way it goes, and what goes there.
WAYS: dict[str, tuple[type[Translator], Translation, st.SearchStrategy[Json]]] = {
    "from a Beta client": (BetaClientTranslator, Translator.from_client, events(BETA_CLIENT)),
    "to a Beta client": (
        BetaClientTranslator,
        lambda translator, text: translator.from_upstream(text),
        events(GA_UPSTREAM),
    ),
    "from a GA client": (GaClientTranslator, Translator.from_client, events(GA_CLIENT)),
    "to a GA client": (
        GaClientTranslator,
        lambda translator, text: translator.from_upstream(text),
        events(BETA_UPSTREAM),
    ),
}
each_way = pytest.mark.parametrize("way", WAYS)

#: Members that are dropped whole on some way: what is in them has no other form.
DROPPED = {"client_secret", "temperature", "commit", "reasoning", "truncation"}


def sprinkled(draw: st.DrawFn, value: Value, junk: list[str]) -> Value:
    """Put members that nobody knows into every object, and note each as it is written."""
    if isinstance(value, list):
        return [sprinkled(draw, element, junk) for element in value]
    if not isinstance(value, dict):
        return value
    members = [
        (name, inner if name in DROPPED else sprinkled(draw, inner, junk))
        for name, inner in value.items()
    ]
    for _ in range(draw(st.integers(0, 1))):
        name, odd = f"x{len(junk)}\u00f6"[: draw(st.sampled_from([-1, 9]))], draw(ODD)
        junk.append(f"{json.dumps(name)}:{odd}")
        members.insert(draw(st.integers(0, len(members))), (name, odd))
    return dict(members)


@st.composite
def texts(draw: st.DrawFn, event: st.SearchStrategy[Json]) -> tuple[str, list[str]]:
    """Draw the text of an event with junk in it, and the junk as it is written there."""
    junk: list[str] = []
    return write(sprinkled(draw, draw(event), junk)), junk


def of_way(way: str) -> st.SearchStrategy[tuple[str, list[str]]]:
    """Draw texts that go a way."""
    return texts(WAYS[way][2])


ANY_WAY = st.sampled_from(sorted(WAYS)).flatmap(
    lambda way: st.tuples(st.just(way), of_way(way), st.lists(of_way(way), max_size=3))
)


def translated(way: str, text: str, translator: Translator | None = None) -> tuple[str, ...]:
    """Return what an event becomes on a way; it has a counterpart."""
    make, translate, _ = WAYS[way]
    result = translate(translator or make(), text)
    assert isinstance(result, tuple)
    return result


class TestEveryEvent:
    """What holds for every event on each of the four ways."""

    @given(ANY_WAY)
    def test_what_nobody_knows_stays_to_the_letter(
        self, drawn: tuple[str, tuple[str, list[str]], list[tuple[str, list[str]]]]
    ) -> None:
        """At whatever depth it stands: no digit, no escape and no space of it changes."""
        way, (text, junk), _ = drawn
        got = "\n".join(translated(way, text))
        assert [odd for odd in junk if odd not in got] == []

    @given(ANY_WAY)
    def test_no_event_id_is_lost(
        self, drawn: tuple[str, tuple[str, list[str]], list[tuple[str, list[str]]]]
    ) -> None:
        """The event keeps its id; what is made up beside it has another, that is nobody's."""
        way, (text, _), _ = drawn
        ids = [exact(event)["event_id"] for event in translated(way, text)]
        assert exact(text)["event_id"] in ids
        assert len(set(ids)) == len(ids)
        assert sum(not id_.startswith("event_") for id_ in ids) == 1

    @given(ANY_WAY)
    def test_twice_is_once(
        self, drawn: tuple[str, tuple[str, list[str]], list[tuple[str, list[str]]]]
    ) -> None:
        """What is in the right dialect already goes on as the very same text."""
        way, (text, _), _ = drawn
        for event in translated(way, text):
            (again,) = translated(way, event)
            assert again is event

    @given(ANY_WAY)
    def test_twice_is_once_in_one_session(
        self, drawn: tuple[str, tuple[str, list[str]], list[tuple[str, list[str]]]]
    ) -> None:
        """The same holds where the session has a history, but that nothing begins twice."""
        way, (text, _), before = drawn
        translator = WAYS[way][0]()
        for earlier, _ in before:
            translated(way, earlier, translator)
        for event in translated(way, text, translator):
            again = translated(way, event, translator)
            if again != ():
                assert again[0] is event
                assert len(again) == 1
            else:
                assert exact(event)["type"] in (
                    "conversation.created",
                    "conversation.item.created",
                )

    @given(
        st.sampled_from(sorted(WAYS)),
        texts(
            events(SAME_UPSTREAM).filter(lambda event: event["type"] not in SAME_CLIENT)
            | events(SAME_CLIENT)
        ),
        st.sampled_from(["", " ", "\n\t"]),
    )
    def test_what_is_the_same_is_not_touched(
        self, way: str, drawn: tuple[str, list[str]], space: str
    ) -> None:
        """An event that both dialects have, or neither, is the very same text."""
        text = space + drawn[0].replace('"event_id":', f'"event_id"{space}:', 1) + space
        (got,) = translated(way, text)
        assert got is text

    @given(ANY_WAY)
    def test_types_are_those_of_the_other_dialect(
        self, drawn: tuple[str, tuple[str, list[str]], list[tuple[str, list[str]]]]
    ) -> None:
        """No event leaves under a name that its reader does not have."""
        way, (text, _), _ = drawn
        strange = {
            "from a Beta client": {"transcription_session.update"},
            "to a Beta client": {"conversation.item.added", "conversation.item.done"}
            | {f"response.output_{what}.{step}" for what in RENAMED for step in STEPS},
            "from a GA client": set(),
            "to a GA client": {"transcription_session.updated", "conversation.item.created"}
            | {f"response.{what}.{step}" for what in RENAMED for step in STEPS},
        }[way]
        assert strange.isdisjoint(exact(event)["type"] for event in translated(way, text))


# --- what nobody should send

VOCABULARY = st.sampled_from(
    [
        "type", "event_id", "session", "response", "item", "content", "input", "output", "audio",
        "format", "voice", "modalities", "output_modalities", "tools", "tool_choice", "function",
        "name", "role", "id", "rate", "error", "param", "temperature", "turn_detection",
        "input_audio_format", "previous_item_id", "usage", "item_id", "x",
    ]
)  # fmt: skip
WORDS = st.sampled_from(
    [
        "assistant", "user", "text", "audio", "output_text", "output_audio", "input_image",
        "item_reference", "function", "function_call", "mcp", "mcp_call", "message",
        "audio/pcm", "audio/pcmu", "pcm16", "transcription", "realtime", "item_1", "resp_1",
        "realtime.transcription_session", "session.voice",
    ]
)  # fmt: skip
SPACE = st.sampled_from(["", "", " ", "\r\n\t"])


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    """Draw an object of members that mean something somewhere; a key may stand twice."""
    members = draw(st.lists(st.tuples(VOCABULARY, SPACE, SPACE, inner, SPACE), max_size=6))
    written = [
        f"{before}{json.dumps(name)}{between}:{between}{value}{after}"
        for name, before, between, value, after in members
    ]
    return "{" + ",".join(written) + draw(SPACE) + "}"


SCRAPS = st.recursive(
    ODD.map(str) | WORDS.map(json.dumps) | st.just("NaN"),
    lambda inner: (
        objects(inner)
        | st.lists(inner, max_size=3).map(lambda values: "[" + ",".join(values) + "]")
    ),
    max_leaves=25,
)
KINDS = st.sampled_from(
    sorted(
        {
            kind
            for make in (BetaClientTranslator, GaClientTranslator)
            for kind in (*make.client_handlers, *make.upstream_handlers)
        }
    )
)


@st.composite
def of_scraps(draw: st.DrawFn) -> str:
    """Draw an event that is made of scraps of events."""
    body = draw(objects(SCRAPS)).rstrip("}").rstrip()
    comma = "" if body == "{" else ","
    return f'{body}{comma}"type":{json.dumps(draw(KINDS))}}}'


def places(value: Value, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all that is in a value."""
    inner: list[tuple[Any, Value]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [one for key, below in inner for one in [(*path, key), *places(below, (*path, key))]]


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """Draw an event in which something is not what it should be."""
    way = draw(st.sampled_from(sorted(WAYS)))
    event: Json = json.loads(json.dumps(draw(WAYS[way][2])))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(event)))
        if path == ("type",):
            continue
        holder = event
        for key in path[:-1]:
            holder = holder[key]
        if draw(st.booleans()):
            holder[path[-1]] = Raw(draw(SCRAPS))
        else:
            holder.pop(path[-1])
        event = json.loads(write(event), parse_int=Raw, parse_float=Raw, parse_constant=Raw)
    return write(event)


def never_raises(text: str) -> None:
    """Check that a text gets an answer on each way, and that the answer can be read."""
    assume(parse_object(text.encode()) is not None)
    for make in (BetaClientTranslator, GaClientTranslator):
        translator = make()
        for result in (
            translator.from_client(text),
            translator.from_upstream(text),
            translator.from_upstream(text),
        ):
            if isinstance(result, Untranslated):
                assert result.message
                assert result.param
                continue
            for event in result:
                assert parse_object(event.encode()) is not None


class TestNothingRaises:
    """Whatever a peer sends gets an answer."""

    @settings(max_examples=300)
    @given(of_scraps())
    def test_events_of_scraps(self, text: str) -> None:
        """Any object whatever."""
        never_raises(text)

    @settings(max_examples=300)
    @given(mutations())
    def test_mutations(self, text: str) -> None:
        """An event in which something is missing, or of another kind, or twice."""
        never_raises(text)

    @given(SCRAPS.filter(lambda text: text.startswith("{")))
    def test_objects(self, text: str) -> None:
        """An object that is no event."""
        never_raises(text)

    @pytest.mark.parametrize("opening", ["[", '{"audio":'])
    @pytest.mark.parametrize("name", ["session", "response", "item", "error", "x"])
    def test_any_depth(self, name: str, opening: str) -> None:
        """What could just be read, but not taken apart, goes on as it is."""
        closing = "]" if opening == "[" else "}"
        for depth in (*range(850, 1_000), 30_000):
            nested = opening * depth + "0" + closing * depth
            for kind in ("session.updated", "response.done", "conversation.item.added", "error"):
                text = f'{{"type":"{kind}","{name}":{nested}}}'
                if parse_object(text.encode()) is None:
                    continue
                for translator in (BetaClientTranslator(), GaClientTranslator()):
                    assert opening * (depth - 3) in "".join(translator.from_upstream(text))


# --- there and back again

#: What the two names of a format mean.
NAMES = {"pcm16": PCM, "g711_ulaw": {"type": "audio/pcmu"}, "g711_alaw": {"type": "audio/pcma"}}


def meant_format(form: Value) -> Value:
    """Return an audio format as GA has it; PCM has 24 kHz and G.711 has no choice of a rate."""
    if isinstance(form, str):
        form = NAMES.get(form, form)
    if not isinstance(form, dict):
        return form
    form = {name: "24000" if value == 24_000 else value for name, value in form.items()}
    if form == {"type": "audio/pcm"}:
        return {"type": "audio/pcm", "rate": "24000"}
    if form["type"] in ("audio/pcmu", "audio/pcma"):
        form.pop("rate", None)
    return {name: str(value) if name == "rate" else value for name, value in form.items()}


def meant_beta(members: Json, *dropped: str) -> Json:
    """Return what a Beta session or response means, as far as both dialects can say it."""
    meant = {name: value for name, value in members.items() if name not in dropped}
    if meant.get("modalities") == []:
        meant.pop("modalities")
    if "audio" in meant.get("modalities", ()):
        meant["modalities"] = ["text", "audio"]
    for name in ("input_audio_format", "output_audio_format"):
        if name in meant:
            meant[name] = meant_format(meant[name])
    choice = meant.get("tool_choice")
    if isinstance(choice, dict) and "function" in choice:
        flat = {name: value for name, value in choice.items() if name != "function"}
        meant["tool_choice"] = {**flat, **choice["function"]}
    for name in ("output", "input"):
        if name in meant:
            meant[name] = [meant_item(item) for item in meant[name]]
    return meant


def meant_ga(members: Json, *dropped: str) -> Json:
    """Return what a GA session or response means, as far as both dialects can say it."""
    meant = {name: value for name, value in members.items() if name not in dropped}
    audio: Json = {}
    for branch, leaves in meant.pop("audio", {}).items():
        if not isinstance(leaves, dict):
            audio[branch] = leaves
            continue
        inner = dict(leaves)
        if "format" in inner:
            inner["format"] = meant_format(inner["format"])
        voice = inner.get("voice")
        if isinstance(voice, dict) and voice.keys() == {"id"}:
            inner["voice"] = voice["id"]
        if inner:
            audio[branch] = inner
    if audio:
        meant["audio"] = audio
    for name in ("output", "input"):
        if name in meant:
            meant[name] = [meant_item(item) for item in meant[name]]
    return meant


def meant_item(item: Json) -> Json:
    """Return what an item means: its ``object`` and an output's ``status`` say nothing.

    What a user writes is ``input_text``, under whatever name.
    """
    meant = {name: value for name, value in item.items() if name != "object"}
    if item["type"] == "function_call_output":
        meant.pop("status", None)
    if item["type"] == "message" and item["role"] != "assistant":
        meant["content"] = [
            {**part, "type": "input_text"} if part["type"] == "text" else part
            for part in item["content"]
        ]
    return meant


def one(way: str, text: str, translator: Translator | None = None) -> str:
    """Return the event that another one becomes, the first if there are more."""
    return translated(way, text, translator)[0]


def renamed(text: str, kind: str) -> str:
    """Return an event under another type, as the other side echoes it."""
    event = exact(text)
    return text.replace(f'"type":"{event["type"]}"', f'"type":"{kind}"', 1)


def event_of(kind: str, name: str, value: st.SearchStrategy[Json]) -> st.SearchStrategy[str]:
    """Draw the text of an event with one thing in it, and junk everywhere."""
    event = st.fixed_dictionaries({"type": st.just(kind), "event_id": EVENT_ID, name: value})
    return texts(event).map(lambda drawn: drawn[0])


GONE_TO_GA = ("temperature", "id", "object", "expires_at", "client_secret")
GONE_TO_BETA = ("model", "reasoning", "parallel_tool_calls", "truncation", *GONE_TO_GA[1:])
OBJECT_OF_SESSION = {"object": st.just("realtime.session"), **SERVER_ONLY}
MORE_BETA_SESSION = st.builds(
    lambda session, more: {**session, **more}, BETA_SESSION, some(**OBJECT_OF_SESSION)
)
MORE_GA_SESSION = st.builds(
    lambda session, more: {**session, **more}, GA_SESSION, some(**OBJECT_OF_SESSION, **ONLY_GA)
)
TEMPERATURE = st.fixed_dictionaries({"temperature": NUMBER})


class TestThereAndBack:
    """What comes back from the other dialect means what it meant."""

    @given(event_of("session.update", "session", MORE_BETA_SESSION))
    def test_the_session_that_a_beta_client_wants(self, text: str) -> None:
        """An upstream that takes all that it is asked for shows it as it was asked for."""
        echo = renamed(one("from a Beta client", text), "session.updated")
        back = exact(one("to a Beta client", echo))
        assert meant_beta(back["session"], "temperature") == meant_beta(
            exact(text)["session"], *GONE_TO_GA
        )

    @given(event_of("session.update", "session", MORE_GA_SESSION))
    def test_the_session_that_a_ga_client_wants(self, text: str) -> None:
        """The same for a GA client, but for what Beta has no word for."""
        echo = renamed(one("from a GA client", text), "session.updated")
        back = exact(one("to a GA client", echo))
        assert meant_ga(back["session"]) == meant_ga(exact(text)["session"], *GONE_TO_BETA)

    @given(
        event_of("session.updated", "session", st.builds(dict.__or__, BETA_SESSION, TEMPERATURE))
    )
    def test_the_session_that_a_beta_server_shows(self, text: str) -> None:
        """Nothing is lost on the way through GA."""
        back = exact(one("to a Beta client", one("to a GA client", text)))
        assert meant_beta(back["session"]) == meant_beta(exact(text)["session"])

    @given(event_of("session.updated", "session", MORE_GA_SESSION))
    def test_the_session_that_a_ga_server_shows(self, text: str) -> None:
        """Nothing is lost on the way through Beta."""
        back = exact(one("to a GA client", one("to a Beta client", text)))
        assert meant_ga(back["session"], "temperature") == meant_ga(exact(text)["session"])

    @given(event_of("response.create", "response", BETA_WANTED))
    def test_the_response_that_a_beta_client_wants(self, text: str) -> None:
        """A Beta upstream behind a GA client is asked for the same."""
        back = exact(one("from a GA client", one("from a Beta client", text)))
        assert meant_beta(back["response"]) == meant_beta(
            exact(text)["response"], "temperature", "commit"
        )

    @given(event_of("response.create", "response", GA_WANTED))
    def test_the_response_that_a_ga_client_wants(self, text: str) -> None:
        """A GA upstream behind a Beta client is asked for the same."""
        back = exact(one("from a Beta client", one("from a GA client", text)))
        assert meant_ga(back["response"]) == meant_ga(exact(text)["response"])

    @given(
        event_of("response.done", "response", st.builds(dict.__or__, BETA_RESPONSE, TEMPERATURE))
    )
    def test_the_response_that_a_beta_server_shows(self, text: str) -> None:
        """Nothing is lost on the way through GA."""
        back = exact(one("to a Beta client", translated("to a GA client", text)[-1]))
        assert meant_beta(back["response"]) == meant_beta(exact(text)["response"])

    @given(event_of("response.done", "response", GA_RESPONSE))
    def test_the_response_that_a_ga_server_shows(self, text: str) -> None:
        """Nothing is lost on the way through Beta."""
        back = exact(translated("to a GA client", one("to a Beta client", text))[-1])
        assert meant_ga(back["response"], "temperature") == meant_ga(exact(text)["response"])

    @given(event_of("conversation.item.create", "item", BETA_ITEM))
    def test_the_item_that_a_beta_client_makes(self, text: str) -> None:
        """It is shown as it was made."""
        echo = renamed(one("from a Beta client", text), "conversation.item.added")
        back = exact(one("to a Beta client", echo))
        assert meant_item(back["item"]) == meant_item(exact(text)["item"])
        assert back["item"]["object"] == "realtime.item"

    @given(event_of("conversation.item.create", "item", GA_ITEM))
    def test_the_item_that_a_ga_client_makes(self, text: str) -> None:
        """It is shown as it was made, when it is there and when it is final."""
        echo = renamed(one("from a GA client", text), "conversation.item.created")
        for back in map(exact, translated("to a GA client", echo)):
            assert meant_item(back["item"]) == meant_item(exact(text)["item"])

    @given(event_of("conversation.item.retrieved", "item", BETA_ITEM))
    def test_the_item_that_a_beta_server_shows(self, text: str) -> None:
        """Nothing is lost on the way through GA."""
        back = exact(one("to a Beta client", one("to a GA client", text)))
        assert meant_item(back["item"]) == meant_item(exact(text)["item"])

    @given(event_of("conversation.item.retrieved", "item", GA_ITEM))
    def test_the_item_that_a_ga_server_shows(self, text: str) -> None:
        """Nothing is lost on the way through Beta."""
        back = exact(one("to a GA client", one("to a Beta client", text)))
        assert meant_item(back["item"]) == meant_item(exact(text)["item"])


# --- over a whole session

STORY = st.lists(
    st.tuples(st.sampled_from(["added", "done", "deleted"]), st.sampled_from("abc")), max_size=20
)


class TestOverASession:
    """What holds however long a session is."""

    @given(STORY)
    def test_an_item_is_created_once(self, story: list[tuple[str, str]]) -> None:
        """A Beta client hears of an item when it is first told, and again only once deleted."""
        translator = BetaClientTranslator()
        known: set[str] = set()
        for step, id_ in story:
            event: Json = {"item_id": id_} if step == "deleted" else {"item": {"id": id_}}
            text = json.dumps({"type": f"conversation.item.{step}", **event})
            got = [json.loads(one)["type"] for one in translator.from_upstream(text)]
            if step == "deleted":
                assert got == ["conversation.item.deleted"]
                known.discard(id_)
            else:
                assert got == [] if id_ in known else ["conversation.item.created"]
                known.add(id_)

    @given(st.permutations(["a", "b", "c", "d"]), st.lists(st.booleans(), min_size=4, max_size=4))
    def test_each_output_is_done_once(self, order: list[str], ended: list[bool]) -> None:
        """Whether its own end is told or only its response's, and in whatever order."""
        translator = GaClientTranslator()
        items = {id_: {"id": id_, "type": "message", "role": "assistant"} for id_ in order}
        told: list[tuple[str, Json]] = [
            ("response.output_item.added", {"item": item}) for item in items.values()
        ]
        told += [("conversation.item.created", {"item": item}) for item in items.values()]
        told += [
            ("response.output_item.done", {"item": items[id_]})
            for id_, is_ended in zip(order, ended, strict=True)
            if is_ended
        ]
        told.append(("response.done", {"response": {"output": list(items.values())}}))
        got = [
            json.loads(text)
            for kind, members in told
            for text in translator.from_upstream(json.dumps({"type": kind, **members}))
        ]
        done = [event["item"]["id"] for event in got if event["type"] == "conversation.item.done"]
        assert sorted(done) == sorted(order)
        assert got[-1]["type"] == "response.done"

    @pytest.mark.parametrize(("count", "length"), [(12_000, 10), (2_000, 5_000)])
    def test_memory_is_bounded(self, count: int, length: int) -> None:
        """Tens of thousands of items, calls and responses, or long ids, are forgotten again."""
        beta, ga = BetaClientTranslator(), GaClientTranslator()
        wish = '{"type":"response.create","response":{"temperature":1.1}}'
        for number in range(count):
            id_ = f"{number}{'i' * length}"
            item = (
                f'"item":{{"id":"{id_}","type":"function_call","name":"n{id_}","call_id":"c{id_}",'
                '"status":"in_progress"}'
            )
            beta.from_client(wish)
            beta.from_upstream(f'{{"type":"response.created","response":{{"id":"{id_}"}}}}')
            beta.from_upstream(f'{{"type":"conversation.item.added",{item}}}')
            ga.from_upstream(f'{{"type":"response.output_item.added",{item}}}')
            ga.from_upstream(f'{{"type":"conversation.item.created",{item}}}')
        memories = [
            thing
            for translator in (beta, ga)
            for thing in vars(translator).values()
            if isinstance(thing, Memory)
        ]
        assert [len(memory._texts) for memory in memories] == (
            [1_024] * 5 if length < 512 else [0] * 5
        )
        for memory in memories:
            assert sum(len(key) + len(text) for key, text in memory._texts.items()) <= 1 << 19
