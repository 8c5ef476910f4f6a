"""One patient, from the CRM's row to eCW and back: validate, match or merge, write the intent down, send, record.

    open intent of a create   search for it first, and send nothing until it is known
    no link                   validate; match: link, hold, or create
    link                      read what eCW has, merge three ways, validate, update what differs

At any moment the process can die: before the intent is written nothing was sent, after it the next push searches.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.exc import DBAPIError

from ecw.agreement import Agreed, Merged, Side, merge
from ecw.crm import conflicts
from ecw.crm.engine import reading
from ecw.crm.trouble import told
from ecw.errors import AnswerIncomplete, ConfigurationWrong, EcwError, PushStopped, RecordMissing, TryAgain
from ecw.mapping.compose import Composed
from ecw.pull.seen import version
from ecw.push import bundle, intents
from ecw.push.alone import alone, in_turn
from ecw.push.intents import CREATE, HELD, NEW, REFUSED, UPDATE, VOID
from ecw.push.match import Certain, Held, Sought, alike
from ecw.push.outcome import Kind, Outcome, raised, understand
from ecw.push.patients import Record
from ecw.push.pushing import Pushed, Pushing
from ecw.push.settle import Settling
from ecw.push.validate import Finding, element_of, findings

Json = dict[str, Any]


def push_patient(pushing: Pushing, crm_id: str) -> Pushed:
    """Push one patient of the CRM; do nothing while another worker has it.

    Raises ConfigurationWrong where the practice's searches do not suffice, and what the CRM's database raises; trouble
    with eCW is the patient's own outcome.
    """
    with alone(pushing.engine, pushing.place, crm_id) as mine:
        if not mine:
            return Pushed(crm_id, "busy")
        try:
            with reading(pushing.engine) as connection:
                record = pushing.patients.read(connection, crm_id)
                intent = intents.latest(connection, pushing.place, crm_id)
            if record is None:
                return Pushed(crm_id, "missing")
            return _Patient(pushing, record, intent, pushing.key(record)).push()
        except DBAPIError as error:
            raise told(error, "The push of a patient") from None


class _Patient(Settling):
    """One patient on its way; the lock is held."""

    def push(self) -> Pushed:
        try:
            return self.settle() or self._send_or_not()
        except ConfigurationWrong:
            raise
        except PushStopped:
            return self.pushed("stopped")
        except EcwError as error:  # of a read or a search: no write ends here
            outcome = raised(error)
            if self.pushing.options.dry_run is False:
                with self.pushing.engine.begin() as connection:
                    self.log(connection, "read", outcome)
            if isinstance(error, RecordMissing) and self.record.ecw_id is not None:
                return self.pushed("refused", outcome)
            pushed = self.pushed("later" if isinstance(error, TryAgain) else "failed", outcome)
            return replace(pushed, own=isinstance(error, AnswerIncomplete))

    # -- the two ways

    def _send_or_not(self) -> Pushed:
        intent, options = self.intent, self.pushing.options
        if self.record.locked:
            return self.pushed("locked")
        if intent and intent.state == REFUSED and intent.intent == self.key and not options.again:
            return self.pushed("refused")
        if self.record.ecw_id is None:
            return self._create_in_turn() if options.create else self.pushed("skipped")
        return self._update() if options.update else self.pushed("skipped")

    def _create_in_turn(self) -> Pushed:
        """Create those who were born on the same day one after the other.

        Two rows of the CRM may be one person, whom no search finds while both are on their way.
        """
        born = next((c.name for c in self.pushing.mapping.pushed if element_of(c.steps) == "birthDate"), "")
        with in_turn(self.pushing.engine, self.pushing.place, f"born {self.record.row.get(born)}") as mine:
            return self._create() if mine else self.pushed("busy")

    def _just_sent(self, sought: Sought) -> bool:
        """Say whether somebody like the patient was sent so short a time ago that eCW may not show it yet."""
        pushing = self.pushing
        if pushing.options.dry_run or (self.intent is not None and self.intent.choice == NEW):
            return False
        since = datetime.now(UTC) - timedelta(seconds=pushing.options.settle_after)
        with reading(pushing.engine) as connection:
            others = intents.sent_since(connection, pushing.place, self.record.crm_id, since)
        return any(alike(sought, pushing.composer.resource(other).resource) for other in others)

    def _create(self) -> Pushed:
        pushing, row = self.pushing, self.record.row
        composed = pushing.composer.resource(row)
        if found := self._findings(composed, row):
            return self.reject(found)
        sought = self.sought(row)
        match = self._chosen(pushing.ladder.find(sought))
        if isinstance(match, Held):
            return self.hold(match, CREATE)
        if isinstance(match, Certain):
            return self._link(match)
        if self._just_sent(sought):
            return self.pushed("busy")
        sent = {name: row[name] for name in composed.written}
        if pushing.options.dry_run:
            return self.pushed("created", fields=sent)
        if not self._decide(CREATE, None, sent):
            return self.pushed("stopped")
        resource = composed.resource
        outcome = self._attempt(bundle.create(resource, self._condition(resource)), CREATE, sent)
        if outcome.kind is Kind.RETRY_ONCE and pushing.ladder.find(self.sought(row)) is None:
            self.noted(CREATE, outcome, sent)
            outcome = self._attempt(bundle.create(resource, self._condition(resource)), CREATE, sent)
        if outcome.kind is Kind.DONE:
            return self.created(outcome, sent, CREATE)
        if outcome.kind is Kind.LINK:
            self.noted(CREATE, outcome, sent, VOID)
            again = pushing.ladder.find(self.sought(row))
            return self._link(again) if isinstance(again, Certain) else self.hold(again or _nobody(outcome), CREATE)
        return self.not_done(CREATE, outcome, sent)

    def _update(self) -> Pushed:
        pushing, record = self.pushing, self.record
        ecw_id = record.ecw_id or ""
        present = pushing.client.read(pushing.mapping.resource, ecw_id)
        emr = self._emr(present)
        self.settle_update(emr)
        record = self.record
        merged = self._merge(record, present, emr)
        written = {name: value for name, value in merged.to_emr.items() if value is not None}
        clear = [name for name, value in merged.to_emr.items() if value is None]
        composed = pushing.composer.resource(written, into=present, clear=clear)
        if composed.written and (found := self._findings(composed, written, present)):
            return self.reject(found)
        sent = {name: merged.to_emr[name] for name in composed.written}
        if pushing.options.dry_run:
            return self.pushed("updated" if sent else "unchanged", fields=sent, held=merged.held)
        if not sent or composed.resource == present:
            return self.agreed(merged, emr)
        if not self._decide(UPDATE, ecw_id, sent):
            return self.pushed("stopped")
        outcome = self._put(composed.resource, sent)
        if outcome.kind is not Kind.DONE:
            return self.not_done(UPDATE, outcome, sent)
        return self.agreed(merged, emr, outcome, sent)

    def _findings(self, composed: Composed, row: Json, before: Json | None = None) -> list[Finding]:
        pushing = self.pushing
        ids = {"Location": pushing.locations}
        return findings(composed, pushing.mapping.pushed, row, before=before, limits=pushing.options.limits, ids=ids)

    # -- sending

    def _put(self, resource: Json, sent: Json) -> Outcome:
        pushing = self.pushing
        outcome = self._attempt(bundle.update(resource, id_in_url=pushing.id_in_url), UPDATE, sent)
        if outcome.code == "100" and not pushing.id_in_url:
            self.noted(UPDATE, outcome, sent)  # some practices want the id in the URL, too
            outcome = self._attempt(bundle.update(resource, id_in_url=True), UPDATE, sent)
            pushing.id_in_url = outcome.kind is Kind.DONE
        elif outcome.kind is Kind.RETRY_ONCE:
            self.noted(UPDATE, outcome, sent)
            outcome = self._attempt(bundle.update(resource, id_in_url=pushing.id_in_url), UPDATE, sent)
        return outcome

    def _decide(self, operation: str, ecw_id: str | None, sent: Json) -> bool:
        """Write the intent down, unless a person has stopped the push."""
        if not self.pushing.allowed():
            return False
        place, run_id = self.pushing.place, self.pushing.run_id
        intents.decide(
            self.pushing.engine,
            place,
            self.record.crm_id,
            intent=self.key,
            operation=operation,
            ecw_id=ecw_id,
            sent=sent,
            run_id=run_id,
        )
        return True

    def _attempt(self, request: Json, operation: str, sent: Json) -> Outcome:
        began = time.monotonic()
        sent_id = self.record.ecw_id if operation == UPDATE else None
        try:
            answer = self.pushing.client.transact(request)
            outcome = understand(answer, plain=self.pushing.plain, sent_id=sent_id)
        except PushStopped as error:
            self.noted(operation, raised(error), sent, VOID)
            raise
        except EcwError as error:
            outcome = raised(error)
        return replace(outcome, seconds=time.monotonic() - began)

    def _condition(self, resource: Json) -> str | None:
        """Return the condition of a create, for servers that know such: nobody has the identifier."""
        chosen_new = self.intent is not None and self.intent.choice == NEW
        return bundle.condition(resource) if self.pushing.plain and not chosen_new else None

    # -- what came of it

    def _link(self, match: Certain) -> Pushed:
        """Link the patient that eCW has, and go on as with any linked one: the first merge fills gaps on both sides."""
        outcome = Outcome(Kind.DONE, f"Linked to the patient that eCW has ({match.rung})", "", None, None, match.ecw_id)
        if self.pushing.options.dry_run:
            return self.pushed("linked", ecw_id=match.ecw_id)
        if not self.linked(match.ecw_id, Agreed(), outcome, "link", ()):
            return self.pushed("held", outcome)
        self.record = replace(self.record, ecw_id=match.ecw_id, linked=True, agreed=Agreed())
        if not self.pushing.options.update:
            return self.pushed("linked", outcome)
        after = self._update()
        return replace(after, did="linked") if after.did == "unchanged" else after

    # -- reading both sides

    def _chosen(self, match: Certain | Held | None) -> Certain | Held | None:
        """Put a person's choice in the place of a match that is held."""
        choice = self.intent.choice if self.intent and self.intent.state == HELD else None
        if not isinstance(match, Held) or choice is None or self.intent is None:
            return match
        if choice == NEW:
            return None if set(match.candidates) <= set(self.intent.candidates) else match
        return Certain(choice, "a person's choice") if choice in match.candidates else match

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
        newer: Side | None = None
        changed = version(present)
        if changed is not None and record.changed_at is not None:
            newer = "emr" if datetime.fromisoformat(changed) > record.changed_at else "crm"
        return merge(self.pushing.rules, record.agreed or Agreed(), record.row, emr, newer=newer, choices=chosen)


def _nobody(outcome: Outcome) -> Held:
    return Held((), "eCW's answer", f"eCW says: {outcome.words}; the searches do not find it")
