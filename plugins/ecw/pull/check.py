"""Decide which rows may enter the CRM."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date
from itertools import islice
from typing import Any

from ecw.errors import QualityStop
from ecw.pull import staging, store
from ecw.pull.copies import Copies
from ecw.pull.suite import REJECT, STOP, Rule, Suite
from ecw.words import Batch, Run

CHUNK = 10_000  # rows in memory at a time
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
Line = dict[str, Any]
log = logging.getLogger(__name__)


def check(run: Run, batch: Batch, suite: Suite, *, before: int | None = None) -> Batch:
    """Stage the rows that may enter, and the rejects with rule and column.

    `before` is how many records the last run fetched. Raises QualityStop, and then nothing of the batch may enter;
    MappingWrong where a rule does not fit its column.
    """
    name, started = batch["resource"], time.monotonic()
    _volume(suite, batch["fetched"], before)
    path, rejects = (store.join(run["staging"], name, f"{step}.ndjson.gz") for step in ("check", "check-rejects"))
    source = store.join(run["staging"], name, "extract.ndjson.gz")
    broken: Counter[int] = Counter()
    rejected = 0
    with staging.writer(path) as passed, staging.writer(rejects) as refused:
        if batch["count"] and suite.rules:
            for line, numbers in _judged(suite, batch["path"]):
                broken.update(numbers)
                refusing = [suite.rules[number] for number in numbers if suite.rules[number].otherwise == REJECT]
                for rule in refusing:
                    refused.write(_reject(line, rule, source))
                rejected += bool(refusing)
                if not refusing:
                    passed.write(line)
        else:
            for line in staging.read(batch["path"]):
                passed.write(line)
        _tell(suite, broken, batch["count"])
    if rejected:
        log.warning("%s: %d of %d rows may not enter.", name, rejected, batch["count"])
    staged: Batch = {
        **batch,
        "path": path,
        "count": passed.count,
        "rejected": batch["rejected"] + rejected,
        "rejects": [*batch["rejects"], rejects] if rejected else batch["rejects"],
        "seconds": round(batch["seconds"] + time.monotonic() - started, 3),
    }
    return staged


def _judged(suite: Suite, path: str) -> Iterator[tuple[Line, list[int]]]:
    """Yield every line with the numbers of the rules that it breaks."""
    # Imported here, and only where there are rows: it costs 8 s of CPU.
    from ecw.pull.expectations import judge

    broken_by = judge(suite)
    copies = _counted(suite, path)
    try:
        lines = staging.read(path)
        while chunk := list(islice(lines, CHUNK)):
            columns = [
                [_value(rule, number, line["row"], copies) for line in chunk] for number, rule in enumerate(suite.rules)
            ]
            found: list[list[int]] = [[] for _ in chunk]
            for number, rows in broken_by(columns).items():
                for row in rows:
                    found[row].append(number)
            yield from zip(chunk, found, strict=True)
    finally:
        copies.close()


def _counted(suite: Suite, path: str) -> Copies:
    """Count the values that must be unique over the whole batch, which a chunk cannot know."""
    copies = Copies()
    unique = [(number, rule) for number, rule in enumerate(suite.rules) if rule.check == "unique"]
    for line in staging.read(path) if unique else ():
        for number, rule in unique:
            copies.add(number, _first(rule, line["row"]))
    return copies


def _value(rule: Rule, number: int, row: dict[str, Any], copies: Copies) -> Any:
    """Return what the rule looks at, in the one type that its check compares."""
    value = _first(rule, row)
    if rule.check == "unique":
        return copies.times(number, value)
    if value is None:
        return None
    match rule.check:
        case "pattern" | "length" | "in":
            return str(value)
        case "range" if isinstance(value, int):
            return float(value)
        case "date" if isinstance(value, str) and DAY.match(value):
            return date.fromisoformat(value[:10]).toordinal()
    return value


def _first(rule: Rule, row: dict[str, Any]) -> Any:
    return next((row[column] for column in rule.columns if row.get(column) is not None), None)


def _reject(line: Line, rule: Rule, source: str) -> Line:
    return {
        "ecw_id": line["ecw_id"],
        "step": "check",
        "rule": rule.check,
        "column": rule.column,
        "reason": reason(rule),
        "hash": line["hash"],
        "version": line["version"],
        "batch": source,
    }


def reason(rule: Rule) -> str:
    """Say in words why a row breaks a rule, without the value."""
    columns, value = " and ".join(rule.columns), rule.value
    match rule.check:
        case "not_null":
            said = f"{columns}: no value"
        case "unique":
            said = f"{columns}: another record of the batch has the same value"
        case "in":
            said = f"{columns}: not one of {', '.join(value)}"
        case "pattern":
            said = f"{columns}: does not match {value}"
        case _:
            said = f"{columns}: {rule.check} is not {', '.join(f'{word} {bound}' for word, bound in value.items())}"
    return f"{said}; {rule.why}" if rule.why else said


def _volume(suite: Suite, fetched: int, before: int | None) -> None:
    volume = suite.volume
    if volume is None or not before or fetched >= volume.at_least * before:
        return
    said = f"{suite.resource}: eCW gave {fetched} records, the last run fetched {before}"
    if volume.otherwise == STOP:
        raise QualityStop(
            f"{said}; at least {volume.at_least:.0%} must come again.",
            next_move="look into eCW whether the records are gone. If they are, set volume.at_least in "
            f"{suite.path.name} lower and clear the resource's check task; if not, clear its extract task.",
        )
    log.warning("%s.", said)


def _tell(suite: Suite, broken: Counter[int], rows: int) -> None:
    """Log every broken rule; stop where the suite says so."""
    stops = []
    for number, times in sorted(broken.items()):
        rule = suite.rules[number]
        log.warning("%s: %d of %d rows break the rule %s (%s).", suite.resource, times, rows, rule, rule.otherwise)
        judged = rule.otherwise == STOP or rows >= suite.small_batch
        if rule.stop_above is not None and judged and times > rule.stop_above * rows:
            stops.append(f"{times} of {rows} rows break the rule {rule} (allowed: {rule.stop_above:.0%})")
    if stops:
        raise QualityStop(
            f"{suite.resource}: nothing of this batch enters: {'; '.join(stops)}.",
            next_move="look at such records in eCW. Mend them there, or the mapping, or the rule in "
            f"{suite.path.name}; then clear the resource's tasks.",
        )
