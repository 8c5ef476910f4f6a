"""The Integration Logs: runs, entries, and the filtered entries as CSV."""

from __future__ import annotations

import csv
import io
import tempfile
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import StreamingResponse
from sqlalchemy import RowMapping
from starlette.background import BackgroundTask

from ecw.crm.db.enums import Direction
from ecw.mapping.definition.crosswalks import for_spreadsheets
from ecw.reports import journal
from ecw.reports.journal import CSV_ROWS, JournalFilter, Position, RunLine
from ecw.resources import RESOURCES
from ecw.ui.access import READ, Everywhere, Here
from ecw.ui.api.practices import names_of
from ecw.ui.page import crm
from ecw.ui.query import Cursor, Limit, RecordId, RunId, Word, known_resource, moment

router = APIRouter(prefix="/logs", dependencies=[READ])
SPOOLED, PART = 2**20, 2**16  # bytes
BETWEEN = "-"  # value of the parameter `run` for decisions that belong to no run


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt or change: ids, codes, names of fields; `answer` is eCW's HTTP status, such as "200 OK"."""

    entry: str
    at: datetime
    run_id: str
    direction: str
    resource: str
    operation: str
    outcome: str
    message: str
    next_step: str | None
    crm_id: str | None
    ecw_id: str | None
    answer: str | None
    code: str | None
    fields: list[str]
    seconds: float | None
    decided_by: str | None
    before: str | None
    after: str | None
    initial_sync: bool | None


@dataclass(frozen=True, slots=True)
class Entries:
    """A page of entries; `next` is the parameter `cursor` of the next page."""

    entries: list[Entry]
    next: str | None


@dataclass(frozen=True, slots=True)
class Runs:
    """A page of runs; `next` is the parameter `cursor` of the next page."""

    runs: list[RunLine]
    next: str | None


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices of the filters, and the practice whose entries are shown."""

    practice: str
    practices: list[str]
    directions: list[str]
    resources: list[str]
    outcomes: list[str]
    codes: list[str]


@dataclass(frozen=True, slots=True)
class Filter:
    """The filters of entries, without the times; `run` is `-` for entries that belong to no run."""

    direction: Word = ""
    resource: Word = ""
    outcome: Word = ""
    code: Word = ""
    run: RunId = ""
    record: RecordId = ""


def journal_filter(here: Here, which: Annotated[Filter, Depends()], start: Word = "", end: Word = "") -> JournalFilter:
    """Return the filter that the parameters describe."""
    times = {"start": moment(start, "start"), "end": moment(end, "end")}
    return JournalFilter(
        practice=here.code,
        direction=which.direction or None,
        resource=known_resource(which.resource),
        outcome=which.outcome or None,
        code=which.code.strip() or None,
        run_id="" if which.run == BETWEEN else which.run.strip() or None,
        record=which.record.strip() or None,
        **times,
    )


EntryFilter = Annotated[JournalFilter, Depends(journal_filter)]


def begin(cursor: Cursor = "") -> Position | None:
    """Return the position at which the page begins; None for the first page."""
    try:
        return Position.read(cursor) if cursor else None
    except ValueError:
        raise HTTPException(400, "cursor: take it from the previous page, or leave it out.") from None


Begin = Annotated[Position | None, Depends(begin)]


@router.get("/choices")
def choices(here: Here, mine: Everywhere) -> Choices:
    """Return the choices of the filters."""
    with crm(here.crm) as connection:
        names = names_of(mine, mine.shown(connection, here.crm))
        outcomes, codes = journal.outcomes(connection, here.code), journal.codes(connection, here.code)
    return Choices(here.code, names, list(Direction), list(RESOURCES), outcomes, codes)


@router.get("/runs")
def runs(here: Here, which: EntryFilter, before: Begin, limit: Limit = 25) -> Runs:
    """Return the runs with matching entries, with counts."""
    if which.record is not None:
        raise HTTPException(400, "record: the entries of a record are not grouped by run; read them from /logs.")
    with crm(here.crm) as connection:
        lines, after = journal.runs(connection, which, before, min(limit, 50))
    return Runs(lines, str(after) if after else None)


@router.get("")
def entries(here: Here, which: EntryFilter, before: Begin, limit: Limit = 50) -> Entries:
    """Return the matching entries, the newest first."""
    with crm(here.crm) as connection:
        rows, after = journal.entries(connection, which, before, limit)
    return Entries([entry_of(row) for row in rows], str(after) if after else None)


@router.get("/csv", response_class=StreamingResponse)
def as_csv(here: Here, which: EntryFilter) -> StreamingResponse:
    """Return the matching entries as CSV for a spreadsheet: at most CSV_ROWS."""
    # An unnamed temporary file: the CRM's connection is closed before a slow client reads, and memory stays flat.
    file = tempfile.SpooledTemporaryFile(max_size=SPOOLED, mode="w+b")  # noqa: SIM115 - closed after the response
    with crm(here.crm) as connection:
        file.write(_line(_CSV))
        for row in journal.every(connection, which, CSV_ROWS):
            entry = entry_of(row)
            file.write(_line([_cell(getattr(entry, name)) for name in _CSV]))
    file.seek(0)
    headers = {"Content-Disposition": 'attachment; filename="integration-logs.csv"'}
    parts = iter(partial(file.read, PART), b"")
    closing = BackgroundTask(file.close)
    return StreamingResponse(parts, media_type="text/csv; charset=utf-8", headers=headers, background=closing)


def entry_of(row: RowMapping) -> Entry:
    """Return an entry as the API shows it."""
    return Entry(
        message=row["message"],
        next_step=row["next_step"],
        answer=_answer(row["http_status"]),
        fields=[name.strip() for name in (row["fields"] or "").split(",") if name.strip()],
        **{name: row[name] for name in _SAME},
    )


_SAME = (
    *("entry", "at", "run_id", "direction", "resource", "operation", "outcome", "crm_id", "ecw_id", "code"),
    *("seconds", "decided_by", "before", "after", "initial_sync"),
)
_CSV = (
    *("at", "direction", "resource", "operation", "outcome", "message", "answer", "code", "fields", "crm_id"),
    *("ecw_id", "run_id", "next_step", "decided_by", "seconds"),
)


def _answer(status: int | None) -> str | None:
    if status is None:
        return None
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _line(cells: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return for_spreadsheets(", ".join(value) if isinstance(value, list) else str(value))
