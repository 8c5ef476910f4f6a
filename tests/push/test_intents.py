"""Intents are written before the request and outlive the process."""

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
    given = {"intent": "k", "operation": CREATE, "ecw_id": None, "sent": {"last_name": "Łoś"}, "run_id": "r1"}
    with engine.begin() as connection:
        intents.decide(connection, PATIENT, crm_id, Decision(**given | changes))


def latest(engine: Engine, crm_id: str = "7") -> Any:
    with reading(engine) as connection:
        return intents.latest(connection, PATIENT, crm_id)


def settle(engine: Engine, crm_id: str, state: str, ecw_id: str | None = None) -> None:
    with engine.begin() as connection:
        intents.settle(connection, PATIENT, crm_id, state, ecw_id)


def test_what_was_decided_is_there_with_what_was_sent(crm_engine: Engine) -> None:
    assert latest(crm_engine) is None
    decide(crm_engine)
    found = latest(crm_engine)
    assert (found.state, found.open, found.sent, found.attempts) == (SENDING, True, {"last_name": "Łoś"}, 1)
    decide(crm_engine)
    assert latest(crm_engine).attempts == 2
    decide(crm_engine, intent="other content")
    assert latest(crm_engine).attempts == 1


def test_the_unsettled_are_known_the_oldest_first(crm_engine: Engine) -> None:
    for crm_id in ("3", "1", "2", "4"):
        decide(crm_engine, crm_id)
    settle(crm_engine, "1", UNKNOWN)
    settle(crm_engine, "2", DONE, "e.2")
    assert intents.unsettled(crm_engine, PATIENT) == ["3", "4", "1"], "1 was heard of last"
    assert intents.unsettled(crm_engine, Place("P2", "patient")) == []
    assert (latest(crm_engine, "2").ecw_id, latest(crm_engine, "2").open) == ("e.2", False)


def test_a_choice_is_taken_among_the_candidates_and_kept_while_they_stay(crm_engine: Engine) -> None:
    def hold(*candidates: str, state: str = HELD) -> None:
        with crm_engine.begin() as connection:
            what = intents.Unsent(state, "k", CREATE, "r1", candidates=candidates)
            intents.record_unsent(connection, PATIENT, "7", what)

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


def test_the_digest_is_of_the_content_and_the_mapping() -> None:
    row = {"a": 1, "b": "x", "c": 3}
    assert intents.digest(row, ["b", "a"], "v1") == intents.digest({"b": "x", "a": 1}, ["a", "b"], "v1")
    assert intents.digest(row, ["a"], "v1") != intents.digest(row, ["a"], "v2")
    assert intents.digest(row, ["a"], "v1") != intents.digest(row | {"a": 2}, ["a"], "v1")


def test_who_was_sent_lately_is_known_by_when_it_was_done(crm_engine: Engine) -> None:
    decide(crm_engine, "1")
    with crm_engine.begin() as connection:
        connection.execute(ecw_intent.update().values(decided_at=datetime.now(UTC) - timedelta(hours=1)))
    settle(crm_engine, "1", DONE, "e.1")
    with reading(crm_engine) as connection:
        lately = datetime.now(UTC) - timedelta(minutes=1)
        assert intents.sent_since(connection, PATIENT, "7", lately) == [{"last_name": "Łoś"}]
        assert intents.sent_since(connection, PATIENT, "1", lately) == []
