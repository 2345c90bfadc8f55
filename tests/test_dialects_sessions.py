"""Facts about sessions, and what responses have of them, in the two dialects."""

import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from rt_proxy.realtime.dialects.members import NoCounterpartError, Untranslated
from rt_proxy.realtime.dialects.sessions import (
    is_transcription,
    shown_response_to_beta,
    shown_response_to_ga,
    shown_session_to_beta,
    shown_session_to_ga,
    wanted_response_to_beta,
    wanted_response_to_ga,
    wanted_session_to_beta,
    wanted_session_to_ga,
)
from rt_proxy.realtime.jsontext import Members, read_members, write_object

Json = dict[str, Any]

TURNS = {"type": "server_vad", "threshold": 0.5, "create_response": True}
PCM = {"type": "audio/pcm", "rate": 24_000}
TOOL = {"type": "function", "name": "f", "parameters": {}}


def edited(edit: Callable[[Members], Members], value: Json) -> Json:
    """Return a value as an edit of its members leaves it."""
    members = read_members(json.dumps(value))
    assert members is not None
    result: Json = json.loads(write_object(edit(members)))
    return result


def update_to_ga(session: Json, kind: str = "realtime") -> Json:
    """Return the session of a Beta client's update in GA."""
    return edited(lambda it: wanted_session_to_ga(it, kind), session)


def update_to_beta(session: Json) -> Json:
    """Return the session of a GA client's update in Beta."""
    return edited(wanted_session_to_beta, session)


def shown_to_ga(session: Json, kind: str = "realtime") -> Json:
    """Return the session that a Beta server shows, in GA."""
    return edited(lambda it: shown_session_to_ga(it, kind), session)


def shown_to_beta(session: Json) -> Json:
    """Return the session that a GA server shows, in Beta."""
    return edited(lambda it: shown_session_to_beta(it, "0.8"), session)


#: Members of a Beta session -> those of a GA session, that stand for one another.
PAIRS: list[tuple[Json, Json]] = [
    ({"modalities": ["text", "audio"]}, {"output_modalities": ["audio"]}),
    ({"modalities": ["text"]}, {"output_modalities": ["text"]}),
    ({"voice": "alloy"}, {"audio": {"output": {"voice": "alloy"}}}),
    ({"speed": 1.25}, {"audio": {"output": {"speed": 1.25}}}),
    ({"input_audio_format": "pcm16"}, {"audio": {"input": {"format": PCM}}}),
    (
        {"input_audio_format": "g711_ulaw"},
        {"audio": {"input": {"format": {"type": "audio/pcmu"}}}},
    ),
    ({"output_audio_format": "pcm16"}, {"audio": {"output": {"format": PCM}}}),
    (
        {"output_audio_format": "g711_alaw"},
        {"audio": {"output": {"format": {"type": "audio/pcma"}}}},
    ),
    (
        {"input_audio_transcription": {"model": "whisper-1"}},
        {"audio": {"input": {"transcription": {"model": "whisper-1"}}}},
    ),
    ({"input_audio_transcription": None}, {"audio": {"input": {"transcription": None}}}),
    (
        {"input_audio_noise_reduction": {"type": "near_field"}},
        {"audio": {"input": {"noise_reduction": {"type": "near_field"}}}},
    ),
    ({"input_audio_noise_reduction": None}, {"audio": {"input": {"noise_reduction": None}}}),
    ({"turn_detection": TURNS}, {"audio": {"input": {"turn_detection": TURNS}}}),
    ({"turn_detection": None}, {"audio": {"input": {"turn_detection": None}}}),
    ({"max_response_output_tokens": 500}, {"max_output_tokens": 500}),
    ({"max_response_output_tokens": "inf"}, {"max_output_tokens": "inf"}),
    ({"tools": [TOOL]}, {"tools": [TOOL]}),
    ({"tools": []}, {"tools": []}),
    ({"tool_choice": "required"}, {"tool_choice": "required"}),
    ({"instructions": "Hi"}, {"instructions": "Hi"}),
    ({"instructions": ""}, {"instructions": ""}),
    ({"tracing": "auto"}, {"tracing": "auto"}),
    ({"tracing": None}, {"tracing": None}),
    ({"prompt": {"id": "p"}}, {"prompt": {"id": "p"}}),
    ({"include": ["x"]}, {"include": ["x"]}),
    ({}, {}),
]
each_pair = pytest.mark.parametrize(
    ("beta", "ga"), PAIRS, ids=[",".join(f"{k}={v}" for k, v in beta.items()) for beta, _ in PAIRS]
)


class TestPairs:
    """Each field has one place in either dialect, and the value comes back from the other."""

    @each_pair
    def test_update_to_ga(self, beta: Json, ga: Json) -> None:
        """Of an update what is there is translated, null included, and nothing is added."""
        assert update_to_ga(beta) == {"type": "realtime", **ga}

    @each_pair
    def test_update_to_beta(self, beta: Json, ga: Json) -> None:
        """The same the other way; Beta has no ``type``."""
        assert update_to_beta({"type": "realtime", **ga}) == beta

    @each_pair
    def test_shown_to_ga(self, beta: Json, ga: Json) -> None:
        """What a Beta server shows is nested the same way."""
        server = {"id": "sess_1", "object": "realtime.session", "model": "m", "expires_at": 1}
        assert shown_to_ga({**server, **beta}) == {"type": "realtime", **server, **ga}

    @each_pair
    def test_shown_to_beta(self, beta: Json, ga: Json) -> None:
        """What a GA server shows is flat the same way, with the temperature that Beta had."""
        server = {"id": "sess_1", "object": "realtime.session", "model": "m", "expires_at": 1}
        shown = shown_to_beta({"type": "realtime", **server, **ga})
        assert shown == {**server, **beta, "temperature": 0.8}

    def test_all_at_once(self) -> None:
        """Members that go to one object meet there."""
        beta = {
            "voice": "alloy",
            "input_audio_format": "g711_ulaw",
            "output_audio_format": "pcm16",
            "turn_detection": None,
            "speed": 1.0,
        }
        ga = {
            "type": "realtime",
            "audio": {
                "input": {"format": {"type": "audio/pcmu"}, "turn_detection": None},
                "output": {"voice": "alloy", "format": PCM, "speed": 1.0},
            },
        }
        assert update_to_ga(beta) == ga
        assert update_to_beta(ga) == beta


class TestUpdateToGa:
    """What a Beta client asks of its session, for a GA upstream."""

    def test_no_modalities(self) -> None:
        """An empty list asks for nothing, and GA would refuse it."""
        assert update_to_ga({"modalities": []}) == {"type": "realtime"}

    def test_audio_alone(self) -> None:
        """Late Beta clients ask for audio alone, as in GA."""
        assert update_to_ga({"modalities": ["audio"]}) == {
            "type": "realtime",
            "output_modalities": ["audio"],
        }

    def test_never_both_names(self) -> None:
        """Where a client sends the names of both dialects, the GA one stands."""
        session = {
            "modalities": ["text"],
            "output_modalities": ["audio"],
            "max_response_output_tokens": 1,
            "max_output_tokens": 2,
            "voice": "flat",
            "audio": {"output": {"voice": "nested"}},
        }
        assert update_to_ga(session) == {
            "type": "realtime",
            "output_modalities": ["audio"],
            "max_output_tokens": 2,
            "audio": {"output": {"voice": "nested"}},
        }

    def test_a_limit_under_its_ga_name(self) -> None:
        """Both names of the limit are good in a Beta client's session."""
        assert update_to_ga({"max_output_tokens": 5})["max_output_tokens"] == 5

    @pytest.mark.parametrize("name", ["temperature", "id", "object", "expires_at", "client_secret"])
    @pytest.mark.parametrize("value", [0.7, None, {"value": "x"}])
    def test_what_ga_would_refuse(self, name: str, value: object) -> None:
        """Temperature, and what only servers say, is dropped: one such key loses the update."""
        assert update_to_ga({name: value, "speed": 1}) == update_to_ga({"speed": 1})

    def test_the_model_stays(self) -> None:
        """It was held to the session's before."""
        assert update_to_ga({"model": "m"}) == {"type": "realtime", "model": "m"}

    def test_what_nobody_knows_goes_on(self) -> None:
        """The upstream is the judge of it, at whatever depth it stands."""
        session = {
            "x": 1,
            "reasoning": {"effort": "low"},
            "truncation": "auto",
            "parallel_tool_calls": True,
            "turn_detection": {"type": "x", "y": 2},
            "audio": {"x": 3},
        }
        assert update_to_ga(session) == {
            "type": "realtime",
            "x": 1,
            "reasoning": {"effort": "low"},
            "truncation": "auto",
            "parallel_tool_calls": True,
            "audio": {"x": 3, "input": {"turn_detection": {"type": "x", "y": 2}}},
        }

    def test_a_tool_choice(self) -> None:
        """The nested form of a function becomes the flat one; the flat one stays."""
        nested = {"tool_choice": {"type": "function", "function": {"name": "f"}}}
        flat = {"tool_choice": {"type": "function", "name": "f"}}
        assert update_to_ga(nested) == update_to_ga(flat) == {"type": "realtime", **flat}

    def test_a_tool_keeps_what_it_has(self) -> None:
        """Extra keys of a tool, such as ``strict``, are the upstream's to judge."""
        tools = [{**TOOL, "strict": True}, {"type": "mcp", "server_label": "x"}]
        assert update_to_ga({"tools": tools})["tools"] == tools

    @pytest.mark.parametrize("rate", [8_000, 16_000])
    def test_a_format_as_an_object(self, rate: int) -> None:
        """It goes to its place; the rate of G.711 has no place in GA, that of PCM has."""
        session = {
            "input_audio_format": {"type": "audio/pcmu", "rate": rate},
            "output_audio_format": {"type": "audio/pcm", "rate": rate},
        }
        assert update_to_ga(session)["audio"] == {
            "input": {"format": {"type": "audio/pcmu"}},
            "output": {"format": {"type": "audio/pcm", "rate": rate}},
        }

    def test_a_format_that_is_not_known(self) -> None:
        """It goes to its place as it is."""
        session = {"input_audio_format": "mp3", "output_audio_format": None}
        assert update_to_ga(session)["audio"] == {
            "input": {"format": "mp3"},
            "output": {"format": None},
        }

    def test_the_type_of_a_client_that_has_one(self) -> None:
        """A client that names a type meant it."""
        assert update_to_ga({"type": "transcription"}) == {"type": "transcription"}

    def test_a_transcription(self) -> None:
        """Its fields are below ``audio.input``, and it has no modalities."""
        session = {
            "input_audio_format": "pcm16",
            "input_audio_transcription": {"model": "gpt-4o-transcribe"},
            "turn_detection": TURNS,
            "input_audio_noise_reduction": None,
            "include": ["x"],
            "modalities": ["text"],
            "client_secret": {"expires_at": {"anchor": "created_at", "seconds": 60}},
        }
        assert update_to_ga(session, "transcription") == {
            "type": "transcription",
            "audio": {
                "input": {
                    "format": PCM,
                    "transcription": {"model": "gpt-4o-transcribe"},
                    "turn_detection": TURNS,
                    "noise_reduction": None,
                }
            },
            "include": ["x"],
        }


class TestUpdateToBeta:
    """What a GA client asks of its session, for a Beta upstream."""

    @pytest.mark.parametrize(
        "name", ["type", "model", "id", "object", "expires_at", "client_secret"]
    )
    def test_what_beta_would_refuse(self, name: str) -> None:
        """It does not know a type, and its model and what only servers say cannot be set."""
        assert update_to_beta({name: "x", "instructions": "Hi"}) == {"instructions": "Hi"}

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("reasoning", {"effort": "low"}),
            ("parallel_tool_calls", False),
            ("truncation", {"type": "retention_ratio", "retention_ratio": 0.8}),
        ],
    )
    def test_what_can_be_done_without(self, name: str, value: object) -> None:
        """What only GA has is dropped where the session works without it."""
        assert update_to_beta({name: value}) == {}

    def test_what_nobody_knows_goes_on(self) -> None:
        """The upstream is the judge of it, below ``audio`` too."""
        session = {"x": 1, "audio": {"y": 2, "input": {"z": 3, "turn_detection": None}}}
        assert update_to_beta(session) == {
            "x": 1,
            "turn_detection": None,
            "audio": {"y": 2, "input": {"z": 3}},
        }

    def test_a_voice_of_ones_own(self) -> None:
        """Beta knows voices by name only."""
        assert update_to_beta({"audio": {"output": {"voice": {"id": "voice_1"}}}}) == {
            "voice": "voice_1"
        }

    def test_a_format_that_beta_has_no_name_for(self) -> None:
        """It goes on as the object, for the upstream to judge, rather than as another format."""
        form = {"type": "audio/pcm", "rate": 16_000}
        assert update_to_beta({"audio": {"input": {"format": form}}}) == {
            "input_audio_format": form
        }

    def test_a_tool_choice(self) -> None:
        """Beta took the flat form too."""
        session = {"tool_choice": {"type": "function", "name": "f"}}
        assert update_to_beta(session) == session

    def test_a_temperature(self) -> None:
        """Beta has one: a GA client that sends it is not kept from it."""
        assert update_to_beta({"temperature": 0.7}) == {"temperature": 0.7}

    def test_an_mcp_tool(self) -> None:
        """The client is told which tool, and why: dropping it would be silent."""
        session = {"tools": [TOOL, {"type": "mcp", "server_label": "x"}]}
        with pytest.raises(NoCounterpartError) as raised:
            update_to_beta(session)
        assert raised.value.untranslated == Untranslated(
            "Tools of the type 'mcp' have no counterpart in the Beta dialect, which this "
            "session's upstream speaks; give it function tools.",
            "session.tools[1].type",
        )

    @pytest.mark.parametrize("tools", [None, "mcp", {"type": "mcp"}, [["mcp"], "mcp", None]])
    def test_tools_that_are_none(self, tools: object) -> None:
        """What is no list of tools is the upstream's to judge."""
        assert update_to_beta({"tools": tools}) == {"tools": tools}


class TestShownToBeta:
    """What a GA server shows of a session, for a Beta client."""

    def test_what_only_ga_has_stays(self) -> None:
        """Extra fields are harmless to a client, and true."""
        more = {"reasoning": {"effort": "low"}, "truncation": "auto", "parallel_tool_calls": True}
        assert shown_to_beta({"type": "realtime", **more}) == {**more, "temperature": 0.8}

    def test_a_temperature_that_is_shown_stands(self) -> None:
        """An upstream that has one knows it better."""
        assert shown_to_beta({"type": "realtime", "temperature": 1.1}) == {"temperature": 1.1}

    def test_a_transcription(self) -> None:
        """It has no temperature."""
        session = {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "id": "sess_1",
            "audio": {
                "input": {
                    "format": PCM,
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": TURNS,
                }
            },
            "include": None,
        }
        assert shown_to_beta(session) == {
            "object": "realtime.transcription_session",
            "id": "sess_1",
            "input_audio_format": "pcm16",
            "input_audio_transcription": None,
            "input_audio_noise_reduction": None,
            "turn_detection": TURNS,
            "include": None,
        }

    def test_a_session_that_is_flat_already(self) -> None:
        """It stays, and gets a temperature only where it has none."""
        session = {"object": "realtime.session", "voice": "alloy", "temperature": 0.6}
        assert shown_to_beta(session) == session


class TestShownToGa:
    """What a Beta server shows of a session, for a GA client."""

    def test_the_type_of_a_transcription(self) -> None:
        """The kind of session becomes its type."""
        session = {"object": "realtime.transcription_session", "input_audio_format": "pcm16"}
        assert shown_to_ga(session, "transcription") == {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "audio": {"input": {"format": PCM}},
        }

    def test_a_tool_choice(self) -> None:
        """GA clients know the flat form only."""
        session = {"tool_choice": {"type": "function", "function": {"name": "f"}}}
        assert shown_to_ga(session)["tool_choice"] == {"type": "function", "name": "f"}

    def test_a_session_that_is_nested_already(self) -> None:
        """It stays."""
        session = {"type": "realtime", "audio": {"output": {"voice": "alloy"}}}
        assert shown_to_ga(session) == session


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ({"type": "transcription"}, True),
        ({"object": "realtime.transcription_session"}, True),
        ({"type": "realtime", "object": "realtime.session"}, False),
        ({}, False),
        ({"type": None, "object": ["realtime.transcription_session"]}, False),
    ],
)
def test_is_transcription(session: Json, expected: bool) -> None:
    """GA tells it by the type, Beta by the object."""
    assert is_transcription(read_members(json.dumps(session)) or {}) is expected


class TestWantedResponse:
    """What a client asks of one response."""

    PAIRS: ClassVar[tuple[tuple[Json, Json], ...]] = (
        ({"modalities": ["text", "audio"]}, {"output_modalities": ["audio"]}),
        ({"modalities": ["text"]}, {"output_modalities": ["text"]}),
        ({"voice": "alloy"}, {"audio": {"output": {"voice": "alloy"}}}),
        ({"output_audio_format": "pcm16"}, {"audio": {"output": {"format": PCM}}}),
        ({"max_response_output_tokens": 5}, {"max_output_tokens": 5}),
        ({"instructions": "Hi"}, {"instructions": "Hi"}),
        ({"conversation": "none"}, {"conversation": "none"}),
        ({"metadata": {"a": "b"}}, {"metadata": {"a": "b"}}),
        ({"metadata": None}, {"metadata": None}),
        ({"prompt": {"id": "p"}}, {"prompt": {"id": "p"}}),
        ({"tools": [TOOL]}, {"tools": [TOOL]}),
        ({"tool_choice": "auto"}, {"tool_choice": "auto"}),
        ({"input": []}, {"input": []}),
        (
            {"input": [{"type": "item_reference", "id": "i"}]},
            {"input": [{"type": "item_reference", "id": "i"}]},
        ),
        (
            {"input": [{"role": "assistant", "content": [{"type": "text", "text": "a"}]}]},
            {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": "a"}]}]},
        ),
        ({}, {}),
    )

    @pytest.mark.parametrize(("beta", "ga"), PAIRS)
    def test_pairs(self, beta: Json, ga: Json) -> None:
        """Each field has one place in either dialect."""
        assert edited(wanted_response_to_ga, beta) == ga
        assert edited(wanted_response_to_beta, ga) == beta

    @pytest.mark.parametrize("name", ["temperature", "commit", "cancel_previous"])
    def test_what_ga_would_refuse(self, name: str) -> None:
        """Temperature, and what was outlived in the Beta already, is dropped."""
        assert edited(wanted_response_to_ga, {name: 1, "voice": "x"}) == edited(
            wanted_response_to_ga, {"voice": "x"}
        )

    def test_a_limit_under_its_ga_name(self) -> None:
        """Both names of the limit are good in a Beta client's request."""
        assert edited(wanted_response_to_ga, {"max_output_tokens": 5}) == {"max_output_tokens": 5}

    def test_no_modalities(self) -> None:
        """An empty list asks for nothing."""
        assert edited(wanted_response_to_ga, {"modalities": []}) == {}

    def test_a_tool_choice(self) -> None:
        """The nested form of a function becomes the flat one."""
        response = {"tool_choice": {"type": "function", "function": {"name": "f"}}}
        assert edited(wanted_response_to_ga, response) == {
            "tool_choice": {"type": "function", "name": "f"}
        }

    def test_what_nobody_knows_goes_on(self) -> None:
        """It stays at its place: no response has an input format or a speed to be moved."""
        response = {"x": 1, "speed": 1.5, "turn_detection": None}
        assert edited(wanted_response_to_ga, response) == response
        assert edited(wanted_response_to_beta, response) == response

    @pytest.mark.parametrize("name", ["reasoning", "parallel_tool_calls", "truncation"])
    def test_what_beta_can_do_without(self, name: str) -> None:
        """What only GA has is dropped where the response works without it."""
        assert edited(wanted_response_to_beta, {name: 1}) == {}

    def test_a_reference_in_a_message(self) -> None:
        """A message that only refers to an item becomes the reference, as GA has it."""
        reference = {"type": "item_reference", "id": "item_1"}
        given = [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
            {"type": "message", "role": "user", "content": [reference]},
        ]
        assert edited(wanted_response_to_ga, {"input": given}) == {"input": [given[0], reference]}

    @pytest.mark.parametrize("index", [0, 1])
    def test_a_reference_beside_other_content(self, index: int) -> None:
        """GA has no form for it: the client is told where it stands."""
        content: list[Json] = [{"type": "input_text", "text": "a"}]
        content.insert(index, {"type": "item_reference", "id": "item_1"})
        given = [{"type": "item_reference", "id": "x"}, {"type": "message", "content": content}]
        with pytest.raises(NoCounterpartError) as raised:
            edited(wanted_response_to_ga, {"input": given})
        assert raised.value.untranslated == Untranslated(
            "A reference to an item must be the only content of its message: "
            "the GA dialect, which this session's upstream speaks, refers to whole items.",
            f"response.input[1].content[{index}]",
        )

    @pytest.mark.parametrize(
        ("response", "param"),
        [
            ({"tools": [{"type": "mcp"}]}, "response.tools[0].type"),
            ({"input": [{"type": "message"}, {"type": "mcp_call"}]}, "response.input[1].type"),
            (
                {"input": [{"type": "message", "content": [{"type": "input_image"}]}]},
                "response.input[0].content[0].type",
            ),
        ],
    )
    def test_what_has_no_counterpart_in_beta(self, response: Json, param: str) -> None:
        """The client is told where it stands."""
        with pytest.raises(NoCounterpartError) as raised:
            edited(wanted_response_to_beta, response)
        assert raised.value.untranslated.param == param

    @pytest.mark.parametrize("given", [None, "x", {"type": "item_reference"}, [None, 5, [], "x"]])
    def test_an_input_that_is_none(self, given: object) -> None:
        """What is no list of items is the upstream's to judge."""
        assert edited(wanted_response_to_ga, {"input": given}) == {"input": given}
        assert edited(wanted_response_to_beta, {"input": given}) == {"input": given}


class TestShownResponse:
    """Response objects, as servers show them."""

    BETA: ClassVar[Json] = {
        "object": "realtime.response",
        "id": "resp_1",
        "status": "completed",
        "status_details": None,
        "output": [
            {
                "id": "item_1",
                "object": "realtime.item",
                "type": "message",
                "role": "assistant",
                "content": [{"type": "audio", "transcript": "Hi"}],
            },
            {"id": "item_2", "object": "realtime.item", "type": "function_call", "name": "f"},
        ],
        "conversation_id": "conv_1",
        "modalities": ["text", "audio"],
        "voice": "alloy",
        "output_audio_format": "pcm16",
        "temperature": 0.8,
        "max_output_tokens": "inf",
        "usage": {"total_tokens": 10},
        "metadata": None,
    }
    GA: ClassVar[Json] = {
        "object": "realtime.response",
        "id": "resp_1",
        "status": "completed",
        "status_details": None,
        "output": [
            {
                "id": "item_1",
                "object": "realtime.item",
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_audio", "transcript": "Hi"}],
            },
            {"id": "item_2", "object": "realtime.item", "type": "function_call", "name": "f"},
        ],
        "conversation_id": "conv_1",
        "output_modalities": ["audio"],
        "audio": {"output": {"voice": "alloy", "format": PCM}},
        "temperature": 0.8,
        "max_output_tokens": "inf",
        "usage": {"total_tokens": 10},
        "metadata": None,
    }

    def test_to_beta(self) -> None:
        """Everything is where a Beta client looks for it."""
        ga = {name: value for name, value in self.GA.items() if name != "temperature"}
        assert edited(lambda it: shown_response_to_beta(it, "0.8"), ga) == self.BETA

    def test_to_ga(self) -> None:
        """Everything is where a GA client looks for it; a temperature too much is harmless."""
        assert edited(shown_response_to_ga, self.BETA) == self.GA

    def test_the_limit_keeps_its_name(self) -> None:
        """Unlike a session's, a response's limit is called the same in both dialects."""
        shown = edited(lambda it: shown_response_to_beta(it, "1"), {"max_output_tokens": 5})
        assert shown == {"max_output_tokens": 5, "temperature": 1}

    def test_a_temperature_that_is_shown_stands(self) -> None:
        """An upstream that has one knows it better."""
        shown = edited(lambda it: shown_response_to_beta(it, "0.8"), {"temperature": 0.6})
        assert shown == {"temperature": 0.6}

    def test_what_strict_clients_miss(self) -> None:
        """What a look-alike leaves out and GA always has is there; nothing else is made up."""
        assert edited(shown_response_to_ga, {"id": "resp_1"}) == {
            "id": "resp_1",
            "status_details": None,
            "output": [],
        }

    @pytest.mark.parametrize("output", [None, "x", {}, [None, 5, [], "x"]])
    def test_an_output_that_is_none(self, output: object) -> None:
        """What is no list of items stays."""
        response = {"output": output, "status_details": None, "temperature": 1}
        assert edited(shown_response_to_ga, response) == response
        assert edited(lambda it: shown_response_to_beta(it, "0.8"), response) == response
