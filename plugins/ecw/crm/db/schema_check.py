"""Compare the mapping files with the CRM: its tables, the rights on them, and the lists behind crosswalks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecw.crm.db.schema_fit import bookkeeping_problems, rights_problems, table_problems
from ecw.mapping.validation.crosswalk_names import check_lists

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ecw.mapping.validation.check import Checked


def check_crm(connection: Connection, found: Checked) -> None:
    """Add the problems between the mappings and the CRM to `found`, and notes of what was not verified."""
    for mapping in found.mappings:
        of_table = table_problems(connection, mapping)
        found.problems += of_table or rights_problems(connection, [mapping])
    found.problems += bookkeeping_problems(connection)
    crosswalks = {crosswalk.name: crosswalk for mapping in found.mappings for crosswalk in mapping.crosswalks.values()}
    lists = check_lists(connection, crosswalks.values())
    found.problems += lists.problems
    found.notes += [f"Not verified: {note}." for note in lists.unverified]
    found.notes += [f"Coverage: {note}." for note in lists.coverage]
