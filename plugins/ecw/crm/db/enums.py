"""The state words of the bookkeeping tables and of the stage, each defined once."""

from __future__ import annotations

from enum import StrEnum

PRACTICE_OPTION = "crm_practice_column"  # the engine's execution option: the name of the practice column


class LinkStatus(StrEnum):
    """The status of a linked record in eCW; a record in use has none."""

    INACTIVE = "inactive"
    MERGED = "merged"
    DECEASED = "deceased"
    DELETED = "deleted"


DELETED = LinkStatus.DELETED.value  # also the rule of a reject whose record eCW no longer has


class RejectState(StrEnum):
    """The state of a reject."""

    OPEN = "open"
    DISMISSED = "dismissed"  # a person decided not to load the record; the same content does not open it again
    RESOLVED = "resolved"


class RejectStep(StrEnum):
    """The step that rejected a record."""

    MAP = "map"
    CHECK = "check"
    LOAD = "load"
    PUSH = "push"


class ConflictState(StrEnum):
    """The state of a conflict; open ones wait for a person."""

    OPEN = "open"
    SETTLED = "settled"


class RunState(StrEnum):
    """The state of one resource of a run."""

    RUNNING = "running"
    LOADED = "loaded"
    FAILED = "failed"
    DRY = "dry"  # a dry run: counts of a run that wrote nothing
    DEAD = "dead"  # only in reports: it began long ago, and neither ended nor failed


class StageAction(StrEnum):
    """What a load does with a staged row: see ecw.crm.load.merge."""

    INSERT = "insert"
    UPDATE = "update"
    SAME = "same"
    LOCKED = "locked"
    STALE = "stale"
    DEFERRED = "deferred"
    DUPLICATE = "duplicate"
    REFUSED = "refused"  # the load itself rejects the row


class CountsAs(StrEnum):
    """The number of the run that a staged row adds to."""

    INSERTED = "inserted"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DEFERRED = "deferred"
    REFUSED = "refused"


class IntentState(StrEnum):
    """The state of an intent: see ecw.push.intents."""

    SENDING = "sending"
    UNKNOWN = "unknown"
    DONE = "done"
    REFUSED = "refused"
    VOID = "void"
    HELD = "held"


class Operation(StrEnum):
    """The operation of a push in eCW."""

    CREATE = "create"
    UPDATE = "update"


class Direction(StrEnum):
    """The direction of an entry in the journal; a person's decision transfers nothing."""

    PULL = "pull"
    PUSH = "push"
    DECISION = "decision"


class JournalOutcome(StrEnum):
    """The outcome of an entry in the journal: the action that it asks for."""

    DONE = "done"
    RETRY_ONCE = "retry once"
    FIX_DATA = "fix the data"
    LINK = "link to existing"
    ADMINISTRATOR = "tell an administrator"
    LATER = "try again later"  # eCW did nothing, and nothing is wrong with the patient
    UNKNOWN = "unknown"


class AlertEvent(StrEnum):
    """An event of an alert."""

    BEGIN = "begin"
    OVER = "over"


class PushStatus(StrEnum):
    """The result of a push for one patient."""

    CREATED = "created"
    UPDATED = "updated"
    LINKED = "linked"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"  # the project's own checks found something
    REFUSED = "refused"  # eCW refused this content
    HELD = "held"  # a person chooses
    UNKNOWN = "unknown"  # no answer: it is searched for before it is sent again
    LATER = "later"  # eCW could not take it: the next push tries again
    FAILED = "failed"
    LOCKED = "locked"  # the CRM says emr_updates_locked
    BUSY = "busy"  # another worker holds the claim
    STOPPED = "stopped"  # by the kill switch
    SKIPPED = "skipped"  # by the options
    MISSING = "missing"  # the CRM's row does not exist
    ELSEWHERE = "elsewhere"  # another practice's patient
    UNASSIGNED = "unassigned"  # the row names no practice
    WAITING = "waiting"  # for an approval
    NOT_APPROVED = "not approved"
    NOT_TRIED = "not tried"


class ReadBack(StrEnum):
    """The result of a readback."""

    COMPLETE = "complete"  # eCW shows all of it, and nothing of it is left for the next pull
    SEEN = "seen"
    NOT_SHOWN = "not shown"
    NOT_TAKEN = "not taken"


class VolumeScope(StrEnum):
    """How much of eCW's data the compared runs covered."""

    FULL = "full"
    PARTIAL = "partial"


WRITTEN = (
    PushStatus.CREATED,
    PushStatus.UPDATED,
    PushStatus.LINKED,
)  # this run brought the patient into eCW, or linked it
NOT_SENT = (  # nothing was sent, and nothing failed
    *(PushStatus.STOPPED, PushStatus.BUSY, PushStatus.SKIPPED),
    *(PushStatus.MISSING, PushStatus.LOCKED, PushStatus.ELSEWHERE, PushStatus.UNASSIGNED),
)
