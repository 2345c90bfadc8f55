"""The page docs/architecture.md against the code."""

import re
from pathlib import Path

from test_architecture import STOREYS

from rt_proxy.realtime.conversation import EDITED_CLIENT_EVENTS, WATCHED_UPSTREAM_EVENTS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rt_proxy"
DOC = (ROOT / "docs" / "architecture.md").read_text()


def section(heading: str) -> str:
    """Return what stands under a heading."""
    return DOC.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_storeys() -> None:
    """Each room stands in the storey in which its imports are held."""
    rows = re.findall(r"(?m)^\| (\d) \| (.*?) \|", section("Rooms and storeys"))
    told = {
        re.sub(r"(/|\.py)$", "", room): int(storey)
        for storey, rooms in rows
        for room in re.findall(r"`(.*?)`", rooms)
    }

    assert told == STOREYS


def test_modules_exist() -> None:
    """Every module that the page names is there."""
    for name in re.findall(r"`([\w/]+\.py)`", DOC):
        places = (ROOT / name, ROOT / "tests" / name, PACKAGE / name, PACKAGE / "session" / name)
        assert any(place.is_file() for place in places), name


def test_lanes() -> None:
    """The events of the edit lane and of the look lane are those that the code reads."""
    rows = dict(re.findall(r"(?m)^\| (edit|look) \| (.*?) \|", section("The data plane")))

    assert set(re.findall(r"`(.*?)`", rows["edit"])) == EDITED_CLIENT_EVENTS
    assert set(re.findall(r"`(.*?)`", rows["look"])) == WATCHED_UPSTREAM_EVENTS
