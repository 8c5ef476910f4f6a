"""Search eCW for one patient: by the CRM's row, by an earlier attempt, and by a person's choice."""

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
    """Searches eCW for one patient; the result is a match, candidates for a person to choose from, or None."""

    patient: PatientState

    def query(self, row: Mapping[str, Any]) -> MatchQuery:
        """Return the query for a row: the composed patient, every identifier in the CRM, and the ruled-out eCW ids.

        A phone number or street that many patients of the CRM share is used to search, but not as evidence of identity.
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
        """Search for a patient that was sent and may have been created."""
        return self.patient.pushing.matcher.find(self.query(row))

    def find(self, query: MatchQuery) -> Match | NeedsReview | None:
        """Search for the patient, and for the values of an earlier create that eCW may have done."""
        matcher, intent = self.patient.pushing.matcher, self.patient.intent
        match = matcher.find(query)
        earlier_query = self.query(intent.sent) if intent and intent.maybe_created else query
        earlier = matcher.find(earlier_query) if earlier_query != query else None
        if earlier is None or (isinstance(match, Match) and set(earlier.candidates) <= {match.ecw_id}):
            return match
        candidates = {*(match.candidates if match else ()), *earlier.candidates}
        return NeedsReview(tuple(sorted(candidates)), earlier.match_rule, Held.MAYBE_CREATED)

    def find_or_chosen(self, query: MatchQuery) -> Match | NeedsReview | None:
        """Search; if a person chose an eCW patient for a held one, return the choice as the match.

        If the search does not return the choice, or returns new candidates, eCW's record or the CRM's row has changed:
        then the person is asked again, once. With a choice, the patient is never created.
        """
        match, intent = self.find(query), self.patient.intent
        if intent is None or intent.state != HELD or intent.choice is None or intent.new:
            return match
        choice, found = intent.choice, match.candidates if match else ()
        if choice in found and {*found} <= {*intent.candidates}:
            return Match(choice, CHOSEN)
        exists = choice in found or self._exists(choice)
        if exists and intent.match_rule in (CHOSEN, ANSWERED):
            return Match(choice, CHOSEN)
        why = Held.CHOICE_NOT_FOUND if exists else Held.CHOICE_GONE
        if choice in found:
            why = Held.CHOICE_RIVALLED
        candidates = {*found, *([choice] if exists else ())}
        return NeedsReview(tuple(sorted(candidates)), CHOSEN, why)

    def was_just_entered(self, query: MatchQuery) -> bool:
        """Return True if the clinic entered the patient during the other searches; this takes the fewest calls."""
        return self.patient.pushing.matcher.find_exactly(query) is not None

    def was_just_sent(self, query: MatchQuery) -> bool:
        """Return True if a similar patient was sent so recently that eCW may not show it yet."""
        patient, pushing = self.patient, self.patient.pushing
        if pushing.options.dry_run or (patient.intent is not None and patient.intent.new):
            return False
        since = datetime.now(UTC) - timedelta(seconds=pushing.options.unknown_outcome_wait_seconds)
        with reading(pushing.engine) as connection:
            others = intents.sent_since(connection, pushing.place, patient.record.crm_id, since)
        return any(alike(query, pushing.composer.resource(other).resource) for other in others)

    def _exists(self, ecw_id: str) -> bool:
        pushing = self.patient.pushing
        try:
            return not merged_away(pushing.client.read(pushing.mapping.resource, ecw_id))
        except RecordNotFound:
            return False
