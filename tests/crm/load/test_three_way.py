"""The three-way merge inside the load, on real databases: which edit wins, the merge base, the conflicts."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, select, text

from ecw.crm.db.business_table import Mapped
from ecw.crm.db.engine import reading
from ecw.crm.db.tables import metadata
from ecw.crm.state import conflicts, merge_base
from ecw.models import Counts
from ecw.three_way_merge import MergeBase, Rule
from ecw.three_way_merge import merge as merge_rows
from tests.fixtures.crm import on_postgresql
from tests.fixtures.examples import examples
from tests.fixtures.loads import a_batch, a_row, a_run, load_rows

COLUMNS = ("ecw_id", "last_name", "phone", "city", "mr_number")
RULES = {
    "last_name": Rule("both", "hold"),
    "phone": Rule("both", "newest"),
    "city": Rule("both", "crm"),
    "mr_number": Rule("pull", "emr"),
}
PATIENT = Mapped("patient", "ecw_id", COLUMNS, "m1", rules=RULES)
FIRST = {"last_name": "Reyes", "phone": "111", "city": "Topeka", "mr_number": "M1"}


def a_staged_row(hour: int = 10, ecw_id: str = "a", **row: Any) -> dict[str, Any]:
    return a_row(ecw_id, hour=hour) | {"row": {"ecw_id": ecw_id} | FIRST | row}


def load(engine: Engine, *lines: dict[str, Any], run_id: str = "r", mapped: Mapped = PATIENT, **more: Any) -> Counts:
    batch = a_batch(list(lines), [], resource="patient")
    return load_rows(engine, a_run(run_id), batch, mapped, lines, [], **more)


def crm_row(engine: Engine, ecw_id: str = "a") -> dict[str, Any]:
    with reading(engine) as connection:
        found = connection.execute(text("SELECT * FROM patient WHERE ecw_id = :id"), {"id": ecw_id}).mappings().one()
        return {name: found[name] for name in FIRST}


def edit(engine: Engine, **values: Any) -> None:
    with engine.begin() as connection:
        for name, value in values.items():
            connection.execute(text(f"UPDATE patient SET {name} = :value"), {"value": value})  # noqa: S608


def table(engine: Engine, name: str) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(select(metadata.tables[name])).mappings()]


def base_of_a(engine: Engine) -> MergeBase:
    with reading(engine) as connection:
        return merge_base.read(connection, "P1", "patient", "a")


def run_row(engine: Engine, run_id: str) -> dict[str, Any]:
    return next(row for row in table(engine, "ecw_run") if row["run_id"] == run_id)


def test_a_new_row_becomes_the_merge_base(crm_engine: Engine) -> None:
    load(crm_engine, a_staged_row())
    assert base_of_a(crm_engine) == MergeBase.on(FIRST)


def test_a_field_that_only_ecw_changed_is_updated_and_one_that_only_the_crm_changed_stays(crm_engine: Engine) -> None:
    load(crm_engine, a_staged_row())
    edit(crm_engine, phone="222", mr_number="M2")
    numbers = load(crm_engine, a_staged_row(11, last_name="Ruiz"), run_id="r2")
    assert numbers == Counts(fetched=1, updated=1)
    assert crm_row(crm_engine) == FIRST | {"last_name": "Ruiz", "phone": "222", "mr_number": "M2"}
    assert base_of_a(crm_engine).crm["phone"] == "111", "the CRM's edit waits to be pushed"
    assert (run_row(crm_engine, "r2")["pending_push"], run_row(crm_engine, "r2")["conflicts"]) == (1, 0)
    [entry] = [row for row in table(crm_engine, "ecw_journal") if row["operation"] == "update"]
    assert (entry["fields"], entry["ecw_id"], entry["direction"]) == ("last_name", "a", "pull")


def test_an_equal_edit_on_both_sides_changes_no_row_and_becomes_the_merge_base(crm_engine: Engine) -> None:
    load(crm_engine, a_staged_row())
    edit(crm_engine, phone="222")
    assert load(crm_engine, a_staged_row(11, phone="222"), run_id="r2") == Counts(fetched=1, unchanged=1)
    assert base_of_a(crm_engine) == MergeBase.on(FIRST | {"phone": "222"})


def test_a_column_that_both_sides_changed_follows_its_rule_and_is_a_conflict(crm_engine: Engine) -> None:
    load(crm_engine, a_staged_row())
    crm_edit = {"last_name": "Ours", "city": "Ours", "mr_number": "Ours"}
    edit(crm_engine, **crm_edit)
    ecw_edit = {"last_name": "Theirs", "city": "Theirs", "mr_number": "Theirs"}
    load(crm_engine, a_staged_row(11, **ecw_edit), run_id="r2")
    assert crm_row(crm_engine) == FIRST | {"last_name": "Ours", "city": "Ours", "mr_number": "Theirs"}
    outcomes = {row["column"]: (row["state"], row["winner"]) for row in table(crm_engine, "ecw_conflict")}
    assert outcomes == {"last_name": ("open", None), "city": ("settled", "crm"), "mr_number": ("settled", "emr")}
    values = {row["column"]: (row["crm_value"], row["emr_value"]) for row in table(crm_engine, "ecw_conflict")}
    assert set(values.values()) == {('"Ours"', '"Theirs"')}
    assert run_row(crm_engine, "r2")["conflicts"] == 3


def test_an_open_conflict_is_mapped_again_and_settled_by_the_choice(crm_engine: Engine) -> None:
    load(crm_engine, a_staged_row())
    edit(crm_engine, last_name="Ours")
    ecw_edit = a_staged_row(11, last_name="Theirs")
    load(crm_engine, ecw_edit, run_id="r2")
    [link] = table(crm_engine, "ecw_link")
    assert link["hash"] == "", "the next run maps it again"
    [conflict] = table(crm_engine, "ecw_conflict")
    assert conflicts.choose(
        crm_engine, conflicts.Field("P1", "patient", conflict["crm_id"], "last_name"), "emr", "tester"
    )
    load(crm_engine, ecw_edit, run_id="r3")
    assert crm_row(crm_engine)["last_name"] == "Theirs"
    [conflict] = table(crm_engine, "ecw_conflict")
    assert (conflict["state"], conflict["winner"]) == ("settled", "emr")
    [link] = table(crm_engine, "ecw_link")
    assert link["hash"] == ecw_edit["hash"]


@pytest.mark.parametrize(("hour", "winner"), [(1, "222"), (None, "222")])
def test_the_newest_edit_wins_and_without_a_version_the_conflict_stays_open(
    crm_engine: Engine, hour: int | None, winner: str
) -> None:
    load(crm_engine, a_staged_row(hour and 0))
    edit(crm_engine, phone="222")  # now, which is after the versions of 2026-11-22
    load(crm_engine, a_staged_row(hour, phone="333"), run_id="r2")
    assert crm_row(crm_engine)["phone"] == winner
    [conflict] = table(crm_engine, "ecw_conflict")
    assert conflict["winner"] == ("crm" if hour else None), "without a version it is unknown which is newer"


def test_a_locked_row_is_counted_and_not_updated_until_it_is_unlocked(crm_engine: Engine) -> None:
    load(crm_engine, a_staged_row())
    edit(crm_engine, emr_updates_locked=True)
    changed = a_staged_row(11, phone="333")
    assert load(crm_engine, changed, run_id="r2") == Counts(fetched=1, unchanged=1)
    assert crm_row(crm_engine) == FIRST
    assert run_row(crm_engine, "r2")["locked"] == 1
    [link] = table(crm_engine, "ecw_link")
    assert link["hash"] == ""
    edit(crm_engine, emr_updates_locked=False)
    assert load(crm_engine, changed, run_id="r3") == Counts(fetched=1, updated=1)
    assert crm_row(crm_engine)["phone"] == "333"


def test_a_row_that_the_crm_had_before_is_merged_and_not_overwritten(crm_engine: Engine) -> None:
    with crm_engine.begin() as connection:
        connection.execute(text("INSERT INTO patient (ecw_id, last_name, city) VALUES ('a', 'Reyes', 'Salina')"))
    load(crm_engine, a_staged_row(phone=None), run_id="r1")
    assert crm_row(crm_engine) == FIRST | {"phone": None, "city": "Salina"}
    assert base_of_a(crm_engine).emr["city"] == "Topeka"


def test_a_pulled_record_with_the_values_that_were_sent_is_unchanged(crm_engine: Engine) -> None:
    load(crm_engine, a_staged_row())
    edit(crm_engine, phone="222")
    sent = MergeBase(FIRST | {"phone": "222"}, dict(FIRST), {"phone": "222"})
    with crm_engine.begin() as connection:
        merge_base.write(connection, "P1", "patient", "a", sent)
    assert load(crm_engine, a_staged_row(11, phone="222"), run_id="r2") == Counts(fetched=1, unchanged=1)
    assert base_of_a(crm_engine) == MergeBase.on(FIRST | {"phone": "222"})
    assert [row["operation"] for row in table(crm_engine, "ecw_journal")] == ["insert"]


def test_a_value_that_the_column_rounds_is_not_an_edit_of_the_crm(crm_engine: Engine) -> None:
    mapped = Mapped("location", "ecw_id", ("ecw_id", "name", "latitude"), "m1")
    first = a_row("a", "North") | {"row": {"ecw_id": "a", "name": "North", "latitude": 42.123456789123}}
    again = a_row("a", "South", 11) | {"row": {"ecw_id": "a", "name": "South", "latitude": 42.123456789123}}
    for run_id, one in (("r1", first), ("r2", again)):
        load_rows(crm_engine, a_run(run_id), a_batch([one], []), mapped, [one], [])
    [entry] = [row for row in table(crm_engine, "ecw_journal") if row["operation"] == "update"]
    assert entry["fields"] == "name"
    assert (run_row(crm_engine, "r2")["pending_push"], run_row(crm_engine, "r2")["conflicts"]) == (0, 0)


@on_postgresql
def test_an_edit_while_the_load_runs_is_not_lost(crm_engine: Engine) -> None:
    """An edit of a row that is being merged waits for the load's commit."""
    load(crm_engine, a_staged_row())
    edited = Thread(target=edit, args=(crm_engine,), kwargs={"phone": "222"})

    def meanwhile(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "FOR UPDATE" in statement:  # the load has read and locked the row
            edited.start()
            edited.join(0.5)
            assert edited.is_alive(), "the edit waits"

    event.listen(crm_engine, "after_cursor_execute", meanwhile)
    load(crm_engine, a_staged_row(11, last_name="Ruiz"), run_id="r2")
    edited.join()
    assert crm_row(crm_engine) == FIRST | {"last_name": "Ruiz", "phone": "222"}


VALUES = st.sampled_from(["x", "y", None])
STEPS = st.lists(
    st.tuples(st.sampled_from(["crm", "emr", "pull"]), st.sampled_from(list(FIRST)), VALUES), min_size=1, max_size=8
)


@settings(max_examples=examples(40), derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_load_gives_the_same_rows_as_the_merge_function(
    crm_engine: Engine, steps: list[tuple[str, str, Any]]
) -> None:
    """Any sequence of edits and pulls gives the rows and the merge base that ecw.three_way_merge.merge gives."""
    with crm_engine.begin() as connection:
        for name in ("patient", "ecw_link", "ecw_merge_base", "ecw_conflict", "ecw_run", "ecw_journal"):
            connection.execute(text(f"DELETE FROM {name}"))  # noqa: S608
    rules = RULES | {"phone": Rule("both", "emr")}  # not `newest`, which depends on the clock
    mapped = Mapped("patient", "ecw_id", COLUMNS, "m1", rules=rules)
    emr: dict[str, Any] = dict(FIRST)
    crm_values, base = dict(FIRST), MergeBase.on(FIRST)
    load(crm_engine, a_staged_row(9), run_id="r0", mapped=mapped)
    for number, (step, name, value) in enumerate([*steps, ("pull", "", None)]):
        if step == "crm":
            crm_values[name] = value
            edit(crm_engine, **{name: value})
        elif step == "emr":
            emr[name] = value
        else:
            merged = merge_rows(rules, base, crm_values, emr)
            crm_values, base = crm_values | merged.to_crm, merged.pulled
            load(crm_engine, a_staged_row(None, **emr), run_id=f"r{number + 1}", mapped=mapped)
            assert crm_row(crm_engine) == crm_values
            assert _without_nulls(base_of_a(crm_engine)) == _without_nulls(base)


def _without_nulls(base: MergeBase) -> list[Mapping[str, Any]]:
    return [{k: v for k, v in side.items() if v is not None} for side in (base.crm, base.emr, base.sent)]
