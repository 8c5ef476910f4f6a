"""More than usual is asked for, by whatever way it comes, and a no is a no."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecw.crm.db.tables import ecw_push_item
from ecw.models import Push
from ecw.push import steps
from ecw.push.plan.select import due
from ecw.settings.push import Wanted
from tests.push.names import person

YES, NO = {"approved": True, "by": "alice"}, {"approved": False, "by": "bob"}


@pytest.fixture(autouse=True)
def _two(run: Any) -> None:
    run.connection(max_creates=2, max_updates=2)


def again(push: Push) -> Push:
    """Clear the run from its first task."""
    return steps.begin(push["run_id"], push["run_type"], push["ecw_conn_id"], push["crm_conn_id"], {})


def test_a_run_whose_approval_failed_asks_again_when_it_is_cleared(sandbox: Any, crm: Any, run: Any) -> None:
    for at in range(3):
        crm.add(**person(at))
    push = run.begin("asset_triggered")
    assert push["needs_approval"]
    table = steps.summary(push)
    assert table["counts"] == {"not approved": 3}
    assert "`approve`" in table["shown"][0]["next_step"]
    cleared = again(push)
    assert cleared["needs_approval"]
    assert run.finish(cleared, NO)["counts"] == {"not approved": 3}
    assert sandbox.served("transaction") == 0
    assert run.finish(cleared, YES)["counts"] == {"created": 3}, "the approval alone was cleared, and answered anew"
    assert not again(push)["needs_approval"]


def test_what_was_approved_and_not_begun_is_tried_by_the_cleared_task(
    sandbox: Any, crm: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(3):
        crm.add(**person(at))
    push = run.begin()
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "1")
    assert run.finish(push, YES)["counts"] == {"stopped": 3}
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "0")
    assert not again(push)["needs_approval"]
    assert run.finish(push, YES)["counts"] == {"created": 3}


def test_a_rejection_says_who_and_what_next(sandbox: Any, crm: Any, run: Any) -> None:
    for at in range(3):
        crm.add(**person(at))
    [one, *_] = run(approval=NO)["shown"]
    assert "bob rejected it" in one["reason"]
    assert "`limit`" in one["next_step"]
    assert sandbox.served("transaction") == 0


def test_whom_an_open_approval_is_about_is_left_to_it_though_they_change(sandbox: Any, crm: Any, run: Any) -> None:
    ids = [crm.add(**person(at)) for at in range(3)]
    push = run.begin("asset_triggered")
    crm.edit(ids[0], city="Lawrence")
    table = run("asset_triggered")
    assert (table["patients"], table["not_sent"]) == (0, {"waiting for an approval": 3})
    assert sandbox.served("transaction") == 0
    assert run.finish(push, YES)["counts"] == {"created": 3}
    assert sandbox.record("Patient", crm.row(ids[0])["ecw_id"])["address"][0]["city"] == "Lawrence"


def test_runs_that_nobody_asked_for_count_together_for_a_day(crm: Any, run: Any, pushing: Any) -> None:
    for at in range(2):
        crm.add(**person(at))
        assert run("asset_triggered")["counts"] == {"created": 1}
    third = crm.add(**person(2))
    push = run.begin("asset_triggered")
    assert push["needs_approval"]
    assert run.finish(push, NO)["counts"] == {"not approved": 1}
    assert run()["counts"] == {"created": 1}, "a person asked for it"
    for name in ("Lawrence", "Salina", "Hays"):
        crm.edit(third, city=name)
        assert run("asset_triggered")["counts"] == {"updated": 1}, "one patient counts once"
    crm.add(**person(3))
    assert run.begin("asset_triggered")["needs_approval"]
    with crm.engine.begin() as connection:
        connection.execute(ecw_push_item.update().values(planned_at=datetime.now(UTC) - timedelta(hours=27)))
    assert run("asset_triggered")["counts"] == {"created": 1}


def test_one_approval_at_a_time_is_open_and_what_is_within_the_limits_goes_on(crm: Any, run: Any, pushing: Any) -> None:
    old = crm.add(**person(9))
    run()
    for at in range(3):
        crm.add(**person(at))
    push = run.begin("asset_triggered")
    for at in range(3, 6):
        crm.add(**person(at))
    crm.edit(old, city="Lawrence")
    assert set(due(pushing(), Wanted(max_creates=2))) == {old}
    table = run("asset_triggered")
    assert (table["counts"], table["not_sent"]) == ({"updated": 1}, {"waiting for an approval": 6})
    assert due(pushing(), Wanted(max_creates=2)) == {}
    assert run.finish(push, YES)["counts"] == {"created": 3}
    assert len(due(pushing(), Wanted(max_creates=2))) == 3


def test_an_approval_that_nobody_can_answer_any_more_is_asked_for_again(crm: Any, run: Any, pushing: Any) -> None:
    for at in range(3):
        crm.add(**person(at))
    run.begin("asset_triggered")  # and the run is deleted in Airflow
    now = datetime.now(UTC)
    assert due(pushing(), Wanted(), now + timedelta(hours=25)) == {}
    assert len(due(pushing(), Wanted(), now + timedelta(hours=27))) == 3
    assert due(pushing(), Wanted(approval_hours=72), now + timedelta(hours=27)) == {}
    with crm.engine.begin() as connection:
        connection.execute(ecw_push_item.update().values(planned_at=now - timedelta(hours=27)))
    push = run.begin("asset_triggered")
    assert (push["needs_approval"], push["creates"]) == (True, 3)
