"""The result of one patient as sentences: the reason and the next step; names of fields, never values."""

from __future__ import annotations

from ecw.crm.db.enums import WRITTEN, PushStatus
from ecw.push.context import Pushed

_REFUSED = (
    "correct the fields that the journal (ecw_journal) names, then push again; "
    "a patient that is named in the form is sent anyway."
)
_CONFLICT = "`ecw conflicts` lists them and takes the choice."
_CONFLICT_OF_DRY_RUN = "push without dry run: then `ecw conflicts` lists them and takes the choice."
_RESULTS = {
    PushStatus.REFUSED: ("eCW refused the same content before", _REFUSED),
    PushStatus.UNKNOWN: (
        "the outcome of the last attempt is not known yet",
        "nothing: the next run searches eCW for the patient before it sends.",
    ),
    PushStatus.LATER: ("eCW did not answer", "nothing: the push tries again."),
    PushStatus.BUSY: (
        "another worker has the patient, or a similar patient was sent a moment ago",
        "nothing: the push tries again.",
    ),
    PushStatus.LOCKED: (
        "the row is locked (emr_updates_locked)",
        "clear emr_updates_locked in the CRM to push the patient.",
    ),
    PushStatus.ELSEWHERE: (
        "it is another practice's patient",
        "nothing if that is right: that practice's push sends it; else correct the row's practice.",
    ),
    PushStatus.UNASSIGNED: (
        "the row names no practice",
        "fill its practice (`ecw practice rows` lists such rows); the next push sends it.",
    ),
    PushStatus.STOPPED: (
        "the Variable ecw_push_kill_switch is set",
        "remove it, then clear the task or trigger a run.",
    ),
    PushStatus.MISSING: ("the CRM no longer has the patient", ""),
    PushStatus.SKIPPED: ("the form limits the run to the other operation", ""),
}


def describe_result(pushed: Pushed, *, dry_run: bool = False) -> tuple[str | None, str | None]:
    """Return the reason and the next step, each None if there is none.

    A dry run stores no conflicts, so its next step is a push without dry run.
    """
    if pushed.findings:
        next_steps = dict.fromkeys(finding.next_step for finding in pushed.findings)
        return "; ".join(f"{one.field}: {one.reason}" for one in pushed.findings), " ".join(next_steps)
    reason, next_step = _RESULTS.get(pushed.status, (None, None))
    if pushed.outcome is not None and pushed.status not in (*WRITTEN, PushStatus.UNCHANGED):
        code = f" (eCW's code {pushed.outcome.code})" if pushed.outcome.code else ""
        reason, next_step = f"{pushed.outcome.message}{code}", pushed.outcome.next_step or next_step
    if pushed.conflicts:
        reason = f"both sides changed {', '.join(sorted(pushed.conflicts))}"
        next_step = _CONFLICT_OF_DRY_RUN if dry_run else _CONFLICT
    return reason, next_step or None
