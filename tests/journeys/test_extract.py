"""All five resources of a practice reach the staging area, record for record, through faults and kills."""

from __future__ import annotations

import multiprocessing
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from ecw.staging import batch_file
from tests.fixtures.crm import on_sqlite
from tests.fixtures.keys import Keys
from tests.fixtures.sandbox import RunningSandbox
from tests.journeys.extraction import FIVE, Death, Try, extract_everything

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("latency", {"probability": 0.02, "seconds": 0.05}),
    ("too_many", {"probability": 0.01}),
    ("server_error", {"probability": 0.01}),
    ("request_timeout", {"probability": 0.01}),
    ("drop", {"probability": 0.01}),
    ("truncate", {"probability": 0.01}),
    ("revoke_token", {"probability": 0.005}),
    ("wrong_total", {"probability": 0.2}),
    ("repeat", {"probability": 0.2}),
    ("next_loops", {"probability": 0.01}),
    ("next_elsewhere", {"probability": 0.01}),
    ("next_gone", {"probability": 0.01}),
    ("merge_next", {"probability": 0.03, "resource": "Patient"}),
    ("deactivate_next", {"probability": 0.03, "resource": "Patient"}),
    ("delete_next", {"probability": 0.03, "resource": "Patient", "times": 5}),
]


@pytest.mark.journey
@on_sqlite
@pytest.mark.parametrize(("patients", "least"), [(400, 8), pytest.param(2000, 50, marks=pytest.mark.slow)])
def test_staged_records_equal_those_of_the_practice(
    sandbox_factory: Callable[..., RunningSandbox],
    keys: Keys,
    crm_engine: Engine,
    tmp_path: Path,
    patients: int,
    least: int,
) -> None:
    sandbox = sandbox_factory(patients=patients, quota=0, page_size=patients // 40)
    for number, (kind, rule) in enumerate(FAULTS):
        # A small practice needs fewer calls, so a rare fault gets a higher probability.
        factor = min(2000 / patients, 2) if rule["probability"] <= 0.01 else 1
        sandbox.fault(kind, seed=number, **rule | {"probability": rule["probability"] * factor})
    crm_url = crm_engine.url.render_as_string(hide_password=False)
    chance, kills, number = random.Random(20261122), 0, 0
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.journeys.extraction"])

    while kills < least:
        number += 1
        this = Try(sandbox.base_url, keys.client_id, keys.key_id, keys.private_key_pem, crm_url, f"{tmp_path}/{number}")
        while not this.done():
            death = Death(chance.randint(1, 150), chance.uniform(0, 0.1)) if kills < least else None
            kills += killed(processes, this, death)
        compare(this, sandbox)

    fired = {rule["kind"]: rule["fired"] for rule in sandbox.faults()}
    assert all(fired.values()), fired
    assert sandbox.counts()["elsewhere"] == 0, "no token went to another server"


def killed(processes: Any, this: Try, death: Death | None) -> bool:
    """Run an attempt; return True if it was killed."""
    process = processes.Process(target=extract_everything, args=(this, death))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), "an attempt failed; its error is above"
    return bool(process.exitcode)


def compare(this: Try, sandbox: RunningSandbox) -> None:
    deleted = {ecw_id for rule in sandbox.faults() if rule["kind"] == "delete_next" for ecw_id in rule["touched"]}
    for resource, _ in FIVE:
        held = {record["id"]: record for record in sandbox.records(resource.fhir_type)}
        staged = list(batch_file.read(this.batch(resource)))
        by_id = {record["id"]: record for record in staged}
        assert len(by_id) == len(staged), f"{resource.name}: a record is staged twice"
        assert len(held) >= 8
        # A patient who was deleted during the extraction may or may not be staged, and so may the patient's insurance.
        for records in (held, by_id):
            for ecw_id in [ecw_id for ecw_id, record in records.items() if deleted & {ecw_id, patient_of(record)}]:
                del records[ecw_id]
        assert by_id.keys() == held.keys(), resource.name
        assert [ecw_id for ecw_id, record in held.items() if by_id[ecw_id] != record] == [], resource.name


def patient_of(record: dict[str, Any]) -> str:
    reference = record.get("beneficiary") or record.get("subject") or {}
    return str(reference.get("reference", "")).removeprefix("Patient/")
