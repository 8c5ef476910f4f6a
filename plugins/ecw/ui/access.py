"""Who may do what in the console, by Airflow's own rights to the DAGs and connections of each practice.

| right  | what it opens of a practice                     | Airflow's right                             |
| read   | ids, names of fields, codes and counts          | see the runs of its DAG `ecw_pull`          |
| act    | start, replay, choose, dismiss                  | trigger its DAG that does it                |
| values | the values of records: patient data             | edit the connection of its CRM              |

With several practices the DAGs are `ecw_pull__north` and so on. A practice that no connection of this Airflow has is
for those who have the right to every practice. Whoever may edit a CRM's connection can reach its data anyway, so that
right gives away nothing new.

Each route names its rights as dependencies, and takes the practice from them (`Here`, `Everywhere`): never from what
was sent. `tests/ui/test_access.py` and `test_access_by_practice.py` walk through all routes.
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
from ecw.ui.api.query import MOST_CODE as MOST
from ecw.ui.api.query import Practice
from ecw.ui.page import crm
from ecw.ui.practice import Site, Sites

READ_DAG, PUSH_DAG, REPLAY_DAG = "ecw_pull", "ecw_push_patients", "ecw_replay"
DAGS = (READ_DAG, PUSH_DAG, REPLAY_DAG)
HEADER = "X-ECW-Console"


def logged_in(_user: GetUserDep) -> None:
    """Refuse who has no login: 401."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What of this Airflow's practices a user may read; of those that no connection has, only with `all_of_them`."""

    user: Any
    sites: Sites
    readable: tuple[Site, ...]

    @property
    def all_of_them(self) -> bool:
        """Whether the user may read every practice."""
        return len(self.readable) == len(self.sites.ours)

    @property
    def crms(self) -> list[str]:
        """The connections of the CRMs that the user may read something of."""
        return list(dict.fromkeys(site.crm for site in self.readable))

    def site(self, code: str) -> Site:
        """Return the practice of a code.  Raises a 403, whether there is such a practice or not."""
        for site in self.readable:
            if site.code == code:
                return site
        if self.all_of_them:
            return self.sites.other(code)
        raise HTTPException(403, f"This is for those who may see the runs of the practice's DAG {READ_DAG} in Airflow.")

    def of_dag(self, suffix: str) -> Site:
        """Return the practice whose DAG ids end so.  Raises a 403, whether there is such a practice or not."""
        for site in self.readable:
            if site.suffix == suffix:
                return site
        raise HTTPException(403, "This is for those who may see the runs of the DAG in Airflow.")

    def shown(self, connection: CrmConnection, conn_id: str) -> list[str]:
        """Return the practices that have run in a CRM, by name: those that the user may read."""
        return [name for name in sync_state.practices(connection) if self.shows(name, conn_id)]

    def shows(self, code: str, conn_id: str) -> bool:
        """Return True if the user may read the practice of these rows of a CRM."""
        if code in self.sites.codes:
            return any(site.code == code and site.crm == conn_id for site in self.readable)
        return self.all_of_them and self.sites.other(code).crm == conn_id

    def first(self) -> Site:
        """Return the practice that a page shows first: one that has run, if any has."""
        for conn_id in self.crms:
            with crm(conn_id) as connection:
                names = self.shown(connection, conn_id)
            if names:
                return self.site(names[0])
        return self.readable[0]

    def can_act(self, site: Site, dag: str) -> bool:
        """Return True if the user may trigger a DAG of a practice."""
        return all(_can_use_dag("POST", one.dag_id(dag), self.user) for one in self._whose(site))

    def can_see_values(self, site: Site) -> bool:
        """Return True if the user may see the values of a practice's records."""
        return get_auth_manager().is_authorized_connection(
            method="PUT",
            details=ConnectionDetails(conn_id=site.crm, team_name=Connection.get_team_name(site.crm)),
            user=self.user,
        )

    def _whose(self, site: Site) -> Sequence[Site]:
        return self.sites.ours if site.practice is None else (site,)


def _can_use_dag(method: Any, dag_id: str, user: Any) -> bool:
    return get_auth_manager().is_authorized_dag(
        method=method,
        access_entity=DagAccessEntity.RUN,
        details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
        user=user,
    )


def allowed(user: GetUserDep) -> Allowed:
    """Return what the user may read; refuse who may read no practice: 403."""
    try:
        sites = Sites.read()
    except ConfigurationError:  # what is wrong is for those who may see runs
        if not _can_use_dag("GET", READ_DAG, user):
            raise HTTPException(403, "Forbidden") from None
        raise
    readable = tuple(site for site in sites.ours if _can_use_dag("GET", site.dag_id(READ_DAG), user))
    if not readable:
        raise HTTPException(403, "Forbidden")
    return Allowed(user, sites, readable)


Everywhere = Annotated[Allowed, Depends(allowed)]


async def asked(request: Request, practice: Practice = "") -> str | None:
    """Return the code of the practice that a request is about: its parameter, of a POST its body's; None: unsaid."""
    if request.method != "POST":
        return practice or None
    try:
        body = await request.json()
    except ValueError:
        return ""
    said = body.get("practice") if isinstance(body, dict) else None
    if not isinstance(said, str):
        return ""
    if "\0" in said or len(said) > MOST:
        raise HTTPException(400, "practice: it is no practice's code.")
    return said


def may_read(mine: Everywhere, code: Annotated[str | None, Depends(asked)]) -> Site:
    """Return the practice that a request is about, the first one where it does not say; 403 for who may not read it."""
    if code == "":  # a body without a practice, which its model refuses
        return mine.readable[0]
    return mine.first() if code is None else mine.site(code)


Here = Annotated[Site, Depends(may_read)]


def may_see_values(mine: Everywhere, here: Here) -> None:
    """Refuse who may not see the values of the practice's records: 403."""
    if not mine.can_see_values(here):
        raise HTTPException(
            403, f"The values of records are for those who may edit the connection {here.crm!r} in Airflow."
        )


class MayAct:
    """The right to trigger the practice's DAG that an action belongs to."""

    def __init__(self, dag_id: str) -> None:
        self.dag_id = dag_id

    def __call__(self, mine: Everywhere, here: Here) -> None:
        """Refuse who may not trigger it: 403."""
        if not mine.can_act(here, self.dag_id):
            raise HTTPException(
                403, f"This is for those who may trigger the DAG {here.dag_id(self.dag_id)} in Airflow."
            )


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
READ_ANY = Depends(allowed)  # of a route about every practice that the user may read
VALUES = Depends(may_see_values)


def act(dag_id: str) -> list[Any]:
    """Return the dependencies of a route that acts: of the right kind of request, from who may trigger the DAG."""
    return [Depends(from_this_page), Depends(MayAct(dag_id))]
