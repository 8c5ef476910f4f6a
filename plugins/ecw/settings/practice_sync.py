"""Which connections of type eClinicalWorks Airflow's database holds, for the DAGs' files, which may not ask it.

Run in Airflow's API server whenever a connection is saved there, and by `ecw practice sync`.
"""

from __future__ import annotations

from ecw.errors import ConfigurationError
from ecw.settings.practices import CONN_TYPE, VARIABLE, known

SLOTS = 4  # of a pool that the file names and Airflow does not have yet


def sync() -> list[str]:
    """Write the connections' ids into the Variable `ecw_practices`, and make the pools that practices name.

    Return what was done, a sentence each; nothing where all is as it should be.

    Raises ConfigurationError (the file of practices is wrong, or Airflow's database does not answer).
    """
    from sqlalchemy.exc import DBAPIError

    try:
        return _sync()
    except DBAPIError as error:
        raise ConfigurationError(
            f"Airflow's own database cannot be used ({type(error.orig).__name__}).",
            next_step="set AIRFLOW_HOME to your Airflow's (for the demo: `. .run/env`), or run `airflow db migrate`.",
        ) from None


def _sync() -> list[str]:
    from airflow.models.connection import Connection
    from airflow.models.pool import Pool
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy import select

    done = []
    with create_session() as session:
        ids = sorted(session.scalars(select(Connection.conn_id).where(Connection.conn_type == CONN_TYPE)))
        stored = session.scalar(select(Variable).where(Variable.key == VARIABLE))
        written = ", ".join(ids)
        if (stored.get_val() or "" if stored else "") != written:
            Variable.set(VARIABLE, written, "Written by `ecw practice sync`: connections of practices", session=session)
            done.append(f"variable {VARIABLE}: {written or 'no connection'}")
        there = set(session.scalars(select(Pool.pool)))
        for pool in sorted({each.pool for each in known(written)} - there):
            Pool.create_or_update_pool(pool, SLOTS, "Tasks of practices that call eCW", False, session=session)
            done.append(f"pool {pool}: made with {SLOTS} slots")
    return done
