"""Check a batch against its quality suite: decide which rows may be loaded."""

from __future__ import annotations

import logging
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from ecw.crm.db.enums import RejectStep
from ecw.crm.state.quality_results import PASS, WARN, Finding, Judged, Usual
from ecw.errors import QualityGateFailed
from ecw.models import Batch, Run, passed_on
from ecw.quality import volume
from ecw.quality.messages import demand, reason
from ecw.quality.suite import REJECT, STOP, Rule, Suite
from ecw.staging import batch_file, filesystem

if TYPE_CHECKING:
    from ecw.quality.gx_expectations import Linked

CHUNK = 50_000  # rows per validation: each validation costs Great Expectations a quarter of a second
ROWS_IN_MEMORY = 10_000  # while they are staged
FAILED = "check-failed.ndjson.gz"  # in the resource's folder: the ids of the rows that stopped the last check
Line = dict[str, Any]
Report = Callable[[Sequence[Finding]], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Before:
    """The results of earlier runs.

    `usual` is the usual number of records. `judged` returns the earlier results for records by eCW id. `rules` are the
    rules that loaded rows were checked by.
    """

    usual: Usual = Usual(None)  # noqa: RUF009 - it is frozen
    judged: Callable[[Collection[str]], Mapping[str, Judged]] = lambda _: {}
    rules: Collection[tuple[str, str, str, float | None]] = ()

    def knew(self, rule: Rule, line: Line, earlier: Judged | None) -> bool:
        """Return True if an earlier run found that this record fails the rule, and the record has not changed since.

        Then it is in quarantine for the rule; or it was checked by the rule and loaded with a warning, with the same
        values in the rule's columns.
        """
        if earlier is None:
            return False
        if line["hash"] and earlier.rejected.get((rule.name, rule.column)) == line["hash"]:
            return True
        if earlier.entered != line["hash"] or rule.max_failed_ratio == 0:
            return False
        judged = (rule.name, _columns(rule), rule.on_fail, rule.max_failed_ratio) in self.rules
        return judged and all(earlier.values.get(name) == line["row"].get(name) for name in rule.columns_read)


@dataclass(slots=True)
class Failures:
    """How many rows fail each rule, by the rule's number, and how many of them no earlier run found.

    `ids` are the eCW ids of the rows that fail a rule which can stop the batch, by the rule's number and whether they
    are new.
    """

    all: Counter[int] = field(default_factory=Counter)
    new: Counter[int] = field(default_factory=Counter)
    ids: dict[tuple[int, bool], list[str]] = field(default_factory=lambda: defaultdict(list))


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
    """Stage the rows that may be loaded, and the rejects with rule and column; report the result of each rule.

    A share refers to all records that the run covered, including the unchanged ones. Unchanged records that an earlier
    run found failing the rule do not count for a stop.

    Raises QualityGateFailed if nothing of the batch may be loaded (the results are reported nevertheless, and the ids
    of the rows that stop it are in the file FAILED until the next check), and MappingError if a rule cannot be applied
    to its column.
    """
    name, started = batch["resource"], time.monotonic()
    failed = _no_failed_file(run, name)
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
        if any(one.verdict == STOP for one in findings):
            _write_failed(failed, suite, findings, failures)
        _log_and_stop(suite, findings, run)
    if rejected:
        log.warning("%s: %d of %d rows are rejected.", name, rejected, batch["count"])
    return passed_on(batch, path, passed.count, rejects, rejected, time.monotonic() - started)


def _no_failed_file(run: Run, resource: str) -> str:
    """Return the path of the file FAILED, after an earlier attempt's file is invalidated."""
    path = filesystem.join(run["staging"], resource, FAILED)
    filesystem.remove(batch_file.manifest_path(path))
    return path


def _judge_volume(suite: Suite, batch: Batch, before: Before, report: Report) -> Finding:
    """Compare the number of records with the usual one; report it, and raise QualityGateFailed if it is too low."""
    found = volume.judge(suite, batch["fetched"] - batch.get("deleted_at_source", 0), before.usual)
    if found.verdict == STOP:
        report([found])
    elif found.verdict == WARN:
        log.warning("%s.", volume.message(suite, found))
    volume.require(suite, found)
    return found


def _failing(suite: Suite, batch: Batch, linked: Linked, failures: Failures) -> dict[int, list[Sequence[int]]]:
    """Return, by the rule's number, the places in the batch of the rows that fail the rule, one list for each chunk."""
    # Imported here, and only if there are rows: the import costs seconds of CPU.
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
    """Yield every line, its parsed record and the rules that reject it; count the failures.

    A line that fails no rule is not parsed: its record is None.
    """
    by_place: dict[int, list[int]] = {}
    if batch["count"] and suite.rules:
        for number, chunks in _failing(suite, batch, linked, failures).items():
            for place in chain.from_iterable(chunks):
                by_place.setdefault(place, []).append(number)
    if not by_place:
        yield from ((text, None, ()) for text in batch_file.read_lines(batch["path"]))
        return
    lines = enumerate(batch_file.read_lines(batch["path"]))
    while chunk := list(islice(lines, ROWS_IN_MEMORY)):
        failed = {place: batch_file.parsed(line) for place, line in chunk if place in by_place}
        earlier = before.judged([line["ecw_id"] for line in failed.values()])
        for place, text in chunk:
            line = failed.get(place)
            if line is None:
                yield text, None, ()
                continue
            numbers, known = sorted(by_place.pop(place)), earlier.get(line["ecw_id"])
            failures.all.update(numbers)
            for number in numbers:
                is_new = not before.knew(suite.rules[number], line, known)
                failures.new[number] += is_new
                if suite.rules[number].max_failed_ratio is not None:
                    failures.ids[number, is_new].append(line["ecw_id"])
            yield text, line, [suite.rules[number] for number in numbers if suite.refuses(suite.rules[number])]


def _reject(line: Line, rule: Rule, source: str) -> Line:
    return {
        "ecw_id": line["ecw_id"],
        "step": RejectStep.CHECK,
        "rule": rule.name,
        "column": rule.column,
        "reason": reason(rule),
        "hash": line["hash"],
        "version": line["version"],
        "batch": source,
    }


def _findings(suite: Suite, failures: Failures, batch: Batch) -> list[Finding]:
    """Return the finding of each rule, none if the batch has no rows."""
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


def _write_failed(path: str, suite: Suite, findings: Sequence[Finding], failures: Failures) -> None:
    """Write the eCW ids of the rows that fail a stopping rule, the new ones first; a rule about the batch has none."""
    with batch_file.writer(path) as batch:
        for number, one in enumerate(findings):
            for is_new in (True, False) if one.verdict == STOP else ():
                for ecw_id in failures.ids[number, is_new]:
                    rule = suite.rules[number]
                    batch.write({"ecw_id": ecw_id, "rule": rule.name, "column": rule.column, "new": is_new})


def _log_and_stop(suite: Suite, findings: Sequence[Finding], run: Run) -> None:
    """Log every broken rule; raise QualityGateFailed if one stops the batch."""
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
            f"{suite.resource}: nothing of this batch is loaded: {'; '.join(stops)}.",
            next_step=f"find such records in eCW: `ecw quality ids {run['run_id']} {suite.resource}` shows their ids. "
            f"Fix them there, or the mapping, or the rule in {suite.path.name}; then clear the resource's tasks.",
        )
