"""What comes of one patient's push is written down, each time in one transaction: the link, what is agreed, the intent,
conflicts, rejects and the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from ecw.crm import journal
from ecw.crm.db.enums import PushStatus
from ecw.crm.load.load import one_at_a_time
from ecw.crm.state import conflicts
from ecw.identity.held import reason_of
from ecw.push import intents, progress
from ecw.push.context import Pushed, Pushing
from ecw.push.crm_patients import Record
from ecw.push.intents import CREATE, DONE, HELD, REFUSED, UNKNOWN, UPDATE, VOID, Intent
from ecw.push.locks import LEASE, Claim
from ecw.push.patient import rejects
from ecw.push.rules.match import NeedsReview
from ecw.push.rules.outcome import Kind, Outcome
from ecw.push.rules.validate import Finding
from ecw.three_way_merge import MergeBase, Merged

Json = dict[str, Any]
_STAYS_SO = "ask eCW support what is wrong; a patient that changes, or is named in the form, is sent again."
_NOT_KEPT = "nothing yet: a dry run holds nobody; push without dry run, then `ecw matches list` has the patient."


class RowChanged(Exception):
    """The row, its link, or what eCW has of it is not what the push was decided by: it begins anew."""


def log_learned(pushing: Pushing, connection: Connection, record: Record, normalized_fields: Iterable[str]) -> None:
    """Tell in the patient's journal which values eCW keeps in its own way, where there are any."""
    if not (fields := tuple(normalized_fields)):
        return
    journal.write(
        connection,
        journal.JournalEntry(
            practice=pushing.place.practice,
            resource=pushing.place.resource,
            run_id=pushing.run_id,
            direction=journal.PUSH,
            operation=journal.LEARN,
            outcome="done",
            message=journal.LEARNED,
            crm_id=record.crm_id,
            ecw_id=record.ecw_id,
            fields=tuple(fields),
        ),
    )


def _comparable(record: Record) -> tuple[Record, dict[str, str | None]]:
    """Return what must stay: what is agreed as it is kept, where nothing and never agreed are the same."""
    return replace(record, changed_at=None, agreed=None), (record.agreed or MergeBase()).texts()


@dataclass(slots=True)
class OnePatient:
    """A patient of the CRM, its latest intent, the key of its present content, and this worker's claims.

    Everything is written in `writing`, so that nothing is once another worker has the patient.
    """

    pushing: Pushing
    record: Record
    intent: Intent | None
    key: str
    claims: list[Claim]
    normalized_fields: list[str] = field(default_factory=list)  # columns that eCW shows shorter, or in another spelling

    @contextmanager
    def writing(self, seconds: float = LEASE) -> Iterator[Connection]:
        """Give a transaction in which this worker has the patient still; its claims hold for so many seconds after it.

        Raises ClaimLost.
        """
        with self.pushing.engine.begin() as connection:
            for claim in self.claims:
                claim.keep(connection, seconds)
            yield connection

    def require_same(self, connection: Connection, now: Record | None = None) -> None:
        """Raise RowChanged where the row, the link, what is agreed or a person's choice is not what was read.

        The row stays so until the caller's transaction ends.
        """
        place, before = self.pushing.place, self.record
        now = now or self.pushing.patients.read(connection, before.crm_id, to_write=True)
        if now is None or _comparable(now) != _comparable(before):
            raise RowChanged
        intent = intents.latest(connection, place, before.crm_id)
        if (intent and intent.choice) != (self.intent and self.intent.choice):
            raise RowChanged

    def fenced(self) -> Pushed:
        """Say that another worker has the patient now; what this one did, the other one finds out by searching."""
        message = "Another worker has taken the patient over: what this one found is not used"
        with self.pushing.engine.begin() as connection:
            self.log(connection, "fenced", Outcome(Kind.UNKNOWN, message, "", None))
        return self.pushed(PushStatus.BUSY)

    @property
    def tries(self) -> int:
        """How often the present content was sent before, without a word of what is wrong with it."""
        return self.intent.attempts if self.intent is not None and self.intent.intent == self.key else 0

    def linked(self, ecw_id: str, agreed: MergeBase, outcome: Outcome, operation: str, fields: Iterable[str]) -> bool:
        """Link the patient, for good where fields were sent; False where a pull made another row for it.

        Such two a person must join.
        """
        place, crm_id = self.pushing.place, self.record.crm_id
        with self.writing() as connection:
            one_at_a_time(connection, place.practice, place.resource)
            if not fields:  # nothing was sent: the row that was matched must be the one that is linked
                self.require_same(connection)
            linked = self.pushing.patients.link(connection, crm_id, ecw_id, agreed, self.pushing.run_id)
            if linked:
                self.pushing.patients.confirm(connection, self.record, ecw_id, {})
                intents.settle(connection, place, crm_id, DONE, ecw_id)
                rejects.replace(connection, place, crm_id, self.pushing.run_id, ())
                if fields:
                    self.finished(connection, PushStatus.CREATED, ecw_id, fields)
            else:  # a pull came upon the new patient first, and made a row of its own for it
                self.record_unsent(connection, HELD, CREATE, "link", (ecw_id,))
                outcome = replace(
                    outcome, kind=Kind.LINK, next_step="join the two CRM records that are the same patient."
                )
            self.log(connection, operation, outcome, fields)
        return linked

    def agreed(self, merged: Merged, emr: Json, outcome: Outcome | None = None, sent: Iterable[str] = ()) -> Pushed:
        """Record what is agreed after an update, or after a merge that had nothing to send."""
        pushing, record = self.pushing, self.record
        ecw_id, sent = record.ecw_id or "", tuple(sent)
        # Until eCW's record is read again, what it had is what is known of its side: see confirm.
        agreed = merged.unseen(MergeBase(emr=emr)) if sent else merged.pushed
        with self.writing() as connection:
            if sent or not record.linked:
                one_at_a_time(connection, pushing.place.practice, pushing.place.resource)
                if not pushing.patients.link(connection, record.crm_id, ecw_id, agreed, pushing.run_id):
                    self.record_unsent(connection, HELD, UPDATE, "link", (ecw_id,))
                    if outcome is not None:
                        self.log(connection, UPDATE, outcome, sent)
                    return self.pushed(PushStatus.HELD, outcome)
            elif agreed != record.agreed:
                pushing.patients.agree(connection, ecw_id, agreed)
            self.write_conflicts(connection, merged, emr)
            log_learned(pushing, connection, record, self.normalized_fields)
            rejects.replace(connection, pushing.place, record.crm_id, pushing.run_id, ())
            if self.intent is not None or sent:
                intents.settle(connection, pushing.place, record.crm_id, DONE, ecw_id)
            if outcome is not None:
                self.log(connection, UPDATE, outcome, sent)
            if sent:
                self.finished(connection, PushStatus.UPDATED, ecw_id, sent)
        return self.pushed(PushStatus.UPDATED if sent else PushStatus.UNCHANGED, outcome, fields=sent, held=merged.held)

    def finished(self, connection: Connection, status: PushStatus, ecw_id: str, fields: Iterable[str]) -> None:
        """Note in the run's plan that eCW has it, with the link: a run that dies right after still counts it."""
        pushing, crm_id = self.pushing, self.record.crm_id
        progress.note_within(
            *(connection, pushing.place, pushing.run_id, crm_id),
            status=status,
            ecw_id=ecw_id,
            fields=progress.names(fields),
        )

    def write_conflicts(self, connection: Connection, merged: Merged, emr: Json, *, done: bool = True) -> None:
        """Write down which columns both sides changed; not `done`: what the merge says is still to be sent."""
        place, record = self.pushing.place, self.record
        whose = (place.practice, place.resource, record.crm_id, record.ecw_id or "", self.pushing.run_id)
        found = conflicts.MergedRecord(*whose, merged.conflicts, record.row, emr)
        conflicts.record(connection, found, done=done)

    def not_done(self, operation: str, outcome: Outcome, sent: Iterable[str]) -> Pushed:
        """Write down an attempt that failed, or whose outcome is not known."""
        state, status = {
            Kind.UNKNOWN: (UNKNOWN, PushStatus.UNKNOWN),
            Kind.FIX_DATA: (REFUSED, PushStatus.REFUSED),
            Kind.LINK: (REFUSED, PushStatus.REFUSED),
            Kind.ADMINISTRATOR: (VOID, PushStatus.FAILED),
            Kind.RETRY_ONCE: (VOID, PushStatus.FAILED),  # it was sent once more already
        }.get(outcome.kind, (VOID, PushStatus.LATER))
        if outcome.kind is Kind.RETRY_ONCE and self.tries:  # by an earlier push, too
            state, status, outcome = REFUSED, PushStatus.REFUSED, replace(outcome, next_step=_STAYS_SO)
        self.noted(operation, outcome, sent, state)
        return self.pushed(status, outcome, fields=sent)

    def give_up(self, operation: str) -> Pushed:
        """Leave to a person what was sent often enough."""
        message = f"Sent {self.tries} times as it is, and eCW never said what happened to it"
        outcome = Outcome(Kind.ADMINISTRATOR, message, _STAYS_SO, None)
        with self.writing() as connection:
            self.record_unsent(connection, REFUSED, operation)
            self.log(connection, "reject", outcome)
        return self.pushed(PushStatus.REFUSED, outcome)

    def noted(self, operation: str, outcome: Outcome, sent: Iterable[str], state: str | None = None) -> None:
        """Write one attempt into the journal, and the intent's new state where there is one."""
        with self.writing() as connection:
            if state is not None:
                place, crm_id = self.pushing.place, self.record.crm_id
                intents.settle(connection, place, crm_id, state, counts=outcome.unclear)
            self.log(connection, operation, outcome, sent)

    def hold(self, match: NeedsReview, operation: str) -> Pushed:
        """Keep the patient for a person to choose."""
        dry_run = self.pushing.options.dry_run
        move = _NOT_KEPT if dry_run else reason_of(match.why).resolution.replace("CRM_ID", self.record.crm_id)
        outcome = Outcome(Kind.LINK, f"Held ({match.match_rule}): {match.why}", move, None)
        asked_before = self.intent.ruled_out if self.intent is not None and operation == CREATE else ()
        candidates = {*match.candidates, *asked_before}
        if not dry_run:
            with self.writing() as connection:
                self.record_unsent(connection, HELD, operation, match.match_rule, sorted(candidates))
                self.log(connection, "hold", outcome)
        return self.pushed(PushStatus.HELD, outcome)

    def reject(self, found: list[Finding]) -> Pushed:
        """Write down why the patient is not sent as it is."""
        pushing, record = self.pushing, self.record
        if not pushing.options.dry_run:
            operation = UPDATE if record.ecw_id else CREATE
            message = "; ".join(f"{each.field}: {each.reason}" for each in found)
            outcome = Outcome(Kind.FIX_DATA, message, found[0].next_move, None)
            with self.writing() as connection:
                rejects.replace(connection, pushing.place, record.crm_id, pushing.run_id, found)
                self.record_unsent(connection, REFUSED, operation)
                self.log(connection, "reject", outcome, {each.field for each in found})
        return replace(self.pushed(PushStatus.REJECTED), findings=tuple(found))

    def record_unsent(
        self,
        connection: Connection,
        state: str,
        operation: str,
        match_rule: str | None = None,
        candidates: Iterable[str] = (),
    ) -> None:
        """Note an intent that is not sent."""
        what = intents.Unsent(state, self.key, operation, self.pushing.run_id, match_rule, tuple(candidates))
        intents.record_unsent(connection, self.pushing.place, self.record.crm_id, what)

    def log(self, connection: Connection, operation: str, outcome: Outcome, fields: Iterable[str] = ()) -> None:
        """Add a row to the journal."""
        done = outcome.kind is Kind.DONE and outcome.http is not None
        journal.write(
            connection,
            journal.JournalEntry(
                practice=self.pushing.place.practice,
                resource=self.pushing.place.resource,
                run_id=self.pushing.run_id,
                direction=journal.PUSH,
                operation=operation,
                outcome=outcome.kind.value,
                message="200 OK" if done else outcome.message,  # as the CRM's administrators know a success
                next_step=outcome.next_step,
                crm_id=self.record.crm_id,
                ecw_id=outcome.ecw_id or self.record.ecw_id,
                http_status=outcome.http,
                code=outcome.code,
                fields=tuple(fields),
                seconds=outcome.seconds,
            ),
        )

    def pushed(
        self,
        status: PushStatus,
        outcome: Outcome | None = None,
        *,
        ecw_id: str | None = None,
        fields: Iterable[str] = (),
        held: Iterable[str] = (),
    ) -> Pushed:
        """Return the result."""
        found = ecw_id or (outcome.ecw_id if outcome else None) or self.record.ecw_id
        return Pushed(self.record.crm_id, status, found, tuple(fields), outcome, conflicts=tuple(held))
