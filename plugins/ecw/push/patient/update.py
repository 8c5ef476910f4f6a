"""The update of a patient that is linked: read both sides, merge three ways, validate, send what differs.

Every further attempt begins anew, since the clinic or the CRM may have edited while eCW was busy.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import Any

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import PushStatus
from ecw.crm.load.identity import RUNG as IDENTITY
from ecw.crm.state import conflicts, edit_times
from ecw.errors import EcwError, PushStopped
from ecw.mapping.transform.to_resource import Composed
from ecw.pull.extract.dedupe import version
from ecw.push import intents
from ecw.push.context import Pushed
from ecw.push.crm_patients import Record
from ecw.push.intents import UNKNOWN, UPDATE, VOID
from ecw.push.locks import LEASE
from ecw.push.patient.resolve_unknown import Settling
from ecw.push.rules import bundle
from ecw.push.rules.bundle import version_id
from ecw.push.rules.match import NeedsReview, merged_away
from ecw.push.rules.outcome import Kind, Outcome, raised, understand
from ecw.push.rules.validate import Finding, findings
from ecw.three_way_merge import MergeBase, Merged, learn, merge

Json = dict[str, Any]
_MERGED = "eCW has merged this patient into another one"
_JOIN = "join the CRM's record with that of the patient whom eCW kept."
FRESH = 5.0  # seconds that a request may wait for the quota: what was read and searched for may be over then


class Updating(Settling):
    """A patient whose update is merged with what eCW has, and sent."""

    def _update(self, failed: tuple[Outcome, ...] = ()) -> Pushed:
        """Merge and send; `failed` are the attempts so far, none of which did anything."""
        pushing = self.pushing
        ecw_id = self.record.ecw_id or ""
        present = pushing.client.read(pushing.mapping.resource, ecw_id)
        if not self._is_the_same_now():
            return self.pushed(PushStatus.BUSY)
        emr = self._emr(present)
        self.settle_update(emr)
        if why := pushing.patients.another_person(self.record, emr):
            return self.hold(NeedsReview((ecw_id,), IDENTITY, why), UPDATE)
        if merged_away(present):
            return self.reject([Finding(pushing.mapping.key, "merged", _MERGED, _JOIN)])
        merged = self._merge(self.record, present, emr)
        written = {name: value for name, value in merged.to_emr.items() if value is not None}
        clear = [name for name, value in merged.to_emr.items() if value is None]
        composed = pushing.composer.resource(written, into=present, clear=clear)
        if (composed.written or composed.problems) and (found := self._findings(composed, written, present)):
            return self.reject(found)
        sent = {name: merged.to_emr[name] for name in composed.written}
        if pushing.options.dry_run:
            return self.pushed(PushStatus.UPDATED if sent else PushStatus.UNCHANGED, fields=sent, held=merged.held)
        if not sent or composed.resource == present:
            return self.agreed(merged, emr)
        if self._tried_enough():
            return self.give_up(UPDATE)
        if kept := self._decide(UPDATE, ecw_id, sent):
            return kept
        if merged.conflicts:
            with self.writing(self.sending) as connection:  # before eCW's values are gone: the answer can be lost
                self.write_conflicts(connection, merged, emr, done=False)
        # Some practices want the id in the URL, too: they answer 100 without it.
        id_in_url = pushing.id_in_url or any(each.code == "100" for each in failed)
        request = bundle.update(composed.resource, id_in_url=id_in_url, version=version_id(present))
        outcome = self._attempt(request, UPDATE, sent)
        if outcome.kind is Kind.DONE:
            pushing.id_in_url = pushing.id_in_url or id_in_url
            return self.agreed(merged, emr, outcome, sent)
        if self._is_worth_another(outcome, failed):
            if outcome.kind is Kind.RETRY_ONCE:
                self.noted(UPDATE, outcome, sent, UNKNOWN)  # should this process die while it waits
                pushing.sleep(pushing.options.unknown_outcome_wait_seconds)  # eCW may still be at it
                tries = self.tries  # by earlier pushes: this attempt is one of them for the next push only
                with reading(pushing.engine) as connection:
                    noted = intents.latest(connection, pushing.place, self.record.crm_id)
                self.intent = None if noted is None else replace(noted, attempts=tries)
            else:
                self.noted(UPDATE, outcome, sent, VOID)
            return self._update((*failed, outcome))
        return self.not_done(UPDATE, outcome, sent)

    def _is_the_same_now(self) -> bool:
        """Read the CRM's row anew; False where it is gone, or means another patient of eCW than before."""
        before = self.record
        with reading(self.pushing.engine) as connection:
            now = self.pushing.patients.read(connection, before.crm_id)
        if now is None or (now.ecw_id, now.linked) != (before.ecw_id, before.linked):
            return False
        self.record, self.key = now, self.pushing.key(now)
        return True

    def _is_worth_another(self, outcome: Outcome, failed: tuple[Outcome, ...]) -> bool:
        """Return True if an attempt that did nothing is made again: once for each of eCW's codes, else with
        patience."""
        if outcome.code == "100":
            return not self.pushing.id_in_url and all(each.code != "100" for each in failed)
        if outcome.kind is Kind.RETRY_ONCE:
            return all(each.kind is not Kind.RETRY_ONCE for each in failed)
        return outcome.kind is Kind.LATER and len(failed) + 1 < self.pushing.client.trying.patience.attempts

    def _findings(self, composed: Composed, row: Json, before: Json | None = None) -> list[Finding]:
        pushing = self.pushing
        ids = {"Location": pushing.locations}
        return findings(composed, pushing.mapping.pushed, row, before=before, limits=pushing.options.limits, ids=ids)

    # -- sending

    def _tried_enough(self) -> bool:
        return self.tries >= intents.TRIES and not self.pushing.options.again

    def _decide(self, operation: str, ecw_id: str | None, sent: Json) -> Pushed | None:
        """Write the intent down, unless a person has stopped the push, or locked the patient meanwhile, or is to look
        at what was sent often enough.

        Raises RowChanged where the row is not what was read, ClaimLost where another worker has the patient: neither
        can change then until the intent is committed, and the request follows within FRESH seconds.
        """
        pushing, crm_id = self.pushing, self.record.crm_id
        if self._tried_enough():
            return self.give_up(operation)
        if not pushing.allowed():
            return self.pushed(PushStatus.STOPPED)
        with self.writing(self.sending) as connection:
            now = pushing.patients.read(connection, crm_id, to_write=True)
            if now is None or now.locked:
                return self.pushed(PushStatus.MISSING if now is None else PushStatus.LOCKED)
            self.require_same(connection, now)
            decision = intents.Decision(self.key, operation, ecw_id, sent, pushing.run_id)
            intents.decide(connection, pushing.place, crm_id, decision)
        return None

    @property
    def sending(self) -> float:
        """Return for how many seconds the claims must hold when a request follows: until it has ended for sure."""
        # One that is sent again with a new token takes as long once more.
        return FRESH + LEASE + 2 * self.pushing.client.transport.limits.answer_seconds

    def _attempt(self, request: Json, operation: str, sent: Json) -> Outcome:
        began = time.monotonic()
        sent_id = self.record.ecw_id if operation == UPDATE else None
        try:
            answer = self.pushing.client.transact(request, within=FRESH)
            outcome = understand(answer, plain=self.pushing.plain, sent_id=sent_id)
        except PushStopped as error:
            self.noted(operation, raised(error), sent, VOID)
            raise
        except EcwError as error:
            outcome = raised(error, update=operation == UPDATE, plain=self.pushing.plain)
        return replace(outcome, seconds=time.monotonic() - began)

    def _emr(self, present: Json) -> Json:
        """Return eCW's row, without the columns whose value cannot be read: those are left alone."""
        mapped = self.pushing.mapper.row(present)
        unreadable = {problem.column for problem in mapped.problems}
        emr = {name: value for name, value in mapped.row.items() if name not in unreadable}
        for column in self.pushing.mapping.pushed:
            if not column.pulled:
                emr[column.name] = self.pushing.composer.present(column, present)
        return emr

    def _merge(self, record: Record, present: Json, emr: Json) -> Merged:
        place = self.pushing.place
        with reading(self.pushing.engine) as connection:
            chosen = conflicts.choices(connection, place.practice, place.resource, record.crm_id, record.row, emr)
            changed = version(present)
            newer = edit_times.newer(
                connection,
                self.pushing.patients.target,
                record.crm_id,
                record.changed_at,
                None if changed is None else datetime.fromisoformat(changed),
            )
            base, normalized_fields = learn(record.agreed or MergeBase(), emr, record.ecw_id or "")
            self.normalized_fields = [name for name in normalized_fields if emr[name] != record.ecw_id]
            return merge(self.pushing.rules, base, record.row, emr, newer=newer, choices=chosen)
