"""The journal of intents: what was decided to be sent is written down before it is sent.

One row for each record of the CRM, its latest intent:

    sending   written before the request; found later, the process died on the way and what happened to it is not known
    unknown   the answer did not say what happened to it
    done      eCW has it
    refused   it cannot be sent as it is; the same content is not sent again by itself
    void      nothing was done, and nothing is wrong with it: it can be sent again
    held      a person chooses among patients that eCW has

A create that is `sending` or `unknown` is searched for in eCW before anything of its record is sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import orjson
from sqlalchemy import Connection, Engine, func, select, update

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import IntentState, Operation
from ecw.crm.db.tables import ecw_intent
from ecw.crm.db.upsert import upsert
from ecw.crm.journal import Choice, decided
from ecw.crm.load import match_unconfirmed
from ecw.models import Push

SENDING, UNKNOWN, DONE = IntentState.SENDING, IntentState.UNKNOWN, IntentState.DONE
REFUSED, VOID, HELD = IntentState.REFUSED, IntentState.VOID, IntentState.HELD
OPEN = match_unconfirmed.OPEN
CREATE, UPDATE = Operation.CREATE, Operation.UPDATE
TRIES = 10  # times that one content is sent, when eCW never says what is wrong with it
NEW = "new"  # the choice of a person who knows that eCW has none of the candidates


@dataclass(frozen=True, slots=True)
class Place:
    """Whose intents: every bookkeeping key begins with the practice."""

    practice: str
    resource: str

    @classmethod
    def of(cls, push: Push) -> Self:
        """Return whose intents a run works on."""
        return cls(push["practice"], push["options"]["resource"])

    def key(self, crm_id: str) -> dict[str, Any]:
        return {"practice": self.practice, "resource": self.resource, "crm_id": crm_id}


@dataclass(frozen=True, slots=True)
class Intent:
    """A row of the journal; `sent` holds patient data: what eCW has, or may have.

    `decided_at` is when it was decided, or when the last request ended without a word of what happened to it.
    """

    intent: str
    operation: str
    state: str
    ecw_id: str | None
    sent: dict[str, Any]
    attempts: int  # of this content, as far as they reached eCW and it did not say what was wrong
    decided_at: datetime
    candidates: tuple[str, ...]
    choice: str | None
    match_rule: str | None = None  # of a match that is held

    @property
    def open(self) -> bool:
        return self.state in OPEN

    @property
    def maybe_created(self) -> bool:
        """What was sent may be a patient in eCW, whom the CRM does not know."""
        return self.operation == CREATE and self.state != DONE and bool(self.sent)

    @property
    def new(self) -> bool:
        """A person has said that the patient is none of the candidates."""
        return self.choice == NEW and self.state != DONE

    @property
    def ruled_out(self) -> frozenset[str]:
        """The eCW ids of which a person has said so."""
        return frozenset(self.candidates if self.new else ())


def digest(row: Mapping[str, Any], columns: Iterable[str], mapping_version: str) -> str:
    """Return the key of a content: what the CRM's row says in these columns, by this mapping."""
    said = {name: row.get(name) for name in columns}
    return hashlib.sha256(orjson.dumps([mapping_version, said], option=orjson.OPT_SORT_KEYS)).hexdigest()


def latest(connection: Connection, place: Place, crm_id: str) -> Intent | None:
    """Return the latest intent of a record."""
    found = connection.execute(select(ecw_intent).filter_by(**place.key(crm_id))).mappings().one_or_none()
    return _intent(found) if found else None


def latest_of_all(connection: Connection, place: Place) -> dict[str, Intent]:
    """Return the latest intents by CRM id, without what was sent."""
    columns = [column for column in ecw_intent.columns if column.name != "sent"]
    rows = connection.execute(select(*columns).filter_by(practice=place.practice, resource=place.resource)).mappings()
    return {row["crm_id"]: _intent({**row, "sent": None}) for row in rows}


def unsettled(engine: Engine, place: Place) -> list[str]:
    """Return the CRM ids whose outcome is not known, the oldest first."""
    statement = (
        select(ecw_intent.c.crm_id)
        .filter_by(practice=place.practice, resource=place.resource)
        .where(ecw_intent.c.state.in_(OPEN))
        .order_by(ecw_intent.c.decided_at, ecw_intent.c.crm_id)
    )
    with reading(engine) as connection:
        return list(connection.scalars(statement))


def sent_since(connection: Connection, place: Place, crm_id: str, since: datetime) -> list[dict[str, Any]]:
    """Return what was sent of other new patients, whether eCW has it since then or that is not known."""
    i = ecw_intent.c
    statement = (
        select(i.sent)
        .filter_by(practice=place.practice, resource=place.resource, operation=CREATE)
        .where(func.coalesce(i.settled_at, i.decided_at) > since)
        .where(i.crm_id != crm_id, i.state.in_([*OPEN, DONE]), i.sent.is_not(None))
    )
    return [orjson.loads(sent) for sent in connection.scalars(statement)]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is about to be sent: the key of the content, and the row that goes."""

    intent: str
    operation: str
    ecw_id: str | None
    sent: Mapping[str, Any]
    run_id: str


def decide(connection: Connection, place: Place, crm_id: str, decision: Decision) -> None:
    """Write an intent down, in the caller's transaction, which must be committed right before the request.

    What a person has ruled out stays so until the patient is created.
    """
    before = latest(connection, place, crm_id)
    values: dict[str, Any] = {
        "intent": decision.intent,
        "operation": decision.operation,
        "state": SENDING,
        "ecw_id": decision.ecw_id,
        "attempts": before.attempts + 1 if before and before.intent == decision.intent else 1,
        "sent": orjson.dumps(dict(decision.sent)).decode(),
        "decided_at": datetime.now(UTC),
        "settled_at": None,
        "run_id": decision.run_id,
        "match_rule": None,
        "candidates": None,
        "choice": None,
    }
    if before and before.new and decision.operation == CREATE:
        values |= {"candidates": orjson.dumps(before.candidates).decode(), "choice": NEW}
    upsert(connection, ecw_intent, place.key(crm_id), values)


def settle(
    connection: Connection, place: Place, crm_id: str, state: str, ecw_id: str | None = None, *, counts: bool = True
) -> None:
    """Note what happened to the intent, in the caller's transaction; without `counts` it was no attempt."""
    now = datetime.now(UTC)
    values: dict[str, Any] = {"state": state, "settled_at": None if state in OPEN else now}
    if state == UNKNOWN:
        values["decided_at"] = now
    if state in (REFUSED, VOID):
        values["sent"] = None
    if state == DONE:
        values["attempts"] = 0
    elif not counts:
        values["attempts"] = ecw_intent.c.attempts - 1
    if ecw_id is not None:
        values["ecw_id"] = ecw_id
    connection.execute(update(ecw_intent).filter_by(**place.key(crm_id)).values(**values))


@dataclass(frozen=True, slots=True)
class Unsent:
    """A content that is not sent: REFUSED before it was, or HELD for a person to choose among candidates."""

    state: str
    intent: str  # the content's digest
    operation: str
    run_id: str
    match_rule: str | None = None
    candidates: tuple[str, ...] = ()


def record_unsent(connection: Connection, place: Place, crm_id: str, what: Unsent) -> None:
    """Note that a content is not sent.

    A choice that was made among the same candidates, found in the same way, stays; so does what was sent of a create
    that eCW may have done.
    """
    before, held = latest(connection, place, crm_id), what.state == HELD
    asked = (before.state, before.candidates, before.match_rule) if before else None
    asked_again = held and asked == (HELD, what.candidates, what.match_rule)
    maybe = before.sent if before and before.maybe_created and what.operation == CREATE else None
    now = datetime.now(UTC)
    values = {
        "intent": what.intent,
        "operation": what.operation,
        "state": what.state,
        "ecw_id": None,
        "sent": orjson.dumps(maybe).decode() if maybe else None,
        "attempts": 0,
        "decided_at": now,
        "settled_at": now,
        "run_id": what.run_id,
        "match_rule": what.match_rule,
        "candidates": orjson.dumps(what.candidates).decode() if held else None,
        "choice": before.choice if before and asked_again else None,
    }
    upsert(connection, ecw_intent, place.key(crm_id), values)


def held(engine: Engine, place: Place) -> list[tuple[str, Intent]]:
    """Return the records that are held for a person, by CRM id, the oldest first."""
    statement = select(ecw_intent).filter_by(practice=place.practice, resource=place.resource, state=HELD)
    with reading(engine) as connection:
        rows = connection.execute(statement.order_by(ecw_intent.c.decided_at, ecw_intent.c.crm_id)).mappings()
        return [(row["crm_id"], _intent(row)) for row in rows]


def choose(engine: Engine, place: Place, crm_id: str, choice: str | None, by: str) -> bool:
    """Note a person's choice for a held record: one of its candidates, or NEW; None takes it back.

    Return True if it can be.  The journal says who chose.
    """
    with engine.begin() as connection:
        found = latest(connection, place, crm_id)
        if found is None or found.state != HELD or choice not in (*found.candidates, NEW, None):
            return False
        connection.execute(update(ecw_intent).filter_by(**place.key(crm_id)).values(choice=choice))
        chosen = Choice("match", by, found.choice, choice, crm_id, None if choice == NEW else choice)
        decided(connection, place.practice, place.resource, chosen)
    return True


def _intent(row: Mapping[Any, Any]) -> Intent:
    return Intent(
        row["intent"],
        row["operation"],
        row["state"],
        row["ecw_id"],
        orjson.loads(row["sent"]) if row["sent"] else {},
        row["attempts"],
        row["decided_at"],
        tuple(orjson.loads(row["candidates"])) if row["candidates"] else (),
        row["choice"],
        row["match_rule"],
    )
