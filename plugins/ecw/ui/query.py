"""Parameters of several pages, with their bounds."""

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
Cursor = Annotated[str, Query(max_length=600, description="Where the previous page ended")]
Limit = Annotated[int, Query(ge=1, le=200)]


def moment(text: str, name: str) -> datetime | None:
    """Return the time of a parameter; None if it is empty.

    Raises a 400 that names the parameter if it is not a time with a zone.
    """
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise HTTPException(400, f"{name}: write a time with its zone, such as 2026-11-25T10:00:00Z.")
    return time


def known_resource(name: str) -> str | None:
    """Return a resource's name; None if it is empty.  Raises a 400 if the resource does not exist."""
    if name and name not in RESOURCES:
        raise HTTPException(400, f"resource: it does not exist; use {', '.join(RESOURCES)}.")
    return name or None
