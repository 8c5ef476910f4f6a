"""`ecw find` shows a patient's ids; `ecw forget` erases a patient."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from ecw.cli import group
from ecw.crm.db.tables import metadata
from ecw.crm.state import runs
from ecw.errors import ConcurrentRun
from ecw.staging import batch_file
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

CONNECTIONS = ("--conn-id", "ecw_test", "--crm-conn-id", "crm_test")


def ecw(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(group, [*arguments, *CONNECTIONS], **options)


def stored_data(pull: Pulling) -> str:
    """Return all content of the project's own tables and of the staging area."""
    tables = [str(pull.rows(f"SELECT * FROM {table.name}")) for table in metadata.sorted_tables]  # noqa: S608
    files = [path for path in Path(pull.staging).rglob("*") if path.is_file()]
    return "\n".join(
        [
            *tables,
            *(gzip.decompress(one.read_bytes()).decode() if one.suffix == ".gz" else one.read_text() for one in files),
        ]
    )


def planned(pull: Pulling, *ids: str) -> str:
    """Begin a run of these patients only; return its staging folder."""
    return pull.begin("manual", options={"mode": "patients", "patients": list(ids)})["staging"]


def test_forget_removes_all_records_of_one_patient_and_of_no_other(pull: Pulling, sandbox: RunningSandbox) -> None:
    patients = [one for one in sandbox.records("Patient") if one.get("active") is not False]
    covered = {one["beneficiary"]["reference"] for one in sandbox.records("Coverage")}
    visiting = {one["subject"]["reference"] for one in sandbox.records("Encounter")}
    known = [one for one in patients if f"Patient/{one['id']}" in covered & visiting]
    forgotten, other = known[0]["id"], known[1]["id"]
    related = [
        one["id"] for one in sandbox.records("Coverage") if one["beneficiary"]["reference"] == f"Patient/{forgotten}"
    ]
    related += [
        one["id"] for one in sandbox.records("Encounter") if one["subject"]["reference"] == f"Patient/{forgotten}"
    ]
    run = pull.begin()
    for name in ("practitioner", "location", "patient", "insurance", "encounter"):
        pull.resource(run, name)
    before = stored_data(pull)
    related = [one for one in related if one in before]  # a first pull leaves out visits of long ago
    assert forgotten in before
    assert len(related) > 1
    links = len(pull.rows("SELECT * FROM ecw_link"))

    done = ecw("forget", forgotten, "--yes", "--staging", pull.staging)

    assert done.exit_code == 0, f"{done.output}{done.exception!r}"
    after = stored_data(pull)
    assert [one for one in (forgotten, *related) if one in after] == []
    assert other in after
    assert links - len(pull.rows("SELECT * FROM ecw_link")) == len(related) + 1
    for word in ("staged copies", "ecw_link", "ecw_journal", "ecw_merge_base", "Not touched"):
        assert word in done.output
    assert pull.rows("SELECT count(*) AS n FROM patient")[0]["n"] >= len(patients), "the CRM's rows are the CRM's"
    again = ecw("forget", forgotten, "--yes", "--staging", pull.staging)
    assert "ecw_link" not in again.output


@on_sqlite
def test_forget_removes_the_patient_from_the_files_of_ended_runs(pull: Pulling, sandbox: RunningSandbox) -> None:
    """These files are plans, replays' choices and leftovers, exports' expected ids, and extractions' checkpoints."""
    forgotten, other = [one["id"] for one in sandbox.records("Patient") if one.get("active") is not False][:2]
    pull("practitioner", "location", "patient")
    alone, both, replay = (planned(pull, *ids) for ids in ([forgotten], [forgotten, other], [other]))
    batch_file.write_json(f"{replay}/chosen.json", {"ids": [forgotten, other], "rule": "", "resources": ["patient"]})
    (Path(replay) / "patient").mkdir(exist_ok=True)
    batch_file.write_json(f"{replay}/patient/left.json", [f"Not found: {forgotten}.", f"Not found: {other}."])
    batch_file.write_json(f"{replay}/patient/export.json", {"expected": [forgotten, other], "handle": "h"})
    with batch_file.writer(f"{replay}/insurance/parts/000000-x.ndjson.gz") as part:
        link = f"http://x/Coverage?patient={forgotten}&page=2"
        part.extra["searches"] = {forgotten: [link, False], other: [None, True]}
    with pull.crm.begin() as connection:  # as none of the runs is running any more
        connection.execute(text("UPDATE ecw_run SET state = 'failed'"))

    assert ecw("forget", forgotten, "--yes", "--staging", pull.staging).exit_code == 0

    assert forgotten not in stored_data(pull)
    assert not (Path(alone) / "plan.json").exists(), "a plan without ids would make a cleared task fetch all patients"
    assert batch_file.read_json(f"{both}/plan.json")["options"]["ids"] == {"patient": [other]}
    assert batch_file.read_json(f"{replay}/chosen.json")["ids"] == [other]
    assert batch_file.read_json(f"{replay}/patient/left.json") == [f"Not found: {other}."]
    assert batch_file.read_json(f"{replay}/patient/export.json") == {"expected": [other], "handle": "h"}
    [manifest] = [batch_file.manifest(str(path)) for path in Path(replay).rglob("000000-x.ndjson.gz")]
    assert manifest is not None
    assert manifest["searches"] == {other: [None, True]}


@on_sqlite
def test_forget_is_refused_while_a_run_is_running(pull: Pulling) -> None:
    runs.begin(pull.crm, pull.begin(), ["patient"])
    result = ecw("forget", "nobody", "--yes", "--staging", pull.staging)
    assert isinstance(result.exception, ConcurrentRun)


@on_sqlite
@pytest.mark.parametrize("prompted", [True, False])
def test_the_ids_of_a_patient_are_found_by_the_mr_number(pull: Pulling, prompted: bool) -> None:
    pull("practitioner", "location", "patient")
    [row, *_] = pull.rows("SELECT * FROM patient WHERE mr_number IS NOT NULL")
    result = ecw("find", input=f"{row['mr_number']}\n") if prompted else ecw("find", row["mr_number"])
    assert result.exit_code == 0, result.output
    assert row["ecw_id"] in result.output
    assert str(row["id"]) in result.output
    assert row["last_name"] not in result.output
    assert "does not have this patient" in ecw("find", "mr:nobody").output
