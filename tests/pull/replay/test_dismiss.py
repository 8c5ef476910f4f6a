"""A dismissed reject stays dismissed while the record's content is the same, and the record is still not loaded."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, select

from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_journal, ecw_reject
from ecw.crm.state import links
from ecw.errors import ConfigurationError
from ecw.pull.replay.dismiss import MOST, dismiss, reopen
from tests.fixtures.loads import a_reject, a_row, a_run, load

pytestmark = pytest.mark.both_databases


def states(engine: Engine) -> dict[str, str]:
    with reading(engine) as connection:
        return {row.ecw_id: row.state for row in connection.execute(select(ecw_reject))}


def test_a_dismissed_reject_is_open_again_only_if_the_content_changes(crm_engine: Engine) -> None:
    load(crm_engine, rejects=[a_reject("a"), a_reject("b")])
    assert dismiss(crm_engine, "P1", "location", ["a", "nobody"], "anna", " test site, closed ") == 1
    assert states(crm_engine) == {"a": "dismissed", "b": "open"}
    load(crm_engine, rejects=[a_reject("a"), a_reject("b")], run=a_run("r2"))
    assert states(crm_engine) == {"a": "dismissed", "b": "open"}
    load(crm_engine, rejects=[a_reject("a", hour=11) | {"hash": "another"}], run=a_run("r3"))
    assert states(crm_engine)["a"] == "open"


def test_a_dismissed_reject_is_resolved_when_the_record_is_loaded(crm_engine: Engine) -> None:
    load(crm_engine, rejects=[a_reject("a")])
    dismiss(crm_engine, "P1", "location", ["a"], "anna", "why not")
    load(crm_engine, rows=[a_row("a", hour=11)], run=a_run("r2"))
    assert states(crm_engine) == {"a": "resolved"}
    assert dismiss(crm_engine, "P1", "location", ["a"], "anna", "too late") == 0


def test_a_record_with_a_dismissed_reject_does_not_count_as_unchanged(crm_engine: Engine) -> None:
    row = a_row("a")
    load(crm_engine, rows=[row])
    load(crm_engine, rejects=[a_reject("a", hour=11)], run=a_run("r2"))
    dismiss(crm_engine, "P1", "location", ["a"], "anna", "why not")
    assert not links.known(crm_engine, "P1", "location").unchanged("a", row["hash"], "m1")


def test_the_journal_records_who_dismissed_or_reopened_a_reject_and_why(crm_engine: Engine) -> None:
    load(crm_engine, rejects=[a_reject("a"), a_reject("a", rule="pattern")])
    dismiss(crm_engine, "P1", "location", ["a"], "anna", "test site")
    assert reopen(crm_engine, "P1", "location", ["a"], "ben") == 1
    with reading(crm_engine) as connection:
        rows = connection.execute(select(ecw_journal).where(ecw_journal.c.direction == "decision")).mappings().all()
    entries = {(row["operation"], row["decided_by"], row["before"], row["after"], row["ecw_id"]) for row in rows}
    assert entries == {
        ("reject", "anna", "open", "dismissed: test site", "a"),
        ("reject", "ben", "dismissed", "open", "a"),
    }
    assert states(crm_engine) == {"a": "open"}


@pytest.mark.parametrize(
    ("ids", "note"), [(["a"], " "), (["a"], "x" * 501), ([str(at) for at in range(MOST + 1)], "x")]
)
def test_a_dismissal_without_a_reason_or_of_too_many_rejects_is_refused(
    crm_engine: Engine, ids: list[str], note: str
) -> None:
    load(crm_engine, rejects=[a_reject("a")])
    with pytest.raises(ConfigurationError):
        dismiss(crm_engine, "P1", "location", ids, "anna", note)
    assert states(crm_engine) == {"a": "open"}
