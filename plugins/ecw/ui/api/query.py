"""Parameters that several pages take, bounded."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import HTTPException, Query

from ecw.resources import RESOURCES

MOST_CODE = 64
Practice = Annotated[str, Query(max_length=MOST_CODE, description="The practice's code")]
Resource = Annotated[str, Query(max_length=64, description="A resource, as in resources.py")]
RecordId = Annotated[str, Query(max_length=128, description="An id of either side")]
RunId = Annotated[str, Query(max_length=250, description="An Airflow run")]
Word = Annotated[str, Query(max_length=64)]
Cursor = Annotated[str, Query(max_length=600, description="Where the page before ended")]
Limit = Annotated[int, Query(ge=1, le=200)]


def moment(text: str, name: str) -> datetime | None:
    """Return the time that a parameter holds, None where it is empty.

    Raises a 400 that names it, where it is no time with a zone.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise HTTPException(400, f"{name}: write a time with its zone, such as 2026-11-25T10:00:00Z.")
    return found


def known_resource(name: str) -> str | None:
    """Return a resource's name, None where it is empty; a 400 for one that there is not."""
    if name and name not in RESOURCES:
        raise HTTPException(400, f"There is no resource of that name: use {', '.join(RESOURCES)}.")
    return name or None
