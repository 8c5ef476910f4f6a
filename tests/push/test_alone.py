"""One worker at a time has a patient, and a death lets go of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Engine

from ecw.push.alone import alone
from ecw.push.intents import Place

pytestmark = pytest.mark.both_databases

PATIENT = Place("P1", "patient")

HOLDING = """
import sys
from ecw.crm.engine import engine_from_url
from ecw.push.alone import alone
from ecw.push.intents import Place
with alone(engine_from_url(sys.argv[1]), Place("P1", "patient"), "7") as mine:
    print(mine, flush=True)
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
            assert (mine, another) == (False, True)
        other.kill()
        other.wait()
    with alone(crm_engine, PATIENT, "7") as mine:
        assert mine


def test_threads_keep_each_other_out_too(crm_engine: Engine) -> None:
    found: list[bool] = []

    def other() -> None:
        with alone(crm_engine, PATIENT, "7") as mine:
            found.append(mine)

    with alone(crm_engine, PATIENT, "7") as mine:
        assert mine
        thread = Thread(target=other)
        thread.start()
        thread.join()
    other()
    assert found == [False, True]
