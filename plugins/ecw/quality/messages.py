"""Describe a rule in words, without values of records."""

from __future__ import annotations

from typing import Any

from ecw.quality.catalogue import catalogue
from ecw.quality.suite import Rule


def demand(rule: Rule) -> str:
    """Return what a rule expects: "to match regex (regex ^[0-9]{10}$) where state.notnull()"."""
    words = rule.type.replace("_", " ")
    lengths = "lengths " if "value lengths" in words else ""
    known = catalogue()[rule.type]
    parameters = [
        f"{name} {_text(value)}"
        for name, value in rule.kwargs.items()
        if name not in (*known.columns, "row_condition", "condition_parser")
    ]
    text = f"{lengths}to {words.partition(' to ')[2]}" + (f" ({', '.join(parameters)})" if parameters else "")
    condition = rule.kwargs.get("row_condition")
    return f"{text} where {_condition(condition)}" if condition else text


def reason(rule: Rule) -> str:
    """Return why a row fails a rule."""
    text = f"{' and '.join(rule.columns)}: expected {demand(rule)}"
    return f"{text}; {rule.reason}" if rule.reason else text


def _text(value: Any) -> str:
    if isinstance(value, dict) and "$PARAMETER" in value:
        return str(value["$PARAMETER"])
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _condition(found: Any) -> str:
    """Return a row_condition as text: it is one of four kinds of dictionaries, or a plain text."""
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
