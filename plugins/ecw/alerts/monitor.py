"""Look what is wrong, write it down, and send the notices that are due."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from sqlalchemy import Engine

from ecw.alerts import store
from ecw.alerts.notify import send, title
from ecw.alerts.settings import Settings, schedule, settings
from ecw.crm.db.engine import open_crm
from ecw.errors import EcwError

log = logging.getLogger(__name__)


def watch(crm_conn_id: str = "crm_default") -> dict[str, int]:
    """Bring alerts and notices up to date; return how many alerts are open and how many notices were sent.

    Raises ConfigurationError, CrmSchemaError, DatabaseUnavailable; a target that does not answer is only logged.
    """
    said = settings()
    every, resources = schedule()
    with open_crm(crm_conn_id) as engine:
        now = datetime.now(UTC)
        for change in store.reconcile(engine, now, every, resources, said.thresholds, said.targets):
            if change.event == store.OVER:
                log.info("Practice %s: over: %s", change.practice, change.message)
            else:
                log.warning("Practice %s: %s Next: %s", change.practice, change.message, change.next_move)
        sent = sum(_deliver(engine, target, said) for target in said.targets)
        return {"open": len(store.open_alerts(engine)), "sent": sent}


def watch_quietly(crm_conn_id: str) -> None:
    """Do it after a run, which nothing that goes wrong here may fail; ecw_monitor does it again."""
    try:
        watch(crm_conn_id)
    except EcwError as error:
        log.error("Alerts: %s: %s", type(error).__name__, error)
    except Exception as error:  # noqa: BLE001 - its text may hold anything, and the run's numbers are safe already
        log.error("Alerts: %s; the next run looks again.", type(error).__name__)


def _deliver(engine: Engine, target: str, said: Settings) -> int:
    """Send what a target has not got yet, in order; after one that fails, the others wait for the next run."""
    sent = 0
    for notice in store.to_send(engine, target):
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
        store.told(engine, notice, datetime.now(UTC))
        sent += 1
        log.info("Sent to %s: %s.", target.split(" ", 1)[0], title(notice))
    return sent


def _connection(target: str, said: Settings) -> tuple[str, str]:
    return ("HTTP", said.webhook) if target.startswith("webhook ") else ("SMTP", said.smtp)
