"""One patient, from the CRM's row to eCW and back: validate, match or merge, write the intent down, send, record.

    open intent of a create   search for it first, and send nothing until it is known
    no link                   validate; match: link, hold, or create
    an eCW id, but no link    somebody wrote it into the CRM: link where it is the same person, else hold
    link                      read what eCW has, merge three ways, validate, update what differs

At any moment the process can die: before the intent is written nothing was sent, after it the next push searches.
At any moment another worker can take the patient over, or somebody can edit its row: the intent is written only where
the claim and the row are what they were when it was decided.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import PushStatus
from ecw.crm.db.errors import working
from ecw.crm.load.identity import TYPED
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
from ecw.identity.guard import mismatch
from ecw.identity.held import Held
from ecw.identity.person import Person
from ecw.mapping.transform.person import element_of, person_of
from ecw.push import intents
from ecw.push.context import Pushed, Pushing, canonical
from ecw.push.intents import CREATE, HELD, REFUSED, UNKNOWN, UPDATE, VOID
from ecw.push.locks import ClaimLost, alone, in_turn
from ecw.push.patient.recorder import RowChanged
from ecw.push.patient.update import Updating
from ecw.push.rules import bundle
from ecw.push.rules.match import ANSWERED, CHOSEN, Match, MatchQuery, NeedsReview, alike, merged_away
from ecw.push.rules.outcome import Kind, Outcome, raised
from ecw.three_way_merge import MergeBase

Json = dict[str, Any]
READS = 3  # times that a push begins anew because the row, or what eCW has, changed under it


def push_patient(pushing: Pushing, crm_id: str) -> Pushed:
    """Push one patient of the CRM; do nothing while another worker has it.

    Raises ConfigurationError where the practice's searches do not suffice, and what the CRM's database raises; trouble
    with eCW is the patient's own outcome.
    """
    spelled = canonical(pushing, crm_id)
    if spelled is None:
        return Pushed(crm_id, PushStatus.MISSING)
    crm_id = spelled
    with working("The push of a patient"), alone(pushing.engine, pushing.place, crm_id) as claim:
        if claim is None:
            return Pushed(crm_id, PushStatus.BUSY)
        try:
            for _ in range(READS):
                with reading(pushing.engine) as connection:
                    record = pushing.patients.read(connection, crm_id)
                    intent = intents.latest(connection, pushing.place, crm_id)
                if record is None:
                    return Pushed(crm_id, PushStatus.MISSING)
                patient = _Patient(pushing, record, intent, pushing.key(record), [claim])
                try:
                    return patient.push()
                except RowChanged:
                    continue
            return Pushed(crm_id, PushStatus.BUSY)
        except ClaimLost:
            return patient.fenced()


class _Patient(Updating):
    """One patient on its way; the lock is held."""

    def push(self) -> Pushed:
        if self.record.elsewhere or self.record.unassigned:
            return self.pushed(PushStatus.ELSEWHERE if self.record.elsewhere else PushStatus.UNASSIGNED)
        try:
            return self.settle() or self._send_or_not()
        except (ConfigurationError, DatabaseUnavailable, CrmSchemaError):  # none of them is about this patient
            raise
        except PushStopped:
            return self.pushed(PushStatus.STOPPED)
        except EcwError as error:  # of a read or a search: no write ends here
            outcome = raised(error, read=True)
            if self.pushing.options.dry_run is False:
                with self.writing() as connection:
                    self.log(connection, "read", outcome)
            if isinstance(error, RecordNotFound) and self.record.ecw_id is not None:
                return self.pushed(PushStatus.REFUSED, outcome)
            pushed = self.pushed(PushStatus.LATER if isinstance(error, RetryableError) else PushStatus.FAILED, outcome)
            return replace(pushed, own=isinstance(error, InvalidResponse))

    # -- the two ways

    def _send_or_not(self) -> Pushed:
        intent, options = self.intent, self.pushing.options
        if self.record.locked:
            return self.pushed(PushStatus.LOCKED)
        if intent and intent.state == REFUSED and intent.intent == self.key and not options.again:
            return self.pushed(PushStatus.REFUSED)
        if self.record.ecw_id is not None and not self.record.linked:
            return self._claim()
        if self.record.ecw_id is None:
            return self._create_in_turn() if options.create else self.pushed(PushStatus.SKIPPED)
        return self._update() if options.update else self.pushed(PushStatus.SKIPPED)

    def _claim(self) -> Pushed:
        """Link to the eCW id that somebody wrote into the CRM's row, where that is the same person."""
        pushing, record, intent = self.pushing, self.record, self.intent
        typed = record.ecw_id or ""
        asked = intent is not None and intent.state == HELD and typed in intent.candidates
        choice = intent.choice if asked and intent is not None else None
        if choice not in (None, typed):
            return self._disclaim()
        if not pushing.options.update:
            return self.pushed(PushStatus.SKIPPED)
        present = pushing.client.read(pushing.mapping.resource, typed)
        with reading(pushing.engine) as connection:
            owned = pushing.patients.owners(connection, [typed])
        if owned:
            return self.hold(NeedsReview((typed,), TYPED, Held.LINKED_ALREADY), UPDATE)
        if choice is None and (why := mismatch(person_of(pushing.composer, record.row), Person.of(present))):
            return self.hold(NeedsReview((typed,), TYPED, why), UPDATE)
        return self._link(Match(typed, TYPED))

    def _disclaim(self) -> Pushed:
        """Take an eCW id out of the CRM's row that a person knows to be another patient's, and go on without it."""
        pushing = self.pushing
        if not pushing.options.create:
            return self.pushed(PushStatus.SKIPPED)
        if not pushing.options.dry_run:
            with self.writing() as connection:
                self.require_same(connection)
                pushing.patients.write(connection, self.record.crm_id, {pushing.mapping.key: None})
        self.record = replace(self.record, ecw_id=None)
        self.key = pushing.key(self.record)
        return self._create_in_turn()

    def _create_in_turn(self) -> Pushed:
        """Create those who were born on the same day one after the other.

        Two rows of the CRM may be one person, whom no search finds while both are on their way.
        """
        born = next((c.name for c in self.pushing.mapping.pushed if element_of(c.steps) == "birthDate"), "")
        with in_turn(self.pushing.engine, self.pushing.place, f"born {self.record.row.get(born)}") as claim:
            if claim is None:
                return self.pushed(PushStatus.BUSY)
            self.claims.append(claim)
            try:
                return self._create()
            finally:
                self.claims.remove(claim)

    def _just_sent(self, sought: MatchQuery) -> bool:
        """Return True if somebody like the patient was sent so short a time ago that eCW may not show it yet."""
        pushing = self.pushing
        if pushing.options.dry_run or (self.intent is not None and self.intent.new):
            return False
        since = datetime.now(UTC) - timedelta(seconds=pushing.options.unknown_outcome_wait_seconds)
        with reading(pushing.engine) as connection:
            others = intents.sent_since(connection, pushing.place, self.record.crm_id, since)
        return any(alike(sought, pushing.composer.resource(other).resource) for other in others)

    def _create(self, failed: tuple[Outcome, ...] = ()) -> Pushed:
        """Match, and create whom eCW does not have; `failed` are the attempts so far, none of which did anything."""
        pushing, row = self.pushing, self.record.row
        composed = pushing.composer.resource(row)
        if found := self._findings(composed, row):
            return self.reject(found)
        sought = self.sought(row)
        match = self._chosen(self._find(sought))
        if isinstance(match, NeedsReview):
            return self.hold(match, CREATE)
        if isinstance(match, Match):
            return self._link(match)
        if self._just_sent(sought):
            return self.pushed(PushStatus.BUSY)
        sent = {name: row[name] for name in composed.written}
        if pushing.options.dry_run:
            return self.pushed(PushStatus.CREATED, fields=sent)
        if self._tried_enough():
            return self.give_up(CREATE)
        # The searches take a while, and the clinic may enter the patient meanwhile: once more, right before it is sent.
        if pushing.ladder.find_exactly(sought) is not None:
            raise RowChanged
        if kept := self._decide(CREATE, None, sent):
            return kept
        resource = pushing.claimed(composed.resource)
        request = bundle.create(resource, self._condition(resource))
        outcome = self._attempt(request, CREATE, sent)
        if outcome.kind is Kind.RETRY_ONCE:
            self.noted(CREATE, outcome, sent, UNKNOWN)  # should this process die while it waits
            pushing.sleep(pushing.options.unknown_outcome_wait_seconds)  # eCW may still be at it
            if pushed := self.settle_by_search(sent):
                return pushed
            if kept := self._decide(CREATE, None, sent):
                return kept
            outcome = self._attempt(request, CREATE, sent)
        if outcome.kind is Kind.LATER and self._is_worth_another(outcome, failed):
            self.noted(CREATE, outcome, sent, VOID)
            return self._create((*failed, outcome))
        if outcome.kind is Kind.DONE:
            return self.created(outcome, sent, CREATE)
        if outcome.kind is Kind.LINK:
            self.noted(CREATE, outcome, sent, VOID)
            again = self._find(sought)
            return self._link(again) if isinstance(again, Match) else self.hold(again or _nobody(outcome), CREATE)
        return self.not_done(CREATE, outcome, sent)

    def _condition(self, resource: Json) -> str | None:
        """Return the condition of a create, for servers that know such: nobody has the identifier."""
        chosen_new = self.intent is not None and self.intent.new
        return bundle.condition(resource) if self.pushing.plain and not chosen_new else None

    # -- the result

    def _link(self, match: Match) -> Pushed:
        """Link the patient that eCW has, and go on as with any linked one: the first merge fills gaps on both sides."""
        outcome = Outcome(
            Kind.DONE, f"Linked to the patient that eCW has ({match.match_rule})", "", None, None, match.ecw_id
        )
        if self.pushing.options.dry_run:
            return self.pushed(PushStatus.LINKED, ecw_id=match.ecw_id)
        if not self.linked(match.ecw_id, MergeBase(), outcome, "link", ()):
            return self.pushed(PushStatus.HELD, outcome)
        self.record = replace(self.record, ecw_id=match.ecw_id, linked=True, agreed=MergeBase())
        self.key = self.pushing.key(self.record)
        if not self.pushing.options.update:
            return self.pushed(PushStatus.LINKED, outcome)
        after = self._update()
        return replace(after, status=PushStatus.LINKED) if after.status == PushStatus.UNCHANGED else after

    # -- reading both sides

    def _find(self, sought: MatchQuery) -> Match | NeedsReview | None:
        """Search for the patient, and for what an earlier attempt said of it that eCW may have done."""
        ladder = self.pushing.ladder
        found = ladder.find(sought)
        before = self.sought(self.intent.sent) if self.intent and self.intent.maybe_created else sought
        earlier = ladder.find(before) if before != sought else None
        if earlier is None or (isinstance(found, Match) and set(earlier.candidates) <= {found.ecw_id}):
            return found
        candidates = {*(found.candidates if found else ()), *earlier.candidates}
        return NeedsReview(tuple(sorted(candidates)), earlier.match_rule, Held.MAYBE_CREATED)

    def _chosen(self, match: Match | NeedsReview | None) -> Match | NeedsReview | None:
        """Put the patient that a person chose in the place of what the searches found; it is never created then.

        One that they no longer find has changed in eCW, or the CRM's row has: the person is asked again, once.
        """
        intent = self.intent
        if intent is None or intent.state != HELD or intent.choice is None or intent.new:
            return match
        choice, found = intent.choice, match.candidates if match else ()
        if choice in found and {*found} <= {*intent.candidates}:
            return Match(choice, CHOSEN)
        there = choice in found or self._is_there(choice)
        if there and intent.match_rule in (CHOSEN, ANSWERED):
            return Match(choice, CHOSEN)
        why = Held.CHOICE_NOT_FOUND if there else Held.CHOICE_GONE
        if choice in found:
            why = Held.CHOICE_RIVALLED
        candidates = {*found, *([choice] if there else ())}
        return NeedsReview(tuple(sorted(candidates)), CHOSEN, why)

    def _is_there(self, ecw_id: str) -> bool:
        try:
            return not merged_away(self.pushing.client.read(self.pushing.mapping.resource, ecw_id))
        except RecordNotFound:
            return False


def _nobody(outcome: Outcome) -> NeedsReview:
    candidates = (outcome.ecw_id,) if outcome.ecw_id else ()
    return NeedsReview(candidates, ANSWERED, Held.ECW_SAYS_SO)
