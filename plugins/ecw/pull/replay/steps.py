"""Replay rejected records after a mapping, a crosswalk or a rule was fixed: begin -> collect -> map -> check -> load.

The records are read from the staging area, where the run that rejected them has staged them as eCW returned them. Map,
check and load are those of a pull. eCW is not called, and no cursor moves.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ecw.models import Batch, Mode, PullRequest, Run, RunKind, fetched_batch

if TYPE_CHECKING:
    from ecw.crm.load.quarantine import Chosen
    from ecw.pull.run_plan import Plan

STRATEGY = "replay"  # the name in ecw_run and in the plan
log = logging.getLogger(__name__)

# Imports stand inside the functions, as in steps.py: a DAG file imports this module.


def begin_by_form(
    ecw_conn_id: str = "ecw_default", dag_run: Any = None, params: Mapping[str, Any] | None = None, ti: Any = None
) -> Run:
    """Begin a replay for the practice with the fields of the Trigger form; Airflow passes the run and the form.

    They are not arguments of the task, because Airflow stores and shows rendered arguments, and an id may be a
    patient's.
    """
    from ecw.pull.airflow_run import begins_first
    from ecw.pull.steps import archive_earlier_run
    from ecw.settings.practices import of_connection

    practice = of_connection(ecw_conn_id)
    if begins_first(ti, dag_run):
        archive_earlier_run(dag_run.run_id, RunKind.REPLAY, practice.connection, practice.crm_connection)
    return begin(
        PullRequest(
            run_id=dag_run.run_id,
            run_type=dag_run.run_type.value,
            window_start=None,
            window_end=datetime.now(UTC).isoformat(),
            ecw_conn_id=practice.connection,
            crm_conn_id=practice.crm_connection,
            staging=practice.staging,
            options=dict(params or {}),
        )
    )


def begin(request: PullRequest) -> Run:
    """Open the run, for the resources with chosen open rejects.

    The request's options are those of the form: `resources`, `rule`, `run`, `ids`; without any, all open rejects.

    Raises ConfigurationError (no open reject fits the choice, or a pull has the run id), MappingError, CrmSchemaError,
    DatabaseUnavailable.
    """
    from ecw.crm.db.engine import open_crm, reading
    from ecw.crm.load import quarantine
    from ecw.crm.state import runs
    from ecw.practice.mappings import PracticeMappings
    from ecw.practice.preflight import require_ready
    from ecw.pull import run_plan
    from ecw.pull.plan.new_run import new_run
    from ecw.settings import connections
    from ecw.staging import batch_file

    chosen = _read(request.options)
    with open_crm(request.crm_conn_id) as engine:
        mappings = PracticeMappings(connections.get(request.ecw_conn_id))
        run = new_run(engine, request, mappings.connection, Mode.REPLAY.value)
        counted = quarantine.counted(engine, run["practice"], chosen)
        with reading(engine) as connection:
            require_ready(connection, mappings, counted, counted)
        batch_file.open_folder(run["staging"])
        batch_file.write_json(_chosen(run), asdict(chosen))
        run_plan.keep(run, _plan(counted))
        runs.begin(engine, run, counted)
    listed = ", ".join(f"{resource} {count}" for resource, count in counted.items())
    log.info("Practice %s: records to replay: %s.", run["practice"], listed or "none")
    return run


def collect(run: Run, resource: str) -> Batch | None:
    """Stage the rejected records of a resource, each once, in its newest version, in the order of their runs.

    Return None if the run does not cover the resource, or if it has no open rejects any more. Records that the staging
    area no longer holds are listed in the log and the summary; the others are replayed.
    """
    from ecw.crm.load import quarantine
    from ecw.pull import run_plan
    from ecw.pull.context import open_step
    from ecw.pull.replay.collect import collect_records
    from ecw.staging import batch_file

    started = time.monotonic()
    if resource not in run_plan.of(run)["resources"]:
        return None
    with open_step(run, resource) as step:
        chosen = _read(batch_file.read_json(_chosen(run)))
        rejects = quarantine.chosen(step.engine, run["practice"], resource, chosen)
        path, count, not_replayed = collect_records(run, resource, rejects)
    batch_file.write_json(_not_replayed(run, resource), not_replayed)
    for sentence in not_replayed:
        log.warning("%s: %s", resource, sentence)
    if not rejects:
        return None
    log.info("%s: %d records are replayed.", resource, count)
    return fetched_batch(run, resource, path, count, calls=0, seconds=time.monotonic() - started)


def collect_or_skip(run: Run | None, resource: str, ti: Any = None, dag_run: Any = None) -> Batch:
    """Run `collect`; skip the resource's other steps if there is nothing to replay."""
    from airflow.sdk.exceptions import AirflowSkipException

    from ecw.pull.airflow_run import require_not_marked

    if run is None and ti is not None:
        require_not_marked("begin", ti, dag_run)
    batch = None if run is None else collect(run, resource)
    if batch is None:
        raise AirflowSkipException(f"{resource}: no open reject among the chosen ones.")
    return batch


def summary(run: Run | None) -> list[dict[str, Any]]:
    """Return and log the run's counts, a row for each replayed resource, with the records that were not replayed."""
    from ecw.crm.db.engine import open_crm
    from ecw.pull import run_plan
    from ecw.pull.summary import as_text, table
    from ecw.staging import batch_file

    if run is None:
        log.error("The replay did not begin: the log of `begin` ends with what to do next.")
        return []
    with open_crm(run["crm_conn_id"]) as engine:
        replayed = run_plan.of(run)["resources"]
        rows = [row for row in table(engine, run) if row["resource"] in replayed]
    for row in rows:
        not_replayed = batch_file.read_json(_not_replayed(run, row["resource"])) or []
        row["next"] = " ".join(filter(None, [row["next"], *not_replayed]))
    if rows:
        log.info("Practice %s, replay %s:\n%s", run["practice"], run["run_id"], as_text(rows))
    else:
        log.info("Practice %s, replay %s: there was no open reject.", run["practice"], run["run_id"])
    return rows


def _plan(resources: Iterable[str]) -> Plan:
    """Return the plan of a replay of these resources: all records are mapped, and eCW is not called."""
    from ecw.pull.run_plan import Line, Plan
    from ecw.settings.pull import Options

    line = Line(
        strategies=[STRATEGY],
        reason="rejected records again",
        calls=0,
        at_least=False,
        start=None,
        max_patients=None,
        urgent=None,
    )
    options = asdict(Options(full=True))
    return Plan(options=options, resources=dict.fromkeys(resources, line), calls=0, minutes=0.0, covered={})


def _chosen(run: Run) -> str:
    """Return the path of the file with the form's choice of rejects."""
    return _of_run(run, "chosen.json")


def _not_replayed(run: Run, resource: str) -> str:
    """Return the path of the file with the sentences about a resource's records that could not be replayed."""
    return _of_run(run, resource, "left.json")


def _of_run(run: Run, *names: str) -> str:
    from ecw.staging import filesystem

    return filesystem.join(run["staging"], *names)


def _read(options: Mapping[str, Any] | str | None) -> Chosen:
    from ecw.crm.load.quarantine import Chosen
    from ecw.settings.replay import ReplayOptions

    form = ReplayOptions.read(options)
    ids = tuple(ecw_id.strip() for ecw_id in form.ids if ecw_id.strip())
    return Chosen(tuple(form.resources), form.rule, form.run, ids)
