"""The OpenLineage events of a load and of a push; both also work without OpenLineage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from airflow.providers.openlineage.plugins.facets import AirflowDagRunFacet, AirflowRunFacet
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Job, Run, RunEvent
from openlineage.client.serde import Serde
from sqlalchemy import make_url, text

from ecw.models import Batch
from ecw.operators import assets, lineage
from ecw.operators.lineage_filter import WithoutForm
from ecw.practice.mappings import mapping_of
from ecw.pull import steps
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling

ROOT = Path(__file__).parents[2]
FILTER = "ecw.operators.lineage_filter.WithoutForm"


@pytest.mark.parametrize(
    ("url", "table", "place"),
    [
        ("sqlite:////a/crm.db", "patient", ("file", "/a/crm.db/patient")),
        ("postgresql://u:p@db:5433/crm", "patient", ("postgres://db:5433", "crm.public.patient")),
        ("postgresql://u@db/crm", "intake.patient", ("postgres://db:5432", "crm.intake.patient")),
        ("postgresql:///crm?host=/run/pg", "patient", ("postgres:///run/pg:5432", "crm.public.patient")),
    ],
)
def test_a_table_is_named_without_user_and_password(url: str, table: str, place: tuple[str, str]) -> None:
    assert lineage.crm_place(make_url(url), table) == place


def test_a_fhir_type_is_named_by_its_server_and_path() -> None:
    assert lineage.ecw_place("https://fhir.example.com/fhir/r4/ABC", "Patient") == (
        "https://fhir.example.com",
        "/fhir/r4/ABC/Patient",
    )


@on_sqlite
def test_the_event_of_a_load_names_the_element_of_every_column(pull: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's functions are replaced here, because only a task may emit events; the last test runs real tasks."""
    sent: list[dict[str, Any]] = []
    api = "airflow.providers.openlineage.api"
    monkeypatch.setattr(f"{api}.is_openlineage_active", lambda: True)
    monkeypatch.setattr(f"{api}.emit_dataset_lineage", lambda **event: sent.append(Serde.to_dict(event["outputs"][0])))
    run = pull.begin()
    checked: Batch = steps.check(steps.map(steps.extract(run, "location")))
    numbers = assets.load(checked)

    [output] = sent
    mapping = mapping_of(run, "location")
    fields = output["facets"]["columnLineage"]["fields"]
    assert set(fields) == {column.name for column in mapping.pulled}
    for column in mapping.pulled:
        [element, *_] = fields[column.name]["inputFields"]
        assert element["field"].endswith(column.path)
        assert element["name"].endswith("/Location")
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == numbers["inserted"] > 0
    assert assets.load(checked) == numbers


@pytest.mark.parametrize(
    ("dag_id", "kept"), [("ecw_push_patients__north", False), ("crm_vob", False), ("theirs", True)]
)
def test_the_form_of_the_projects_runs_is_removed_from_events(dag_id: str, kept: bool, tmp_path: Path) -> None:
    file = tmp_path / "events"
    client = OpenLineageClient(config={"transport": transport(file)})
    run = {"dag_id": dag_id, "run_id": "manual__1", "conf": {"patients": ["4711"]}}
    facets = {
        "airflow": AirflowRunFacet(dag={}, dagRun=dict(run), task={}, taskInstance={}, taskUuid=str(uuid4())),
        "airflowDagRun": AirflowDagRunFacet(dag={}, dagRun=dict(run)),
    }
    now = datetime.now(UTC).isoformat()
    event = RunEvent(eventTime=now, run=Run(str(uuid4()), facets=facets), job=Job("here", dag_id), producer="test")
    client.emit(event)
    [sent] = [json.loads(line) for line in file.read_text().splitlines()]
    for name in ("airflow", "airflowDagRun"):
        assert sent["run"]["facets"][name]["dagRun"]["run_id"] == "manual__1"
        assert ("conf" in sent["run"]["facets"][name]["dagRun"]) is kept


def transport(file: Path) -> dict[str, Any]:
    """Return the transport of the how-to, with a file in place of the collector."""
    to_file = {"type": "file", "log_file_path": str(file), "append": True}
    return {"type": "transform", "transformer_class": FILTER, "transport": to_file}


def test_the_how_to_names_the_filter() -> None:
    assert FILTER in (ROOT / "docs" / "how-to" / "lineage.md").read_text()
    assert f"{WithoutForm.__module__}.{WithoutForm.__qualname__}" == FILTER


RUN = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
for name, conf in json.loads(sys.argv[2]):
    run = DagBag(sys.argv[1]).dags[name].test(run_conf=conf)
    print(name, run.state)
"""


@pytest.mark.airflow
@pytest.mark.timeout(900)
@on_sqlite
def test_airflows_own_events_hold_the_datasets_and_no_id_of_a_form(pull: Pulling, tmp_path: Path) -> None:
    pull("practitioner", "patient")
    chosen, *_ = pull.rows("SELECT id, ecw_id FROM patient ORDER BY id")
    with pull.crm.begin() as connection:
        connection.execute(text("UPDATE patient SET city = 'Elsewhere' WHERE id = :id"), {"id": chosen["id"]})
    home, events = tmp_path / "airflow", tmp_path / "events"
    env = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport(events)),
        "AIRFLOW_CONN_ECW_DEFAULT": os.environ["AIRFLOW_CONN_ECW_TEST"],
        "AIRFLOW_CONN_CRM_DEFAULT": os.environ["AIRFLOW_CONN_CRM_TEST"],
        "AIRFLOW_VAR_ECW_STAGING": pull.staging,
    }
    airflow = Path(sys.executable).with_name("airflow")
    subprocess.run([airflow, "db", "migrate"], env=env, check=True, capture_output=True)
    runs = json.dumps(
        [
            ["ecw_pull", {"resources": ["location"]}],
            ["ecw_pull", {"mode": "patients", "resources": ["patient"], "patients": [chosen["ecw_id"]]}],
            ["ecw_push_patients", {"patients": [f"ecw:{chosen['ecw_id']}"]}],
        ]
    )
    command = [sys.executable, "-c", RUN, str(ROOT / "dags"), runs]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    ended = [line for line in done.stdout.splitlines() if line.startswith(("ecw_pull ", "ecw_push_patients "))]
    errors = [line for line in done.stdout.splitlines() if "error" in line.lower() or "Next (" in line]
    assert ended == ["ecw_pull success", "ecw_pull success", "ecw_push_patients success"], [*errors[-20:], done.stderr]
    assert chosen["ecw_id"] not in events.read_text()

    emitted = [json.loads(line) for line in events.read_text().splitlines()]
    for job, table in (("ecw_pull.location.load", "/location"), ("ecw_push_patients.send", "/Patient")):
        outputs = [one for event in emitted if event["job"]["name"] == job for one in event["outputs"]]
        [written] = [one for one in outputs if "columnLineage" in one.get("facets", {})]
        assert written["name"].endswith(table)
        assert written["outputFacets"]["outputStatistics"]["rowCount"] > 0
    city = written["facets"]["columnLineage"]["fields"]
    assert "city" in {one["field"] for made_of in city.values() for one in made_of["inputFields"]}
