"""Facts about the values that the two dialects write differently."""

import json

import pytest

from rt_proxy.realtime.dialects.values import (
    format_to_beta,
    format_to_ga,
    modalities_to_beta,
    modalities_to_ga,
    tool_choice_to_ga,
    voice_to_beta,
)

#: Values of other kinds than a function knows, which stay to the letter.
ODD = ["null", "true", "1e400", "0.10", '""', '"x"', "[]", "{}", '[ "x" ]', '{ "x" : 1.0 }']
HUGE = "1" * 5_000


class TestFormats:
    """Audio formats have a name in Beta and are an object in GA."""

    @pytest.mark.parametrize(
        ("name", "form"),
        [
            ("pcm16", {"type": "audio/pcm", "rate": 24_000}),
            ("g711_ulaw", {"type": "audio/pcmu"}),
            ("g711_alaw", {"type": "audio/pcma"}),
        ],
    )
    def test_there_and_back(self, name: str, form: dict[str, object]) -> None:
        """Each name stands for one object."""
        assert json.loads(format_to_ga(json.dumps(name))) == form
        assert json.loads(format_to_beta(json.dumps(form))) == name

    @pytest.mark.parametrize(
        ("form", "name"),
        [
            ('{"type":"audio/pcm"}', "pcm16"),
            ('{ "rate" : 24000.0, "type" : "audio/pcm" }', "pcm16"),
            ('{"type":"audio/pcmu","rate":8000}', "g711_ulaw"),
            ('{"type":"audio/pcma","rate":8000}', "g711_alaw"),
        ],
    )
    def test_other_ways_to_write_them(self, form: str, name: str) -> None:
        """PCM has 24 kHz where nothing else is said, and G.711 never has another rate than 8."""
        assert format_to_beta(form) == json.dumps(name)

    @pytest.mark.parametrize(
        "form",
        [
            '{"type":"audio/pcm","rate":16000}',
            '{"type":"audio/pcm","rate":"24000"}',
            f'{{"type":"audio/pcm","rate":{HUGE}}}',
            '{"type":"audio/pcm","rate":1e400}',
            '{"type":"audio/pcm","rate":null}',
            '{"type":"audio/pcmu","rate":16000}',
            '{"type":"audio/opus"}',
            '{"type":"audio/pcm","rate":24000,"channels":1}',
            '{"type":["audio/pcm"]}',
        ],
        ids=lambda form: form[:40],
    )
    def test_what_has_no_name_in_beta(self, form: str) -> None:
        """It passes to the letter, rather than being taken for what it is not."""
        assert format_to_beta(form) == form

    @pytest.mark.parametrize("type_", ["audio/pcmu", "audio/pcma"])
    @pytest.mark.parametrize("rate", ["8000", "16000", "null"])
    def test_the_rate_of_g711(self, type_: str, rate: str) -> None:
        """GA does not know a rate of G.711, so that it is left out."""
        assert format_to_ga(f'{{"type":"{type_}","rate":{rate}}}') == f'{{"type":"{type_}"}}'

    @pytest.mark.parametrize(
        "form",
        [
            '{ "type":"audio/pcm" , "rate":24000 }',
            '{"type":"audio/pcm","rate":16000}',
            '{ "type" : "audio/pcmu" }',
            '"opus"',
            *ODD,
        ],
    )
    def test_what_is_passed_to_ga(self, form: str) -> None:
        """An object, or a name that is not known, passes to the letter."""
        assert format_to_ga(form) == form

    @pytest.mark.parametrize("value", ['"pcm16"', *ODD])
    def test_what_is_passed_to_beta(self, value: str) -> None:
        """What is no object passes to the letter, and so does an object of no known type."""
        assert format_to_beta(value) == value


class TestModalities:
    """Beta names the transcript of what is spoken; GA does not."""

    @pytest.mark.parametrize(
        "value", ['["text","audio"]', '["audio", "text"]', '["audio"]', '["aud\\u0069o"]']
    )
    def test_spoken(self, value: str) -> None:
        """Audio always has its transcript: GA may not be given both, Beta names both."""
        assert modalities_to_ga(value) == '["audio"]'
        assert modalities_to_beta(value) == '["text","audio"]'

    @pytest.mark.parametrize("value", ['["text"]', '[ "text" ]', '["video"]', "[1e400]", *ODD])
    def test_anything_else(self, value: str) -> None:
        """Text alone is the same in both, and what is not known passes to the letter."""
        assert modalities_to_ga(value) == value
        assert modalities_to_beta(value) == value


class TestVoice:
    """Beta knows voices by their names only."""

    def test_a_voice_of_ones_own(self) -> None:
        """Of an object the id is taken, to the letter."""
        assert voice_to_beta('{"id": "voice_\\u00e9"}') == '"voice_\\u00e9"'

    @pytest.mark.parametrize(
        "value", ['"alloy"', '{"id":5}', '{"id":"x","more":1}', '{"name":"x"}', *ODD]
    )
    def test_anything_else(self, value: str) -> None:
        """It passes to the letter."""
        assert voice_to_beta(value) == value


class TestToolChoice:
    """GA takes the flat form alone; Beta took both."""

    def test_the_nested_form(self) -> None:
        """The function is laid open; what else is there stays."""
        value = '{"type": "function", "x": 0.10, "function": {"name": "f", "y": 1e400}}'
        assert tool_choice_to_ga(value) == '{"type":"function","x":0.10,"name":"f","y":1e400}'

    @pytest.mark.parametrize(
        "value",
        [
            '"auto"',
            '"required"',
            '{"type":"function", "name":"f"}',
            '{"type":"mcp","server_label":"x"}',
            '{"type":"other","function":{"name":"f"}}',
            '{"type":"function","function":"f"}',
            '{"type":"function","function":null}',
            *ODD,
        ],
    )
    def test_anything_else(self, value: str) -> None:
        """It passes to the letter."""
        assert tool_choice_to_ga(value) == value
