"""Push one patient from the CRM's row to eCW: validate, match or merge, write the intent, send, record.

    open intent of a create   search eCW for it first, and send nothing until its outcome is known
    no link                   validate and match; then link, hold or create
    an eCW id, but no link    a person wrote it into the CRM: link if it is the same person, else hold
    link                      read eCW's record, merge three ways, validate, update what differs

The process can die at any time: before the intent is written, nothing was sent; after it, the next push searches.
Another worker can take the patient over at any time, and a person can edit its row: the intent is written only if the
claim and the row are unchanged since the decision.
"""

from __future__ import annotations

from dataclasses import replace

from ecw.crm.db.enums import PushStatus
from ecw.crm.db.errors import working
from ecw.errors import (
    ConfigurationError,
    CrmSchemaError,
    DatabaseUnavailable,
    EcwError,
    InvalidResponse,
    PushStopped,
    RecordNotFound,
    RetryableError,
)
from ecw.push.context import Pushed, Pushing, canonical
from ecw.push.intents import REFUSED
from ecw.push.locks import Claim, ClaimLost, alone
from ecw.push.patient.create import Create
from ecw.push.patient.recorder import Recorder
from ecw.push.patient.resolve_unknown import UnknownOutcome
from ecw.push.patient.search import PatientSearch
from ecw.push.patient.sender import Sender
from ecw.push.patient.state import PatientState, RowChanged
from ecw.push.patient.typed_id import TypedId
from ecw.push.patient.update import Update
from ecw.push.rules.match import Match
from ecw.push.rules.outcome import raised
from ecw.three_way_merge import MergeBase

READS = 3  # how often a push starts again because the row or eCW's record has changed meanwhile


def push_patient(pushing: Pushing, crm_id: str) -> Pushed:
    """Push one patient of the CRM; do nothing while another worker has it.

    Raises ConfigurationError if the practice's searches do not suffice, DatabaseUnavailable and CrmSchemaError; other
    errors of eCW become the patient's result.
    """
    canonical_id = canonical(pushing, crm_id)
    if canonical_id is None:
        return Pushed(crm_id, PushStatus.MISSING)
    with working("The push of a patient"), alone(pushing.engine, pushing.place, canonical_id) as claim:
        return Pushed(canonical_id, PushStatus.BUSY) if claim is None else _push_claimed(pushing, claim)


def _push_claimed(pushing: Pushing, claim: Claim) -> Pushed:
    """Read and push a patient; if it changes meanwhile, start again, up to READS times."""
    for _ in range(READS):
        patient = PatientState.read(pushing, claim.name, claim)
        if patient is None:
            return Pushed(claim.name, PushStatus.MISSING)
        try:
            return PatientPush(patient).push()
        except RowChanged:
            continue
        except ClaimLost:
            return Recorder(patient).taken_over()
    return Pushed(claim.name, PushStatus.BUSY)


class PatientPush:
    """The push of one claimed patient: it chooses the operation, and its collaborators carry it out."""

    def __init__(self, patient: PatientState) -> None:
        self.patient = patient
        self.recorder = Recorder(patient)
        self.typed_id = TypedId(patient, self.recorder)
        search, sender = PatientSearch(patient), Sender(patient, self.recorder)
        self.unknown = UnknownOutcome(patient, search, self.recorder)
        self.create = Create(patient, search, sender, self.recorder, self.unknown)
        self.update = Update(patient, sender, self.recorder, self.unknown)

    def push(self) -> Pushed:
        """Settle the earlier attempt, then create, link or update.

        Raises RowChanged, ClaimLost, and the errors that concern all patients.
        """
        record = self.patient.record
        if record.elsewhere or record.unassigned:
            return self.patient.result(PushStatus.ELSEWHERE if record.elsewhere else PushStatus.UNASSIGNED)
        try:
            return self.unknown.settle() or self._not_due() or self._create_or_update()
        except (ConfigurationError, DatabaseUnavailable, CrmSchemaError):  # they concern all patients
            raise
        except PushStopped:
            return self.patient.result(PushStatus.STOPPED)
        except EcwError as error:  # of a read or a search; the sender handles the errors of a write
            return self._failed_read(error)

    def _not_due(self) -> Pushed | None:
        """Return the result of a patient that is locked, or was refused with the same content; None if it is due."""
        patient, intent = self.patient, self.patient.intent
        if patient.record.locked:
            return patient.result(PushStatus.LOCKED)
        same = intent is not None and intent.state == REFUSED and intent.intent == patient.key
        return patient.result(PushStatus.REFUSED) if same and not patient.pushing.options.again else None

    def _create_or_update(self) -> Pushed:
        patient, options = self.patient, self.patient.pushing.options
        if patient.record.linked:
            return self.update.run() if options.update else patient.result(PushStatus.SKIPPED)
        if patient.record.ecw_id is not None and (checked := self.typed_id.check()):
            return self._link(checked) if isinstance(checked, Match) else checked
        if not options.create:
            return patient.result(PushStatus.SKIPPED)
        with patient.in_turn_of_birth_date() as claimed:
            result = self.create.run() if claimed else patient.result(PushStatus.BUSY)
            return self._link(result) if isinstance(result, Match) else result

    def _link(self, match: Match) -> Pushed:
        """Link the patient to its match in eCW, then update it: the first merge fills gaps on both sides."""
        patient, options = self.patient, self.patient.pushing.options
        if options.dry_run:
            return patient.result(PushStatus.LINKED, ecw_id=match.ecw_id)
        linked = self.recorder.linked(match)
        if linked.status != PushStatus.LINKED:
            return linked
        patient.record = replace(patient.record, ecw_id=match.ecw_id, linked=True, agreed=MergeBase())
        if not options.update:
            return linked
        after = self.update.run()
        return replace(after, status=PushStatus.LINKED) if after.status == PushStatus.UNCHANGED else after

    def _failed_read(self, error: EcwError) -> Pushed:
        """Return the result after a read or a search failed: nothing was sent."""
        patient, outcome = self.patient, raised(error, read=True)
        if not patient.pushing.options.dry_run:
            with patient.writing() as connection:
                self.recorder.log(connection, "read", outcome)
        if isinstance(error, RecordNotFound) and patient.record.ecw_id is not None:
            return patient.result(PushStatus.REFUSED, outcome)
        status = PushStatus.LATER if isinstance(error, RetryableError) else PushStatus.FAILED
        return replace(patient.result(status, outcome), own=isinstance(error, InvalidResponse))
