"""`ecw replay`: rejected records again."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ecw.resources import RESOURCES


@click.command("replay")
@click.option("--resource", "resources", multiple=True, type=click.Choice(list(RESOURCES)), help="Only these.")
@click.option("--rule", default="", help="Only what is rejected by this rule, as `ecw status` names it.")
@click.option("--run", "run_id", default="", help="Only what was rejected by this run.")
@click.option("--id", "ids", multiple=True, help="Only these eCW ids.")
@click.option("--ecw-conn-id", default="ecw_default", show_default=True, help="The Airflow connection of eCW.")
@click.option("--crm-conn-id", default="crm_default", show_default=True, help="The Airflow connection of the CRM.")
def command(
    resources: tuple[str, ...], rule: str, run_id: str, ids: tuple[str, ...], ecw_conn_id: str, crm_conn_id: str
) -> None:
    """Map, check and load rejected records again, all of them or the chosen ones; eCW is not asked."""
    from ecw.pull import steps
    from ecw.pull.replay import steps as replay
    from ecw.pull.summary import as_text

    chosen = {"resources": list(resources), "rule": rule, "run": run_id, "ids": list(ids)}
    run = replay.begin(f"replay__{datetime.now(UTC).isoformat()}", chosen, ecw_conn_id, crm_conn_id)
    for resource in RESOURCES:
        if (collected := replay.collect(run, resource)) is not None:
            steps.load(steps.check(steps.map(collected)))
    rows = replay.summary(run)
    click.echo(as_text(rows) if rows else "There is no open reject among the chosen ones.")
