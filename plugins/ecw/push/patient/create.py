"""Create a patient who is not linked: validate it, search eCW for it, and send it if eCW does not have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ecw.crm.db.enums import JournalOutcome, PushStatus
from ecw.identity.held import Held
from ecw.push.context import Pushed
from ecw.push.intents import CREATE, VOID
from ecw.push.patient.recorder import Recorder
from ecw.push.patient.resolve_unknown import UnknownOutcome
from ecw.push.patient.search import PatientSearch
from ecw.push.patient.sender import Sender
from ecw.push.patient.state import PatientState, RowChanged
from ecw.push.rules import bundle
from ecw.push.rules.match import ANSWERED, Match, MatchQuery, NeedsReview
from ecw.push.rules.outcome import Outcome

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Create:
    """Creates one patient, at most once."""

    patient: PatientState
    search: PatientSearch
    sender: Sender
    recorder: Recorder
    unknown: UnknownOutcome

    def run(self) -> Match | Pushed:
        """Create the patient and return the result, or return its match in eCW; every new attempt searches again.

        Raises RowChanged, ClaimLost, PushStopped, and the errors of a search.
        """
        failed: list[Outcome] = []
        while isinstance(result := self._search_and_send(failed), Outcome):
            failed.append(result)
        return result

    def _search_and_send(self, failed: list[Outcome]) -> Match | Pushed | Outcome:
        """Make one attempt; return its Outcome if it did nothing and another attempt can succeed."""
        patient, pushing, row = self.patient, self.patient.pushing, self.patient.record.row
        composed = pushing.composer.resource(row)
        if findings := pushing.findings(composed, row):
            return self.recorder.reject(findings)
        query = self.search.query(row)
        match = self.search.find_or_chosen(query)
        if isinstance(match, NeedsReview):
            return self.recorder.hold(match, CREATE)
        if match is not None:
            return match
        if self.search.was_just_sent(query):
            return patient.result(PushStatus.BUSY)
        sent = {name: row[name] for name in composed.written}
        if pushing.options.dry_run:
            return patient.result(PushStatus.CREATED, fields=sent)
        if self.sender.tried_enough:
            return self.recorder.give_up(CREATE)
        # The searches take a while, and the clinic may enter the patient meanwhile, so search again before sending.
        if self.search.was_just_entered(query):
            raise RowChanged
        outcome = self._send(composed.resource, sent)
        return outcome if isinstance(outcome, Pushed) else self._record(outcome, query, sent, failed)

    def _send(self, resource: Json, sent: Json) -> Pushed | Outcome:
        """Write the intent and send; send once more if eCW asks for it and does not have the patient."""
        if unsent := self.sender.decide(CREATE, sent):
            return unsent
        resource = self.patient.pushing.claimed(resource)
        request = bundle.create(resource, self._condition(resource))
        outcome = self.sender.send(request, CREATE, sent)
        if outcome.kind is not JournalOutcome.RETRY_ONCE:
            return outcome
        self.sender.wait(CREATE, outcome, sent)
        unsent = self.unknown.settle_by_search(sent) or self.sender.decide(CREATE, sent)
        return unsent or self.sender.send(request, CREATE, sent)

    def _condition(self, resource: Json) -> str | None:
        """Return the condition of a create for servers that support it: no patient has the identifier."""
        chosen_new = self.patient.intent is not None and self.patient.intent.new
        return bundle.condition(resource) if self.patient.pushing.plain and not chosen_new else None

    def _record(
        self, outcome: Outcome, query: MatchQuery, sent: Json, failed: list[Outcome]
    ) -> Match | Pushed | Outcome:
        if outcome.kind is JournalOutcome.DONE:
            return self.recorder.created(outcome, sent, CREATE)
        if outcome.kind is JournalOutcome.LATER and self.sender.is_worth_another(outcome, failed):
            self.recorder.attempted(CREATE, outcome, sent, VOID)
            return outcome
        if outcome.kind is JournalOutcome.LINK:
            self.recorder.attempted(CREATE, outcome, sent, VOID)
            match = self.search.find(query)
            return match if isinstance(match, Match) else self.recorder.hold(match or _nobody(outcome), CREATE)
        return self.recorder.failed(CREATE, outcome, sent)


def _nobody(outcome: Outcome) -> NeedsReview:
    candidates = (outcome.ecw_id,) if outcome.ecw_id else ()
    return NeedsReview(candidates, ANSWERED, Held.ECW_SAYS_SO)
