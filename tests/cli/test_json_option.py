"""Every command has `--json`, or a reason why not; commands that need no practice print what they did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from ecw.cli import COMMANDS, group

WITHOUT = {
    "init": "it copies files for a person who begins",
    "mapping export": "its output is JSON already",
    "matches show": "patient data, for a person who compares",
    "practice moved": "a person confirms it",
    "quality export": "its output is JSON already",
}


def commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Yield the commands of a group, or the command, each with its words."""
    if isinstance(command, click.Group):
        for inner, each in command.commands.items():
            yield from commands(f"{name} {inner}", each)
    else:
        yield name, command


def test_every_command_has_json_or_a_reason_why_not() -> None:
    found = dict(each for name, module in COMMANDS.items() for each in commands(name, import_module(module).command))
    assert len(found) > 30
    without = {name for name, one in found.items() if not any("--json" in option.opts for option in one.params)}
    assert without == WITHOUT.keys()


def read(*arguments: str) -> Any:
    result = CliRunner().invoke(group, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_commands_about_keys_name_files_and_key_ids(tmp_path: Path) -> None:
    folder = ("--folder", str(tmp_path / "keys"), "--json")
    assert read("keys", "show", *folder) == {"keys": [], "public_set": None}
    first = read("keys", "new", *folder)
    second = read("keys", "rotate", *folder)
    assert second["old_key_id"] == first["key_id"]
    shown = read("keys", "show", *folder)
    assert [one["key_id"] for one in shown["keys"]] == [first["key_id"], second["key_id"]]
    assert [one["kid"] for one in shown["public_set"]["keys"]] == [first["key_id"], second["key_id"]]
    assert Path(shown["keys"][0]["private_key"]).exists()
    assert read("keys", "retire", first["key_id"], *folder)["deleted"] == first["key_id"]


def test_a_migration_reports_its_steps(monkeypatch: pytest.MonkeyPatch, empty_crm_url: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MY_CRM", json.dumps({"conn_type": "generic", "extra": {"url": empty_crm_url}}))
    migrate = ("migrate", "--json", "--crm-conn-id", "my_crm")
    first = read(*migrate)
    assert "made the table practitioner." in first["done"]
    assert read(*migrate, "--adopt") == {"version": first["version"], "done": [], "adopted": []}
    sql = CliRunner().invoke(group, (*migrate, "--sql"))
    assert sql.exit_code == 2
    assert "cannot be combined with --json" in sql.output
