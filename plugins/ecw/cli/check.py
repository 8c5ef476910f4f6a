"""`ecw check`: does the connection to eCW work?"""

from __future__ import annotations

import sys

import click


@click.command(name="check")
@click.option("--conn-id", default="ecw_default", show_default=True, help="The Airflow connection to check.")
def command(conn_id: str) -> None:
    """Find the token endpoint, get a token and read once: one line per step, exit code 0 or 1.

    The connection is looked up where Airflow looks: AIRFLOW_CONN_..., a secrets backend, Airflow's database.
    """
    from ecw.fhir.connection_test import steps  # imported here: `ecw --help` need not wait for Airflow
    from ecw.fhir.retry import AT_ONCE
    from ecw.hooks.ecw import EcwHook

    ok = True
    for step in steps(EcwHook(ecw_conn_id=conn_id).client(patience=AT_ONCE)):
        ok = step.ok
        click.echo(f"{'✓' if ok else '✗'} {step.name}: {step.text}")
    sys.exit(0 if ok else 1)
