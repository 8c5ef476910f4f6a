"""The search of one patient's push: does eCW have the patient, by the CRM's row, an earlier attempt, or a choice?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ecw.crm.db.engine import reading
from ecw.errors import RecordNotFound
from ecw.identity.held import Held
from ecw.identity.person import Person
from ecw.mapping.transform.person import numbers_of
from ecw.push import intents
from ecw.push.intents import HELD
from ecw.push.patient.state import PatientState
from ecw.push.rules.match import ANSWERED, CHOSEN, Match, MatchQuery, NeedsReview, alike, merged_away


@dataclass(frozen=True, slots=True)
class PatientSearch:
    """Searches eCW for one patient; what is found is the patient, or candidates for a person, or nobody."""

    patient: PatientState

    def query(self, row: Mapping[str, Any]) -> MatchQuery:
        """Return what to search by: the row as it is composed, every identifier that the CRM has, and who it is not.

        A phone number or street that many patients of the CRM have finds candidates, but is no evidence.
        """
        pushing, intent = self.patient.pushing, self.patient.intent
        identifiers, accounts = numbers_of(pushing.mapping, row)
        compose = pushing.composer.resource
        query = MatchQuery.of(compose(row).resource, identifiers, accounts)
        with reading(pushing.engine) as connection:
            shared = pushing.patients.shared(connection, self.patient.record.crm_id)
        if shared:
            own = Person.of(compose({**row, **dict.fromkeys(shared)}).resource)
            query = replace(query, person=own.knowing(identifiers, accounts))
        return replace(query, ruled_out=intent.ruled_out if intent else frozenset())

    def sent(self, row: Mapping[str, Any]) -> Match | NeedsReview | None:
        """Search for what was sent, and may have been created."""
        return self.patient.pushing.matcher.find(self.query(row))

    def find(self, query: MatchQuery) -> Match | NeedsReview | None:
        """Search for the patient, and for what an earlier attempt said of it that eCW may have done."""
        matcher, intent = self.patient.pushing.matcher, self.patient.intent
        found = matcher.find(query)
        before = self.query(intent.sent) if intent and intent.maybe_created else query
        earlier = matcher.find(before) if before != query else None
        if earlier is None or (isinstance(found, Match) and set(earlier.candidates) <= {found.ecw_id}):
            return found
        candidates = {*(found.candidates if found else ()), *earlier.candidates}
        return NeedsReview(tuple(sorted(candidates)), earlier.match_rule, Held.MAYBE_CREATED)

    def find_or_chosen(self, query: MatchQuery) -> Match | NeedsReview | None:
        """Search, and put the patient that a person chose in the place of what is found; it is never created then.

        One that is no longer found has changed in eCW, or the CRM's row has: the person is asked again, once.
        """
        match, intent = self.find(query), self.patient.intent
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

    def was_just_entered(self, query: MatchQuery) -> bool:
        """Search by the fewest calls that find whom the clinic entered while the other searches went on."""
        return self.patient.pushing.matcher.find_exactly(query) is not None

    def was_just_sent(self, query: MatchQuery) -> bool:
        """Return True if somebody like the patient was sent so short a time ago that eCW may not show it yet."""
        patient, pushing = self.patient, self.patient.pushing
        if pushing.options.dry_run or (patient.intent is not None and patient.intent.new):
            return False
        since = datetime.now(UTC) - timedelta(seconds=pushing.options.unknown_outcome_wait_seconds)
        with reading(pushing.engine) as connection:
            others = intents.sent_since(connection, pushing.place, patient.record.crm_id, since)
        return any(alike(query, pushing.composer.resource(other).resource) for other in others)

    def _is_there(self, ecw_id: str) -> bool:
        pushing = self.patient.pushing
        try:
            return not merged_away(pushing.client.read(pushing.mapping.resource, ecw_id))
        except RecordNotFound:
            return False
