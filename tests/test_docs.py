"""The docs agree with the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from ecw.cli import group
from ecw.crm.db.tables import metadata
from ecw.crm.state.retention import Kept
from scripts.generate_reference import PAGES, REFERENCE, ROOT

README = ROOT / "README.md"
PROSE = sorted([README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
DAGS = [path.stem for path in (ROOT / "dags").glob("*.py")]
MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_up_to_date(name: str) -> None:
    assert (REFERENCE / name).read_text() == PAGES[name](), "run `make docs`"


def test_the_readme_is_short() -> None:
    assert README.stat().st_size <= 6 * 1024


@pytest.mark.parametrize("path", PROSE, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_links_that_a_page_names_exist(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"
    for target in re.findall(r"make ([a-z-]+)(?=[`\s])", text):
        if f"`make {target}" in text:
            assert re.search(rf"^{target}:", MAKEFILE, flags=re.M), f"{path.name} names `make {target}`"
    for named in re.findall(r"`((?:include|plugins|dags|docs|scripts|tests|ecw)/[\w./*-]*)`", text):
        in_the_project = f"plugins/{named}" if named.startswith("ecw/") else named
        assert list(ROOT.glob(in_the_project)), f"{path.name} names {named}"


@pytest.mark.parametrize(
    "path",
    [path for path in PROSE if "decisions" not in path.parts and path.parent != ROOT],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_page_names_its_readers_in_its_first_line(path: Path) -> None:
    first = [line for line in path.read_text().splitlines() if line.strip()][:2]
    assert any(line.startswith("# ") for line in first)
    assert any(line.lstrip("*").startswith("For ") for line in first), (
        "one of its first two lines must name its readers"
    )


# Words of the code that begin with ecw_ and are no Variable: DAGs, connections, pools, columns, arguments.
NO_VARIABLE = {
    *("ecw_pull", "ecw_push_patients", "ecw_replay", "ecw_default", "ecw_api", "ecw_conn_id"),
    *("ecw_id", "ecw_row_id", "ecw_practice", "ecw_keys", "ecw_crm_work", "ecw_alembic_version"),
}
OF_TABLES = ("tables.py", "stage.py")  # their words are names of tables, columns and indexes


def test_every_variable_of_the_code_is_on_its_page_and_the_other_way_round() -> None:
    """A name may be a constant somewhere else than its use: all words that look like a Variable are compared."""
    on_page = set(re.findall(r"`(ecw_\w+?)`", (REFERENCE / "variables.md").read_text().replace("__<practice>", "")))
    code = [file for file in (ROOT / "plugins").rglob("*.py") if file.name not in OF_TABLES]
    words = {
        node.value
        for file in code
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"ecw_[a-z_]+", node.value)
    }
    words |= {f"ecw_{each.name}_days" for each in fields(Kept)}
    assert words - NO_VARIABLE - set(metadata.tables) == on_page - set(DAGS)
    assert words >= NO_VARIABLE


def test_no_other_code_builds_the_name_of_a_variable() -> None:
    built = {
        file.name
        for file in (ROOT / "plugins").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.JoinedStr) and ast.unparse(node)[2:].startswith("ecw_")
    }
    # retention.py: the days of `Kept`. The others build names of assets, indexes and connections.
    assert built == {"retention.py", "assets.py", "tables.py", "practices_file.py"}


def test_the_variables_of_the_demo_exist() -> None:
    demo = (ROOT / "include" / "demo" / "demo.py").read_text()
    for variable in set(re.findall(r"\b([A-Z_]+)=", README.read_text())):
        assert f'"{variable}"' in demo, f"README names {variable}="


def commands(text: str) -> Iterator[str]:
    """Yield the `ecw` commands of a text: between backticks, or on a line of their own."""
    for quoted, own_line in re.findall(r"`ecw ([a-z][^`]*)`|^ *ecw ([a-z][^\n#|]*)", text, flags=re.M):
        yield " ".join(quoted.split()) or own_line.strip()


def unknown(words: str) -> list[str]:
    """Return the first unknown subcommand of a command, or its unknown options."""
    context, command = click.Context(group), group
    options = []
    for word in words.split():
        name = word.split("=")[0].rstrip(".,;:)")
        if name.startswith("--"):
            options.append(name)
        elif isinstance(command, click.Group) and not options and not name.isupper():  # RUN stands for an argument
            inner = command.get_command(context, name)
            if inner is None:
                return [name]
            command = inner
    if isinstance(command, click.Group):
        return [name for name in options if name != "--help"]
    known = {name for each in command.params for name in each.opts} | {"--help"}
    return [name for name in options if name not in known]


def test_the_search_for_commands_finds_the_wrong_ones() -> None:
    text = "`ecw pull\n--patient ID --dry-run`, `ecw pull --pat`, `ecw fetch`\n  ecw matches drop ID   # no more"
    assert [unknown(each) for each in commands(text)] == [[], ["--pat"], ["fetch"], ["drop"]]


TEXTS = [*PROSE, *(ROOT / "include").rglob("*.md"), *(ROOT / "dags").glob("*.py"), *(ROOT / "plugins").rglob("*.py")]


def test_every_command_that_a_page_or_a_message_names_exists() -> None:
    named = {(str(path.relative_to(ROOT)), words) for path in TEXTS for words in commands(path.read_text())}
    assert len(named) > 150
    assert {(path, words): unknown(words) for path, words in named if unknown(words)} == {}
