"""What all tests share: an odd time zone, and the fixtures of tests/fixtures."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import tempfile
import time
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.fixtures import examples  # noqa: F401 - registers the profiles of hypothesis
from tests.fixtures.temporary_files import in_memory

# A zone with a 45-minute offset: code that forgets zones shows it. Set before anything imports pandas or Airflow.
os.environ["TZ"] = "Asia/Kathmandu"
time.tzset()

in_memory()

# Whatever asks Airflow for a connection finds an empty Airflow, not the one of the person who runs the tests.
_airflow_home = tempfile.TemporaryDirectory(prefix="ecw-airflow-", ignore_cleanup_errors=True)
os.environ["AIRFLOW_HOME"] = _airflow_home.name
atexit.register(_airflow_home.cleanup)

settings.load_profile("quick")  # --hypothesis-profile=thorough replaces it

pytest_plugins = [
    "tests.fixtures.airflow_db",
    "tests.fixtures.cluster_packages",
    "tests.fixtures.keys",
    "tests.fixtures.sandbox",
    "tests.fixtures.crm",
    "tests.fixtures.mappings",
    "tests.fixtures.pulling",
    "tests.fixtures.marking",
    "tests.fixtures.webhook",
    "tests.fixtures.browser",
    "tests.fixtures.receiving",
    "tests.fixtures.shared",
]


def pytest_configure() -> None:
    """Let TERM end a run as Ctrl-C does: fixtures stop what they have started."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of journeys, which they recorded with `record_property("figures", ...)`."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties if report.when == "call" else ():
                if name == "figures":
                    terminalreporter.write_line(f"{report.nodeid}: {value}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Print what failed, and nothing more, as the very last lines: of a long output often only the end is kept."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        for outcome in ("failed", "error"):
            for report in reporter.stats.get(outcome, []):
                reporter.write_line(f"{outcome}: {report.nodeid}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add what each part of a test took to the file that $TEST_DURATIONS names."""
    if (path := os.environ.get("TEST_DURATIONS")) and "PYTEST_XDIST_WORKER" not in os.environ:
        with Path(path).open("a") as durations:
            durations.write(f"{report.duration:8.1f} {report.when:8} {report.nodeid}\n")


# What takes longest comes first, so that no worker is left with it at the end; behind these come the other journeys.
LONGEST = ("tests/journeys/demo/", "tests/journeys/test_disturbed.py", "tests/journeys/cluster/")


class ByFile(LoadFileScheduling):
    """Give each file to one worker, and all files that share a demo to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        return "demo" if nodeid.startswith("tests/journeys/demo/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Say who gets which tests."""
    return ByFile(config, log)


def pytest_collection_finish() -> None:
    """Let Python look for garbage among what tests make, and not among all that was imported: a sixth of their CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the journeys, which take long and are few."""
    items.sort(key=lambda item: _turn(item.nodeid))


def _turn(nodeid: str) -> int:
    """Return the place of a test's file: the lowest comes first."""
    found = (at for at, start in enumerate(LONGEST) if nodeid.startswith(start))
    return next(found, len(LONGEST) + ("journey" not in nodeid))
