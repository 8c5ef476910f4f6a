"""The intents: every push is written to ecw_intent before it is sent.

The table has one row for each record of the CRM, its latest intent, with a state:

    sending   written before the request; if a later run finds it, the process died and the outcome is not known
    unknown   the answer did not show the outcome
    done      eCW has the patient
    refused   the content cannot be sent as it is; it is not sent again unless it changes or a person asks for it
    void      nothing was done and nothing is wrong: it can be sent again
    held      a person must choose among patients that eCW has

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
TRIES = 10  # how often one content is sent if eCW never says what is wrong with it
NEW = "new"  # a person's choice: the patient is none of the candidates


@dataclass(frozen=True, slots=True)
class Place:
    """The practice and resource with which the keys of all bookkeeping tables begin."""

    practice: str
    resource: str

    @classmethod
    def of(cls, push: Push) -> Self:
        """Return the practice and resource of a run."""
        return cls(push["practice"], push["options"]["resource"])

    def key(self, crm_id: str) -> dict[str, Any]:
        return {"practice": self.practice, "resource": self.resource, "crm_id": crm_id}


@dataclass(frozen=True, slots=True)
class Intent:
    """A row of ecw_intent; `sent` holds patient data that eCW has, or may have.

    `decided_at` is the time of the decision, or of the end of the last request if its outcome is not known.
    """

    intent: str
    operation: str
    state: str
    ecw_id: str | None
    sent: dict[str, Any]
    attempts: int  # with this content that reached eCW, whose answer did not say what was wrong
    decided_at: datetime
    candidates: tuple[str, ...]
    choice: str | None
    match_rule: str | None = None  # of a held match

    @property
    def open(self) -> bool:
        return self.state in OPEN

    @property
    def maybe_created(self) -> bool:
        """True if eCW may have created a patient from `sent` to which the CRM has no link."""
        return self.operation == CREATE and self.state != DONE and bool(self.sent)

    @property
    def new(self) -> bool:
        """True if a person has decided that the patient is none of the candidates."""
        return self.choice == NEW and self.state != DONE

    @property
    def ruled_out(self) -> frozenset[str]:
        """The eCW ids that a person has ruled out."""
        return frozenset(self.candidates if self.new else ())


def digest(row: Mapping[str, Any], columns: Iterable[str], mapping_version: str) -> str:
    """Return the digest of a content: the row's values in these columns, and the version of the mapping."""
    values = {name: row.get(name) for name in columns}
    return hashlib.sha256(orjson.dumps([mapping_version, values], option=orjson.OPT_SORT_KEYS)).hexdigest()


def latest(connection: Connection, place: Place, crm_id: str) -> Intent | None:
    """Return the latest intent of a record."""
    row = connection.execute(select(ecw_intent).filter_by(**place.key(crm_id))).mappings().one_or_none()
    return _intent(row) if row else None


def latest_of_all(connection: Connection, place: Place) -> dict[str, Intent]:
    """Return the latest intents by CRM id, without `sent`."""
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
    """Return the `sent` of other patients' creates since a time that are done or whose outcome is not known."""
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
    """A decision to send: the digest of the content, and the row to send."""

    intent: str  # the content's digest
    operation: str
    ecw_id: str | None
    sent: Mapping[str, Any]
    run_id: str


def decide(connection: Connection, place: Place, crm_id: str, decision: Decision) -> None:
    """Write an intent, in the caller's transaction, which must be committed right before the request.

    Candidates that a person has ruled out stay ruled out until the patient is created.
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
    """Set the intent's state, in the caller's transaction; without `counts`, the attempt is not counted."""
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
    """A content that is not sent: REFUSED by validation, or HELD for a person to choose among candidates."""

    state: str
    intent: str  # the content's digest
    operation: str
    run_id: str
    match_rule: str | None = None
    candidates: tuple[str, ...] = ()


def record_unsent(connection: Connection, place: Place, crm_id: str, what: Unsent) -> None:
    """Record that a content is not sent.

    A person's choice is kept if the candidates and the match rule are the same as before. The `sent` of a create that
    eCW may have done is kept as well.
    """
    before, held = latest(connection, place, crm_id), what.state == HELD
    earlier = (before.state, before.candidates, before.match_rule) if before else None
    same_question = held and earlier == (HELD, what.candidates, what.match_rule)
    maybe_created = before.sent if before and before.maybe_created and what.operation == CREATE else None
    now = datetime.now(UTC)
    values = {
        "intent": what.intent,
        "operation": what.operation,
        "state": what.state,
        "ecw_id": None,
        "sent": orjson.dumps(maybe_created).decode() if maybe_created else None,
        "attempts": 0,
        "decided_at": now,
        "settled_at": now,
        "run_id": what.run_id,
        "match_rule": what.match_rule,
        "candidates": orjson.dumps(what.candidates).decode() if held else None,
        "choice": before.choice if before and same_question else None,
    }
    upsert(connection, ecw_intent, place.key(crm_id), values)


def held(engine: Engine, place: Place) -> list[tuple[str, Intent]]:
    """Return the held records as pairs of CRM id and intent, the oldest first."""
    statement = select(ecw_intent).filter_by(practice=place.practice, resource=place.resource, state=HELD)
    with reading(engine) as connection:
        rows = connection.execute(statement.order_by(ecw_intent.c.decided_at, ecw_intent.c.crm_id)).mappings()
        return [(row["crm_id"], _intent(row)) for row in rows]


def choose(engine: Engine, place: Place, crm_id: str, choice: str | None, by: str) -> bool:
    """Store a person's choice for a held record: one of its candidates, or NEW; None removes the choice.

    Return False and do nothing if the record is not held or has no such candidate.  The journal records who chose.
    """
    with engine.begin() as connection:
        intent = latest(connection, place, crm_id)
        if intent is None or intent.state != HELD or choice not in (*intent.candidates, NEW, None):
            return False
        connection.execute(update(ecw_intent).filter_by(**place.key(crm_id)).values(choice=choice))
        chosen = Choice("match", by, intent.choice, choice, crm_id, None if choice == NEW else choice)
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
