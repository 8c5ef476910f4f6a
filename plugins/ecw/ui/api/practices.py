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
    """The practices that may be chosen, by name; `practice` is the one that is shown, `ran` whether it ever ran."""

    practice: str
    practices: list[str]
    ran: bool


@router.get("/practices")
def practices(here: Here, mine: Everywhere) -> Practices:
    """Return the practices that the user may read."""
    with crm(here.crm) as connection:
        there = mine.shown(connection, here.crm)
    return Practices(here.code, names_of(mine, there), here.code in there)


def names_of(mine: Allowed, there: Iterable[str]) -> list[str]:
    """Return what a page offers to choose from: what this Airflow synchronises, and what else is in the CRM."""
    return sorted({*there, *(site.code for site in mine.readable if site.code)})
