"""Begin a run of the push: read its options, choose its patients, and decide whether it needs an approval."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine

from ecw.crm.db.business_table import practice_column
from ecw.crm.db.engine import reading
from ecw.crm.db.schema_fit import require_tables
from ecw.crm.state import practices
from ecw.errors import ConfigurationError
from ecw.fhir.retry import AT_ONCE
from ecw.models import Push, PushRequest, RunType
from ecw.practice.mappings import PracticeMappings
from ecw.push.context import CrmSide, crm_side
from ecw.push.intents import CREATE, UPDATE
from ecw.push.kill_switch import Allowed
from ecw.push.plan import capability
from ecw.push.plan.select import Chosen, choose
from ecw.push.progress import ASKED, Plan, Progress
from ecw.resources import PUSHED
from ecw.settings.push import PushOptions

if TYPE_CHECKING:
    from ecw.settings.connections import Connection as EcwConnection
    from ecw.settings.practice import Practice

log = logging.getLogger(__name__)


def begin(engine: Engine, request: PushRequest) -> Push:
    """Begin a run as `ecw.push.steps.begin` describes; the connection is read once."""
    mappings = PracticeMappings.at(request.ecw_conn_id)
    options = options_of(mappings.connection, request.options)
    _require_on(mappings.practice)
    with reading(engine) as connection:
        require_tables(connection, [mappings.of(PUSHED)])
    side = side_to_push(engine, mappings)
    chosen = choose(side, options, watched=request.run_type == RunType.ASSET_TRIGGERED)
    if not options.dry_run:
        with engine.begin() as connection:
            practices.claim(connection, side.place.practice, mappings.base_url)
    push = _planned(side, request, mappings.base_url, options, chosen)
    _log(push)
    if push["creates"] + push["updates"] and Allowed(mappings.practice)():
        from ecw.practice.client import client_for  # here, because it imports Airflow, which only this branch needs

        capability.keep(push, client_for(mappings.connection, RunType.MANUAL, engine, AT_ONCE), side.mapping.resource)
    return push


def options_of(connection: EcwConnection, form: Mapping[str, Any] | str | None = None) -> PushOptions:
    """Return the options of a push: those of the connection, restricted by those of the run."""
    return PushOptions.read(connection.extra_dejson.get("push"), form)


def _require_on(practice: Practice) -> None:
    """Raise ConfigurationError if the push is off for a practice."""
    if not practice.push:
        raise ConfigurationError(
            f"Nothing is pushed to the practice at the connection {practice.connection!r}: its push is off.",
            next_step="to push its patients, write `push: true` for it in include/practices.yaml.",
        )


def side_to_push(engine: Engine, read: PracticeMappings) -> CrmSide:
    """Return the CRM's side of a practice whose patients may be pushed.

    Raises ConfigurationError if several practices use the CRM and its rows do not name their practice.
    """
    side = crm_side(engine, read)
    with reading(engine) as connection:
        _require_own_rows(connection, side)
    return side


def _require_own_rows(connection: Connection, side: CrmSide) -> None:
    """Raise ConfigurationError if several practices use the CRM and the table has no column that names the practice.

    A push would create one practice's patients in the other's eCW.
    """
    rows, target = side.patients.rows(connection), side.patients.target
    if target.practice is not None or rows.other is None:
        return
    table, column = target.mapped.table, practice_column(connection)
    raise ConfigurationError(
        f"Nothing is pushed to practice {rows.practice}: practice {rows.other} uses the same CRM, and its table "
        f"{table} has no column {column}, so the rows do not name their practice.",
        next_step=f"add the column (ALTER TABLE {table} ADD COLUMN {column} VARCHAR(64)) and let a pull of each "
        "practice fill it, or give each practice a CRM database of its own. If the column has another name, put that "
        "name into the CRM connection's extra field `practice_column`. If one of the practices is no longer "
        f"synchronised, delete its rows in ecw_practice, ecw_link, ecw_intent and ecw_push_item ({rows.other}).",
    )


def _planned(side: CrmSide, request: PushRequest, base_url: str, options: PushOptions, chosen: Chosen) -> Push:
    """Write the plan into the CRM, unless the run already has one; return the run."""
    over = bool(chosen.over) and not options.dry_run
    auto_started = request.run_type == RunType.ASSET_TRIGGERED and not over
    plan = Plan(chosen.planned, options.dry_run, waiting=over, auto_started=auto_started)
    planned = Progress(side.engine, side.place, request.run_id).plan(plan)
    creates, updates = (sum(row["operation"] == operation for row in planned) for operation in (CREATE, UPDATE))
    return Push(
        practice=side.place.practice,
        base_url=base_url,
        run_id=request.run_id,
        run_type=request.run_type,
        ecw_conn_id=request.ecw_conn_id,
        crm_conn_id=request.crm_conn_id,
        creates=creates,
        updates=updates,
        not_sent=dict(chosen.not_sent),
        needs_approval=any(row["status"] in ASKED for row in planned),
        # Without the named patients, because an MR number is a patient's data.
        options={name: value for name, value in asdict(options).items() if name not in ("patients", "test_patient")},
        named=bool(options.named),
    )


def _log(push: Push) -> None:
    """Log how many patients the run pushes, and how many it leaves out, by reason."""
    log.info(
        "Practice %s: %d patients to create, %d to update%s; not sent: %s.",
        *(push["practice"], push["creates"], push["updates"], ", in a dry run" if push["options"]["dry_run"] else ""),
        ", ".join(f"{count} {why}" for why, count in push["not_sent"].items()) or "nobody",
    )
