"""Look what is amiss, write it down, and send the notices that are due."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from sqlalchemy import Engine

from ecw.alert.send import send, title
from ecw.alert.settings import Settings, schedule, settings
from ecw.crm import alerts
from ecw.crm.engine import open_crm
from ecw.errors import EcwError

log = logging.getLogger(__name__)


def watch(crm_conn_id: str = "crm_default") -> dict[str, int]:
    """Bring alerts and notices up to date; return how many alerts are open and how many notices were sent.

    Raises ConfigurationWrong, CrmTableWrong, CrmTrouble; a target that does not answer is only logged.
    """
    said = settings()
    every, resources = schedule()
    with open_crm(crm_conn_id) as engine:
        now = datetime.now(UTC)
        for change in alerts.reconcile(engine, now, every, resources, said.thresholds, said.targets):
            if change.event == alerts.OVER:
                log.info("Practice %s: over: %s", change.practice, change.words)
            else:
                log.warning("Practice %s: %s Next: %s", change.practice, change.words, change.next_move)
        sent = sum(_deliver(engine, target, said) for target in said.targets)
        return {"open": len(alerts.open_alerts(engine)), "sent": sent}


def watch_quietly(crm_conn_id: str) -> None:
    """Do it after a run, which nothing that goes wrong here may fail; ecw_watch does it again."""
    try:
        watch(crm_conn_id)
    except EcwError as error:
        log.error("Alerts: %s: %s", type(error).__name__, error)
    except Exception as error:  # noqa: BLE001 - its text may hold anything, and the run's numbers are safe already
        log.error("Alerts: %s; the next run looks again.", type(error).__name__)


def _deliver(engine: Engine, target: str, said: Settings) -> int:
    """Send what a target has not got yet, in order; after one that fails, the others wait for the next run."""
    sent = 0
    for notice in alerts.to_send(engine, target):
        if not alerts.claim(engine, notice, datetime.now(UTC)):
            break  # another run is at it; what comes after it must not arrive before it
        try:
            send(notice, said)
        except Exception as error:  # noqa: BLE001 - any notifier's; its text may hold an address with a token
            alerts.give_back(engine, notice)
            log.error(
                "The notice %r could not be sent (%s); the next run tries again. Next (Airflow administrator): "
                "see that the %s connection %r exists and its server answers.",
                *(title(notice), type(error).__name__, *_connection(target, said)),
            )
            break
        alerts.told(engine, notice, datetime.now(UTC))
        sent += 1
        log.info("Sent to %s: %s.", target.split(" ", 1)[0], title(notice))
    return sent


def _connection(target: str, said: Settings) -> tuple[str, str]:
    return ("HTTP", said.webhook) if target.startswith("webhook ") else ("SMTP", said.smtp)
