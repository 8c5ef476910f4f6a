"""What may enter, what is rejected and why, and when nothing enters."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ecw.crm.state.quality_results import Finding, Usual
from ecw.errors import MappingError, QualityGateFailed
from ecw.models import Batch, Run
from ecw.quality import check as checking
from ecw.quality import volume
from ecw.quality.check import check
from ecw.quality.compared_values import Looking
from ecw.quality.suite import load_suite
from ecw.staging import batch_file

COLUMNS = ["ecw_id", "name", "other", "state", "born", "died", "size", "doctor"]
LINKED = {"practitioner": {"a.1"}, "location": {"a.2"}}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(
        practice="p",
        run_id="r",
        run_type="scheduled",
        window_start=None,
        window_end="2026-11-22T10:00:00+00:00",
        ecw_conn_id="ecw",
        crm_conn_id="crm",
        staging=str(tmp_path / "staging"),
    )


def checked(
    run: Run,
    rows: Sequence[dict[str, Any]],
    rules: str,
    usual: Usual = Usual(None),  # noqa: B008 - it is frozen
    report: list[Finding] | None = None,
    *,
    unchanged: int = 0,
) -> Batch:
    """Check rows by rules, which is a suite's text below `resource`; the findings go into `report`."""
    path = f"{run['staging']}/person/map.ndjson.gz"
    with batch_file.writer(path) as batch:
        for number, row in enumerate(rows):
            line = {"ecw_id": f"id.{number}", "version": None, "hash": f"h{number}"}
            batch.write({**line, "row": {**dict.fromkeys(COLUMNS), "ecw_id": f"id.{number}", **row}})
    file = Path(run["staging"]).parent / "person.yaml"
    file.write_text(f"resource: person\n{rules}")
    mapped = Batch(
        run=run,
        resource="person",
        path=path,
        count=len(rows),
        fetched=len(rows) + 3 + unchanged,
        rejected=3,
        unchanged=unchanged,
        rejects=["earlier"],
        calls=7,
        seconds=1.0,
    )
    return check(
        run,
        mapped,
        load_suite(file, COLUMNS, today=date(2026, 11, 22)),
        usual=usual,
        linked=lambda resource, ids: LINKED[resource] & set(ids),
        report=(report if report is not None else []).extend,
    )


def passed(batch: Batch) -> list[str]:
    return [line["ecw_id"] for line in batch_file.read(batch["path"])]


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("column: name, not_null: true", [{"name": "A"}], [{"name": None}]),
        ("column: [name, other], not_null: true", [{"name": "A"}, {"other": "B"}], [{}]),
        ("column: name, unique: true", [{"name": "A"}, {}, {}], [{"name": "B"}, {"name": "B"}]),
        ("column: state, in: [NY, CA]", [{"state": "NY"}, {}], [{"state": "ny"}]),
        (
            "column: state, pattern: '[A-Z]{2}|x'",
            [{"state": "NY"}, {"state": "x"}, {}],
            [{"state": "NYC"}, {"state": "ax"}],
        ),
        (
            "column: name, length: {min: 2, max: 3}",
            [{"name": "Al"}, {"name": "Bob"}, {}],
            [{"name": "A"}, {"name": "Carl"}],
        ),
        ("column: size, range: {min: -1}", [{"size": -1}, {"size": 0.5}, {}], [{"size": -1.5}]),
        (
            "column: born, date: {after: 1900-01-01, before: tomorrow}",
            [{"born": "2026-11-22"}, {"born": "1980-05-01T10:00:00+00:00"}, {}],
            [{"born": "1899-12-30"}, {"born": "2026-11-23"}, {"born": "1900-01-01T05:00:00+00:00"}],
        ),
        (
            "column: died, not_before: born",
            [
                {"born": "1980-05-01", "died": "1980-05-01"},
                {"born": "1980-05-01", "died": "1980-05-01T00:30:00+05:45"},
                {"born": "2026-11-01T01:30:00-04:00", "died": "2026-11-01T01:10:00-05:00"},  # the hour that comes twice
                {"died": "1980-05-01"},
                {"born": "1980-05-01"},
            ],
            [
                {"born": "1980-05-01", "died": "1980-04-30"},
                {"born": "1980-05-01", "died": "1980-04-30T23:59:00+00:00"},
                {"born": "2026-11-01T01:30:00-05:00", "died": "2026-11-01T01:40:00-04:00"},
            ],
        ),
        (
            "column: doctor, known: true",
            [{"doctor": "Practitioner/a.1"}, {"doctor": "Location/a.2"}, {}],
            [
                {"doctor": "Practitioner/a.2"},
                {"doctor": "Practitioner/"},
                {"doctor": "PractitionerRole/a.1"},
                {"doctor": "a.1"},
            ],
        ),
    ],
)
def test_a_row_that_breaks_a_rule_is_rejected(
    run: Run, rule: str, good: list[dict[str, Any]], bad: list[dict[str, Any]]
) -> None:
    batch = checked(run, [*good, *bad], f"rules:\n  - {{{rule}, otherwise: reject, why: told}}")

    assert passed(batch) == [f"id.{number}" for number in range(len(good))]
    rejects = list(batch_file.read(batch["rejects"][-1]))
    assert [reject["ecw_id"] for reject in rejects] == [f"id.{len(good) + number}" for number in range(len(bad))]
    assert {reject["column"] for reject in rejects} < set(COLUMNS)
    assert all(reject["reason"].endswith("; told") for reject in rejects)
    assert batch["fetched"] == batch["rejected"] + batch["unchanged"] + batch["count"]


def test_a_row_with_two_reasons_is_rejected_once_and_both_are_kept(run: Run) -> None:
    batch = checked(
        run,
        [{"name": "A", "state": "NY"}, {"state": "ny"}],
        "rules:\n"
        "  - {column: name, not_null: true, otherwise: reject}\n"
        "  - {column: state, pattern: '[A-Z]{2}', otherwise: reject}\n",
    )

    assert (batch["count"], batch["rejected"]) == (1, 4)
    assert batch["rejects"] == ["earlier", f"{run['staging']}/person/check-rejects.ndjson.gz"]
    assert list(batch_file.read(batch["rejects"][-1])) == [
        {
            "ecw_id": "id.1",
            "step": "check",
            "rule": rule,
            "column": column,
            "reason": reason,
            "hash": "h1",
            "version": None,
            "batch": f"{run['staging']}/person/extract.ndjson.gz",
        }
        for rule, column, reason in [
            ("not_null", "name", "name: no value"),
            ("pattern", "state", "state: does not match [A-Z]{2}"),
        ]
    ]


def test_a_warning_lets_the_row_in_and_is_counted_in_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    batch = checked(
        run, [{"state": "secret-value"}, {"state": "NY"}], "rules: [{column: state, in: [NY], otherwise: warn}]"
    )

    assert (batch["count"], batch["rejects"]) == (2, ["earlier"])
    assert "person: 1 of 2 rows break the rule in of state (warn)." in caplog.messages
    assert "secret-value" not in caplog.text


def test_a_stop_rule_lets_nothing_in(run: Run) -> None:
    with pytest.raises(
        QualityGateFailed, match=r"person: nothing of this batch enters: 1 of 2 rows break the rule not_null of name"
    ) as error:
        checked(run, [{"name": "A"}, {}], "rules: [{column: name, not_null: true, otherwise: stop}]")

    assert "person.yaml" in error.value.next_move
    assert batch_file.manifest(f"{run['staging']}/person/check.ndjson.gz") is None


@pytest.mark.parametrize(("good", "stops"), [(8, True), (9, False)])
def test_too_large_a_share_stops(run: Run, good: int, stops: bool) -> None:
    rows = [{"name": "A"}] * good + [{}]
    rules = "rules: [{column: name, not_null: true, otherwise: reject, stop_above: 0.1}]"
    if stops:
        with pytest.raises(QualityGateFailed, match=rf"1 of {good + 1} rows.*allowed: 10%"):
            checked(run, rows, rules)
    else:
        assert checked(run, rows, rules)["count"] == good


@pytest.mark.parametrize(("unchanged", "stops"), [(28, True), (29, False), (0, True)])
def test_a_share_is_of_everything_that_was_looked_at(run: Run, unchanged: int, stops: bool) -> None:
    rules = "rules: [{column: name, not_null: true, otherwise: reject, stop_above: 0.1}]"
    rows = [{"name": "A"}] * 7 + [{}] * 4
    if stops:
        with pytest.raises(QualityGateFailed, match=rf"4 of {11 + unchanged} rows"):
            checked(run, rows, rules, unchanged=unchanged)
    else:
        assert checked(run, rows, rules, unchanged=unchanged)["count"] == 7


def test_a_stop_rule_with_a_share_warns_below_it(run: Run) -> None:
    report: list[Finding] = []
    rules = "rules: [{column: name, not_null: true, otherwise: stop, stop_above: 0.5}]"

    assert checked(run, [{"name": "A"}, {}], rules, report=report)["count"] == 2
    assert report[1].verdict == "warn"
    with pytest.raises(QualityGateFailed):
        checked(run, [{}, {}, {"name": "A"}], rules)


def test_a_share_of_a_small_batch_stops_nothing(run: Run) -> None:
    rules = "small_batch: 20\nrules: [{column: name, not_null: true, otherwise: reject, stop_above: 0.1}]"

    assert checked(run, [{}], rules)["count"] == 0


@pytest.mark.parametrize("otherwise", ["warn", "stop"])
def test_half_of_the_records_gone(run: Run, otherwise: str, caplog: pytest.LogCaptureFixture) -> None:
    rules = f"volume: {{at_least: 0.5, otherwise: {otherwise}}}\nrules: []"
    report: list[Finding] = []
    if otherwise == "stop":
        with pytest.raises(
            QualityGateFailed, match=r"eCW gave 4 records, usual are 9 .*; at least 50% of the usual number"
        ):
            checked(run, [{}], rules, Usual(9), report)
    else:
        assert checked(run, [{}], rules, Usual(9), report)["count"] == 1
        assert "person: eCW gave 4 records, usual are 9." in caplog.messages
    assert [(one.verdict, one.rows, one.usual, one.broken) for one in report] == [(otherwise, 4, 9, 5)]


def test_half_of_the_records_are_enough(run: Run) -> None:
    assert checked(run, [{}], "volume: {at_least: 0.5, otherwise: stop}\nrules: []", Usual(8))["count"] == 1


@pytest.mark.parametrize(
    ("fetched", "usual", "verdict"),
    [
        (0, Usual(9), "warn"),
        (1, Usual(9), "pass"),
        (0, Usual(0), "pass"),
        (0, Usual(None), "pass"),
        (0, Usual(9, full_scan=False, never_nothing=3), "warn"),
        (0, Usual(9, full_scan=False, never_nothing=2), "pass"),
        (1, Usual(9, full_scan=False, never_nothing=5), "pass"),
    ],
)
def test_nothing_where_there_had_been_something_is_told_without_any_setting(
    tmp_path: Path, fetched: int, usual: Usual, verdict: str
) -> None:
    file = tmp_path / "person.yaml"
    file.write_text("resource: person\nrules: []")

    assert volume.judge(load_suite(file, COLUMNS), fetched, usual).verdict == verdict


def test_a_pattern_is_about_the_whole_value_to_its_last_character(run: Run) -> None:
    rows = [{"name": "AL"}, {"name": "AL\n"}, {"name": "al"}, {"name": "ALA"}, {"name": "al".upper()}]
    rules = "rules:\n  - {column: name, pattern: '[A-Z]{2}', otherwise: reject}"

    assert passed(checked(run, rows, rules)) == ["id.0", "id.4"]


def test_a_boolean_is_one_of_true_and_false(run: Run) -> None:
    rows = [{"name": True}, {"name": False}, {"name": None}]

    for allowed in ("true", "'true'", "yes"):
        rules = f"rules: [{{column: name, in: [{allowed}], otherwise: reject}}]"
        assert passed(checked(run, rows, rules)) == (["id.0", "id.2"])


def test_a_part_is_held_against_the_share_where_the_runs_see_parts_of_like_size(tmp_path: Path) -> None:
    file = tmp_path / "person.yaml"
    file.write_text("resource: person\nvolume: {at_least: 0.5, otherwise: stop}\nrules: []")

    assert volume.judge(load_suite(file, COLUMNS), 1, Usual(9, full_scan=False, never_nothing=5)).verdict == "pass"
    assert volume.judge(load_suite(file, COLUMNS), 1, Usual(9)).verdict == "stop"
    assert volume.judge(load_suite(file, COLUMNS), 1, Usual(9, full_scan=False, alike=True)).verdict == "stop"


def test_the_report_says_of_every_rule_what_it_found(run: Run) -> None:
    report: list[Finding] = []

    with pytest.raises(QualityGateFailed):
        checked(
            run,
            [{"name": "secret-value"}, {"name": "secret-value"}, {"name": "B", "size": -3, "born": "1899-12-30"}],
            "rules:\n"
            "  - {column: ecw_id, not_null: true, otherwise: stop}\n"
            "  - {column: [name, other], unique: true, otherwise: warn, why: twice}\n"
            "  - {column: size, range: {min: 0}, otherwise: reject}\n"
            "  - {column: born, date: {after: 1900-01-01}, otherwise: reject, stop_above: 0.3}\n",
            Usual(6),
            report,
        )

    assert report == [
        Finding(
            "volume", "", "something, where there is something usually", "warn", 6, 0, "pass", "", None, 6, "whole"
        ),
        Finding("not_null", "ecw_id", "has a value", "stop", 3, 0, "pass", "", 0.0, broken_new=0),
        Finding(
            *("unique", "name or other", "no other record of the batch has the same value", "warn", 3, 2, "warn"),
            why="twice",
            broken_new=2,
        ),
        Finding("range", "size", "range min 0.0", "reject", 3, 1, "reject", broken_new=1),
        Finding("date", "born", "date after 1900-01-01", "reject", 3, 1, "stop", "", 0.3, broken_new=1),
    ]


def test_references_are_asked_for_once_a_chunk(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "person.yaml"
    file.write_text("resource: person\nrules: [{column: doctor, known: true, otherwise: warn}]")
    asked: list[tuple[str, set[str]]] = []

    def linked(resource: str, ids: Collection[str]) -> set[str]:
        asked.append((resource, set(ids)))
        return {"a.1"}

    rows = [{"doctor": f"Practitioner/a.{number % 3}"} for number in range(300)]
    looking = Looking(load_suite(file, COLUMNS), linked)
    try:
        [column] = looking.columns(rows)
    finally:
        looking.close()

    assert asked == [("practitioner", {"a.0", "a.1", "a.2"})]
    assert column == [int(number % 3 == 1) for number in range(300)]


def test_uniqueness_reaches_over_chunks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "CHUNK", 2)

    batch = checked(
        run,
        [{"name": "A"}, {"name": "B"}, {"name": "C"}, {"name": "D"}, {"name": "A"}],
        "rules: [{column: name, unique: true, otherwise: reject}]",
    )

    assert passed(batch) == ["id.1", "id.2", "id.3"]


def test_a_rule_that_cannot_be_applied_names_the_line_and_no_value(run: Run) -> None:
    with pytest.raises(
        MappingError, match=r"person.yaml:2: the rule range cannot be applied to the column name"
    ) as error:
        checked(run, [{"name": "secret-value"}], "rules: [{column: name, range: {min: 0}, otherwise: reject}]")

    assert error.value.__cause__ is None
    assert "secret-value" not in str(error.value)


def test_nothing_is_written_into_the_working_directory(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    checked(run, [{}], "rules: [{column: name, not_null: true, otherwise: reject}]")

    assert list((tmp_path / "here").iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_an_empty_batch_does_not_import_great_expectations(run: Run) -> None:
    """In a fresh interpreter, because other tests import it."""
    code = (
        "import sys; sys.path.insert(0, 'plugins')\n"
        "from pathlib import Path\n"
        "from ecw.crm.state.quality_results import Usual; from ecw.staging import batch_file as staging\n"
        "from ecw.quality.check import check; from ecw.quality.suite import load_suite\n"
        "folder = Path(sys.argv[1]); file = folder / 'person.yaml'\n"
        "file.write_text('resource: person\\nrules: [{column: name, not_null: true, otherwise: reject}]')\n"
        "path = str(folder / 'map.ndjson.gz')\n"
        "with staging.writer(path): pass\n"
        "batch = dict(resource='person', path=path, count=0, fetched=4, rejected=0, unchanged=4, rejects=[], calls=1)\n"
        "batch['seconds'] = 0.0\n"
        "suite = load_suite(file, ['name']); own = dict(usual=Usual(None), linked=None, report=list)\n"
        "print(check({'staging': str(folder)}, batch, suite, **own)['count'])\n"
        "assert 'great_expectations' not in sys.modules and 'pandas' not in sys.modules\n"
    )
    folder = Path(run["staging"])
    folder.mkdir()

    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert done.stdout == "0\n"


@pytest.mark.parametrize("start", [5, "secret-value"])
def test_a_period_that_cannot_be_compared_names_the_line_and_no_value(run: Run, start: Any) -> None:
    with pytest.raises(MappingError, match=r"person.yaml:2: the rule not_before cannot be applied") as error:
        checked(
            run,
            [{"born": start, "died": "secret-value"}],
            "rules: [{column: died, not_before: born, otherwise: reject}]",
        )

    assert "secret-value" not in str(error.value)


def test_no_value_reaches_any_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    checked(
        run,
        [{"name": "secret-value", "state": "secret-value", "born": "1899-12-30"}] * 2,
        "rules:\n"
        "  - {column: name, unique: true, otherwise: reject}\n"
        "  - {column: state, pattern: '[A-Z]{2}', otherwise: warn}\n"
        "  - {column: born, date: {after: 1900-01-01}, otherwise: warn}\n",
    )

    assert "person" in caplog.text
    assert "secret-value" not in caplog.text
    assert "1899" not in caplog.text
