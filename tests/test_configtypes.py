"""What a value in the config file may be: strict types, names of models, secrets."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from cattrs import ClassValidationError
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.configtypes import strict_converter
from rt_proxy.settings import Secret

ENVIRON = {"KEY": "hush", "EMPTY": "", "SPACED": "hush hush", "lower": "hush"}

toml_values = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.dates(),
    st.lists(st.integers()),
    st.dictionaries(st.text(), st.integers()),
)


def structure(value: object, kind: Any, folder: Path = Path("/nowhere")) -> Any:
    """Structure a value strictly."""
    return strict_converter(folder, ENVIRON).structure(value, kind)


def refusal(value: object, kind: Any, folder: Path = Path("/nowhere")) -> str:
    """Return why a value is not taken."""
    with pytest.raises((TypeError, ValueError)) as caught:
        structure(value, kind, folder)
    return str(caught.value)


class TestTypes:
    """A value is taken as it is, or not at all."""

    @given(toml_values)
    def test_nothing_is_converted(self, value: object) -> None:
        """Of any value each type takes its own only; a number of seconds takes both kinds."""
        for kind in (bool, int, str):
            if type(value) is kind:
                assert structure(value, kind) is value
            else:
                refusal(value, kind)
        if type(value) not in (int, float):
            refusal(value, float)

    @pytest.mark.parametrize(
        ("value", "kind", "message"),
        [
            ("8080", int, "must be an integer, not a string"),
            (True, int, "must be an integer, not a boolean"),
            (80.5, int, "must be an integer, not a float"),
            (True, float, "must be a number, not a boolean"),
            ("1", float, "must be a number, not a string"),
            (float("nan"), float, "must be a finite number"),
            (float("-inf"), float, "must be a finite number"),
            (10**400, float, "must be a finite number"),
            ("false", bool, "must be a boolean, not a string"),
            (date(2026, 1, 1), str, "must be a string, not a date"),
            ("abc", tuple[str, ...], "must be an array, not a string"),
            ([], Mapping[str, int], "must be a table, not an array"),
            ("", Path, "must not be empty"),
            ("a\0b", Path, "must not have a null character"),
            (1, Literal["a"], "must be a string, not an integer"),
            (
                "jsno",
                Literal["text", "json"],
                'must be one of "text", "json"; did you mean "json"?',
            ),
            ("hush", Literal["text", "json"], 'must be one of "text", "json"'),
        ],
    )
    def test_refusals(self, value: object, kind: Any, message: str) -> None:
        """A refusal says what belongs there, and does not repeat what stands there."""
        assert refusal(value, kind) == message

    def test_whole_numbers_of_seconds(self) -> None:
        """10 is as good as 10.0 where parts are allowed."""
        assert structure(10, float) == 10.0

    def test_collections(self) -> None:
        """An array becomes a tuple, and each of its items is held to its type."""
        assert structure(["a"], tuple[str, ...]) == ("a",)
        with pytest.raises(ExceptionGroup):
            structure(["a", 1], tuple[str, ...])

    def test_tables(self) -> None:
        """A table has no keys but those that are known."""

        @attrs.frozen
        class Section:
            a: int = 1

        assert structure({"a": 2}, Section) == Section(a=2)
        assert refusal([], Section) == "must be a table, not an array"
        with pytest.raises(ClassValidationError):
            structure({"b": 2}, Section)


class TestModels:
    """The names of the models of a channel, as a list or as a mapping."""

    def test_list(self) -> None:
        """A name in a list is the upstream's name too."""
        assert structure(["a", "*"], Mapping[str, str]) == {"a": "a", "*": "*"}

    def test_table(self) -> None:
        """A table maps the client's name to the upstream's."""
        assert structure({"a": "b"}, Mapping[str, str]) == {"a": "b"}

    def test_twice(self) -> None:
        """A name that is listed twice is a slip."""
        assert refusal(["a", "b", "a"], Mapping[str, str]) == 'has "a" more than once'

    @pytest.mark.parametrize("value", ["a", 1, [1], {"a": 1}, {"a": {"b": "c"}}])
    def test_neither(self, value: object) -> None:
        """Anything else is refused with both forms."""
        assert refusal(value, Mapping[str, str]) == (
            'must be an array of names, or a table of alias = "the name upstream"'
        )


class TestSecrets:
    """A secret from a string, the environment or a file."""

    def test_string(self) -> None:
        """A string is the secret itself."""
        assert structure("hush", Secret) == Secret("hush")

    def test_environment(self) -> None:
        """The named environment variable holds it."""
        assert structure({"env": "KEY"}, Secret) == Secret("hush")

    @pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
    def test_file(self, tmp_path: Path, end: str) -> None:
        """The file, from the folder of the config file, holds it; its line end is no part of it."""
        (tmp_path / "key").write_bytes(f"hush{end}".encode())

        assert structure({"file": "key"}, Secret, tmp_path) == Secret("hush")
        assert structure({"file": str(tmp_path / "key")}, Secret) == Secret("hush")

    @pytest.mark.parametrize("value", [1, True, [], {}, {"env": 1}, {"env": "A", "file": "b"}])
    def test_no_secret(self, value: object) -> None:
        """Anything else is refused with the three forms."""
        assert refusal(value, Secret) == ('must be a string, { env = "NAME" } or { file = "path" }')

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("", "the key is empty"),
            ({"env": "EMPTY"}, "environment variable EMPTY is empty"),
            ({"env": "NOT_SET"}, "environment variable NOT_SET is not set"),
            ({"file": "empty"}, "file {folder}/empty is empty"),
            ({"file": "no"}, "file {folder}/no cannot be read: No such file or directory"),
            ({"file": "."}, "file {folder} cannot be read: Is a directory"),
        ],
    )
    def test_unusable(self, tmp_path: Path, value: object, message: str) -> None:
        """Where there is nothing to read, the variable or the file is named."""
        (tmp_path / "empty").write_text("\n")

        assert refusal(value, Secret, tmp_path) == message.format(folder=tmp_path)

    @pytest.mark.parametrize(
        "bad", ["hush ", "hu\tsh", "hu\nsh", "hüsh", "hush\x7f", "hu\0sh"], ids=ascii
    )
    def test_illegal_in_a_header(self, tmp_path: Path, bad: str) -> None:
        """A secret is visible ASCII wherever it comes from, and the refusal keeps it."""
        (tmp_path / "key").write_text(bad)

        for value in (bad, {"file": "key"}):
            message = refusal(value, Secret, tmp_path)
            assert "has characters that an HTTP header cannot carry" in message
            assert "sh" not in message.replace(str(tmp_path), "")
        assert "SPACED" in refusal({"env": "SPACED"}, Secret)

    @pytest.mark.parametrize("pasted", ["sk-proj-hush", "0a1b2c3dhush" * 3])
    def test_a_pasted_key_is_not_repeated(self, pasted: str) -> None:
        """A key in the place of its name stays hidden."""
        assert "hush" not in refusal({"env": pasted}, Secret)
        assert "hush" not in refusal({"file": pasted}, Secret)

    def test_a_null_character_in_the_path(self, tmp_path: Path) -> None:
        """What no path can be is a problem, not a crash."""
        assert refusal({"file": "a\0b"}, Secret, tmp_path).endswith("cannot be read: it is no path")


class TestHeaders:
    """The headers of a channel: each a secret, in which spaces may be."""

    def test_sources(self, tmp_path: Path) -> None:
        """A value comes from where a key may come from."""
        (tmp_path / "value").write_text("hush hush\n")
        written = {"X-A": "a b", "X.B": {"env": "SPACED"}, "c": {"file": "value"}}
        headers = structure(written, Mapping[str, Secret], tmp_path)

        assert headers == {
            "X-A": Secret("a b"),
            "X.B": Secret("hush hush"),
            "c": Secret("hush hush"),
        }
        assert {type(value) for value in headers.values()} == {Secret}
        assert "hush" not in repr(headers)

    def test_frozen(self) -> None:
        """Nobody changes the headers that were read."""
        with pytest.raises(TypeError):
            structure({"X-A": "a"}, Mapping[str, Secret])["X-B"] = Secret("b")

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("", "the value is empty"),
            (" hush", "the value has characters that an HTTP header cannot carry"),
            ("hush\r\nX-B: hush", "the value has characters that an HTTP header cannot carry"),
            ("hüsh", "the value has characters that an HTTP header cannot carry"),
            ({"env": "NOT_SET"}, "environment variable NOT_SET is not set"),
            (1, 'must be a string, { env = "NAME" } or { file = "path" }'),
        ],
    )
    def test_refusals(self, value: object, message: str) -> None:
        """A value that no header can have is refused at its place, and not repeated."""
        with pytest.raises(ExceptionGroup) as caught:
            structure({"X-A": value}, Mapping[str, Secret])

        [refused] = caught.value.exceptions
        assert str(refused) == message

    def test_no_table(self) -> None:
        """Headers are a table."""
        assert refusal(["X-A: a"], Mapping[str, Secret]) == "must be a table, not an array"

    def test_several_keys(self) -> None:
        """An array of keys has each from where it comes from; spaces are in none."""
        assert structure(["a", {"env": "KEY"}], tuple[Secret, ...]) == (
            Secret("a"),
            Secret("hush"),
        )
        with pytest.raises(ExceptionGroup):
            structure(["a b"], tuple[Secret, ...])
