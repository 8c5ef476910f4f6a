"""Check a run's files and tables before the first call: mappings, crosswalks, quality suites, the CRM's tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from sqlalchemy import Connection

from ecw.crm.db.schema_fit import require_tables, table_problems
from ecw.errors import MappingError
from ecw.mapping.definition.model import Mapping
from ecw.practice.mappings import PracticeMappings
from ecw.quality.suite import suite_of


def require_ready(
    connection: Connection, read: PracticeMappings, resources: Iterable[str], checked: Collection[str]
) -> None:
    """Raise one error with every problem of the resources' mappings and tables, and of the suites of `checked`.

    Raises MappingError; CrmSchemaError if only tables have problems; ConfigurationError for the connection.
    """
    names = list(resources)
    mappings: dict[str, Mapping] = {}
    problems: list[str] = []
    for name in names:
        try:
            mappings[name] = read.of(name)
        except MappingError as error:
            problems += _lines(error)
    if not problems:
        read.require_known(names)
    for resource in checked:
        if resource in mappings:
            problems += suite_problems(resource, mappings[resource], read.practice.quality)
    if not problems:
        require_tables(connection, mappings.values())
        return
    problems += [problem for mapping in mappings.values() for problem in table_problems(connection, mapping)]
    listed = "\n".join(dict.fromkeys(problems))  # each file that uses a crosswalk reports the crosswalk's problems
    raise MappingError(
        f"The run does not begin, and nothing was fetched: mapping files or quality suites have mistakes:\n{listed}\n",
        next_step="fix the lines named above, run `ecw mapping check`, then clear this task.",
    )


def suite_problems(resource: str, mapping: Mapping, own: Path | None = None) -> list[str]:
    """Return the mistakes of a resource's suite, with file, line and column; a suite in `own` replaces the default."""
    try:
        suite_of(resource, mapping, own)
    except MappingError as error:
        return _lines(error)
    return []


def _lines(error: MappingError) -> list[str]:
    return [line for line in error.what.splitlines()[1:] if line] or [error.what]
