"""The practices that a user may choose from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import APIRouter

from ecw.ui.access import READ, Allowed, Everywhere, Here
from ecw.ui.page import crm

router = APIRouter(dependencies=[READ])


@dataclass(frozen=True, slots=True)
class Practices:
    """The practices of the user, by name; `practice` is the one that is shown, `ran` is True if it has ever run."""

    practice: str
    practices: list[str]
    ran: bool


@router.get("/practices")
def practices(here: Here, mine: Everywhere) -> Practices:
    """Return the practices that the user may read."""
    with crm(here.crm) as connection:
        in_crm = mine.shown(connection, here.crm)
    return Practices(here.code, names_of(mine, in_crm), here.code in in_crm)


def names_of(mine: Allowed, in_crm: Iterable[str]) -> list[str]:
    """Return the practices that a page offers: those of this Airflow, and others that have rows in the CRM."""
    return sorted({*in_crm, *(site.code for site in mine.readable if site.code)})
