"""Shares are of everything that was checked, and what was known to be bad stops nothing again."""

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

BAD = 6  # of 120 patients: as many as the suite allows


@pytest.fixture
def suite(mappings: Path) -> Path:
    """The patients' suite, whose shares count in batches as small as these."""
    path = mappings.parent / "quality" / "patient.yaml"
    path.write_text(path.read_text().replace("small_batch: 20", "small_batch: 5"))
    return path


def spoil(sandbox: RunningSandbox, first: int, last: int) -> list[str]:
    """Let patients be born when eCW has nulls; return their ids."""
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
    """Return a rule for the end of a suite file."""
    return f"  - {{type: {IN}, kwargs: {{column: {column}, value_set: [{value}]}}, meta: {{{meta}}}}}\n"


def report(pull: Pulling, rule: str, column: str) -> list[tuple[int, int, int, str]]:
    """Return what was found of a rule, run by run: broken, new, checked, verdict."""
    query = (
        "SELECT broken, broken_new, rows, verdict FROM ecw_quality_result "
        "WHERE rule = '{}' AND \"column\" = '{}' ORDER BY at"
    )
    return [tuple(row.values()) for row in pull.rows(query.format(rule, column))]  # type: ignore[misc]


def test_patients_that_are_bad_for_good_do_not_keep_the_changed_ones_out(
    pull: Pulling, sandbox: RunningSandbox, suite: Path
) -> None:
    bad = spoil(sandbox, 0, BAD)
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
def test_new_bad_ones_stop_run_after_run_until_somebody_acts(
    pull: Pulling, sandbox: RunningSandbox, suite: Path
) -> None:
    spoil(sandbox, 0, 3)
    pull("patient")
    spoil(sandbox, 3, 10)

    for _ in range(2):
        with pytest.raises(
            QualityGateFailed, match=rf"10 of 120 rows break the rule {BETWEEN} of birth_date, 7 of them new"
        ):
            pull("patient")
    suite.write_text(suite.read_text().replace("max_failed_ratio: 0.05", "max_failed_ratio: 0.1"))
    assert pull("patient")["patient"]["rejected"] == 10
    suite.write_text(suite.read_text().replace("max_failed_ratio: 0.1", "max_failed_ratio: 0.05"))

    assert pull("patient")["patient"]["rejected"] == 10, "known by now, though more than the suite allows"


@on_sqlite
def test_a_known_bad_record_that_changes_is_new(pull: Pulling, sandbox: RunningSandbox, suite: Path) -> None:
    spoil(sandbox, 0, BAD)
    pull("patient")
    rename(sandbox, 0, 1)

    pull("patient")

    assert report(pull, BETWEEN, "birth_date")[-1] == (BAD, 2, 120, "reject")


@on_sqlite
def test_warnings_that_grew_little_by_little_do_not_stop_when_everything_is_checked_again(
    pull: Pulling, sandbox: RunningSandbox, suite: Path
) -> None:
    """20 % without a birth date are allowed; 15 % were there, 15 % came later, all of them entered."""
    for first in (0, 18):
        for record in sandbox.records("Patient")[first : first + 18]:
            sandbox.put({name: value for name, value in record.items() if name != "birthDate"})
        pull("patient")

    assert pull("patient", full=True)["patient"]["rejected"] == 0

    found = report(pull, NOT_NULL, "birth_date")
    assert found == [(18, 18, 120, "warn"), (18, 18, 120, "warn"), (36, 0, 120, "warn")]


@on_sqlite
def test_a_mapping_that_was_broken_stops_although_no_record_changed(pull: Pulling, suite: Path, mappings: Path) -> None:
    """The records are known, and entered; what the mapping makes of them is new."""
    pull("patient")
    file = mappings / "patient.yaml"
    whole = file.read_text()
    assert whole.count("path: birthDate") == 1
    file.write_text(whole.replace("path: birthDate", "path: deceasedDateTime"))

    with pytest.raises(QualityGateFailed, match=rf"1\d\d of 120 rows break the rule {NOT_NULL} of birth_date"):
        pull("patient")


@on_sqlite
def test_a_rule_that_is_new_is_judged_by_everything_that_it_finds(pull: Pulling, suite: Path) -> None:
    pull("patient")
    text = suite.read_text()
    suite.write_text(text + expected("state", "Nowhere", "on_fail: warn, max_failed_ratio: 0.5"))

    for _ in range(2):  # stopped is not loaded: it does not become known
        with pytest.raises(QualityGateFailed, match=f"break the rule {IN} of state"):
            pull("patient", full=True)


@on_sqlite
def test_records_that_a_form_names_are_judged_one_by_one(pull: Pulling, sandbox: RunningSandbox, suite: Path) -> None:
    bad, good = spoil(sandbox, 0, 8), sandbox.records("Patient")[20]["id"]
    run = pull.begin("manual", options={"ids": {"patient": [*bad, good]}})

    numbers = pull.resource(run, "patient")

    assert (numbers["rejected"], numbers["inserted"]) == (8, 1)


@on_sqlite
def test_in_a_replay_a_record_that_would_stop_everything_is_rejected_alone(
    pull: Pulling, sandbox: RunningSandbox, suite: Path
) -> None:
    spoil(sandbox, 0, BAD)
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
def test_records_that_are_known_to_be_gone_do_not_stop_the_next_that_go(pull: Pulling, sandbox: RunningSandbox) -> None:
    """A fifth may be missing: 15 % went and were loaded, then 10 %; together they are a quarter of what was usual."""
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
