"""One load: what it inserts, updates, counts and refuses, and when the cursor moves."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text

from ecw.crm.db.business_table import Mapped
from ecw.crm.state import cursors
from ecw.errors import CountMismatch, CrmSchemaError
from ecw.models import Counts
from ecw.three_way_merge import Rule
from tests.fixtures.loads import LOCATION, a_batch, a_reject, a_row, a_run, everything, load, locations


def test_new_records_are_inserted_and_counted_in_the_run(crm_engine: Engine) -> None:
    found = load(crm_engine, [a_row("a", "North"), a_row("b", "South")], unchanged=4)

    assert found == Counts(fetched=6, inserted=2, unchanged=4)
    assert locations(crm_engine) == {"a": "North", "b": "South"}
    [run_row] = everything(crm_engine)["ecw_run"]
    assert (run_row["fetched"], run_row["inserted"], run_row["unchanged"]) == (6, 2, 4)
    assert (run_row["state"], run_row["calls"], run_row["mapping_version"]) == ("loaded", 3, "m1")


def test_the_next_run_updates_only_the_rows_that_differ(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", "North"), a_row("b", "South", latitude=1.25)])
    again = [a_row("a", "Northern", 11), a_row("b", "South", 11, latitude=1.25)]

    assert load(crm_engine, again, run=a_run("r2")) == Counts(fetched=2, updated=1, unchanged=1)
    assert locations(crm_engine) == {"a": "Northern", "b": "South"}


def test_a_value_that_ecw_removed_becomes_null(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", "North")])
    assert load(crm_engine, [a_row("a", None, 11)], run=a_run("r2")).updated == 1
    assert locations(crm_engine) == {"a": None}


def test_an_older_version_never_overwrites_a_newer_one(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", "New", 11)], run=a_run("live"))
    found = load(crm_engine, [a_row("a", "Old", 9)], run=a_run("backfill", run_type="backfill"))

    assert found == Counts(fetched=1, unchanged=1)
    assert locations(crm_engine) == {"a": "New"}
    assert [row["stale"] for row in everything(crm_engine)["ecw_run"]] == [1, 0], "the stale record is counted"


def test_versions_compare_as_moments_and_not_as_text(crm_engine: Engine) -> None:
    newer, older = a_row("a", "New"), a_row("a", "Old")
    newer["version"], older["version"] = "2026-11-22T10:00:00.500000+00:00", "2026-11-22T10:00:00+00:00"
    load(crm_engine, [newer])
    assert load(crm_engine, [older], run=a_run("r2")).unchanged == 1
    assert locations(crm_engine) == {"a": "New"}


def test_a_record_without_a_version_is_loaded(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", "North")])
    assert load(crm_engine, [a_row("a", "South", None)], run=a_run("r2")).updated == 1


def test_of_two_copies_in_a_batch_the_newer_wins_and_both_are_counted(crm_engine: Engine) -> None:
    found = load(crm_engine, [a_row("a", "New", 11), a_row("a", "Old", 9), a_row("b")])
    assert found == Counts(fetched=3, inserted=2, unchanged=1)
    assert locations(crm_engine) == {"a": "New", "b": "Main Street"}


def test_loading_the_same_batch_again_changes_nothing_and_returns_the_same_counts(crm_engine: Engine) -> None:
    batch = ([a_row("a"), a_row("b"), a_row("b", "old", 8)], [a_reject("c")])
    first = load(crm_engine, *batch)
    before = everything(crm_engine)
    assert load(crm_engine, *batch) == first
    assert everything(crm_engine) == before


def test_a_retry_returns_the_counts_of_its_run_even_after_another_run(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", "one", 8)], run=a_run("r0"))
    batch = [a_row("a", "two", 9)]
    first = load(crm_engine, batch, run=a_run("r1"))
    load(crm_engine, [a_row("a", "three", 10)], run=a_run("r2"))
    assert load(crm_engine, batch, run=a_run("r1")) == first == Counts(fetched=1, updated=1)
    assert locations(crm_engine) == {"a": "three"}


def test_a_cleared_run_that_fetches_again_counts_its_earlier_inserts_and_updates(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("b", "South", 8)], run=a_run("r0"))
    load(crm_engine, [a_row("a", "North"), a_row("b", "Southern")])
    found = load(crm_engine, [a_row("a", "North"), a_row("b", "Southern"), a_row("c", "West")])
    assert found == Counts(fetched=3, inserted=2, updated=1)


def test_a_row_that_the_crm_deleted_is_inserted_again(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a"), a_row("b")])
    with crm_engine.begin() as connection:
        connection.execute(text("DELETE FROM location WHERE ecw_id = 'b'"))
    again = [a_row("b", "Back", 11)]
    assert load(crm_engine, again, run=a_run("r2")) == Counts(fetched=1, inserted=1)
    assert locations(crm_engine) == {"a": "Main Street", "b": "Back"}
    assert load(crm_engine, [*again, a_row("c")], run=a_run("r2")).inserted == 2


def test_a_crm_row_that_has_the_ecw_id_is_linked_and_updated(crm_engine: Engine) -> None:
    with crm_engine.begin() as connection:
        connection.execute(text("INSERT INTO location (ecw_id, name) VALUES ('a', 'typed by hand')"))
    assert load(crm_engine, [a_row("a", "North"), a_row("b")]) == Counts(fetched=2, inserted=1, updated=1)
    assert locations(crm_engine) == {"a": "North", "b": "Main Street"}


def test_two_practices_may_use_the_same_id(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", "Ours")])
    counts = load(crm_engine, [a_row("a", "Theirs")], run=a_run("r1", practice="P2"))
    assert counts == Counts(fetched=1, inserted=1)
    with crm_engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM location")).scalar() == 2


def test_a_column_that_is_updated_once_keeps_its_first_value(crm_engine: Engine) -> None:
    mapped = Mapped("location", "ecw_id", LOCATION.columns, "m1", rules={"name": Rule("pull", "emr", "once")})
    load(crm_engine, [a_row("a", "First")], mapped=mapped)
    found = load(crm_engine, [a_row("a", "Second", 11, active=False)], run=a_run("r2"), mapped=mapped)
    assert found.updated == 1
    assert locations(crm_engine) == {"a": "First"}


def test_a_value_that_its_column_cannot_hold_rejects_only_its_record(crm_engine: Engine) -> None:
    found = load(crm_engine, [a_row("a", latitude=12345.5), a_row("b", latitude=45.5)])

    assert found == Counts(fetched=2, rejected=1, inserted=1)
    [reject] = everything(crm_engine)["ecw_reject"]
    assert (reject["ecw_id"], reject["step"], reject["column"]) == ("a", "load", "latitude")
    assert "12345" not in str(reject)


def test_a_batch_with_fewer_rows_than_it_counts_is_not_loaded(crm_engine: Engine) -> None:
    with pytest.raises(CountMismatch):
        load(crm_engine, [a_row("a")], fetched=2)
    assert locations(crm_engine) == {}
    assert everything(crm_engine)["ecw_link"] == []


def test_a_batch_that_counts_more_rejects_than_it_holds_is_not_loaded(crm_engine: Engine) -> None:
    with pytest.raises(CountMismatch):
        load(crm_engine, [a_row("a")], fetched=3, rejected=2)
    with pytest.raises(CountMismatch):
        load(crm_engine, [a_row("a")], [a_reject("b"), a_reject("b", "format")], fetched=3, rejected=2)
    assert everything(crm_engine)["ecw_run"] == []


def test_two_versions_of_a_record_that_both_do_not_fit_count_as_two_rejects(crm_engine: Engine) -> None:
    copies = [a_row("a", hour=10, latitude=12345.5), a_row("a", hour=11, latitude=12345.5)]
    assert load(crm_engine, copies) == Counts(fetched=2, rejected=2)


def test_the_error_about_a_mapping_that_does_not_fit_lists_every_problem(crm_engine: Engine) -> None:
    mapped = Mapped("location", "ecw_id", ("ecw_id", "nmae", "id"), "m1")
    with pytest.raises(CrmSchemaError, match=r"'id': the mapping fills it.*'nmae'.*did you mean 'name'\?"):
        load(crm_engine, [], mapped=mapped)


def test_a_missing_table_is_named(crm_engine: Engine) -> None:
    with pytest.raises(CrmSchemaError, match="The CRM has no table clinic"):
        load(crm_engine, [], mapped=Mapped("clinic", "ecw_id", ("ecw_id",), "m1"))


@pytest.mark.parametrize("value", ["Secret Street", None])
def test_a_row_with_a_column_that_the_mapping_lacks_is_refused_and_its_value_not_quoted(
    crm_engine: Engine, value: str | None
) -> None:
    with pytest.raises(CrmSchemaError, match="a column street that the mapping of location does not name") as caught:
        load(crm_engine, [a_row("a"), a_row("b", street=value)])
    assert "Secret" not in str(caught.value)
    assert locations(crm_engine) == {}


def test_a_row_that_the_database_refuses_is_rejected_and_its_values_not_quoted(crm_engine: Engine) -> None:
    with crm_engine.begin() as connection:
        connection.execute(text("CREATE UNIQUE INDEX one_name ON location (name)"))
    counts = load(crm_engine, [a_row("a", "Secret Street"), a_row("b", "Secret Street")])
    assert (counts.inserted, counts.rejected) == (1, 1)
    with crm_engine.connect() as connection:
        [reject] = connection.execute(text("SELECT * FROM ecw_reject")).mappings()
    assert "Secret" not in str(dict(reject))
    assert len(locations(crm_engine)) == 1


def test_a_load_after_a_failed_load_succeeds(crm_engine: Engine) -> None:
    with pytest.raises(CountMismatch):
        load(crm_engine, [a_row("a")], fetched=2)
    assert load(crm_engine, [a_row("a")]).inserted == 1


def test_the_cursor_moves_only_if_the_load_succeeds(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a")])
    assert cursors.get(crm_engine, "P1", "location") == datetime(2026, 11, 22, 12, tzinfo=UTC)
    with pytest.raises(CountMismatch):
        load(crm_engine, [a_row("b")], run=a_run("r2", window_end="2026-11-23T12:00:00+00:00"), fetched=7)
    assert cursors.get(crm_engine, "P1", "location") == datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_the_key_of_a_deleted_row_is_not_used_again(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a"), a_row("b")])
    with crm_engine.begin() as connection:
        highest = connection.execute(text("SELECT max(id) FROM location")).scalar_one()
        connection.execute(text("DELETE FROM location WHERE id = :id"), {"id": highest})
    load(crm_engine, [a_row("c")], run=a_run("r2"))
    with crm_engine.begin() as connection:
        new_key = connection.execute(text("SELECT id FROM location WHERE ecw_id = 'c'")).scalar_one()
        connection.execute(text("INSERT INTO location (name) VALUES ('by the CRM itself')"))
        assert new_key > highest


def test_a_batch_with_other_counts_is_loaded_as_another_batch(crm_engine: Engine) -> None:
    assert load(crm_engine, [], unchanged=3).unchanged == 3
    assert load(crm_engine, [], unchanged=5).unchanged == 5


def test_a_record_with_two_rejects_counts_once() -> None:
    batch = a_batch([a_row("a")], [a_reject("b"), a_reject("b", "format")])
    assert (batch["fetched"], batch["rejected"]) == (2, 1)


def test_an_unchanged_record_stores_its_newer_version_so_that_no_older_one_is_loaded(crm_engine: Engine) -> None:
    first = a_row("a", "New", 8)
    load(crm_engine, [first])
    alike = {"ecw_id": "a", "version": a_row("a", hour=10)["version"], "hash": first["hash"]}
    load(crm_engine, unchanged=1, newer=[alike], run=a_run("live"))
    assert load(crm_engine, [a_row("a", "A slip", 9)], run=a_run("slow")).unchanged == 1
    assert locations(crm_engine) == {"a": "New"}


def test_a_link_that_changed_since_the_map_step_is_not_updated_and_the_cursor_stays(crm_engine: Engine) -> None:
    first = a_row("a", "New", 8)
    load(crm_engine, [first], run=a_run(window_end="2026-11-22T10:00:00+00:00"))
    alike = {"ecw_id": "a", "version": a_row("a", hour=10)["version"], "hash": first["hash"]}
    slow = a_run("slow", run_type="backfill")
    load(crm_engine, [a_row("a", "A slip", 9)], run=slow)
    load(crm_engine, unchanged=1, newer=[alike], run=a_run("live"))
    assert cursors.get(crm_engine, "P1", "location") == datetime(2026, 11, 22, 10, tzinfo=UTC)
    again = first | {"version": alike["version"]}
    assert load(crm_engine, [again], run=a_run("next")).updated == 1
    assert cursors.get(crm_engine, "P1", "location") == datetime(2026, 11, 22, 12, tzinfo=UTC)
