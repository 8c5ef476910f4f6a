"""Look what is wrong, write it down, and send the notices that are due."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from datetime import UTC, datetime

from sqlalchemy import Engine, select

from ecw.alerts import store
from ecw.alerts.conditions import Watched
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


def watch(
    crm_conn_id: str = "crm_default", ecw_conn_id: str | None = None, crm: Engine | None = None
) -> dict[str, int]:
    """Bring alerts and notices up to date; return how many alerts are open and how many notices were sent.

    Of every practice in the CRM, each as it is configured; or of the one at `ecw_conn_id`. `crm` is the CRM where it is
    open already.

    Raises ConfigurationError, CrmSchemaError, DatabaseUnavailable; a target that does not answer is only logged.
    """
    settings(None)  # a mistake in the Variable is reported, also before a practice has run
    with nullcontext(crm) if crm else open_crm(crm_conn_id) as engine:
        now, sent = datetime.now(UTC), 0
        for code, practice in _practices(engine, crm_conn_id, ecw_conn_id).items():
            said = settings(practice)
            every, resources = schedule(practice)
            watched = Watched(code, every, resources, said.thresholds, said.targets)
            for change in store.reconcile(engine, now, watched):
                if change.event == store.OVER:
                    log.info("Practice %s: over: %s", change.practice, change.message)
                else:
                    log.warning("Practice %s: %s Next: %s", change.practice, change.message, change.next_step)
            sent += sum(_deliver(engine, code, target, said) for target in said.targets)
        return {"open": len(store.open_alerts(engine)), "sent": sent}


def watch_quietly(crm_conn_id: str, ecw_conn_id: str | None = None, crm: Engine | None = None) -> None:
    """Do it after a run, which nothing that goes wrong here may fail; ecw_monitor does it again."""
    try:
        watch(crm_conn_id, ecw_conn_id, crm)
    except EcwError as error:
        log.error("Alerts: %s: %s", type(error).__name__, error)
    except Exception as error:  # noqa: BLE001 - its text may hold anything, and the run's numbers are safe already
        log.error("Alerts: %s; the next run looks again.", type(error).__name__)


def _practices(engine: Engine, crm_conn_id: str, ecw_conn_id: str | None) -> dict[str, Practice | None]:
    """Return the practices in the CRM by their codes, each with its configuration; None: what holds for all."""
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
        there = connection.scalars(select(ecw_run.c.practice).distinct().order_by(ecw_run.c.practice)).all()
    found = {code: configured.get(code) for code in there}
    if ecw_conn_id is None:
        return found
    return {code: each for code, each in found.items() if each and each.connection == ecw_conn_id} or found


def _deliver(engine: Engine, practice: str, target: str, said: Settings) -> int:
    """Send what a target has not got yet, in order; after one that fails, the others wait for the next run."""
    sent = 0
    for notice in store.to_send(engine, practice, target):
        if not store.claim(engine, notice, datetime.now(UTC)):
            break  # another run is at it; what comes after it must not arrive before it
        try:
            send(notice, said)
        except Exception as error:  # noqa: BLE001 - any notifier's; its text may hold an address with a token
            store.give_back(engine, notice)
            log.error(
                "The notice %r could not be sent (%s); the next run tries again. Next (Airflow administrator): "
                "see that the %s connection %r exists and its server answers.",
                *(title(notice), type(error).__name__, *_connection(target, said)),
            )
            break
        store.mark_sent(engine, notice, datetime.now(UTC))
        sent += 1
        log.info("Sent to %s: %s.", target.split(" ", 1)[0], title(notice))
    return sent


def _connection(target: str, said: Settings) -> tuple[str, str]:
    return ("HTTP", said.webhook) if target.startswith("webhook ") else ("SMTP", said.smtp)
