"""Begin a run of the push: what is wanted, whom it takes, and whether that needs an approval."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine

from ecw.crm.db.business_table import practice_column
from ecw.crm.db.engine import reading
from ecw.crm.db.schema.fit import require_tables
from ecw.crm.state import practices
from ecw.errors import ConfigurationError
from ecw.fhir.connection import base_url_of, practice_of
from ecw.fhir.retry import AT_ONCE
from ecw.mapping.definition.model import Mapping as MappingFile
from ecw.models import Push
from ecw.practice.mappings import mappings_of
from ecw.push import progress
from ecw.push.context import CrmSide
from ecw.push.intents import CREATE, UPDATE, Place
from ecw.push.kill_switch import Allowed
from ecw.push.plan import capability
from ecw.push.plan.select import choose
from ecw.settings import connections
from ecw.settings.practices import of_connection
from ecw.settings.push import Wanted

log = logging.getLogger(__name__)
WATCHED = "asset_triggered"  # Airflow's run type of a run that the watcher started


def mapping_of(ecw_conn_id: str) -> MappingFile:
    """Return the mapping of patients as the practice wants it."""
    return next(mappings_of(ecw_conn_id, ["patient"]))


def wanted_of(ecw_conn_id: str, options: Mapping[str, Any] | str | None = None) -> Wanted:
    """Return what the connection says of a push, and over it the run's options."""
    return Wanted.read(connections.get(ecw_conn_id).extra_dejson.get("push"), options)


def crm_side(engine: Engine, ecw_conn_id: str) -> CrmSide:
    """Return the CRM's side of a practice; nothing is called.

    Raises ConfigurationError, also where the CRM knows the practice code from another server.
    """
    base_url = base_url_of(connections.get(ecw_conn_id))
    with reading(engine) as connection:
        practices.require(connection, practice_of(base_url), base_url)
    return CrmSide(engine, practice_of(base_url), mapping_of(ecw_conn_id))


def require_own_rows(connection: Connection, side: CrmSide) -> None:
    """Raise ConfigurationError where the CRM's patients may be another practice's, and no row says whose it is.

    A push would create the one's patients in the other's eCW.
    """
    rows, target = side.patients.rows(connection), side.patients.target
    if target.practice is not None or rows.other is None:
        return
    table, column = target.mapped.table, practice_column(connection)
    raise ConfigurationError(
        f"Nothing is pushed to practice {rows.practice}: practice {rows.other} uses the same CRM, and its table "
        f"{table} has no column {column}, so no row says whose patient it is.",
        next_step=f"add the column (ALTER TABLE {table} ADD COLUMN {column} VARCHAR(64)) and let a pull of each "
        "practice fill it, or give each practice a CRM database of its own; where the column has another name, put it "
        "into the CRM connection's extra field `practice_column`; of a practice that is no longer synchronised, delete "
        f"what ecw_practice, ecw_link, ecw_intent and ecw_push_item have of {rows.other}.",
    )


def begin(
    engine: Engine,
    run_id: str,
    run_type: str,
    ecw_conn_id: str,
    crm_conn_id: str,
    options: Mapping[str, Any] | str | None,
) -> Push:
    """Do what steps.begin says."""
    wanted = wanted_of(ecw_conn_id, options)
    if not of_connection(ecw_conn_id).push:
        raise ConfigurationError(
            f"Nothing is pushed to the practice at the connection {ecw_conn_id!r}: its push is off.",
            next_step="write `push: true` for it in include/practices.yaml, if its patients are to be pushed.",
        )
    base_url = base_url_of(connections.get(ecw_conn_id))
    with reading(engine) as connection:
        require_tables(connection, [mapping_of(ecw_conn_id)])
    side = crm_side(engine, ecw_conn_id)
    with reading(engine) as connection:
        require_own_rows(connection, side)
    watched = run_type == WATCHED
    chosen = choose(side, wanted, watched=watched)
    over = bool(chosen.over) and not wanted.dry_run
    if not wanted.dry_run:
        with engine.begin() as connection:
            practices.claim(connection, side.place.practice, base_url)
    plan = progress.Plan(chosen.planned, wanted.dry_run, waiting=over, auto_started=watched and not over)
    planned = progress.plan(engine, side.place, run_id, plan)
    creates, updates = (sum(row["operation"] == operation for row in planned) for operation in (CREATE, UPDATE))
    log.info(
        "Practice %s: %d patients to create, %d to update%s; not sent: %s.",
        *(side.place.practice, creates, updates, ", in a dry run" if wanted.dry_run else ""),
        ", ".join(f"{count} {why}" for why, count in chosen.not_sent.items()) or "nobody",
    )
    push = Push(
        practice=side.place.practice,
        base_url=base_url,
        run_id=run_id,
        run_type=run_type,
        ecw_conn_id=ecw_conn_id,
        crm_conn_id=crm_conn_id,
        creates=creates,
        updates=updates,
        not_sent=dict(chosen.not_sent),
        needs_approval=any(row["status"] in progress.ASKED for row in planned),
        # without the names: an MR number is the patient's
        options={name: value for name, value in asdict(wanted).items() if name not in ("patients", "test_patient")},
        named=bool(wanted.named),
    )
    if planned and Allowed(of_connection(ecw_conn_id))():
        from ecw.practice.client import client_of  # imports Airflow, which commands that only read the CRM do without

        capability.keep(push, client_of(push, engine, AT_ONCE), side.mapping.resource)
    return push


def place_of(push: Push) -> Place:
    """Return whose intents a run works on."""
    return Place(push["practice"], push["options"]["resource"])
