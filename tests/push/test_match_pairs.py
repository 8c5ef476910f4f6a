"""Labelled pairs: a certain match is the same person, and the same person is never created a second time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from ecw.identity.compare import Verdict, compare
from ecw.identity.person import Person
from ecw.push.rules.match import Match, MatchQuery, PatientMatcher
from tests.fixtures.pairs import DIFFERENT, SAME, Pair, pairs


def accounts(pair: Pair) -> list[str]:
    """Return the account numbers that eCW gave the CRM's patient."""
    return [each["value"] for each in pair.crm["identifier"] if each["use"] == "secondary"]


@pytest.mark.parametrize("kind", SAME)
def test_the_same_person_is_never_judged_different(kind: str) -> None:
    labelled = [each for each in pairs(40) if each.kind == kind]
    verdicts = Counter(compare(Person.of(each.crm), Person.of(each.emr)).verdict for each in labelled)
    assert (len(labelled), verdicts[Verdict.DIFFERENT]) == (40, 0)


@pytest.mark.parametrize("kind", DIFFERENT)
def test_another_person_is_never_a_certain_match(kind: str) -> None:
    labelled = [each for each in pairs(40) if each.kind == kind]
    persons = [(Person.of(each.crm).knowing((), accounts(each)), Person.of(each.emr)) for each in labelled]
    assert len(persons) == 40
    assert all(
        compare(*both).verdict != Verdict.SAME and compare(*both[::-1]).verdict != Verdict.SAME for both in persons
    )


@pytest.mark.timeout(600)
def test_the_searches_find_every_same_person_and_match_no_other(sandbox: Any, connect: Any) -> None:
    labelled = list(pairs(2))
    for each in labelled:
        sandbox.put(each.emr)
    matcher = PatientMatcher(connect(sandbox), lambda ids: set())
    wrong, doubled, certain = [], [], Counter[str]()
    for each in labelled:
        found = matcher.find(MatchQuery.of(each.crm, (), accounts(each)))
        if isinstance(found, Match):
            certain[each.kind] += 1
            if not each.same or found.ecw_id != each.emr["id"]:
                wrong.append(each.kind)
        elif each.same and (found is None or each.emr["id"] not in found.candidates):
            doubled.append(each.kind)
    assert (wrong, doubled) == ([], [])
    assert {"the same spelling", "capitals", "a hyphen or a blank", "two given names in one field"} <= certain.keys()
