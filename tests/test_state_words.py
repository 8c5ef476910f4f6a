"""A state word is defined once, as a StrEnum: the code compares and writes its members, not literals."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import pytest

from ecw.crm.db import enums
from ecw.models import Mode, RunType
from ecw.resources import StrategyName

ECW = Path(__file__).resolve().parents[1] / "plugins" / "ecw"

# By name of a column, variable, key or argument: the enumerations that its values are from.
ENUMS: dict[str, tuple[type[StrEnum], ...]] = {
    "action": (enums.StageAction,),
    "counts_as": (enums.CountsAs,),
    "direction": (enums.Direction,),
    "mode": (Mode,),
    "operation": (enums.Operation, enums.StageAction),
    "outcome": (enums.JournalOutcome,),
    "run_type": (RunType,),
    "state": (enums.RejectState, enums.ConflictState, enums.RunState, enums.IntentState),
    "status": (enums.LinkStatus, enums.PushStatus),
    "step": (enums.RejectStep,),
    "strategy": (StrategyName,),
}
WORDS = {name: {member.value for each in found for member in each} for name, found in ENUMS.items()}


def name_of(node: ast.expr) -> str:
    """Return the name of a variable, an attribute or a key, or nothing."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(name)), *_]):
            return name
    return ""


def literals(node: ast.expr) -> list[str]:
    """Return the text of a literal, or the texts of a tuple, list or set of literals."""
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    return [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def pairs(tree: ast.AST) -> Iterator[tuple[str, int, list[str]]]:
    """Yield the names that are compared with literals or that are given literals, with the line and the literals."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=[right]):
                yield name_of(left), node.lineno, literals(right)
                yield name_of(right), node.lineno, literals(left)
            case ast.Call(func=ast.Attribute(value=column, attr="in_" | "is_distinct_from"), args=[values]):
                yield name_of(column), node.lineno, literals(values)
            case ast.keyword(arg=str(name), value=value):
                yield name, value.lineno, literals(value)
            case ast.Dict(keys=keys, values=dict_values):
                for key, value in zip(keys, dict_values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield key.value, value.lineno, literals(value)
            case ast.Match(subject=subject, cases=cases):
                for case in cases:
                    for inner in ast.walk(case.pattern):
                        if isinstance(inner, ast.MatchValue):
                            yield name_of(subject), inner.lineno, literals(inner.value)


def repeated(source: str) -> list[str]:
    """Return the lines of a source that repeat a word of an enumeration."""
    return [
        f"{line}: {name} {word!r}: use a member of {' or '.join(each.__name__ for each in ENUMS[name])}"
        for name, line, words in pairs(ast.parse(source))
        for word in words
        if word in WORDS.get(name, ())
    ]


def test_no_literal_repeats_a_state_word() -> None:
    paths = sorted(ECW.rglob("*.py"))
    assert len(paths) > 150
    assert [f"{path.relative_to(ECW)}:{each}" for path in paths for each in repeated(path.read_text())] == []


@pytest.mark.parametrize(
    "source",
    [
        'run["run_type"] == "backfill"',
        'run_type in ("scheduled", "never")',
        'row.get("strategy") != "bulk"',
        '"same" == s.c.action',
        's.c.action.in_(["insert"])',
        'link.status.is_distinct_from("deleted")',
        'values(counts_as="inserted")',
        'JournalEntry(outcome="done")',
        'filter_by(**{"operation": "update"})',
        "match strategy:\n    case 'list' | 'other':\n        pass",
    ],
)
def test_the_search_finds_a_repeated_word(source: str) -> None:
    assert len(repeated(source)) == 1


@pytest.mark.parametrize(
    "source",
    ['row["resource"] == "bulk"', 'mode="wb"', "s.c.action == StageAction.SAME", 'status == "draft"', '"done"'],
)
def test_the_search_raises_no_false_alarm(source: str) -> None:
    assert repeated(source) == []
