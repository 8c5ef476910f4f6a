"""The rules of a suite, judged by Great Expectations.

This is the one module that imports it, and `judge` is imported only when there are rows: the import costs 8 s of CPU.
Results name rows by number.  Values are neither asked for nor passed on.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ecw.errors import MappingError
from ecw.quality.suite import whole_value

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

    from ecw.quality.suite import Rule, Suite

RESULT = {"result_format": "COMPLETE", "include_unexpected_rows": False, "exclude_unexpected_values": True}

Judge = Callable[[Sequence[Sequence[Any]]], Mapping[int, Sequence[int]]]


def judge(suite: Suite) -> Judge:
    """Return a function that says which rows break which rule.

    It takes, for each rule in order, the column of values to look at, and returns the row numbers for each rule's
    number. Raises MappingError where a rule cannot be applied to the values at all.
    """
    # It logs tracebacks, and they hold values; and a page of news while it is imported.
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        # What it deprecates in itself and in its dependencies is no news for the person on call.
        warnings.simplefilter("ignore")
        import great_expectations as gx
        import pandas as pd
        from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.CRITICAL)  # it set one of its own
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    frames = context.data_sources.add_pandas("staging").add_dataframe_asset(suite.resource)
    definition = frames.add_batch_definition_whole_dataframe("chunk")
    expectations = gx.ExpectationSuite(name=suite.resource)
    for number, rule in enumerate(suite.rules):
        expectation = _expectation(rule, str(number))
        expectations.add_expectation(expectation)

    def broken(columns: Sequence[Sequence[Any]]) -> Mapping[int, Sequence[int]]:
        frame = pd.DataFrame({str(n): pd.Series(values, dtype=object) for n, values in enumerate(columns)})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = definition.get_batch({"dataframe": frame}).validate(expectations, result_format=RESULT)
        answers: dict[int, Sequence[int]] = {}
        for result in found.results:
            config = result.expectation_config
            if config is None:
                continue
            number = int(config.kwargs["column"])
            if "unexpected_count" not in result.result:  # its own account of the failure may hold a value
                rule = suite.rules[number]
                raise MappingError(
                    f"{suite.path}:{rule.line}: the rule {rule.check} cannot be applied to the column {rule.column}.",
                    next_move="compare the column's type in the mapping with what the rule expects.",
                )
            answers[number] = result.result.get("unexpected_index_list") or ()
        return answers

    return broken


def _expectation(rule: Rule, column: str) -> Expectation:
    name, arguments = _named(rule)
    # By name: the package does not export its expectations in a way that a type checker can follow.
    found: Expectation = getattr(import_module("great_expectations.expectations"), name)(column=column, **arguments)
    return found


def _named(rule: Rule) -> tuple[str, dict[str, Any]]:
    """Return the expectation that a check is, and its arguments."""
    value = rule.value
    match rule.check:
        case "not_null":
            return "ExpectColumnValuesToNotBeNull", {}
        case "unique" | "known":  # the column holds what a chunk cannot know: how often it comes, whether it is linked
            return "ExpectColumnValuesToBeInSet", {"value_set": [1]}
        case "not_before":  # the column holds how long after the other one
            return "ExpectColumnValuesToBeBetween", {"min_value": 0}
        case "in":
            return "ExpectColumnValuesToBeInSet", {"value_set": value}
        case "pattern":
            return "ExpectColumnValuesToMatchRegex", {"regex": whole_value(value)}
        case "length":
            bounds = {"min_value": value.get("min"), "max_value": value.get("max")}
            return "ExpectColumnValueLengthsToBeBetween", bounds
        case "range":
            return "ExpectColumnValuesToBeBetween", {"min_value": value.get("min"), "max_value": value.get("max")}
        case "date":  # as the number of the day: texts are not compared the same way for bounds and for values
            days = {word: date.fromisoformat(day).toordinal() for word, day in value.items()}
            bounds = {"min_value": days.get("after"), "max_value": days.get("before")}
            return "ExpectColumnValuesToBeBetween", bounds | {"strict_min": True, "strict_max": True}
    raise ValueError(rule.check)
