"""Send one patient: write the intent, send the request, read the outcome."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ecw.crm.db.enums import JournalOutcome, PushStatus
from ecw.errors import EcwError, PushStopped
from ecw.push import intents
from ecw.push.context import Pushed
from ecw.push.intents import UNKNOWN, UPDATE, VOID
from ecw.push.locks import LEASE
from ecw.push.patient.recorder import Recorder
from ecw.push.patient.state import PatientState
from ecw.push.rules.outcome import Outcome, raised, understand

Json = dict[str, Any]
FRESH = 5.0  # seconds that a request may wait for the quota; after that, the reads and searches may be outdated


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends one patient; no request is made without a written intent."""

    patient: PatientState
    recorder: Recorder

    @property
    def tried_enough(self) -> bool:
        return self.patient.tries >= intents.TRIES and not self.patient.pushing.options.again

    @property
    def claim_seconds(self) -> float:
        """Return how many seconds the claims must hold when a request follows: until it has certainly ended."""
        # Twice, because a request that is sent again with a new token takes the same time once more.
        return FRESH + LEASE + 2 * self.patient.pushing.client.transport.limits.answer_seconds

    def decide(self, operation: str, sent: Json) -> Pushed | None:
        """Write the intent and return None; or return the result of a patient that is not to be sent.

        That is the case if a person has stopped the push or locked the patient meanwhile, or if the same content was
        sent TRIES times.

        Raises RowChanged if the row has changed since it was read, ClaimLost if another worker has the patient. Neither
        can happen until the intent is committed, and the request follows within FRESH seconds.
        """
        patient, pushing = self.patient, self.patient.pushing
        crm_id, ecw_id = patient.record.crm_id, self._id_of(operation)
        if self.tried_enough:
            return self.recorder.give_up(operation)
        if not pushing.allowed():
            return patient.result(PushStatus.STOPPED)
        with patient.writing(self.claim_seconds) as connection:
            now = pushing.patients.read(connection, crm_id, to_write=True)
            if now is None or now.locked:
                return patient.result(PushStatus.MISSING if now is None else PushStatus.LOCKED)
            patient.require_same(connection, now)
            decision = intents.Decision(patient.key, operation, ecw_id, sent, pushing.run_id)
            intents.decide(connection, pushing.place, crm_id, decision)
        return None

    def send(self, request: Json, operation: str, sent: Json) -> Outcome:
        """Send a request whose intent is written.  Raises PushStopped; then the intent becomes VOID."""
        began = time.monotonic()
        pushing = self.patient.pushing
        try:
            answer = pushing.client.transact(request, within=FRESH)
            outcome = understand(answer, plain=pushing.plain, sent_id=self._id_of(operation))
        except PushStopped as error:
            self.recorder.attempted(operation, raised(error), sent, VOID)
            raise
        except EcwError as error:
            outcome = raised(error, update=operation == UPDATE, plain=pushing.plain)
        return replace(outcome, seconds=time.monotonic() - began)

    def wait(self, operation: str, outcome: Outcome, sent: Json) -> None:
        """Wait for a request that eCW may still work on; the intent is UNKNOWN meanwhile, in case this process dies."""
        self.recorder.attempted(operation, outcome, sent, UNKNOWN)
        self.patient.pushing.sleep(self.patient.pushing.options.unknown_outcome_wait_seconds)

    def is_worth_another(self, outcome: Outcome, failed: Sequence[Outcome]) -> bool:
        """Return True if an attempt that did nothing is to be repeated: once after code 100 or a temporary code of eCW,
        otherwise as often as any call."""
        pushing = self.patient.pushing
        if outcome.code == "100":
            return not pushing.id_in_url and all(each.code != "100" for each in failed)
        if outcome.kind is JournalOutcome.RETRY_ONCE:
            return all(each.kind is not JournalOutcome.RETRY_ONCE for each in failed)
        return outcome.kind is JournalOutcome.LATER and len(failed) + 1 < pushing.client.retrier.retry_policy.attempts

    def _id_of(self, operation: str) -> str | None:
        return self.patient.record.ecw_id if operation == UPDATE else None
