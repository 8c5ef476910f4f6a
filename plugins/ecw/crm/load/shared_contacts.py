"""Phone numbers, e-mail addresses and streets that many patients share, such as those of a shelter or a group home.

They tell where a person lives, not who the person is: two people of one name and birth date may live in one house.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, func, select

from ecw.crm.db.business_table import BusinessTable

MANY = 5  # rows of the practice with the same value, the patient's own included: usually more than a household


def shared_contacts(connection: Connection, target: BusinessTable, key: Any, columns: Iterable[str]) -> set[str]:
    """Return those of the columns whose value in the row with this key occurs in at least `MANY` rows."""
    names = [name for name in columns if name in target.table.columns]
    if not names:
        return set()
    counts = []
    for name in names:
        own_value = select(target.table.columns[name]).where(target.key == key).scalar_subquery()
        other = target.table.alias()
        same = select(other.columns[target.key.name]).where(other.columns[name] == own_value)
        if target.practice is not None:  # one person may be a patient of several practices
            own_practice = select(target.practice).where(target.key == key).scalar_subquery()
            same = same.where(other.columns[target.practice.name].is_not_distinct_from(own_practice))
        at_most_many = same.limit(MANY).subquery()
        counts.append(select(func.count()).select_from(at_most_many).scalar_subquery())
    found = connection.execute(select(*counts)).one()
    return {name for name, count in zip(names, found, strict=True) if count >= MANY}
