"""The Overview of one practice: its state, what needs attention first, and the numbers of the charts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from airflow.models import DagModel
from airflow.utils.session import create_session
from fastapi import APIRouter
from sqlalchemy import select

from ecw.push.kill_switch import STOP, is_on, stopped
from ecw.reports import charts, sync_state
from ecw.reports.attention import Attention, Switches, attention
from ecw.reports.charts import AgePoint, MinutePoint, PushPoint, RunPoint
from ecw.reports.configured import calls_per_minute, clocks_of
from ecw.reports.sync_state import PracticeState
from ecw.ui.access import DAGS, READ, Everywhere, Here
from ecw.ui.api.practices import names_of
from ecw.ui.page import crm
from ecw.ui.practice import Site

router = APIRouter(dependencies=[READ])


@dataclass(frozen=True, slots=True)
class Quota:
    """The calls per minute that the practice permits, those of the current minute, and those of the last hour."""

    limit: int
    used: int
    left: int
    minutes: list[MinutePoint]


@dataclass(frozen=True, slots=True)
class Overview:
    """The overview of one practice; `practice` is None before its first run, `practices` are the user's choices."""

    at: datetime
    name: str
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
def overview(here: Here, mine: Everywhere) -> Overview:
    """Return the overview of a practice."""
    now, name = datetime.now(UTC), here.code
    clock = clocks_of({name: here.practice}, now)[name]
    base = (now, name, clock.every.total_seconds(), list(clock.scheduled))
    with crm(here.crm) as connection:
        in_crm = mine.shown(connection, here.crm)
        if name not in in_crm:
            return Overview(*base, names_of(mine, in_crm), None, [], None, [], [], [])
        [state] = sync_state.states(connection, {name: clock})
        minutes = charts.calls(connection, name, now)
        return Overview(
            *base,
            names_of(mine, in_crm),
            state,
            attention(connection, state, clock, _switches(here)),
            _quota(here, minutes),
            charts.runs(connection, name, now),
            charts.pushes(connection, name, now),
            charts.insurance_ages(connection, name, now),
        )


def _quota(here: Site, minutes: list[MinutePoint]) -> Quota:
    now = minutes[-1]
    limit, used = calls_per_minute(here.practice), now.on_demand + now.scheduled + now.backfill
    return Quota(limit, used, max(0, limit - used), minutes)


def _switches(here: Site) -> Switches:
    names = [here.dag_id(dag) for dag in DAGS]
    with create_session() as session:
        paused = session.scalars(select(DagModel.dag_id).where(DagModel.dag_id.in_(names), DagModel.is_paused))
        kill_switch = stopped(here.practice) if here.practice else STOP if is_on(STOP, unset=False) else None
        return Switches(here.suffix, list(paused), kill_switch)
