"""The quarantine: which records are rejected, why, and since when; a reason that no longer holds is resolved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    case,
    exists,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    update,
)

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import RejectState, RejectStep
from ecw.crm.db.tables import UtcTime, ecw_link, ecw_reject
from ecw.crm.db.upsert import insert
from ecw.crm.load.stage import SETTLED, Stage
from ecw.errors import ConfigurationError
from ecw.models import Run
from ecw.resources import RESOURCES

OPEN, DISMISSED, RESOLVED = RejectState.OPEN, RejectState.DISMISSED, RejectState.RESOLVED
HOLDS = (OPEN, DISMISSED)  # the reason still holds: the record is rejected, also if a person dismissed it


@dataclass(frozen=True, slots=True)
class Chosen:
    """A filter of the open rejects; an empty field does not filter."""

    resources: tuple[str, ...] = ()
    rule: str = ""
    run: str = ""
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """One reason why a record is rejected, and the staged file that holds the record, if it is known."""

    ecw_id: str
    step: str
    rule: str
    batch: str | None
    last_run: str


def counted(engine: Engine, practice: str, wanted: Chosen) -> dict[str, int]:
    """Return how many records of each resource have an open reject that the filter matches, in resources.py's order.

    Raises ConfigurationError if the rule, the run or the ids of the filter match no open reject.
    """
    r = ecw_reject
    with reading(engine) as connection:
        for name, value, column in (("rule", wanted.rule, r.c.rule), ("run", wanted.run, r.c.last_run)):
            values = set(connection.scalars(select(column).where(*_open_ones(practice)).distinct()))
            if name == "run":
                values |= set(connection.scalars(select(r.c.first_run).where(*_open_ones(practice)).distinct()))
            if value and value not in values:
                raise ConfigurationError(
                    f"No open reject of the practice {practice} has the {name} {value!r}.",
                    next_step=f"use one of: {', '.join(sorted(values)) or 'there is no open reject at all'}.",
                )
        statement = select(r.c.resource, func.count(r.c.ecw_id.distinct())).where(*_wanted(practice, wanted))
        found = {name: int(count) for name, count in connection.execute(statement.group_by(r.c.resource))}
    if wanted.ids and not found:
        raise ConfigurationError(
            f"None of the {len(wanted.ids)} ids has an open reject that fits the other choices.",
            next_step="look the ids up in the table ecw_reject; a record that is not rejected is pulled by ecw_pull.",
        )
    return {resource: found[resource] for resource in RESOURCES if resource in found}


def chosen(engine: Engine, practice: str, resource: str, wanted: Chosen) -> list[Reject]:
    """Return the open rejects of a resource that the filter matches."""
    r = ecw_reject
    columns = (r.c.ecw_id, r.c.step, r.c.rule, r.c.batch, r.c.last_run)
    statement = select(*columns).where(*_wanted(practice, wanted), r.c.resource == resource)
    with reading(engine) as connection:
        return [Reject(*row) for row in connection.execute(statement.order_by(r.c.ecw_id))]


def _wanted(practice: str, wanted: Chosen) -> Iterator[ColumnElement[bool]]:
    r = ecw_reject
    yield from _open_ones(practice)
    if wanted.resources:
        yield r.c.resource.in_(wanted.resources)
    if wanted.rule:
        yield r.c.rule == wanted.rule
    if wanted.run:
        yield or_(r.c.first_run == wanted.run, r.c.last_run == wanted.run)
    if wanted.ids:
        yield r.c.ecw_id.in_(wanted.ids)


def _open_ones(practice: str) -> tuple[ColumnElement[bool], ...]:
    return ecw_reject.c.practice == practice, ecw_reject.c.state == OPEN


def quarantine(connection: Connection, stage: Stage, run: Run, resource: str) -> None:
    """Open the batch's rejects and resolve those that it makes void,
    inside the load's transaction, after the merge.

    A reason is void if the record has been accepted since, or is rejected now for other reasons. An older version of
    the record resolves nothing, and a rejected version that is older than the one in the CRM is resolved at once.
    """
    r, s = ecw_reject, stage.rows
    accepted = exists().where(s.c.ecw_id == r.c.ecw_id, s.c.action.in_(SETTLED), _not_older(stage, s.c.source_version))
    _resolve(connection, run, resource, accepted)
    _open(connection, stage, run, resource)
    b = stage.rejects
    refused_again = exists().where(b.c.ecw_id == r.c.ecw_id, _not_older(stage, b.c.source_version))
    for_this = exists().where(
        b.c.ecw_id == r.c.ecw_id, b.c.step == r.c.step, b.c.rule == r.c.rule, b.c.column == r.c.column
    )
    _resolve(connection, run, resource, and_(refused_again, ~for_this))


def rejected(connection: Connection, stage: Stage) -> int:
    """Return how many records the steps before the load have rejected."""
    b = stage.rejects
    ids: int = connection.execute(
        select(func.count(b.c.ecw_id.distinct())).where(b.c.step != RejectStep.LOAD)
    ).scalar_one()
    return ids


def _not_older(stage: Stage, version: ColumnElement[Any]) -> ColumnElement[bool]:
    rejected_version = ecw_reject.c.source_version
    return or_(
        version.is_(None),
        rejected_version.is_(None),
        version >= rejected_version,
        not_(stage.read.crosses(ecw_reject.c.read_at)),
    )


def _resolve(connection: Connection, run: Run, resource: str, void: ColumnElement[bool]) -> None:
    connection.execute(
        update(ecw_reject)
        .where(
            ecw_reject.c.practice == run["practice"],
            ecw_reject.c.resource == resource,
            ecw_reject.c.state.in_(HOLDS),
            void,
        )
        .values(state=RESOLVED, resolved_run=run["run_id"])
    )


def _open(connection: Connection, stage: Stage, run: Run, resource: str) -> None:
    r, b = ecw_reject, stage.rejects
    key = (b.c.ecw_id, b.c.step, b.c.rule, b.c.column)
    last = select(func.max(b.c.seq)).group_by(*key)
    overtaken = exists().where(
        ecw_link.c.practice == run["practice"],
        ecw_link.c.resource == resource,
        ecw_link.c.ecw_id == b.c.ecw_id,
        ecw_link.c.source_version > b.c.source_version,
        stage.read.crosses(ecw_link.c.read_at),
    )
    run_id = literal(run["run_id"])
    staged = select(
        literal(run["practice"]),
        literal(resource),
        *key,
        b.c.reason,
        b.c.hash,
        b.c.source_version,
        b.c.batch,
        case((overtaken, RESOLVED), else_=OPEN),
        run_id,
        run_id,
        case((overtaken, run_id), else_=null()),
        literal(stage.read.end or datetime.now(UTC), UtcTime),
    ).where(b.c.seq.in_(last))
    statement = insert(connection, ecw_reject).from_select(ecw_reject.columns.keys(), staged)
    renewed = ("reason", "hash", "source_version", "batch", "last_run", "resolved_run", "read_at")
    same = and_(r.c.state == DISMISSED, r.c.hash == statement.excluded.hash, statement.excluded.state == OPEN)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(ecw_reject.primary_key.columns),
            set_={name: statement.excluded[name] for name in renewed}
            | {"state": case((same, DISMISSED), else_=statement.excluded.state)},
        )
    )
