"""The check step: rows that pass, rows that are rejected and why, and batches that stop."""

from __future__ import annotations

import json
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
from ecw.quality.check import Before, check_batch
from ecw.quality.suite import Suite, load_suite
from ecw.staging import batch_file

TYPES = {
    **dict.fromkeys(("ecw_id", "name", "other", "state"), "string"),
    **{"born": "date", "died": "datetime", "arrived": "datetime", "size": "decimal", "number": "integer"},
    **{"doctor": "reference", "active": "boolean"},
}
LINKED = {"practitioner": {"a.1"}, "location": {"a.2"}}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(
        practice="p",
        run_id="r",
        run_type="scheduled",
        mode="changes",
        window_start=None,
        window_end="2026-11-22T10:00:00+00:00",
        ecw_conn_id="ecw",
        crm_conn_id="crm",
        staging=str(tmp_path / "staging"),
    )


def rule(
    name: str, on_fail: str = "reject", ratio: float | None = None, reason: str = "", **kwargs: Any
) -> dict[str, Any]:
    """Return an expectation as in a suite file; `name` is its type, with or without expect_column_values_to_."""
    type_name = name if name.startswith("expect_") else f"expect_column_values_to_{name}"
    meta = {"on_fail": on_fail, "reason": reason} | ({} if ratio is None else {"max_failed_ratio": ratio})
    return {"type": type_name, "kwargs": kwargs, "meta": meta}


def suite_with(folder: Path, rules: Sequence[dict[str, Any]], **keys: Any) -> Suite:
    file = folder / "person.yaml"
    file.write_text(json.dumps({"resource": "person", **keys, "expectations": rules}))
    return load_suite(file, TYPES, today=date(2026, 11, 22))


def check_rows(
    run: Run,
    rows: Sequence[dict[str, Any]],
    *rules: dict[str, Any],
    usual: Usual = Usual(None),  # noqa: B008 - it is frozen
    report: list[Finding] | None = None,
    unchanged: int = 0,
    **keys: Any,
) -> Batch:
    """Check rows by rules; `report` gets the findings, `keys` are other keys of the suite."""
    path = f"{run['staging']}/person/map.ndjson.gz"
    with batch_file.writer(path) as batch:
        for number, row in enumerate(rows):
            line = {"ecw_id": f"id.{number}", "version": None, "hash": f"h{number}"}
            batch.write({**line, "row": {**dict.fromkeys(TYPES), "ecw_id": f"id.{number}", **row}})
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
    return check_batch(
        run,
        mapped,
        suite_with(Path(run["staging"]).parent, rules, **keys),
        linked=lambda resource, ids: LINKED[resource] & set(ids),
        report=(report if report is not None else []).extend,
        before=Before(usual),
    )


def passed_ids(batch: Batch) -> list[str]:
    return [line["ecw_id"] for line in batch_file.read(batch["path"])]


@pytest.mark.parametrize(
    ("expected", "good", "bad"),
    [
        (rule("not_be_null", column="name"), [{"name": "A"}], [{"name": None}]),
        (
            rule("not_be_null", column="name", row_condition="other.isnull()", condition_parser="pandas"),
            [{"name": "A"}, {"other": "B"}],
            [{}],
        ),
        (
            rule(
                "be_null",
                column="other",
                row_condition={"type": "nullity", "column": {"name": "name"}, "is_null": True},
            ),
            [{"name": "A", "other": "B"}, {}],
            [{"other": "B"}],
        ),
        (rule("be_unique", column="name"), [{"name": "A"}, {}, {}], [{"name": "B"}, {"name": "B"}]),
        (rule("be_in_set", column="state", value_set=["NY", "CA"]), [{"state": "NY"}, {}], [{"state": "ny"}]),
        (rule("be_in_set", column="active", value_set=[True]), [{"active": True}, {}], [{"active": False}]),
        (rule("be_in_set", column="number", value_set=[1, 2]), [{"number": 1}, {}], [{"number": 3}]),
        (
            rule("match_regex", column="state", regex=r"^(?:[A-Z]{2}|x)\Z"),
            [{"state": "NY"}, {"state": "x"}, {}],
            [{"state": "NYC"}, {"state": "ax"}, {"state": "NY\n"}],
        ),
        (
            rule("match_regex_list", column="state", regex_list=["^N", "Y$"], match_on="all"),
            [{"state": "NY"}, {}],
            [{"state": "CA"}, {"state": "NC"}],
        ),
        (
            rule("expect_column_value_lengths_to_be_between", column="name", min_value=2, max_value=3),
            [{"name": "Al"}, {"name": "Bob"}, {}],
            [{"name": "A"}, {"name": "Carl"}],
        ),
        (
            rule("be_between", column="size", min_value=-1),
            [{"size": -1}, {"size": 0.5}, {}],
            [{"size": -1.5}],
        ),
        (rule("be_between", column="number", max_value=3), [{"number": 3}, {}], [{"number": 4}]),
        (
            rule(
                "be_between",
                column="born",
                min_value="1900-01-02",
                max_value={"$PARAMETER": "tomorrow"},
                strict_max=True,
            ),
            [{"born": "2026-11-22"}, {"born": "1900-01-02"}, {}],
            [{"born": "1899-12-30"}, {"born": "2026-11-23"}, {"born": "1900-01-01"}],
        ),
        (
            rule("be_between", column="died", min_value="1900-01-02", max_value={"$PARAMETER": "today"}),
            [{"died": "1980-05-01T10:00:00+00:00"}, {"died": "2026-11-22T23:59:00+00:00"}, {}],
            [{"died": "1900-01-01T05:00:00+00:00"}, {"died": "2026-11-23T00:00:00+00:00"}],
        ),
        (
            rule("be_between", column="died", min_value="2000-01-01T12:00:00+00:00"),
            [{"died": "2000-01-01T12:00:00+00:00"}, {}],
            [{"died": "2000-01-01T11:59:59+00:00"}],
        ),
        (
            rule(
                "expect_column_pair_values_a_to_be_greater_than_b",
                **{
                    "column_A": "died",
                    "column_B": "born",
                    "or_equal": True,
                    "ignore_row_if": "either_value_is_missing",
                },
            ),
            [
                {"born": "1980-05-01", "died": "1980-05-01T00:30:00+00:00"},
                {"died": "1980-05-01T00:30:00+00:00"},
                {"born": "1980-05-01"},
            ],
            [{"born": "1980-05-01", "died": "1980-04-30T23:59:00+00:00"}],
        ),
        (
            rule(
                "expect_column_pair_values_a_to_be_greater_than_b",
                **{"column_A": "died", "column_B": "arrived", "ignore_row_if": "either_value_is_missing"},
            ),
            [{"arrived": "2026-11-01T05:30:00+00:00", "died": "2026-11-01T06:10:00+00:00"}, {}],
            [{"arrived": "2026-11-01T06:30:00+00:00", "died": "2026-11-01T05:40:00+00:00"}],
        ),
        (
            rule("expect_compound_columns_to_be_unique", column_list=["name", "state"]),
            [{"name": "A", "state": "NY"}, {"name": "A", "state": "CA"}, {}, {}],
            [{"name": "B", "state": "NY"}, {"name": "B", "state": "NY"}],
        ),
        (
            rule("expect_select_column_values_to_be_unique_within_record", column_list=["name", "other"]),
            [{"name": "A", "other": "B"}],
            [{"name": "A", "other": "A"}],
        ),
        (
            rule("refer_to_linked_records", column="doctor"),
            [{"doctor": "Practitioner/a.1"}, {"doctor": "Location/a.2"}, {}],
            [
                {"doctor": "Practitioner/a.2"},
                {"doctor": "Practitioner/"},
                {"doctor": "PractitionerRole/a.1"},
                {"doctor": "a.1"},
            ],
        ),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_a_row_that_breaks_a_rule_is_rejected(
    run: Run, expected: dict[str, Any], good: list[dict[str, Any]], bad: list[dict[str, Any]]
) -> None:
    expected = {**expected, "meta": {"on_fail": "reject", "reason": "a note"}}
    batch = check_rows(run, [*good, *bad], expected)

    assert passed_ids(batch) == [f"id.{number}" for number in range(len(good))]
    rejects = list(batch_file.read(batch["rejects"][-1]))
    assert [reject["ecw_id"] for reject in rejects] == [f"id.{len(good) + number}" for number in range(len(bad))]
    assert {reject["column"] for reject in rejects} < set(TYPES)
    assert all(reject["reason"].endswith("; a note") for reject in rejects)
    assert batch["fetched"] == batch["rejected"] + batch["unchanged"] + batch["count"]


def test_a_row_that_breaks_several_rules_is_rejected_once_with_every_reason(run: Run) -> None:
    """Two of the rules have the same type and column."""
    batch = check_rows(
        run,
        [{"name": "A", "state": "NY"}, {"state": "ny1"}],
        rule("not_be_null", column="name"),
        rule("match_regex", column="state", regex="^[A-Z]"),
        rule("match_regex", column="state", regex="^.{2}$", reason="a note"),
    )

    assert (batch["count"], batch["rejected"]) == (1, 4)
    assert batch["rejects"] == ["earlier", f"{run['staging']}/person/check-rejects.ndjson.gz"]
    assert list(batch_file.read(batch["rejects"][-1])) == [
        {
            "ecw_id": "id.1",
            "step": "check",
            "rule": f"expect_column_values_to_{rule}",
            "column": column,
            "reason": reason,
            "hash": "h1",
            "version": None,
            "batch": f"{run['staging']}/person/extract.ndjson.gz",
        }
        for rule, column, reason in [
            ("not_be_null", "name", "name: expected to not be null"),
            ("match_regex", "state", "state: expected to match regex (regex ^[A-Z])"),
            ("match_regex (2)", "state", "state: expected to match regex (regex ^.{2}$); a note"),
        ]
    ]


def test_a_row_that_breaks_a_warn_rule_passes_and_is_counted_in_the_log(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    batch = check_rows(
        run, [{"state": "secret-value"}, {"state": "NY"}], rule("be_in_set", "warn", column="state", value_set=["NY"])
    )

    assert (batch["count"], batch["rejects"]) == (2, ["earlier"])
    assert "person: 1 of 2 rows break the rule expect_column_values_to_be_in_set of state (warn)." in caplog.messages
    assert "secret-value" not in caplog.text


def test_a_stop_rule_stops_the_batch(run: Run) -> None:
    with pytest.raises(
        QualityGateFailed,
        match="person: nothing of this batch is loaded: 1 of 2 rows break the rule expect_column_values_to_not_be_null",
    ) as error:
        check_rows(run, [{"name": "A"}, {}], rule("not_be_null", "stop", column="name"))

    assert "person.yaml" in error.value.next_step
    assert batch_file.manifest(f"{run['staging']}/person/check.ndjson.gz") is None
    assert list(batch_file.read(f"{run['staging']}/person/{checking.FAILED}")) == [
        {"ecw_id": "id.1", "rule": "expect_column_values_to_not_be_null", "column": "name", "new": True}
    ]


@pytest.mark.parametrize(("good", "stops"), [(8, True), (9, False)])
def test_more_failed_rows_than_max_failed_ratio_stop_the_batch(run: Run, good: int, stops: bool) -> None:
    rows = [{"name": "A"}] * good + [{}]
    named = rule("not_be_null", ratio=0.1, column="name")
    if stops:
        with pytest.raises(QualityGateFailed, match=rf"1 of {good + 1} rows.*allowed: 10%"):
            check_rows(run, rows, named)
    else:
        assert check_rows(run, rows, named)["count"] == good


@pytest.mark.parametrize(("unchanged", "stops"), [(28, True), (29, False), (0, True)])
def test_max_failed_ratio_counts_unchanged_records_too(run: Run, unchanged: int, stops: bool) -> None:
    named = rule("not_be_null", ratio=0.1, column="name")
    rows = [{"name": "A"}] * 7 + [{}] * 4
    if stops:
        with pytest.raises(QualityGateFailed, match=rf"4 of {11 + unchanged} rows"):
            check_rows(run, rows, named, unchanged=unchanged)
    else:
        assert check_rows(run, rows, named, unchanged=unchanged)["count"] == 7


def test_a_stop_rule_warns_below_its_max_failed_ratio(run: Run) -> None:
    report: list[Finding] = []
    named = rule("not_be_null", "stop", 0.5, column="name")

    assert check_rows(run, [{"name": "A"}, {}], named, report=report)["count"] == 2
    assert report[1].verdict == "warn"
    with pytest.raises(QualityGateFailed):
        check_rows(run, [{}, {}, {"name": "A"}], named)


def test_max_failed_ratio_does_not_stop_a_small_batch(run: Run) -> None:
    assert check_rows(run, [{}], rule("not_be_null", ratio=0.1, column="name"), small_batch=20)["count"] == 0


@pytest.mark.parametrize(("on_fail", "verdict"), [("warn", "warn"), ("stop", "stop")])
@pytest.mark.parametrize(
    "expected",
    [
        rule("expect_table_row_count_to_be_between", min_value=3),
        rule("expect_column_mean_to_be_between", column="size", max_value=1),
    ],
    ids=lambda value: value["type"],
)
def test_a_batch_level_rule_warns_or_stops(run: Run, expected: dict[str, Any], on_fail: str, verdict: str) -> None:
    report: list[Finding] = []
    expected = {**expected, "meta": {"on_fail": on_fail}}
    rows = [{"size": 1.0}, {"size": 3.0}]
    if on_fail == "stop":
        with pytest.raises(QualityGateFailed, match=expected["type"]):
            check_rows(run, rows, expected, report=report)
    else:
        assert check_rows(run, rows, expected, report=report)["count"] == 2
    assert [(one.verdict, one.broken, one.broken_new) for one in report[1:]] == [(verdict, 2, 2)]

    report.clear()
    check_rows(run, [{"size": 1}, {"size": 1}, {}], expected, report=report)
    assert [one.verdict for one in report[1:]] == ["pass"]


@pytest.mark.parametrize("on_fail", ["warn", "stop"])
def test_fewer_records_than_at_least_of_the_usual_number_warn_or_stop(
    run: Run, on_fail: str, caplog: pytest.LogCaptureFixture
) -> None:
    volume_rule = {"at_least": 0.5, "on_fail": on_fail}
    report: list[Finding] = []
    if on_fail == "stop":
        with pytest.raises(
            QualityGateFailed, match=r"eCW gave 4 records, usual are 9 .*; at least 50% of the usual number"
        ):
            check_rows(run, [{}], usual=Usual(9), report=report, volume=volume_rule)
    else:
        assert check_rows(run, [{}], usual=Usual(9), report=report, volume=volume_rule)["count"] == 1
        assert "person: eCW gave 4 records, usual are 9." in caplog.messages
    assert [(one.verdict, one.rows, one.usual, one.broken) for one in report] == [(on_fail, 4, 9, 5)]


def test_exactly_at_least_of_the_usual_number_passes(run: Run) -> None:
    assert check_rows(run, [{}], usual=Usual(8), volume={"at_least": 0.5, "on_fail": "stop"})["count"] == 1


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
def test_no_record_where_there_usually_are_some_warns_without_a_volume_rule(
    tmp_path: Path, fetched: int, usual: Usual, verdict: str
) -> None:
    assert volume.judge(suite_with(tmp_path, []), fetched, usual).verdict == verdict


def test_a_partial_run_is_compared_with_at_least_only_if_its_runs_are_alike(tmp_path: Path) -> None:
    suite = suite_with(tmp_path, [], volume={"at_least": 0.5, "on_fail": "stop"})

    assert volume.judge(suite, 1, Usual(9, full_scan=False, never_nothing=5)).verdict == "pass"
    assert volume.judge(suite, 1, Usual(9)).verdict == "stop"
    assert volume.judge(suite, 1, Usual(9, full_scan=False, alike=True)).verdict == "stop"


def test_the_report_has_a_finding_for_every_rule(run: Run) -> None:
    report: list[Finding] = []

    with pytest.raises(QualityGateFailed):
        check_rows(
            run,
            [{"name": "secret-value"}, {"name": "secret-value"}, {"name": "B", "size": -3, "born": "1899-12-30"}],
            rule("not_be_null", "stop", column="ecw_id"),
            rule("be_unique", "warn", reason="twice", column="name"),
            rule("be_between", column="size", min_value=0),
            rule("be_between", "reject", 0.3, column="born", min_value="1900-01-01"),
            usual=Usual(6),
            report=report,
        )

    prefix = "expect_column_values_to_"
    assert report == [
        Finding(
            "volume", "", "at least one record, if there usually are any", "warn", 6, 0, "pass", "", None, 6, "full"
        ),
        Finding(f"{prefix}not_be_null", "ecw_id", "to not be null", "stop", 3, 0, "pass", "", 0.0, broken_new=0),
        Finding(f"{prefix}be_unique", "name", "to be unique", "warn", 3, 2, "warn", reason="twice", broken_new=2),
        Finding(f"{prefix}be_between", "size", "to be between (min_value 0)", "reject", 3, 1, "reject", broken_new=1),
        Finding(
            *(f"{prefix}be_between", "born", "to be between (min_value 1900-01-01)", "reject", 3, 1, "stop", "", 0.3),
            broken_new=1,
        ),
    ]


def test_references_are_looked_up_once_for_each_chunk_and_resource(run: Run, tmp_path: Path) -> None:
    from ecw.quality.gx_runner import compiled, judge

    suite = suite_with(tmp_path, [rule("refer_to_linked_records", column="doctor")])
    lookups: list[tuple[str, set[str]]] = []

    def linked(resource: str, ids: Collection[str]) -> set[str]:
        lookups.append((resource, set(ids)))
        return {"a.1"}

    rows = [(f"Practitioner/a.{number % 3}",) for number in range(300)]

    assert judge(suite, compiled(suite).row, rows, linked) == {0: [number for number in range(300) if number % 3 != 1]}
    assert lookups == [("practitioner", {"a.0", "a.1", "a.2"})]


def test_a_suite_is_compiled_once_and_keeps_no_rows(run: Run, tmp_path: Path) -> None:
    """The GX context lives as long as the process and must not hold patient data."""
    from ecw.quality import gx_runner

    rules = [rule("match_regex", column="name", regex="A")]
    first = gx_runner.compiled(suite_with(tmp_path, rules))

    check_rows(run, [{"name": "secret-value"}], *rules)

    assert gx_runner.compiled(suite_with(tmp_path, rules)) is first
    assert gx_runner.compiled(suite_with(tmp_path, [rule("match_regex", column="name", regex="B")])) is not first
    engine = gx_runner._batches().data_asset.datasource.get_execution_engine()
    assert engine.batch_manager.batch_data_cache == {}


def test_uniqueness_is_checked_across_chunks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "CHUNK", 2)
    monkeypatch.setattr(checking, "ROWS_IN_MEMORY", 3)

    batch = check_rows(
        run,
        [{"name": "A"}, {"name": "B"}, {"name": "C"}, {"name": "D"}, {"name": "A"}],
        rule("be_unique", column="name"),
    )

    assert passed_ids(batch) == ["id.1", "id.2", "id.3"]


def test_the_error_about_a_rule_that_cannot_be_applied_names_its_line_and_quotes_no_value(run: Run) -> None:
    with pytest.raises(
        MappingError,
        match=r"person.yaml:1: the rule expect_column_values_to_match_strftime_\w+ cannot be applied to born \(date\)",
    ) as error:
        check_rows(run, [{"born": "1980-05-01"}], rule("match_strftime_format", column="born", strftime_format="%Y"))

    assert error.value.__cause__ is None
    assert "1980" not in str(error.value)


@pytest.mark.parametrize(
    "row", [{"born": "secret-value"}, {"born": 5}, {"died": "1980-05-01T00:00:00"}, {"size": "secret-value"}]
)
def test_the_error_about_a_value_of_a_wrong_type_does_not_quote_it(run: Run, row: dict[str, Any]) -> None:
    rules = [rule("not_be_null", column=name) for name in ("born", "died", "size")]

    with pytest.raises(MappingError, match=rf"uses the column {next(iter(row))}, and it holds a value") as error:
        check_rows(run, [row], *rules)

    assert "secret-value" not in str(error.value)
    assert error.value.__suppress_context__


def test_nothing_is_written_into_the_working_directory(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    check_rows(run, [{}], rule("not_be_null", column="name"))

    assert list((tmp_path / "work").iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_an_empty_batch_does_not_import_great_expectations(run: Run) -> None:
    """In a fresh interpreter, because other tests import it."""
    code = (
        "import sys; sys.path.insert(0, 'plugins')\n"
        "from pathlib import Path\n"
        "from ecw.staging import batch_file as staging\n"
        "from ecw.quality.check import check_batch; from ecw.quality.suite import load_suite\n"
        "folder = Path(sys.argv[1]); file = folder / 'person.yaml'\n"
        "file.write_text('resource: person\\nexpectations: [{type: expect_column_values_to_match_regex, '\n"
        "                'kwargs: {column: name, regex: a}, meta: {on_fail: warn}}]')\n"
        "path = str(folder / 'map.ndjson.gz')\n"
        "with staging.writer(path): pass\n"
        "batch = dict(resource='person', path=path, count=0, fetched=4, rejected=0, unchanged=4, rejects=[], calls=1)\n"
        "batch['seconds'] = 0.0\n"
        "suite = load_suite(file, {'name': 'string'})\n"
        "print(check_batch({'staging': str(folder)}, batch, suite, linked=None, report=list)['count'])\n"
        "assert 'great_expectations' not in sys.modules and 'pandas' not in sys.modules\n"
    )
    folder = Path(run["staging"])
    folder.mkdir()

    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert done.stdout == "0\n"


def test_no_value_reaches_any_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    check_rows(
        run,
        [{"name": "secret-value", "state": "secret-value", "born": "1899-12-30"}] * 2,
        rule("be_unique", column="name"),
        rule("match_regex", "warn", column="state", regex="[A-Z]{2}"),
        rule("be_between", "warn", column="born", min_value="1900-01-01"),
        rule("expect_column_most_common_value_to_be_in_set", "warn", column="name", value_set=["A"]),
    )

    assert "person" in caplog.text
    assert "secret-value" not in caplog.text
    assert "1899" not in caplog.text
