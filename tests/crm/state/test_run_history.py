"""A run id that Airflow uses a second time, after the first run was deleted there, overwrites nothing."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from ecw.crm.db.engine import reading
from ecw.crm.state import run_history
from ecw.models import Counts, RunKind
from tests.fixtures.examples import examples
from tests.fixtures.loads import a_reject, a_row, a_run, load


def counts_by_run(engine: Engine) -> dict[str, tuple[int, int, int]]:
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT run_id, fetched, inserted, updated FROM ecw_run ORDER BY run_id"))
        return {run_id: (fetched, inserted, updated) for run_id, fetched, inserted, updated in rows}


def test_every_run_of_an_id_stays_in_the_run_table(crm_engine: Engine) -> None:
    """Each run keeps its own counts: the second run does not count what the first one inserted."""
    assert load(crm_engine, [a_row("a"), a_row("b")], [a_reject("c")]) == Counts(fetched=3, rejected=1, inserted=2)
    assert run_history.archive(crm_engine, "P1", "r1") == "r1~1"
    assert load(crm_engine, [a_row("a"), a_row("b", "New", 11)]) == Counts(fetched=2, unchanged=1, updated=1)
    assert run_history.archive(crm_engine, "P1", "r1") == "r1~2"
    assert load(crm_engine, [a_row("a")]) == Counts(fetched=1, unchanged=1)
    assert counts_by_run(crm_engine) == {"r1~1": (3, 2, 0), "r1~2": (2, 0, 1), "r1": (1, 0, 0)}
    with reading(crm_engine) as connection:
        assert connection.scalar(text("SELECT first_run FROM ecw_reject")) == "r1~1"


def test_a_new_id_archives_no_run(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a")])
    assert run_history.archive(crm_engine, "P1", "r2") is None
    assert run_history.archive(crm_engine, "P2", "r1") is None, "another practice's runs are its own"
    assert counts_by_run(crm_engine) == {"r1": (1, 1, 0)}


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(run_id=st.text(min_size=1, max_size=250).filter(lambda one: "\x00" not in one and one.isprintable()))
def test_every_run_of_an_id_has_another_folder(crm_engine: Engine, run_id: str) -> None:
    """For any id, a run never reads the batches of an earlier run with the same id."""
    folders = set()
    for _ in range(3):
        run_history.archive(crm_engine, "P1", run_id)
        folder = run_history.folder_name(crm_engine, "P1", run_id)
        assert folder not in folders
        folders.add(folder)
        load(crm_engine, [a_row("a")], run=a_run(run_id))
        assert run_history.folder_name(crm_engine, "P1", run_id) == folder, "a retry finds it again"


def test_a_run_of_another_kind_with_the_same_id_is_not_archived(crm_engine: Engine) -> None:
    """It may be running: pulls, replays and pushes are different DAGs, and ids are unique only within one DAG."""
    load(crm_engine, [a_row("a")], run=a_run("x", mode="replay"))
    for kind in (RunKind.PULL, RunKind.PUSH):
        assert run_history.archive(crm_engine, "P1", "x", kind) is None
    assert counts_by_run(crm_engine) == {"x": (1, 1, 0)}
    assert run_history.archive(crm_engine, "P1", "x", RunKind.REPLAY) == "x~1"
