"""The steps of crm_vob: open requests for the changes of the pulls -> deliver the waiting requests."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecw.vob.requests import Opened, Opening
    from ecw.vob.webhook import WebhookHook

WEBHOOK = "vob_webhook"
FORM = ("of_run",)  # the fields of the Trigger form
GIVE_UP = 3  # failures in a row: the receiver is down, it does not merely fail on one request
log = logging.getLogger(__name__)

# Imports stand inside the functions: a DAG file imports this module.


def open_by_form(ecw_conn_id: str = "ecw_default", params: Mapping[str, Any] | None = None) -> dict[str, int]:
    """Run `open_vob` for a practice with the fields of the Trigger form; Airflow passes the form as `params`."""
    from ecw.settings.base import require_own_keys
    from ecw.settings.practices import of_connection

    require_own_keys(params or {}, FORM, "run of crm_vob")
    of_run, practice = str((params or {}).get("of_run") or ""), of_connection(ecw_conn_id)
    return open_vob(of_run, practice.connection, practice.crm_connection, practice.vob_webhook)


def deliver_of(ecw_conn_id: str = "ecw_default") -> dict[str, int]:
    """Run `deliver` for the practice at a connection."""
    from ecw.settings.practices import of_connection

    practice = of_connection(ecw_conn_id)
    return deliver(practice.connection, practice.crm_connection, practice.vob_webhook)


def open_vob(
    of_run: str = "", ecw_conn_id: str = "ecw_default", crm_conn_id: str = "crm_default", webhook_conn_id: str = WEBHOOK
) -> dict[str, int]:
    """Open a request for each patient and load whose change matters; return the counts of `Opened`.

    Reads all unread entries of the journal, whatever started the run. `of_run` also opens the requests that this run
    left out: those of an initial sync, or more at once than `max_requests_per_load` allows.

    Raises ConfigurationError, CrmSchemaError, DatabaseUnavailable.
    """
    from ecw.crm.db.engine import open_crm, reading
    from ecw.crm.state import practices
    from ecw.fhir.connection import practice_of
    from ecw.practice.mappings import PracticeMappings
    from ecw.pull.mapped_columns import mapped_of
    from ecw.settings import connections
    from ecw.vob import requests
    from ecw.vob.relevant_fields import what_changed
    from ecw.vob.settings import VobSettings
    from ecw.vob.table import NOT_DELIVERED, WAITING

    read = PracticeMappings.at(ecw_conn_id)
    practice = practice_of(read.base_url)
    settings = VobSettings.read(read.connection.extra_dejson.get("vob"))
    insurance = mapped_of(read.of("insurance"))
    with open_crm(crm_conn_id) as engine:
        with reading(engine) as crm:
            practices.require(crm, practice, read.base_url)
        opening = requests.Opening(
            engine=engine,
            practice=practice,
            insurance=insurance,
            matters=what_changed,
            include_initial_sync=settings.include_initial_sync,
            max_requests_per_load=settings.max_requests_per_load,
            delivery=WAITING if connections.exists(webhook_conn_id) else NOT_DELIVERED,
        )
        opened = _open_all(opening, of_run)
    log.info("Practice %s: %s.", practice, opened)
    return opened.counts()


def _open_all(opening: Opening, of_run: str) -> Opened:
    """Open the requests that the run `of_run` left out, then the requests of all unread loads."""
    from ecw.vob.requests import Opened, loads

    total = Opened()
    if of_run:
        left_out = loads(opening.engine, opening.practice, of_run)
        for load in left_out:
            total += opening.of_load(load, again=True)
        if not left_out:
            log.warning("The run %s has no change that opened no request.", of_run)
    for load in loads(opening.engine, opening.practice):
        total += opening.of_load(load)
    return total


def deliver(
    ecw_conn_id: str = "ecw_default", crm_conn_id: str = "crm_default", webhook_conn_id: str = WEBHOOK
) -> dict[str, int]:
    """Post the waiting requests, the oldest first; return how many were delivered and refused.

    The result of each request is stored at once, so that a retry sends only the others. A request that was posted just
    before the task was killed is posted again under the same Idempotency-Key.

    Raises ServerUnavailable if some requests still wait, BadRequest if the receiver refused some, ConfigurationError.
    """
    from ecw.crm.db.engine import open_crm, reading
    from ecw.crm.state import practices
    from ecw.fhir.connection import base_url_of, practice_of
    from ecw.settings import connections
    from ecw.vob.webhook import webhook

    base_url = base_url_of(connections.get(ecw_conn_id))
    practice = practice_of(base_url)
    hook = webhook(webhook_conn_id)
    if hook is None:
        log.info("The connection %s does not exist: requests stay in the CRM's table vob_request.", webhook_conn_id)
        return {"delivered": 0, "refused": 0}
    with open_crm(crm_conn_id) as engine:
        with reading(engine) as crm:
            practices.require(crm, practice, base_url)
        return _post_all(engine, practice, hook)


def _post_all(engine: Any, practice: str, hook: WebhookHook) -> dict[str, int]:
    from ecw.errors import BadRequest, ServerUnavailable
    from ecw.vob import table

    delivered, refused, failed, in_a_row = 0, 0, 0, 0
    last: ServerUnavailable | None = None
    for key, body in table.waiting(engine, practice):
        try:
            hook.post(key, body)
        except ServerUnavailable as error:
            last, failed, in_a_row = error, failed + 1, in_a_row + 1
            table.settle(engine, practice, key, table.WAITING, error.what)
            if in_a_row == GIVE_UP:
                break
            continue
        except BadRequest as error:
            refused += 1
            table.settle(engine, practice, key, table.REFUSED, error.what)
        else:
            delivered += 1
            table.settle(engine, practice, key, table.DELIVERED, None)
        in_a_row = 0
    log.info("Practice %s: %d requests delivered, %d refused, %d failed.", practice, delivered, refused, failed)
    if last is not None:
        raise ServerUnavailable(
            f"{delivered} requests were delivered, others wait: {last.what}", next_step=last.next_step
        )
    if refused:
        raise BadRequest(
            f"The webhook refused {refused} requests; vob_request.delivery_note has its answers.",
            next_step="fix the receiver, set their `delivery` in vob_request to 'waiting', and trigger crm_vob.",
        )
    return {"delivered": delivered, "refused": refused}
