"""Decide which rows may enter the CRM."""

from __future__ import annotations

import logging
import time
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from ecw.crm.state.quality_results import PASS, WARN, Finding, Judged, Usual
from ecw.errors import QualityGateFailed
from ecw.models import Batch, Run, passed_on
from ecw.quality import volume
from ecw.quality.messages import demand, reason
from ecw.quality.suite import REJECT, STOP, Rule, Suite
from ecw.staging import batch_file, filesystem

if TYPE_CHECKING:
    from ecw.quality.gx_expectations import Linked

CHUNK = 50_000  # rows that Great Expectations looks at at a time: each time costs it a quarter of a second
ASKED_AT_ONCE = 10_000  # rows in memory while they are staged
Line = dict[str, Any]
Report = Callable[[Sequence[Finding]], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Before:
    """What earlier runs have found out: how many records there are usually, about records, asked by their ids, and by
    which rules rows were judged.
    """

    usual: Usual = Usual(None)  # noqa: RUF009 - it is frozen
    judged: Callable[[Collection[str]], Mapping[str, Judged]] = lambda _: {}
    rules: Collection[tuple[str, str, str, float | None]] = ()

    def knew(self, rule: Rule, line: Line, earlier: Judged | None) -> bool:
        """Return True if an earlier run knew that this record, as it is, fails the rule.

        It is in quarantine for it; or it entered all the same, judged by this rule, with what the rule looks at.
        """
        if earlier is None:
            return False
        if line["hash"] and earlier.rejected.get((rule.name, rule.column)) == line["hash"]:
            return True
        if earlier.entered != line["hash"] or rule.max_failed_ratio == 0:
            return False
        judged = (rule.name, _columns(rule), rule.on_fail, rule.max_failed_ratio) in self.rules
        return judged and all(earlier.values.get(name) == line["row"].get(name) for name in rule.looks_at)


@dataclass(slots=True)
class Failures:
    """How many rows fail each rule, by its number, and how many of them no earlier run knew."""

    all: Counter[int] = field(default_factory=Counter)
    new: Counter[int] = field(default_factory=Counter)


NOTHING_BEFORE = Before()


def check_batch(
    run: Run,
    batch: Batch,
    suite: Suite,
    *,
    linked: Linked,
    report: Report,
    before: Before = NOTHING_BEFORE,
) -> Batch:
    """Stage the rows that may enter, and the rejects with rule and column; report what each rule found.

    A share is taken of everything that the run covered, the unchanged included, and records that were known to fail
    the rule, and did not change, stop nothing.

    Raises QualityGateFailed, and then nothing of the batch may enter (what was found is reported all the same);
    MappingError where a rule does not fit its column.
    """
    name, started = batch["resource"], time.monotonic()
    found = _judge_volume(suite, batch, before, report)
    path, rejects = (filesystem.join(run["staging"], name, f"{step}.ndjson.gz") for step in ("check", "check-rejects"))
    source = filesystem.join(run["staging"], name, "extract.ndjson.gz")
    failures, rejected = Failures(), 0
    with batch_file.writer(path) as passed, batch_file.writer(rejects) as refused:
        for text, line, refusing in _judged(suite, batch, linked, before, failures):
            if line is None or not refusing:
                passed.write_line(text)
                continue
            rejected += 1
            for rule in refusing:
                refused.write(_reject(line, rule, source))
        findings = _findings(suite, failures, batch)
        report([found, *findings])
        _log_and_stop(suite, findings)
    if rejected:
        log.warning("%s: %d of %d rows may not enter.", name, rejected, batch["count"])
    return passed_on(batch, path, passed.count, rejects, rejected, time.monotonic() - started)


def _judge_volume(suite: Suite, batch: Batch, before: Before, report: Report) -> Finding:
    """Compare how many records there are with the usual; report and raise QualityGateFailed where they are too few."""
    found = volume.judge(suite, batch["fetched"] - batch.get("deleted_at_source", 0), before.usual)
    if found.verdict == STOP:
        report([found])
    elif found.verdict == WARN:
        log.warning("%s.", volume.said(suite, found))
    volume.require(suite, found)
    return found


def _failing(suite: Suite, batch: Batch, linked: Linked, failures: Failures) -> dict[int, list[Sequence[int]]]:
    """Return, for each rule by its number, the places in the batch of the rows that fail it, a list a chunk."""
    # Imported here, and only where there are rows: it costs seconds of CPU.
    from ecw.quality.gx_runner import compiled, judge

    parts = compiled(suite)
    found: dict[int, list[Sequence[int]]] = {}
    whole: list[tuple[Any, ...]] = []
    lines, start = batch_file.read(batch["path"]), 0
    while True:
        rows: list[tuple[Any, ...]] = []
        for line in islice(lines, CHUNK):
            value = line["row"].get
            rows.append(tuple(map(value, parts.row.names)))
            if parts.batch.names:
                whole.append(tuple(map(value, parts.batch.names)))
        if not rows:
            break
        for number, places in judge(suite, parts.row, rows, linked).items():
            found.setdefault(number, []).append(array("L", [start + place for place in places or ()]))
        start += len(rows)
    for number, places in judge(suite, parts.batch, whole or [()] * start, linked).items():
        if places is None:
            failures.all[number] = failures.new[number] = batch["count"]
        found[number] = [array("L", places or ())]
    return found


def _judged(
    suite: Suite, batch: Batch, linked: Linked, before: Before, failures: Failures
) -> Iterator[tuple[bytes, Line | None, Sequence[Rule]]]:
    """Yield every line, and of those that fail rules also what it says and the rules that refuse it; count failures."""
    by_place: dict[int, list[int]] = {}
    if batch["count"] and suite.rules:
        for number, chunks in _failing(suite, batch, linked, failures).items():
            for place in chain.from_iterable(chunks):
                by_place.setdefault(place, []).append(number)
    if not by_place:
        yield from ((text, None, ()) for text in batch_file.read_lines(batch["path"]))
        return
    lines = enumerate(batch_file.read_lines(batch["path"]))
    while chunk := list(islice(lines, ASKED_AT_ONCE)):
        failed = {place: batch_file.parsed(line) for place, line in chunk if place in by_place}
        earlier = before.judged([line["ecw_id"] for line in failed.values()])
        for place, text in chunk:
            line = failed.get(place)
            if line is None:
                yield text, None, ()
                continue
            numbers, its = sorted(by_place.pop(place)), earlier.get(line["ecw_id"])
            failures.all.update(numbers)
            failures.new.update(number for number in numbers if not before.knew(suite.rules[number], line, its))
            yield text, line, [suite.rules[number] for number in numbers if suite.refuses(suite.rules[number])]


def _reject(line: Line, rule: Rule, source: str) -> Line:
    return {
        "ecw_id": line["ecw_id"],
        "step": "check",
        "rule": rule.name,
        "column": rule.column,
        "reason": reason(rule),
        "hash": line["hash"],
        "version": line["version"],
        "batch": source,
    }


def _findings(suite: Suite, failures: Failures, batch: Batch) -> list[Finding]:
    """Return what each rule found; nothing where there was no row to judge."""
    rows = batch["count"] + batch["unchanged"]
    return [
        Finding(
            rule=rule.name,
            column=_columns(rule),
            demand=demand(rule),
            on_fail=rule.on_fail,
            max_failed_ratio=rule.max_failed_ratio,
            reason=rule.reason,
            rows=rows,
            broken=failures.all[number],
            broken_new=failures.new[number],
            verdict=_verdict(suite, rule, failures.all[number], failures.new[number], rows),
        )
        for number, rule in enumerate(suite.rules if batch["count"] else ())
    ]


def _columns(rule: Rule) -> str:
    return " and ".join(rule.columns)


def _verdict(suite: Suite, rule: Rule, broken: int, new: int, rows: int) -> str:
    if not broken:
        return PASS
    if suite.stops(rule, new, rows):
        return STOP
    if rule.on_fail == STOP:
        return REJECT if suite.refuses(rule) and rule.columns else WARN
    return rule.on_fail


def _log_and_stop(suite: Suite, findings: Sequence[Finding]) -> None:
    """Log every broken rule; stop where the suite says so."""
    stops = []
    for one in findings:
        if one.broken:
            known = "" if one.broken == one.broken_new else f", {one.broken_new} of them new"
            where = f" of {one.column}" if one.column else ""
            finding = f"{one.broken} of {one.rows} rows break the rule {one.rule}{where}{known}"
            log.warning("%s: %s (%s).", suite.resource, finding, one.verdict)
            if one.verdict == STOP:
                stops.append(f"{finding} (allowed: {one.max_failed_ratio:.0%})")
    if stops:
        raise QualityGateFailed(
            f"{suite.resource}: nothing of this batch enters: {'; '.join(stops)}.",
            next_step="look at such records in eCW. Fix them there, or the mapping, or the rule in "
            f"{suite.path.name}; then clear the resource's tasks.",
        )
