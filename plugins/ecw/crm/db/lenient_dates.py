"""Read dates of the CRM's database that Python cannot represent as the stored text.

SQLite holds any text in a date column ("02/28/1980"), PostgreSQL holds years beyond 9999 and `infinity`.  The drivers
raise an error for such a value, with the value in its text, and the other rows of the result are lost.  As text it is a
wrong value of one row, which is reported and fixed like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import types
from sqlalchemy.dialects import sqlite

Processor = Callable[[Any], Any]


class _AnyText:
    """A SQLite type that reads and writes texts that are not dates unchanged."""

    def adapt(self, cls: Any, **kwargs: Any) -> Any:
        """Keep this class: the dialect would replace the type by a class of its own."""
        base: Any = super()
        return base.adapt(type(self), **kwargs)

    def result_processor(self, dialect: Any, coltype: Any) -> Processor:
        """Return the function that reads a stored value."""
        base: Any = super()
        read = base.result_processor(dialect, coltype)

        def process(value: Any) -> Any:
            try:
                return read(value)
            except (TypeError, ValueError):
                return value

        return process

    def bind_processor(self, dialect: Any) -> Processor:
        """Return the function that converts a value for storage."""
        base: Any = super()
        write = base.bind_processor(dialect)
        return lambda value: value if isinstance(value, str) else write(value)


class AnyDate(_AnyText, sqlite.DATE):
    """A date, or a text that is not a date."""


class AnyDateTime(_AnyText, sqlite.DATETIME):
    """A date with time, or a text that is not one."""


def reflected(inspector: Any, _table: Any, column: dict[str, Any]) -> None:
    """Set the types above for the columns of a SQLite table (SQLAlchemy's event `column_reflect`)."""
    if inspector.dialect.name != "sqlite":
        return
    kind = column["type"]
    if isinstance(kind, types.DateTime):
        column["type"] = AnyDateTime(timezone=kind.timezone)  # type: ignore[no-untyped-call]
    elif isinstance(kind, types.Date):
        column["type"] = AnyDate()  # type: ignore[no-untyped-call]


def connected(connection: Any, _record: Any) -> None:
    """Register loaders that do the same with a psycopg connection (SQLAlchemy's event `connect`)."""
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
