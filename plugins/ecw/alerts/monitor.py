"""Find what is wrong, store it as alerts, and send the notifications that are due."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from datetime import UTC, datetime

from sqlalchemy import Engine, select

from ecw.alerts import store
from ecw.alerts.conditions import Monitored
from ecw.alerts.notify import send, title
from ecw.alerts.settings import Settings, schedule, settings
from ecw.crm.db.engine import open_crm, reading
from ecw.crm.db.tables import ecw_run
from ecw.errors import ConfigurationError, EcwError
from ecw.fhir.connection import base_url_of, practice_of
from ecw.settings import connections
from ecw.settings.practice import Practice
from ecw.settings.practices import VARIABLE, known

log = logging.getLogger(__name__)


def monitor(
    crm_conn_id: str = "crm_default", ecw_conn_id: str | None = None, crm: Engine | None = None
) -> dict[str, int]:
    """Open and close alerts and send notifications; return how many alerts are open and notifications were sent.

    Covers the practice at `ecw_conn_id`; without it, every practice in the CRM, each with its own configuration.
    `crm` is an engine of the CRM that is already open.

    Raises ConfigurationError, CrmSchemaError, DatabaseUnavailable; a target that does not answer is only logged.
    """
    settings(None)  # reports a mistake in the Variable even before a practice has run
    with nullcontext(crm) if crm else open_crm(crm_conn_id) as engine:
        now, sent = datetime.now(UTC), 0
        for code, practice in _practices(engine, crm_conn_id, ecw_conn_id).items():
            configured = settings(practice)
            every, resources = schedule(practice)
            monitored = Monitored(code, every, resources, configured.thresholds, configured.targets)
            for change in store.reconcile(engine, now, monitored):
                if change.event == store.OVER:
                    log.info("Practice %s: over: %s", change.practice, change.message)
                else:
                    log.warning("Practice %s: %s Next: %s", change.practice, change.message, change.next_step)
            sent += sum(_deliver(engine, code, target, configured) for target in configured.targets)
        return {"open": len(store.open_alerts(engine)), "sent": sent}


def monitor_quietly(crm_conn_id: str, ecw_conn_id: str | None = None, crm: Engine | None = None) -> None:
    """Run `monitor` after a pull and only log its errors: they must not fail the run, and ecw_monitor tries again."""
    try:
        monitor(crm_conn_id, ecw_conn_id, crm)
    except EcwError as error:
        log.error("Alerts: %s: %s", type(error).__name__, error)
    except Exception as error:  # noqa: BLE001 - its text may hold anything, and the run's numbers are safe already
        log.error("Alerts: %s; the next run checks again.", type(error).__name__)


def _practices(engine: Engine, crm_conn_id: str, ecw_conn_id: str | None) -> dict[str, Practice | None]:
    """Return the practices in the CRM by code, each with its configuration, or None if it has none of its own."""
    configured: dict[str, Practice | None] = {}
    for each in known(connections.variable(VARIABLE) or ""):
        if each.crm_connection == crm_conn_id or each.connection == ecw_conn_id:
            try:
                code = practice_of(base_url_of(connections.get(each.connection)))
            except ConfigurationError as error:
                log.debug("Practice %s: %s", each.name, error)
            else:
                configured[code] = each
    with reading(engine) as connection:
        codes = connection.scalars(select(ecw_run.c.practice).distinct().order_by(ecw_run.c.practice)).all()
    practices = {code: configured.get(code) for code in codes}
    if ecw_conn_id is None:
        return practices
    return {code: each for code, each in practices.items() if each and each.connection == ecw_conn_id} or practices


def _deliver(engine: Engine, practice: str, target: str, configured: Settings) -> int:
    """Send a target's unsent notifications in order; after a failure the others wait for the next run."""
    sent = 0
    for notification in store.to_send(engine, practice, target):
        if not store.claim(engine, notification, datetime.now(UTC)):
            break  # another run is sending it, and later ones must not arrive before it
        try:
            send(notification, configured)
        except Exception as error:  # noqa: BLE001 - any notifier's; its text may hold an address with a token
            store.give_back(engine, notification)
            log.error(
                "The notification %r could not be sent (%s); the next run tries again. Next (Airflow administrator): "
                "check that the %s connection %r exists and its server answers.",
                *(title(notification), type(error).__name__, *_connection(target, configured)),
            )
            break
        store.mark_sent(engine, notification, datetime.now(UTC))
        sent += 1
        log.info("Sent to %s: %s.", target.split(" ", 1)[0], title(notification))
    return sent


def _connection(target: str, configured: Settings) -> tuple[str, str]:
    return ("HTTP", configured.webhook) if target.startswith("webhook ") else ("SMTP", configured.smtp)
