"""`ecw pull`: a pull from the terminal, with the steps of the DAG and without the scheduler."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click

from ecw.cli import JSON, logs_to_stderr, print_json, run_id
from ecw.cli.options import CRM, ECW
from ecw.models import RunType
from ecw.resources import RESOURCES
from ecw.settings.pull import CHANGES, FULL, PATIENTS, SCHEDULE


@click.command("pull")
@click.argument("resources", nargs=-1, type=click.Choice(list(RESOURCES)), metavar="[RESOURCE]...")
@click.option(
    "--mode", type=click.Choice([CHANGES, FULL]), default=CHANGES, show_default=True, help="full: fetch everything."
)
@click.option("--id", "ids", multiple=True, help="Only this eCW id of the one RESOURCE named; repeatable.")
@click.option(
    "--patient", "patients", multiple=True, help="Only this patient: eCW id, CRM id or MR number; repeatable."
)
@click.option("--practitioner", "practitioners", multiple=True, help="The schedule of this eCW id; repeatable.")
@click.option("--since", default="", help="From this time on, ISO 8601 with offset. Default: where the last run ended.")
@click.option("--until", default="", help="Up to this time. Default: now.")
@click.option("--strategy", "strategies", multiple=True, metavar="RESOURCE=NAME", help="How to extract; repeatable.")
@click.option("--dry-run", is_flag=True, help="Everything except the load; the table shows what it would do.")
@click.option("--ignore-time-budget", is_flag=True, help="Begin even if the run would not end before the next one.")
@click.option("--staging", help="The staging area, if it is not the default one.")
@JSON
@ECW
@CRM
def command(staging: str | None, as_json: bool, conn_id: str, crm_conn_id: str, **form: Any) -> None:
    """Pull from eCW into the CRM, without the scheduler.

    It runs begin, extract, map, check and load of each RESOURCE, or of all, in this process.

    To try a practice or a mapping: `ecw pull --patient ID --dry-run`. It does not wait for a run in Airflow; both may
    run at the same time. The output has ids and counts, no values.
    """
    with logs_to_stderr():
        import ecw.hooks.ecw  # noqa: F401 - imports Airflow, which chooses where to log at its import
        from ecw.models import PullRequest
        from ecw.pull import inline_run, steps
        from ecw.pull.summary import as_text
    now = datetime.now(UTC)
    connections = {"ecw_conn_id": conn_id, "crm_conn_id": crm_conn_id}
    request = PullRequest(
        run_id(now), RunType.MANUAL, None, now.isoformat(), **connections, staging=staging, options=_options(**form)
    )
    run = steps.begin(request)
    try:
        inline_run.pull(run)
    finally:
        with _only_warnings(steps.log):  # as its log line repeats the table
            rows = steps.summary(run, crm_conn_id)
        if as_json:
            print_json({"practice": run["practice"], "run_id": run["run_id"], "resources": rows})
        else:
            click.echo(as_text(rows))


@contextmanager
def _only_warnings(log: logging.Logger) -> Iterator[None]:
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)


def _options(
    resources: tuple[str, ...], ids: tuple[str, ...], strategies: tuple[str, ...], **form: Any
) -> dict[str, Any]:
    """Return the options of the run: those of the Trigger form, and the ids of records of one resource."""
    if ids and len(resources) != 1:
        raise click.UsageError("--id needs exactly one RESOURCE, the one that has these ids.")
    if ids and (form["patients"] or form["practitioners"]):
        raise click.UsageError("--id cannot be combined with --patient or --practitioner.")
    options = {name: list(value) if isinstance(value, tuple) else value for name, value in form.items()}
    if form["patients"]:
        options["mode"] = PATIENTS
    elif form["practitioners"]:
        options["mode"] = SCHEDULE
    chosen = [pair.partition("=") for pair in strategies]
    return options | {
        "resources": list(resources),
        "ids": {resources[0]: list(ids)} if ids else {},
        "strategies": {name: strategy for name, _, strategy in chosen},
        "mr_numbers": True,  # allowed here, as Airflow does not store what is typed in a terminal
    }
