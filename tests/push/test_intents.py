"""Intents are stored before the request and survive the process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_intent
from ecw.push import intents
from ecw.push.intents import CREATE, DONE, HELD, NEW, REFUSED, SENDING, UNKNOWN, Decision, Place

pytestmark = pytest.mark.both_databases

PATIENT = Place("P1", "patient")


def decide(engine: Engine, crm_id: str = "7", **changes: Any) -> None:
    fields = {"intent": "k", "operation": CREATE, "ecw_id": None, "sent": {"last_name": "Łoś"}, "run_id": "r1"}
    with engine.begin() as connection:
        intents.decide(connection, PATIENT, crm_id, Decision(**fields | changes))


def latest(engine: Engine, crm_id: str = "7") -> Any:
    with reading(engine) as connection:
        return intents.latest(connection, PATIENT, crm_id)


def settle(engine: Engine, crm_id: str, state: str, ecw_id: str | None = None) -> None:
    with engine.begin() as connection:
        intents.settle(connection, PATIENT, crm_id, state, ecw_id)


def test_an_intent_has_the_sent_values_and_its_attempts(crm_engine: Engine) -> None:
    assert latest(crm_engine) is None
    decide(crm_engine)
    intent = latest(crm_engine)
    assert (intent.state, intent.open, intent.sent, intent.attempts) == (SENDING, True, {"last_name": "Łoś"}, 1)
    decide(crm_engine)
    assert latest(crm_engine).attempts == 2
    decide(crm_engine, intent="other content")
    assert latest(crm_engine).attempts == 1


def test_unsettled_intents_are_sorted_by_their_last_change(crm_engine: Engine) -> None:
    for crm_id in ("3", "1", "2", "4"):
        decide(crm_engine, crm_id)
    settle(crm_engine, "1", UNKNOWN)
    settle(crm_engine, "2", DONE, "e.2")
    assert intents.unsettled(crm_engine, PATIENT) == ["3", "4", "1"], "1 changed last"
    assert intents.unsettled(crm_engine, Place("P2", "patient")) == []
    assert (latest(crm_engine, "2").ecw_id, latest(crm_engine, "2").open) == ("e.2", False)


def test_a_choice_must_be_a_candidate_and_holds_while_the_candidates_stay_the_same(crm_engine: Engine) -> None:
    def hold(*candidates: str, state: str = HELD) -> None:
        with crm_engine.begin() as connection:
            unsent = intents.Unsent(state, "k", CREATE, "r1", candidates=candidates)
            intents.record_unsent(connection, PATIENT, "7", unsent)

    assert not intents.choose(crm_engine, PATIENT, "7", NEW, "tester")
    hold("a", "b")
    assert not intents.choose(crm_engine, PATIENT, "7", "c", "tester")
    assert intents.choose(crm_engine, PATIENT, "7", "b", "tester")
    hold("a", "b")
    assert latest(crm_engine).choice == "b"
    hold("a", "b", "c")
    assert latest(crm_engine).choice is None
    hold(state=REFUSED)
    assert not intents.choose(crm_engine, PATIENT, "7", NEW, "tester")


def test_the_digest_depends_on_the_columns_values_and_the_mapping() -> None:
    row = {"a": 1, "b": "x", "c": 3}
    assert intents.digest(row, ["b", "a"], "v1") == intents.digest({"b": "x", "a": 1}, ["a", "b"], "v1")
    assert intents.digest(row, ["a"], "v1") != intents.digest(row, ["a"], "v2")
    assert intents.digest(row, ["a"], "v1") != intents.digest(row | {"a": 2}, ["a"], "v1")


def test_the_recently_sent_patients_are_selected_by_the_time_of_the_outcome(crm_engine: Engine) -> None:
    decide(crm_engine, "1")
    with crm_engine.begin() as connection:
        connection.execute(ecw_intent.update().values(decided_at=datetime.now(UTC) - timedelta(hours=1)))
    settle(crm_engine, "1", DONE, "e.1")
    with reading(crm_engine) as connection:
        a_minute_ago = datetime.now(UTC) - timedelta(minutes=1)
        assert intents.sent_since(connection, PATIENT, "7", a_minute_ago) == [{"last_name": "Łoś"}]
        assert intents.sent_since(connection, PATIENT, "1", a_minute_ago) == []
