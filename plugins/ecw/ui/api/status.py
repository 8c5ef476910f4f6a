"""The state of all practices in one response: for the card on Airflow's Home, and for other systems to poll."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter

from ecw.errors import EcwError
from ecw.reports import charts, sync_state
from ecw.reports.configured import calls_per_minute, clocks_of
from ecw.reports.sync_state import PracticeState
from ecw.ui.access import READ_ANY, Allowed, Everywhere
from ecw.ui.page import crm
from ecw.ui.query import Practice

router = APIRouter(dependencies=[READ_ANY])


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls to eCW in the current minute, and the limit of the practice's connection."""

    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A CRM that cannot be read: its practices, and the error with its next step."""

    practices: list[str]
    what: str
    next_step: str
    who: str


@dataclass(frozen=True, slots=True)
class Status:
    """All practices that the user may read, or the one that a request names; `calls` by practice."""

    at: datetime
    practices: list[PracticeState]
    calls: dict[str, Calls]
    unreachable: list[Unreachable]


@router.get("/status")
def status(mine: Everywhere, practice: Practice = "") -> Status:
    """Return ages, last runs and counts of what waits.

    If one of several CRMs cannot be read, the others are returned, and the response names that one as unreachable.
    """
    conn_ids = [mine.site(practice).crm] if practice else mine.crms
    result = Status(datetime.now(UTC), [], {}, [])
    for conn_id in conn_ids:
        try:
            _read(result, mine, conn_id, practice)
        except EcwError as error:
            if len(conn_ids) == 1:
                raise
            names = [site.code for site in mine.readable if site.crm == conn_id and site.code]
            result.unreachable.append(Unreachable(names, error.what, error.next_step, error.who))
    result.practices.sort(key=lambda one: one.practice)
    return result


def _read(result: Status, mine: Allowed, conn_id: str, practice: str) -> None:
    """Add the practices of one CRM to the result."""
    with crm(conn_id) as connection:
        names = [name for name in mine.shown(connection, conn_id) if practice in ("", name)]
        sites = {name: mine.site(name) for name in names}
        clocks = clocks_of({name: site.practice for name, site in sites.items()}, result.at)
        states = sync_state.states(connection, clocks)
        used = charts.calls_now(connection, names, result.at)
    result.practices.extend(states)
    result.calls.update(
        {name: Calls(used.get(name, 0), calls_per_minute(site.practice)) for name, site in sites.items()}
    )
