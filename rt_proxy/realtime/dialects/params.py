"""The paths of fields in ``error.param``, so that a client is told of what it sent."""

from collections.abc import Mapping

#: Beta path -> GA path, as clients of each dialect know the field.
_TO_GA: Mapping[str, str] = {
    "session.modalities": "session.output_modalities",
    "session.voice": "session.audio.output.voice",
    "session.speed": "session.audio.output.speed",
    "session.input_audio_format": "session.audio.input.format",
    "session.output_audio_format": "session.audio.output.format",
    "session.input_audio_transcription": "session.audio.input.transcription",
    "session.input_audio_noise_reduction": "session.audio.input.noise_reduction",
    "session.turn_detection": "session.audio.input.turn_detection",
    "session.max_response_output_tokens": "session.max_output_tokens",
    "response.modalities": "response.output_modalities",
    "response.voice": "response.audio.output.voice",
    "response.output_audio_format": "response.audio.output.format",
    "response.max_response_output_tokens": "response.max_output_tokens",
}
_TO_BETA: Mapping[str, str] = {ga: beta for beta, ga in _TO_GA.items()}
#: Values that are plain text in Beta: they have no path below them.
_PLAIN_IN_BETA = frozenset(beta for beta in _TO_GA if beta.endswith(("_format", ".voice")))


def param_to_ga(param: str) -> str:
    """Return the path by which a GA client knows a field of a Beta upstream."""
    return _mapped(param, _TO_GA)


def param_to_beta(param: str) -> str:
    """Return the path by which a Beta client knows a field of a GA upstream."""
    return _mapped(param, _TO_BETA)


def _mapped(param: str, paths: Mapping[str, str]) -> str:
    for path, mapped in paths.items():
        below = param.removeprefix(path)
        if param.startswith(path) and below[:1] in ("", ".", "["):
            return mapped if mapped in _PLAIN_IN_BETA else mapped + below
    return param
