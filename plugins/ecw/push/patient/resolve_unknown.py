"""Resolve an earlier attempt whose outcome is not known, before anything is sent again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ecw.crm.db.enums import JournalOutcome, PushStatus
from ecw.push import intents
from ecw.push.context import Pushed
from ecw.push.intents import CREATE, DONE, SENDING, UNKNOWN, UPDATE, VOID
from ecw.push.patient.recorder import Recorder
from ecw.push.patient.search import PatientSearch
from ecw.push.patient.state import PatientState
from ecw.push.rules.match import NeedsReview
from ecw.push.rules.outcome import Outcome
from ecw.three_way_merge import MergeBase

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class UnknownOutcome:
    """Settles a patient's earlier attempt: a create by searching eCW, an update by comparing eCW's record."""

    patient: PatientState
    search: PatientSearch
    recorder: Recorder

    def settle(self) -> Pushed | None:
        """Find the outcome of an open attempt; return None if the push can go on, or else its result."""
        patient, pushing, intent = self.patient, self.patient.pushing, self.patient.intent
        if intent is None or not intent.open:
            return None
        if intent.state == SENDING and not pushing.options.dry_run:
            # The process died, perhaps just after it sent the request: eCW may still work on it, so wait from now on.
            with patient.writing() as connection:
                intents.settle(connection, pushing.place, patient.record.crm_id, UNKNOWN)
            patient.intent = intent = replace(intent, state=UNKNOWN, decided_at=datetime.now(UTC))
        age = (datetime.now(UTC) - intent.decided_at).total_seconds()
        if age < pushing.options.unknown_outcome_wait_seconds:
            return patient.result(PushStatus.UNKNOWN)  # eCW may still work on it
        if intent.operation != CREATE or patient.record.linked:
            return None  # the update compares eCW's record: see settle_update
        if pushing.options.dry_run:
            return patient.result(PushStatus.UNKNOWN)
        if pushed := self.settle_by_search(intent.sent):
            return pushed
        patient.intent = replace(intent, state=VOID, sent={})
        return None

    def settle_by_search(self, sent: Mapping[str, Any]) -> Pushed | None:
        """Search for a patient that eCW may have created; return the result, or None if eCW does not have it.

        In the latter case the intent becomes VOID.
        """
        patient = self.patient
        match = self.search.sent(sent)
        if isinstance(match, NeedsReview):
            return self.recorder.hold(match, CREATE)
        if match is not None:
            outcome = Outcome(
                JournalOutcome.DONE, "Found in eCW: the earlier attempt was done", "", None, ecw_id=match.ecw_id
            )
            return self.recorder.created(outcome, sent, "settle")
        with patient.writing() as connection:
            intents.settle(connection, patient.pushing.place, patient.record.crm_id, VOID)
            outcome = Outcome(JournalOutcome.DONE, "Not in eCW: the earlier attempt did nothing", "", None)
            self.recorder.log(connection, "settle", outcome)
        return None

    def settle_update(self, emr: Json) -> None:
        """Settle an update whose outcome is not known by eCW's row, before the next intent replaces it."""
        patient, pushing = self.patient, self.patient.pushing
        record, intent = patient.record, patient.intent
        if intent is None or not intent.open or intent.operation != UPDATE or pushing.options.dry_run:
            return
        done = all(emr.get(name) == value for name, value in intent.sent.items())
        agreed = (record.agreed or MergeBase()).supposing(intent.sent, emr)
        message = "In eCW: the earlier attempt was done" if done else "Not in eCW: the earlier attempt did nothing"
        with patient.writing() as connection:
            if record.linked:
                pushing.patients.agree(connection, record.ecw_id or "", agreed)
            intents.settle(connection, pushing.place, record.crm_id, DONE if done else VOID)
            self.recorder.log(connection, "settle", Outcome(JournalOutcome.DONE, message, "", None), intent.sent)
        patient.record = replace(record, agreed=agreed if record.linked else record.agreed)
        patient.intent = replace(intent, state=DONE if done else VOID)
