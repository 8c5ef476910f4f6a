"""The steps of crm_vob: open requests for what pulls have changed -> deliver those that wait."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecw.vob.requests import Opened, Opening
    from ecw.vob.webhook import WebhookHook

WEBHOOK = "vob_webhook"
FORM = ("of_run",)  # what a run may say
GIVE_UP = 3  # troubles in a row: the receiver is down, and not one request that it stumbles over
log = logging.getLogger(__name__)

# Imports stand inside the functions: a DAG file imports this module.


def open_by_form(ecw_conn_id: str = "ecw_default", params: Mapping[str, Any] | None = None) -> dict[str, int]:
    """Do what `open_vob` does for a practice, as the form of a run says; Airflow hands it over."""
    from ecw.settings.base import require_own_keys
    from ecw.settings.practices import of_connection

    require_own_keys(params or {}, FORM, "run of crm_vob")
    of_run, practice = str((params or {}).get("of_run") or ""), of_connection(ecw_conn_id)
    return open_vob(of_run, practice.connection, practice.crm_connection, practice.vob_webhook)


def deliver_of(ecw_conn_id: str = "ecw_default") -> dict[str, int]:
    """Do what `deliver` does for the practice at a connection."""
    from ecw.settings.practices import of_connection

    practice = of_connection(ecw_conn_id)
    return deliver(practice.connection, practice.crm_connection, practice.vob_webhook)


def open_vob(
    of_run: str = "", ecw_conn_id: str = "ecw_default", crm_conn_id: str = "crm_default", webhook_conn_id: str = WEBHOOK
) -> dict[str, int]:
    """Open a request for each patient and load whose change matters; return how many were opened and passed over.

    Everything that the journal has and nobody has read yet is read, whatever woke us. `of_run` opens those of
    one run that had been passed over: a first look, or more at once than `max_requests_per_load` allows.

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
    """Open the requests of all loads that nobody has read yet; before them those that a run has passed over."""
    from ecw.vob.requests import Opened, loads

    total = Opened()
    if of_run:
        passed_over = loads(opening.engine, opening.practice, of_run)
        for load in passed_over:
            total += opening.of_load(load, again=True)
        if not passed_over:
            log.warning("The run %s has no change that opened no request.", of_run)
    for load in loads(opening.engine, opening.practice):
        total += opening.of_load(load)
    return total


def deliver(
    ecw_conn_id: str = "ecw_default", crm_conn_id: str = "crm_default", webhook_conn_id: str = WEBHOOK
) -> dict[str, int]:
    """Post the requests that wait, the oldest first; return how many were delivered and refused.

    Each is settled by itself, so that a retry sends only what is left. One that was posted when the task was killed is
    posted again under the same Idempotency-Key.

    Raises ServerUnavailable where some wait still, BadRequest where the receiver did not take some, ConfigurationError.
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
        log.info("There is no connection %s: requests are in the CRM's table vob_request alone.", webhook_conn_id)
        return {"delivered": 0, "refused": 0}
    with open_crm(crm_conn_id) as engine:
        with reading(engine) as crm:
            practices.require(crm, practice, base_url)
        return _post_all(engine, practice, hook)


def _post_all(engine: Any, practice: str, hook: WebhookHook) -> dict[str, int]:
    from ecw.errors import BadRequest, ServerUnavailable
    from ecw.vob import table

    delivered, refused, troubles, in_a_row = 0, 0, 0, 0
    last: ServerUnavailable | None = None
    for key, body in table.waiting(engine, practice):
        try:
            hook.post(key, body)
        except ServerUnavailable as trouble:
            last, troubles, in_a_row = trouble, troubles + 1, in_a_row + 1
            table.settle(engine, practice, key, table.WAITING, trouble.what)
            if in_a_row == GIVE_UP:
                break
            continue
        except BadRequest as refusal:
            refused += 1
            table.settle(engine, practice, key, table.REFUSED, refusal.what)
        else:
            delivered += 1
            table.settle(engine, practice, key, table.DELIVERED, None)
        in_a_row = 0
    log.info("Practice %s: %d requests delivered, %d refused, %d in trouble.", practice, delivered, refused, troubles)
    if last is not None:
        raise ServerUnavailable(
            f"{delivered} requests were delivered, others wait: {last.what}", next_step=last.next_step
        )
    if refused:
        raise BadRequest(
            f"The webhook did not take {refused} requests; vob_request.delivery_note says how it answered.",
            next_step="fix the receiver, set their `delivery` in vob_request to 'waiting', and trigger crm_vob.",
        )
    return {"delivered": delivered, "refused": refused}
