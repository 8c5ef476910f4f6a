"""The counts of API calls that all processes share: one row for each practice, minute and kind of work."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, Engine, delete, select

from ecw.crm.db.engine import exclusive, reading
from ecw.crm.db.errors import working
from ecw.crm.db.tables import ecw_quota
from ecw.crm.db.upsert import insert

KEPT_MINUTES = 60

Counts = Mapping[str, int]


class QuotaStore:
    """Counts in the CRM's database; each method is one short transaction.

    Raises the errors of `translate_db_error`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def reserve(self, practice: str, minute: int, kind: str, decide: Callable[[Counts, Counts], int]) -> int:
        """Count the calls that `decide` grants, and return their number.

        `decide` gets the counts of the previous minute and of this one, by kind. Two processes never decide on the same
        counts. Afterwards this minute's counts include the kind, also with 0 calls.
        """
        with working("The quota's count"), self._engine.begin() as connection:
            exclusive(connection, f"ecw quota {practice}")
            used = _counts(connection, practice, minute)
            if not used:
                connection.execute(
                    delete(ecw_quota).where(
                        ecw_quota.c.practice == practice, ecw_quota.c.minute < minute - KEPT_MINUTES
                    )
                )
            granted = decide(_counts(connection, practice, minute - 1), used)
            if granted or kind not in used:
                _add(connection, practice, minute, kind, granted)
            return granted

    def add(self, practice: str, minute: int, kind: str, number: int) -> None:
        """Count calls unconditionally."""
        with working("The quota's count"), self._engine.begin() as connection:
            _add(connection, practice, minute, kind, number)

    def counts(self, practice: str, minute: int) -> Counts:
        """Return the calls of a minute by kind of work."""
        with working("The quota's count"), reading(self._engine) as connection:
            return _counts(connection, practice, minute)


def _counts(connection: Connection, practice: str, minute: int) -> dict[str, int]:
    rows = select(ecw_quota.c.kind, ecw_quota.c.calls).where(
        ecw_quota.c.practice == practice, ecw_quota.c.minute == minute
    )
    return dict(connection.execute(rows).all())


def _add(connection: Connection, practice: str, minute: int, kind: str, number: int) -> None:
    key = {"practice": practice, "minute": minute, "kind": kind}
    statement = insert(connection, ecw_quota).values(**key, calls=number)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(key), set_={"calls": ecw_quota.c.calls + statement.excluded.calls}
        )
    )
