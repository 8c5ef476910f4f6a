"""What the CRM must know of a mapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ecw.agreement import Rule
from ecw.crm.business import Mapped
from ecw.mapping.compose import cleaned
from ecw.mapping.person import is_born, person_reader, who_columns

if TYPE_CHECKING:
    from ecw.mapping.model import Mapping


def mapped_of(mapping: Mapping, version: str | None = None) -> Mapped:
    """Return it, with the version that made the rows where the file may have been edited since."""
    references = [column for column in mapping.pulled if column.type == "reference" and not column.crosswalk]
    return Mapped(
        table=mapping.table,
        key=mapping.key,
        columns=tuple(column.name for column in mapping.pulled),
        version=version or mapping.version,
        references=frozenset(column.name for column in references),
        parks=frozenset(column.name for column in references if column.required),
        who=who_columns(mapping),
        born=next((name for name in who_columns(mapping) if is_born(mapping.column(name))), None),
        rules={column.name: Rule.of(column) for column in mapping.pulled},
        cleaned=_cleaner(mapping),
        person=person_reader(mapping),
    )


def _cleaner(mapping: Mapping) -> Callable[[str, Any], Any]:
    columns = {column.name: column for column in mapping.pulled}
    return lambda name, value: cleaned(columns[name], value)
