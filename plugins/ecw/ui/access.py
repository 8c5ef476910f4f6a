"""Who may do what in the console, by Airflow's own rights.

| right  | what it opens                                   | Airflow's right                             |
| read   | ids, names of fields, codes and counts          | see the runs of the DAG `ecw_pull`          |
| act    | start, replay, choose, dismiss                  | trigger the DAG that does it                |
| values | the values of records: patient data             | edit the connection `crm_default`           |

Whoever may edit the CRM's connection can reach its data anyway, so that right gives away nothing new.

Each route names its rights as dependencies; `tests/ui/test_access.py` walks through all routes.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails, DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.configuration import conf
from airflow.models import Connection, DagModel
from fastapi import Depends, Header, HTTPException, Request

READ_DAG, PUSH_DAG, REPLAY_DAG = "ecw_pull", "ecw_push_patients", "ecw_replay"
DAGS = (READ_DAG, PUSH_DAG, REPLAY_DAG)
CRM_CONNECTION = "crm_default"
HEADER = "X-ECW-Console"

may_read = requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=READ_DAG)


def logged_in(_user: GetUserDep) -> None:
    """Refuse who has no login: 401."""


def can_act(user: Any, dag_id: str) -> bool:
    """Return True if a user may trigger a DAG."""
    return get_auth_manager().is_authorized_dag(
        method="POST",
        access_entity=DagAccessEntity.RUN,
        details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
        user=user,
    )


def can_see_values(user: Any) -> bool:
    """Return True if a user may see the values of records."""
    return get_auth_manager().is_authorized_connection(
        method="PUT",
        details=ConnectionDetails(conn_id=CRM_CONNECTION, team_name=Connection.get_team_name(CRM_CONNECTION)),
        user=user,
    )


def may_see_values(user: GetUserDep) -> None:
    """Refuse who may not see the values of records: 403."""
    if not can_see_values(user):
        raise HTTPException(
            403, f"The values of records are for those who may edit the connection {CRM_CONNECTION!r} in Airflow."
        )


class MayAct:
    """The right to trigger the DAG that an action belongs to."""

    def __init__(self, dag_id: str) -> None:
        self.dag_id = dag_id

    def __call__(self, user: GetUserDep) -> None:
        """Refuse who may not trigger it: 403."""
        if not can_act(user, self.dag_id):
            raise HTTPException(403, f"This is for those who may trigger the DAG {self.dag_id} in Airflow.")


def from_this_page(
    request: Request,
    console: Annotated[str, Header(alias=HEADER)] = "",
    origin: Annotated[str, Header()] = "",
    site: Annotated[str, Header(alias="Sec-Fetch-Site")] = "",
) -> None:
    """Refuse an action that another site sends with a user's cookie: 403; one that is not JSON: 415.

    A form of another site can set no header, and a script of another site may not: a browser asks first, and gets no
    consent. Where the browser says itself which site asks, that counts: a proxy may have changed the host.
    """
    ours = {request.headers.get("Host", ""), urlsplit(conf.get("api", "base_url", fallback="")).netloc}
    foreign = site != "same-origin" if site else bool(origin) and urlsplit(origin).netloc not in ours
    if not console or foreign:
        raise HTTPException(403, f"Actions are taken from the console's own pages alone (header {HEADER}).")
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "An action is sent as application/json.")


READ = Depends(may_read)
VALUES = Depends(may_see_values)


def act(dag_id: str) -> list[Any]:
    """Return the dependencies of a route that acts: of the right kind of request, from who may trigger the DAG."""
    return [Depends(from_this_page), Depends(MayAct(dag_id))]
