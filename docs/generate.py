"""Write the README's tables that come from the code: `make docs`.  A test fails when they are stale."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import click

from ecw.cli import COMMANDS
from ecw.provider import get_provider_info

README = Path(__file__).resolve().parents[1] / "README.md"


def connection_fields() -> str:
    """Return the connection form's fields as a table."""
    (connection,) = get_provider_info()["connection-types"]
    standard = connection["ui-field-behaviour"]
    rows = [
        (label, standard["placeholders"].get(name, ""))
        for name, label in standard["relabeling"].items()
        if name not in standard["hidden-fields"]
    ]
    rows += [(field["label"], field["description"]) for field in connection["conn-fields"].values()]
    return "\n".join(["| field | what goes there |", "| --- | --- |", *(f"| {a} | {b} |" for a, b in rows)])


def commands() -> str:
    """Return the subcommands as a table."""
    rows = ["| command | what it does |", "| --- | --- |"]
    for name, module in sorted(COMMANDS.items()):
        command: click.Command = import_module(module).command
        rows += [f"| `ecw {words}` | {text} |" for words, text in described(name, command)]
    return "\n".join(rows)


def described(words: str, command: click.Command) -> list[tuple[str, str]]:
    """Return a command, or each of a group's, with the first sentence of its help."""
    if isinstance(command, click.Group):
        return [
            row for name in sorted(command.commands) for row in described(f"{words} {name}", command.commands[name])
        ]
    sentence = " ".join((command.help or "").split("\n\n")[0].split())
    return [(words, sentence)]


BLOCKS = {"connection fields": connection_fields, "commands": commands}


def generated(readme: str) -> str:
    """Return the README with every block written anew."""
    for name, make in BLOCKS.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{begin}\n(.*?{end}\n)?", re.DOTALL)
        if not pattern.search(readme):
            raise ValueError(f"README.md has no line {begin!r}")
        block = f"{begin}\n{make()}\n{end}\n"
        readme = pattern.sub(lambda _, block=block: block, readme, count=1)  # type: ignore[misc]
    return readme


if __name__ == "__main__":
    README.write_text(generated(README.read_text()))
