"""`ecw status`: the last run of each resource, open rejects and open alerts."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from ecw.cli import JSON, print_json
from ecw.cli.options import CRM, PRACTICE, chosen, chosen_code
from ecw.printable import as_table
from ecw.resources import PUSHED

if TYPE_CHECKING:
    from ecw.alerts.store import Alert
    from ecw.crm.state.practices import Unassigned
    from ecw.reports.status import ResourceStatus

_HEADER = (
    *("practice", "resource", "state", "age", "fetched", "rejected", "inserted", "updated", "unchanged"),
    *("seconds", "API calls", "open rejects"),
)


@click.command("status")
@PRACTICE
@CRM
@JSON
def command(crm_conn_id: str, as_json: bool) -> None:
    """Show the last run of each resource, rejects and alerts."""
    from ecw.alerts.store import open_alerts
    from ecw.crm.db.engine import open_crm, reading
    from ecw.crm.state.practices import unassigned
    from ecw.mapping.definition.files import load_mapping
    from ecw.pull.mapped_columns import mapped_of
    from ecw.reports.status import status
    from ecw.settings.schedule import cron, gaps

    with open_crm(crm_conn_id) as engine:
        practice, code = chosen(), chosen_code()
        states = [one for one in status(engine, every=gaps(cron(practice)).longest) if code in (None, one.practice)]
        alerts = [one for one in open_alerts(engine) if code in (None, one.practice)]
        with reading(engine) as connection:
            without_practice = unassigned(connection, [(PUSHED, mapped_of(load_mapping(PUSHED)))])
    if as_json:
        print_json(_with_alerts(states, alerts, without_practice))
    else:
        click.echo("\n".join([_table(states), *_alert_lines(alerts), *_unassigned_lines(without_practice)]))


def _with_alerts(
    states: list[ResourceStatus], alerts: list[Alert], without_practice: list[Unassigned]
) -> list[dict[str, Any]]:
    """Return the state of each resource with its open alerts, and the number of its rows without a practice."""
    rows = Counter[str]()
    for group in without_practice:
        rows[group.resource] += group.rows
    by_key = {
        (one.practice, one.resource): asdict(one) | {"alerts": [], "rows_without_practice": rows[one.resource]}
        for one in states
    }
    for alert in alerts:
        if (alert.practice, alert.subject) in by_key:
            by_key[alert.practice, alert.subject]["alerts"].append(asdict(alert))
    return list(by_key.values())


def _alert_lines(alerts: list[Alert]) -> list[str]:
    lines = [
        f"{one.subject}: alert {one.kind} since {one.opened_at:%Y-%m-%d %H:%M} UTC (practice {one.practice}): "
        f"{one.message} Next: {one.next_step}"
        for one in alerts
    ]
    return ["", *lines] if lines else []


def _unassigned_lines(without_practice: list[Unassigned]) -> list[str]:
    count = sum(one.rows for one in without_practice)
    message = f"{PUSHED}: {count} rows name no practice, so the push does not send them: see `ecw practice rows`."
    return ["", message] if count else []


def _table(states: list[ResourceStatus]) -> str:
    table = as_table([_HEADER, *(_cells(one) for one in states)], numbers=range(4, len(_HEADER)))
    lines = [f"{one.resource}: {one.next_step}" for one in states if one.next_step]
    lines += [
        f"{one.resource}: {reason}: {number} rejected" for one in states for reason, number in one.reasons.items()
    ]
    return "\n".join([table, *([""] if lines else []), *lines])


def _cells(one: ResourceStatus) -> tuple[str, ...]:
    counts = list(asdict(one.numbers).values()) if one.numbers else [None] * 5
    seconds = None if one.seconds is None else f"{one.seconds:.1f}"
    cells = (one.practice, one.resource, one.state, _age(one.age), *counts, seconds, one.calls, one.open_rejects)
    return tuple("-" if cell is None else str(cell) for cell in cells)


def _age(age: timedelta | None) -> str | None:
    """Return an age in its largest unit."""
    if age is None:
        return None
    seconds = int(age.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} s"
