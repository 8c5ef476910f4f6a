"""Who may do what in the console: Airflow's own rights to the DAGs and connections of each practice decide.

| right  | what a user may see or do in a practice         | Airflow's right                             |
| read   | ids, names of fields, codes and counts          | see the runs of its DAG `ecw_pull`          |
| act    | start, replay, choose, dismiss                  | trigger the DAG that carries it out         |
| values | the values of records: patient data             | edit the connection of its CRM              |

With several practices the DAGs are `ecw_pull__north` and so on. A practice without a connection in this Airflow needs
the right to every practice. A user who may edit a CRM's connection can reach its data anyway, so the right `values`
reveals nothing new.

Each route names its rights as dependencies and takes the practice from them (`Here`, `Everywhere`), never from the
request itself. `tests/ui/test_access.py` and `test_access_by_practice.py` check all routes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails, DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.configuration import conf
from airflow.models import Connection, DagModel
from fastapi import Depends, Header, HTTPException, Request
from sqlalchemy import Connection as CrmConnection

from ecw.errors import ConfigurationError
from ecw.reports import sync_state
from ecw.ui.page import crm
from ecw.ui.practice import Site, Sites
from ecw.ui.query import MOST_CODE as MOST
from ecw.ui.query import Practice

READ_DAG, PUSH_DAG, REPLAY_DAG = "ecw_pull", "ecw_push_patients", "ecw_replay"
DAGS = (READ_DAG, PUSH_DAG, REPLAY_DAG)
HEADER = "X-ECW-Console"


def logged_in(_user: GetUserDep) -> None:
    """Refuse a user without a login: 401."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The practices that a user may read; with `all_of_them`, also practices without a connection in this Airflow."""

    user: Any
    sites: Sites
    readable: tuple[Site, ...]

    @property
    def all_of_them(self) -> bool:
        """True if the user may read every practice."""
        return len(self.readable) == len(self.sites.ours)

    @property
    def crms(self) -> list[str]:
        """The CRM connections of the practices that the user may read."""
        return list(dict.fromkeys(site.crm for site in self.readable))

    def site(self, code: str) -> Site:
        """Return the practice with a code.  Raises a 403 if the user may not read it, also if it does not exist."""
        for site in self.readable:
            if site.code == code:
                return site
        if self.all_of_them:
            return self.sites.other(code)
        raise HTTPException(403, f"You need the right to see the runs of the practice's DAG {READ_DAG} in Airflow.")

    def of_dag(self, suffix: str) -> Site:
        """Return the practice whose DAG ids end with `suffix`.

        Raises a 403 if the user may not read it, also if it does not exist.
        """
        for site in self.readable:
            if site.suffix == suffix:
                return site
        raise HTTPException(403, "You need the right to see the runs of the DAG in Airflow.")

    def shown(self, connection: CrmConnection, conn_id: str) -> list[str]:
        """Return the practices that have run in a CRM and that the user may read, by name."""
        return [name for name in sync_state.practices(connection) if self.shows(name, conn_id)]

    def shows(self, code: str, conn_id: str) -> bool:
        """Return True if the user may read the rows that a CRM has of a practice."""
        if code in self.sites.codes:
            return any(site.code == code and site.crm == conn_id for site in self.readable)
        return self.all_of_them and self.sites.other(code).crm == conn_id

    def first(self) -> Site:
        """Return the practice that a page shows first: preferably one that has run."""
        for conn_id in self.crms:
            with crm(conn_id) as connection:
                names = self.shown(connection, conn_id)
            if names:
                return self.site(names[0])
        return self.readable[0]

    def can_act(self, site: Site, dag: str) -> bool:
        """Return True if the user may trigger a DAG of a practice."""
        return all(_can_use_dag("POST", one.dag_id(dag), self.user) for one in self._required(site))

    def can_see_values(self, site: Site) -> bool:
        """Return True if the user may see the values of a practice's records."""
        return get_auth_manager().is_authorized_connection(
            method="PUT",
            details=ConnectionDetails(conn_id=site.crm, team_name=Connection.get_team_name(site.crm)),
            user=self.user,
        )

    def _required(self, site: Site) -> Sequence[Site]:
        """Return the practices whose DAGs the user needs: all of them for a practice without a connection."""
        return self.sites.ours if site.practice is None else (site,)


def _can_use_dag(method: Any, dag_id: str, user: Any) -> bool:
    return get_auth_manager().is_authorized_dag(
        method=method,
        access_entity=DagAccessEntity.RUN,
        details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
        user=user,
    )


def allowed(user: GetUserDep) -> Allowed:
    """Return the practices that the user may read; refuse a user who may read none: 403."""
    try:
        sites = Sites.read()
    except ConfigurationError:  # only a user who may see runs gets the error's message
        if not _can_use_dag("GET", READ_DAG, user):
            raise HTTPException(403, "Forbidden") from None
        raise
    readable = tuple(site for site in sites.ours if _can_use_dag("GET", site.dag_id(READ_DAG), user))
    if not readable:
        raise HTTPException(403, "Forbidden")
    return Allowed(user, sites, readable)


Everywhere = Annotated[Allowed, Depends(allowed)]


async def requested_code(request: Request, practice: Practice = "") -> str | None:
    """Return the code of the practice in a request's parameter, or in the body of a POST.

    None if a GET names none, "" if the body of a POST has no practice.
    """
    if request.method != "POST":
        return practice or None
    try:
        body = await request.json()
    except ValueError:
        return ""
    code = body.get("practice") if isinstance(body, dict) else None
    if not isinstance(code, str):
        return ""
    if "\0" in code or len(code) > MOST:
        raise HTTPException(400, "practice: this is not a practice's code.")
    return code


def may_read(mine: Everywhere, code: Annotated[str | None, Depends(requested_code)]) -> Site:
    """Return the practice of a request, the first one if it names none; refuse a user who may not read it: 403."""
    if code == "":  # a body without a practice: the route's model refuses it
        return mine.readable[0]
    return mine.first() if code is None else mine.site(code)


Here = Annotated[Site, Depends(may_read)]


def may_see_values(mine: Everywhere, here: Here) -> None:
    """Refuse a user who may not see the values of the practice's records: 403."""
    if not mine.can_see_values(here):
        raise HTTPException(
            403, f"To see the values of records, you need the right to edit the connection {here.crm!r} in Airflow."
        )


class MayAct:
    """The right to trigger the practice's DAG that carries an action out."""

    def __init__(self, dag_id: str) -> None:
        self.dag_id = dag_id

    def __call__(self, mine: Everywhere, here: Here) -> None:
        """Refuse a user who may not trigger it: 403."""
        if not mine.can_act(here, self.dag_id):
            raise HTTPException(403, f"You need the right to trigger the DAG {here.dag_id(self.dag_id)} in Airflow.")


def from_this_page(
    request: Request,
    console: Annotated[str, Header(alias=HEADER)] = "",
    origin: Annotated[str, Header()] = "",
    site: Annotated[str, Header(alias="Sec-Fetch-Site")] = "",
) -> None:
    """Refuse an action that another site sends with a user's cookie (CSRF): 403; refuse a body that is not JSON: 415.

    A form of another site cannot set a header. A script of another site may not: the browser sends a preflight request
    first, which this app does not allow. If the browser sends Sec-Fetch-Site, that header decides, because a proxy may
    have changed the host.
    """
    hosts = {request.headers.get("Host", ""), urlsplit(conf.get("api", "base_url", fallback="")).netloc}
    foreign = site != "same-origin" if site else bool(origin) and urlsplit(origin).netloc not in hosts
    if not console or foreign:
        raise HTTPException(403, f"Only the console's own pages may send actions (header {HEADER}).")
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Send an action as application/json.")


READ = Depends(may_read)
READ_ANY = Depends(allowed)  # for a route about all practices that the user may read
VALUES = Depends(may_see_values)


def act(dag_id: str) -> list[Any]:
    """Return the dependencies of a route that acts: the request's origin, and the right to trigger the DAG."""
    return [Depends(from_this_page), Depends(MayAct(dag_id))]
