"""The facts about a mapping that the CRM's load needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ecw.crm.db.business_table import Mapped
from ecw.mapping.fhirpath.paths import Member, Path, Union
from ecw.mapping.transform.person import contact_columns, is_born, person_reader, who_columns
from ecw.mapping.transform.to_resource import cleaned
from ecw.three_way_merge import Rule

if TYPE_CHECKING:
    from ecw.mapping.definition.model import Mapping


def mapped_of(mapping: Mapping, version: str | None = None) -> Mapped:
    """Return a mapping's table, columns and rules for the load.

    `version` is the version that mapped the rows, if the file may have been edited since.
    """
    references = [column for column in mapping.pulled if column.type == "reference" and not column.crosswalk]
    return Mapped(
        table=mapping.table,
        key=mapping.key,
        columns=tuple(column.name for column in mapping.pulled),
        version=version or mapping.version,
        references=frozenset(column.name for column in references),
        required_references=frozenset(column.name for column in references if column.required),
        who=who_columns(mapping),
        born=next((name for name in who_columns(mapping) if is_born(mapping.column(name))), None),
        contacts=contact_columns(mapping),
        rules={column.name: Rule.of(column) for column in mapping.pulled},
        cleaned=_cleaner(mapping),
        person=person_reader(mapping),
    )


def names_of(mapping: Mapping) -> list[str]:
    """Return the columns that hold a name of eCW, or a part of it, without a crosswalk."""
    plain = (column for column in mapping.pulled if column.type == "string" and not column.crosswalk)
    return [column.name for column in plain if column.name != mapping.key and _is_of_name(column.steps)]


def _is_of_name(steps: Path) -> bool:
    return bool(steps) and (
        steps[0] == Member("name")
        or (isinstance(steps[0], Union) and any(_is_of_name(branch) for branch in steps[0].branches))
    )


def _cleaner(mapping: Mapping) -> Callable[[str, Any], Any]:
    columns = {column.name: column for column in mapping.pulled}
    return lambda name, value: cleaned(columns[name], value)
