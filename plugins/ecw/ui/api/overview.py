"""The Overview of one practice: its state, what needs attention first, and what the charts draw."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from airflow.models import DagModel
from airflow.utils.session import create_session
from fastapi import APIRouter
from sqlalchemy import select

from ecw.alerts.settings import schedule
from ecw.errors import ConfigurationError
from ecw.fhir.connection import practice_of
from ecw.push.kill_switch import STOP, is_on
from ecw.reports import charts, sync_state
from ecw.reports.attention import Attention, Switches, attention
from ecw.reports.charts import AgePoint, MinutePoint, PushPoint, RunPoint
from ecw.reports.sync_state import PracticeState
from ecw.settings import connections
from ecw.ui.access import DAGS, READ
from ecw.ui.api.query import Practice
from ecw.ui.api.status import clock
from ecw.ui.page import crm

router = APIRouter(dependencies=[READ])
CALLS_PER_MINUTE = 250  # where no connection says another number


@dataclass(frozen=True, slots=True)
class Quota:
    """Calls a minute that the practice permits, those of the present minute, and the last hour's."""

    limit: int
    used: int
    left: int
    minutes: list[MinutePoint]


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything about one practice; `practices` are all that have run."""

    at: datetime
    interval_seconds: float
    scheduled: list[str]
    practices: list[str]
    practice: PracticeState | None
    attention: list[Attention]
    quota: Quota | None
    runs: list[RunPoint]
    pushes: list[PushPoint]
    insurance: list[AgePoint]


@router.get("/overview")
def overview(practice: Practice = "") -> Overview:
    """Return the overview of a practice, or of the first one."""
    time = clock()
    switches = Switches(_paused(), is_on(STOP, unset=False))
    base = (time.now, time.every.total_seconds(), list(schedule()[1]))
    with crm() as connection:
        names = sync_state.practices(connection)
        name = practice if practice in names else next(iter(names), None)
        if name is None:
            return Overview(*base, names, None, [], None, [], [], [])
        [state] = sync_state.states(connection, [name], time)
        minutes = charts.calls(connection, name, time.now)
        return Overview(
            *base,
            names,
            state,
            attention(connection, state, time, switches),
            _quota(name, minutes),
            charts.runs(connection, name, time.now),
            charts.pushes(connection, name, time.now),
            charts.insurance_ages(connection, name, time.now),
        )


def _quota(practice: str, minutes: list[MinutePoint]) -> Quota:
    now = minutes[-1]
    limit, used = _limit(practice), now.on_demand + now.scheduled + now.backfill
    return Quota(limit, used, max(0, limit - used), minutes)


def _limit(practice: str) -> int:
    """Return the calls a minute that the practice's connection permits."""
    try:
        connection = connections.get("ecw_default")
        if practice_of(connection.host or "") == practice:
            return int(connection.extra_dejson.get("calls_per_minute") or CALLS_PER_MINUTE)
    except (ConfigurationError, ValueError, TypeError):
        pass
    return CALLS_PER_MINUTE


def _paused() -> list[str]:
    with create_session() as session:
        paused = select(DagModel.dag_id).where(DagModel.dag_id.in_(DAGS), DagModel.is_paused)
        return list(session.scalars(paused))
