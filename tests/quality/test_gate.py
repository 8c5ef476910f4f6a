"""The suites with the real steps: bad rows are rejected, good rows are loaded, and both are reported."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from ecw.cli import group
from ecw.crm.db.tables import ecw_link
from ecw.errors import ConfigurationError, QualityGateFailed
from ecw.mapping.definition.files import load_mapping
from ecw.models import Batch, Run
from ecw.pull import steps
from ecw.quality.check import FAILED
from ecw.quality.suite import REJECT, STOP, WARN, Rule, suite_of
from ecw.resources import RESOURCES
from ecw.staging import batch_file
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.quality.bad_rows import BAD, BETWEEN, IN, NOT_BEFORE, bad_row, good_row

GOOD_ROWS = 60  # so many that one bad row is below every max_failed_ratio


def rules_of(resource: str) -> dict[tuple[str, str], Rule]:
    return {(rule.name, rule.column): rule for rule in suite_of(resource, load_mapping(resource)).rules}


def staged(run: Run, resource: str, rows: Iterable[dict[str, Any]], *, full_scan: bool = False) -> Batch:
    """Return a batch of the rows in the form of the map step's result."""
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


def link_referenced_records(pull: Pulling, run: Run) -> None:
    """Insert and link one record of each resource that others refer to, as an earlier load would."""
    with pull.crm.begin() as connection:
        for resource in ("practitioner", "location", "patient"):
            name = {"location": "name"}.get(resource, "last_name")
            connection.execute(text(f"INSERT INTO {resource} (ecw_id, {name}) VALUES ('known', 'Known')"))  # noqa: S608
            key = connection.execute(text(f"SELECT id FROM {resource}")).scalar_one()  # noqa: S608 - names from above
            link = {"practice": run["practice"], "resource": resource, "ecw_id": "known", "crm_id": str(key)}
            bookkeeping = {
                "hash": "h",
                "mapping_version": "m",
                "last_seen_run": "before",
                "source_version": datetime.now(UTC),
            }
            connection.execute(ecw_link.insert().values(link | bookkeeping))


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_rule_has_a_bad_row(resource: str) -> None:
    rules = rules_of(resource)

    assert rules
    assert set(BAD[resource]) == set(rules), "give the new rule a row in tests/quality/bad_rows.py that breaks it"


@pytest.mark.parametrize("resource", RESOURCES)
def test_each_bad_row_breaks_its_rule_and_the_good_rows_are_loaded(pull: Pulling, resource: str) -> None:
    run = pull.begin()
    link_referenced_records(pull, run)
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
        assert row["broken"] >= 1, f"the bad row of {rule} does not break it"
        assert (row["verdict"], row["rows"]) == (rules[rule].on_fail, GOOD_ROWS + len(bad))
    assert set(report) == set(rules)

    rejecting = {name for name, rule in rules.items() if rule.on_fail == REJECT}
    rejects = pull.rows("SELECT * FROM ecw_reject WHERE step = 'check'")
    batch = f"{run['staging']}/{resource}/extract.ndjson.gz"
    assert rejecting
    for number, rule in enumerate(BAD[resource]):
        if rule in rejecting:
            [reject] = [
                row
                for row in rejects
                if row["ecw_id"] == bad[number]["ecw_id"] and (row["rule"], row["column"]) == rule
            ]
            assert (reject["batch"], reject["first_run"], reject["state"]) == (batch, run["run_id"], "open")
    rejected = {row["ecw_id"] for row in rejects}
    assert len(rejected) == checked["rejected"] <= numbers["rejected"]
    loaded = {row["ecw_id"] for row in pull.rows(f"SELECT ecw_id FROM {resource}")}  # noqa: S608 - names of resources
    assert loaded >= {row["ecw_id"] for row in good}
    assert not loaded & rejected


@pytest.mark.parametrize(
    ("resource", "rule"), [("patient", (BETWEEN, "birth_date")), ("encounter", (NOT_BEFORE, "end_time"))]
)
def test_too_many_bad_rows_stop_the_batch_and_nothing_is_written(
    pull: Pulling, resource: str, rule: tuple[str, str]
) -> None:
    run = pull.begin()
    link_referenced_records(pull, run)
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
    [run_row] = pull.rows(f"SELECT state, error FROM ecw_run WHERE resource = '{resource}'")  # noqa: S608
    assert run_row["state"] == "failed"
    assert run_row["error"].startswith("QualityGateFailed: ")


@pytest.mark.parametrize("as_json", [False, True])
def test_the_ids_of_the_records_that_stopped_a_check_are_shown_until_the_next_check(
    pull: Pulling, as_json: bool
) -> None:
    run = pull.begin()
    link_referenced_records(pull, run)
    rows = [good_row("patient", number) for number in range(30)]
    bad = [row | {"birth_date": "1850-01-01"} for row in rows[:20]]
    with pytest.raises(QualityGateFailed) as stopped:
        steps.check(staged(run, "patient", [*bad, *rows[20:], good_row("patient", 30) | {"gender": "wrong"}]))
    command = f"quality ids {run['run_id']} patient"
    assert f"`ecw {command}`" in stopped.value.next_step

    def shown() -> str:
        arguments = ["--crm-conn-id", "crm_test", "--staging", pull.staging, *(["--json"] if as_json else [])]
        result = CliRunner().invoke(group, [*command.split(), *arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    output = shown()
    assert "1850" not in output
    if as_json:
        assert json.loads(output) == [
            {"ecw_id": row["ecw_id"], "rule": BETWEEN, "column": "birth_date", "new": "yes"} for row in bad
        ]
    else:
        assert [line.split() for line in output.splitlines()[1:]] == [
            [row["ecw_id"], BETWEEN, "birth_date", "yes"] for row in bad
        ]
    assert list(batch_file.read(f"{run['staging']}/patient/{FAILED}")) == [
        {"ecw_id": row["ecw_id"], "rule": BETWEEN, "column": "birth_date", "new": True} for row in bad
    ]
    for left in ("check", "check-rejects"):
        assert batch_file.manifest(f"{run['staging']}/patient/{left}.ndjson.gz") is None

    steps.check(staged(run, "patient", rows))

    assert [row["ecw_id"] for row in bad if row["ecw_id"] in shown()] == []
    with pytest.raises(ConfigurationError, match="no run 'other' of patient"):
        CliRunner().invoke(
            group, ["quality", "ids", "other", "patient", "--crm-conn-id", "crm_test"], catch_exceptions=False
        )


def test_a_second_check_replaces_the_results_of_the_first(pull: Pulling) -> None:
    """For example when the task is cleared after a correction, or the suite has fewer rules than before."""
    run = pull.begin()
    link_referenced_records(pull, run)
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
def test_no_record_where_there_were_some_stops_the_batch(
    pull: Pulling, sandbox: RunningSandbox, resource: str, fhir_type: str
) -> None:
    pull(resource)
    sandbox.delete_all(fhir_type)

    with pytest.raises(QualityGateFailed, match="eCW gave 0 records"):
        pull(resource)

    [found] = pull.rows("SELECT * FROM ecw_quality_result WHERE verdict <> 'pass'")
    assert (found["rule"], found["verdict"], found["rows"], found["scope"]) == ("volume", "stop", 0, "full")
    assert found["broken"] == found["usual"] == len(pull.rows(f"SELECT id FROM {resource}")) > 0  # noqa: S608


def test_one_small_run_does_not_change_the_usual_number(
    pull: Pulling, sandbox: RunningSandbox, mappings: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If the suite only warns, a small batch is loaded, and the next one is still compared with the usual number."""
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
    pull("location")  # four of the last five runs: this is now the usual number
    assert "usual are" not in caplog.text


def test_a_run_that_was_stopped_does_not_change_the_usual_number(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull("location")
    records = sandbox.records("Location")
    for record in records[4:]:
        sandbox.delete("Location", record["id"])
    for _ in range(5):
        with pytest.raises(QualityGateFailed, match="usual are 12"):
            pull("location")


@pytest.mark.parametrize("on_fail", [WARN, REJECT, STOP])
def test_on_fail_decides_whether_a_bad_record_is_loaded_rejected_or_stops(
    pull: Pulling, sandbox: RunningSandbox, mappings: Path, on_fail: str
) -> None:
    """Test from the record in eCW to the row in the CRM."""
    suite = mappings.parent / "quality" / "location.yaml"
    rule = (
        f"  - {{type: {IN}, kwargs: {{column: city, value_set: [Troy]}}, meta: {{on_fail: {on_fail}, reason: a note}}}}"
    )
    suite.write_text(suite.read_text() + rule)
    for record in sandbox.records("Location"):
        sandbox.put({**record, "address": {"city": "Troy"}})
    bad = sandbox.records("Location")[5]
    sandbox.put({**bad, "address": {"city": "Elsewhere"}})

    if on_fail == STOP:
        with pytest.raises(QualityGateFailed, match=f"1 of 12 rows break the rule {IN} of city"):
            pull("location")
    else:
        pull("location")

    loaded = {row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM location")}
    assert (len(loaded), bad["id"] in loaded) == {WARN: (12, True), REJECT: (11, False), STOP: (0, False)}[on_fail]
    rejects = pull.rows('SELECT ecw_id, rule, "column", reason, first_run FROM ecw_reject')
    run_id = pull.rows("SELECT run_id FROM ecw_run WHERE resource = 'location'")[0]["run_id"]
    expected = {"ecw_id": bad["id"], "rule": IN, "column": "city", "first_run": run_id}
    assert rejects == (
        [expected | {"reason": "city: expected to be in set (value_set [Troy]); a note"}] if on_fail == REJECT else []
    )
    [found] = pull.rows(f"SELECT verdict, broken FROM ecw_quality_result WHERE rule = '{IN}'")  # noqa: S608 - a name from above
    assert found == {"verdict": on_fail, "broken": 1}
    assert "Elsewhere" not in str(pull.rows("SELECT * FROM ecw_quality_result"))
