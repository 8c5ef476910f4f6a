"""max_failed_ratio counts all checked records, and records that were already known to be bad do not stop again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecw.errors import QualityGateFailed
from ecw.pull import steps
from ecw.pull.replay import steps as replay
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.quality.bad_rows import BETWEEN, IN, NOT_NULL

BAD = 6  # of 120 patients: the most that the suite allows


@pytest.fixture
def suite(mappings: Path) -> Path:
    """Return the patients' suite, with max_failed_ratio in effect for batches of this size."""
    path = mappings.parent / "quality" / "patient.yaml"
    path.write_text(path.read_text().replace("small_batch: 20", "small_batch: 5"))
    return path


def set_impossible_birth_dates(sandbox: RunningSandbox, first: int, last: int) -> list[str]:
    """Give patients a birth date that the suite rejects; return their ids."""
    chosen = sandbox.records("Patient")[first:last]
    for record in chosen:
        sandbox.put({**record, "birthDate": "1890-01-01"})
    return [record["id"] for record in chosen]


def rename(sandbox: RunningSandbox, *numbers: int) -> list[str]:
    chosen = [sandbox.records("Patient")[number] for number in numbers]
    for record in chosen:
        given = next(name["given"] for name in record["name"] if name.get("use") == "usual")
        sandbox.put({**record, "name": [{"use": "usual", "family": "Renamed", "given": given}]})
    return [record["id"] for record in chosen]


def renamed(pull: Pulling) -> set[str]:
    return {row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM patient WHERE last_name = 'Renamed'")}


def expected(column: str, value: str, meta: str) -> str:
    """Return an in-set rule to append to a suite file."""
    return f"  - {{type: {IN}, kwargs: {{column: {column}, value_set: [{value}]}}, meta: {{{meta}}}}}\n"


def report(pull: Pulling, rule: str, column: str) -> list[tuple[int, int, int, str]]:
    """Return the results of a rule in each run: failed rows, new ones, checked rows, verdict."""
    query = (
        "SELECT broken, broken_new, rows, verdict FROM ecw_quality_result "
        "WHERE rule = '{}' AND \"column\" = '{}' ORDER BY at"
    )
    return [tuple(row.values()) for row in pull.rows(query.format(rule, column))]  # type: ignore[misc]


def test_patients_that_stay_bad_do_not_stop_changed_patients(
    pull: Pulling, sandbox: RunningSandbox, suite: Path
) -> None:
    bad = set_impossible_birth_dates(sandbox, 0, BAD)
    assert pull("patient")["patient"]["rejected"] == BAD

    assert pull("patient")["patient"] == {
        **{"fetched": 120, "rejected": BAD, "inserted": 0, "updated": 0, "unchanged": 120 - BAD}
    }
    changed = rename(sandbox, 50)
    assert pull("patient")["patient"]["updated"] == 1

    assert renamed(pull) == set(changed)
    rejects = pull.rows("SELECT ecw_id, state FROM ecw_reject")
    assert {row["ecw_id"] for row in rejects if row["state"] == "open"} == set(bad)
    assert report(pull, BETWEEN, "birth_date") == [(6, 6, 120, "reject"), (6, 0, 120, "reject"), (6, 0, 120, "reject")]


@on_sqlite
def test_new_bad_patients_stop_every_run_until_the_suite_allows_them(
    pull: Pulling, sandbox: RunningSandbox, suite: Path
) -> None:
    set_impossible_birth_dates(sandbox, 0, 3)
    pull("patient")
    set_impossible_birth_dates(sandbox, 3, 10)

    for _ in range(2):
        with pytest.raises(
            QualityGateFailed, match=rf"10 of 120 rows break the rule {BETWEEN} of birth_date, 7 of them new"
        ):
            pull("patient")
    suite.write_text(suite.read_text().replace("max_failed_ratio: 0.05", "max_failed_ratio: 0.1"))
    assert pull("patient")["patient"]["rejected"] == 10
    suite.write_text(suite.read_text().replace("max_failed_ratio: 0.1", "max_failed_ratio: 0.05"))

    assert pull("patient")["patient"]["rejected"] == 10, "known bad records do not stop, even above max_failed_ratio"


@on_sqlite
def test_a_known_bad_record_that_changes_counts_as_new(pull: Pulling, sandbox: RunningSandbox, suite: Path) -> None:
    set_impossible_birth_dates(sandbox, 0, BAD)
    pull("patient")
    rename(sandbox, 0, 1)

    pull("patient")

    assert report(pull, BETWEEN, "birth_date")[-1] == (BAD, 2, 120, "reject")


@on_sqlite
def test_known_warnings_do_not_stop_a_full_run(pull: Pulling, sandbox: RunningSandbox, suite: Path) -> None:
    """20 % without a birth date are allowed; 15 % were loaded first and 15 % later."""
    for first in (0, 18):
        for record in sandbox.records("Patient")[first : first + 18]:
            sandbox.put({name: value for name, value in record.items() if name != "birthDate"})
        pull("patient")

    assert pull("patient", full=True)["patient"]["rejected"] == 0

    found = report(pull, NOT_NULL, "birth_date")
    assert found == [(18, 18, 120, "warn"), (18, 18, 120, "warn"), (36, 0, 120, "warn")]


@on_sqlite
def test_a_broken_mapping_stops_although_no_record_changed(pull: Pulling, suite: Path, mappings: Path) -> None:
    """The records are loaded and unchanged, but the mapping makes new rows of them."""
    pull("patient")
    file = mappings / "patient.yaml"
    original = file.read_text()
    assert original.count("path: birthDate") == 1
    file.write_text(original.replace("path: birthDate", "path: deceasedDateTime"))

    with pytest.raises(QualityGateFailed, match=rf"1\d\d of 120 rows break the rule {NOT_NULL} of birth_date"):
        pull("patient")


@on_sqlite
def test_for_a_new_rule_every_failed_row_counts_as_new(pull: Pulling, suite: Path) -> None:
    pull("patient")
    text = suite.read_text()
    suite.write_text(text + expected("state", "Nowhere", "on_fail: warn, max_failed_ratio: 0.5"))

    for _ in range(2):  # a batch that was stopped is not loaded, so its failures stay new
        with pytest.raises(QualityGateFailed, match=f"break the rule {IN} of state"):
            pull("patient", full=True)


@on_sqlite
def test_max_failed_ratio_does_not_stop_a_run_of_named_records(
    pull: Pulling, sandbox: RunningSandbox, suite: Path
) -> None:
    bad, good = set_impossible_birth_dates(sandbox, 0, 8), sandbox.records("Patient")[20]["id"]
    run = pull.begin("manual", options={"ids": {"patient": [*bad, good]}})

    numbers = pull.resource(run, "patient")

    assert (numbers["rejected"], numbers["inserted"]) == (8, 1)


@on_sqlite
def test_in_a_replay_a_stop_rule_rejects_only_its_records(pull: Pulling, sandbox: RunningSandbox, suite: Path) -> None:
    set_impossible_birth_dates(sandbox, 0, BAD)
    pull("patient")
    text = suite.read_text().replace("min_value: 1900-01-01", "min_value: 1800-01-01", 1)
    suite.write_text(text + expected("ecw_id", "nobody", "on_fail: stop"))
    run = pull.replay()
    batch = replay.collect(run, "patient")
    assert batch is not None

    numbers = steps.load(steps.check(steps.map(batch)))

    assert numbers["rejected"] == BAD
    assert {row["rule"] for row in pull.rows("SELECT rule FROM ecw_reject WHERE state = 'open'")} == {IN}
    assert report(pull, IN, "ecw_id") == [(BAD, BAD, BAD, "reject")]


@on_sqlite
def test_known_deleted_records_do_not_count_when_further_records_are_deleted(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    """A fifth may be missing: first 15 % are deleted, then 10 %, together a quarter of the usual number."""
    pull("patient")
    for first, last in ((0, 18), (18, 30)):
        for record in sandbox.records("Patient")[: last - first]:
            sandbox.delete("Patient", record["id"])
        pull("patient")

    volumes = pull.rows("SELECT rows, usual, verdict FROM ecw_quality_result WHERE rule = 'volume' ORDER BY at")
    assert [tuple(row.values()) for row in volumes] == [
        (120, None, "pass"),
        (102, 120, "pass"),
        (90, 120, "warn"),
    ]
    for record in sandbox.records("Patient")[:20]:
        sandbox.delete("Patient", record["id"])
    with pytest.raises(QualityGateFailed, match="eCW gave 70 records"):
        pull("patient")
