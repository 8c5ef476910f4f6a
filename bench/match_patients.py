"""Quality of the patient matching: labelled pairs, searched for in the sandbox with the searches of a push."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import requests

from bench.result import Result
from tests.fixtures.pairs import Pair, pairs

EACH = 10  # pairs of every kind


def results() -> list[Result]:
    """Store one of each pair in a practice, match the other, and print the results by kind."""
    from bench.extract import practice
    from bench.extracting import as_in_a_task
    from ecw.push.rules.match import PatientMatcher

    labelled = list(pairs(EACH))
    with practice(120) as sandbox:
        for each in labelled:
            address = f"{sandbox['admin_url']}/records/Patient/{each.emr['id']}"
            requests.put(address, json=each.emr, timeout=30).raise_for_status()
        client = as_in_a_task(sandbox)
        matcher = PatientMatcher(client, lambda ids: set())
        before = client.calls
        results_of = [(each, _result_of(matcher, each)) for each in labelled]
        calls = (client.calls - before) / len(labelled)
    _print(results_of)
    certain = [each.same and result == "certain" for each, result in results_of if result in ("certain", "another")]
    doubled = sum(each.same and result == "created" for each, result in results_of)
    same = sum(each.same for each in labelled)
    of = f"{same} pairs of one person, {len(labelled) - same} of two, {EACH} of a kind, by the searches of a push"
    return [
        _result("match_certain_precision", sum(certain) / len(certain), "share", 1.0, of),
        _result("match_same_person_created_anew", doubled, "pairs", None, of),
        _result("match_same_person_certain", sum(certain) / same, "share", None, f"{of}; the others are held"),
        _result("match_calls_per_patient", round(calls, 1), "calls", None, of),
    ]


def _result_of(matcher: Any, pair: Pair) -> str:
    from ecw.push.rules.match import Match, MatchQuery

    accounts = [each["value"] for each in pair.crm["identifier"] if each["use"] == "secondary"]
    found = matcher.find(MatchQuery.of(pair.crm, (), accounts))
    if found is None or pair.emr["id"] not in found.candidates:
        return "another" if isinstance(found, Match) else "created" if found is None else "held"
    return "certain" if isinstance(found, Match) else "held"


def _print(results_of: list[tuple[Pair, str]]) -> None:
    table: dict[tuple[bool, str], Counter[str]] = {}
    for pair, result in results_of:
        table.setdefault((pair.same, pair.kind), Counter())[result] += 1
    print(f"{'pairs of patients':56} {'certain':>8} {'held':>8} {'created':>8}", file=sys.stderr)
    for same, title in ((True, "one person, spelled differently"), (False, "two similar persons")):
        print(title, file=sys.stderr)
        for (one, kind), counts in table.items():
            if one == same:
                print(f"  {kind:54} {counts['certain']:>8} {counts['held']:>8} {counts['created']:>8}", file=sys.stderr)


def _result(name: str, value: float, unit: str, baseline: float | None, how: str) -> Result:
    ratio = None if baseline is None else round(value / baseline, 3)
    return Result(name=name, value=value, unit=unit, baseline=baseline, ratio=ratio, how=how)
