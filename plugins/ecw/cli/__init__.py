"""The `ecw` command.  Each subcommand has its own module, which is imported when the subcommand is used."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

import click

from ecw.errors import EcwError
from ecw.printable import as_table, escaped_output, printable
from ecw.settings.connections import in_terminal

JSON = click.option("--json", "as_json", is_flag=True, help="For programs: JSON.")
COMMANDS: dict[str, str] = {
    "check": "ecw.cli.check",
    "check-config": "ecw.cli.check_config",
    "conflicts": "ecw.cli.conflicts",
    "find": "ecw.cli.find",
    "forget": "ecw.cli.forget",
    "init": "ecw.cli.setup.init",
    "keys": "ecw.cli.setup.keys",
    "mapping": "ecw.cli.mapping",
    "matches": "ecw.cli.matches",
    "migrate": "ecw.cli.setup.migrate",
    "practice": "ecw.cli.practice",
    "pull": "ecw.cli.pull",
    "push": "ecw.cli.push",
    "quality": "ecw.cli.quality",
    "replay": "ecw.cli.replay",
    "settings": "ecw.cli.setup.settings",
    "status": "ecw.cli.status",
}


class LazyGroup(click.Group):
    """A group that knows its subcommands by name and imports one when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = import_module(module).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.command is not a click command")
        return command


@contextmanager
def logs_to_stderr() -> Iterator[None]:
    """Send logs to standard error, so that standard output has only the result.

    Airflow binds its logs to the standard output of the moment when it is imported: import it inside.
    """
    with redirect_stdout(sys.stderr):
        yield


def run_id(now: datetime) -> str:
    """Return the id of a run that a command begins; Airflow has no run for it."""
    return f"terminal__{now.isoformat(timespec='milliseconds')}"


def print_json(value: Any) -> None:
    """Print a value as JSON: dataclasses as objects, times as ISO 8601, durations in seconds."""
    import orjson

    click.echo(orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2).decode())


def print_rows(header: Sequence[str], rows: Sequence[Sequence[str]], *, as_json: bool, otherwise: str) -> None:
    """Print rows as a table, or as a JSON list of objects whose keys are the header in lower case with underscores.

    Without rows, `otherwise` is printed, or an empty list as JSON.
    """
    if as_json:
        keys = [name.lower().replace(" ", "_") for name in header]
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        click.echo(as_table([header, *rows]) if rows else otherwise)


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    if isinstance(value, Mapping):  # a row of a query
        return {str(name): each for name, each in value.items()}
    raise TypeError(type(value).__name__)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Synchronise a CRM with eClinicalWorks."""
    context = click.get_current_context()
    context.with_resource(escaped_output())
    context.with_resource(in_terminal())


def main() -> None:
    """Run the command; an error of the project is printed as its message with the next step, with exit code 1."""
    try:
        group.main(prog_name="ecw")
    except EcwError as error:
        click.echo(printable(f"{type(error).__name__}: {error}", keep="\n\t"), err=True)
        sys.exit(1)
