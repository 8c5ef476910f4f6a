"""The steps of a push: begin -> approve -> send -> confirm -> summary.

Tasks, the `ecw` command and the tests call the same functions.  The steps pass a Push to each other: ids and counts.
The CRM has the run's patients and their results (ecw.push.progress), so that a killed step continues from them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ecw.models import Push, PushRequest

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logging.getLogger(__name__)

# Imports stand inside the functions: a DAG file imports this module, and is parsed twice a minute.


def begin(request: PushRequest) -> Push:
    """Plan the run: find its patients in the CRM, and decide whether it needs an approval.

    If the run has patients, it reads eCW's /metadata once, for all its steps.

    Raises ConfigurationError, CrmSchemaError (the CRM is not migrated, or lacks a column), DatabaseUnavailable.
    """
    from ecw.push.plan.begin import begin

    with _crm(request.crm_conn_id) as engine:
        return begin(engine, request)


def send(push: Push, approval: Mapping[str, Any] | None = None) -> dict[str, int]:
    """Push the unfinished patients of the plan; return the number of patients by status.

    Raises ServerUnavailable if some patients are left for a later try, AccessDenied if several patients in a row fail
    for a reason that does not concern a single patient, ConfigurationError if a connection names another practice or
    another CRM than when the run began, DatabaseUnavailable and CrmSchemaError.
    """
    from ecw.push.send import send
    from ecw.push.step_context import open_step

    with open_step(push) as step:
        return send(step, approval or {})


def confirm(push: Push | None) -> dict[str, int]:
    """Read the pushed patients back, so that the next pull does not count them as changed; return counts by result."""
    from ecw.push.confirm import confirm
    from ecw.push.step_context import open_step

    if push is None:
        return {}
    with open_step(push) as step:
        return confirm(step)


def summary(push: Push | None) -> dict[str, Any]:
    """Return and log the run's table; an empty one if the run did not begin."""
    from ecw.push.summary import as_text, close

    if push is None:
        log.error("The run did not begin, so nothing was pushed: the log of `begin` ends with what to do next.")
        return {}
    with _crm(push["crm_conn_id"]) as engine:
        table = close(engine, push)
    log.info("Practice %s, run %s:\n%s", push["practice"], push["run_id"], as_text(table))
    return table


@contextmanager
def _crm(conn_id: str) -> Iterator[Engine]:
    from ecw.crm.db.engine import open_crm
    from ecw.crm.db.errors import working

    with open_crm(conn_id) as engine, working("The push"):
        yield engine
