"""Update a linked patient: read both sides, merge three ways, validate, send the differences.

Every new attempt starts from the beginning, because the clinic or the CRM may have edited the patient meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import JournalOutcome, PushStatus
from ecw.crm.load.identity import RUNG as IDENTITY
from ecw.crm.state import conflicts, edit_times
from ecw.pull.extract.dedupe import version
from ecw.push.context import Pushed
from ecw.push.intents import UPDATE, VOID
from ecw.push.patient.recorder import MergedSides, Recorder
from ecw.push.patient.resolve_unknown import UnknownOutcome
from ecw.push.patient.sender import Sender
from ecw.push.patient.state import PatientState
from ecw.push.rules import bundle
from ecw.push.rules.bundle import version_id
from ecw.push.rules.match import NeedsReview, merged_away
from ecw.push.rules.outcome import Outcome
from ecw.push.rules.validate import Finding
from ecw.three_way_merge import MergeBase, learn, merge

Json = dict[str, Any]
_MERGED = "eCW has merged this patient into another one"
_JOIN = "merge the CRM's row with the row of the patient that eCW kept."


@dataclass(frozen=True, slots=True)
class _Change:
    """A change to send: the resource, the version that was read, the merge, and the columns that differ."""

    resource: Json
    version: str | None
    sides: MergedSides
    sent: Json


@dataclass(frozen=True, slots=True)
class Update:
    """Updates one patient with the CRM's changes only."""

    patient: PatientState
    sender: Sender
    recorder: Recorder
    unknown: UnknownOutcome

    def run(self) -> Pushed:
        """Merge and send until an attempt succeeds or cannot be repeated; return the result.

        Raises RowChanged, ClaimLost, PushStopped, and the errors of a read.
        """
        failed: list[Outcome] = []
        while isinstance(result := self._merge_and_send(failed), Outcome):
            failed.append(result)
        return result

    def _merge_and_send(self, failed: list[Outcome]) -> Pushed | Outcome:
        """Make one attempt; return its Outcome if it did nothing and another attempt can succeed."""
        patient, pushing = self.patient, self.patient.pushing
        ecw_id = patient.record.ecw_id or ""
        present = pushing.client.read(pushing.mapping.resource, ecw_id)
        if not patient.read_again():
            return patient.result(PushStatus.BUSY)
        emr = self._row_of(present)
        self.unknown.settle_update(emr)
        if why := pushing.patients.another_person(patient.record, emr):
            return self.recorder.hold(NeedsReview((ecw_id,), IDENTITY, why), UPDATE)
        if merged_away(present):
            return self.recorder.reject([Finding(pushing.mapping.key, "merged", _MERGED, _JOIN)])
        sides = self._merge(present, emr)
        merged = sides.merged
        written = {name: value for name, value in merged.to_emr.items() if value is not None}
        clear = [name for name, value in merged.to_emr.items() if value is None]
        composed = pushing.composer.resource(written, into=present, clear=clear)
        if (composed.written or composed.problems) and (findings := pushing.findings(composed, written, present)):
            return self.recorder.reject(findings)
        sent = {name: merged.to_emr[name] for name in composed.written}
        if pushing.options.dry_run:
            status = PushStatus.UPDATED if sent else PushStatus.UNCHANGED
            return patient.result(status, fields=sent, held=merged.held)
        if not sent or composed.resource == present:
            return self.recorder.agreed(sides)
        return self._send(_Change(composed.resource, version_id(present), sides, sent), failed)

    def _send(self, change: _Change, failed: list[Outcome]) -> Pushed | Outcome:
        patient, pushing, sender = self.patient, self.patient.pushing, self.sender
        sides, sent = change.sides, change.sent
        if unsent := sender.decide(UPDATE, sent):
            return unsent
        if sides.merged.conflicts:
            # Before the request overwrites eCW's values, because the answer can be lost.
            with patient.writing(sender.claim_seconds) as connection:
                self.recorder.write_conflicts(connection, sides, done=False)
        # Some practices require the id in the URL as well, and answer code 100 without it.
        id_in_url = pushing.id_in_url or any(each.code == "100" for each in failed)
        request = bundle.update(change.resource, id_in_url=id_in_url, version=change.version)
        outcome = sender.send(request, UPDATE, sent)
        if outcome.kind is JournalOutcome.DONE:
            pushing.id_in_url = pushing.id_in_url or id_in_url
            return self.recorder.agreed(sides, outcome, sent)
        if not sender.is_worth_another(outcome, failed):
            return self.recorder.failed(UPDATE, outcome, sent)
        if outcome.kind is JournalOutcome.RETRY_ONCE:
            sender.wait(UPDATE, outcome, sent)
            patient.read_intent_again()
        else:
            self.recorder.attempted(UPDATE, outcome, sent, VOID)
        return outcome

    def _row_of(self, present: Json) -> Json:
        """Return eCW's row without the columns whose value cannot be read: the update does not change them."""
        pushing = self.patient.pushing
        mapped = pushing.mapper.row(present)
        unreadable = {problem.column for problem in mapped.problems}
        emr = {name: value for name, value in mapped.row.items() if name not in unreadable}
        for column in pushing.mapping.pushed:
            if not column.pulled:
                emr[column.name] = pushing.composer.present(column, present)
        return emr

    def _merge(self, present: Json, emr: Json) -> MergedSides:
        pushing, record = self.patient.pushing, self.patient.record
        place = pushing.place
        with reading(pushing.engine) as connection:
            chosen = conflicts.choices(connection, place.practice, place.resource, record.crm_id, record.row, emr)
            changed = version(present)
            newer = edit_times.newer(
                connection,
                pushing.patients.target,
                record.crm_id,
                record.changed_at,
                None if changed is None else datetime.fromisoformat(changed),
            )
            base, normalized = learn(record.agreed or MergeBase(), emr, record.ecw_id or "")
            # `newer` asks the CRM only where both sides changed a column.
            merged = merge(pushing.rules, base, record.row, emr, newer=newer, choices=chosen)
        return MergedSides(merged, emr, tuple(name for name in normalized if emr[name] != record.ecw_id))
