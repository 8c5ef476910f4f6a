"""What pages are made with: templates that escape all values, and a connection that reads the CRM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import Connection

from ecw.crm.db.engine import open_crm, reading
from ecw.crm.db.errors import working
from ecw.printable import on_pages


def render(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page: a template, filled with the values."""
    return HTMLResponse(_templates.get_template(template).render(values), status_code=status)


@contextmanager
def crm(conn_id: str) -> Iterator[Connection]:
    """Yield a connection that reads the CRM.

    Raises ConfigurationError, CrmSchemaError, DatabaseUnavailable.
    """
    with working("This page"), open_crm(conn_id) as engine, reading(engine) as connection:
        yield connection


def _time(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


_templates = Environment(
    loader=PackageLoader("ecw.ui"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=on_pages,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["time"] = _time
