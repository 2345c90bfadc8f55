"""The table of what providers differ in."""

from typing import get_args

import pytest

from rt_proxy.channels.providers import PROVIDERS, provider_facts
from rt_proxy.channels.urls import Url
from rt_proxy.realtime.dialects import Dialect
from rt_proxy.settings import ChannelSettings, Provider


@pytest.mark.parametrize("provider", get_args(Provider))
def test_every_provider_has_a_row(provider: Provider) -> None:
    """Every provider that settings can name has a row of its own."""
    assert PROVIDERS[provider] is provider_facts(ChannelSettings("c", provider, {"*": "*"}))


def test_azure_has_two_forms() -> None:
    """With an API version Azure has its preview form, which speaks Beta."""
    preview = ChannelSettings("c", "azure", {"*": "*"}, api_version="2025-04-01-preview")

    assert PROVIDERS["azure preview"] is provider_facts(preview)
    assert Dialect.BETA is provider_facts(preview).dialect


@pytest.mark.parametrize("row", PROVIDERS)
def test_rows_fit_together(row: str) -> None:
    """Default URLs are valid, the model's parameter is the proxy's own, long ends come first."""
    facts = PROVIDERS[row]

    assert facts.default_url is None or Url.parse(facts.default_url)
    assert facts.model_parameter in facts.own_parameters
    assert facts.path.endswith("/realtime")
    assert sorted(facts.redundant, key=len, reverse=True) == list(facts.redundant)
