"""Read back what a run has written, as soon as eCW shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial

from ecw.crm.db.enums import ReadBack
from ecw.errors import PushStopped
from ecw.fhir.thread_pool import concurrent
from ecw.push.patient.readback import KEPT, KEPT_MOVE, RACED, RACED_MOVE, Confirmed
from ecw.push.patient.readback import confirm as read_back
from ecw.push.progress import Progress, names
from ecw.push.step_context import IN_FLIGHT, PushContext

LOOKS = 4  # at a new patient that eCW does not show yet


def confirm(step: PushContext) -> dict[str, int]:
    """Do what steps.confirm says."""
    waiting = step.progress.to_confirm()
    if not waiting or not step.allowed():
        return {}
    pushing = step.pushing()
    found = Counter[str]()
    delay = float(step.push["options"]["readback_delay_seconds"])
    pause = _left(step.progress, waiting, delay)
    for look in range(LOOKS):
        step.sleep(pause)
        last = look == LOOKS - 1
        try:
            shown = dict(concurrent(partial(read_back, pushing, last=last), waiting, IN_FLIGHT))
        except PushStopped:  # the next pull merges them as any other
            break
        for crm_id, confirmed in shown.items():
            if confirmed.seen or last:
                found[_note(step.progress, crm_id, confirmed)] += 1
        waiting = [crm_id for crm_id, confirmed in shown.items() if not confirmed.seen]
        if not waiting:
            break
        pause = delay * 2**look
    return dict(found)


def _left(progress: Progress, waiting: Collection[str], delay: float) -> float:
    """Return how many seconds the last of these patients is still to be left alone."""
    sent = [row["at"] for row in progress.rows() if row["crm_id"] in set(waiting) and row["at"]]
    since = (datetime.now(UTC) - max(sent)).total_seconds() if sent else delay
    return max(0.0, delay - since)


def _note(progress: Progress, crm_id: str, confirmed: Confirmed) -> ReadBack:
    """Write down what reading a patient back found; return it in one word."""
    why = {}
    if confirmed.kept:
        why = {"reason": f"{KEPT}: {names(confirmed.kept)}", "next_step": KEPT_MOVE}
    elif confirmed.raced:
        why = {"reason": f"{RACED}: {names(confirmed.raced)}", "next_step": RACED_MOVE}
    word = _word(confirmed)
    progress.note(crm_id, confirmed=word, normalized_fields=names(confirmed.normalized_fields), **why)
    return word


def _word(confirmed: Confirmed) -> ReadBack:
    if confirmed.kept:
        return ReadBack.NOT_TAKEN
    if confirmed.complete:
        return ReadBack.COMPLETE
    return ReadBack.SEEN if confirmed.seen else ReadBack.NOT_SHOWN
