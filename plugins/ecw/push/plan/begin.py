"""Begin a run of the push: what is wanted, whom it takes, and whether that needs an approval."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine

from ecw.crm.db.engine import reading
from ecw.crm.state import practices
from ecw.errors import ConfigurationError
from ecw.fhir.connection import base_url_of, practice_of
from ecw.mapping.definition.model import Mapping as MappingFile
from ecw.mapping.validation.table import require_tables
from ecw.models import Push
from ecw.practice.mappings import mappings_of
from ecw.push import progress
from ecw.push.context import CrmSide
from ecw.push.intents import CREATE, UPDATE, Place
from ecw.push.plan.select import choose
from ecw.settings import connections
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


def require_one_practice(connection: Connection, place: Place) -> None:
    """Raise ConfigurationError where the CRM's patients may be another practice's as well.

    The business tables do not say whose a row is: a push would create the one's patients in the other's eCW.
    """
    for other, how in (
        (practices.linked_beside(connection, place.practice, place.resource), "has patients in the same table"),
        (practices.pushing_beside(connection, place.practice, place.resource), "is pushed from the same CRM"),
    ):
        if other is not None:
            raise ConfigurationError(
                f"Nothing is pushed to practice {place.practice}: practice {other} {how}, and no row says whose "
                "patient it is.",
                next_move="give each practice a CRM database of its own, with its own crm connection; of a practice "
                f"that is no longer synchronised, delete what ecw_link, ecw_intent and ecw_push_item have of {other}.",
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
    base_url = base_url_of(connections.get(ecw_conn_id))
    with reading(engine) as connection:
        require_tables(connection, [mapping_of(ecw_conn_id)])
    side = crm_side(engine, ecw_conn_id)
    with reading(engine) as connection:
        require_one_practice(connection, side.place)
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
        "Practice %s: %d patients to create, %d to update%s; kept back: %s.",
        *(side.place.practice, creates, updates, ", in a dry run" if wanted.dry_run else ""),
        ", ".join(f"{count} {why}" for why, count in chosen.kept_back.items()) or "nobody",
    )
    return Push(
        practice=side.place.practice,
        base_url=base_url,
        run_id=run_id,
        run_type=run_type,
        ecw_conn_id=ecw_conn_id,
        crm_conn_id=crm_conn_id,
        creates=creates,
        updates=updates,
        kept_back=dict(chosen.kept_back),
        needs_approval=any(row["status"] in progress.ASKED for row in planned),
        # without the names: an MR number is the patient's
        options={name: value for name, value in asdict(wanted).items() if name not in ("patients", "test_patient")},
        named=bool(wanted.named),
    )


def place_of(push: Push) -> Place:
    """Return whose intents a run works on."""
    return Place(push["practice"], push["options"]["resource"])
