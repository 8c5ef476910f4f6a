"""The watcher's check of the CRM: are there patients to push that no run has planned yet?"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, String, cast, func, select

from ecw.crm.db.business_table import CHANGED
from ecw.crm.db.engine import crm_engine, reading
from ecw.crm.db.tables import ecw_conflict, ecw_intent
from ecw.errors import EcwError
from ecw.practice.mappings import PracticeMappings
from ecw.push.context import CrmSide
from ecw.push.kill_switch import WATCH, is_on, stopped
from ecw.push.plan.begin import options_of, side_to_push
from ecw.push.plan.select import due
from ecw.settings import connections
from ecw.settings.practices import of_connection

log = logging.getLogger(__name__)
SWITCHES = 30.0  # seconds between two reads of the switches and the connections
COMPARE = 45.0  # seconds between two comparisons of all patients, even if nothing seems to have changed
SHARE = 20  # the comparison takes at most 1/SHARE of the time
REPORT_AGAIN = 300.0  # seconds until a patient is reported again; its run has planned it by then


class Watch:
    """Checks the CRM repeatedly; a check without a change costs three counts and reads no patient."""

    def __init__(self, ecw_conn_id: str, crm_conn_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.ecw_conn_id, self.crm_conn_id = ecw_conn_id, crm_conn_id
        self._clock = clock
        self._engine: Engine | None = None
        self._side: CrmSide | None = None
        self._switched: tuple[float, bool] | None = None
        self._mark: Any = None
        self._compared: float | None = None
        self._took = 0.0
        self._reported: dict[str, tuple[str, float]] = {}
        self._error = ""

    def look(self) -> int:
        """Return the number of patients for which a run is to be started now.

        Never raises: an error is logged once, and the next check tries again.
        """
        try:
            patients = self._look()
        except Exception as error:  # noqa: BLE001 - no error may end the watcher; only its name is logged
            what = error.what if isinstance(error, EcwError) else type(error).__name__
            if what != self._error:
                log.warning("The watcher of patients to push cannot look into the CRM: %s It keeps trying.", what)
            self._error = what
            self.close()
            return 0
        self._error = ""
        return patients

    def close(self) -> None:
        """Close the connections."""
        if self._engine is not None:
            self._engine.dispose()
        self._engine = self._side = self._switched = self._compared = None

    def _look(self) -> int:
        if not self._switched_on():
            return 0
        side, now = self._crm(), self._clock()
        mark = self._changes(side)
        interval = max(COMPARE, SHARE * self._took)
        if mark == self._mark and self._compared is not None and now - self._compared < interval:
            return 0
        patients = due(side, options_of(connections.get(self.ecw_conn_id)))
        self._mark, self._compared = mark, self._clock()
        self._took = self._compared - now
        self._reported = {crm_id: one for crm_id, one in self._reported.items() if now - one[1] < REPORT_AGAIN}
        new = {crm_id: key for crm_id, key in patients.items() if self._reported.get(crm_id, ("", 0.0))[0] != key}
        self._reported |= {crm_id: (key, now) for crm_id, key in new.items()}
        return len(new)

    def _switched_on(self) -> bool:
        now = self._clock()
        if self._switched is None or now - self._switched[0] >= SWITCHES:
            practice = of_connection(self.ecw_conn_id)
            auto_start = all(is_on(name, unset=True) for name in {WATCH, practice.variable(WATCH)})
            on = practice.push and auto_start and stopped(practice) is None
            self._switched = (now, on)
            self._side = None  # read again, because the mapping file or the connection may have changed
        return self._switched[1]

    def _crm(self) -> CrmSide:
        if self._engine is None:
            self._engine = crm_engine(self.crm_conn_id)
        if self._side is None:
            self._side = side_to_push(self._engine, PracticeMappings.at(self.ecw_conn_id))
        return self._side

    def _changes(self, side: CrmSide) -> Any:
        """Return a value that changes whenever a patient changes in the CRM, or a person makes a choice about one."""
        table, key, place = side.patients.target.table, side.patients.target.key, side.place
        times = [func.max(table.columns[CHANGED])] if CHANGED in table.columns else []
        scope = {"practice": place.practice, "resource": place.resource}
        choices = [
            select(func.count()).select_from(table_).filter_by(**scope).where(table_.c.choice.is_not(None))
            for table_ in (ecw_intent, ecw_conflict)
        ]
        with reading(side.engine) as connection:
            rows = connection.execute(
                select(func.count(), func.max(cast(key, String)), *times).select_from(table)
            ).one()
            return (tuple(rows), *(connection.execute(statement).scalar() for statement in choices))
