"""Every reason why a patient is held has one message and a resolution."""

from __future__ import annotations

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from ecw.identity.compare import Verdict, compare
from ecw.identity.guard import mismatch
from ecw.identity.held import Held, reason_of
from ecw.identity.person import Person
from tests.fixtures.examples import examples


def test_a_reason_is_recognised_by_its_message_and_has_a_resolution() -> None:
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
def test_a_comparison_that_holds_a_patient_always_gives_a_known_reason(
    crm_record: dict[str, object], ecw_record: dict[str, object]
) -> None:
    crm, emr = Person.of(crm_record), Person.of(ecw_record)
    comparison = compare(crm, emr)
    if comparison.verdict == Verdict.MAYBE:
        assert reason_of(comparison.why).resolution
    if (why := mismatch(crm, emr)) is not None:
        assert reason_of(why).resolution
