"""Export a suite as JSON for Great Expectations."""

from __future__ import annotations

from typing import Any

from ecw.quality.suite import Suite

OWN = frozenset({"expect_column_values_to_refer_to_linked_records"})


def gx_suite(suite: Suite, *, own: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Return the suite as JSON data, and the rules that are left out: those of the project's own expectations.

    With `own` these are included; to load them, import ecw.quality.gx_expectations first, which registers them.
    """
    left_out = [] if own else [rule for rule in suite.rules if rule.type in OWN]
    expectations = [
        {
            "type": rule.type,
            "kwargs": dict(rule.kwargs),
            "meta": {
                "on_fail": rule.on_fail,
                "reason": rule.reason,
                **({} if rule.max_failed_ratio is None else {"max_failed_ratio": rule.max_failed_ratio}),
            },
        }
        for rule in suite.rules
        if rule not in left_out
    ]
    return {"name": suite.resource, "expectations": expectations, "meta": {}}, [str(rule) for rule in left_out]
