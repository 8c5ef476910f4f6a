"""The patients of one run, side by side: pushed, settled, read back; each one's end is written down as it comes."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import Any

from sqlalchemy import Engine

from ecw.crm.db.enums import NOT_SENT, PushStatus, ReadBack
from ecw.errors import AccessDenied, ConfigurationError, PushStopped, ServerUnavailable
from ecw.fhir.retry import RetryPolicy
from ecw.fhir.thread_pool import concurrent
from ecw.models import Push
from ecw.practice.client import client_of
from ecw.practice.mappings import connection_of, mapping_of
from ecw.push import progress
from ecw.push.context import Options, Pushed, Pushing, PushRun
from ecw.push.intents import Place
from ecw.push.kill_switch import Allowed
from ecw.push.messages import describe_result
from ecw.push.patient.push import push_patient
from ecw.push.patient.readback import KEPT, KEPT_MOVE, RACED, RACED_MOVE, Confirmed
from ecw.push.patient.readback import confirm as read_back
from ecw.push.plan import capability
from ecw.push.plan.begin import place_of
from ecw.push.rules.outcome import raised
from ecw.push.rules.validate import Limits
from ecw.settings.practices import of_connection

log = logging.getLogger(__name__)
IN_FLIGHT = 8  # each holds up to three connections to the CRM: see max_overflow in crm.engine
GIVE_UP = 5  # refusals in a row whose reason is not the patient's: nobody else's turn would come out otherwise
NOBODY = "nobody in time"  # of an approval that was not answered
LOOKS = 4  # at a new patient that eCW does not show yet


@dataclass
class Running:
    """A run of the push, and what its patients share."""

    engine: Engine
    push: Push
    sleep: Callable[[float], None] = time.sleep
    patience: RetryPolicy | None = None  # of a call; None: as every call has it
    allowed: Callable[[], bool] = field(init=False)  # as the switches of the practice say

    def __post_init__(self) -> None:
        self.allowed = Allowed(of_connection(self.push["ecw_conn_id"]))

    @property
    def place(self) -> Place:
        return place_of(self.push)

    @property
    def dry(self) -> bool:
        return bool(self.push["options"]["dry_run"])

    def require_same(self) -> None:
        """Raise ConfigurationError where a connection names another practice, or another CRM, than for the plan."""
        push = self.push
        connection_of(push)
        if push["creates"] + push["updates"] and not progress.of_run(self.engine, self.place, push["run_id"]):
            raise ConfigurationError(
                f"This CRM has no plan of the run {push['run_id']}: the connection {push['crm_conn_id']!r} names "
                f"another database than when the run began, or the run is older than {progress.KEEP.days} days.",
                next_step="trigger a new run; to finish this one, point the connection back and clear the task.",
            )

    def pushing(self) -> Pushing:
        """Return what the pushes share; /metadata is called where the run has not kept what it says."""
        push, wanted = self.push, self.push["options"]
        options = Options(
            create=wanted["only"] != "update",
            update=wanted["only"] != "create",
            dry_run=self.dry,
            again=push["named"],
            unknown_outcome_wait_seconds=wanted["unknown_outcome_wait_seconds"],
            limits=Limits(max_text_length=wanted["max_text_length"], allowed_characters=wanted["allowed_characters"]),
        )
        client = client_of(push, self.engine, self.patience)
        capability.know(push, client)
        mapping = mapping_of(push, self.place.resource)
        run = PushRun(push["run_id"], options, self.allowed, self.sleep)
        return Pushing(self.engine, client, mapping, run)


def send(running: Running, approval: Mapping[str, Any] | None) -> dict[str, int]:
    """Do what steps.send says."""
    push, place, engine = running.push, running.place, running.engine
    if push["needs_approval"]:
        if not (approval or {}).get("approved"):
            who = (approval or {}).get("by")
            progress.reject(engine, place, push["run_id"], who or NOBODY)
            why = f"{who} rejected it" if who else "nobody approved it in time"
            unsent = (None, progress.WAITING, progress.NOT_TRIED)
            ending = progress.Ending(progress.NOT_APPROVED, why, NOT_APPROVED_MOVE)
            progress.note_rest(engine, place, push["run_id"], unsent, ending)
            return _counts(running)
        progress.approve(engine, place, push["run_id"], (approval or {}).get("by") or NOBODY)
    todo = progress.to_do(engine, place, push["run_id"])
    if todo and not running.allowed():
        reason, next_step = describe_result(Pushed("", PushStatus.STOPPED))
        left = (None, *progress.UNFINISHED)
        ending = progress.Ending(PushStatus.STOPPED, reason or "", next_step or "")
        progress.note_rest(engine, place, push["run_id"], left, ending)
    elif todo:
        sending = _Sending(running)
        again = sending.all(todo)
        if again and not running.dry and not sending.given_up:
            # An answer can be lost while eCW still works on it: then it is searched for, in this run still.
            running.sleep(push["options"]["unknown_outcome_wait_seconds"])
            sending.all(again)
        sending.require_done()
    return _counts(running)


NOT_APPROVED_MOVE = (
    "see whether so many changes are meant; then trigger a run and approve it, or push some with `limit` or `patients`."
)


class _Sending:
    """Pushes patients until all are done, a person stops it, or eCW refuses one after the other."""

    def __init__(self, running: Running) -> None:
        self.running, self.pushing = running, running.pushing()
        self.failed_in_a_row = 0
        self.last_words = ""
        self._lock = Lock()

    @property
    def given_up(self) -> bool:
        return self.failed_in_a_row >= GIVE_UP

    def all(self, crm_ids: Iterable[str]) -> list[str]:
        """Push them; return those whose outcome is not known, or whom another worker had."""
        pushes = concurrent(self.one, crm_ids, IN_FLIGHT)
        again = (PushStatus.UNKNOWN, PushStatus.BUSY)
        return [crm_id for crm_id, pushed in pushes if pushed is not None and pushed.status in again]

    def one(self, crm_id: str) -> Pushed | None:
        """Push one patient and write down the result; None where it was not tried."""
        running = self.running
        if self.given_up:
            return None
        pushed = Pushed(crm_id, PushStatus.STOPPED)
        if running.allowed():
            try:
                pushed = push_patient(self.pushing, crm_id)
            except ConfigurationError as error:  # the practice's searches do not suffice; updates need none
                pushed = Pushed(crm_id, PushStatus.FAILED, outcome=raised(error))
        reason, next_step = describe_result(pushed)
        progress.note(
            *(running.engine, running.place, running.push["run_id"], crm_id),
            status=pushed.status,
            ecw_id=pushed.ecw_id,
            fields=progress.names(pushed.fields),
            reason=reason,
            next_step=next_step,
        )
        with self._lock:
            if pushed.status == PushStatus.FAILED:
                self.failed_in_a_row += not pushed.own
                self.last_words = f"{(reason or '').rstrip('.')}: {next_step}"
            elif pushed.status not in NOT_SENT:
                self.failed_in_a_row = 0
        return pushed

    def require_done(self) -> None:
        """Raise what asks for another try, or for a person, where not all is done."""
        running, counts = self.running, _counts(self.running)
        if self.given_up:
            raise AccessDenied(
                f"eCW refused {self.failed_in_a_row} patients in a row for a reason that is not theirs; the others "
                f"were not tried. {self.last_words}",
                next_step="have that fixed, then clear this task: it continues where it was.",
            )
        if set(counts) == {PushStatus.FAILED}:
            raise AccessDenied(
                f"Nobody could be pushed. {self.last_words}",
                next_step="have that fixed, then clear this task.",
            )
        left = counts.get(PushStatus.LATER, 0) + (0 if running.dry else counts.get(PushStatus.UNKNOWN, 0))
        if left:
            raise ServerUnavailable(
                f"{left} patients could not be pushed now, or what happened to them is not known yet.",
                next_step="try again: those that are done are not sent again, and the unknown are searched for first.",
            )


def confirm(running: Running) -> dict[str, int]:
    """Do what steps.confirm says."""
    engine, place, run_id = running.engine, running.place, running.push["run_id"]
    waiting = progress.to_confirm(engine, place, run_id)
    if not waiting or not running.allowed():
        return {}
    pushing = running.pushing()
    wait, found = float(running.push["options"]["readback_delay_seconds"]), Counter[str]()
    running.sleep(_left(running, waiting, wait))
    for look in range(LOOKS):
        last = look == LOOKS - 1
        read = partial(read_back, pushing, last=last)
        try:
            shown = dict(concurrent(read, waiting, IN_FLIGHT))
        except PushStopped:  # the next pull merges them as any other
            break
        for crm_id, done in shown.items():
            if done.seen or last:
                found[word := _word(done)] += 1
                why = {"reason": f"{KEPT}: {progress.names(done.kept)}", "next_step": KEPT_MOVE} if done.kept else {}
                if done.raced and not done.kept:
                    why = {"reason": f"{RACED}: {progress.names(done.raced)}", "next_step": RACED_MOVE}
                normalized_fields = progress.names(done.normalized_fields)
                progress.note(engine, place, run_id, crm_id, confirmed=word, normalized_fields=normalized_fields, **why)
        waiting = [crm_id for crm_id, done in shown.items() if not done.seen]
        if not waiting or last:
            break
        running.sleep(wait * 2**look)
    return dict(found)


def _left(running: Running, waiting: list[str], wait: float) -> float:
    """Return how long the last of these patients is still to be left alone."""
    rows = progress.of_run(running.engine, running.place, running.push["run_id"])
    sent = [row["at"] for row in rows if row["crm_id"] in set(waiting) and row["at"]]
    since = (datetime.now(UTC) - max(sent)).total_seconds() if sent else wait
    return max(0.0, wait - since)


def _word(done: Confirmed) -> ReadBack:
    if done.kept:
        return ReadBack.NOT_TAKEN
    return ReadBack.COMPLETE if done.complete else ReadBack.SEEN if done.seen else ReadBack.NOT_SHOWN


def _counts(running: Running) -> dict[str, int]:
    rows = progress.of_run(running.engine, running.place, running.push["run_id"])
    return dict(Counter(row["status"] or progress.NOT_TRIED.value for row in rows))
