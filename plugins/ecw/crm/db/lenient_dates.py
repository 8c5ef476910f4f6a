"""Dates that the CRM's database holds and Python does not have: they arrive as the text that is stored.

SQLite keeps any text in a column of dates ("02/28/1980"), PostgreSQL the years beyond 9999 and `infinity`.  The drivers
raise at such a one, with the value in the error's text, and the other rows of the answer are lost with it.  As a text
it is a wrong value of one row, which is reported and fixed like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import types
from sqlalchemy.dialects import sqlite

Processor = Callable[[Any], Any]


class _AnyText:
    """A SQLite type that lets pass what is not a date, both ways."""

    def adapt(self, cls: Any, **kwargs: Any) -> Any:
        """Stay what it is: the driver has a class of its own for each type."""
        base: Any = super()
        return base.adapt(type(self), **kwargs)

    def result_processor(self, dialect: Any, coltype: Any) -> Processor:
        """Return what reads a stored value."""
        base: Any = super()
        read = base.result_processor(dialect, coltype)

        def process(value: Any) -> Any:
            try:
                return read(value)
            except (TypeError, ValueError):
                return value

        return process

    def bind_processor(self, dialect: Any) -> Processor:
        """Return what makes a value ready to be stored."""
        base: Any = super()
        write = base.bind_processor(dialect)
        return lambda value: value if isinstance(value, str) else write(value)


class AnyDate(_AnyText, sqlite.DATE):
    """A date, or a text that is none."""


class AnyDateTime(_AnyText, sqlite.DATETIME):
    """A time, or a text that is none."""


def reflected(inspector: Any, _table: Any, column: dict[str, Any]) -> None:
    """Take the types above for a SQLite table's columns (SQLAlchemy's event `column_reflect`)."""
    if inspector.dialect.name != "sqlite":
        return
    kind = column["type"]
    if isinstance(kind, types.DateTime):
        column["type"] = AnyDateTime(timezone=kind.timezone)  # type: ignore[no-untyped-call]
    elif isinstance(kind, types.Date):
        column["type"] = AnyDate()  # type: ignore[no-untyped-call]


def connected(connection: Any, _record: Any) -> None:
    """Teach a psycopg connection the same (SQLAlchemy's event `connect`)."""
    from psycopg.adapt import Loader
    from psycopg.errors import DataError
    from psycopg.pq import Format

    def any_text(usual: type[Loader]) -> type[Loader]:
        class AnyText(Loader):
            def __init__(self, oid: int, context: Any = None) -> None:
                super().__init__(oid, context)
                self._usual = usual(oid, context)

            def load(self, data: Any) -> Any:
                try:
                    return self._usual.load(data)
                except DataError:
                    return bytes(data).decode()

        return AnyText

    adapters = connection.adapters
    for name in ("date", "timestamp", "timestamptz"):
        oid = adapters.types[name].oid
        adapters.register_loader(oid, any_text(adapters.get_loader(oid, Format.TEXT)))
