"""What every test has: a log that is held to be quiet, and the real command to start."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from commands import SIMULATOR, Served
from hypothesis import HealthCheck, settings

Serve = Callable[..., Served]

_ANNOUNCE = "log_says(text, ...): the test makes rt_proxy log warnings or errors with these texts"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known by which a test announces what it makes rt_proxy complain of.

    And give every drawn example the time that it takes: no test is about how fast a machine is.
    """
    config.addinivalue_line("markers", _ANNOUNCE)
    too_slow = [HealthCheck.too_slow]
    settings.register_profile("unhurried", deadline=None, suppress_health_check=too_slow)
    settings.load_profile("unhurried")


class _Complaints(logging.Handler):
    """Keeps what is logged as a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.levelname} {record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def _quiet_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which rt_proxy logged a warning or an error that was not announced."""
    complaints = _Complaints()
    logger = logging.getLogger("rt_proxy")
    logger.addHandler(complaints)
    try:
        yield
    finally:
        logger.removeHandler(complaints)
    _hold_announced(request, complaints.texts)


@pytest.fixture
def serve(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serve]:
    """Give ``serve(config)``, which starts the real command; what it logs is held quiet too."""
    started: list[Served] = []
    with ExitStack() as running:

        def start(config: str = SIMULATOR) -> Served:
            served = running.enter_context(Served(tmp_path, config))
            started.append(served)
            return served

        yield start
    for served in started:
        _hold_announced(request, _complaints_in(served.stderr.text))


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One proxy over the simulator for every test that only talks to it."""
    config = SIMULATOR.replace(
        'models = ["*"]',
        'models = { "gpt-realtime-2.1" = "gpt-realtime-2.1", "my-voice" = "gpt-realtime-2.1" }',
    )
    with Served(tmp_path_factory.mktemp("simulated"), config) as served:
        yield served
    assert not _complaints_in(served.stderr.text)


def _complaints_in(log: str) -> list[str]:
    marks = r"WARNING|ERROR|Warning:|Traceback|\"level\": \"(?:warning|error)\""
    return re.findall(rf"(?m)^.*(?:{marks}).*$", log)


def _hold_announced(request: pytest.FixtureRequest, complaints: list[str]) -> None:
    marks = request.node.iter_markers("log_says")
    announced = [text for mark in marks for text in mark.args]
    unannounced = [
        complaint for complaint in complaints if not any(text in complaint for text in announced)
    ]
    if unannounced:
        lines = "\n".join(unannounced)
        pytest.fail(f"announce it with @pytest.mark.log_says(...), or mend it:\n{lines}")
