"""House rules for every DAG; a failure names the DAG and the fix."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ecw.resources import RESOURCES

if TYPE_CHECKING:
    from airflow.sdk import DAG

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "dags").glob("*.py"))


@cache
def dags() -> dict[str, DAG]:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(ROOT / "dags"))
    assert bag.import_errors == {}
    return dict(bag.dags)


def test_every_file_in_dags_has_a_dag_of_its_name() -> None:
    assert FILES
    assert {file.stem for file in FILES} == set(dags())


def test_every_dag_has_triage_notes() -> None:
    for dag_id, dag in dags().items():
        assert "When something is red" in (dag.doc_md or ""), f"{dag_id}: add 'When something is red' to its docstring"


def test_every_task_retries_by_error_class() -> None:
    for dag_id, dag in dags().items():
        assert dag.tasks
        for task in dag.tasks:
            assert task.retry_policy is not None, f"{dag_id}.{task.task_id}: give the DAG default_args retry_policy"
            assert task.retries > 0, f"{dag_id}.{task.task_id}: give the DAG default_args retries"


def test_every_task_has_a_time_limit() -> None:
    for dag_id, dag in dags().items():
        for task in dag.tasks:
            if task.task_id == "approve":  # ends by the connection's `approval_hours`; a time-out would count the wait
                assert task.execution_timeout is None
            else:
                assert task.execution_timeout, f"{dag_id}.{task.task_id}: give the DAG default_args execution_timeout"


def test_a_dag_file_is_short_and_holds_only_wiring() -> None:
    for file in FILES:
        body = file.read_text().split('"""', 2)[2]
        assert len(body.splitlines()) <= 75, f"{file.name}: move what is not wiring into plugins/ecw"
        for word in ("select ", "import requests", "from requests", "http://", "https://", "Variable.get"):
            assert word not in body, f"{file.name}: {word!r} does not belong into a DAG file"


def test_parsing_a_dag_file_imports_no_heavy_module() -> None:
    heavy = ("pandas", "great_expectations", "sqlalchemy", "fhir", "requests", "alembic", "orjson", "yaml")
    program = (
        "import sys, airflow.sdk\nbefore = set(sys.modules)\nimport pendulum, runpy\n"
        f"runpy.run_path(sys.argv[1])\nadded = set(sys.modules) - before\n"
        f"print(*sorted(name for name in added if name.split('.')[0] in {heavy!r}))"
    )
    for file in FILES:
        done = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [], f"{file.name}: import these inside the step that needs them"


def test_the_pull_runs_every_two_hours_without_catchup() -> None:
    dag = dags()["ecw_pull"]
    assert dag.timetable.__class__.__name__ == "CronDataIntervalTimetable"
    assert dag.timetable.expression == "0 */2 * * *"
    assert (dag.catchup, dag.max_active_runs) == (False, 16)


def test_the_pull_has_four_steps_for_each_resource_in_order() -> None:
    dag = dags()["ecw_pull"]
    for resource in RESOURCES:
        chain = [f"{resource}.{step}" for step in ("extract", "map", "check", "load")]
        assert set(chain) <= set(dag.task_ids)
        for before, after in itertools.pairwise(chain):
            assert after in dag.get_task(before).downstream_task_ids
    assert set(dag.task_ids) == {"begin", "inline", "complete", "summary"} | {
        f"{r}.{step}" for r in RESOURCES for step in ("extract", "map", "check", "load")
    }


def test_a_resource_waits_only_for_the_resources_that_it_needs() -> None:
    dag = dags()["ecw_pull"]
    for resource in RESOURCES.values():
        upstream = dag.get_task(f"{resource.name}.extract").get_flat_relative_ids(upstream=True)
        assert {task.split(".")[0] for task in upstream} <= {"begin", resource.name, *all_needs(resource.name)}


def test_a_failed_or_skipped_resource_stops_no_other_and_a_failure_makes_the_run_red() -> None:
    for dag_id, first in (("ecw_pull", "extract"), ("ecw_replay", "collect")):
        dag = dags()[dag_id]
        for resource in RESOURCES:
            assert dag.get_task(f"{resource}.{first}").trigger_rule == "all_done"
            assert dag.get_task(f"{resource}.load").trigger_rule == "all_success"
        [leaf] = [task for task in dag.tasks if task.downstream_task_ids == {"summary"}]
        assert leaf.trigger_rule == "none_failed"
        assert {"begin", *(f"{resource}.load" for resource in RESOURCES)} <= leaf.upstream_task_ids


def parse_pull_dag(**variables: str) -> subprocess.CompletedProcess[str]:
    program = f"import runpy\nnames = runpy.run_path({str(ROOT / 'dags' / 'ecw_pull.py')!r})\n"
    program += "print(names['dag'].timetable.expression)"
    env = {**os.environ, **{f"AIRFLOW_VAR_{name.upper()}": value for name, value in variables.items()}}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=env)


def test_the_schedule_comes_from_the_variable() -> None:
    assert parse_pull_dag(ecw_pull_schedule="30 6-20 * * 1-5").stdout.strip() == "30 6-20 * * 1-5"


def test_a_wrong_schedule_is_an_import_error_with_the_next_step() -> None:
    refused = parse_pull_dag(ecw_pull_schedule="every two hours")
    assert refused.returncode != 0
    (line,) = [line for line in refused.stderr.splitlines() if "ConfigurationError" in line and "Next" in line]
    assert "The variable ecw_pull_schedule is not a cron expression of five fields: 'every two hours'." in line
    assert "under Admin > Variables, or remove it" in line


def all_needs(name: str) -> set[str]:
    needs = set(RESOURCES[name].needs)
    return needs.union(*(all_needs(needed) for needed in needs))


def test_the_replay_has_the_steps_of_a_pull_with_collect_in_place_of_extract() -> None:
    dag = dags()["ecw_replay"]
    assert set(dag.task_ids) == {"begin", "complete", "summary"} | {
        f"{r}.{step}" for r in RESOURCES for step in ("collect", "map", "check", "load")
    }
    for resource in RESOURCES.values():
        before = {f"{needed}.load" for needed in resource.needs} | {"begin"}
        assert dag.get_task(f"{resource.name}.collect").upstream_task_ids == before


def test_loads_have_an_asset_alias_as_outlet_so_that_an_unchanged_load_emits_no_event() -> None:
    from airflow.sdk import AssetAlias

    for dag_id in ("ecw_pull", "ecw_replay"):
        for resource in RESOURCES:
            [outlet] = dags()[dag_id].get_task(f"{resource}.load").outlets
            assert isinstance(outlet, AssetAlias), f"{dag_id}.{resource}.load: an Asset has an event at every success"
            assert outlet.name == f"ecw_{resource}_changed"


def test_the_vob_follows_insurance_and_patients() -> None:
    from airflow.sdk import AssetOrTimeSchedule

    dag = dags()["crm_vob"]
    assert isinstance(dag.timetable, AssetOrTimeSchedule)
    followed = {asset.name for asset in dag.timetable.asset_condition.objects}
    assert followed == {"ecw_insurance", "ecw_patient"}
    assert dag.max_active_runs == 1


def test_each_practice_has_its_own_dags(tmp_path: Path) -> None:
    """Each has its schedule, pool, connection and assets; a practice that does not push patients has no push DAG."""
    file = tmp_path / "practices.yaml"
    file.write_text(
        "practices:\n  north: {schedule: 30 4 * * *, pool: ecw_api_north, push: false}\n"
        "  main: {connection: ecw_default}\n"
    )
    program = (
        "import json, logging\nlogging.disable()\nfrom airflow.dag_processing.dagbag import DagBag\n"
        f"bag = DagBag({str(ROOT / 'dags')!r})\nassert not bag.import_errors, bag.import_errors\n"
        "pull = bag.dags['ecw_pull__north']\n"
        "print(json.dumps([sorted(bag.dags), pull.timetable.expression, pull.get_task('patient.extract').pool, "
        "pull.get_task('begin').ecw_conn_id, str(bag.dags['crm_vob__north'].timetable.asset_condition), "
        "sorted(pull.tags)]))"
    )
    env = {**os.environ, "ECW_PRACTICES": str(file), "AIRFLOW_VAR_ECW_PRACTICES": "ecw_default, ecw_south"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env)
    dag_ids, cron, pool, conn_id, followed, tags = json.loads(done.stdout.splitlines()[-1])
    of_each_practice = {"ecw_pull", "ecw_replay", "crm_vob"}
    expected = {f"{name}{suffix}" for name in of_each_practice for suffix in ("", "__north", "__south")} | {
        "ecw_monitor"
    }
    assert set(dag_ids) == expected | {"ecw_push_patients", "ecw_push_patients__south"}
    assert (cron, pool, conn_id) == ("30 4 * * *", "ecw_api_north", "ecw_north")
    assert "ecw_insurance__north" in followed
    assert tags == ["ecw", "north", "pull"]
