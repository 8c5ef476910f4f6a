"""The version of a record, from any text that eCW writes as its time."""

import pytest

from ecw.pull.extract.dedupe import version


@pytest.mark.parametrize(
    ("last_updated", "expected"),
    [
        ("2026-11-22T07:00:00-05:00", "2026-11-22T12:00:00+00:00"),
        ("2026-11-22T07:00:00", None),
        ("yesterday", None),
        ("9999-12-31T23:59:59-05:00", None),  # UTC's year would be 10000
        ("0001-01-01T00:00:00+05:00", None),
        (None, None),
    ],
)
def test_a_version_is_a_time_in_utc_or_none(last_updated: str | None, expected: str | None) -> None:
    assert version({"meta": {"lastUpdated": last_updated}}) == expected
