"""Facts about the exceptions that an embedder sees."""

import pytest

from rt_proxy.errors import ListenError, RtProxyError, SettingsError, TokenStoreError


@pytest.mark.parametrize("error", [SettingsError, TokenStoreError, ListenError])
def test_one_root(error: type[Exception]) -> None:
    """Everything that is raised on purpose can be caught as one."""
    assert issubclass(error, RtProxyError)


def test_settings_error_names_every_problem() -> None:
    """All problems are in the text, one a line, each with its file."""
    error = SettingsError("config.toml", ["a: no", "b[0]: no"])
    assert str(error) == "config.toml: a: no\nconfig.toml: b[0]: no"
    assert (error.source, error.problems) == ("config.toml", ("a: no", "b[0]: no"))
