"""Create the Run of a pull or a replay, before it is planned: its practice, window and staging folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Engine

from ecw.crm.db.engine import reading
from ecw.crm.state import practices, run_history
from ecw.fhir.connection import base_url_of, practice_of
from ecw.models import PullRequest, Run
from ecw.staging import batch_file, location

if TYPE_CHECKING:
    from ecw.settings.connections import Connection as AirflowConnection


def new_run(engine: Engine, request: PullRequest, connection: AirflowConnection, mode: str) -> Run:
    """Return the requested run of the connection's practice, with the window of the request; write nothing.

    Raises ConfigurationError if the CRM has the practice code from another server, or the run id from a run of the
    other DAG.
    """
    base_url = base_url_of(connection)
    practice, run_id = practice_of(base_url), request.run_id
    with reading(engine) as crm:
        practices.require(crm, practice, base_url)
    run_history.require_own_id(engine, practice, run_id, mode)
    root = location.staging_root(request.staging)
    return Run(
        practice=practice,
        base_url=base_url,
        run_id=run_id,
        run_type=request.run_type,
        mode=mode,
        window_start=request.window_start,
        window_end=request.window_end,
        ecw_conn_id=request.ecw_conn_id,
        crm_conn_id=request.crm_conn_id,
        staging=batch_file.run_folder(root, practice, run_history.folder_name(engine, practice, run_id)),
    )
