"""The Integration Logs: what happened to which record, for the CRM's administrators.  Names of fields, never values."""

from __future__ import annotations

import getpass
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Connection, insert

from ecw.crm.db.enums import Direction, JournalOutcome
from ecw.crm.db.tables import ecw_journal

LEARN = "learn"  # operation: eCW's spelling of pushed values becomes the merge base
LEARNED = "eCW shows these shorter, or in another spelling; the CRM keeps its own"


@dataclass(frozen=True, slots=True)
class Choice:
    """A person's decision: ids, names of fields and sides, no values."""

    what: str  # approve, choose a match …
    by: str
    before: str | None
    after: str | None
    crm_id: str | None = None
    ecw_id: str | None = None
    fields: tuple[str, ...] = ()
    run_id: str = ""  # "": between runs


def decided(connection: Connection, practice: str, resource: str, decision: Choice) -> None:
    """Journal a decision, in the transaction that writes the choice itself. The same choice again is not journaled."""
    if decision.before == decision.after:
        return
    connection.execute(
        insert(ecw_journal).values(
            practice=practice,
            entry=str(uuid4()),
            at=datetime.now(UTC),
            run_id=decision.run_id,
            direction=Direction.DECISION,
            resource=resource,
            operation=decision.what,
            crm_id=decision.crm_id,
            ecw_id=decision.ecw_id,
            message=f"{decision.by}: {decision.before or 'nothing'} → {decision.after or 'nothing'}",
            outcome=JournalOutcome.DONE,
            fields=", ".join(sorted(decision.fields)) or None,
            decided_by=decision.by,
            before=decision.before,
            after=decision.after,
        )
    )


def terminal_user() -> str:
    """Return the terminal's user, and who became that user by sudo."""
    became = os.environ.get("SUDO_USER")
    return f"{getpass.getuser()} at a terminal{f' (sudo by {became})' if became else ''}"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One row of the Integration Logs: what happened to one record.  `seconds` is how long eCW took to answer."""

    practice: str
    resource: str
    run_id: str
    direction: Direction
    operation: str
    outcome: JournalOutcome
    message: str
    next_step: str | None = None
    crm_id: str | None = None
    ecw_id: str | None = None
    http_status: int | None = None
    code: str | None = None
    fields: tuple[str, ...] = ()  # names of columns
    seconds: float | None = None


def write(connection: Connection, entry: JournalEntry) -> None:
    """Add a row, in the caller's transaction."""
    values = asdict(entry) | {
        "entry": str(uuid4()),
        "at": datetime.now(UTC),
        "next_step": entry.next_step or None,
        "fields": ", ".join(sorted(entry.fields)) or None,
        "seconds": None if entry.seconds is None else round(entry.seconds, 3),
    }
    connection.execute(insert(ecw_journal).values(values))
