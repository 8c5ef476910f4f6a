"""What one patient's push knows: the CRM's row, what was decided of it before, and this worker's claims on it.

The collaborators of a push share one PatientState.  Only what is read anew changes in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from sqlalchemy import Connection

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import PushStatus
from ecw.mapping.transform.person import element_of
from ecw.push import intents
from ecw.push.context import Pushed, Pushing
from ecw.push.crm_records import Record
from ecw.push.intents import Intent
from ecw.push.locks import LEASE, Claim, in_turn
from ecw.push.rules.outcome import Outcome
from ecw.three_way_merge import MergeBase


class RowChanged(Exception):
    """The row, its link, or what eCW has of it is not what the push was decided by: it begins anew."""


@dataclass(slots=True)
class PatientState:
    """A patient of the CRM, its latest intent, and this worker's claims.

    Everything is written in `writing`, so that nothing is once another worker has the patient.
    """

    pushing: Pushing
    record: Record
    intent: Intent | None
    claims: list[Claim]

    @classmethod
    def read(cls, pushing: Pushing, crm_id: str, claim: Claim) -> Self | None:
        """Read the patient; None: the CRM has it no more."""
        with reading(pushing.engine) as connection:
            record = pushing.patients.read(connection, crm_id)
            intent = intents.latest(connection, pushing.place, crm_id)
        return None if record is None else cls(pushing, record, intent, [claim])

    @property
    def key(self) -> str:
        """The key of the row's present content."""
        return self.pushing.key(self.record)

    @property
    def tries(self) -> int:
        """How often the present content was sent before, without a word of what is wrong with it."""
        return self.intent.attempts if self.intent is not None and self.intent.intent == self.key else 0

    def read_again(self) -> bool:
        """Read the CRM's row anew; False where it is gone, or means another patient of eCW than before."""
        before = self.record
        with reading(self.pushing.engine) as connection:
            now = self.pushing.patients.read(connection, before.crm_id)
        if now is None or (now.ecw_id, now.linked) != (before.ecw_id, before.linked):
            return False
        self.record = now
        return True

    def read_intent_again(self) -> None:
        """Read anew what is noted of the attempt just made; only the next push counts it as one of the earlier."""
        tries = self.tries
        with reading(self.pushing.engine) as connection:
            noted = intents.latest(connection, self.pushing.place, self.record.crm_id)
        self.intent = None if noted is None else replace(noted, attempts=tries)

    @contextmanager
    def writing(self, seconds: float = LEASE) -> Iterator[Connection]:
        """Give a transaction in which this worker has the patient still; its claims hold for so many seconds after it.

        Raises ClaimLost.
        """
        with self.pushing.engine.begin() as connection:
            for claim in self.claims:
                claim.keep(connection, seconds)
            yield connection

    def require_same(self, connection: Connection, now: Record | None = None) -> None:
        """Raise RowChanged where the row, the link, what is agreed or a person's choice is not what was read.

        The row stays so until the caller's transaction ends.
        """
        place, before = self.pushing.place, self.record
        now = now or self.pushing.patients.read(connection, before.crm_id, to_write=True)
        if now is None or _comparable(now) != _comparable(before):
            raise RowChanged
        intent = intents.latest(connection, place, before.crm_id)
        if (intent and intent.choice) != (self.intent and self.intent.choice):
            raise RowChanged

    @contextmanager
    def in_turn_of_birth_date(self) -> Iterator[bool]:
        """Have no other patient of this birth date on its way to eCW within the block; False: the wait was too long.

        Two rows of the CRM may be one person, whom no search finds while both are on their way.
        """
        born = next((c.name for c in self.pushing.mapping.pushed if element_of(c.steps) == "birthDate"), "")
        with in_turn(self.pushing.engine, self.pushing.place, f"born {self.record.row.get(born)}") as claim:
            if claim is None:
                yield False
                return
            self.claims.append(claim)
            try:
                yield True
            finally:
                self.claims.remove(claim)

    def result(
        self,
        status: PushStatus,
        outcome: Outcome | None = None,
        *,
        ecw_id: str | None = None,
        fields: Iterable[str] = (),
        held: Iterable[str] = (),
    ) -> Pushed:
        """Return the result of the push; `held`: columns that wait for a person."""
        found = ecw_id or (outcome.ecw_id if outcome else None) or self.record.ecw_id
        return Pushed(self.record.crm_id, status, found, tuple(fields), outcome, conflicts=tuple(held))


def _comparable(record: Record) -> tuple[Record, dict[str, str | None]]:
    """Return what must stay: what is agreed as it is kept, where nothing and never agreed are the same."""
    return replace(record, changed_at=None, agreed=None), (record.agreed or MergeBase()).texts()
