"""Store alerts and their notifications in the CRM.

    ecw_alert                a row from the beginning of a condition to its end
    ecw_alert_notification   a row for each alert, event (begin, over) and target, with the time when it was sent

A run claims a notification before it sends it and marks it afterwards, so that two runs at once send it only once. If a
run is killed in between, a later run sends the notification again when the claim has expired (CLAIM_HOLDS).
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
    from ecw.alerts.conditions import Fact, Monitored

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
class Notification:
    """One event of an alert, for one target."""

    alert: Alert
    event: str
    target: str


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that began or ended."""

    event: str
    practice: str
    message: str
    next_step: str


def reconcile(engine: Engine, now: datetime, monitored: Monitored) -> list[Change]:
    """Open and close a practice's alerts, and add their notifications; return the alerts that began or ended.

    One lock covers reading the facts and writing the alerts, so that a slow check cannot undo a later one.
    """
    from ecw.alerts.conditions import facts  # here, because reading alerts needs none of its pydantic models

    with engine.begin() as connection:
        exclusive(connection, "ecw alerts")
        wrong_now = {fact.key: fact for fact in facts(connection, now, monitored)}
        open_now = {(one.practice, one.kind, one.subject): one for one in _open(connection, monitored.practice)}
        began = [fact for key, fact in wrong_now.items() if key not in open_now]
        ended = [one for key, one in open_now.items() if key not in wrong_now]
        for fact in began:
            _begin(connection, fact, now)
        for one in ended:
            connection.execute(update(ecw_alert).where(*_same_alert(one)).values(resolved_at=now))
        _plan_notifications(connection, ended, monitored, now)
    changes = [Change(BEGIN, fact.practice, fact.message, fact.next_step) for fact in began]
    return changes + [Change(OVER, one.practice, one.message, one.next_step) for one in ended]


def open_alerts(engine: Engine) -> list[Alert]:
    """Return the open alerts as of the last check, oldest first."""
    with reading(engine) as connection:
        return _open(connection)


def to_send(engine: Engine, practice: str, target: str) -> list[Notification]:
    """Return the notifications of a practice that were not yet sent to the target, in the order of events."""
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
        return [Notification(Alert(*row[:-1]), row[-1], target) for row in connection.execute(statement)]


def claim(engine: Engine, notification: Notification, now: datetime) -> bool:
    """Claim a notification for sending; return False if it was sent, or if another run has claimed it."""
    c = ecw_alert_notification.c
    free = or_(c.claimed_at.is_(None), c.claimed_at < now - CLAIM_HOLDS)
    with engine.begin() as connection:
        claimed = connection.execute(
            update(ecw_alert_notification)
            .where(*_same_notification(notification), c.sent_at.is_(None), free)
            .values(claimed_at=now)
        )
    return claimed.rowcount == 1


def mark_sent(engine: Engine, notification: Notification, now: datetime) -> None:
    """Record that a notification was sent."""
    with engine.begin() as connection:
        connection.execute(update(ecw_alert_notification).where(*_same_notification(notification)).values(sent_at=now))


def give_back(engine: Engine, notification: Notification) -> None:
    """Release the claim on a notification that could not be sent, so that the next run sends it."""
    with engine.begin() as connection:
        connection.execute(
            update(ecw_alert_notification).where(*_same_notification(notification)).values(claimed_at=None)
        )


def _open(connection: Connection, practice: str | None = None) -> list[Alert]:
    statement = (
        select(ecw_alert).where(ecw_alert.c.resolved_at.is_(None)).order_by(ecw_alert.c.opened_at, ecw_alert.c.alert)
    )
    if practice is not None:
        statement = statement.where(ecw_alert.c.practice == practice)
    return [Alert(*row) for row in connection.execute(statement)]


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


def _plan_notifications(connection: Connection, ended: Sequence[Alert], monitored: Monitored, now: datetime) -> None:
    """Add the notifications that are due, and delete the unsent ones of targets that are no longer configured.

    Every target gets the beginning of each open alert. The end goes to the targets that have a row for the beginning.
    """
    n, targets = ecw_alert_notification.c, list(monitored.targets)
    obsolete = (n.practice == monitored.practice, n.sent_at.is_(None), n.target.not_in(targets))
    connection.execute(delete(ecw_alert_notification).where(*obsolete))
    due = [(one, BEGIN, target) for one in _open(connection, monitored.practice) for target in targets]
    for one in ended:
        begun = select(n.target).where(n.practice == one.practice, n.alert == one.alert, n.event == BEGIN)
        due += [(one, OVER, target) for target in connection.scalars(begun) if target in targets]
    for one, event, target in due:
        row = {"practice": one.practice, "alert": one.alert, "event": event, "target": target, "made_at": now}
        connection.execute(insert(connection, ecw_alert_notification).values(row).on_conflict_do_nothing())


def _same_alert(one: Alert) -> list[ColumnElement[bool]]:
    return [ecw_alert.c.practice == one.practice, ecw_alert.c.alert == one.alert]


def _same_notification(notification: Notification) -> list[ColumnElement[bool]]:
    n, one = ecw_alert_notification.c, notification.alert
    return [
        n.practice == one.practice,
        n.alert == one.alert,
        n.event == notification.event,
        n.target == notification.target,
    ]
