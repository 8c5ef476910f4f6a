"""The settings of all tests: an unusual time zone, fixtures of tests/fixtures, order and reports."""

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

# A zone with an offset of 45 minutes reveals code that ignores zones. Set before anything imports pandas or Airflow.
os.environ["TZ"] = "Asia/Kathmandu"
time.tzset()

in_memory()

# Code that reads Airflow's connections gets an empty Airflow, not the one of the person who runs the tests.
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
    """Let SIGTERM end a run as Ctrl-C does, so that fixtures stop the processes that they started."""
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
    """Print the failed tests as the very last lines, because CI often keeps only the end of a long output."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        for outcome in ("failed", "error"):
            for report in reporter.stats.get(outcome, []):
                reporter.write_line(f"{outcome}: {report.nodeid}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Append the seconds of each phase of a test to the file that $TEST_DURATIONS names."""
    if (path := os.environ.get("TEST_DURATIONS")) and "PYTEST_XDIST_WORKER" not in os.environ:
        with Path(path).open("a") as durations:
            durations.write(f"{report.duration:8.1f} {report.when:8} {report.nodeid}\n")


# The longest files start first, so that no worker still runs one at the end; then come the other journeys.
LONGEST = ("tests/airflow/demo/", "tests/airflow/test_disturbed.py", "tests/airflow/cluster/")


class ByFile(LoadFileScheduling):
    """Gives each file to one worker, and all files that share the demo to the same worker."""

    def _split_scope(self, nodeid: str) -> str:
        return "demo" if nodeid.startswith("tests/airflow/demo/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Return the scheduler that distributes tests to workers."""
    return ByFile(config, log)


def pytest_collection_finish() -> None:
    """Exclude imported objects from garbage collection and collect less often: this saves a sixth of the tests' CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the journeys first: they take long and are few."""
    items.sort(key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    """Return the sort key of a test's file; the lowest runs first."""
    ranks = (at for at, start in enumerate(LONGEST) if nodeid.startswith(start))
    return next(ranks, len(LONGEST) + ("journey" not in nodeid and "/airflow/" not in nodeid))
