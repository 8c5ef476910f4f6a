"""The counts of a run must add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecw.errors import CountMismatch
from ecw.models import Counts

counts = st.integers(min_value=0, max_value=10**6)
verified = st.tuples(counts, counts, counts, counts).map(lambda four: Counts(sum(four), *four))


@given(verified, verified)
def test_verified_counts_stay_verified_when_added(one: Counts, other: Counts) -> None:
    assert (one + other).verified().fetched == one.fetched + other.fetched


@given(verified, st.integers(min_value=1, max_value=1000))
def test_counts_that_do_not_add_up_are_an_error(numbers: Counts, missing: int) -> None:
    short = numbers + Counts(fetched=missing)
    with pytest.raises(CountMismatch, match=f"fetched {short.fetched}"):
        short.verified()


def test_numbers_read_as_a_sentence() -> None:
    assert str(Counts(5, 1, 2, 1, 1)) == "fetched 5, rejected 1, inserted 2, updated 1, unchanged 1"
