"""Read back the patients that a run has pushed, as soon as eCW shows them."""

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

READS = 4  # of a new patient that eCW does not show yet


def confirm(step: PushContext) -> dict[str, int]:
    """Read back the pushed patients as `ecw.push.steps.confirm` describes; return their number by ReadBack state."""
    waiting = step.progress.to_confirm()
    if not waiting or not step.allowed():
        return {}
    pushing = step.pushing()
    counts = Counter[str]()
    delay = float(step.push["options"]["readback_delay_seconds"])
    pause = _remaining_delay(step.progress, waiting, delay)
    for number in range(READS):
        step.sleep(pause)
        last = number == READS - 1
        try:
            results = dict(concurrent(partial(read_back, pushing, last=last), waiting, IN_FLIGHT))
        except PushStopped:  # the next pull merges the patients instead
            break
        for crm_id, confirmed in results.items():
            if confirmed.seen or last:
                counts[_record(step.progress, crm_id, confirmed)] += 1
        waiting = [crm_id for crm_id, confirmed in results.items() if not confirmed.seen]
        if not waiting:
            break
        pause = delay * 2**number
    return dict(counts)


def _remaining_delay(progress: Progress, waiting: Collection[str], delay: float) -> float:
    """Return the seconds to wait until the last of these patients was sent `delay` seconds ago."""
    sent = [row["at"] for row in progress.rows() if row["crm_id"] in set(waiting) and row["at"]]
    since = (datetime.now(UTC) - max(sent)).total_seconds() if sent else delay
    return max(0.0, delay - since)


def _record(progress: Progress, crm_id: str, confirmed: Confirmed) -> ReadBack:
    """Record the result of a patient's readback in the run's progress, and return its state."""
    explanation = {}
    if confirmed.kept:
        explanation = {"reason": f"{KEPT}: {names(confirmed.kept)}", "next_step": KEPT_MOVE}
    elif confirmed.raced:
        explanation = {"reason": f"{RACED}: {names(confirmed.raced)}", "next_step": RACED_MOVE}
    state = _state(confirmed)
    progress.note(crm_id, confirmed=state, normalized_fields=names(confirmed.normalized_fields), **explanation)
    return state


def _state(confirmed: Confirmed) -> ReadBack:
    if confirmed.kept:
        return ReadBack.NOT_TAKEN
    if confirmed.complete:
        return ReadBack.COMPLETE
    return ReadBack.SEEN if confirmed.seen else ReadBack.NOT_SHOWN
