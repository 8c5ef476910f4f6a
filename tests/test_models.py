"""The numbers of a run: they add up, or nothing is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecw.errors import CountMismatch
from ecw.models import Numbers

counts = st.integers(min_value=0, max_value=10**6)
proved = st.tuples(counts, counts, counts, counts).map(lambda four: Numbers(sum(four), *four))


@given(proved, proved)
def test_proved_numbers_stay_proved_when_added(one: Numbers, other: Numbers) -> None:
    assert (one + other).proved().fetched == one.fetched + other.fetched


@given(proved, st.integers(min_value=1, max_value=1000))
def test_a_record_that_went_missing_is_an_error(numbers: Numbers, missing: int) -> None:
    short = numbers + Numbers(fetched=missing)
    with pytest.raises(CountMismatch, match=f"fetched {short.fetched}"):
        short.proved()


def test_numbers_read_as_a_sentence() -> None:
    assert str(Numbers(5, 1, 2, 1, 1)) == "fetched 5, rejected 1, inserted 2, updated 1, unchanged 1"
