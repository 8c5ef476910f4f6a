"""Validate rows by the rules of a suite with Great Expectations.

This module is imported only if there are rows, because its import costs seconds of CPU.  The context and the compiled
suites stay for the life of the process.  Results name rows by number.  They contain no values.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import RLock
from types import MappingProxyType
from typing import Any

import orjson

from ecw.errors import MappingError
from ecw.quality.catalogue import Scope
from ecw.quality.frames import DAY, frame, frame_columns, frame_kwargs
from ecw.quality.gx_core import (
    GreatExpectationsError,
    ProgressBarsConfig,
    configurations_kept,
    get_expectation_impl,
    gx,
)
from ecw.quality.gx_expectations import LINKED, Linked
from ecw.quality.suite import Rule, Suite

RESULT = MappingProxyType(
    {"result_format": "COMPLETE", "include_unexpected_rows": False, "exclude_unexpected_values": True}
)
DOMAIN = frozenset(
    {"column", "column_A", "column_B", "column_list", "row_condition", "condition_parser", "ignore_row_if"}
)
ONE_AT_A_TIME = RLock()  # the process has one context, which holds the data
Failed = Mapping[int, Collection[int] | None]  # rule number -> row numbers; None: the batch as a whole


@dataclass(frozen=True, slots=True)
class Part:
    """The rules of a suite that check each row alone, or the whole batch, as Great Expectations objects."""

    rules: tuple[tuple[int, Rule], ...]
    columns: tuple[str, ...]  # of the frame
    names: tuple[str, ...]  # of the mapping
    expectations: Any  # great_expectations.ExpectationSuite


@dataclass(frozen=True, slots=True)
class Compiled:
    """The two parts of a suite."""

    row: Part
    batch: Part


def compiled(suite: Suite) -> Compiled:
    """Return a suite's expectations as Great Expectations objects; they are cached.

    Raises MappingError if Great Expectations refuses an expectation.
    """
    rules = [[rule.type, dict(rule.kwargs), rule.on_fail, rule.line] for rule in suite.rules]
    key = orjson.dumps([str(suite.path), dict(suite.types), rules], option=orjson.OPT_SORT_KEYS)
    with ONE_AT_A_TIME:
        if (found := _COMPILED.get(key)) is None:
            _batches()  # a suite needs the context
            if len(_COMPILED) >= _MOST:
                _COMPILED.clear()
            found = _COMPILED[key] = Compiled(_part(suite, {Scope.ROW}), _part(suite, {Scope.ROWS, Scope.BATCH}))
        return found


_COMPILED: dict[bytes, Compiled] = {}
_MOST = 64  # suites: five resources of a dozen practices, each with its own mapping


def judge(suite: Suite, part: Part, values: Sequence[Sequence[Any]], linked: Linked) -> Failed:
    """Return the numbers of the failing rows by the rule's number; None if the batch fails a rule about all of it.

    Each row of `values` has the values of the columns `part.names`.

    Raises MappingError if a rule cannot be applied to the values.
    """
    if not part.rules:
        return {}
    data = frame(suite, part.columns, part.names, values)
    with ONE_AT_A_TIME, configurations_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        token = LINKED.set(linked)
        batches = _batches()
        try:
            found = batches.get_batch({"dataframe": data}).validate(
                part.expectations, result_format=dict(RESULT), expectation_parameters=suite.days
            )
            return {
                number: () if _nothing_to_judge(batches, result) else _failed(suite, suite.rules[number], result)
                for number, result in _numbered(found.results)
            }
        finally:
            LINKED.reset(token)
            _forget(batches)


def _part(suite: Suite, scopes: Collection[Scope]) -> Part:
    rules = tuple((number, rule) for number, rule in enumerate(suite.rules) if rule.scope in scopes)
    expectations = gx.ExpectationSuite(name=suite.resource)
    for number, rule in rules:
        kwargs = frame_kwargs(rule, suite.types)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a row_condition as text is deprecated, and allowed here
                expectations.add_expectation(get_expectation_impl(rule.type)(**kwargs, meta={"rule": number}))
        except (
            ValueError,
            GreatExpectationsError,
        ) as error:  # the error holds no values of records: there are none yet
            found: list[Any] = getattr(error, "errors", list)()
            lines = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found) or str(error)
            raise MappingError(
                f"{suite.path}:{rule.line}: Great Expectations refuses {rule.type}: {lines}.",
                next_step="fix the kwargs named above; if the type is not found, install a newer Great Expectations.",
            ) from None
    columns = tuple(frame_columns((rule for _, rule in rules), suite.types))
    return Part(rules, columns, tuple(dict.fromkeys(name.removesuffix(DAY) for name in columns)), expectations)


def _numbered(results: Sequence[Any]) -> list[tuple[int, Any]]:
    return [(int(result.expectation_config.meta["rule"]), result) for result in results]


def _nothing_to_judge(batches: Any, result: Any) -> bool:
    """Return True if an expectation failed with an error because it had no rows: some need at least one."""
    if result.result:
        return False
    domain = {name: value for name, value in result.expectation_config.kwargs.items() if name in DOMAIN}
    if "column_A" in domain:
        domain.setdefault("ignore_row_if", "both_values_are_missing")
    elif "column_list" in domain:
        domain.setdefault("ignore_row_if", "all_values_are_missing")
    rows = batches.data_asset.datasource.get_execution_engine().get_domain_records(domain)
    return bool(rows.empty or ("column" in domain and rows[domain["column"]].isna().all()))


def _failed(suite: Suite, rule: Rule, result: Any) -> Collection[int] | None:
    names_rows = rule.scope is not Scope.BATCH
    # The result's own text of an exception is not used: it may hold a value.
    if not result.result or (names_rows and "unexpected_count" not in result.result):
        raise MappingError(
            f"{suite.path}:{rule.line}: the rule {rule.name} cannot be applied to "
            f"{' and '.join(f'{name} ({suite.types[name]})' for name in rule.columns) or 'the batch'}.",
            next_step="compare the column's type in the mapping with what the rule expects.",
        )
    if names_rows:
        return result.result.get("unexpected_index_list") or ()
    return () if result.success else None


@lru_cache(maxsize=1)
def _batches() -> Any:
    """Return the batch definition for all frames of the process."""
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    frames = context.data_sources.add_pandas("staging").add_dataframe_asset("rows")
    return frames.add_batch_definition_whole_dataframe("chunk")


def _forget(batches: Any) -> None:
    """Release the frame: the context outlives the check, and the frame holds patient data."""
    manager = batches.data_asset.datasource.get_execution_engine().batch_manager
    manager.reset_batch_cache()
    manager.batch_data_cache.clear()
