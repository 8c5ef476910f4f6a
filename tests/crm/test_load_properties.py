"""For any batches in any order: loading twice equals loading once, the newest version wins, the counts add up."""

from __future__ import annotations

from itertools import count
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from ecw.models import Counts
from tests.fixtures.examples import examples
from tests.fixtures.loads import a_reject, a_row, a_run, load

IDS = st.sampled_from("abcd")
HOURS = st.integers(8, 12)
ROWS = st.lists(st.builds(a_row, IDS, st.sampled_from(["North", "South", None]), HOURS), max_size=5)
REJECTS = st.lists(st.builds(a_reject, IDS, st.sampled_from(["required", "format"]), hour=HOURS), max_size=2)


class Loaded(NamedTuple):
    run_id: str
    run_type: str
    rows: list[dict[str, Any]]
    rejects: list[dict[str, Any]]
    unchanged: int


BATCHES = st.lists(
    st.builds(
        Loaded,
        st.sampled_from(["r1", "r2", "r3"]),
        st.sampled_from(["scheduled", "backfill"]),
        ROWS,
        REJECTS,
        st.integers(0, 3),
    ),
    max_size=5,
)
_practices = count()


def loaded(engine: Engine, batches: list[Loaded], times: int) -> tuple[list[Counts], dict[str, Any]]:
    """Load each batch `times` times for a new practice; return the counts and the stored rows by table."""
    practice = f"P{next(_practices)}"
    numbers = []
    for batch in batches:
        run = a_run(batch.run_id, practice=practice, run_type=batch.run_type)
        distinct = {load(engine, batch.rows, batch.rejects, run=run, unchanged=batch.unchanged) for _ in range(times)}
        assert len(distinct) == 1, "a repeated load returned other counts"
        numbers += distinct
    queries = {
        "rows": "SELECT l.ecw_id, t.name, l.hash, l.source_version, l.inserted_run, l.updated_run, l.last_seen_run "
        "FROM ecw_link l LEFT JOIN location t ON t.id = CAST(l.crm_id AS INTEGER) WHERE l.practice = :practice",
        "rejects": "SELECT ecw_id, rule, state, first_run, last_run, resolved_run FROM ecw_reject "
        "WHERE practice = :practice",
        "cursor": "SELECT position, run_id FROM ecw_cursor WHERE practice = :practice",
        "runs": "SELECT run_id, state, fetched, rejected, inserted, updated, unchanged FROM ecw_run "
        "WHERE practice = :practice",
    }
    with engine.connect() as connection:
        stored = {
            name: sorted(tuple(row) for row in connection.execute(text(query), {"practice": practice}))
            for name, query in queries.items()
        }
    return numbers, stored


@settings(max_examples=examples(25), derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES)
def test_any_sequence_of_batches_loaded_twice_is_the_same_as_once(crm_engine: Engine, batches: list[Loaded]) -> None:
    numbers, once = loaded(crm_engine, batches, 1)
    assert loaded(crm_engine, batches, 2) == (numbers, once)

    for batch, counts in zip(batches, numbers, strict=True):
        assert counts.fetched == counts.rejected + counts.inserted + counts.updated + counts.unchanged
        assert counts.fetched == len(batch.rows) + len({one["ecw_id"] for one in batch.rejects}) + batch.unchanged
    newest: dict[str, str] = {}
    for row in (row for batch in batches for row in batch.rows):
        newest[row["ecw_id"]] = max(newest.get(row["ecw_id"], ""), row["version"])
    stored = {ecw_id: str(version) for ecw_id, _, _, version, *_ in once["rows"]}
    assert {ecw_id: version[11:13] for ecw_id, version in stored.items()} == {
        ecw_id: hour(version, crm_engine) for ecw_id, version in newest.items()
    }


def hour(version: str, engine: Engine) -> str:
    """Return the hour of a version as the database shows it: SQLite in UTC, PostgreSQL in the session's zone."""
    if engine.dialect.name == "sqlite":
        return version[11:13]
    with engine.connect() as connection:
        shown = connection.execute(text("SELECT CAST(:version AS timestamptz)"), {"version": version}).scalar()
    return str(shown)[11:13]
