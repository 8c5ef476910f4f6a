"""Read a quality suite (include/quality/*.yaml): the rules that rows must pass, as Great Expectations writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ecw import project_files
from ecw.did_you_mean import did_you_mean
from ecw.errors import MappingError
from ecw.mapping.definition.files import mappings_folder
from ecw.mapping.definition.model import Mapping as ResourceMapping
from ecw.mapping.definition.yaml_file import Place, YamlFile, as_value
from ecw.quality.catalogue import Scope, catalogue
from ecw.quality.kwargs import check_kwargs, condition_columns
from ecw.quality.suite_file import Expectation, SuiteFile, Volume

WARN, REJECT, STOP = "warn", "reject", "stop"


@dataclass(frozen=True, slots=True)
class Rule:
    """One expectation, and the consequence for a row that fails it."""

    name: str  # the type; "type (2)" for the second of a type on a column
    type: str
    kwargs: Mapping[str, Any]
    scope: Scope
    columns: tuple[str, ...]  # none: the rule is about the whole batch
    condition: tuple[str, ...]  # the columns of row_condition
    on_fail: str
    max_failed_ratio: float | None
    reason: str
    line: int

    @property
    def column(self) -> str:
        """The column that the rule is reported under; '' for the whole batch."""
        return self.columns[0] if self.columns else ""

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The columns whose values decide whether a row fails the rule."""
        return (*self.columns, *self.condition)

    def __str__(self) -> str:
        return f"{self.name} of {' and '.join(self.columns)}" if self.columns else self.name


@dataclass(frozen=True, slots=True)
class Suite:
    """The rules of one resource, in the file's order."""

    resource: str
    path: Path
    small_batch: int
    volume: Volume | None
    rules: tuple[Rule, ...]
    types: Mapping[str, str]  # column -> its type in the mapping
    zone: ZoneInfo
    today: date | None = None
    chosen: bool = False  # the run is about selected records, so shares do not apply

    @property
    def days(self) -> dict[str, date]:
        """The days that a rule may name as a parameter, in the practice's time zone."""
        today = self.today or datetime.now(self.zone).date()
        return {"today": today, "tomorrow": today + timedelta(days=1)}

    def stops(self, rule: Rule, new: int, rows: int) -> bool:
        """Return True if this number of newly failing rows stops the batch."""
        if rule.max_failed_ratio is None or self.chosen:
            return False
        judged = rule.on_fail == STOP or rows >= self.small_batch
        return judged and new > rule.max_failed_ratio * rows

    def refuses(self, rule: Rule) -> bool:
        """Return True if a row that fails the rule is rejected.

        In a run about selected records a row that would stop the batch is rejected alone.
        """
        return rule.on_fail == REJECT or (self.chosen and rule.on_fail == STOP)


def suite_path(resource: str, own: Path | None = None) -> Path:
    """Return the file of a resource's suite, in the folder `quality` beside that of the mappings.

    `own` is a practice's folder; a file there replaces the general one.
    """
    if own is not None and (own / f"{resource}.yaml").is_file():
        return own / f"{resource}.yaml"
    found = project_files.file_of("quality", f"{resource}.yaml")
    return found or mappings_folder().parent / "quality" / f"{resource}.yaml"


def suite_of(resource: str, mapping: ResourceMapping, own: Path | None = None) -> Suite:
    """Return a resource's suite, checked against its mapping; `own` is a practice's folder.  Raises MappingError."""
    return load_suite(suite_path(resource, own), {each.name: each.type for each in mapping.pulled}, mapping.time_zone)


def of_chosen(suite: Suite) -> Suite:
    """Return the suite for a run about selected records: a replay of rejects, or ids from the form.

    Shares do not apply there, and a bad record does not stop the others.
    """
    return replace(suite, chosen=True)


def load_suite(path: Path, types: Mapping[str, str], zone: str | None = None, today: date | None = None) -> Suite:
    """Read a suite, and check it against the catalogue of expectations and the types of a mapping's columns.

    Raises MappingError with file, line and column of every mistake.
    """
    contents = path.read_bytes() if path.is_file() else b""
    return _load(path, contents, tuple(types.items()), ZoneInfo(zone or "UTC"), today)


@lru_cache(maxsize=64)
def _load(
    path: Path, _contents: bytes, columns: tuple[tuple[str, str], ...], zone: ZoneInfo, today: date | None
) -> Suite:
    """Load a suite. It is cached by the file's contents, because `begin` and every `check` load it."""
    file, types = YamlFile(path, as_value), dict(columns)
    found = file.read(SuiteFile)
    rules = _rules(file, types)
    if found is not None and found.resource != path.stem:
        file.wrong(("resource",), f"{found.resource!r} is not the resource of this file; use {path.stem!r}")
    if file.problems or found is None:
        mistakes = "\n".join(file.problems)
        raise MappingError(f"{path.name} has mistakes:\n{mistakes}\n", next_step="fix the lines named above.")
    return Suite(
        resource=found.resource,
        path=path,
        small_batch=found.small_batch,
        volume=found.volume,
        rules=rules,
        types=types,
        zone=zone,
        today=today,
    )


def _rules(file: YamlFile, types: Mapping[str, str]) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    names: Counter[tuple[str, str]] = Counter()
    for place in file.places(("expectations",)):
        each = file.read(Expectation, place)
        rule = _rule(file, place, each, types) if each else None
        if rule is not None:
            if any(rule.type == other.type and rule.kwargs == other.kwargs for other in rules):
                file.wrong(place, f"the same expectation is in the list above: {rule}")
            names[rule.type, rule.column] += 1
            again = names[rule.type, rule.column]
            rules.append(replace(rule, name=f"{rule.type} ({again})") if again > 1 else rule)
    return tuple(rules)


def _rule(file: YamlFile, place: Place, each: Expectation, types: Mapping[str, str]) -> Rule | None:
    known = catalogue().get(each.type)
    if known is None:
        file.wrong((*place, "type"), f"{each.type!r} is not an expectation; {did_you_mean(each.type, catalogue())}")
        return None

    def wrong(below: tuple[str | int, ...], problem: str, *, key: bool = False, offset: int = 0) -> None:
        file.wrong((*place, "kwargs", *below), problem, key=key, offset=offset)

    before = len(file.problems)
    check_kwargs(each.kwargs, known, types, wrong)
    if known.scope is Scope.BATCH and each.meta.on_fail == REJECT:
        file.wrong((*place, "meta", "on_fail"), "this expectation names no rows to reject; use 'warn' or 'stop'")
    if len(file.problems) > before:
        return None
    columns = [each.kwargs[name] for name in known.columns]
    ratio = each.meta.max_failed_ratio
    return Rule(
        name=each.type,
        type=each.type,
        kwargs=each.kwargs,
        scope=known.scope,
        columns=tuple(name for one in columns for name in (one if isinstance(one, list) else [one])),
        condition=tuple(sorted(condition_columns(each.kwargs.get("row_condition")))),
        on_fail=each.meta.on_fail,
        max_failed_ratio=0.0 if ratio is None and each.meta.on_fail == STOP else ratio,
        reason=each.meta.reason,
        line=file.line(place),
    )
