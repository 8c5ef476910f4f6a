"""Find the patients whose insurance is urgent: those with an appointment in the next days or with an open intake.

The benefits of a patient who comes tomorrow must be known today. So every run fetches the insurance of urgent patients,
before that of the patients who are due.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, String, Table, cast, exists, select
from sqlalchemy.exc import NoSuchTableError

from ecw.crm.db.business_table import find
from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_link
from ecw.crm.state import last_checked, links
from ecw.crm.state.last_checked import Ages
from ecw.errors import ConfigurationError, EcwError
from ecw.mapping.definition.model import Mapping as MappingFile
from ecw.mapping.fhirpath.parse import parse
from ecw.models import Run
from ecw.pull.context import PullContext
from ecw.pull.mapped_columns import mapped_of
from ecw.pull.run_plan import Plan, options_of
from ecw.resources import StrategyName

RESOURCE = "insurance"
OVER = ("cancelled", "entered-in-error", "finished")  # states of an encounter to which no patient will come
GROUPS = ("appointment", "intake")


def urgent(context: PullContext) -> dict[str, list[str]]:
    """Return the eCW ids of the patients of each urgent group, the most urgent first; a patient is in one group only.

    Raises ConfigurationError if `intake_open` names a column that the CRM does not have.
    """
    with reading(context.engine) as connection:
        appointments = list(dict.fromkeys(_with_appointment(connection, context)))
        already = set(appointments)
        intakes = [each for each in _with_open_intake(connection, context) if each not in already]
    return {"appointment": appointments, "intake": list(dict.fromkeys(intakes))}


def note(run: Run, engine: Engine, plan: Plan, rows: Sequence[dict[str, Any]]) -> None:
    """Add the age of each group's insurance to a run's summary, if the run fetched insurance patient by patient."""
    row = next(
        (row for row in rows if row["resource"] == RESOURCE and row.get("strategy") == StrategyName.PER_PATIENT), None
    )
    options = options_of(plan)
    if row is None or options.few:
        return
    try:
        row["oldest"] = report(PullContext.of(run, engine, options, plan))
    except EcwError as error:  # the summary is shown even if this part fails
        row["oldest"] = error.what


def report(context: PullContext, now: datetime | None = None) -> str:
    """Return a sentence with the highest age of each group's insurance, in hours; "" if none was ever fetched."""
    engine, run, groups = context.engine, context.run, urgent(context)
    changed = links.of_run(engine, run["practice"], "patient", run["run_id"])
    with reading(engine) as connection:
        everybody = last_checked.ages_of_all(connection, run["practice"], RESOURCE)
        by_group = {
            f"an appointment within {context.options.appointment_days} days": groups["appointment"],
            "an open intake": groups["intake"],
            "a change in this run": changed,
        }
        by_name = {
            name: last_checked.ages(connection, run["practice"], RESOURCE, patients)
            for name, patients in by_group.items()
        } | {"anybody": everybody}
    if everybody.oldest is None:
        return ""
    parts = [f"{name} {_age(ages, now or datetime.now(UTC))}" for name, ages in by_name.items() if ages.patients]
    return f"fetched longest ago, of patients with {'; '.join(parts)}."


def _age(ages: Ages, now: datetime) -> str:
    age = "never" if ages.oldest is None else f"{(now - ages.oldest) / timedelta(hours=1):.1f} h"
    never = f", {ages.never} not yet" if ages.never and ages.oldest is not None else ""
    return f"({ages.patients}): {age}{never}"


def _with_appointment(connection: Connection, context: PullContext) -> Iterator[str]:
    """Yield the patients whose encounter begins within `appointment_days` from now, the next one first."""
    run, mapping = context.run, context.mapping("encounter")
    start_name, patient_name, status_name = (
        _column(mapping, path) for path in ("period.start", "subject.reference", "status")
    )
    if start_name is None or patient_name is None:
        return
    target = find(connection, mapped_of(mapping))
    start, patient = target.columns[start_name], target.columns[patient_name]
    now = datetime.fromisoformat(run["window_end"])
    convert = target.converters[start_name]
    link = ecw_link.c
    same_row = link.crm_id == cast(target.key, link.crm_id.type)
    of_practice = exists().where(same_row, link.practice == run["practice"], link.resource == "encounter")
    statement = select(patient).where(
        of_practice,
        start >= convert(now.isoformat()),
        start < convert((now + timedelta(days=context.options.appointment_days)).isoformat()),
    )
    if status_name is not None:
        status = target.columns[status_name]
        statement = statement.where(status.is_(None) | status.not_in(_over_values(mapping, status_name)))
    for reference in connection.scalars(statement.order_by(start)):
        kind, _, ecw_id = str(reference or "").rpartition("/")
        if kind == "Patient":
            yield ecw_id


def _with_open_intake(connection: Connection, context: PullContext) -> Iterator[str]:
    """Yield the patients whose intake is open in the CRM by the option `intake_open`; none without the option."""
    if not context.options.intake_open:
        return
    link, target = ecw_link, find(connection, mapped_of(context.mapping("patient")))
    for place, values in context.options.intake_open.items():
        name, _, column = place.rpartition(".")
        table = _table(connection, name, place) if name else target.table
        state = _column_of(table, column, place)
        statement = select(link.c.ecw_id).join(target.table, cast(target.key, String) == link.c.crm_id)
        if name:
            statement = statement.join(table, _column_of(table, "patient_id", place) == target.key)
        statement = statement.where(
            link.c.practice == context.run["practice"], link.c.resource == "patient", state.in_(values)
        )
        yield from connection.scalars(statement.order_by(link.c.ecw_id))


def _table(connection: Connection, name: str, place: str) -> Table:
    try:
        return Table(name, MetaData(), autoload_with=connection, resolve_fks=False)
    except NoSuchTableError:
        raise _absent(place) from None


def _column_of(table: Table, column: str, place: str) -> Any:
    if column not in table.columns:
        raise _absent(place)
    return table.columns[column]


def _absent(place: str) -> ConfigurationError:
    return ConfigurationError(
        f"The option 'intake_open' names {place}, which the CRM does not have.",
        next_step="name a column of the CRM's patients, or table.column of a table with a column patient_id, in the "
        "connection's extra field `pull`.",
    )


def _column(mapping: MappingFile, path: str) -> str | None:
    steps = parse(path)
    return next((column.name for column in mapping.pulled if column.steps == steps), None)


def _over_values(mapping: MappingFile, status: str) -> list[str]:
    """Return the CRM's values of the states in OVER."""
    column = next(column for column in mapping.pulled if column.name == status)
    values: Mapping[str, str] = mapping.crosswalks[column.crosswalk].values if column.crosswalk else {}
    return [values.get(code, code) for code in OVER]
