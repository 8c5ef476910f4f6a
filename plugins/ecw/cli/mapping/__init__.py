"""`ecw mapping`: check, preview, diff, unmapped, propose and export, for people who edit mapping files."""

from __future__ import annotations

import click

from ecw.cli.mapping import check, crosswalks, diff, preview


@click.group("mapping")
def command() -> None:
    """Check and try mapping files."""


for subcommand in (
    check.check,
    preview.preview,
    preview.export,
    diff.diff,
    crosswalks.unmapped,
    crosswalks.propose,
):
    command.add_command(subcommand)
