"""Real Airflow: a fixed crosswalk and a replay, a changed policy, its event, crm_vob, and the webhook."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from ecw.mapping.definition.files import mappings_folder
from include.demo.airflow_api import AirflowApi, wait_until
from tests.fixtures.demo import LONG, Demo, import_before_tasks, serving
from tests.fixtures.webhook import Receiver

OVER = ("success", "failed")


def rows(demo: Demo, query: str, *values: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(demo.folder / "crm.db")) as crm:
        return crm.execute(query, values).fetchall()


def done(airflow: AirflowApi, dag_id: str, **form: Any) -> str:
    """Run a DAG until it succeeds; return the run's id."""
    run_id = airflow.trigger(dag_id, **form)
    airflow.unpause(dag_id)
    assert wait_until(lambda: airflow.run_state(dag_id, run_id) in OVER, LONG)
    assert airflow.run_state(dag_id, run_id) == "success", airflow.task_states(dag_id, run_id)
    return run_id


def asset_events(airflow: AirflowApi, run_id: str) -> dict[str, dict[str, Any]]:
    """Return the extras of a run's asset events, by the name of the asset."""
    events = [event for event in airflow.asset_events() if event["source_run_id"] == run_id]
    extras = {event["name"]: event["extra"] for event in events}
    assert len(extras) == len(events), "an asset has two events of one run"
    return extras


def expected_events(demo: Demo, run_id: str) -> dict[str, dict[str, Any]]:
    """Return the extras that a run's asset events should have, from ecw_run."""
    query = "SELECT resource, practice, inserted, updated, rejected FROM ecw_run WHERE run_id = ?"
    names = ("practice", "inserted", "updated", "rejected")
    return {
        f"ecw_{resource}": {"run_id": run_id, **dict(zip(names, counts, strict=True))}
        for resource, *counts in rows(demo, query, run_id)
        if counts[1] + counts[2]
    }


@pytest.fixture
def mapped_by(tmp_path: Path) -> Path:
    """Return the project's mapping files, with a gender crosswalk that lacks `female`."""
    folder = tmp_path / "include" / "mappings"
    shutil.copytree(mappings_folder(), folder)
    shutil.copytree(mappings_folder().parent / "quality", folder.parent / "quality")
    file = folder / "crosswalks" / "gender.csv"
    whole = file.read_text()
    file.write_text("".join(line for line in whole.splitlines(keepends=True) if not line.startswith("female,")))
    return folder


@pytest.fixture
def broken(tmp_path: Path, mapped_by: Path) -> Iterator[Demo]:
    """A demo that has pulled with these mapping files."""
    (tmp_path / "demo").mkdir()
    import_before_tasks(tmp_path / "demo")
    with serving(tmp_path / "demo", STORY="0", PATIENTS="14", SEED="7", ECW_MAPPINGS=str(mapped_by)) as demo:
        yield demo


@pytest.mark.airflow
def test_from_a_fixed_crosswalk_to_a_delivered_request(broken: Demo, mapped_by: Path, receiver: Receiver) -> None:
    airflow = AirflowApi(broken.airflow_url)
    airflow.login()
    assert airflow.import_errors() == []
    airflow.add_connection("vob_webhook", "http", receiver.url, json.dumps({"X-Token": "t0ken"}))

    # The first pull: every resource with changes has an asset event with the numbers of ecw_run.
    [(first,)] = rows(broken, "SELECT DISTINCT run_id FROM ecw_run WHERE run_type = 'scheduled'")
    assert asset_events(airflow, first) == expected_events(broken, first)
    assert {"ecw_patient", "ecw_insurance"} <= set(asset_events(airflow, first))
    [(held_back,)] = rows(broken, "SELECT rejected FROM ecw_run WHERE run_id = ? AND resource = 'patient'", first)
    assert 0 < held_back < 14

    # The scheduled run that the demo started ends before the crosswalk is fixed.
    assert wait_until(lambda: all(run["state"] in OVER for run in airflow.runs("ecw_pull")), LONG)

    # After the fix, a replay loads the rejected patients, skips the other resources and updates the changed assets.
    whole = mappings_folder() / "crosswalks" / "gender.csv"
    shutil.copy(whole, mapped_by / "crosswalks" / "gender.csv")
    replayed = done(airflow, "ecw_replay", rule="unmapped code")
    assert rows(broken, "SELECT count(*) FROM patient") == [(14,)]
    states = airflow.task_states("ecw_replay", replayed)
    assert {states["patient.load"], states["summary"]} == {"success"}
    assert states["location.collect"] == states["location.load"] == "skipped"
    counts = {"practice": "DEMO01", "run_id": replayed, "inserted": held_back, "updated": 0, "rejected": 0}
    assert asset_events(airflow, replayed) == expected_events(broken, replayed)
    assert asset_events(airflow, replayed)["ecw_patient"] == counts
    table = {row["resource"]: row for row in airflow.returned("ecw_replay", replayed, "summary")}
    assert set(table) == {"practitioner", "patient"}, "the resources that use the crosswalk"
    assert (table["patient"]["fetched"], table["patient"]["inserted"]) == (held_back, held_back)

    # The next load, here a replay of all rejects, loads the rows that waited for these patients.
    open_ones = "SELECT resource, count(DISTINCT ecw_id) FROM ecw_reject WHERE state = 'open' GROUP BY resource"
    waiting = dict(rows(broken, open_ones))
    assert waiting
    assert rows(broken, "SELECT DISTINCT rule FROM ecw_reject WHERE state = 'open'") == [("deferred",)]
    replayed = done(airflow, "ecw_replay")
    assert rows(broken, open_ones) == []
    inserted = {name.removeprefix("ecw_"): extra["inserted"] for name, extra in asset_events(airflow, replayed).items()}
    assert inserted == waiting

    # crm_vob makes no request for a first load.
    done(airflow, "crm_vob")
    assert rows(broken, "SELECT count(*) FROM vob_request") == [(0,)]
    before = {run["dag_run_id"] for run in airflow.runs("crm_vob")}

    # A policy changes in eCW; its patient does not.
    [policy, patient] = rows(broken, "SELECT ecw_id, substr(patient, 9) FROM insurance ORDER BY id")[0]
    records = f"http://127.0.0.1:{broken.sandbox_port + 1}/admin/records/Coverage"
    lines = requests.get(records, timeout=300).text.splitlines()
    record = next(record for record in map(json.loads, lines) if record["id"] == policy)
    changed = {**record, "payor": [{"display": "Harbour Mutual"}]}
    requests.put(f"{records}/{policy}", json=changed, timeout=300).raise_for_status()

    run_id = done(airflow, "ecw_pull", mode="patients", patients=[patient])
    assert asset_events(airflow, run_id) == expected_events(broken, run_id)
    assert asset_events(airflow, run_id)["ecw_insurance"]["updated"] == 1
    counted = "SELECT fetched, unchanged FROM ecw_run WHERE run_id = ? AND resource = 'patient'"
    assert rows(broken, counted, run_id) == [(1, 1)]
    assert "ecw_patient" not in asset_events(airflow, run_id), "nothing changed, there is no event"

    def followed() -> list[dict[str, Any]]:
        runs = [run for run in airflow.runs("crm_vob") if run["dag_run_id"] not in before and run["state"] in OVER]
        return [run for run in runs if run["run_type"] == "asset_triggered"]

    assert wait_until(lambda: bool(followed()), LONG)
    [run] = followed()
    assert run["state"] == "success"
    [(ecw_id, change, by, key, delivery)] = rows(
        broken, "SELECT patient_ecw_id, change, run_id, key, delivery FROM vob_request"
    )
    assert (ecw_id, by, delivery) == (patient, run_id, "delivered")
    assert "payer" in change.split(", ")
    assert receiver.keys == [key]
    assert "Harbour" not in str(receiver.bodies)
    logs = list((broken.folder / "airflow" / "logs").rglob("*.log"))
    assert any("dag_id=crm_vob" in str(path) for path in logs)
    assert not [path for path in logs if "Harbour Mutual" in path.read_text(errors="replace")]
