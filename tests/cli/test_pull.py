"""`ecw pull`: the steps of the DAG in one process, over sockets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ecw.cli import group
from ecw.errors import ConfigurationError, EcwError, MappingError
from ecw.resources import RESOURCES
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

pytestmark = on_sqlite


@pytest.fixture
def ecw(pull: Pulling) -> Any:
    def run(*arguments: str) -> Result:
        own = ("--conn-id", "ecw_test", "--crm-conn-id", "crm_test", "--staging", pull.staging)
        return CliRunner().invoke(group, ["pull", *arguments, *own])

    return run


def numbers(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return {row["resource"]: row for row in json.loads(result.stdout)["resources"]}


def count(pull: Pulling, table: str) -> int:
    [row] = pull.rows(f"SELECT count(*) AS number FROM {table}")  # noqa: S608 - a resource's name
    return int(row["number"])


def test_all_resources_are_loaded_without_a_scheduler(
    ecw: Any, pull: Pulling, sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The order matters: what is fetched of one resource depends on the rows that were loaded of another."""
    caplog.set_level("INFO")
    first = ecw()
    assert first.exit_code == 0, first.output
    assert {line.split()[0] for line in first.stdout.splitlines()[1:6]} == set(RESOURCES)
    assert "unchanged" in first.stdout  # a column of the table, which a terminal shows once
    assert not [one for one in caplog.messages if "unchanged" in one and "\n" in one]
    for name, row in RESOURCES.items():
        assert 0 < count(pull, name) <= len(sandbox.records(row.fhir_type))
    again = numbers(ecw("--json"))
    for row in again.values():
        assert (row["inserted"], row["updated"]) == (0, 0)


def test_a_dry_run_writes_no_record_and_shows_what_a_run_would_do(ecw: Any, pull: Pulling) -> None:
    dry = numbers(ecw("location", "practitioner", "--dry-run", "--json"))
    assert count(pull, "location") == count(pull, "practitioner") == count(pull, "ecw_link") == 0
    done = numbers(ecw("location", "practitioner", "--json"))
    for name in ("location", "practitioner"):
        assert dry[name]["state"] == "dry run"
        assert dry[name]["inserted"] == done[name]["inserted"] == count(pull, name) > 0
    assert done["patient"]["state"] == "not asked for"


def test_one_patient_is_pulled_by_ecw_id_or_mr_number(ecw: Any, pull: Pulling, sandbox: RunningSandbox) -> None:
    one = sandbox.records("Patient")[0]
    for column in ("ecw_id", "mr_number"):  # a number is allowed, as Airflow does not store what is typed in a terminal
        entry = one["id"] if column == "ecw_id" else pull.rows("SELECT mr_number FROM patient")[0]["mr_number"]
        table = numbers(ecw("--patient", entry, "--json"))
        assert table["patient"]["fetched"] == 1
        assert table["location"]["state"] == "not asked for"
        assert pull.rows("SELECT ecw_id FROM patient") == [{"ecw_id": one["id"]}]


def test_records_are_pulled_by_their_ids(ecw: Any, pull: Pulling, sandbox: RunningSandbox) -> None:
    ecw_ids = sorted(each["id"] for each in sandbox.records("Practitioner"))[:2]
    table = numbers(ecw("practitioner", *(word for ecw_id in ecw_ids for word in ("--id", ecw_id)), "--json"))
    assert table["practitioner"]["fetched"] == 2
    assert [row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM practitioner ORDER BY 1")] == ecw_ids
    assert ecw("--id", ecw_ids[0]).exit_code == 2
    assert ecw("patient", "--id", "1", "--patient", "2").exit_code == 2


def test_wrong_options_are_refused_before_the_first_call(ecw: Any, sandbox: RunningSandbox) -> None:
    for arguments, message in (
        (("--strategy", "patient=telepathy"), "telepathy"),
        (("location", "--practitioner", "1"), "location"),
        (("--until", "2026-01-01T00:00:00Z"), "Until needs From"),
    ):
        refused = ecw(*arguments)
        assert isinstance(refused.exception, ConfigurationError)
        assert message in str(refused.exception)
    assert sandbox.served("search") == sandbox.served("read") == 0


def test_a_resource_that_fails_stops_no_other_and_the_table_shows_its_error(
    ecw: Any, pull: Pulling, sandbox: RunningSandbox
) -> None:
    sandbox.fault("gone", resource="Location")
    failed = ecw("location", "practitioner", "--json")
    assert failed.exit_code == 1
    assert isinstance(failed.exception, EcwError)
    assert "Next (" in str(failed.exception)
    rows = {row["resource"]: row for row in json.loads(failed.stdout)["resources"]}
    assert rows["location"]["state"] == "failed"
    assert rows["location"]["next"]
    assert count(pull, "practitioner") == rows["practitioner"]["inserted"] > 0


def test_a_broken_suite_ends_the_pull_before_the_first_call(ecw: Any, sandbox: RunningSandbox, mappings: Path) -> None:
    (mappings.parent / "quality" / "location.yaml").write_text("rules: [\n")
    failed = ecw("location", "practitioner")
    assert failed.exit_code == 1
    assert isinstance(failed.exception, MappingError)
    assert "location.yaml" in str(failed.exception)
    assert sandbox.served("search") == 0
