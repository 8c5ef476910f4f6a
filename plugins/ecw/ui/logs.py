"""The Integration Logs as the CRM's administrators know them: every push, and every change that was pulled."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from ecw.crm.load import journal
from ecw.reports import journal as journal_pages
from ecw.reports.journal import Wanted
from ecw.resources import RESOURCES
from ecw.ui.page import crm, render

router = APIRouter()


@router.get("/logs")
def logs(
    practice: str = "",
    direction: str = "",
    resource: str = "",
    outcome: str = "",
    run_id: str = "",
    record: str = "",
    start: str = "",
    end: str = "",
    page: int = Query(0, ge=0, le=100_000),
) -> HTMLResponse:
    """Show a page of the entries that the form asks for."""
    form = {"practice": practice, "direction": direction, "resource": resource, "outcome": outcome}
    form |= {"run_id": run_id, "record": record, "start": start, "end": end}
    form = {name: value.strip() for name, value in form.items()}
    problems = [f"{name}: {form[name]!r} is not a time such as 2026-11-25T10:00" for name in _wrong_times(form)]
    with crm() as connection:
        practices = journal_pages.practices(connection)
        form["practice"] = form["practice"] or next(iter(practices), "")
        wanted = Wanted(
            practice=form["practice"],
            direction=form["direction"] or None,
            resource=form["resource"] or None,
            outcome=form["outcome"] or None,
            run_id=form["run_id"] or None,
            record=form["record"] or None,
            **_times(form),
        )
        entries, older = ([], False) if problems else journal_pages.entries(connection, wanted, page)
    return render(
        "logs.html",
        status=400 if problems else 200,
        form=form,
        query=urlencode({name: value for name, value in form.items() if value}),
        problems=problems,
        practices=practices,
        directions=(journal.PULL, journal.PUSH, journal.DECISION),
        resources=list(RESOURCES),
        entries=entries,
        older=older,
        page=page,
    )


def _times(form: dict[str, str]) -> dict[str, datetime | None]:
    return {name: _time(form[name]) for name in ("start", "end")}


def _wrong_times(form: dict[str, str]) -> list[str]:
    return [name for name, moment in _times(form).items() if form[name] and moment is None]


def _time(text: str) -> datetime | None:
    """Return the time that a browser's field holds, which is UTC here; None where it is none."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
