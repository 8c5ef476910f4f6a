"""`ecw status`: what the last run did to each resource."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from ecw.cli import JSON, print_json
from ecw.printable import as_table

if TYPE_CHECKING:
    from ecw.alerts.store import Alert
    from ecw.reports.status import ResourceStatus

_HEADER = (
    *("practice", "resource", "state", "age", "fetched", "rejected", "inserted", "updated", "unchanged"),
    *("seconds", "API calls", "open rejects"),
)


@click.command("status")
@click.option("--crm-conn-id", default="crm_default", show_default=True, help="The Airflow connection of the CRM.")
@JSON
def command(crm_conn_id: str, as_json: bool) -> None:
    """Show per practice and resource the last run, its numbers, its age, why records are rejected, and alerts."""
    from ecw.alerts.store import open_alerts
    from ecw.crm.db.engine import open_crm
    from ecw.reports.status import status
    from ecw.settings.schedule import cron, gaps

    with open_crm(crm_conn_id) as engine:
        found, alerts = status(engine, every=gaps(cron()).longest), open_alerts(engine)
    if as_json:
        print_json(_with_alerts(found, alerts))
    else:
        click.echo("\n".join([_table(found), *_told(alerts)]))


def _with_alerts(found: list[ResourceStatus], alerts: list[Alert]) -> list[dict[str, Any]]:
    """Give each resource its open alerts."""
    of = {(one.practice, one.resource): asdict(one) | {"alerts": []} for one in found}
    for alert in alerts:
        if (alert.practice, alert.subject) in of:
            of[alert.practice, alert.subject]["alerts"].append(asdict(alert))
    return list(of.values())


def _told(alerts: list[Alert]) -> list[str]:
    lines = [
        f"{one.subject}: alert {one.kind} since {one.opened_at:%Y-%m-%d %H:%M} UTC (practice {one.practice}): "
        f"{one.message} Next: {one.next_move}"
        for one in alerts
    ]
    return ["", *lines] if lines else []


def _table(found: list[ResourceStatus]) -> str:
    table = as_table([_HEADER, *(_cells(one) for one in found)], numbers=range(4, len(_HEADER)))
    told = [f"{one.resource}: {one.next_move}" for one in found if one.next_move]
    told += [f"{one.resource}: {why}: {number} rejected" for one in found for why, number in one.reasons.items()]
    return "\n".join([table, *([""] if told else []), *told])


def _cells(one: ResourceStatus) -> tuple[str, ...]:
    counts = list(asdict(one.numbers).values()) if one.numbers else [None] * 5
    seconds = None if one.seconds is None else f"{one.seconds:.1f}"
    cells = (one.practice, one.resource, one.state, _age(one.age), *counts, seconds, one.calls, one.open_rejects)
    return tuple("-" if cell is None else str(cell) for cell in cells)


def _age(age: timedelta | None) -> str | None:
    """Return an age as its largest unit."""
    if age is None:
        return None
    seconds = int(age.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} s"
