"""`ecw check`: test the connection to eCW."""

from __future__ import annotations

import sys

import click

from ecw.cli import JSON, logs_to_stderr, print_json
from ecw.cli.options import ECW


@click.command(name="check")
@ECW
@JSON
def command(conn_id: str, as_json: bool) -> None:
    """Test the connection to eCW: one line per step.

    It finds the token endpoint, compares the published key, gets a token and reads once. Exit code 1 if a step fails.

    The connection comes from the places that Airflow searches: AIRFLOW_CONN_..., a secrets backend, Airflow's database.
    """
    from ecw.fhir.connection_test import steps  # imported here: `ecw --help` does not wait for Airflow
    from ecw.fhir.retry import AT_ONCE

    with logs_to_stderr():
        from ecw.hooks.ecw import EcwHook

    done = []
    for step in steps(EcwHook(ecw_conn_id=conn_id).client(retry_policy=AT_ONCE)):
        done.append(step)
        if not as_json:
            click.echo(f"{'✓' if step.ok else '✗'} {step.name}: {step.text}")
    if as_json:
        print_json([{"step": step.name, "ok": step.ok, "text": step.text} for step in done])
    sys.exit(0 if all(step.ok for step in done) else 1)
