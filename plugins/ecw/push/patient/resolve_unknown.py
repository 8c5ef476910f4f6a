"""What happened to an earlier attempt whose outcome is not known: found out before anything is sent again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ecw.crm.db.enums import PushStatus
from ecw.push import intents
from ecw.push.context import Pushed
from ecw.push.intents import CREATE, DONE, SENDING, UNKNOWN, UPDATE, VOID
from ecw.push.patient.recorder import Recorder
from ecw.push.patient.search import PatientSearch
from ecw.push.patient.state import PatientState
from ecw.push.rules.match import NeedsReview
from ecw.push.rules.outcome import Kind, Outcome
from ecw.three_way_merge import MergeBase

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class UnknownOutcome:
    """Settles a patient's earlier attempt: a create by searching, an update by what eCW has now."""

    patient: PatientState
    search: PatientSearch
    recorder: Recorder

    def settle(self) -> Pushed | None:
        """Find out what happened to a create whose outcome is not known; None: nothing is in the way of a push."""
        patient, pushing, intent = self.patient, self.patient.pushing, self.patient.intent
        if intent is None or not intent.open:
            return None
        if intent.state == SENDING and not pushing.options.dry_run:
            # The process died, and may have waited long before it sent: eCW may be at it since a moment ago.
            with patient.writing() as connection:
                intents.settle(connection, pushing.place, patient.record.crm_id, UNKNOWN)
            patient.intent = intent = replace(intent, state=UNKNOWN, decided_at=datetime.now(UTC))
        age = (datetime.now(UTC) - intent.decided_at).total_seconds()
        if age < pushing.options.unknown_outcome_wait_seconds:
            return patient.result(PushStatus.UNKNOWN)  # eCW may still be at it
        if intent.operation != CREATE or patient.record.linked:
            return None  # the merge with what eCW has now settles it
        if pushing.options.dry_run:
            return patient.result(PushStatus.UNKNOWN)
        if pushed := self.settle_by_search(intent.sent):
            return pushed
        patient.intent = replace(intent, state=VOID, sent={})
        return None

    def settle_by_search(self, sent: Mapping[str, Any]) -> Pushed | None:
        """Search for a create that eCW may have done; None: it has not, and the intent says so."""
        patient = self.patient
        found = self.search.sent(sent)
        if isinstance(found, NeedsReview):
            return self.recorder.hold(found, CREATE)
        if found is not None:
            outcome = Outcome(Kind.DONE, "Found in eCW: the earlier attempt was done", "", None, ecw_id=found.ecw_id)
            return self.recorder.created(outcome, sent, "settle")
        with patient.writing() as connection:
            intents.settle(connection, patient.pushing.place, patient.record.crm_id, VOID)
            nothing = Outcome(Kind.DONE, "Not in eCW: the earlier attempt did nothing", "", None)
            self.recorder.log(connection, "settle", nothing)
        return None

    def settle_update(self, emr: Json) -> None:
        """Learn what happened to an update whose outcome is not known, before the next intent takes its place."""
        patient, pushing = self.patient, self.patient.pushing
        record, intent = patient.record, patient.intent
        if intent is None or not intent.open or intent.operation != UPDATE or pushing.options.dry_run:
            return
        there = all(emr.get(name) == value for name, value in intent.sent.items())
        agreed = (record.agreed or MergeBase()).supposing(intent.sent, emr)
        message = "In eCW: the earlier attempt was done" if there else "Not in eCW: the earlier attempt did nothing"
        with patient.writing() as connection:
            if record.linked:
                pushing.patients.agree(connection, record.ecw_id or "", agreed)
            intents.settle(connection, pushing.place, record.crm_id, DONE if there else VOID)
            self.recorder.log(connection, "settle", Outcome(Kind.DONE, message, "", None), intent.sent)
        patient.record = replace(record, agreed=agreed if record.linked else record.agreed)
        patient.intent = replace(intent, state=DONE if there else VOID)
