"""The `ecw` command.  Every subcommand lives in its own module and is imported only when it is asked for."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from ecw.errors import EcwError
from ecw.printable import escaped_output, printable

COMMANDS: dict[str, str] = {
    "check": "ecw.cli.check",
    "conflicts": "ecw.cli.conflicts",
    "find": "ecw.cli.find",
    "forget": "ecw.cli.forget",
    "keys": "ecw.cli.keys",
    "mapping": "ecw.cli.mapping",
    "matches": "ecw.cli.matches",
    "migrate": "ecw.cli.migrate",
    "practice": "ecw.cli.practice",
    "pull": "ecw.cli.pull",
    "push": "ecw.cli.push",
    "quality": "ecw.cli.quality",
    "replay": "ecw.cli.replay",
    "settings": "ecw.cli.settings",
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
        found = import_module(module).command
        if not isinstance(found, click.Command):
            raise TypeError(f"{module}.command is not a click command")
        return found


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Keep a CRM and eClinicalWorks in step."""
    click.get_current_context().with_resource(escaped_output())


def main() -> None:
    """Run the command; an error of ours is one message with its next move, and exit code 1."""
    try:
        group.main(prog_name="ecw")
    except EcwError as error:
        click.echo(printable(f"{type(error).__name__}: {error}", keep="\n\t"), err=True)
        sys.exit(1)
