"""Begin a run: its window, its folder, its plan, its rows in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from ecw import connections
from ecw.crm import ledger
from ecw.crm.engine import reading
from ecw.mapping.table_check import require_tables
from ecw.pull import area, plan, staging
from ecw.pull.abilities import abilities
from ecw.pull.client import client_for
from ecw.pull.options import Options
from ecw.pull.practice import mappings_of
from ecw.pull.window import window
from ecw.resources import RESOURCES
from ecw.words import Run

log = logging.getLogger(__name__)


def open_run(
    engine: Engine,
    run_id: str,
    run_type: str,
    window_start: str | None,
    window_end: str | None,
    ecw_conn_id: str,
    crm_conn_id: str,
    staging_path: str | None,
    options: Mapping[str, Any] | str | None,
) -> Run:
    """Do what steps.begin says; nothing is in the ledger before everything that can be refused was looked at."""
    wanted = Options.read(connections.get(ecw_conn_id).extra_dejson.get("pull"), options)
    with reading(engine) as connection:
        require_tables(connection, mappings_of(ecw_conn_id, RESOURCES))
    client = client_for(ecw_conn_id, run_type, engine)
    practice = client.practice
    root = area.staging_root(staging_path)
    if purged := staging.purge(root, area.staging_days()):
        log.info("Staging: %d old runs were removed.", purged)
    start, end = window(engine, practice, run_type, window_start, window_end)
    run = Run(
        practice=practice,
        run_id=run_id,
        run_type=run_type,
        window_start=start,
        window_end=end,
        ecw_conn_id=ecw_conn_id,
        crm_conn_id=crm_conn_id,
        staging=staging.run_folder(root, practice, run_id),
    )
    log.info("Practice %s, from %s to %s.", practice, start or "the beginning", end)
    staging.open_folder(run["staging"])
    plan.make(engine, run, abilities(client, root), wanted, client.settings.calls_per_minute)
    ledger.begin(engine, run, RESOURCES)
    return run
