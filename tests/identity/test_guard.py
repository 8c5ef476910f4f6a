"""What the project's rules say of a person who changed: a correction, a life event, or somebody else."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.identity.guard import is_still
from ecw.identity.held import Held, reason_of
from ecw.identity.names import Relation, given_relation
from ecw.identity.person import Person


def person(**elements: Any) -> Person:
    return Person.of({"resourceType": "Patient", "id": "p", **elements})


def test_a_record_that_identified_nobody_may_become_anybody() -> None:
    assert is_still(person(), person(name=[{"family": "Kowalczyk", "given": ["Ewa"]}], birthDate="1980-01-02"))
    assert is_still(person(name=[{"family": "Kowalczyk"}]), person(birthDate="1980-01-02"))


def test_a_name_element_without_words_does_not_count() -> None:
    assert person(name=[{"text": "Ewa"}, {"family": "Kowalczyk", "given": [7]}]).name.family


@pytest.mark.parametrize(("one", "other", "near"), [("E", "Ewa", True), ("Ewa", "E", True), ("O", "Ewa", False)])
def test_an_initial_is_near_to_the_names_that_begin_with_it(one: str, other: str, near: bool) -> None:
    mine, yours = (person(name=[{"family": "K", "given": [given]}]).name for given in (one, other))
    assert (given_relation(mine, yours) > Relation.UNRELATED) is near


def test_an_unknown_message_has_no_reason() -> None:
    assert reason_of(str(Held.SIBLING)) is Held.SIBLING
    with pytest.raises(ValueError, match="No reason has this message"):
        reason_of("eCW is closed today")
