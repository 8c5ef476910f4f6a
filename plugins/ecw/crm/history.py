"""What the ledger says about a run as a whole, and about the runs before it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, select

from ecw.crm.engine import reading
from ecw.crm.ledger import LOADED
from ecw.crm.tables import ecw_run
from ecw.words import Run


def of_run(engine: Engine, run: Run) -> list[dict[str, Any]]:
    """Return the ledger's rows of a run, one a resource."""
    statement = select(ecw_run).where(ecw_run.c.practice == run["practice"], ecw_run.c.run_id == run["run_id"])
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def fetched_before(engine: Engine, run: Run, resource: str) -> int | None:
    """Return how many records the last live run before this one fetched, None where there was none."""
    statement = (
        select(ecw_run.c.fetched)
        .where(
            ecw_run.c.practice == run["practice"],
            ecw_run.c.resource == resource,
            ecw_run.c.run_id != run["run_id"],
            ecw_run.c.run_type != "backfill",
            ecw_run.c.state == LOADED,
        )
        .order_by(ecw_run.c.ended_at.desc())
        .limit(1)
    )
    with reading(engine) as connection:
        return connection.execute(statement).scalar()
