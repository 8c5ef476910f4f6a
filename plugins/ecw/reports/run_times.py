"""When a run began, as an expression of a statement."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func, select

from ecw.crm.db.tables import ecw_push_item, ecw_run


def began(practice: str, resource: Any, run_id: Any) -> ColumnElement[Any]:
    """Return when a run of a pull, or of a push, began; NULL where neither is known."""
    pulled = (
        select(ecw_run.c.started_at)
        .where(ecw_run.c.practice == practice, ecw_run.c.run_id == run_id, ecw_run.c.resource == resource)
        .scalar_subquery()
    )
    pushed = (
        select(ecw_push_item.c.planned_at)
        .where(ecw_push_item.c.practice == practice, ecw_push_item.c.run_id == run_id)
        .limit(1)
        .scalar_subquery()
    )
    return func.coalesce(pulled, pushed)
