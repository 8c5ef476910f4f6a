"""The watcher starts a push once for patients that are due, and for nothing else."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from ecw.operators.outbox_trigger import OutboxTrigger
from ecw.push import intents, progress
from ecw.push.patient.push import push_patient
from ecw.push.plan.select import due
from ecw.push.plan.watcher import COMPARE, SWITCHES, Watch
from ecw.push.progress import Progress
from ecw.settings.push import PushOptions
from tests.push.names import person

pytestmark = pytest.mark.both_databases


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(run: Any, clock: Clock) -> Any:
    watch = Watch("ecw_test", "crm_test", clock=clock)
    yield watch
    watch.close()


def test_a_new_and_a_changed_patient_are_counted_once(crm: Any, run: Any, watch: Watch) -> None:
    assert watch.look() == 0
    crm_id = crm.add(**person(0))
    assert watch.look() == 1
    assert watch.look() == 0, "the requested run has not begun yet"
    assert run("asset_triggered")["counts"] == {"created": 1}
    assert watch.look() == 0, "the push's own writes are not due"
    crm.edit(crm_id, city="Lawrence")
    assert watch.look() == 1
    assert run("asset_triggered")["counts"] == {"updated": 1}
    assert watch.look() == 0


def test_the_writes_of_a_pull_start_no_push(crm: Any, run: Any, pull: Any, sandbox: Any, watch: Watch) -> None:
    pull("patient")
    assert watch.look() == 0
    [patient, *_] = [each for each in sandbox.records("Patient") if each.get("telecom")]
    sandbox.put(patient | {"gender": "unknown"})
    pull("patient")
    assert watch.look() == 0


def test_a_patient_that_waits_for_a_person_starts_no_push_until_it_changes(crm: Any, run: Any, watch: Watch) -> None:
    bad, locked = crm.add(**person(0) | {"gender": "Other"}), crm.add(**person(1), emr_updates_locked=True)
    crm.add(**person(2) | {"first_name": "Eva"})
    run()
    near = crm.add(**person(2) | {"first_name": "Ewa", "identifier": "other"})
    run()
    run()
    for again in range(3):
        crm.edit(locked, city=f"Town {again}")
        assert watch.look() == 0
    crm.edit(bad, gender="Female")
    assert watch.look() == 1
    run()
    place = intents.Place(crm.all("ecw_push_item")[0]["practice"], "patient")
    assert intents.choose(crm.engine, place, near, intents.NEW, "tester")
    progress.forget(crm.engine, place, near)
    assert watch.look() == 1
    assert run("asset_triggered")["counts"] == {"created": 1}


def test_an_unknown_outcome_is_due_again_later_and_a_rejected_approval_is_not(
    crm: Any, run: Any, pushing: Any, sandbox: Any
) -> None:
    now = datetime.now(UTC)
    crm_id = crm.add(**person(0))
    sandbox.fault("lose_response", interaction="transaction", times=1)
    push = run.begin()
    push_patient(pushing(), crm_id)
    Progress.of(crm.engine, push).note(crm_id, status="unknown")
    assert due(pushing(), PushOptions(), now) == {}
    assert set(due(pushing(), PushOptions(), now + timedelta(hours=1))) == {crm_id}
    Progress.of(crm.engine, push).note(crm_id, status="not approved")
    assert due(pushing(), PushOptions(), now + timedelta(days=9)) == {}


def test_with_test_only_just_the_test_patient_starts_a_push(crm: Any, run: Any, watch: Watch) -> None:
    run.connection(test_patient="P-0001", test_only=True)
    crm.add(**person(0))
    assert watch.look() == 0, "the connection names a test patient that the CRM does not have"
    crm.add(**person(1))
    assert watch.look() == 1


def test_auto_start_off_or_the_kill_switch_on_starts_no_push(
    crm: Any, run: Any, watch: Watch, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm.add(**person(0))
    for name, value in (("AUTO_START", "0"), ("KILL_SWITCH", "1")):
        monkeypatch.setenv(f"AIRFLOW_VAR_ECW_PUSH_{name}", value)
        clock.now += SWITCHES
        assert watch.look() == 0
        monkeypatch.setenv(f"AIRFLOW_VAR_ECW_PUSH_{name}", "no" if name == "KILL_SWITCH" else "yes")
    clock.now += SWITCHES
    assert watch.look() == 1


def test_a_check_without_a_change_reads_no_patient(crm: Any, run: Any, watch: Watch) -> None:
    crm.add(**person(0))
    watch.look()
    statements: list[str] = []
    assert watch._engine is not None
    event.listen(watch._engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    assert watch.look() == 0
    assert statements
    assert not [statement for statement in statements if "last_name" in statement]


def test_an_unavailable_crm_is_logged_once_and_checked_again(
    crm: Any, run: Any, watch: Watch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    crm.add(**person(0))
    connection = os.environ["AIRFLOW_CONN_CRM_TEST"]
    monkeypatch.setenv(
        "AIRFLOW_CONN_CRM_TEST", '{"conn_type": "generic", "extra": {"url": "sqlite:////no/such/crm.db"}}'
    )
    assert [watch.look(), watch.look()] == [0, 0]
    assert len([entry for entry in caplog.records if "cannot look into the CRM" in entry.getMessage()]) == 1
    monkeypatch.setenv("AIRFLOW_CONN_CRM_TEST", connection)
    assert watch.look() == 1


def test_a_serialized_trigger_can_be_restored_and_fires(crm: Any, run: Any) -> None:
    from airflow.triggers.base import TriggerEvent

    crm.add(**person(0))
    path, kwargs = OutboxTrigger("ecw_test", "crm_test", every=0.01).serialize()
    assert path == f"{OutboxTrigger.__module__}.OutboxTrigger"

    async def first() -> TriggerEvent:
        async with aclosing(OutboxTrigger(**kwargs).run()) as events:
            return await anext(events)

    assert asyncio.run(first()).payload == {"patients": 1}


@pytest.mark.parametrize(
    "options",
    [{"only": "update"}, {"dry_run": True}, {"patients": ["P-0001"]}, {"test_only": True, "test_patient": "P-0001"}],
)
def test_a_patient_that_the_connections_options_exclude_starts_no_push(
    crm: Any, run: Any, watch: Watch, clock: Clock, options: dict[str, Any]
) -> None:
    crm.add(**person(1))
    run()
    run.connection(**options)
    crm.add(**person(0))
    for _ in range(4):
        clock.now += COMPARE + 1
        assert watch.look() == 0
    assert run("asset_triggered")["patients"] == (1 if "dry_run" in options else 0)


def test_a_change_that_is_not_the_latest_is_noticed_within_a_minute(
    crm: Any, run: Any, watch: Watch, clock: Clock
) -> None:
    first, second = crm.add(**person(0)), crm.add(**person(1))
    run()
    crm.edit(second, updated_at=datetime.now(UTC) + timedelta(seconds=5))  # by a clock that is fast
    assert watch.look() == 0
    crm.edit(first, city="Lawrence", updated_at=datetime.now(UTC))
    found = 0
    while not found and clock.now < 60:
        clock.now += 10
        found = watch.look()
    assert found == 1


def test_an_edit_back_to_a_value_that_was_pushed_before_is_due(
    crm: Any, run: Any, pushing: Any, pull: Any, sandbox: Any
) -> None:
    crm_id = crm.add(**person(0))
    run()
    crm.edit(crm_id, city="Lawrence")
    run()
    ecw_id = crm.row(crm_id)["ecw_id"]
    patient = sandbox.record("Patient", ecw_id)
    sandbox.put(patient | {"address": [patient["address"][0] | {"city": "Hays"}]})
    pull("patient")
    assert crm.row(crm_id)["city"] == "Hays"
    crm.edit(crm_id, city="Lawrence")
    assert set(due(pushing(), PushOptions(), datetime.now(UTC) + timedelta(minutes=31))) == {crm_id}
