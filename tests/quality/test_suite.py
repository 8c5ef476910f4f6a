"""A quality suite is read whole, or every mistake in it is reported with its place."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ecw.errors import MappingError
from ecw.quality.suite import Rule, Volume, load_suite

COLUMNS = ["ecw_id", "name", "state", "born"]
GOOD = """\
resource: person
small_batch: 20
volume: {at_least: 0.5, otherwise: stop, why: people leave one by one}
rules:
  - column: [name, ecw_id]
    not_null: true
    otherwise: reject
    stop_above: 0.1
    why: everybody has a name
  - {column: born, date: {after: 1900-01-01, before: tomorrow}, otherwise: stop}
"""


def read(tmp_path: Path, text: str) -> object:
    path = tmp_path / "person.yaml"
    path.write_text(text)
    return load_suite(path, COLUMNS, today=date(2026, 11, 22))


def test_a_suite_is_read(tmp_path: Path) -> None:
    path = tmp_path / "person.yaml"
    path.write_text(GOOD)

    suite = load_suite(path, COLUMNS, today=date(2026, 11, 22))

    assert (suite.resource, suite.small_batch) == ("person", 20)
    assert suite.volume == Volume(0.5, "stop", "people leave one by one")
    assert suite.rules == (
        Rule(("name", "ecw_id"), "not_null", True, "reject", 0.1, "everybody has a name", 5),
        Rule(("born",), "date", {"after": "1900-01-01", "before": "2026-11-23"}, "stop", 0.0, "", 10),
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "resource: person",
            "resource: people",
            "person.yaml:1:11: 'people' is no resource of this file; use one of: person",
        ),
        (
            "resource: person",
            "resuorce: person",
            "person.yaml:1:1: 'resuorce' is no word of a quality suite; did you mean",
        ),
        ("small_batch: 20", "small_batch: few", "person.yaml:2:14: is not a number"),
        ("at_least: 0.5", "at_least: 50", "person.yaml:3:20: a share is a number from 0 to 1"),
        ("otherwise: stop, why", "otherwise: reject, why", "'reject' is about single rows"),
        (
            "[name, ecw_id]",
            "[nmae, ecw_id]",
            "person.yaml:5:14: 'nmae' is no column of the mapping; did you mean 'name'?",
        ),
        (
            "not_null: true",
            "not_nul: true",
            "person.yaml:6:5: 'not_nul' is no word of a rule; did you mean 'not_null'?",
        ),
        ("not_null: true", "not_null: false", "person.yaml:6:15: this check is `true`, or left out"),
        ("    not_null: true\n", "", "person.yaml:5:5: a rule has one check"),
        ("not_null: true", "not_null: true\n    unique: true", "this one has 2"),
        ("otherwise: reject", "otherwise: rejct", "person.yaml:7:16: 'rejct' is no outcome; did you mean 'reject'?"),
        ("    otherwise: reject\n", "", "the key 'otherwise' is missing"),
        ("not_null: true", "pattern: '('", "person.yaml:6:"),
        (
            "not_null: true",
            "not_before: bron",
            "person.yaml:6:17: 'bron' is no column of the mapping; did you mean 'born'?",
        ),
        ("not_null: true", "known: false", "person.yaml:6:12: this check is `true`, or left out"),
        ("after: 1900-01-01", "after: 1900-13-01", "is not a day such as"),
        (
            "not_null: true",
            "pattern: '(?i)x'",
            "person.yaml:6:15: is no regular expression for a whole value: global flags",
        ),
        ("not_null: true", "in: []", "person.yaml:6:9: allows no value at all"),
        ("not_null: true", "length: {min: 9, max: 2}", "person.yaml:6:13: no value is between min and max"),
        ("not_null: true", "range: {min: 2, max: 1.5}", "person.yaml:6:12: no value is between min and max"),
        ("after: 1900-01-01, before", "after: today, before", "no value is between after and before"),
        ("column: born, date: {after: 1900-01-01, before: tomorrow}", "column: [name], not_null: true", "said twice"),
    ],
)
def test_a_mistake_is_reported_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD

    with pytest.raises(MappingError) as error:
        read(tmp_path, GOOD.replace(old, new, 1))

    assert told in str(error.value)


@pytest.mark.parametrize(("text", "told"), [("", "the file is empty"), ("rules: [", "is not YAML")])
def test_a_file_that_is_no_suite(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(MappingError, match=told):
        read(tmp_path, text)


def test_a_file_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="cannot be read"):
        load_suite(tmp_path / "nothing.yaml", COLUMNS)
