"""Mappings as tables, the state of their crosswalks, and a trial with one record, which is stored nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, Field

from ecw.mapping.tools.preview import pulled
from ecw.models import RunType
from ecw.practice.client import client_for
from ecw.reports import mappings
from ecw.reports.mappings import CrosswalkState, MappingTable
from ecw.resources import RESOURCES
from ecw.settings import connections
from ecw.ui.access import READ, VALUES, Here, from_this_page
from ecw.ui.page import crm
from ecw.ui.practice import Site, crm_engine, mappings_for
from ecw.ui.query import Resource, known_resource

router = APIRouter(dependencies=[READ])
MAX_JSON = 200_000  # characters of one pasted record


@dataclass(frozen=True, slots=True)
class Mappings:
    """One mapping, and its crosswalks."""

    mapping: MappingTable
    crosswalks: list[CrosswalkState]


class Trial(BaseModel):
    """A record of eCW: by its id, to be read now, or as JSON."""

    practice: str = Field(min_length=1, max_length=64)
    resource: str = Field(max_length=64)
    ecw_id: Annotated[str, Field(max_length=128)] = ""
    json_text: Annotated[str, Field(max_length=MAX_JSON)] = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """One column of the row: its value, the path from which it was taken, and the reasons."""

    column: str
    label: str
    value: Any
    place: str
    why: list[str]


@dataclass(frozen=True, slots=True)
class Tried:
    """The row that the mapping makes; a record with problems would be rejected."""

    columns: list[Shown]
    problems: list[str]
    warnings: list[str]
    unmapped: list[tuple[str, str]]


@router.get("/mappings")
def mapping(here: Here, resource: Resource = "patient") -> Mappings:
    """Return a resource's mapping and its crosswalks."""
    [found] = mappings_for(here, [known_resource(resource) or "patient"])
    with crm(here.crm) as connection:
        return Mappings(mappings.table_of(found), mappings.crosswalks(connection, here.code, found))


@router.post("/mappings/try", dependencies=[Depends(from_this_page), VALUES])
def trial(here: Here, body: Trial) -> Tried:
    """Map one record as a pull would; nothing is written."""
    name = known_resource(body.resource)
    if name is None or bool(body.ecw_id) == bool(body.json_text):
        raise HTTPException(400, "Name the resource, and either an eCW id or a record as JSON.")
    [mapping] = mappings_for(here, [name])
    record = _pasted(body.json_text, name) if body.json_text else _read(here, body)
    preview = pulled(mapping, record)

    def text(problem: Any) -> str:
        return f"{problem.column or 'the record'}: {problem.rule}: {problem.reason}"

    return Tried(
        [Shown(one.column, one.label, one.value, one.place, one.why) for one in preview.columns],
        [text(problem) for problem in preview.problems],
        [text(problem) for problem in preview.warnings],
        preview.unmapped,
    )


def _read(here: Site, body: Trial) -> dict[str, Any]:
    practice = here.required()
    with crm_engine(practice.crm_connection) as engine:
        client = client_for(connections.get(practice.connection), RunType.MANUAL, engine)
        return client.read(RESOURCES[body.resource].fhir_type, body.ecw_id)


def _pasted(text: str, resource: str) -> dict[str, Any]:
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        # The position only: the error's own text could quote the record.
        raise HTTPException(400, f"The text is not JSON: see line {error.lineno}, column {error.colno}.") from None
    kind = RESOURCES[resource].fhir_type
    if not isinstance(record, dict) or record.get("resourceType") != kind:
        raise HTTPException(400, f"The text is not a {kind}: paste one record with the resourceType {kind}.")
    return record
