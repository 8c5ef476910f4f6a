"""A business table of the CRM: its columns, its key, its practice column, and whether a mapping fits it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import CHAR, Column, ColumnElement, Connection, Integer, Table, Text, Uuid, cast

from ecw.crm.db.converters import Converter, converter
from ecw.crm.db.enums import PRACTICE_OPTION
from ecw.crm.db.schema import reflection
from ecw.crm.db.schema.problems import Problem, unfilled
from ecw.crm.db.schema.problems import problems as problems_of
from ecw.crm.db.schema.reflection import reflect
from ecw.errors import CrmSchemaError
from ecw.identity.person import Person
from ecw.three_way_merge import Rule

# Columns that the CRM's table may have beside those of the mapping.
LOCK = "emr_updates_locked"  # true: the row takes no updates, and nothing of it is pushed
CHANGED = "updated_at"  # when the row was last changed
STATUS = "emr_status"  # the record's status in eCW: inactive, merged, deceased or deleted, with the reason
PRACTICE = "ecw_practice"  # the code of the row's practice, if practices share the table

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")


def _unchanged(_name: str, value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Mapped:
    """The part of a mapping that the CRM's side needs.

    `table` may have a schema (`schema.table`). `columns` are those that the mapping names, `key` is the one with the
    eCW id, `read` are those that are never written. `references` hold `FhirType/eCW-id`; a row is deferred until the
    records of its `required_references` are linked. `version` is the hash of the mapping. `rules` says how each column
    is merged. `cleaned(column, value)` returns the CRM's value as a pull would have cleaned it, for comparisons. `who`
    are the columns that identify a person, `born` is the birth date among them, `contacts` are the columns of phone
    numbers, e-mail addresses and streets. `person` reads a person from a row.
    """

    table: str
    key: str
    columns: tuple[str, ...]
    version: str
    read: frozenset[str] = frozenset()
    references: frozenset[str] = frozenset()
    required_references: frozenset[str] = frozenset()
    who: tuple[str, ...] = ()
    born: str | None = None
    contacts: tuple[str, ...] = ()
    rules: MappingType[str, Rule] = field(default_factory=dict)
    cleaned: Callable[[str, Any], Any] = _unchanged
    person: Callable[[MappingType[str, Any]], Person] = Person.of


@dataclass(frozen=True, slots=True)
class BusinessTable:
    """The table, its primary key, and the columns that a mapping fills, each with its converter."""

    mapped: Mapped
    table: Table
    key: Column[Any]
    columns: dict[str, Column[Any]]
    converters: dict[str, Converter]
    practice: Column[Any] | None = None  # the practice column; None if the table has none

    def key_of(self, text: str) -> Any:
        """Return the typed key for a key in text form, in any spelling (01, a UUID in capitals).

        Raises ValueError if the text cannot be a key of this table.
        """
        if isinstance(self.key.type, Integer):
            if not _WHOLE_NUMBER.fullmatch(text.strip()) or abs(int(text)) >= 2**63:
                raise ValueError("no key of the table")
            return int(text)
        return UUID(text.strip()) if isinstance(self.key.type, Uuid) else text

    @property
    def meant(self) -> dict[str, Column[Any]]:
        """The key columns of the references that have one: `{"patient": <column patient_id>}`."""
        found = {name: self.table.columns.get(f"{name}_id") for name in sorted(self.mapped.references)}
        return {name: column for name, column in found.items() if column is not None}


def as_read(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the expression that reads a column: CHAR(n) without its padding blanks."""
    return cast(column, Text) if isinstance(column.type, CHAR) else column


def find(connection: Connection, mapped: Mapped) -> BusinessTable:
    """Return the mapping's table.

    Raises CrmSchemaError with all problems if the mapping does not fit the table.
    """
    table = reflect(connection, mapped.table)
    mismatches = _problems(connection, table, mapped)
    if mismatches:
        raise CrmSchemaError(
            f"The mapping does not fit the CRM's table {mapped.table}: {' '.join(f'{each}.' for each in mismatches)}",
            next_step="fix the mapping file, or the CRM's table, until they agree; `ecw mapping check` shows both.",
        )
    key, practice = reflection.key_of(table), practice_column(connection)
    columns = {name: table.columns[name] for name in mapped.columns}
    fits = {name: fit for name, column in columns.items() if (fit := converter(column.type))}
    return BusinessTable(
        mapped, table, key, columns, fits, None if practice in columns else table.columns.get(practice)
    )


def practice_column(connection: Connection) -> str:
    """Return the name of the practice column; the CRM connection's extra `practice_column` sets it."""
    return str(connection.get_execution_options().get(PRACTICE_OPTION) or PRACTICE)


def key_of(connection: Connection, name: str) -> Column[Any]:
    """Return the key column of one of the CRM's tables.

    Raises CrmSchemaError if the table does not exist, or has no key of one column.
    """
    return reflection.key_of(reflect(connection, name))


def problems(connection: Connection, mapped: Mapped) -> list[Problem]:
    """Return why a mapping cannot fill its table, an empty list if it can.

    Raises CrmSchemaError if the table does not exist.
    """
    return _problems(connection, reflect(connection, mapped.table), mapped)


def _problems(connection: Connection, table: Table, mapped: Mapped) -> list[Problem]:
    filled = filled_by_load(connection, mapped.required_references)
    of_table = problems_of(connection, table, mapped.columns, mapped.key, mapped.read, filled)
    return [*of_table, *unfilled(connection, table, mapped.columns)]


def filled_by_load(connection: Connection, required_references: Iterable[str]) -> set[str]:
    """Return the columns that a load fills without a mapping: the practice, and the keys of required references."""
    return {practice_column(connection), *(f"{name}_id" for name in required_references)}
