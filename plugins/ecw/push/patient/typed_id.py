"""Check an eCW id that a person wrote into the CRM's row, for which there is no link."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import PushStatus
from ecw.crm.load.identity import TYPED
from ecw.identity.guard import mismatch
from ecw.identity.held import Held
from ecw.identity.person import Person
from ecw.mapping.transform.person import person_of
from ecw.push.context import Pushed
from ecw.push.intents import HELD, UPDATE
from ecw.push.patient.recorder import Recorder
from ecw.push.patient.state import PatientState
from ecw.push.rules.match import Match, NeedsReview


@dataclass(frozen=True, slots=True)
class TypedId:
    """Accepts the id if both sides are the same person."""

    patient: PatientState
    recorder: Recorder

    def check(self) -> Match | Pushed | None:
        """Return the match to link to, or the result of a patient that is not linked.

        Return None if a person decided that the id is another person's: then the id is removed from the row.
        """
        patient, pushing, record = self.patient, self.patient.pushing, self.patient.record
        intent, typed = patient.intent, record.ecw_id or ""
        was_held = intent is not None and intent.state == HELD and typed in intent.candidates
        choice = intent.choice if was_held and intent is not None else None
        if choice not in (None, typed):
            return self._remove()
        if not pushing.options.update:
            return patient.result(PushStatus.SKIPPED)
        present = pushing.client.read(pushing.mapping.resource, typed)
        with reading(pushing.engine) as connection:
            owned = pushing.patients.owners(connection, [typed])
        if owned:
            return self.recorder.hold(NeedsReview((typed,), TYPED, Held.LINKED_ALREADY), UPDATE)
        if choice is None and (why := mismatch(person_of(pushing.composer, record.row), Person.of(present))):
            return self.recorder.hold(NeedsReview((typed,), TYPED, why), UPDATE)
        return Match(typed, TYPED)

    def _remove(self) -> Pushed | None:
        """Remove the id from the CRM's row, unless the run creates no patients."""
        patient, pushing = self.patient, self.patient.pushing
        if not pushing.options.create:
            return patient.result(PushStatus.SKIPPED)
        if not pushing.options.dry_run:
            with patient.writing() as connection:
                patient.require_same(connection)
                pushing.patients.write(connection, patient.record.crm_id, {pushing.mapping.key: None})
        patient.record = replace(patient.record, ecw_id=None)
        return None
