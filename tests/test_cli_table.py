"""Tables of the command line: columns that line up."""

import pytest

from rt_proxy.cli.table import table, width


def test_lines_up() -> None:
    """Every column is as wide as its widest cell; numbers line up at the right."""
    rows = [("openai", "85 ms", "fine"), ("a", "1234 ms", ""), ("b", "", "gone")]

    assert table(("CHANNEL", "TOTAL", "REMARK"), rows, right=("TOTAL",)) == [
        "CHANNEL    TOTAL  REMARK",
        "openai     85 ms  fine",
        "a        1234 ms",
        "b              -  gone",
    ]


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("通道", 4), ("e\u0301", 1), ("", 0)])
def test_width(text: str, columns: int) -> None:
    """Wide characters take two columns, and marks on others take none."""
    assert width(text) == columns
