"""Decide which rows may enter the CRM."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ecw.crm.state.quality_results import PASS, WARN, Finding, Judged, Usual
from ecw.errors import QualityGateFailed
from ecw.models import Batch, Run
from ecw.quality import volume
from ecw.quality.compared_values import Linked, Looking
from ecw.quality.messages import demand, reason
from ecw.quality.suite import REJECT, STOP, Rule, Suite
from ecw.staging import batch_file, filesystem

CHUNK = 10_000  # rows in memory at a time
Line = dict[str, Any]
Report = Callable[[Sequence[Finding]], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Before:
    """What earlier runs have found out: about records, asked by their ids, and by which rules rows were judged."""

    judged: Callable[[Collection[str]], Mapping[str, Judged]] = lambda _: {}
    rules: Collection[tuple[str, str, str, float | None]] = ()

    def knew(self, rule: Rule, line: Line, earlier: Judged | None) -> bool:
        """Return True if an earlier run knew that this record, as it is, breaks the rule.

        It is in quarantine for it; or it entered all the same, judged by this rule, with what the rule looks at.
        """
        if earlier is None:
            return False
        if line["hash"] and earlier.rejected.get((rule.check, rule.column)) == line["hash"]:
            return True
        if earlier.entered != line["hash"] or rule.stop_above == 0:
            return False
        judged = (rule.check, _columns(rule), rule.otherwise, rule.stop_above) in self.rules
        return judged and all(earlier.values.get(name) == line["row"].get(name) for name in rule.looks_at)


NOTHING_BEFORE = Before()


def check(
    run: Run,
    batch: Batch,
    suite: Suite,
    *,
    usual: Usual,
    linked: Linked,
    report: Report,
    before: Before = NOTHING_BEFORE,
) -> Batch:
    """Stage the rows that may enter, and the rejects with rule and column; report what each rule found.

    A share is taken of everything that the run looked at, the unchanged included, and records that were known to break
    the rule, and did not change, stop nothing.

    Raises QualityGateFailed, and then nothing of the batch may enter (what was found is reported all the same);
    MappingError where a rule does not fit its column.
    """
    name, started = batch["resource"], time.monotonic()
    found = volume.judge(suite, batch["fetched"] - batch.get("deleted_at_source", 0), usual)
    if found.verdict == STOP:
        report([found])
    elif found.verdict == WARN:
        log.warning("%s.", volume.said(suite, found))
    volume.require(suite, found)
    path, rejects = (filesystem.join(run["staging"], name, f"{step}.ndjson.gz") for step in ("check", "check-rejects"))
    source = filesystem.join(run["staging"], name, "extract.ndjson.gz")
    broken: Counter[int] = Counter()
    broken_new: Counter[int] = Counter()
    rejected = 0
    with batch_file.writer(path) as passed, batch_file.writer(rejects) as refused:
        if batch["count"] and suite.rules:
            for line, numbers, new in _judged(suite, batch["path"], linked, before):
                broken.update(numbers)
                broken_new.update(new)
                refusing = [suite.rules[number] for number in numbers if suite.refuses(suite.rules[number])]
                for rule in refusing:
                    refused.write(_reject(line, rule, source))
                rejected += bool(refusing)
                if not refusing:
                    passed.write(line)
        else:
            for line in batch_file.read(batch["path"]):
                passed.write(line)
        findings = _findings(suite, broken, broken_new, batch)
        report([found, *findings])
        _tell(suite, findings)
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


def _judged(suite: Suite, path: str, linked: Linked, before: Before) -> Iterator[tuple[Line, list[int], list[int]]]:
    """Yield every line with the numbers of the rules that it breaks, and of those the new ones."""
    # Imported here, and only where there are rows: it costs seconds of CPU.
    from ecw.quality.gx_runner import judge

    broken_by = judge(suite)
    looking = Looking(suite, linked)
    try:
        looking.count(line["row"] for line in batch_file.read(path))
        lines = batch_file.read(path)
        while chunk := list(islice(lines, CHUNK)):
            columns = looking.columns([line["row"] for line in chunk])
            found: list[list[int]] = [[] for _ in chunk]
            for number, rows in broken_by(columns).items():
                for row in rows:
                    found[row].append(number)
            earlier = before.judged([line["ecw_id"] for line, numbers in zip(chunk, found, strict=True) if numbers])
            for line, numbers in zip(chunk, found, strict=True):
                its = earlier.get(line["ecw_id"])
                yield line, numbers, [number for number in numbers if not before.knew(suite.rules[number], line, its)]
    finally:
        looking.close()


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


def _findings(suite: Suite, broken: Counter[int], new: Counter[int], batch: Batch) -> list[Finding]:
    """Return what each rule found; nothing where there was no row to judge."""
    rows = batch["count"] + batch["unchanged"]
    return [
        Finding(
            rule=rule.check,
            column=_columns(rule),
            demand=demand(rule),
            otherwise=rule.otherwise,
            stop_above=rule.stop_above,
            why=rule.why,
            rows=rows,
            broken=broken[number],
            broken_new=new[number],
            verdict=_verdict(suite, rule, broken[number], new[number], rows),
        )
        for number, rule in enumerate(suite.rules if batch["count"] else ())
    ]


def _columns(rule: Rule) -> str:
    return " or ".join(rule.columns)


def _verdict(suite: Suite, rule: Rule, broken: int, new: int, rows: int) -> str:
    if not broken:
        return PASS
    if suite.stops(rule, new, rows):
        return STOP
    if rule.otherwise == STOP:
        return REJECT if suite.refuses(rule) else WARN
    return rule.otherwise


def _tell(suite: Suite, findings: Sequence[Finding]) -> None:
    """Log every broken rule; stop where the suite says so."""
    stops = []
    for one in findings:
        if one.broken:
            known = "" if one.broken == one.broken_new else f", {one.broken_new} of them new"
            told = f"{one.broken} of {one.rows} rows break the rule {one.rule} of {one.column}{known}"
            log.warning("%s: %s (%s).", suite.resource, told, one.verdict)
            if one.verdict == STOP:
                stops.append(f"{told} (allowed: {one.stop_above:.0%})")
    if stops:
        raise QualityGateFailed(
            f"{suite.resource}: nothing of this batch enters: {'; '.join(stops)}.",
            next_move="look at such records in eCW. Fix them there, or the mapping, or the rule in "
            f"{suite.path.name}; then clear the resource's tasks.",
        )
