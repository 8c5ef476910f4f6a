"""A push that is larger than usual needs an approval, however it was started, and a rejection is final."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecw.crm.db.tables import ecw_push_item
from ecw.models import Push, PushRequest
from ecw.push import steps
from ecw.push.plan.select import due
from ecw.settings.push import PushOptions
from tests.push.names import person

YES, NO = {"approved": True, "by": "alice"}, {"approved": False, "by": "bob"}


@pytest.fixture(autouse=True)
def _limits_of_two(run: Any) -> None:
    run.connection(max_creates=2, max_updates=2)


def clear(push: Push) -> Push:
    """Clear the run from its first task."""
    return steps.begin(PushRequest(push["run_id"], push["run_type"], push["ecw_conn_id"], push["crm_conn_id"]))


def test_a_cleared_run_without_an_answer_asks_for_the_approval_again(sandbox: Any, crm: Any, run: Any) -> None:
    for at in range(3):
        crm.add(**person(at))
    push = run.begin("asset_triggered")
    assert push["needs_approval"]
    table = steps.summary(push)
    assert table["counts"] == {"not approved": 3}
    assert "`approve`" in table["shown"][0]["next_step"]
    cleared = clear(push)
    assert cleared["needs_approval"]
    assert run.finish(cleared, NO)["counts"] == {"not approved": 3}
    assert sandbox.served("transaction") == 0
    assert run.finish(cleared, YES)["counts"] == {"created": 3}, "only the approval was cleared and answered again"
    assert not clear(push)["needs_approval"]


def test_approved_patients_that_were_not_sent_are_sent_by_the_cleared_task(
    sandbox: Any, crm: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(3):
        crm.add(**person(at))
    push = run.begin()
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "1")
    assert run.finish(push, YES)["counts"] == {"stopped": 3}
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "0")
    assert not clear(push)["needs_approval"]
    assert run.finish(push, YES)["counts"] == {"created": 3}


def test_a_rejection_names_the_person_and_the_next_step(sandbox: Any, crm: Any, run: Any) -> None:
    for at in range(3):
        crm.add(**person(at))
    [one, *_] = run(approval=NO)["shown"]
    assert "bob rejected it" in one["reason"]
    assert "`limit`" in one["next_step"]
    assert sandbox.served("transaction") == 0


def test_patients_of_an_open_approval_are_not_taken_by_another_run_even_if_they_change(
    sandbox: Any, crm: Any, run: Any
) -> None:
    ids = [crm.add(**person(at)) for at in range(3)]
    push = run.begin("asset_triggered")
    crm.edit(ids[0], city="Lawrence")
    table = run("asset_triggered")
    assert (table["patients"], table["not_sent"]) == (0, {"waiting for an approval": 3})
    assert sandbox.served("transaction") == 0
    assert run.finish(push, YES)["counts"] == {"created": 3}
    assert sandbox.record("Patient", crm.row(ids[0])["ecw_id"])["address"][0]["city"] == "Lawrence"


def test_the_patients_of_automatic_runs_count_together_for_a_day(crm: Any, run: Any, pushing: Any) -> None:
    for at in range(2):
        crm.add(**person(at))
        assert run("asset_triggered")["counts"] == {"created": 1}
    third = crm.add(**person(2))
    push = run.begin("asset_triggered")
    assert push["needs_approval"]
    assert run.finish(push, NO)["counts"] == {"not approved": 1}
    assert run()["counts"] == {"created": 1}, "a run that a person started does not count"
    for name in ("Lawrence", "Salina", "Hays"):
        crm.edit(third, city=name)
        assert run("asset_triggered")["counts"] == {"updated": 1}, "one patient counts once"
    crm.add(**person(3))
    assert run.begin("asset_triggered")["needs_approval"]
    with crm.engine.begin() as connection:
        connection.execute(ecw_push_item.update().values(planned_at=datetime.now(UTC) - timedelta(hours=27)))
    assert run("asset_triggered")["counts"] == {"created": 1}


def test_only_one_approval_is_open_and_patients_within_the_limits_are_sent_meanwhile(
    crm: Any, run: Any, pushing: Any
) -> None:
    old = crm.add(**person(9))
    run()
    for at in range(3):
        crm.add(**person(at))
    push = run.begin("asset_triggered")
    for at in range(3, 6):
        crm.add(**person(at))
    crm.edit(old, city="Lawrence")
    assert set(due(pushing(), PushOptions(max_creates=2))) == {old}
    table = run("asset_triggered")
    assert (table["counts"], table["not_sent"]) == ({"updated": 1}, {"waiting for an approval": 6})
    assert due(pushing(), PushOptions(max_creates=2)) == {}
    assert run.finish(push, YES)["counts"] == {"created": 3}
    assert len(due(pushing(), PushOptions(max_creates=2))) == 3


def test_an_approval_whose_run_was_deleted_is_asked_for_again_after_its_hours(crm: Any, run: Any, pushing: Any) -> None:
    for at in range(3):
        crm.add(**person(at))
    run.begin("asset_triggered")  # the run is then deleted in Airflow
    now = datetime.now(UTC)
    assert due(pushing(), PushOptions(), now + timedelta(hours=25)) == {}
    assert len(due(pushing(), PushOptions(), now + timedelta(hours=27))) == 3
    assert due(pushing(), PushOptions(approval_hours=72), now + timedelta(hours=27)) == {}
    with crm.engine.begin() as connection:
        connection.execute(ecw_push_item.update().values(planned_at=now - timedelta(hours=27)))
    push = run.begin("asset_triggered")
    assert (push["needs_approval"], push["creates"]) == (True, 3)
