"""State words of the bookkeeping tables, each defined once."""

from __future__ import annotations

from enum import StrEnum

PRACTICE_OPTION = "crm_practice_column"  # the engine's execution option: another name of the column of the practice
DELETED = "deleted"  # the rule of a reject whose record eCW no longer has, and the status of its link


class RejectState(StrEnum):
    """Where a reject stands."""

    OPEN = "open"
    DISMISSED = "dismissed"  # a person has said that it may stay out; the same content does not open it again
    RESOLVED = "resolved"


class ConflictState(StrEnum):
    """Where a conflict stands: open ones wait for a person."""

    OPEN = "open"
    SETTLED = "settled"


class RunState(StrEnum):
    """Where one resource of a run stands."""

    RUNNING = "running"
    LOADED = "loaded"
    FAILED = "failed"
    DRY = "dry"  # the numbers of a run that wrote nothing


class IntentState(StrEnum):
    """Where an intent stands: see ecw.push.intents."""

    SENDING = "sending"
    UNKNOWN = "unknown"
    DONE = "done"
    REFUSED = "refused"
    VOID = "void"
    HELD = "held"


class Operation(StrEnum):
    """What a push does to eCW's record."""

    CREATE = "create"
    UPDATE = "update"


class AlertEvent(StrEnum):
    """What happened to an alert."""

    BEGIN = "begin"
    OVER = "over"


class PushStatus(StrEnum):
    """What a run did with one patient."""

    CREATED = "created"
    UPDATED = "updated"
    LINKED = "linked"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"  # our own checks have findings
    REFUSED = "refused"  # eCW refused this content
    HELD = "held"  # a person chooses
    UNKNOWN = "unknown"  # no answer: it is searched for before it is sent again
    LATER = "later"  # eCW did not answer: it is tried again
    FAILED = "failed"
    LOCKED = "locked"  # the CRM says emr_updates_locked
    BUSY = "busy"  # another worker has it
    STOPPED = "stopped"  # by the kill switch
    SKIPPED = "skipped"  # by the options
    MISSING = "missing"  # the CRM has no such row
    ELSEWHERE = "elsewhere"  # another practice's patient
    UNASSIGNED = "unassigned"  # the row does not say which practice's patient it is
    WAITING = "waiting"  # for an approval
    NOT_APPROVED = "not approved"
    NOT_TRIED = "not tried"


class ReadBack(StrEnum):
    """What reading a pushed patient back found."""

    COMPLETE = "complete"  # eCW shows all of it, and nothing of it is left for the next pull
    SEEN = "seen"
    NOT_SHOWN = "not shown"
    NOT_TAKEN = "not taken"


class VolumeScope(StrEnum):
    """How much of what eCW has the runs saw whose numbers of records are compared."""

    FULL = "full"
    PARTIAL = "partial"


WRITTEN = (PushStatus.CREATED, PushStatus.UPDATED, PushStatus.LINKED)  # eCW has it, by this run
NOT_SENT = (  # nothing was sent, by nobody's fault
    *(PushStatus.STOPPED, PushStatus.BUSY, PushStatus.SKIPPED),
    *(PushStatus.MISSING, PushStatus.LOCKED, PushStatus.ELSEWHERE, PushStatus.UNASSIGNED),
)
