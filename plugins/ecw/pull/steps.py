"""The steps of a pull: begin -> extract -> map -> check -> load -> summary.

Tasks, the `ecw` command and the tests call the same functions.  What travels between them is a Run and a Batch.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from ecw.errors import ConfigurationWrong
from ecw.words import Batch, Run

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logging.getLogger(__name__)

# Imports stand inside the functions: a DAG file imports this module, and is parsed twice a minute.


def begin(
    run_id: str,
    run_type: str,
    window_start: str | None,
    window_end: str,
    ecw_conn_id: str = "ecw_default",
    crm_conn_id: str = "crm_default",
    staging: str | None = None,
    options: Mapping[str, Any] | str | None = None,
    goes_on: Callable[[str], bool] | None = None,
) -> Run:
    """Open the run in the ledger and in the staging area, where what is old goes, and plan it.

    `options` are those of the run's form: ecw.pull.options.Options, as an object or as JSON. `goes_on` says whether
    another run of the DAG, by its id, is at work; without it nobody is waited for.

    Raises ConfigurationWrong, CrmTableWrong (the CRM is not migrated, or cannot hold the rows), CrmTrouble,
    PlanTooLong, RunAhead, and what a call raises: /metadata is read.
    """
    from ecw.crm.engine import open_crm
    from ecw.pull.begin import open_run

    with open_crm(crm_conn_id) as engine:
        return open_run(
            engine, run_id, run_type, window_start, window_end, ecw_conn_id, crm_conn_id, staging, options, goes_on
        )


def extract(run: Run, resource: str) -> Batch:
    """Stage the records of a resource as eCW gives them; wait here for an export, where that is how."""
    while isinstance(found := extract_or_wait(run, resource), float):
        time.sleep(found)
    return found


def extract_or_wait(run: Run, resource: str) -> Batch | float:
    """Stage the records of a resource, or return for how many seconds eCW's export is to be waited for."""
    from ecw.crm import history, ledger
    from ecw.pull import abilities, plan, relied_on
    from ecw.pull.bulk import export, since_when
    from ecw.pull.client import client_of
    from ecw.pull.extract import extract
    from ecw.pull.options import Options
    from ecw.pull.roster import Roster
    from ecw.resources import resource as row

    with _crm(run, resource) as engine:
        planned = plan.of(run)
        if resource not in planned["resources"]:
            raise ConfigurationWrong(
                f"The run is not about {resource}.",
                next_move=f"trigger another run with {resource} among its resources.",
            )
        line, options = planned["resources"][resource], Options(**planned["options"])
        its_run: Run = {**run, "window_start": line["start"]}
        ledger.planned(engine, run, resource, strategy=line["strategies"][0], start=line["start"])
        client = client_of(run, engine)
        abilities.know(run, client)
        roster = Roster(engine, run, options)
        if line["strategies"] == ["bulk"]:
            since = since_when(engine, its_run, row(resource), options)
            return export(its_run, row(resource), client, options, roster, since=since)
        before = history.fetched_before(engine, run, resource)
        return extract(
            its_run,
            row(resource),
            client,
            roster,
            line["strategies"],
            options,
            before=before,
            most=line["most"],
            urgent=line["urgent"],
            require=None if options.few else partial(relied_on.require, engine, run, resource, planned),
        )


def map(batch: Batch) -> Batch:
    """Drop what did not change; stage a row for everything else.  The option `full` maps the unchanged too."""
    from ecw.crm import links
    from ecw.mapping.compile import Mapper
    from ecw.pull import plan
    from ecw.pull.map import map_batch
    from ecw.pull.practice import mapping_of

    run = batch["run"]
    with _crm(run, batch["resource"]) as engine:
        mapping = mapping_of(run, batch["resource"])
        known = links.known(engine, run["practice"], batch["resource"], table=mapping.table, run_id=run["run_id"])
        return map_batch(run, batch, Mapper(mapping), known, full=plan.of(run)["options"]["full"])


def check(batch: Batch) -> Batch:
    """Stage the rows that may enter; keep the others as rejects, and what was found as the run's quality report.

    Raises QualityStop where the suite says that nothing of the batch may enter.
    """
    from ecw.crm import links, quality
    from ecw.pull import plan
    from ecw.pull.check import Before, check
    from ecw.pull.practice import mapping_of
    from ecw.pull.suite import load_suite, of_chosen, suite_path

    run = batch["run"]
    with _crm(run, batch["resource"]) as engine:
        columns = [column.name for column in mapping_of(run, batch["resource"]).pulled]
        suite = load_suite(suite_path(batch["resource"]), columns)
        if plan.of(run)["options"]["ids"]:  # a replay has some, too
            suite = of_chosen(suite)
        return check(
            run,
            batch,
            suite,
            usual=quality.usual(
                engine,
                run,
                batch["resource"],
                whole=batch.get("whole", False),
                strategy=batch.get("strategy"),
                asked=batch.get("patients"),
            ),
            linked=partial(links.among, engine, run["practice"]),
            report=partial(quality.write, engine, run, batch["resource"]),
            before=Before(
                partial(quality.judged, engine, run["practice"], batch["resource"]),
                quality.rules_before(engine, run, batch["resource"]),
            ),
        )


def load(batch: Batch) -> dict[str, int]:
    """Write rows, links, rejects, cursor and numbers in one transaction; return the numbers."""
    from ecw.crm import ledger
    from ecw.crm.engine import reading
    from ecw.crm.load import load_rows
    from ecw.pull import plan, staging, store
    from ecw.pull.mapped import mapped_of
    from ecw.pull.options import Options
    from ecw.pull.practice import mapping_of
    from ecw.pull.summary import line

    run = batch["run"]
    with _crm(run, batch["resource"]) as engine:
        mapping = mapping_of(run, batch["resource"])
        mapped_by = staging.manifest(store.join(run["staging"], batch["resource"], "map.ndjson.gz"))
        mapped = mapped_of(mapping, mapped_by["mapping_version"] if mapped_by else None)
        rejects = chain.from_iterable(staging.read(path) for path in batch["rejects"])
        options = Options(**plan.of(run)["options"])
        numbers = load_rows(
            engine,
            run,
            batch,
            mapped,
            staging.read(batch["path"]),
            rejects,
            staging.read(batch["newer"]) if "newer" in batch else (),
            moves_cursor=not (options.few or options.own_window),
            dry_run=options.dry_run,
            coming=_loaded_before(run, batch["resource"]) if options.dry_run else (),
            source=store.join(run["staging"], batch["resource"], "extract.ndjson.gz"),
            asked=(line["patient"] for line in staging.read(batch["asked"])) if "asked" in batch else None,
        )
        with reading(engine) as connection:
            if recorded := ledger.row(connection, run, batch["resource"]):
                log.info("%s", line(dict(recorded)))
    return asdict(numbers)


def left_out(run: Run) -> list[str]:
    """Return the groups that have nothing to do in this run: `at_once`, or the resources that it is not about."""
    from ecw.pull import plan
    from ecw.pull.options import Options
    from ecw.resources import RESOURCES

    planned = plan.of(run)
    if Options(**planned["options"]).few:
        return list(RESOURCES)
    return ["at_once", *(name for name in RESOURCES if name not in planned["resources"])]


def at_once(run: Run) -> dict[str, dict[str, int]]:
    """Pull a few records, all steps of all resources in one process; return the numbers of each.

    Raises the first error, after everything that does not need what failed was done.
    """
    from ecw.pull.at_once import pull

    return pull(run)


def summary(run: Run | None, crm_conn_id: str = "crm_default") -> list[dict[str, Any]]:
    """Return the run's table, one row a resource, and log it; an empty one where the run did not begin.

    Then tell what has become amiss, or is no longer; what goes wrong with that is logged and fails nothing.
    """
    from ecw.alert.watch import watch_quietly
    from ecw.crm import ledger
    from ecw.crm.engine import open_crm
    from ecw.pull import plan, urgency
    from ecw.pull.summary import as_text, table

    rows: list[dict[str, Any]] = []
    if run is None:
        log.error("The run did not begin, so there are no numbers: the log of `begin` ends with what to do next.")
    else:
        with open_crm(run["crm_conn_id"]) as engine:
            ledger.give_back(engine, run)
            rows = table(engine, run, plan.covered(run))
            urgency.note(engine, run, rows, plan.options_of(run))
        log.info("Practice %s, run %s:\n%s", run["practice"], run["run_id"], as_text(rows))
    watch_quietly(run["crm_conn_id"] if run else crm_conn_id)
    return rows


def watch(crm_conn_id: str = "crm_default") -> dict[str, int]:
    """Look whether anything is amiss, whether or not a run was, and tell it; return counts.

    Raises ConfigurationWrong (the variable ecw_alerts), CrmTrouble.
    """
    from ecw.alert.watch import watch

    return watch(crm_conn_id)


def tidy(crm_conn_id: str = "crm_default") -> dict[str, int]:
    """Remove what is older than the settings keep it: staged runs, and the bookkeeping of ecw.crm.retention; count it.

    Raises ConfigurationWrong (a variable), CrmTrouble.
    """
    from datetime import UTC, datetime

    from ecw.crm import retention
    from ecw.crm.engine import open_crm
    from ecw.pull import area, staging

    # First, as it is patients themselves; by a practice that pulls no more, too.
    gone = {"staged runs": staging.purge(area.staging_root(), area.staging_days())}
    with open_crm(crm_conn_id) as engine:
        gone |= retention.purge(engine, retention.Kept.read(), datetime.now(UTC))
    log.info("Removed: %s.", ", ".join(f"{count} {what}" for what, count in gone.items() if count) or "nothing")
    return gone


def _loaded_before(run: Run, resource: str) -> Iterator[tuple[str, str]]:
    """Yield the records that the loads of other resources have been given, as (resource, eCW id)."""
    from ecw.pull import staging, store
    from ecw.resources import RESOURCES

    for name in RESOURCES:
        path = store.join(run["staging"], name, "check.ndjson.gz")
        if name != resource and staging.manifest(path):
            yield from ((name, line["ecw_id"]) for line in staging.read(path))


@contextmanager
def _crm(run: Run, resource: str) -> Iterator[Engine]:
    """Give a step the CRM, and the ledger the step's failure.

    Raises ConfigurationWrong where a connection names another practice, or another CRM, than when the run began.
    """
    from ecw.crm import ledger
    from ecw.crm.engine import open_crm
    from ecw.pull.practice import connection_of

    with open_crm(run["crm_conn_id"]) as engine:
        ledger.require_begun(engine, run)  # not within the try: the failure is none of this database's
        try:
            connection_of(run)
            yield engine
        except BaseException as error:
            ledger.fail(engine, run, resource, error)
            raise
