"""The steps of a pull: begin -> extract -> map -> check -> load -> summary.

Tasks, the `ecw` command and the tests call the same functions.  The steps pass a Run and a Batch to each other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import chain
from typing import Any

from ecw.models import Batch, Mode, PullRequest, Run, RunKind, left_by
from ecw.resources import StrategyName

log = logging.getLogger(__name__)

# Imports stand inside the functions: a DAG file imports this module, and is parsed twice a minute.


def begin(request: PullRequest, is_running: Callable[[str], bool] | None = None) -> Run:
    """Validate the request, plan the run, and open it in ecw_run and in the staging area.

    `is_running` returns True if another run of the DAG, given by its id, is running; without it the run waits for none.

    Raises ConfigurationError, MappingError (a mapping file, a crosswalk, a quality suite), CrmSchemaError (the CRM is
    not migrated, or cannot hold the rows), DatabaseUnavailable, PlanExceedsInterval, ConcurrentRun, SnapshotPending,
    and the errors of a call to eCW, because it reads /metadata.
    """
    from ecw.crm.db.engine import open_crm
    from ecw.pull.plan.begin import open_run

    with open_crm(request.crm_conn_id) as engine:
        return open_run(engine, request, is_running)


def archive_earlier_run(
    run_id: str, kind: RunKind = RunKind.PULL, ecw_conn_id: str = "ecw_default", crm_conn_id: str = "crm_default"
) -> None:
    """Move the CRM's data of an earlier run with this id and kind to another id.

    Airflow uses an id again if the first run was deleted from its database.  Call this before a run begins for the
    first time.
    """
    from ecw.crm.db.engine import open_crm, reading
    from ecw.crm.db.schema_fit import require_rights
    from ecw.crm.state import run_history
    from ecw.fhir.connection import base_url_of, practice_of
    from ecw.settings import connections

    with open_crm(crm_conn_id) as engine:
        practice = practice_of(base_url_of(connections.get(ecw_conn_id)))
        with reading(engine) as connection:
            require_rights(connection)
        if earlier := run_history.archive(engine, practice, run_id, kind):
            log.warning("An earlier run had the run id %s: its data in the CRM now has the id %s.", run_id, earlier)


def extract(run: Run, resource: str) -> Batch:
    """Stage the records of a resource as eCW returns them; with the strategy `bulk`, wait here for the export."""
    while isinstance(batch_or_seconds := extract_or_wait(run, resource), float):
        time.sleep(batch_or_seconds)
    return batch_or_seconds


def extract_or_wait(run: Run, resource: str) -> Batch | float:
    """Stage the records of a resource and return the batch, or return the seconds to wait for eCW's export."""
    from ecw.crm.state import run_history, runs
    from ecw.pull.context import open_step
    from ecw.pull.extract.bulk_export import export
    from ecw.pull.extract.changed_since import since_when
    from ecw.pull.extract.context import ExtractContext
    from ecw.pull.extract.extract import extract_records
    from ecw.pull.extract.known_ids import KnownIds
    from ecw.pull.plan import prerequisites
    from ecw.pull.plan.window import own_window
    from ecw.resources import RESOURCES

    with open_step(run, resource) as step:
        line, options = step.line(resource), step.options
        runs.planned(step.engine, run, resource, strategy=line["strategies"][0], start=line["start"])
        context = ExtractContext(
            own_window(run, line["start"]),
            RESOURCES[resource],
            options,
            KnownIds(step),
            max_patients=line["max_patients"],
            urgent=line["urgent"],
        )
        if line["strategies"] == [StrategyName.BULK]:
            return export(context, step.client, partial(since_when, step.engine, context))
        return extract_records(
            context,
            step.client,
            line["strategies"],
            before=run_history.fetched_before(step.engine, run, resource),
            require=None if options.few else partial(prerequisites.require, step, resource),
        )


def map(batch: Batch) -> Batch:
    """Drop the records that did not change; stage a row for each other record.  The option `full` maps all records."""
    from ecw.crm.state import links
    from ecw.mapping.transform.to_row import Mapper
    from ecw.pull.context import open_step
    from ecw.pull.map_records import map_batch

    run, name = left_by("extract", batch)["run"], batch["resource"]
    with open_step(run, name) as step:
        mapping = step.mapping(name)
        known = links.known(step.engine, run["practice"], name, table=mapping.table, run_id=run["run_id"])
        return map_batch(run, batch, Mapper(mapping), known, full=step.options.full)


def check(batch: Batch) -> Batch:
    """Stage the rows that may be loaded and the rejects, and store the results as the run's quality report.

    Raises QualityGateFailed if a rule with `stop` fails: then nothing of the batch is loaded.
    """
    from ecw.crm.state import links, quality_results
    from ecw.pull.context import open_step
    from ecw.quality.check import Before, check_batch
    from ecw.quality.suite import of_chosen, suite_of

    run, name = left_by("map", batch)["run"], batch["resource"]
    with open_step(run, name) as step:
        engine = step.engine
        suite = suite_of(name, step.mapping(name), step.mappings.practice.quality)
        usual = quality_results.usual(
            engine,
            run,
            name,
            full_scan=batch.get("full_scan", False),
            strategy=batch.get("strategy"),
            patients_queried=batch.get("patients_queried"),
        )
        judged = partial(quality_results.judged, engine, run["practice"], name)
        return check_batch(
            run,
            batch,
            of_chosen(suite) if run["mode"] == Mode.REPLAY or step.options.ids else suite,
            linked=partial(links.among, engine, run["practice"]),
            report=partial(quality_results.write, engine, run, name),
            before=Before(usual, judged, quality_results.rules_before(engine, run, name)),
        )


def load(batch: Batch) -> dict[str, int]:
    """Write rows, links, rejects, cursor and counts in one transaction; return the counts."""
    from ecw.crm.db.engine import reading
    from ecw.crm.load.load import LoadRequest, load_rows
    from ecw.crm.state import runs
    from ecw.pull.context import open_step
    from ecw.pull.mapped_columns import mapped_of
    from ecw.pull.summary import line
    from ecw.staging import batch_file, filesystem

    run, name = left_by("check", batch)["run"], batch["resource"]
    with open_step(run, name) as step:
        options, folder = step.options, filesystem.join(run["staging"], name)
        mapped_by = batch_file.manifest(filesystem.join(folder, "map.ndjson.gz"))
        request = LoadRequest(
            run,
            batch,
            mapped_of(step.mapping(name), mapped_by["mapping_version"] if mapped_by else None),
            batch_file.read(batch["path"]),
            chain.from_iterable(batch_file.read(path) for path in batch["rejects"]),
            batch_file.read(batch["newer"]) if "newer" in batch else (),
            moves_cursor=not (run["mode"] == Mode.REPLAY or options.few or options.own_window),
            dry_run=options.dry_run,
            coming=_loaded_before(run, name) if options.dry_run else (),
            source=filesystem.join(folder, "extract.ndjson.gz"),
            queried=(line["patient"] for line in batch_file.read(batch["queried"])) if "queried" in batch else None,
        )
        numbers = load_rows(step.engine, request)
        with reading(step.engine) as connection:
            if recorded := runs.row(connection, run, name):
                log.info("%s", line(dict(recorded)))
    return asdict(numbers)


def left_out(run: Run) -> list[str]:
    """Return the task groups to skip in this run: `inline`, or the resources that the run does not cover."""
    from ecw.pull import run_plan
    from ecw.resources import RESOURCES

    planned = run_plan.of(run)
    if run_plan.options_of(planned).few:
        return list(RESOURCES)
    return ["inline", *(name for name in RESOURCES if name not in planned["resources"])]


def summary(run: Run | None, crm_conn_id: str = "crm_default") -> list[dict[str, Any]]:
    """Return and log the run's counts, one row for each resource; an empty list if the run did not begin.

    Then update the alerts; an error in that is only logged.
    """
    from ecw.alerts.monitor import monitor_quietly
    from ecw.crm.db.engine import open_crm
    from ecw.crm.state import runs
    from ecw.pull import run_plan
    from ecw.pull.extract import urgency
    from ecw.pull.summary import as_text, table

    if run is None:
        log.error("The run did not begin, so there are no numbers: the log of `begin` ends with what to do next.")
        monitor_quietly(crm_conn_id)
        return []
    with open_crm(run["crm_conn_id"]) as engine:
        runs.give_back(engine, run)
        planned = run_plan.read(run)
        rows = table(engine, run, planned["covered"] if planned else None)
        if planned:
            urgency.note(run, engine, planned, rows)
        log.info("Practice %s, run %s:\n%s", run["practice"], run["run_id"], as_text(rows))
        monitor_quietly(run["crm_conn_id"], run["ecw_conn_id"], engine)
    return rows


def monitor(crm_conn_id: str = "crm_default") -> dict[str, int]:
    """Update the alerts and send notifications outside a run; return the counts of `ecw.alerts.monitor.monitor`.

    Raises ConfigurationError (the variable ecw_alerts), DatabaseUnavailable.
    """
    from ecw.alerts.monitor import monitor

    return monitor(crm_conn_id)


def tidy(crm_conn_id: str = "crm_default") -> dict[str, int]:
    """Delete data past its retention time: staged runs, and the tables of ecw.crm.state.retention; return the counts.

    Raises ConfigurationError (a variable), DatabaseUnavailable.
    """
    from datetime import UTC, datetime

    from ecw.crm.db.engine import open_crm
    from ecw.crm.state import retention
    from ecw.settings import connections
    from ecw.settings.practices import VARIABLE, known
    from ecw.staging import batch_file, location

    # Staged runs first, because they hold patients' data; also those of practices that are no longer pulled.
    roots = {location.staging_root(each.staging) for each in known(connections.variable(VARIABLE) or "")}
    days = location.staging_days()
    removed = {
        "staged runs": sum(batch_file.purge_daily(root, days) for root in sorted(roots | {location.staging_root()}))
    }
    with open_crm(crm_conn_id) as engine:
        removed |= retention.purge(engine, retention.Kept.read(), datetime.now(UTC))
    log.info("Removed: %s.", ", ".join(f"{count} {what}" for what, count in removed.items() if count) or "nothing")
    return removed


def _loaded_before(run: Run, resource: str) -> Iterator[tuple[str, str]]:
    """Yield the records in the check batches of the run's other resources, as (resource, eCW id)."""
    from ecw.resources import RESOURCES
    from ecw.staging import batch_file, filesystem

    for name in RESOURCES:
        path = filesystem.join(run["staging"], name, "check.ndjson.gz")
        if name != resource and batch_file.manifest(path):
            yield from ((name, line["ecw_id"]) for line in batch_file.read(path))
