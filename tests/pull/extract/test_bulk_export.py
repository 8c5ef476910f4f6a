"""A bulk export: the task defers while it runs, resumes it after a crash, and cancels it when it is cleared."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from ecw.errors import ConfigurationError, ExportExpired
from ecw.models import Batch, Run
from ecw.operators.export_trigger import ExportTrigger
from ecw.operators.pull import ExtractOperator
from ecw.pull import steps
from ecw.staging import batch_file, filesystem
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

pytestmark = on_sqlite


@pytest.fixture
def run(pull: Pulling, sandbox: RunningSandbox) -> Run:
    sandbox.set(export_seconds=1e6)  # until `resumed` sets it to 0
    group = sandbox.records("Group")[0]["name"]
    return pull.begin(options={"strategies": {"practitioner": "bulk", "location": "bulk"}, "bulk_group": group})


def execute(run: Run, name: str = "practitioner") -> Batch:
    return ExtractOperator(task_id="extract", pull=run, resource_name=name).execute({})  # type: ignore[typeddict-item]


def resumed(deferred: TaskDeferred, sandbox: RunningSandbox) -> Batch:
    """Finish the export, run the trigger as the triggerer does, then resume the operator as the worker does."""
    sandbox.set(export_seconds=0)
    path, kwargs = deferred.trigger.serialize()
    assert path == "ecw.operators.export_trigger.ExportTrigger"
    assert kwargs["seconds"] == 120, "eCW's Retry-After"
    trigger = ExportTrigger(**kwargs | {"seconds": 0})

    async def fire() -> Any:
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(fire())
    operator = ExtractOperator(task_id="extract", pull=kwargs["pull"], resource_name=kwargs["resource_name"])
    return operator.resume_execution(deferred.method_name, {"event": event.payload}, {})  # type: ignore[arg-type]


def test_a_task_defers_until_its_export_is_ready_and_stages_every_record(run: Run, sandbox: RunningSandbox) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        execute(run)

    batch = resumed(deferred.value, sandbox)

    expected = {record["id"]: record for record in sandbox.records("Practitioner")}
    assert {record["id"]: record for record in batch_file.read(batch["path"])} == expected
    assert (batch["count"], batch.get("full_scan")) == (30, True)
    assert sandbox.served("export-cancel") == 1, "the export is deleted after the download"
    assert filesystem.names(f"{run['staging']}/practitioner") == [
        "extract.ndjson.gz",
        "extract.ndjson.gz.manifest.json",
    ]


def test_the_retry_of_a_crashed_task_resumes_its_export(run: Run, sandbox: RunningSandbox) -> None:
    with pytest.raises(TaskDeferred):
        execute(run)

    with pytest.raises(TaskDeferred) as deferred:
        execute(run)

    assert resumed(deferred.value, sandbox)["count"] == 30
    assert sandbox.served("export") == 1


def test_a_task_waits_while_the_practice_has_another_export(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(TaskDeferred):
        execute(run)

    assert steps.extract_or_wait(run, "location") == 120.0
    assert "location: eCW is making another export for this practice; it makes only one at a time." in caplog.messages


def test_a_cleared_task_cancels_its_export(run: Run, sandbox: RunningSandbox) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        execute(run)

    asyncio.run(deferred.value.trigger.on_kill())

    assert sandbox.served("export-cancel") == 1
    with pytest.raises(TaskDeferred):
        execute(run)
    assert sandbox.served("export") == 2


def test_an_expired_export_is_started_again_by_the_retry(run: Run, sandbox: RunningSandbox) -> None:
    with pytest.raises(TaskDeferred):
        execute(run)
    sandbox.fault("expire_export", interaction="export-status", times=1)

    with pytest.raises(ExportExpired):
        execute(run)
    with pytest.raises(TaskDeferred) as deferred:
        execute(run)

    assert resumed(deferred.value, sandbox)["count"] == 30


def test_a_file_that_breaks_off_is_read_again_by_the_retry(run: Run, sandbox: RunningSandbox) -> None:
    sandbox.fault("drop", interaction="export-file", nth=1)
    with pytest.raises(TaskDeferred) as deferred:
        execute(run)
    with pytest.raises(Exception, match="export's Practitioner file"):
        resumed(deferred.value, sandbox)

    assert execute(run)["count"] == 30


def test_a_patient_that_deferred_rows_need_and_the_group_lacks_is_read_by_id(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    absent = "W" * 43
    pull("practitioner", "location", "patient")
    sandbox.put({**sandbox.records("Encounter")[0], "subject": {"reference": f"Patient/{absent}"}})
    appointment = {"resources": ["encounter"], "ids": {"encounter": [sandbox.records("Encounter")[0]["id"]]}}
    assert pull.resource(pull.begin("manual", options=appointment), "encounter")["rejected"] == 1
    group = sandbox.records("Group")[1]["name"]
    sandbox.set(export_seconds=0)
    sandbox.put({**sandbox.records("Patient")[0], "id": absent})

    run = pull.begin(options={"strategies": {"patient": "bulk"}, "bulk_group": group})
    batch = steps.extract(run, "patient")

    assert absent in {record["id"] for record in batch_file.read(batch["path"])}
    assert sandbox.served("read", "Patient") == 1


@pytest.mark.parametrize("group", ["", "No such group"])
def test_the_error_about_an_unknown_group_lists_the_groups(
    pull: Pulling, sandbox: RunningSandbox, practice: Callable[[RunningSandbox], None], group: str
) -> None:
    run = pull.begin(options={"strategies": {"practitioner": "bulk"}, "bulk_group": group})

    with pytest.raises(ConfigurationError, match=r"bulk_group fits 0 of the practice's \d groups.*id: [A-Za-z0-9.-]+"):
        execute(run)
