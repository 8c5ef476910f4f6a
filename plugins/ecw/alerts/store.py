"""Alerts and their notices: what is wrong from when to when, who is to be notified, and who was.

    ecw_alert    a row each time something begins to be wrong; closed when it is over
    ecw_alert_notification   a row for each alert, event (begin, over) and target, and when it was sent

A notice is claimed before it is sent and marked after, so two runs at once send one, and one that was killed between
the two is sent again when its claim is old.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Engine, delete, or_, select, update

from ecw.crm.db.engine import exclusive, reading
from ecw.crm.db.enums import AlertEvent
from ecw.crm.db.tables import ecw_alert, ecw_alert_notification
from ecw.crm.db.upsert import insert

if TYPE_CHECKING:
    from ecw.alerts.conditions import Fact, Watched

BEGIN, OVER = AlertEvent.BEGIN, AlertEvent.OVER
CLAIM_HOLDS = timedelta(minutes=10)  # longer than any notifier tries


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; `resolved_at` is None while it is open."""

    practice: str
    alert: str
    kind: str
    subject: str
    message: str
    next_step: str
    opened_at: datetime
    resolved_at: datetime | None
    run_id: str | None


@dataclass(frozen=True, slots=True)
class Notice:
    """One event of an alert, for one target."""

    alert: Alert
    event: str
    target: str


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that began, or is over."""

    event: str
    practice: str
    message: str
    next_step: str


def reconcile(engine: Engine, now: datetime, watched: Watched) -> list[Change]:
    """Open and close a practice's alerts by what is wrong now, and note who is to know; return what changed.

    Facts and alerts are read and written under one lock, so that a slow look never undoes a later one.
    """
    from ecw.alerts.conditions import facts  # with its pydantic models, which whoever only reads alerts does without

    with engine.begin() as connection:
        exclusive(connection, "ecw alerts")
        wrong_now = {fact.key: fact for fact in facts(connection, now, watched)}
        open_now = {(one.practice, one.kind, one.subject): one for one in _open(connection, watched.practice)}
        began = [fact for key, fact in wrong_now.items() if key not in open_now]
        ended = [one for key, one in open_now.items() if key not in wrong_now]
        for fact in began:
            _begin(connection, fact, now)
        for one in ended:
            connection.execute(update(ecw_alert).where(*_is(one)).values(resolved_at=now))
        _plan_notices(connection, ended, watched, now)
    changes = [Change(BEGIN, fact.practice, fact.message, fact.next_step) for fact in began]
    return changes + [Change(OVER, one.practice, one.message, one.next_step) for one in ended]


def open_alerts(engine: Engine) -> list[Alert]:
    """Return what is wrong, as the last check found it, oldest first."""
    with reading(engine) as connection:
        return _open(connection)


def to_send(engine: Engine, practice: str, target: str) -> list[Notice]:
    """Return the notices of a practice that the target has not got yet, in the order of events."""
    statement = (
        select(*ecw_alert.columns, ecw_alert_notification.c.event)
        .join(
            ecw_alert_notification,
            (ecw_alert_notification.c.practice == ecw_alert.c.practice)
            & (ecw_alert_notification.c.alert == ecw_alert.c.alert),
        )
        .where(ecw_alert.c.practice == practice)
        .where(ecw_alert_notification.c.target == target, ecw_alert_notification.c.sent_at.is_(None))
        .order_by(
            ecw_alert_notification.c.made_at, ecw_alert.c.opened_at, ecw_alert_notification.c.event
        )  # begin is before over
    )
    with reading(engine) as connection:
        return [Notice(Alert(*row[:-1]), row[-1], target) for row in connection.execute(statement)]


def claim(engine: Engine, notice: Notice, now: datetime) -> bool:
    """Take it upon oneself to send a notice; false where it was sent, or another is at it."""
    c = ecw_alert_notification.c
    free = or_(c.claimed_at.is_(None), c.claimed_at < now - CLAIM_HOLDS)
    with engine.begin() as connection:
        taken = connection.execute(
            update(ecw_alert_notification).where(*_which(notice), c.sent_at.is_(None), free).values(claimed_at=now)
        )
    return taken.rowcount == 1


def mark_sent(engine: Engine, notice: Notice, now: datetime) -> None:
    """Write down that a notice was sent."""
    with engine.begin() as connection:
        connection.execute(update(ecw_alert_notification).where(*_which(notice)).values(sent_at=now))


def give_back(engine: Engine, notice: Notice) -> None:
    """Leave a notice that could not be sent to the next run."""
    with engine.begin() as connection:
        connection.execute(update(ecw_alert_notification).where(*_which(notice)).values(claimed_at=None))


def _open(connection: Connection, practice: str | None = None) -> list[Alert]:
    still = (
        select(ecw_alert).where(ecw_alert.c.resolved_at.is_(None)).order_by(ecw_alert.c.opened_at, ecw_alert.c.alert)
    )
    if practice is not None:
        still = still.where(ecw_alert.c.practice == practice)
    return [Alert(*row) for row in connection.execute(still)]


def _begin(connection: Connection, fact: Fact, now: datetime) -> None:
    connection.execute(
        insert(connection, ecw_alert).values(
            practice=fact.practice,
            alert=str(uuid4()),
            kind=fact.kind,
            subject=fact.subject,
            message=fact.message,
            next_step=fact.next_step,
            opened_at=now,
            run_id=fact.run_id,
        )
    )


def _plan_notices(connection: Connection, ended: Sequence[Alert], watched: Watched, now: datetime) -> None:
    """Let every target know of what is open, and of the end of what it was to know; forget targets that went."""
    n, targets = ecw_alert_notification.c, list(watched.targets)
    went = (n.practice == watched.practice, n.sent_at.is_(None), n.target.not_in(targets))
    connection.execute(delete(ecw_alert_notification).where(*went))
    due = [(one, BEGIN, target) for one in _open(connection, watched.practice) for target in targets]
    for one in ended:
        begun = select(n.target).where(n.practice == one.practice, n.alert == one.alert, n.event == BEGIN)
        due += [(one, OVER, target) for target in connection.scalars(begun) if target in targets]
    for one, event, target in due:
        row = {"practice": one.practice, "alert": one.alert, "event": event, "target": target, "made_at": now}
        connection.execute(insert(connection, ecw_alert_notification).values(row).on_conflict_do_nothing())


def _is(one: Alert) -> list[ColumnElement[bool]]:
    return [ecw_alert.c.practice == one.practice, ecw_alert.c.alert == one.alert]


def _which(notice: Notice) -> list[ColumnElement[bool]]:
    n, one = ecw_alert_notification.c, notice.alert
    return [n.practice == one.practice, n.alert == one.alert, n.event == notice.event, n.target == notice.target]
