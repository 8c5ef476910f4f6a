"""Write docs/reference from the code: `make docs`. A test fails if a page is not up to date."""

from __future__ import annotations

import ast
import dataclasses
import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from sqlalchemy import Column, Table, create_engine, event

from ecw import errors
from ecw.alerts.conditions import Thresholds
from ecw.alerts.settings import Settings
from ecw.cli import COMMANDS
from ecw.crm.db.migrations import VERSION_TABLE, migrate
from ecw.crm.db.tables import metadata
from ecw.fhir.connection import GROUP_SCOPE, READ_SCOPES, WRITE_SCOPES
from ecw.identity.held import Held
from ecw.mapping.definition.files import all_mappings
from ecw.mapping.definition.mapping_file import ColumnEntry, FallbackEntry, GroupEntry, MappingFile, PolicyEntry
from ecw.mapping.values.clean import CLEANERS
from ecw.mapping.vocabulary import ON_CONFLICT, SYNC, TYPES, UNMAPPED, UPDATE
from ecw.provider_info import get_provider_info
from ecw.quality.catalogue import FILE, Scope, catalogue
from ecw.reports.mappings import table_of
from ecw.settings.base import described
from ecw.settings.pull import Options
from ecw.settings.push import PushOptions
from ecw.vob.settings import VobSettings

CONTENTS = {
    **{"string": "a text", "texts": "a text, or a list of texts", "boolean": "true or false"},
    **{"array": "a list", "object": "texts by name"},
}
ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"


def connection() -> str:
    """Return the page of the connection form's fields."""
    (form,) = get_provider_info()["connection-types"]
    standard = form["ui-field-behaviour"]
    rows = [
        (label, standard["placeholders"].get(name, ""))
        for name, label in standard["relabeling"].items()
        if name not in standard["hidden-fields"]
    ]
    rows += [(field["label"], field["description"]) for field in form["conn-fields"].values()]
    scopes = [
        ("the pull", " ".join(f"`{scope}`" for scope in READ_SCOPES)),
        ("the push, besides those of the pull", " ".join(f"`{scope}`" for scope in WRITE_SCOPES)),
        ("the strategy `bulk`, besides those of the pull", f"`{GROUP_SCOPE}`"),
    ]
    note = (
        "Register the app in eCW's developer portal with the scopes of what you use, spelled exactly like this: eCW "
        "refuses every token if one of the requested scopes is missing. The fields *Scopes to …* replace them."
    )
    return page(
        "The connection",
        "For everybody who fills in a connection of type eClinicalWorks.",
        table(("field", "content"), rows),
        f"## The scopes to grant\n\n{note}",
        table(("for", "scopes"), scopes),
    )


def options() -> str:
    """Return the page of the connection's extra fields that hold JSON objects."""
    parts = []
    for name, model, note in (
        ("pull", Options, "The Trigger form of `ecw_pull` overrides these for one run."),
        ("push", PushOptions, "The Trigger form of `ecw_push_patients` may only tighten these for one run."),
        ("vob", VobSettings, ""),
    ):
        parts.append(f"## The extra field `{name}`\n\n{note}".rstrip())
        parts.append(table(("key", "default", "meaning"), described_fields(model)))
    parts.append("## The variable `ecw_alerts`")
    keys = [*described_fields(Settings), *described_fields(Thresholds)]
    parts.append(table(("key", "default", "meaning"), keys))
    return page(
        "Options", "For everybody who looks up a key of a connection's extra fields, which hold JSON objects.", *parts
    )


def described_fields(model: type) -> Iterator[tuple[str, str, str]]:
    """Yield name, default (as JSON) and meaning of a model's keys."""
    for name, default, meaning in described(model):
        if not dataclasses.is_dataclass(default):
            yield f"`{name}`", f"`{json.dumps(default, ensure_ascii=False)}`", meaning


def cli() -> str:
    """Return the page of the subcommands."""
    rows = []
    for name, module in sorted(COMMANDS.items()):
        command: click.Command = import_module(module).command
        rows += [(f"`ecw {usage}`", text) for usage, text in commands(name, command)]
    intro = (
        "The command `ecw` uses the Airflow that your shell's environment names (`AIRFLOW_HOME`; for the demo "
        "`. .run/env`). `ecw COMMAND --help` explains a command and its options."
    )
    return page(
        "The `ecw` command", "For everybody who works in a terminal.", intro, table(("command", "what it does"), rows)
    )


def commands(usage: str, command: click.Command) -> list[tuple[str, str]]:
    """Return a command, or the commands of a group, each with the first sentence of its help."""
    if isinstance(command, click.Group):
        return [row for name in sorted(command.commands) for row in commands(f"{usage} {name}", command.commands[name])]
    return [(usage, " ".join((command.help or "").split("\n\n")[0].split()))]


def tables() -> str:
    """Return the page of the bookkeeping tables, and of the business tables that the CRM lacks."""
    parts = [
        "`ecw migrate` creates these tables beside the CRM's own. "
        "Each has a column `practice`, except `ecw_field_change`, which is about rows of the CRM."
    ]
    for each in metadata.sorted_tables:
        rows = [
            (f"`{column.name}`", str(column.type), key_mark(column), column.comment or "") for column in each.columns
        ]
        parts += [f"## {each.name}", str(each.comment), table(("column", "type", "", "meaning"), rows)]
    parts.append(
        "## Business tables\n\n"
        "`ecw migrate` creates each of these only if the CRM has no table of that name. The FHIR paths are those of "
        "`include/mappings`; a column without a path is filled by the project. On PostgreSQL the meanings are the "
        "comments of the tables and columns (`\\d+ patient`)."
    )
    mappings = {mapping.table: mapping for mapping in all_mappings().values()}
    for each in business_tables():
        mapping = mappings.get(each.name)
        paths = {column.column: f"`{column.path}`" for column in table_of(mapping).columns} if mapping else {}
        rows = [
            (f"`{column.name}`", str(column.type), key_mark(column), paths.get(column.name, ""), column.comment or "")
            for column in each.columns
        ]
        title = f"{each.name}: FHIR {mapping.resource}" if mapping else each.name
        parts += [f"### {title}", str(each.comment), table(("column", "type", "", "FHIR path", "meaning"), rows)]
    return page("Tables", "For everybody who queries the project's tables in the CRM's database.", *parts)


def key_mark(column: Column[Any]) -> str:
    """Return the mark of a key column."""
    return "key" if column.primary_key else ""


def business_tables() -> list[Table]:
    """Return the business tables that the migrations create in an empty CRM."""
    created: list[Table] = []

    def keep(made: Table, *_: Any, **__: Any) -> None:
        if made.name not in (*metadata.tables, VERSION_TABLE):
            created.append(made)

    event.listen(Table, "after_create", keep)
    try:
        migrate(create_engine("sqlite://"))
    finally:
        event.remove(Table, "after_create", keep)
    return created


def error_tree() -> str:
    """Return the page of the error classes."""
    tree = (errors.__doc__ or "").split("\n\n")[1]
    intro = (
        "Airflow retries a task that ends with a class below `RetryableError`. A class below `FatalError` fails it at "
        "once, except `ExportExpired`: the next try starts a new export. A message ends with the next step, and never "
        "holds a patient's data."
    )
    return page("Errors", "For everybody who reads the log of a failed task.", intro, f"```\n{tree}\n```")


def dags() -> str:
    """Return the page of the DAGs: the text that Airflow shows beside each of them."""
    parts = []
    for path in sorted((ROOT / "dags").glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        parts.append(f"## `{path.stem}`\n\n{text}")
    return page("DAGs", "For the operators of the DAGs; Airflow shows the same text beside each DAG.", *parts)


def quality_suite() -> str:
    """Return the page of the expectations that a suite may use."""
    intro = (
        "A suite lists expectations in Great Expectations' own words: `type`, `kwargs`, and `meta` with `on_fail`, "
        "`max_failed_ratio` and `reason`; see `include/quality/README.md`. All take `row_condition`."
    )
    parts = [intro]
    for title, scopes in (
        ("About rows", {Scope.ROW}),
        ("About several rows together", {Scope.ROWS}),
        ("About the whole batch: warn or stop", {Scope.BATCH}),
    ):
        rows = [
            (f"`{name}`", ", ".join(f"`{each}`" for each in known.properties), known.summary)
            for name, known in catalogue().items()
            if known.scope in scopes
        ]
        parts += [f"## {title}", table(("type", "kwargs", "meaning"), rows)]
    return page("Quality suites", "For everybody who writes a quality rule.", *parts)


def mapping_file() -> str:
    """Return the page of the keys and values of a mapping file and of the crosswalks' policies."""
    parts = [
        "One file per resource, `include/mappings/<resource>.yaml`, defines which FHIR element becomes which column. "
        "`include/mappings/README.md` explains paths and crosswalks; [add a column](../how-to/add-a-column.md) has the "
        "steps. `ecw mapping check` reports every mistake with its line."
    ]
    for title, model in (
        ("The file", MappingFile),
        ("A group of `select`", GroupEntry),
        ("A column", ColumnEntry),
        ("The `fallback` of a column", FallbackEntry),
        ("A crosswalk in `crosswalks/policies.yaml`", PolicyEntry),
    ):
        parts += [f"## {title}", table(("key", "content", "default", "meaning"), list(mapping_keys(model)))]
    cleaners = {name: (cleaner.__doc__ or "").splitlines()[0] for name, cleaner in CLEANERS.items()}
    for key, words in (
        *(("type", TYPES), ("sync", SYNC), ("on_conflict", ON_CONFLICT), ("update", UPDATE)),
        *(("clean", cleaners), ("unmapped", UNMAPPED)),
    ):
        parts += [
            f"## The values of `{key}`",
            table(("value", "meaning"), [(f"`{w}`", text) for w, text in words.items()]),
        ]
    return page("Mapping files", "For everybody who looks up a key or a value of a mapping file.", *parts)


def mapping_keys(model: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, content, default and meaning of a model's keys; a key without a default may be required."""
    schema = model.model_json_schema()
    for name, key in schema["properties"].items():
        kind = next((each["type"] for each in (key, *key.get("anyOf", ())) if each.get("type", "null") != "null"), "")
        if kind == "array" and key["items"].get("type") == "string":
            kind = "texts"
        default = f"`{json.dumps(key['default'])}`" if key.get("default") not in (None, "", [], {}) else ""
        yield (
            f"`{name}`",
            CONTENTS[kind or "object"] if kind or "anyOf" not in key else "keys",
            "required" if name in schema["required"] else default,
            key["description"],
        )


def held_patients() -> str:
    """Return the page of the reasons why a patient is held."""
    intro = (
        "The push holds a patient when eCW may have it already, or when a linked row or chart may now be another "
        "person's. How to decide: [held patients](../how-to/held-patients.md). `…` stands for what agrees or differs. "
        "Below each group of reasons is what resolves them."
    )
    reasons: dict[str, list[str]] = {}
    for reason in Held:
        reasons.setdefault(reason.resolution, []).append(f"- {reason.replace('{}', '…')}")
    parts = ["\n".join(lines) + f"\n\n**What resolves it**: {resolution}" for resolution, lines in reasons.items()]
    return page("Why a patient is held", "For the person who reads why a patient is held.", intro, *parts)


PAGES: dict[str, Callable[[], str]] = {
    "connection.md": connection,
    "options.md": options,
    "cli.md": cli,
    "tables.md": tables,
    "errors.md": error_tree,
    "dags.md": dags,
    "quality-suite.md": quality_suite,
    "held-patients.md": held_patients,
    "mapping-file.md": mapping_file,
}


def page(title: str, reader: str, *parts: str) -> str:
    """Return a page with its title, its reader, and the note that it is generated."""
    return "\n\n".join([f"# {title}", f"*{reader} Generated by `make docs`.*", *parts]) + "\n"


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    from ecw.quality.gx_catalogue import generate  # imports Great Expectations

    FILE.write_bytes(generate())
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make())
