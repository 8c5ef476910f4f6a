"""Begin a run of the push: what is wanted, whom it takes, and whether that needs an approval."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine

from ecw import connections
from ecw.api.settings import EcwSettings
from ecw.crm.engine import reading
from ecw.mapping.model import Mapping as MappingFile
from ecw.mapping.table_check import require_tables
from ecw.pull.practice import mappings_of
from ecw.push import ledger
from ecw.push.choose import choose
from ecw.push.intents import CREATE, UPDATE, Place
from ecw.push.pushing import CrmSide
from ecw.push.wanted import Wanted
from ecw.words import Push

log = logging.getLogger(__name__)
WATCHED = "asset_triggered"  # Airflow's run type of a run that the watcher started


def mapping_of(ecw_conn_id: str) -> MappingFile:
    """Return the mapping of patients as the practice wants it."""
    return next(mappings_of(ecw_conn_id, ["patient"]))


def wanted_of(ecw_conn_id: str, options: Mapping[str, Any] | str | None = None) -> Wanted:
    """Return what the connection says of a push, and over it the run's options."""
    return Wanted.read(connections.get(ecw_conn_id).extra_dejson.get("push"), options)


def crm_side(engine: Engine, ecw_conn_id: str) -> CrmSide:
    """Return the CRM's side of a practice; nothing is called."""
    practice = EcwSettings.from_connection(connections.get(ecw_conn_id)).practice
    return CrmSide(engine, practice, mapping_of(ecw_conn_id))


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
    with reading(engine) as connection:
        require_tables(connection, [mapping_of(ecw_conn_id)])
    side = crm_side(engine, ecw_conn_id)
    watched = run_type == WATCHED
    chosen = choose(side, wanted, watched=watched)
    over = bool(chosen.over) and not wanted.dry_run
    planned = ledger.plan(
        *(engine, side.place, run_id, chosen.planned),
        dry=wanted.dry_run,
        waiting=over,
        unasked=watched and not over,
    )
    creates, updates = (sum(row["way"] == way for row in planned) for way in (CREATE, UPDATE))
    log.info(
        "Practice %s: %d patients to create, %d to update%s; kept back: %s.",
        *(side.place.practice, creates, updates, ", in a dry run" if wanted.dry_run else ""),
        ", ".join(f"{count} {why}" for why, count in chosen.kept_back.items()) or "nobody",
    )
    return Push(
        practice=side.place.practice,
        run_id=run_id,
        run_type=run_type,
        ecw_conn_id=ecw_conn_id,
        crm_conn_id=crm_conn_id,
        creates=creates,
        updates=updates,
        kept_back=dict(chosen.kept_back),
        needs_approval=any(row["did"] in ledger.ASKED for row in planned),
        # without the names: an MR number is the patient's
        options={name: value for name, value in asdict(wanted).items() if name not in ("patients", "test_patient")},
        named=bool(wanted.named),
    )


def place_of(push: Push) -> Place:
    """Return whose intents a run works on."""
    return Place(push["practice"], push["options"]["resource"])
