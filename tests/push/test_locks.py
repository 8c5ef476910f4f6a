"""One worker at a time has a patient, and a death lets go of it."""

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
with alone(engine_from_url(sys.argv[1]), Place("P1", "patient"), "7") as mine:
    print(mine is not None, flush=True)
    sys.stdin.read()
"""


def test_one_worker_has_a_patient_and_its_death_lets_go(crm_engine: Engine, crm_url: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, crm_url],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with alone(crm_engine, PATIENT, "7") as mine, alone(crm_engine, PATIENT, "8") as another:
            assert mine is None
            assert another is not None
        other.kill()
        other.wait()
    with alone(crm_engine, PATIENT, "7") as mine:
        assert mine


def test_threads_keep_each_other_out_too(crm_engine: Engine) -> None:
    found: list[bool] = []

    def other() -> None:
        with alone(crm_engine, PATIENT, "7") as mine:
            found.append(mine is not None)

    with alone(crm_engine, PATIENT, "7") as mine:
        assert mine
        thread = Thread(target=other)
        thread.start()
        thread.join()
    other()
    assert found == [False, True]


def later(engine: Engine, seconds: float) -> None:
    """Let so much time go by, as far as claims know."""
    until = datetime.now(UTC) + timedelta(seconds=LEASE - seconds)
    with engine.begin() as connection:
        connection.execute(update(ecw_claim).values(until=until))


def test_a_claim_that_ran_out_goes_to_the_next_one_and_the_first_can_write_no_more(crm_engine: Engine) -> None:
    with alone(crm_engine, PATIENT, "7") as first:
        assert first is not None
        later(crm_engine, LEASE - 1)
        with alone(crm_engine, PATIENT, "7") as second:
            assert second is None
        later(crm_engine, LEASE + 1)
        with crm_engine.begin() as connection:
            first.keep(connection)  # nobody has claimed it meanwhile
        later(crm_engine, LEASE + 1)
        with alone(crm_engine, PATIENT, "7") as second:
            assert second is not None
            assert second.token > first.token
            with pytest.raises(ClaimLost), crm_engine.begin() as connection:
                first.keep(connection)
            first.release(crm_engine)
            with alone(crm_engine, PATIENT, "7") as third:
                assert third is None, "the first one's release is not the second one's"


def test_a_claim_that_is_kept_holds_on_and_one_of_another_machine_is_not_taken_for_dead(crm_engine: Engine) -> None:
    with alone(crm_engine, PATIENT, "7") as claim:
        assert claim is not None
        later(crm_engine, LEASE - 1)
        with crm_engine.begin() as connection:
            claim.keep(connection, 10 * LEASE)
            connection.execute(update(ecw_claim).values(holder="elsewhere 1 12345"))
        with alone(crm_engine, PATIENT, "7") as other:
            assert other is None


def test_no_session_of_the_database_holds_a_claim(crm_engine: Engine) -> None:
    with alone(crm_engine, PATIENT, "7") as claim:
        assert claim is not None
        crm_engine.dispose()  # every session is gone, as behind a proxy that lends them by the transaction
        with alone(crm_engine, PATIENT, "7") as other:
            assert other is None
        with crm_engine.begin() as connection:
            claim.keep(connection)
