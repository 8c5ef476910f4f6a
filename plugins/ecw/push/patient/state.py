"""The state of one patient's push: the CRM's row, the latest intent, and this worker's claims on the patient.

The collaborators of a push share one PatientState.  It changes only when the row or the intent is read again.
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
    """The row, its link or eCW's record has changed since the decision: the push starts again."""


@dataclass(slots=True)
class PatientState:
    """A patient of the CRM, its latest intent, and this worker's claims.

    All writes happen in `writing`, which fails if another worker has taken the patient over.
    """

    pushing: Pushing
    record: Record
    intent: Intent | None
    claims: list[Claim]

    @classmethod
    def read(cls, pushing: Pushing, crm_id: str, claim: Claim) -> Self | None:
        """Read the patient; return None if the CRM no longer has it."""
        with reading(pushing.engine) as connection:
            record = pushing.patients.read(connection, crm_id)
            intent = intents.latest(connection, pushing.place, crm_id)
        return None if record is None else cls(pushing, record, intent, [claim])

    @property
    def key(self) -> str:
        """The digest of the row's present content."""
        return self.pushing.key(self.record)

    @property
    def tries(self) -> int:
        """How often the present content was sent before without an answer that says what is wrong with it."""
        return self.intent.attempts if self.intent is not None and self.intent.intent == self.key else 0

    def read_again(self) -> bool:
        """Read the CRM's row again; return False if it was deleted or is linked to another eCW record now."""
        before = self.record
        with reading(self.pushing.engine) as connection:
            now = self.pushing.patients.read(connection, before.crm_id)
        if now is None or (now.ecw_id, now.linked) != (before.ecw_id, before.linked):
            return False
        self.record = now
        return True

    def read_intent_again(self) -> None:
        """Read the intent of the last attempt, but keep `tries`: only the next push counts this attempt."""
        tries = self.tries
        with reading(self.pushing.engine) as connection:
            latest = intents.latest(connection, self.pushing.place, self.record.crm_id)
        self.intent = None if latest is None else replace(latest, attempts=tries)

    @contextmanager
    def writing(self, seconds: float = LEASE) -> Iterator[Connection]:
        """Open a transaction in which this worker's claims are checked and renewed for `seconds`.

        Raises ClaimLost.
        """
        with self.pushing.engine.begin() as connection:
            for claim in self.claims:
                claim.keep(connection, seconds)
            yield connection

    def require_same(self, connection: Connection, now: Record | None = None) -> None:
        """Raise RowChanged if the row, the link, the merge base or a person's choice has changed since it was read.

        The row is locked until the caller's transaction ends.
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
        """Let no other worker create a patient with this birth date during the block; yield False if the wait is too
        long.

        Two rows of the CRM may be one person, and no search finds the person while both rows are being sent.
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
        known_id = ecw_id or (outcome.ecw_id if outcome else None) or self.record.ecw_id
        return Pushed(self.record.crm_id, status, known_id, tuple(fields), outcome, conflicts=tuple(held))


def _comparable(record: Record) -> tuple[Record, dict[str, str | None]]:
    """Return the parts of a record that must not change; a missing merge base equals an empty one."""
    return replace(record, changed_at=None, agreed=None), (record.agreed or MergeBase()).texts()
