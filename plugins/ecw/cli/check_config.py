"""`ecw check-config`: read the whole configuration as a run does, and report all mistakes at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import click

from ecw.cli import JSON, print_json
from ecw.cli.options import PRACTICE, chosen
from ecw.errors import EcwError

if TYPE_CHECKING:
    from ecw.mapping.definition.model import Mapping
    from ecw.settings.practice import Practice


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong, where, and the next step."""

    where: str
    problem: str
    next_step: str


@dataclass(slots=True)
class Checked:
    """What is correct, every mistake, and notes on what was not checked."""

    correct: list[str] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def reading(self, where: str) -> Iterator[None]:
        """Record `where` as correct, or an error raised inside as mistakes: one for each line of its list."""
        try:
            yield
        except EcwError as error:
            first, *listed = [line for line in error.what.splitlines() if line] or [type(error).__name__]
            self.add(where, listed or [first], error.next_step)
        else:
            self.correct.append(where)

    def add(self, where: str, problems: list[str], next_step: str) -> None:
        known = {one.problem for one in self.mistakes}
        self.mistakes += [Mistake(where, problem, next_step) for problem in problems if problem not in known]


@click.command("check-config")
@PRACTICE
@click.option("--no-crm", is_flag=True, help="Do not open the CRM: its tables and lists are not checked.")
@JSON
def command(no_crm: bool, as_json: bool) -> None:
    """Check everything that is configured; report every mistake.

    That is connections, options, Variables, mappings, crosswalks, suites and the CRM's tables, of all practices or of
    one. It does not call eCW: `ecw check` does. Exit code 1 if anything is wrong.
    """
    report = Checked()
    practices = _practices(report, chosen())
    for practice in practices:
        _connection(report, practice)
        _settings(report, practice)
    mappings = _files(report)
    for practice in practices if not no_crm else ():
        _crm(report, practice, mappings)
    if as_json:
        print_json(asdict(report))
    else:
        for where in report.correct:
            click.echo(f"✓ {where}")
        for note in report.notes:
            click.echo(f"  {note}")
        for mistake in report.mistakes:
            click.echo(f"✗ {mistake.where}: {mistake.problem}\n  Next: {mistake.next_step}")
        number = len(report.mistakes)
        click.echo(f"{number} {'mistake' if number == 1 else 'mistakes'}." if number else "No mistakes.")
    sys.exit(1 if report.mistakes else 0)


def _practices(report: Checked, only: Practice | None) -> list[Practice]:
    """Read the configured practices; return them, or only the one that was chosen."""
    from ecw.settings import connections
    from ecw.settings.practices import VARIABLE, known

    practices: list[Practice] = []
    with report.reading(f"practices: include/practices.yaml and the Variable {VARIABLE}"):
        practices = known(connections.variable(VARIABLE) or "")
    return [only] if only else practices


def _connection(report: Checked, practice: Practice) -> None:
    """Read a practice's connection: its own fields, and the options in its extra."""
    from ecw.fhir.connection import EcwSettings
    from ecw.settings import connections, pull, push
    from ecw.vob.settings import VobSettings

    where, extra = f"connection {practice.connection}", None
    with report.reading(f"{where}: address, client, key"):
        connection = connections.get(practice.connection)
        extra = connection.extra_dejson
        EcwSettings.from_connection(connection)
    readers: dict[str, Callable[[Any], object]] = {
        "pull": pull.Options.read,
        "push": push.PushOptions.read,
        "vob": VobSettings.read,
    }
    for name, read in readers.items() if extra is not None else ():
        with report.reading(f"{where}: extra field {name}"):
            read(extra.get(name))


def _settings(report: Checked, practice: Practice) -> None:
    """Read a practice's settings in Variables and include/practices.yaml."""
    from ecw.alerts.settings import settings
    from ecw.settings.schedule import cron, resources

    name = practice.name or "default"
    with report.reading(f"practice {name}: schedule"):
        cron(practice)
    with report.reading(f"practice {name}: resources"):
        resources(practice)
    with report.reading(f"practice {name}: alerts"):
        settings(practice)


def _files(report: Checked) -> list[Mapping]:
    """Read the project's mapping files, crosswalks and suites; return the mappings that could be read."""
    from ecw.mapping.validation.check import check_files
    from ecw.practice.preflight import suite_problems
    from ecw.resources import RESOURCES

    where = "mapping files, crosswalks and quality suites"
    try:
        checked = check_files()
    except EcwError as error:
        report.add(where, [error.what], error.next_step)
        return []
    for mapping in checked.mappings:
        checked.problems += suite_problems(mapping.name, mapping) if mapping.name in RESOURCES else []
    if checked.problems:
        report.add(where, checked.problems, "fix the line that is named.")
    else:
        report.correct.append(where)
    return checked.mappings


def _crm(report: Checked, practice: Practice, mappings: list[Mapping]) -> None:
    """Make the checks that `begin` makes before its first call, and compare rights and crosswalks with the database."""
    from ecw.crm.db.engine import open_crm, reading
    from ecw.crm.db.schema_check import check_crm
    from ecw.mapping.validation.check import Checked as CheckedFiles
    from ecw.practice.mappings import PracticeMappings
    from ecw.practice.preflight import require_ready
    from ecw.resources import RESOURCES
    from ecw.settings import connections

    name, conn_id = practice.name or "default", practice.crm_connection
    with report.reading(f"connection {conn_id}"), open_crm(conn_id) as engine, reading(engine) as connection:
        with report.reading(f"practice {name}: its mappings and suites, and the tables of {conn_id}"):
            own = PracticeMappings(connections.get(practice.connection))
            require_ready(connection, own, RESOURCES, RESOURCES)
        files = CheckedFiles(mappings=mappings)
        check_crm(connection, files)
        report.add(conn_id, files.problems, "fix it in the file that is named, or in the CRM.")
        report.notes += [note for note in files.notes if note not in report.notes]
