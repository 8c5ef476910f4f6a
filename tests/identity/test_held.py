"""Every reason why a patient is held has one message, and says what resolves it."""

from __future__ import annotations

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from ecw.identity.compare import Verdict, compare
from ecw.identity.guard import mismatch
from ecw.identity.held import Held, reason_of
from ecw.identity.person import Person
from tests.fixtures.examples import examples


def test_a_reason_is_known_by_its_message_and_has_a_resolution() -> None:
    assert len(Held) > 15
    for reason in Held:
        message = reason.of("the gender") if "{}" in reason else str(reason)
        assert reason_of(message) is reason
        assert "`ecw matches" in reason.resolution


names = st.sampled_from(["Eva", "Ewa", "Jan", "Maria", "Maria Luz", "Nowak", "Nowack", "Kowal", "Babyboy", ""])
persons = st.fixed_dictionaries(
    {
        "resourceType": st.just("Patient"),
        "name": st.tuples(names, names).map(lambda both: [{"family": both[0], "given": both[1].split()}]),
        "birthDate": st.sampled_from(["1980-01-02", "1980-02-01", "1980-01-03", "1999-09-09"]),
        "gender": st.sampled_from(["male", "female"]),
    },
    optional={
        "telecom": st.sampled_from(["2125550100", "2125550199"]).map(
            lambda phone: [{"system": "phone", "value": phone}]
        ),
        "identifier": st.sampled_from(string.digits[:2]).map(lambda value: [{"value": value}]),
    },
)


@given(persons, persons)
@settings(max_examples=examples(200))
def test_whoever_is_held_is_held_for_one_of_the_reasons(ours: dict[str, object], theirs: dict[str, object]) -> None:
    mine, yours = Person.of(ours), Person.of(theirs)
    found = compare(mine, yours)
    if found.verdict == Verdict.MAYBE:
        assert reason_of(found.why).resolution
    if (why := mismatch(mine, yours)) is not None:
        assert reason_of(why).resolution
