"""Who asks, and what that person may do: so that a page offers no button that would be refused."""

from __future__ import annotations

from dataclasses import dataclass

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter

from ecw.ui.access import DAGS, READ, can_act, can_see_values

router = APIRouter(dependencies=[READ])


@dataclass(frozen=True, slots=True)
class Me:
    """The user's name and rights; `act` names the DAGs that this user may trigger."""

    name: str
    act: list[str]
    values: bool


@router.get("/me")
def me(user: GetUserDep) -> Me:
    """Return the user's rights."""
    return Me(user.get_name(), [dag for dag in DAGS if can_act(user, dag)], can_see_values(user))
