"""The structure of the code: imports, folders, signatures, words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = ROOT / "plugins"
FILES = sorted((PLUGINS / "ecw").rglob("*.py"))
MOST_MODULES, MOST_ARGUMENTS = 15, 6

# From the bottom up: a package imports only from its own line and the lines before it.
FLOORS = (
    {"errors"},
    {"resources", "models"},
    {"spelling", "identity", "printable", "project_files"},
    {"settings", "mapping", "retry_policy", "provider_info"},
    {"three_way_merge"},
    {"crm.db"},
    {"crm.journal"},
    {"crm.state"},
    {"crm.load"},
    {"alerts", "fhir", "staging"},
    {"quality", "hooks"},
    {"practice"},
    {"pull", "push"},
    {"reports", "vob"},
    {"cli", "ui", "operators"},
    {"ecw_plugin"},
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def module_of(path: Path) -> str:
    parts = path.relative_to(PLUGINS).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imports(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports, also inside its functions, but not for types alone."""
    tree = ast.parse(path.read_text())
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in set(ast.walk(tree)) - for_types:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ecw":
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("ecw."))


GRAPH = {name: set(imports(path)) - {name} for name, path in MODULES.items()}


def floor(module: str) -> int:
    parts = module.split(".")[1:]
    return FLOOR[".".join(parts[:2])] if ".".join(parts[:2]) in FLOOR else FLOOR[parts[0]]


def test_the_modules_and_their_imports_are_found() -> None:
    assert len(MODULES) > 150
    assert sum(map(len, GRAPH.values())) > 500


@pytest.mark.parametrize("module", [name for name in MODULES if name not in ("ecw", "ecw.crm")])
def test_imports_point_downwards(module: str) -> None:
    up = {other for other in GRAPH[module] if other in MODULES and other != "ecw" and floor(other) > floor(module)}
    assert up == set(), f"{module} imports from above; move the piece that both need down, or the module up"


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return one circle of the graph, or nothing."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return path[path.index(name) :]
        if name in done:
            return []
        for other in sorted(graph.get(name, ())):
            if found := walk(other, [*path, name]):
                return found
        done.add(name)
        return []

    for name in graph:
        if found := walk(name, []):
            return found
    return []


def test_the_search_for_circles_finds_one() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle({name: {other for other in found if other in MODULES} for name, found in GRAPH.items()}) == []


def test_no_folder_is_too_full() -> None:
    folders: dict[Path, int] = {}
    for path in FILES:
        if path.name != "__init__.py":
            folders[path.parent] = folders.get(path.parent, 0) + 1
    assert len(folders) > 15
    assert {str(folder): number for folder, number in folders.items() if number > MOST_MODULES} == {}


def test_no_function_takes_too_many_arguments() -> None:
    """Arguments that belong together are a frozen dataclass; STILL_WIDE lists the functions that still lack one."""
    found = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                number = len(names) - (names[:1] in (["self"], ["cls"]))
                if number > MOST_ARGUMENTS:
                    found[f"{module_of(path)}.{node.name}"] = number
    assert set(found) <= STILL_WIDE.keys(), "put arguments that belong together into a frozen dataclass"
    assert {name: number for name, number in found.items() if number > STILL_WIDE[name]} == {}
    assert STILL_WIDE.keys() <= set(found), "remove the functions that are narrow now from STILL_WIDE"


def test_no_statement_stands_twice_in_a_row() -> None:
    twice = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            for body in (getattr(node, field, None) for field in ("body", "orelse", "finalbody")):
                if isinstance(body, list):
                    dumps = [ast.dump(each) for each in body]
                    twice += [
                        f"{path.relative_to(ROOT)}:{body[place + 1].lineno}"
                        for place, (one, other) in enumerate(pairwise(dumps))
                        if one == other
                    ]
    assert twice == []


STILL_WIDE: dict[str, int] = {}


# Words that say less than the field's own: see the house rules in CONTRIBUTING.md. The right ones stand beside them.
BANNED = {
    "amiss": "wrong",
    "is told": "reports, is reported",
    "what became of": "the result",
    "what came of": "the result",
    "goes by": "uses, needs, depends on",
    "mend|mends|mended|mending": "fix",
    "looked at": "fetched, checked, read",
    "of ours": "the project's, own",
    "comes in": "is loaded",
    "whose turn": "due",
    "there is no such": "does not exist",
    "say whether": "return True if",
    "if it stays": "if it happens again",
    "next_move": "next_step",
    "told_of": "describe_result",
    "ladder": "matcher, searches",
    "without_gone|mark_gone": "without_deleted, mark_deleted",
}
SPACE = r"[\s_#*-]+"  # of a name, or of a comment over two lines, too
READ = (".py", ".md", ".yaml", ".html", ".js")
# Refused outside of tests, too vague for a name: `told` had nine meanings.
VAGUE = {"told": "reported, known, named, or the noun: values, counts, message"}
PRODUCT = ("plugins", "dags", "include", "scripts", "docs")


def test_no_banned_word_is_in_names_messages_comments_and_docs() -> None:
    found, read = [], 0
    for folder in ("plugins", "dags", "include", "scripts", "docs", "tests", "bench"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in READ and path != Path(__file__).resolve():
                read += 1
                found += banned(path)
    for path in ROOT.glob("*.md"):
        found += banned(path)
    assert read > 500
    assert found == []


def test_no_vague_word_is_in_the_product() -> None:
    files = [path for folder in PRODUCT for path in sorted((ROOT / folder).rglob("*")) if path.suffix in READ]
    assert len(files) > 400
    assert [hit for path in files for hit in banned(path, VAGUE)] == []


def banned(path: Path, words_of: dict[str, str] = BANNED) -> list[str]:
    """Return the places of banned words in a file, each with what to write instead."""
    text = path.read_text()
    return [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, hit.start()) + 1}: {hit[0]!r}: write {instead}"
        for words, instead in words_of.items()
        for hit in re.finditer(f"(?<![a-z])({words.replace(' ', SPACE)})(?![a-z])", text, re.I)
    ]


@pytest.mark.parametrize("text", ["what\nbecame of it", "goes_by", "test_a_mended_row", "It is Looked at."])
def test_the_search_for_banned_words_finds_them(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "a.md").write_text(text)
    assert len(banned(tmp_path / "a.md")) == 1
    (tmp_path / "a.md").write_text("we recommend and amend; he told it; it goes on")
    assert banned(tmp_path / "a.md") == []


def test_warnings_are_switched_off_only_behind_a_lock() -> None:
    """`catch_warnings` changes the whole process: when a thread leaves it, all threads get the filters of before."""
    using = {path.parent.name for path in FILES if "catch_warnings(" in path.read_text()}
    assert using == {"quality"}  # behind gx_runner.ONE_AT_A_TIME
