"""Real Airflow: a mended crosswalk and a replay, a changed policy, its event, crm_vob, and the webhook."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from ecw.mapping.files import mappings_folder
from include.demo.airflow_api import AirflowApi, wait_until
from tests.fixtures.demo import Demo, start_demo
from tests.fixtures.webhook import Receiver

OVER = ("success", "failed")


def rows(demo: Demo, query: str, *values: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(demo.folder / "crm.db")) as crm:
        return crm.execute(query, values).fetchall()


def done(airflow: AirflowApi, dag_id: str, **form: Any) -> str:
    """Run a DAG to its good end; return the run's id."""
    run_id = airflow.trigger(dag_id, **form)
    airflow.unpause(dag_id)
    assert wait_until(lambda: airflow.run_state(dag_id, run_id) in OVER, 400)
    assert airflow.run_state(dag_id, run_id) == "success", airflow.task_states(dag_id, run_id)
    return run_id


def told(airflow: AirflowApi, run_id: str) -> dict[str, dict[str, Any]]:
    """Return what a run told about assets: name -> extra."""
    found = [event for event in airflow.asset_events() if event["source_run_id"] == run_id]
    extras = {event["name"]: event["extra"] for event in found}
    assert len(extras) == len(found), "an asset was told twice"
    return extras


@pytest.fixture
def mapped_by(tmp_path: Path) -> Path:
    """The project's mapping files, but no crosswalk knows `female`."""
    folder = tmp_path / "include" / "mappings"
    shutil.copytree(mappings_folder(), folder)
    shutil.copytree(mappings_folder().parent / "quality", folder.parent / "quality")
    file = folder / "crosswalks" / "gender.csv"
    whole = file.read_text()
    file.write_text("".join(line for line in whole.splitlines(keepends=True) if not line.startswith("female,")))
    return folder


@pytest.fixture
def broken(tmp_path: Path, mapped_by: Path) -> Iterator[Demo]:
    """A demo that has pulled by those."""
    (tmp_path / "demo").mkdir()
    demo = start_demo(tmp_path / "demo", PATIENTS="14", SEED="7", ECW_MAPPINGS=str(mapped_by))
    try:
        demo.wait_for("Serving until Ctrl-C.", 500)
        yield demo
    finally:
        demo.process.send_signal(signal.SIGINT)
        demo.process.wait(60)
    assert demo.left() == []


@pytest.mark.timeout(1500)
def test_from_a_mended_crosswalk_to_a_delivered_request(broken: Demo, mapped_by: Path, receiver: Receiver) -> None:
    airflow = AirflowApi(broken.airflow_url)
    airflow.login()
    assert airflow.import_errors() == []
    airflow.add_connection("vob_webhook", "http", receiver.url, json.dumps({"X-Token": "t0ken"}))

    # The first pull: every resource that changed something told its asset, with the ledger's numbers.
    [(first,)] = rows(broken, "SELECT DISTINCT run_id FROM ecw_run WHERE run_type = 'manual'")
    query = "SELECT resource, practice, inserted, updated, rejected FROM ecw_run WHERE run_id = ?"
    ledger = rows(broken, query, first)
    names = ("practice", "inserted", "updated", "rejected")
    assert told(airflow, first) == {
        f"ecw_{resource}": {"run_id": first, **dict(zip(names, counts, strict=True))}
        for resource, *counts in ledger
        if counts[1] + counts[2]
    }
    [(held_back,)] = rows(broken, "SELECT rejected FROM ecw_run WHERE run_id = ? AND resource = 'patient'", first)
    assert 0 < held_back < 14

    # Mended and replayed: they are in, the others are skipped, and the replay tells the one asset that changed.
    whole = mappings_folder() / "crosswalks" / "gender.csv"
    shutil.copy(whole, mapped_by / "crosswalks" / "gender.csv")
    replayed = done(airflow, "ecw_replay", rule="unmapped code")
    assert rows(broken, "SELECT count(*) FROM patient") == [(14,)]
    states = airflow.task_states("ecw_replay", replayed)
    assert {states["patient.load"], states["summary"]} == {"success"}
    assert states["location.gather"] == states["location.load"] == "skipped"
    counts = {"practice": "DEMO01", "run_id": replayed, "inserted": held_back, "updated": 0, "rejected": 0}
    assert told(airflow, replayed) == {"ecw_patient": counts}
    [table] = airflow.returned("ecw_replay", replayed, "summary")
    assert (table["resource"], table["fetched"], table["inserted"]) == ("patient", held_back, held_back)

    # Their encounters, which had waited for them, come in with the next load, here a replay of everything.
    open_ones = "SELECT rule, count(*) FROM ecw_reject WHERE state = 'open' GROUP BY rule"
    [(rule, waiting)] = rows(broken, open_ones)
    assert rule == "parked"
    replayed = done(airflow, "ecw_replay")
    assert rows(broken, open_ones) == []
    assert told(airflow, replayed)["ecw_encounter"]["inserted"] == waiting

    # crm_vob looks at what there is: a first load, nobody to ask about.
    done(airflow, "crm_vob")
    assert rows(broken, "SELECT count(*) FROM vob_request") == [(0,)]
    before = {run["dag_run_id"] for run in airflow.runs("crm_vob")}

    # Nothing changed: no event. Then a policy changes in eCW.
    [policy, patient] = rows(broken, "SELECT ecw_id, substr(patient, 9) FROM insurance ORDER BY id")[0]
    again = done(airflow, "ecw_pull", ids={"patient": [patient]})
    assert told(airflow, again) == {}
    records = f"http://127.0.0.1:{broken.sandbox_port + 1}/admin/records/Coverage"
    lines = requests.get(records, timeout=30).text.splitlines()
    record = next(record for record in map(json.loads, lines) if record["id"] == policy)
    changed = {**record, "payor": [{"display": "Harbour Mutual"}]}
    requests.put(f"{records}/{policy}", json=changed, timeout=30).raise_for_status()

    run_id = done(airflow, "ecw_pull", ids={"patient": [patient]})
    counts = {"practice": "DEMO01", "run_id": run_id, "inserted": 0, "updated": 1, "rejected": 0}
    assert told(airflow, run_id) == {"ecw_insurance": counts}

    def followed() -> list[dict[str, Any]]:
        return [run for run in airflow.runs("crm_vob") if run["dag_run_id"] not in before and run["state"] in OVER]

    assert wait_until(lambda: bool(followed()), 200)
    [run] = followed()
    assert (run["run_type"], run["state"]) == ("asset_triggered", "success")
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
