"""A business table of the CRM as it is found: its columns, its key, and whether a mapping fits it."""

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
STATUS = "emr_status"  # what happened to the record in eCW: inactive, merged, deceased, deleted, each with why
PRACTICE = "ecw_practice"  # the practice's code: whose row it is, where practices share the table

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")


def _as_it_is(_name: str, value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Mapped:
    """What the CRM must know of a mapping: the table (`schema.table` where it has one) and the columns that it fills.

    `key` is the column among them that holds the eCW id, `references` are those that hold `FhirType/eCW-id`,
    `required_references` those among them without whose record a row waits, `read` those that are never written,
    `version` is the mapping's own. `rules` says how a column is merged, `cleaned` how the CRM's value of a column is
    compared: as a pull would clean it. `who` are the columns that tell a person from another, `born` the birth date
    among them, `contacts` those of phone numbers, e-mail addresses and streets, `person` reads a person from a row.
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
    cleaned: Callable[[str, Any], Any] = _as_it_is
    person: Callable[[MappingType[str, Any]], Person] = Person.of


@dataclass(frozen=True, slots=True)
class BusinessTable:
    """The table, its primary key, and the columns that a mapping fills, each with its converter."""

    mapped: Mapped
    table: Table
    key: Column[Any]
    columns: dict[str, Column[Any]]
    converters: dict[str, Converter]
    practice: Column[Any] | None = None  # whose row it is; None where the table has no such column

    def key_of(self, text: str) -> Any:
        """Return a row's key from its text, however that is spelled (01, a UUID in capitals).

        Raises ValueError where it can be no key of this table.
        """
        if isinstance(self.key.type, Integer):
            if not _WHOLE_NUMBER.fullmatch(text.strip()) or abs(int(text)) >= 2**63:
                raise ValueError("no key of the table")
            return int(text)
        return UUID(text.strip()) if isinstance(self.key.type, Uuid) else text

    @property
    def meant(self) -> dict[str, Column[Any]]:
        """The references that have a column beside them for the key of the row they mean: `patient`, `patient_id`."""
        found = {name: self.table.columns.get(f"{name}_id") for name in sorted(self.mapped.references)}
        return {name: column for name, column in found.items() if column is not None}


def as_read(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return how a column is read: one of a fixed length without the blanks that fill it up."""
    return cast(column, Text) if isinstance(column.type, CHAR) else column


def find(connection: Connection, mapped: Mapped) -> BusinessTable:
    """Return the mapping's table, ready to be filled.

    Raises CrmSchemaError with everything in the way at once.
    """
    table = reflect(connection, mapped.table)
    found = _problems(connection, table, mapped)
    if found:
        raise CrmSchemaError(
            f"The mapping does not fit the CRM's table {mapped.table}: {' '.join(f'{each}.' for each in found)}",
            next_step="fix the mapping file, or the CRM's table, until they agree; `ecw mapping check` shows both.",
        )
    key, practice = reflection.key_of(table), practice_column(connection)
    columns = {name: table.columns[name] for name in mapped.columns}
    fits = {name: fit for name, column in columns.items() if (fit := converter(column.type))}
    return BusinessTable(
        mapped, table, key, columns, fits, None if practice in columns else table.columns.get(practice)
    )


def practice_column(connection: Connection) -> str:
    """Return the name of the column that says whose a row is; the CRM connection's extra `practice_column` sets it."""
    return str(connection.get_execution_options().get(PRACTICE_OPTION) or PRACTICE)


def key_of(connection: Connection, name: str) -> Column[Any]:
    """Return the key of one of the CRM's tables that a mapping fits: see `problems`.

    Raises CrmSchemaError where the table does not exist.
    """
    return reflection.key_of(reflect(connection, name))


def problems(connection: Connection, mapped: Mapped) -> list[Problem]:
    """Return why a mapping cannot fill its table; an empty list where it can.

    Raises CrmSchemaError where the table does not exist.
    """
    return _problems(connection, reflect(connection, mapped.table), mapped)


def _problems(connection: Connection, table: Table, mapped: Mapped) -> list[Problem]:
    filled = filled_by_load(connection, mapped.required_references)
    of_table = problems_of(connection, table, mapped.columns, mapped.key, mapped.read, filled)
    return [*of_table, *unfilled(connection, table, mapped.columns)]


def filled_by_load(connection: Connection, required_references: Iterable[str]) -> set[str]:
    """Return the columns that a load fills although no mapping does: the practice, and the keys of the rows that
    required references mean."""
    return {practice_column(connection), *(f"{name}_id" for name in required_references)}
