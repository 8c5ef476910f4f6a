"""Send the patients of a run concurrently, and store each result at once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from ecw.crm.db.enums import NOT_SENT, PushStatus
from ecw.errors import AccessDenied, ConfigurationError, ServerUnavailable
from ecw.fhir.thread_pool import concurrent
from ecw.push.context import Pushed
from ecw.push.messages import describe_result
from ecw.push.patient.push import push_patient
from ecw.push.progress import NOT_APPROVED, NOT_TRIED, UNFINISHED, WAITING, Ending, Progress, names
from ecw.push.rules.outcome import raised
from ecw.push.step_context import IN_FLIGHT, PushContext

log = logging.getLogger(__name__)
GIVE_UP = 5  # failures in a row that do not concern a single patient: the others would fail, too
NOBODY = "nobody in time"  # the journal's name for an approval that was not answered
NOT_APPROVED_MOVE = (
    "check whether so many changes are intended; then trigger a run and approve it, or push some with `limit` or "
    "`patients`."
)


def send(step: PushContext, approval: Mapping[str, Any]) -> dict[str, int]:
    """Push the patients as `ecw.push.steps.send` describes."""
    progress = step.progress
    if step.push["needs_approval"] and not _approved(progress, approval):
        return progress.counts()
    to_do = progress.to_do()
    if to_do and not step.allowed():
        reason, next_step = describe_result(Pushed("", PushStatus.STOPPED))
        progress.note_rest((None, *UNFINISHED), Ending(PushStatus.STOPPED, reason or "", next_step or ""))
    elif to_do:
        _send_all(step, to_do)
    return progress.counts()


def _approved(progress: Progress, approval: Mapping[str, Any]) -> bool:
    """Record the answer, or that there was none; return True if the push was approved."""
    person = approval.get("by")
    if approval.get("approved"):
        progress.approve(person or NOBODY)
        return True
    progress.reject(person or NOBODY)
    reason = f"{person} rejected it" if person else "nobody approved it in time"
    progress.note_rest((None, WAITING, NOT_TRIED), Ending(NOT_APPROVED, reason, NOT_APPROVED_MOVE))
    return False


def _send_all(step: PushContext, to_do: Iterable[str]) -> None:
    """Push these patients; later in the same run, push those again whose outcome is not known.

    Raises ServerUnavailable or AccessDenied if not all patients are done.
    """
    sending = _Sending(step)
    again = sending.push(to_do)
    if again and not step.dry_run and not sending.given_up:
        # An answer can be lost while eCW still works on the request; after this time a search finds the patient.
        step.sleep(step.push["options"]["unknown_outcome_wait_seconds"])
        sending.push(again)
    sending.require_done()


class _Sending:
    """Pushes patients until all are done, a person stops the push, or GIVE_UP patients fail in a row."""

    def __init__(self, step: PushContext) -> None:
        self.step, self.pushing = step, step.pushing()
        self.failed_in_a_row = 0
        self.last_message = ""
        self._lock = Lock()

    @property
    def given_up(self) -> bool:
        return self.failed_in_a_row >= GIVE_UP

    def push(self, crm_ids: Iterable[str]) -> list[str]:
        """Push patients; return those whose outcome is not known, or that another worker had."""
        pushes = concurrent(self._push_one, crm_ids, IN_FLIGHT)
        again = (PushStatus.UNKNOWN, PushStatus.BUSY)
        return [crm_id for crm_id, pushed in pushes if pushed is not None and pushed.status in again]

    def _push_one(self, crm_id: str) -> Pushed | None:
        """Push one patient and store the result; return None if it was not tried."""
        if self.given_up:
            return None
        pushed = Pushed(crm_id, PushStatus.STOPPED)
        if self.step.allowed():
            try:
                pushed = push_patient(self.pushing, crm_id)
            except ConfigurationError as error:  # the practice's searches do not suffice for a create; updates go on
                pushed = Pushed(crm_id, PushStatus.FAILED, outcome=raised(error))
        reason, next_step = describe_result(pushed, dry_run=self.step.dry_run)
        self.step.progress.note(
            crm_id,
            status=pushed.status,
            ecw_id=pushed.ecw_id,
            fields=names(pushed.fields),
            reason=reason,
            next_step=next_step,
        )
        self._count(pushed, f"{(reason or '').rstrip('.')}: {next_step}")
        return pushed

    def _count(self, pushed: Pushed, message: str) -> None:
        """Count the failures in a row, without those that concern only one patient."""
        with self._lock:
            if pushed.status == PushStatus.FAILED:
                self.failed_in_a_row += not pushed.own
                self.last_message = message
            elif pushed.status not in NOT_SENT:
                self.failed_in_a_row = 0

    def require_done(self) -> None:
        """Raise AccessDenied if a person must act, ServerUnavailable if a retry can push the rest."""
        counts = self.step.progress.counts()
        if self.given_up:
            raise AccessDenied(
                f"eCW refused {self.failed_in_a_row} patients in a row for a reason that does not concern a single "
                f"patient; the others were not tried. {self.last_message}",
                next_step="fix the reason, then clear this task: it continues where it stopped.",
            )
        if set(counts) == {PushStatus.FAILED}:
            raise AccessDenied(
                f"No patient could be pushed. {self.last_message}",
                next_step="fix the reason, then clear this task.",
            )
        left = counts.get(PushStatus.LATER, 0) + (0 if self.step.dry_run else counts.get(PushStatus.UNKNOWN, 0))
        if left:
            raise ServerUnavailable(
                f"{left} patients could not be pushed now, or their outcome is not known yet.",
                next_step="try again: done patients are not sent again, and those of unknown outcome are searched "
                "for first.",
            )
