"""The result of one patient, for a person: why, and the next move; names of fields, never values."""

from __future__ import annotations

from ecw.crm.db.enums import WRITTEN, PushStatus
from ecw.push.context import Pushed

_SAME = "correct what the journal (ecw_journal) names, then push again; a patient named in the form is tried anyway."
_CONFLICT = "`ecw conflicts` lists them and takes the choice."
_CONFLICT_OF_DRY_RUN = "push without dry run: then `ecw conflicts` lists them and takes the choice."
_RESULTS = {
    PushStatus.REFUSED: ("eCW refused the same content before", _SAME),
    PushStatus.UNKNOWN: (
        "what happened to it is not known yet",
        "nothing: the next run searches for it before it sends.",
    ),
    PushStatus.LATER: ("eCW did not answer", "nothing: it is tried again."),
    PushStatus.BUSY: (
        "another worker has it, or somebody like it was sent a moment ago",
        "nothing: it is tried again.",
    ),
    PushStatus.LOCKED: (
        "the CRM says emr_updates_locked",
        "take the lock away in the CRM, if the patient is to travel.",
    ),
    PushStatus.ELSEWHERE: (
        "it is another practice's patient",
        "nothing: that practice's push takes it; else correct the row's practice.",
    ),
    PushStatus.UNASSIGNED: (
        "the row does not say which practice's patient it is",
        "fill its practice (`ecw practice rows` lists such rows); the next push takes it.",
    ),
    PushStatus.STOPPED: (
        "the Variable ecw_push_kill_switch is set",
        "remove it, then clear the task or trigger a run.",
    ),
    PushStatus.MISSING: ("the CRM has no such patient any more", ""),
    PushStatus.SKIPPED: ("the form asked for the other kind only", ""),
}


def describe_result(pushed: Pushed, *, dry_run: bool = False) -> tuple[str | None, str | None]:
    """Return the reason and the next move; None where nothing is to be said.

    A dry run writes nothing down: what it finds waits for nobody yet.
    """
    if pushed.findings:
        moves = dict.fromkeys(finding.next_step for finding in pushed.findings)
        return "; ".join(f"{one.field}: {one.reason}" for one in pushed.findings), " ".join(moves)
    reason, move = _RESULTS.get(pushed.status, (None, None))
    if pushed.outcome is not None and pushed.status not in (*WRITTEN, PushStatus.UNCHANGED):
        code = f" (eCW's code {pushed.outcome.code})" if pushed.outcome.code else ""
        reason, move = f"{pushed.outcome.message}{code}", pushed.outcome.next_step or move
    if pushed.conflicts:
        reason = f"both sides changed {', '.join(sorted(pushed.conflicts))}"
        move = _CONFLICT_OF_DRY_RUN if dry_run else _CONFLICT
    return reason, move or None
