"""Write the ids of the connections of type eClinicalWorks into a Variable for DAG files, which cannot list connections.

Airflow's API server runs it whenever a connection is saved there; `ecw practice sync` runs it, too.
"""

from __future__ import annotations

from ecw.errors import ConfigurationError
from ecw.settings.practices import CONN_TYPE, VARIABLE, known

SLOTS = 4  # of a new pool, which the practices file names and Airflow does not have yet


def sync() -> list[str]:
    """Write the connections' ids into the Variable `ecw_practices`, and create the pools that practices name.

    Return one text per change; an empty list if nothing had to change.

    Raises ConfigurationError if the practices file has mistakes, or Airflow's database does not answer.
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
        existing = set(session.scalars(select(Pool.pool)))
        for pool in sorted({each.pool for each in known(written)} - existing):
            Pool.create_or_update_pool(pool, SLOTS, "Tasks of practices that call eCW", False, session=session)
            done.append(f"pool {pool}: created with {SLOTS} slots")
    return done
