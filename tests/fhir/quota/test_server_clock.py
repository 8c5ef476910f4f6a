"""The server's minutes, learned from the Date headers of its answers."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecw.fhir.quota.server_clock import Minutes

NOW = 1_800_000_000.0  # the beginning of a minute


def date(seconds: float) -> str:
    return formatdate(seconds, usegmt=True)


def test_before_the_first_answer_no_call_is_made_near_the_edges_of_a_minute() -> None:
    minutes = Minutes()
    window = minutes.window(NOW + 30)
    assert (window.minute, window.opens, window.closes) == (NOW / 60, NOW + 2, NOW + 57)
    assert minutes.window(NOW + 58).minute == NOW / 60 + 1
    assert minutes.window(NOW + 1).minute == NOW / 60


def test_the_window_follows_a_server_whose_clock_is_ahead() -> None:
    minutes = Minutes()
    minutes.saw(date(NOW + 40), NOW)
    window = minutes.window(NOW)
    assert window.minute == NOW / 60
    assert window.opens == NOW - 40
    assert NOW + 15 < window.closes < NOW + 20
    assert minutes.window(NOW + 21).minute == NOW / 60 + 1


def test_a_server_clock_that_was_set_replaces_the_learned_offset() -> None:
    minutes = Minutes()
    minutes.saw(date(NOW), NOW)
    minutes.saw(date(NOW + 3600), NOW + 1)
    minutes.saw(date(NOW + 3610), NOW + 11)
    assert minutes.low == 3599


FAR = [date(0), "Fri, 31 Dec 9999 23:59:59 GMT"]
NEAR = [date(NOW + 3600), date(NOW - 90)]  # accepted as the first Date, because a clock can be an hour off


@pytest.mark.parametrize(("bad", "first"), [*((bad, True) for bad in FAR), *((bad, False) for bad in FAR + NEAR)])
def test_one_bad_date_changes_nothing(bad: str, first: bool) -> None:
    minutes, other = Minutes(), Minutes()
    if not first:
        minutes.saw(date(NOW + 5), NOW)
        other.saw(date(NOW + 5), NOW)
    minutes.saw(bad, NOW + 1)
    assert minutes.window(NOW + 1) == other.window(NOW + 1)
    minutes.saw(date(NOW + 8), NOW + 3)
    other.saw(date(NOW + 8), NOW + 3)
    minutes.saw(bad, NOW + 4)
    assert minutes.window(NOW + 4) == other.window(NOW + 4)


@given(
    st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,5} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{3,12} [A-Z+0-9-]+")
)
def test_no_date_header_raises_or_moves_the_window(header: str) -> None:
    minutes = Minutes()
    minutes.saw(date(NOW), NOW)
    minutes.saw(header, NOW + 1)
    assert minutes.window(NOW + 1).minute == NOW / 60


@pytest.mark.parametrize(
    "header", ["", "yesterday", "Sun, 99 Foo 2026 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359"]
)
def test_a_header_that_is_not_a_date_leaves_the_offset_unknown(header: str) -> None:
    minutes = Minutes()
    minutes.saw(header, NOW)
    assert (minutes.low, minutes.high) == (-2, 2)


@given(
    offset=st.floats(-100, 100),
    answers=st.lists(st.tuples(st.floats(0, 600), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20),
    elapsed=st.floats(0, 600),
)
def test_a_call_sent_in_a_window_arrives_in_its_minute(
    offset: float, answers: list[tuple[float, float, float]], elapsed: float
) -> None:
    """`offset` is the server's time minus this machine's; each answer has a time, the age of its Date, and a delay."""
    minutes = Minutes()
    for moment, age, delay in answers:
        minutes.saw(date(NOW + moment + offset - age), NOW + moment + delay)
    assert minutes.low <= offset + 1e-6
    assert offset <= minutes.high + 1e-6
    now = NOW + elapsed
    window = minutes.window(now)
    sent = max(now, window.opens)
    if sent < window.closes:
        for delay in (0.0, 0.5, 0.999):
            assert (sent + offset + delay + 1e-6) // 60 == window.minute
