"""A rule in words, never with a value of a record."""

from __future__ import annotations

from ecw.quality.suite import Rule


def demand(rule: Rule) -> str:
    """Say what a rule wants of its column."""
    match rule.check:
        case "not_null":
            return "has a value"
        case "unique":
            return "no other record of the batch has the same value"
        case "in":
            return f"one of {', '.join(rule.value)}"
        case "pattern":
            return f"matches {rule.value}"
        case "not_before":
            return f"not before {rule.value}"
        case "known":
            return "what it refers to is linked"
        case _:
            return f"{rule.check} {', '.join(f'{word} {bound}' for word, bound in rule.value.items())}"


def reason(rule: Rule) -> str:
    """Say why a row breaks a rule."""
    columns = " and ".join(rule.columns)
    match rule.check:
        case "not_null":
            said = f"{columns}: no value"
        case "unique":
            said = f"{columns}: another record of the batch has the same value"
        case "in":
            said = f"{columns}: not one of {', '.join(rule.value)}"
        case "pattern":
            said = f"{columns}: does not match {rule.value}"
        case "not_before":
            said = f"{columns}: before {rule.value}"
        case "known":
            said = f"{columns}: refers to a record that is not linked"
        case _:
            bounds = ", ".join(f"{word} {bound}" for word, bound in rule.value.items())
            said = f"{columns}: {rule.check} is not {bounds}"
    return f"{said}; {rule.why}" if rule.why else said
