"""The structure of the code: imports, folders, signatures, words."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = ROOT / "plugins"
FILES = sorted((PLUGINS / "ecw").rglob("*.py"))
MOST_MODULES, MOST_ARGUMENTS = 15, 6

# From the bottom up: a package imports only from those before it. `ecw/__init__.py` has the same map from the top down.
ORDER = (
    *("errors", "did_you_mean", "resources", "models"),
    *("identity", "spelling", "printable"),
    *("project_files", "retry_policy"),
    *("settings", "mapping"),
    "three_way_merge",
    *("crm.db", "crm.journal"),
    *("crm.state", "crm.load"),
    *("staging", "fhir"),
    *("alerts", "quality"),
    *("hooks", "practice"),
    "pull",
    "push",
    *("reports", "vob"),
    *("ui", "cli", "operators"),
    *("provider_info", "ecw_plugin"),
)
FOR_OWN_DAGS = {
    "ecw.hooks.ecw",
    "ecw.alerts.monitor",
    "ecw.retry_policy",
}  # public; the shipped DAGs do not import them


def modules_of(root: Path) -> dict[str, Path]:
    """Return the modules of a folder of packages by their names."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules_of(PLUGINS)


@cache
def tree_of(path: Path) -> ast.Module:
    """Return the parsed text of a file."""
    return ast.parse(path.read_text())


def imports(path: Path, modules: Iterable[str]) -> Iterator[str]:
    """Yield the modules of the package that a file imports, also inside its functions, but not for types alone."""
    tree = tree_of(path)
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
                yield inner if inner in modules else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("ecw."))


def graph_of(modules: Mapping[str, Path]) -> dict[str, set[str]]:
    """Return the modules that each module imports, without itself."""
    return {name: (set(imports(path, modules)) & set(modules)) - {name} for name, path in modules.items()}


GRAPH = graph_of(MODULES)


def floor(module: str) -> int:
    """Return the place of a module's package in ORDER."""
    parts = module.split(".")[1:]
    package = ".".join(parts[: 2 if parts[0] == "crm" else 1])
    assert package in ORDER, f"{package} has no place in ORDER"
    return ORDER.index(package)


def upwards(graph: Mapping[str, set[str]], module: str) -> set[str]:
    """Return the modules above a module that it imports."""
    return {other for other in graph[module] if other not in ("ecw", "ecw.crm") and floor(other) > floor(module)}


def write_package(root: Path, files: Mapping[str, str]) -> dict[str, Path]:
    """Write files of Python into a folder and return its modules."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return modules_of(root)


def test_the_modules_and_their_imports_are_found() -> None:
    assert len(MODULES) > 150
    assert sum(map(len, GRAPH.values())) > 500


@pytest.mark.parametrize("module", [name for name in MODULES if name not in ("ecw", "ecw.crm")])
def test_imports_point_downwards(module: str) -> None:
    up = upwards(GRAPH, module)
    assert up == set(), f"{module} imports from above; move the piece that both need down, or the module up"


def test_the_search_for_upward_imports_finds_one(tmp_path: Path) -> None:
    modules = write_package(
        tmp_path,
        {
            "ecw/pull/a.py": "def one():\n    from ecw.push import b",
            "ecw/push/b.py": "from ecw.pull.a import one",
            "ecw/crm/db/c.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ecw.crm.load import d",
            "ecw/crm/load/d.py": "import ecw.crm.db.c",
        },
    )
    graph = graph_of(modules)
    assert {name: upwards(graph, name) for name in modules if upwards(graph, name)} == {"ecw.pull.a": {"ecw.push.b"}}
    assert graph["ecw.crm.load.d"] == {"ecw.crm.db.c"}


def relative_imports(path: Path) -> list[int]:
    """Return the lines of a file's relative imports."""
    nodes = ast.walk(tree_of(path))
    return [node.lineno for node in nodes if isinstance(node, ast.ImportFrom) and node.level]


def test_no_import_is_relative() -> None:
    """The guards of this file read absolute names."""
    files = [*FILES, *(ROOT / "dags").glob("*.py")]
    assert {str(path): found for path in files if (found := relative_imports(path))} == {}


def test_the_search_for_relative_imports_finds_one(tmp_path: Path) -> None:
    modules = write_package(tmp_path, {"ecw/a.py": "import ecw\nfrom . import b\nfrom .b import c"})
    assert relative_imports(modules["ecw.a"]) == [2, 3]


def circle(graph: Mapping[str, set[str]]) -> list[str]:
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


def siblings(graph: Mapping[str, set[str]], package: str) -> dict[str, set[str]]:
    """Return which modules and packages directly in a package import each other."""
    found: dict[str, set[str]] = {}
    start, depth = f"{package}.", package.count(".") + 1
    for name, others in graph.items():
        if name.startswith(start):
            inside = {other.split(".")[depth] for other in others if other.startswith(start)}
            own = name.split(".")[depth]
            found.setdefault(own, set()).update(inside - {own})
    return found


def test_the_search_for_circles_finds_one() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_the_search_for_circles_finds_one_between_packages(tmp_path: Path) -> None:
    modules = write_package(
        tmp_path,
        {
            "ecw/pull/plan/a.py": "from ecw.pull.extract import b",
            "ecw/pull/plan/d.py": "",
            "ecw/pull/extract/b.py": "",
            "ecw/pull/extract/c.py": "from ecw.pull.plan import d",
        },
    )
    graph = graph_of(modules)
    assert circle(graph) == []
    assert circle(siblings(graph, "ecw")) == []
    assert set(circle(siblings(graph, "ecw.pull"))) == {"plan", "extract"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(GRAPH) == []


@pytest.mark.parametrize("package", [name for name, path in MODULES.items() if path.name == "__init__.py"])
def test_no_packages_side_by_side_import_each_other_in_a_circle(package: str) -> None:
    assert circle(siblings(GRAPH, package)) == [], "move the module that both need up into their common folder"


def test_the_map_of_the_package_is_true() -> None:
    """Each name of the map imports only from names after it."""
    doc = ast.get_docstring(tree_of(PLUGINS / "ecw" / "__init__.py")) or ""
    names = [name for line in doc.split("\n\n")[1].splitlines() for name in re.split(r"\s{2,}", line)[0].split(", ")]
    assert names == [*reversed(ORDER)]


def public() -> set[str]:
    """Return the modules that `ecw/__init__.py` calls public."""
    doc = ast.get_docstring(tree_of(PLUGINS / "ecw" / "__init__.py")) or ""
    found: set[str] = set()
    for name in re.findall(r"\becw\.[\w.]*(?:\{[\w., \n]+\}[\w.]*)?", doc[doc.index("Public") :]):
        start, braces, rest = name.rstrip(".").partition("{")
        inner, _, end = rest.partition("}")
        found |= {start + each.strip() + end for each in inner.split(",")} if braces else {start}
    return found


def test_dag_files_import_the_public_modules() -> None:
    """`ecw init` copies DAG files to users, so what they import must stay."""
    files = sorted((ROOT / "dags").glob("*.py"))
    assert len(files) == 5
    imported = {name for path in files for name in imports(path, MODULES)}
    assert imported - public() == set(), "not public: see ecw/__init__.py"
    assert public() - imported == FOR_OWN_DAGS
    assert public() <= set(MODULES)


def too_full(files: Iterable[Path]) -> dict[str, int]:
    """Return the folders with too many modules."""
    folders = Counter(str(path.parent) for path in files if path.name != "__init__.py")
    return {folder: number for folder, number in folders.items() if number > MOST_MODULES}


def test_no_folder_is_too_full() -> None:
    assert too_full([*FILES, *(ROOT / "include").rglob("*.py")]) == {}


def test_the_search_for_full_folders_finds_one(tmp_path: Path) -> None:
    files = write_package(tmp_path, {f"full/m{number}.py": "" for number in range(16)}).values()
    assert too_full(files) == {str(tmp_path / "full"): 16}
    assert too_full(list(files)[1:]) == {}


def too_wide(path: Path) -> dict[str, int]:
    """Return the functions of a file that take too many arguments, with the number."""
    found = {}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            number = len(names) - (names[:1] in (["self"], ["cls"]))
            if number > MOST_ARGUMENTS:
                found[node.name] = number
    return found


def test_no_function_takes_too_many_arguments() -> None:
    found = {str(path): wide for path in FILES if (wide := too_wide(path))}
    assert found == {}, "put arguments that belong together into a frozen dataclass"


def test_the_search_for_wide_functions_finds_one(tmp_path: Path) -> None:
    six = "class A:\n    def fits(self, a, b, c, /, d, e, *, f): ...\n"
    modules = write_package(tmp_path, {"a.py": f"{six}    async def wide(self, a, b, c, /, d, e, *, f, g): ...\n"})
    assert too_wide(modules["a"]) == {"wide": 7}


def twice(path: Path) -> list[int]:
    """Return the lines of a file that repeat the statement before them."""
    found = []
    for node in ast.walk(tree_of(path)):
        for body in (getattr(node, field, None) for field in ("body", "orelse", "finalbody")):
            if isinstance(body, list):
                alike = (pair for pair in pairwise(body) if type(pair[0]) is type(pair[1]))
                found += [other.lineno for one, other in alike if ast.dump(one) == ast.dump(other)]
    return found


def test_no_statement_stands_twice_in_a_row() -> None:
    assert {str(path): lines for path in FILES if (lines := twice(path))} == {}


def test_the_search_for_statements_that_stand_twice_finds_one(tmp_path: Path) -> None:
    modules = write_package(tmp_path, {"a.py": "def one():\n    a()\n    b()\n    b()\n    a()\n"})
    assert twice(modules["a"]) == [4]


# Words that say less than the field's own: see the house rules in CONTRIBUTING.md. The right ones stand beside them.
BANNED = {
    "amiss": "wrong",
    "is told": "reports, is reported",
    "what became of": "the result",
    "what came of": "the result",
    "goes by": "uses, needs, depends on",
    "mend|mends|mended|mending": "fix",
    "look at|looks at|looked at|looking at": "fetch, check, read, open",
    "as much": "comparable, the same",
    r"(?<!there[\s_])is no(?![\s_]longer)": "is not",
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
    "told": "reported, known, named, or the noun: values, counts, message",  # too vague: it had nine meanings
}
SPACE = r"[\s_#*-]+"  # of a name, or of a comment over two lines, too
PATTERNS = {
    re.compile(f"(?<![a-z])({words.replace(' ', SPACE)})(?![a-z])", re.I): instead for words, instead in BANNED.items()
}
# Names of before the first release that nothing else has: of classes, tables, variables, options; and of modules.
OLD_NAME = re.compile(
    r"(?<![A-Za-z_])(TryAgain|PersonMustAct|ServerTrouble|NotReached|TokenLost|QuotaSpent|CrmTrouble|RunAhead|"
    r"ConfigurationWrong|AuthRefused|RequestRefused|RecordMissing|ExportGone|AnswerIncomplete|AnotherRecord|MappingWrong|"
    r"CrmTableWrong|PlanTooLong|RosterMissing|QualityStop|BatchDamaged|NumbersDoNotAddUp|Ladder|Sought|Agreed|"
    r"ecw_parked|ecw_agreed|ecw_first_look|ecw_notice|ecw_push_stop|ecw_push_watch|ecw_watch|seen_run|"
    r"first_look_minutes|check_every_hours|allow_long|settle_after|confirm_after|leave_out)(?![A-Za-z_])"
)
OLD_MODULES = frozenset(
    {
        "words",
        "said",
        "agreement",
        "following",
        "directions",
        "patience",
        "minutes",
        "shares",
        "refusal",
        "record_links",
    }
    | {"abilities", "people", "relied_on", "roster", "looking", "wording", "gone", "at_once", "gathering", "trouble"}
    | {"ledger", "agreed", "first_look", "parked", "creating", "linking", "matters", "wanted", "alone", "pushing"}
)
READ = (".py", ".md", ".yaml", ".html", ".js")


def test_no_banned_word_is_in_names_messages_comments_and_docs() -> None:
    found, read = [], 0
    for folder in ("plugins", "dags", "include", "scripts", "docs", "tests", "bench"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in READ and path != Path(__file__).resolve():
                read += 1
                found += banned(path) + old_names(path)
            if path.is_file() and "__pycache__" not in path.parts:
                found += banned_in_path(path)
    for path in ROOT.glob("*.md"):
        found += banned(path) + (old_names(path) if path.name != "CHANGELOG.md" else [])
    assert read > 500
    assert found == []


def banned(path: Path) -> list[str]:
    """Return the places of banned words in a file, each with what to write instead."""
    text = path.read_text()
    return [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, hit.start()) + 1}: {hit[0]!r}: write {instead}"
        for pattern, instead in PATTERNS.items()
        for hit in pattern.finditer(text)
    ]


def banned_in_path(path: Path) -> list[str]:
    """Return the banned words and old names in the names of a file and its folders, each with what to write instead."""
    inside = path.relative_to(ROOT)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\W_]+", " ", str(inside.with_suffix("")))
    found = [f"{inside}: {hit[0]!r}: write {PATTERNS[each]}" for each in PATTERNS for hit in each.finditer(words)]
    old = OLD_MODULES.intersection(inside.with_suffix("").parts) if inside.parts[:2] == ("plugins", "ecw") else ()
    return found + [f"{inside}: {name!r} is an old name" for name in sorted(old)]


def old_names(path: Path) -> list[str]:
    """Return the places of old names in a file."""
    text = path.read_text()
    return [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, hit.start()) + 1}: {hit[0]!r} is an old name"
        for hit in OLD_NAME.finditer(text)
    ]


@pytest.mark.parametrize(
    "text", ["what\nbecame of it", "goes_by", "test_a_mended_row", "It is Looked at.", "that is\n# no edit"]
)
def test_the_search_for_banned_words_finds_them(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "a.md").write_text(text)
    assert len(banned(tmp_path / "a.md")) == 1
    (tmp_path / "a.md").write_text("we recommend and amend; an untold number; there is no row; a row is no longer new")
    assert banned(tmp_path / "a.md") == []


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("plugins/ecw/goes_by.py", 1),
        ("docs/as-much/page.md", 1),
        ("include/quality/WhatBecameOf.yaml", 1),
        ("plugins/ecw/pull/roster.py", 1),
        ("plugins/ecw/pull/known_ids.py", 0),
        ("tests/pull/test_recommended.py", 0),
    ],
)
def test_the_search_for_banned_names_of_files_finds_them(
    name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert len(banned_in_path(tmp_path / name)) == number


def test_the_search_for_old_names_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "a.md").write_text("raise TryAgain\nselect * from ecw_parked; an agreed value; NotReachedYet")
    assert old_names(tmp_path / "a.md") == ["a.md:1: 'TryAgain' is an old name", "a.md:2: 'ecw_parked' is an old name"]


def test_warnings_are_switched_off_only_behind_a_lock() -> None:
    """`catch_warnings` changes the whole process: when a thread leaves it, all threads get the filters of before."""
    using = {path.parent.name for path in FILES if "catch_warnings(" in path.read_text()}
    assert using == {"quality"}  # behind gx_runner.ONE_AT_A_TIME
