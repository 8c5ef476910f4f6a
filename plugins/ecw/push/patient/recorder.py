"""Store the results of one patient's push, each in one transaction: the link, the merge base, the intent, conflicts,
rejects and the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from ecw.crm import journal
from ecw.crm.db.enums import Direction, JournalOutcome, PushStatus
from ecw.crm.load.load import one_at_a_time
from ecw.crm.state import conflicts
from ecw.identity.held import Held, reason_of
from ecw.push import intents, progress
from ecw.push.context import Pushed, Pushing
from ecw.push.crm_records import Record
from ecw.push.intents import CREATE, DONE, HELD, REFUSED, UNKNOWN, UPDATE, VOID
from ecw.push.patient import rejects
from ecw.push.patient.state import PatientState
from ecw.push.rules.match import Match, NeedsReview
from ecw.push.rules.outcome import Outcome
from ecw.push.rules.validate import Finding
from ecw.three_way_merge import MergeBase, Merged

Json = dict[str, Any]
_GIVEN_UP = "ask eCW support what is wrong; a patient that changes, or is named in the form, is sent again."
_HELD_IN_DRY_RUN = "push without dry run, then `ecw matches list` has the patient; a dry run holds no patient."


def log_learned(pushing: Pushing, connection: Connection, record: Record, normalized_fields: Iterable[str]) -> None:
    """Add a journal entry with the columns that eCW stores in its own spelling, if there are any."""
    if not (fields := tuple(normalized_fields)):
        return
    journal.write(
        connection,
        journal.JournalEntry(
            practice=pushing.place.practice,
            resource=pushing.place.resource,
            run_id=pushing.run_id,
            direction=Direction.PUSH,
            operation=journal.LEARN,
            outcome=JournalOutcome.DONE,
            message=journal.LEARNED,
            crm_id=record.crm_id,
            ecw_id=record.ecw_id,
            fields=tuple(fields),
        ),
    )


@dataclass(frozen=True, slots=True)
class MergedSides:
    """A merge with eCW's row; `normalized_fields`: the columns that eCW shows shorter or in another spelling."""

    merged: Merged
    emr: Json
    normalized_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recorder:
    """Stores the results of one patient's push while this worker has the claim."""

    patient: PatientState

    def taken_over(self) -> Pushed:
        """Return BUSY: another worker has the patient now, and searches for the outcome of this one's requests."""
        message = "Another worker has taken the patient over: the result of this one is not used"
        with self.patient.pushing.engine.begin() as connection:
            self.log(connection, "fenced", Outcome(JournalOutcome.UNKNOWN, message, "", None))
        return self.patient.result(PushStatus.BUSY)

    def created(self, outcome: Outcome, sent: Mapping[str, Any], operation: str) -> Pushed:
        """Link the patient that eCW has created."""
        ecw_id = outcome.ecw_id or ""
        if not self._link(MergeBase(crm=dict(sent), sent=dict(sent)), outcome, operation, sent):
            return self.patient.result(PushStatus.HELD, self._linked_already(ecw_id))
        return self.patient.result(PushStatus.CREATED, outcome, fields=sent, ecw_id=ecw_id)

    def linked(self, match: Match) -> Pushed:
        """Link the patient to its match in eCW."""
        message = f"Linked to the patient that eCW has ({match.match_rule})"
        outcome = Outcome(JournalOutcome.DONE, message, "", None, None, match.ecw_id)
        if not self._link(MergeBase(), outcome, "link", ()):
            return self.patient.result(PushStatus.HELD, self._linked_already(match.ecw_id))
        return self.patient.result(PushStatus.LINKED, outcome)

    def _link(self, agreed: MergeBase, outcome: Outcome, operation: str, fields: Iterable[str]) -> bool:
        """Link the outcome's patient and settle the intent; with `fields`, also count the patient as created.

        Return False and hold the patient if a pull has meanwhile linked the eCW record to another row.
        """
        patient, pushing, ecw_id = self.patient, self.patient.pushing, outcome.ecw_id or ""
        place, crm_id = pushing.place, patient.record.crm_id
        with patient.writing() as connection:
            one_at_a_time(connection, place.practice, place.resource)
            if not fields:  # nothing was sent: link only if the matched row did not change
                patient.require_same(connection)
            linked = pushing.patients.link(connection, crm_id, ecw_id, agreed, pushing.run_id)
            if linked:
                pushing.patients.confirm(connection, patient.record, ecw_id, {})
                intents.settle(connection, place, crm_id, DONE, ecw_id)
                rejects.replace(connection, place, crm_id, pushing.run_id, ())
                if fields:
                    self._finished(connection, PushStatus.CREATED, ecw_id, fields)
            else:
                self._record_unsent(connection, HELD, CREATE, "link", (ecw_id,))
                held = self._linked_already(ecw_id)
                outcome = replace(outcome, kind=held.kind, message=held.message, next_step=held.next_step)
            self.log(connection, operation, outcome, fields)
        return linked

    def agreed(self, sides: MergedSides, outcome: Outcome | None = None, sent: Iterable[str] = ()) -> Pushed:
        """Store the merge base after an update, or after a merge that had nothing to send."""
        patient, pushing, record = self.patient, self.patient.pushing, self.patient.record
        merged, ecw_id, sent = sides.merged, record.ecw_id or "", tuple(sent)
        # eCW's side keeps its old values until the record is read again: see readback.
        agreed = merged.unseen(MergeBase(emr=sides.emr)) if sent else merged.pushed
        with patient.writing() as connection:
            if sent or not record.linked:
                one_at_a_time(connection, pushing.place.practice, pushing.place.resource)
                if not pushing.patients.link(connection, record.crm_id, ecw_id, agreed, pushing.run_id):
                    self._record_unsent(connection, HELD, UPDATE, "link", (ecw_id,))
                    if outcome is not None:
                        self.log(connection, UPDATE, outcome, sent)
                    return patient.result(PushStatus.HELD, self._linked_already(ecw_id))
            elif agreed != record.agreed:
                pushing.patients.agree(connection, ecw_id, agreed)
            self.write_conflicts(connection, sides)
            log_learned(pushing, connection, record, sides.normalized_fields)
            rejects.replace(connection, pushing.place, record.crm_id, pushing.run_id, ())
            if patient.intent is not None or sent:
                intents.settle(connection, pushing.place, record.crm_id, DONE, ecw_id)
            if outcome is not None:
                self.log(connection, UPDATE, outcome, sent)
            if sent:
                self._finished(connection, PushStatus.UPDATED, ecw_id, sent)
        status = PushStatus.UPDATED if sent else PushStatus.UNCHANGED
        return patient.result(status, outcome, fields=sent, held=merged.held)

    def _finished(self, connection: Connection, status: PushStatus, ecw_id: str, fields: Iterable[str]) -> None:
        """Record the result in the run's progress, in the link's transaction: a run that dies afterwards counts it."""
        pushing, crm_id = self.patient.pushing, self.patient.record.crm_id
        progress.note_within(
            *(connection, pushing.place, pushing.run_id, crm_id),
            status=status,
            ecw_id=ecw_id,
            fields=progress.names(fields),
        )

    def write_conflicts(self, connection: Connection, sides: MergedSides, *, done: bool = True) -> None:
        """Store the columns that both sides changed; without `done`, the merge's values are still to be sent."""
        place, record = self.patient.pushing.place, self.patient.record
        ids = (place.practice, place.resource, record.crm_id, record.ecw_id or "", self.patient.pushing.run_id)
        merged_record = conflicts.MergedRecord(*ids, sides.merged.conflicts, record.row, sides.emr)
        conflicts.record(connection, merged_record, done=done)

    def failed(self, operation: str, outcome: Outcome, sent: Iterable[str]) -> Pushed:
        """Store an attempt that failed, or whose outcome is not known."""
        state, status = {
            JournalOutcome.UNKNOWN: (UNKNOWN, PushStatus.UNKNOWN),
            JournalOutcome.FIX_DATA: (REFUSED, PushStatus.REFUSED),
            JournalOutcome.LINK: (REFUSED, PushStatus.REFUSED),
            JournalOutcome.ADMINISTRATOR: (VOID, PushStatus.FAILED),
            JournalOutcome.RETRY_ONCE: (VOID, PushStatus.FAILED),  # it was already sent once more
        }.get(outcome.kind, (VOID, PushStatus.LATER))
        if outcome.kind is JournalOutcome.RETRY_ONCE and self.patient.tries:  # an earlier push has tried it as well
            state, status, outcome = REFUSED, PushStatus.REFUSED, replace(outcome, next_step=_GIVEN_UP)
        self.attempted(operation, outcome, sent, state)
        return self.patient.result(status, outcome, fields=sent)

    def give_up(self, operation: str) -> Pushed:
        """Refuse a content that was sent TRIES times, and leave it to a person."""
        message = f"Sent {self.patient.tries} times without a clear answer of eCW"
        outcome = Outcome(JournalOutcome.ADMINISTRATOR, message, _GIVEN_UP, None)
        with self.patient.writing() as connection:
            self._record_unsent(connection, REFUSED, operation)
            self.log(connection, "reject", outcome)
        return self.patient.result(PushStatus.REFUSED, outcome)

    def attempted(self, operation: str, outcome: Outcome, sent: Iterable[str], state: str | None = None) -> None:
        """Add one attempt to the journal, and set the intent's state if one is given."""
        with self.patient.writing() as connection:
            if state is not None:
                place, crm_id = self.patient.pushing.place, self.patient.record.crm_id
                intents.settle(connection, place, crm_id, state, counts=outcome.unclear)
            self.log(connection, operation, outcome, sent)

    def hold(self, match: NeedsReview, operation: str) -> Pushed:
        """Hold the patient until a person chooses; a dry run only returns the result."""
        intent, dry_run = self.patient.intent, self.patient.pushing.options.dry_run
        outcome = self._held(match)
        if dry_run and (intent is None or intent.state != HELD):  # otherwise an earlier push holds the patient
            outcome = replace(outcome, next_step=_HELD_IN_DRY_RUN)
        candidates = {*match.candidates, *(intent.ruled_out if intent is not None and operation == CREATE else ())}
        if not dry_run:
            with self.patient.writing() as connection:
                self._record_unsent(connection, HELD, operation, match.match_rule, sorted(candidates))
                self.log(connection, "hold", outcome)
        return self.patient.result(PushStatus.HELD, outcome)

    def _linked_already(self, ecw_id: str) -> Outcome:
        """Return the outcome for a patient whose eCW record a pull has meanwhile linked to another row of the CRM."""
        return replace(self._held(NeedsReview((ecw_id,), "link", Held.LINKED_ALREADY)), ecw_id=ecw_id)

    def _held(self, match: NeedsReview) -> Outcome:
        next_step = reason_of(match.why).resolution.replace("CRM_ID", self.patient.record.crm_id)
        return Outcome(JournalOutcome.LINK, f"Held ({match.match_rule}): {match.why}", next_step, None)

    def reject(self, findings: list[Finding]) -> Pushed:
        """Store the fields that eCW would refuse as rejects; the patient is not sent."""
        pushing, record = self.patient.pushing, self.patient.record
        if not pushing.options.dry_run:
            operation = UPDATE if record.ecw_id else CREATE
            message = "; ".join(f"{each.field}: {each.reason}" for each in findings)
            outcome = Outcome(JournalOutcome.FIX_DATA, message, findings[0].next_step, None)
            with self.patient.writing() as connection:
                rejects.replace(connection, pushing.place, record.crm_id, pushing.run_id, findings)
                self._record_unsent(connection, REFUSED, operation)
                self.log(connection, "reject", outcome, {each.field for each in findings})
        return replace(self.patient.result(PushStatus.REJECTED), findings=tuple(findings))

    def _record_unsent(
        self,
        connection: Connection,
        state: str,
        operation: str,
        match_rule: str | None = None,
        candidates: Iterable[str] = (),
    ) -> None:
        """Store an intent that is not sent."""
        what = intents.Unsent(
            state, self.patient.key, operation, self.patient.pushing.run_id, match_rule, tuple(candidates)
        )
        intents.record_unsent(connection, self.patient.pushing.place, self.patient.record.crm_id, what)

    def log(self, connection: Connection, operation: str, outcome: Outcome, fields: Iterable[str] = ()) -> None:
        """Add a row to the journal."""
        done = outcome.kind is JournalOutcome.DONE and outcome.http is not None
        journal.write(
            connection,
            journal.JournalEntry(
                practice=self.patient.pushing.place.practice,
                resource=self.patient.pushing.place.resource,
                run_id=self.patient.pushing.run_id,
                direction=Direction.PUSH,
                operation=operation,
                outcome=outcome.kind,
                message="200 OK" if done else outcome.message,  # the text that the CRM's administrators expect
                next_step=outcome.next_step,
                crm_id=self.patient.record.crm_id,
                ecw_id=outcome.ecw_id or self.patient.record.ecw_id,
                http_status=outcome.http,
                code=outcome.code,
                fields=tuple(fields),
                seconds=outcome.seconds,
            ),
        )
