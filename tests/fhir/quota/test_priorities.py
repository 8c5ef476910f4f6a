"""How a minute's quota is divided among the kinds of work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecw.fhir.quota.priorities import RELEASE, SHARES, Kind, allowed, kind_of

KINDS = list(SHARES)


@pytest.mark.parametrize(
    ("kind", "active", "elapsed", "expected"),
    [
        ("scheduled", {"scheduled"}, 0.0, 95),  # the rest is reserved for on-demand runs
        ("scheduled", {"scheduled"}, RELEASE, 100),
        ("backfill", {"scheduled", "backfill"}, 0.0, 65),
        ("scheduled", {"scheduled", "backfill"}, 0.0, 85),
        ("on_demand", {"on_demand", "scheduled", "backfill"}, 0.0, 60),
        ("scheduled", {"on_demand", "scheduled", "backfill"}, 0.0, 30),
        ("backfill", {"on_demand", "scheduled", "backfill"}, 0.0, 10),
        ("on_demand", {"on_demand"}, 0.0, 100),
        ("backfill", {"on_demand", "scheduled", "backfill"}, RELEASE, 100),
    ],
)
def test_each_kinds_share_of_an_unused_minute(kind: Kind, active: set[str], elapsed: float, expected: int) -> None:
    assert allowed(kind, 100, {}, active, elapsed) == expected


def test_calls_that_a_kind_has_made_are_no_longer_reserved_for_it() -> None:
    assert allowed("scheduled", 100, {"on_demand": 60}, {"on_demand", "scheduled"}, 0.0) == 40


@given(
    kind=st.sampled_from(KINDS),
    budget=st.integers(1, 500),
    used=st.dictionaries(st.sampled_from(KINDS), st.integers(0, 300)),
    active=st.sets(st.sampled_from(KINDS)),
    elapsed=st.floats(0, 1),
)
def test_the_allowance_never_exceeds_the_rest_of_the_budget_and_is_all_of_it_after_the_release(
    kind: Kind, budget: int, used: dict[str, int], active: set[str], elapsed: float
) -> None:
    allowance = allowed(kind, budget, used, active, elapsed)
    assert 0 <= allowance <= max(0, budget - sum(used.values()))
    if elapsed >= RELEASE:
        assert allowance == max(0, budget - sum(used.values()))


@given(st.permutations(KINDS), st.integers(10, 500))
def test_every_kind_gets_its_share_in_any_order_of_requests(order: list[Kind], budget: int) -> None:
    used: dict[str, int] = {}
    for kind in order:
        used[kind] = allowed(kind, budget, used, set(KINDS), 0.0)
    assert all(used[kind] >= int(SHARES[kind] * budget) > 0 for kind in KINDS)
    assert sum(used.values()) <= budget


def test_each_run_type_has_its_kind_of_work() -> None:
    assert {run_type: kind_of(run_type) for run_type in ("scheduled", "backfill", "manual", "asset_triggered")} == {
        "scheduled": "scheduled",
        "backfill": "backfill",
        "manual": "on_demand",
        "asset_triggered": "on_demand",
    }
