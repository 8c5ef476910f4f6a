"""`ecw replay`: map, check and load rejected records again."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ecw.cli import JSON, print_json, run_id
from ecw.cli.options import CRM, ECW
from ecw.models import RunType
from ecw.resources import RESOURCES


@click.command("replay")
@click.option("--resource", "resources", multiple=True, type=click.Choice(list(RESOURCES)), help="Only these.")
@click.option("--rule", default="", help="Only records that this rule rejected, as `ecw status` names it.")
@click.option("--run", default="", help="Only records that this run rejected.")
@click.option("--id", "ids", multiple=True, help="Only this eCW id; repeatable.")
@JSON
@ECW
@CRM
def command(
    resources: tuple[str, ...], ids: tuple[str, ...], as_json: bool, conn_id: str, crm_conn_id: str, **chosen: str
) -> None:
    """Map, check and load rejected records again.

    All of them, or the selected ones. eCW is not called.
    """
    from ecw.models import PullRequest
    from ecw.pull import steps
    from ecw.pull.replay import steps as replay
    from ecw.pull.summary import as_text

    form = chosen | {"resources": list(resources), "ids": list(ids)}
    now = datetime.now(UTC)
    run = replay.begin(
        PullRequest(run_id(now), RunType.MANUAL, None, now.isoformat(), conn_id, crm_conn_id, options=form)
    )
    for resource in RESOURCES:
        if (collected := replay.collect(run, resource)) is not None:
            steps.load(steps.check(steps.map(collected)))
    rows = replay.summary(run)
    if as_json:
        print_json({"practice": run["practice"], "run_id": run["run_id"], "resources": rows})
    else:
        click.echo(as_text(rows) if rows else "No open reject matches the options.")
