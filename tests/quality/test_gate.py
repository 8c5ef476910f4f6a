"""The suites gate: what may not enter does not, the rest does, and both are told; through the real steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ecw.crm.db.tables import ecw_link
from ecw.errors import QualityGateFailed
from ecw.mapping.definition.files import load_mapping
from ecw.models import Batch, Run
from ecw.pull import steps
from ecw.quality.suite import REJECT, STOP, WARN, Rule, suite_of
from ecw.resources import RESOURCES
from ecw.staging import batch_file
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.quality.bad_rows import BAD, BETWEEN, IN, NOT_BEFORE, bad_row, good_row

GOOD_ROWS = 60  # so that one bad row is less than every share that stops


def rules_of(resource: str) -> dict[tuple[str, str], Rule]:
    return {(rule.name, rule.column): rule for rule in suite_of(resource, load_mapping(resource)).rules}


def staged(run: Run, resource: str, rows: Iterable[dict[str, Any]], *, full_scan: bool = False) -> Batch:
    """Return the rows as the map step leaves them."""
    mapping = load_mapping(resource)
    columns = dict.fromkeys(column.name for column in mapping.pulled)
    path = f"{run['staging']}/{resource}/map.ndjson.gz"
    with batch_file.writer(path) as batch:
        batch.extra["mapping_version"] = mapping.version
        for row in rows:
            line = {"ecw_id": row["ecw_id"], "version": None, "hash": f"hash of {row['ecw_id']}"}
            batch.write({**line, "row": columns | row})
    return Batch(
        run=run,
        resource=resource,
        path=path,
        count=batch.count,
        fetched=batch.count,
        rejected=0,
        unchanged=0,
        rejects=[],
        calls=0,
        seconds=0.0,
        full_scan=full_scan,
    )


def link_the_known(pull: Pulling, run: Run) -> None:
    """Put one record of each that others refer to into the CRM, as an earlier load would have."""
    with pull.crm.begin() as connection:
        for resource in ("practitioner", "location", "patient"):
            name = {"location": "name"}.get(resource, "last_name")
            connection.execute(text(f"INSERT INTO {resource} (ecw_id, {name}) VALUES ('known', 'Known')"))  # noqa: S608
            key = connection.execute(text(f"SELECT id FROM {resource}")).scalar_one()  # noqa: S608 - names from above
            link = {"practice": run["practice"], "resource": resource, "ecw_id": "known", "crm_id": str(key)}
            made = {"hash": "h", "mapping_version": "m", "last_seen_run": "before", "source_version": datetime.now(UTC)}
            connection.execute(ecw_link.insert().values(link | made))


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_rule_has_a_golden_bad_row(resource: str) -> None:
    rules = rules_of(resource)

    assert rules
    assert set(BAD[resource]) == set(rules), "give the new rule a row in tests/quality/bad_rows.py that breaks it"


@pytest.mark.parametrize("resource", RESOURCES)
def test_each_bad_row_breaks_its_rule_and_the_good_ones_enter(pull: Pulling, resource: str) -> None:
    run = pull.begin()
    link_the_known(pull, run)
    rules = rules_of(resource)
    bad = [bad_row(resource, rule, number) for number, rule in enumerate(BAD[resource])]
    good = [good_row(resource, number) for number in range(GOOD_ROWS)]

    checked = steps.check(staged(run, resource, [*good, *bad]))
    numbers = steps.load(checked)

    report = {
        (row["rule"], row["column"].partition(" and ")[0]): row
        for row in pull.rows("SELECT * FROM ecw_quality_result WHERE number > 0")
    }
    for rule, row in report.items():
        assert row["broken"] >= 1, f"the golden bad row of {rule} does not break it"
        assert (row["verdict"], row["rows"]) == (rules[rule].on_fail, GOOD_ROWS + len(bad))
    assert set(report) == set(rules)

    rejecting = {rule for rule, its in rules.items() if its.on_fail == REJECT}
    found = pull.rows("SELECT * FROM ecw_reject WHERE step = 'check'")
    batch = f"{run['staging']}/{resource}/extract.ndjson.gz"
    assert rejecting
    for number, rule in enumerate(BAD[resource]):
        if rule in rejecting:
            [reject] = [
                row for row in found if row["ecw_id"] == bad[number]["ecw_id"] and (row["rule"], row["column"]) == rule
            ]
            assert (reject["batch"], reject["first_run"], reject["state"]) == (batch, run["run_id"], "open")
    refused = {row["ecw_id"] for row in found}
    assert len(refused) == checked["rejected"] <= numbers["rejected"]
    entered = {row["ecw_id"] for row in pull.rows(f"SELECT ecw_id FROM {resource}")}  # noqa: S608 - names of resources
    assert entered >= {row["ecw_id"] for row in good}
    assert not entered & refused


@pytest.mark.parametrize(
    ("resource", "rule"), [("patient", (BETWEEN, "birth_date")), ("encounter", (NOT_BEFORE, "end_time"))]
)
def test_too_many_bad_rows_stop_the_resource_and_nothing_is_written(
    pull: Pulling, resource: str, rule: tuple[str, str]
) -> None:
    run = pull.begin()
    link_the_known(pull, run)
    query = f"SELECT * FROM {resource} ORDER BY id"  # noqa: S608 - names from above
    before = pull.rows(query)
    rows = [good_row(resource, number) for number in range(20)]
    rows += [bad_row(resource, rule, 0) | {"ecw_id": f"bad.{number}"} for number in range(25)]

    with pytest.raises(QualityGateFailed, match=rf"{resource}: nothing of this batch is loaded: 25 of 45 rows"):
        steps.check(staged(run, resource, rows))

    assert pull.rows(query) == before
    assert pull.rows("SELECT * FROM ecw_reject") == []
    [found] = pull.rows("SELECT * FROM ecw_quality_result WHERE verdict = 'stop'")
    assert (found["rule"], found["column"].partition(" and ")[0]) == rule
    assert (found["broken"], found["rows"]) == (25, 45)
    [ledger] = pull.rows(f"SELECT state, error FROM ecw_run WHERE resource = '{resource}'")  # noqa: S608
    assert ledger["state"] == "failed"
    assert ledger["error"].startswith("QualityGateFailed: ")


def test_a_report_that_is_made_again_is_replaced(pull: Pulling) -> None:
    """As when the task is cleared after the rows were fixed, or the suite has fewer rules."""
    run = pull.begin()
    link_the_known(pull, run)
    rows = [good_row("patient", number) for number in range(30)]
    bad = [row | {"birth_date": "1850-01-01"} for row in rows]
    with pytest.raises(QualityGateFailed):
        steps.check(staged(run, "patient", bad))
    stopped = pull.rows("SELECT * FROM ecw_quality_result")

    steps.check(staged(run, "patient", rows))

    again = pull.rows("SELECT * FROM ecw_quality_result")
    assert len(again) == len(stopped) == 1 + len(rules_of("patient"))
    assert {row["verdict"] for row in again} == {"pass"}

    steps.check(staged(run, "patient", []))

    assert [row["rule"] for row in pull.rows("SELECT * FROM ecw_quality_result")] == ["volume"]


@pytest.mark.parametrize(("resource", "fhir_type"), [("location", "Location"), ("practitioner", "Practitioner")])
def test_a_drop_to_zero_stops(pull: Pulling, sandbox: RunningSandbox, resource: str, fhir_type: str) -> None:
    pull(resource)
    sandbox.delete_all(fhir_type)

    with pytest.raises(QualityGateFailed, match="eCW gave 0 records"):
        pull(resource)

    [found] = pull.rows("SELECT * FROM ecw_quality_result WHERE verdict <> 'pass'")
    assert (found["rule"], found["verdict"], found["rows"], found["scope"]) == ("volume", "stop", 0, "full")
    assert found["broken"] == found["usual"] == len(pull.rows(f"SELECT id FROM {resource}")) > 0  # noqa: S608


def test_one_bad_run_does_not_become_what_is_usual(
    pull: Pulling, sandbox: RunningSandbox, mappings: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the suite only warns, a small batch is loaded, and the next is still held against the usual number."""
    suite = mappings.parent / "quality" / "location.yaml"
    suite.write_text(suite.read_text().replace("on_fail: stop", "on_fail: warn"))
    records = sandbox.records("Location")
    pull("location")
    pull("location")
    for record in records[4:]:
        sandbox.delete("Location", record["id"])

    for _ in range(3):
        caplog.clear()
        pull("location")
        assert "location: eCW gave 4 records, usual are 12." in caplog.messages
    caplog.clear()
    pull("location")  # four of the last five: now it is what is usual
    assert "usual are" not in caplog.text


def test_a_run_whose_rows_were_not_loaded_says_nothing_about_what_is_usual(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    pull("location")
    records = sandbox.records("Location")
    for record in records[4:]:
        sandbox.delete("Location", record["id"])
    for _ in range(5):
        with pytest.raises(QualityGateFailed, match="usual are 12"):
            pull("location")


@pytest.mark.parametrize("on_fail", [WARN, REJECT, STOP])
def test_each_outcome(pull: Pulling, sandbox: RunningSandbox, mappings: Path, on_fail: str) -> None:
    """From the record in eCW to the row in the CRM, whatever the suite says becomes of it."""
    suite = mappings.parent / "quality" / "location.yaml"
    rule = (
        f"  - {{type: {IN}, kwargs: {{column: city, value_set: [Troy]}}, meta: {{on_fail: {on_fail}, reason: told}}}}"
    )
    suite.write_text(suite.read_text() + rule)
    for record in sandbox.records("Location"):
        sandbox.put({**record, "address": {"city": "Troy"}})
    bad = sandbox.records("Location")[5]
    sandbox.put({**bad, "address": {"city": "Elsewhere"}})

    outcome: Callable[[], object] = lambda: pull("location")  # noqa: E731
    if on_fail == STOP:
        with pytest.raises(QualityGateFailed, match=f"1 of 12 rows break the rule {IN} of city"):
            outcome()
    else:
        outcome()

    entered = {row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM location")}
    assert (len(entered), bad["id"] in entered) == {WARN: (12, True), REJECT: (11, False), STOP: (0, False)}[on_fail]
    rejects = pull.rows('SELECT ecw_id, rule, "column", reason, first_run FROM ecw_reject')
    run_id = pull.rows("SELECT run_id FROM ecw_run WHERE resource = 'location'")[0]["run_id"]
    expected = {"ecw_id": bad["id"], "rule": IN, "column": "city", "first_run": run_id}
    assert rejects == (
        [expected | {"reason": "city: expected to be in set (value_set [Troy]); told"}] if on_fail == REJECT else []
    )
    [found] = pull.rows(f"SELECT verdict, broken FROM ecw_quality_result WHERE rule = '{IN}'")  # noqa: S608 - a name from above
    assert found == {"verdict": on_fail, "broken": 1}
    assert "Elsewhere" not in str(pull.rows("SELECT * FROM ecw_quality_result"))
