"""One worker at a time has the claim of a patient, and the claim of a dead worker is free."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Engine, update

from ecw.crm.db.tables import ecw_claim
from ecw.push.intents import Place
from ecw.push.locks import LEASE, ClaimLost, alone

pytestmark = pytest.mark.both_databases

PATIENT = Place("P1", "patient")

HOLDING = """
import sys
from ecw.crm.db.engine import engine_from_url
from ecw.push.locks import alone
from ecw.push.intents import Place
with alone(engine_from_url(sys.argv[1]), Place("P1", "patient"), "7") as claim:
    print(claim is not None, flush=True)
    sys.stdin.read()
"""


def test_one_worker_has_the_claim_of_a_patient_until_it_dies(crm_engine: Engine, crm_url: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, crm_url],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with alone(crm_engine, PATIENT, "7") as claim, alone(crm_engine, PATIENT, "8") as another:
            assert claim is None
            assert another is not None
        other.kill()
        other.wait()
    with alone(crm_engine, PATIENT, "7") as claim:
        assert claim


def test_two_threads_cannot_have_the_same_claim(crm_engine: Engine) -> None:
    has_claim: list[bool] = []

    def other() -> None:
        with alone(crm_engine, PATIENT, "7") as claim:
            has_claim.append(claim is not None)

    with alone(crm_engine, PATIENT, "7") as claim:
        assert claim
        thread = Thread(target=other)
        thread.start()
        thread.join()
    other()
    assert has_claim == [False, True]


def let_time_pass(engine: Engine, seconds: float) -> None:
    """Move the end of every claim so that `seconds` seem to have passed."""
    until = datetime.now(UTC) + timedelta(seconds=LEASE - seconds)
    with engine.begin() as connection:
        connection.execute(update(ecw_claim).values(until=until))


def test_after_an_expired_claim_was_taken_its_first_holder_cannot_write(crm_engine: Engine) -> None:
    with alone(crm_engine, PATIENT, "7") as first:
        assert first is not None
        let_time_pass(crm_engine, LEASE - 1)
        with alone(crm_engine, PATIENT, "7") as second:
            assert second is None
        let_time_pass(crm_engine, LEASE + 1)
        with crm_engine.begin() as connection:
            first.keep(connection)  # no other worker has taken it
        let_time_pass(crm_engine, LEASE + 1)
        with alone(crm_engine, PATIENT, "7") as second:
            assert second is not None
            assert second.token > first.token
            with pytest.raises(ClaimLost), crm_engine.begin() as connection:
                first.keep(connection)
            first.release(crm_engine)
            with alone(crm_engine, PATIENT, "7") as third:
                assert third is None, "the release of the first claim does not release the second"


def test_a_renewed_claim_holds_also_when_its_holder_is_on_another_machine(crm_engine: Engine) -> None:
    with alone(crm_engine, PATIENT, "7") as claim:
        assert claim is not None
        let_time_pass(crm_engine, LEASE - 1)
        with crm_engine.begin() as connection:
            claim.keep(connection, 10 * LEASE)
            connection.execute(update(ecw_claim).values(holder="elsewhere 1 12345"))
        with alone(crm_engine, PATIENT, "7") as other:
            assert other is None


def test_a_claim_does_not_depend_on_a_session_of_the_database(crm_engine: Engine) -> None:
    with alone(crm_engine, PATIENT, "7") as claim:
        assert claim is not None
        crm_engine.dispose()  # closes every session, like a proxy that pools them by transaction
        with alone(crm_engine, PATIENT, "7") as other:
            assert other is None
        with crm_engine.begin() as connection:
            claim.keep(connection)
