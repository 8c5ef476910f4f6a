"""A rule in words, never with a value of a record."""

from __future__ import annotations

from typing import Any

from ecw.quality.catalogue import catalogue
from ecw.quality.suite import Rule


def demand(rule: Rule) -> str:
    """Say what a rule expects: "to match regex (regex ^[0-9]{10}$) where state.notnull()"."""
    words = rule.type.replace("_", " ")
    lengths = "lengths " if "value lengths" in words else ""
    known = catalogue()[rule.type]
    given = [
        f"{name} {_text(value)}"
        for name, value in rule.kwargs.items()
        if name not in (*known.columns, "row_condition", "condition_parser")
    ]
    said = f"{lengths}to {words.partition(' to ')[2]}" + (f" ({', '.join(given)})" if given else "")
    condition = rule.kwargs.get("row_condition")
    return f"{said} where {_condition(condition)}" if condition else said


def reason(rule: Rule) -> str:
    """Say why a row fails a rule."""
    said = f"{' and '.join(rule.columns)}: expected {demand(rule)}"
    return f"{said}; {rule.reason}" if rule.reason else said


def _text(value: Any) -> str:
    if isinstance(value, dict) and "$PARAMETER" in value:
        return str(value["$PARAMETER"])
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _condition(found: Any) -> str:
    """Return a row_condition as a text: Great Expectations has four kinds of it, and plain texts."""
    match found:
        case {"type": "nullity", "column": {"name": name}, "is_null": is_null}:
            return f"{name} is {'null' if is_null else 'not null'}"
        case {"type": "comparison", "column": {"name": name}, "operator": operator, "parameter": parameter}:
            return f"{name} {operator} {_text(parameter)}"
        case {"type": "and" | "or" as word, "conditions": [*conditions]}:
            return f" {word} ".join(map(_condition, conditions))
        case {"pass_through_filter": text}:
            return str(text)
    return str(found)
