"""The user and the user's rights, so that a page disables the buttons of actions that would be refused."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from ecw.ui.access import DAGS, READ_ANY, Allowed, Everywhere
from ecw.ui.practice import Site

router = APIRouter(dependencies=[READ_ANY])


@dataclass(frozen=True, slots=True)
class OfPractice:
    """A user's rights to a practice: `act` has the ids of its DAGs that the user may trigger.

    `suffix` is the end of its DAG ids, `crm` the connection whose editors see values. The entry with the `practice` ""
    is for all practices without a connection in this Airflow.
    """

    practice: str
    suffix: str
    crm: str
    act: list[str]
    values: bool


@dataclass(frozen=True, slots=True)
class Me:
    """The user's name, and the rights to each practice that the user may read."""

    name: str
    practices: list[OfPractice]


@router.get("/me")
def me(mine: Everywhere) -> Me:
    """Return the user's rights."""
    sites = [site for site in mine.readable if site.code]
    if mine.all_of_them:
        sites.append(mine.sites.other(""))
    else:
        sites += [site for site in mine.readable if not site.code][:1]
    return Me(mine.user.get_name(), [_of(mine, site) for site in sites])


def _of(mine: Allowed, site: Site) -> OfPractice:
    act = [site.dag_id(dag) for dag in DAGS if mine.can_act(site, dag)]
    return OfPractice(site.code, site.suffix, site.crm, act, mine.can_see_values(site))
