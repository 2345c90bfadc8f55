"""Facts about the detection of a client's dialect."""

import pytest

from rt_proxy.realtime.dialects import Dialect, detect_dialect


def test_ga_without_a_mark() -> None:
    """A client that says nothing speaks GA."""
    assert detect_dialect("/v1/realtime", [], [b"realtime"]) is Dialect.GA


@pytest.mark.parametrize("feature", [b"realtime=v1", b"Realtime=V1"])
def test_beta_header(feature: bytes) -> None:
    """The feature realtime=v1 in OpenAI-Beta means Beta, also among others."""
    assert detect_dialect("/v1/realtime", [b"assistants=v2", feature], []) is Dialect.BETA


def test_other_beta_features_mean_nothing() -> None:
    """Another feature, or another version of this one, leaves the client in GA."""
    features = [b"assistants=v2", b"realtime=v10", b"realtime"]
    assert detect_dialect("/realtime", features, []) is Dialect.GA


def test_beta_subprotocol() -> None:
    """A browser says Beta by the subprotocol openai-beta.realtime-v1."""
    offered = [b"realtime", b"openai-beta.realtime-v1"]
    assert detect_dialect("/v1/realtime", [], offered) is Dialect.BETA


def test_azure_addresses() -> None:
    """Azure's preview address is Beta by itself; its v1 address is GA."""
    assert detect_dialect("/openai/realtime", [], []) is Dialect.BETA
    assert detect_dialect("/openai/v1/realtime", [], []) is Dialect.GA


def test_values_are_the_names_in_settings() -> None:
    """A dialect is made from its name in the settings."""
    assert Dialect("ga") is Dialect.GA
    assert Dialect("beta") is Dialect.BETA
