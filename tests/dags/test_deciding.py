"""Airflow's own scheduling of a run: `summary` runs last, whatever failed, and the run is red if any task failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ecw.resources import RESOURCES

HERE = Path(__file__).parent
Step = dict[str, str]  # task id -> state to set


def all_steps(states: str, *names: str, first: str = "extract") -> Step:
    return {f"{name}.{step}": states for name in names for step in (first, "map", "check", "load")}


OTHERS = [name for name in RESOURCES if name != "practitioner"]
RUNS: dict[str, tuple[str, list[Step]]] = {
    "pull": (
        "ecw_pull",
        [
            {"begin": "success", "inline": "skipped"},
            {"practitioner.extract": "failed", "location.extract": "running"},
            all_steps("success", *OTHERS) | {"encounter.load": "up_for_retry"},
            {"encounter.load": "success"},
            {"summary": "success"},
        ],
    ),
    "replay": (
        "ecw_replay",
        [
            {"begin": "success"},
            {"practitioner.collect": "failed", "location.collect": "running"},
            all_steps("success", *OTHERS, first="collect") | {"insurance.load": "running"},
            {"insurance.load": "success"},
            {"summary": "success"},
        ],
    ),
    "push": (
        "ecw_push_patients",
        [
            {"begin": "success", "approve": "success"},
            {"send": "failed"},
            {"confirm": "running"},
            {"confirm": "success"},
            {"summary": "success"},
        ],
    ),
    "not begun": (
        "ecw_pull",
        [{"begin": "failed"}, {f"{name}.extract": "skipped" for name in RESOURCES}, {"summary": "success"}],
    ),
    "inline": (
        "ecw_pull",
        [
            {"begin": "success"} | all_steps("skipped", *RESOURCES) | {"inline": "running"},
            {"inline": "success"},
            {"complete": "success"},
            {"summary": "success"},
        ],
    ),
}


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Return Airflow's decisions after each step of each run: see deciding.py."""
    home = tmp_path_factory.mktemp("airflow")
    env = os.environ | {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins")}
    done = subprocess.run(
        [sys.executable, HERE / "deciding.py"],
        input=json.dumps(list(RUNS.values())),
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(zip(RUNS, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("name", ["pull", "replay", "push"])
def test_the_summary_waits_for_running_tasks_after_a_failure_and_the_run_is_red(
    decided: dict[str, list[dict[str, Any]]], name: str
) -> None:
    *running, finished, ended = decided[name]
    assert {step["tasks"]["complete"] for step in running} == {None, "upstream_failed"}, "the failure is noticed early"
    for step in running:
        assert (step["run"], "summary" in step["ready"]) == ("running", False)
    assert (finished["run"], finished["ready"]) == ("running", ["summary"])
    assert (ended["run"], ended["ready"]) == ("failed", [])


def test_a_run_whose_begin_failed_still_has_its_summary_and_is_red(decided: dict[str, list[dict[str, Any]]]) -> None:
    begun, skipped, ended = decided["not begun"]
    assert "summary" not in begun["ready"]
    assert (skipped["run"], skipped["ready"]) == ("running", ["summary"])
    assert ended["run"] == "failed"


def test_an_inline_run_with_skipped_resources_is_green(decided: dict[str, list[dict[str, Any]]]) -> None:
    assert [(step["run"], step["ready"]) for step in decided["inline"]] == [
        ("running", []),
        ("running", ["complete"]),
        ("running", ["summary"]),
        ("success", []),
    ]
