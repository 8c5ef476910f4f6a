"""`ecw find` and `ecw forget`: a patient's ids, and a patient's erasure."""

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


def told(pull: Pulling) -> str:
    """Everything that the bookkeeping and the staging area hold."""
    tables = [str(pull.rows(f"SELECT * FROM {table.name}")) for table in metadata.sorted_tables]  # noqa: S608
    files = [path for path in Path(pull.staging).rglob("*") if path.is_file()]
    return "\n".join(
        [
            *tables,
            *(gzip.decompress(one.read_bytes()).decode() if one.suffix == ".gz" else one.read_text() for one in files),
        ]
    )


def planned(pull: Pulling, *ids: str) -> str:
    """Begin a run of these patients only; return its folder."""
    return pull.begin("manual", options={"mode": "patients", "patients": list(ids)})["staging"]


def test_a_patient_is_forgotten_with_all_that_is_about_them_and_nobody_else_is(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    patients = [one for one in sandbox.records("Patient") if one.get("active") is not False]
    covered = {one["beneficiary"]["reference"] for one in sandbox.records("Coverage")}
    visiting = {one["subject"]["reference"] for one in sandbox.records("Encounter")}
    known = [one for one in patients if f"Patient/{one['id']}" in covered & visiting]
    who, other = known[0]["id"], known[1]["id"]
    theirs = [one["id"] for one in sandbox.records("Coverage") if one["beneficiary"]["reference"] == f"Patient/{who}"]
    theirs += [one["id"] for one in sandbox.records("Encounter") if one["subject"]["reference"] == f"Patient/{who}"]
    run = pull.begin()
    for name in ("practitioner", "location", "patient", "insurance", "encounter"):
        pull.resource(run, name)
    before = told(pull)
    theirs = [one for one in theirs if one in before]  # some visits are too long ago for a first pull
    assert who in before
    assert len(theirs) > 1
    links = len(pull.rows("SELECT * FROM ecw_link"))

    done = ecw("forget", who, "--yes", "--staging", pull.staging)

    assert done.exit_code == 0, f"{done.output}{done.exception!r}"
    after = told(pull)
    assert [one for one in (who, *theirs) if one in after] == []
    assert other in after
    assert links - len(pull.rows("SELECT * FROM ecw_link")) == len(theirs) + 1
    for word in ("staged copies", "ecw_link", "ecw_journal", "ecw_merge_base", "Not touched"):
        assert word in done.output
    assert pull.rows("SELECT count(*) AS n FROM patient")[0]["n"] >= len(patients), "the CRM's rows are the CRM's"
    again = ecw("forget", who, "--yes", "--staging", pull.staging)
    assert "ecw_link" not in again.output


@on_sqlite
def test_what_a_run_was_to_fetch_no_longer_names_the_patient(pull: Pulling, sandbox: RunningSandbox) -> None:
    """Nor does a replay's choice, what it left, what an export had to hold, or how far an extraction had come."""
    who, other = [one["id"] for one in sandbox.records("Patient") if one.get("active") is not False][:2]
    pull("practitioner", "location", "patient")
    alone, both, replay = (planned(pull, *ids) for ids in ([who], [who, other], [other]))
    batch_file.write_json(f"{replay}/chosen.json", {"ids": [who, other], "rule": "", "resources": ["patient"]})
    (Path(replay) / "patient").mkdir(exist_ok=True)
    batch_file.write_json(f"{replay}/patient/left.json", [f"Not found: {who}.", f"Not found: {other}."])
    batch_file.write_json(f"{replay}/patient/export.json", {"expected": [who, other], "handle": "h"})
    with batch_file.writer(f"{replay}/insurance/parts/000000-x.ndjson.gz") as part:
        link = f"http://x/Coverage?patient={who}&page=2"
        part.extra["units"] = {who: [link, False], other: [None, True]}
    with pull.crm.begin() as connection:  # none of them is at work any more
        connection.execute(text("UPDATE ecw_run SET state = 'failed'"))

    assert ecw("forget", who, "--yes", "--staging", pull.staging).exit_code == 0

    assert who not in told(pull)
    assert not (Path(alone) / "plan.json").exists(), "without a name a cleared task would take everybody"
    assert batch_file.read_json(f"{both}/plan.json")["options"]["ids"] == {"patient": [other]}
    assert batch_file.read_json(f"{replay}/chosen.json")["ids"] == [other]
    assert batch_file.read_json(f"{replay}/patient/left.json") == [f"Not found: {other}."]
    assert batch_file.read_json(f"{replay}/patient/export.json") == {"expected": [other], "handle": "h"}
    [found] = [batch_file.manifest(str(path)) for path in Path(replay).rglob("000000-x.ndjson.gz")]
    assert found is not None
    assert found["units"] == {other: [None, True]}


@on_sqlite
def test_nobody_is_forgotten_while_a_run_is_at_work(pull: Pulling) -> None:
    runs.begin(pull.crm, pull.begin(), ["patient"])
    found = ecw("forget", "nobody", "--yes", "--staging", pull.staging)
    assert isinstance(found.exception, ConcurrentRun)


@on_sqlite
@pytest.mark.parametrize("asked", [True, False])
def test_the_ids_of_a_patient_are_found_by_the_mr_number(pull: Pulling, asked: bool) -> None:
    pull("practitioner", "location", "patient")
    [row, *_] = pull.rows("SELECT * FROM patient WHERE mr_number IS NOT NULL")
    found = ecw("find", input=f"{row['mr_number']}\n") if asked else ecw("find", row["mr_number"])
    assert found.exit_code == 0, found.output
    assert row["ecw_id"] in found.output
    assert str(row["id"]) in found.output
    assert row["last_name"] not in found.output
    assert "does not have this patient" in ecw("find", "mr:nobody").output
