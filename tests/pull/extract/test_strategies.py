"""Which searches a strategy makes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecw.models import Run
from ecw.pull.extract.context import ExtractContext
from ecw.pull.extract.rotation import longest_turn, share_due, since_turns, turns_due
from ecw.pull.extract.search_request import SearchRequest
from ecw.pull.extract.strategies import STRATEGIES, remaining_patients
from ecw.resources import Resource
from ecw.settings.pull import Options


@dataclass
class Roll:
    """A roster that is written down."""

    ids: dict[str, list[str]] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    joined: set[str] = field(default_factory=set)
    awaited: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    soon: list[str] = field(default_factory=list)  # whose insurance matters now
    there: list[str] = field(default_factory=list)  # what the CRM has where an extraction looks

    def known(self, resource: str) -> list[str]:
        return self.ids.get(resource, [])

    def changed_ids(self, resource: str, follower: str) -> list[str]:
        return self.changed

    def deleted_ids(self, resource: str) -> set[str]:
        return self.lost

    def merged(self, resource: str) -> set[str]:
        return self.joined

    def beginning(self, resource: str, start: datetime, end: datetime) -> list[str]:
        return self.there

    def of_patients(self, resource: str, patients: Sequence[str]) -> list[str]:
        return self.there

    def urgent(self) -> list[str]:
        return self.soon

    def unlinked_patients(self) -> list[str]:
        return self.ids.get("stranger", [])

    def refused(self, resource: str) -> list[str]:
        return self.rejected

    def left(self, resource: str, follower: str) -> list[tuple[str, str | None]]:
        return []

    def beginnings(self, resource: str) -> set[str]:
        return set()

    def required_ids(self, resource: str) -> list[str]:
        return self.awaited


def ask(
    fhir_type: str, roster: Roll, start: str | None = None, end: str = "2026-11-22T10:00:00+00:00", **more: Any
) -> ExtractContext:
    run_type, max_patients = more.pop("run_type", "scheduled"), more.pop("max_patients", None)
    run = Run(
        practice="P",
        run_id="r",
        run_type=run_type,
        mode="changes",
        window_start=start,
        window_end=end,
        ecw_conn_id="",
        crm_conn_id="",
        staging="",
    )
    return ExtractContext(run, Resource(fhir_type.lower(), fhir_type, ()), Options(**more), roster, max_patients)


def rounds(name: str, this: ExtractContext) -> list[list[SearchRequest]]:
    strategy = STRATEGIES[name].rounds
    assert strategy is not None
    return [list(units) for units in strategy(this)]


def params(units: Iterable[SearchRequest]) -> list[dict[str, Any]]:
    return [dict(unit.params) for unit in units]


def test_list_is_one_search() -> None:
    assert [params(units) for units in rounds("list", ask("Location", Roll()))] == [[{}]]


@pytest.mark.parametrize("strategy", ["list", "name_sweep"])
def test_who_sees_everything_reads_what_was_refused_and_did_not_appear(strategy: str) -> None:
    this = ask("Location", Roll(rejected=["a", "b"]))
    this.seen.add({"id": "b"}, 0, 0)
    *_, last = rounds(strategy, this)
    assert [unit.ecw_id for unit in last] == ["a"]


def test_name_sweep_reads_the_known_that_did_not_appear() -> None:
    this = ask("Patient", Roll({"patient": ["seen", "unseen", "long gone"]}, lost={"long gone"}), letters="ab")
    strategy = STRATEGIES["name_sweep"].rounds
    assert strategy is not None
    walk = strategy(this)

    assert params(next(walk)) == [{"name": "a"}, {"name": "b"}]
    this.seen.add({"id": "seen", "name": [{"family": "Ωmega", "given": ["b", " 'Abd"]}]}, 0, 0)
    more = next(walk)
    assert all(unit.optional for unit in more), "a server that refuses one loses nothing but it"
    assert {"ł", "李", "ω", "'"} <= {unit.params["name"] for unit in more}
    this.seen.add({"id": "another", "name": [{"text": "Ꭰ"}]}, 0, 0)
    assert params(next(walk)) == [{"name": "Ꭰ".casefold()}]
    assert [unit.ecw_id for unit in next(walk)] == ["unseen"]


def test_per_patient_begins_with_the_touched() -> None:
    this = ask("Coverage", Roll({"patient": ["a", "b", "c"]}, changed=["c"]))

    assert [params(units) for units in rounds("per_patient", this)] == [
        [{"patient": "c"}],
        [{"patient": "a"}, {"patient": "b"}],
    ]


def test_per_patient_searches_nothing_of_who_is_gone_or_merged_and_reads_what_the_crm_has_of_them() -> None:
    roster = Roll(
        {"patient": ["a", "gone", "merged"]}, changed=["merged"], lost={"gone"}, joined={"merged"}, there=["x"]
    )

    assert [params(units) for units in rounds("per_patient", ask("Coverage", roster))] == [[], [{"patient": "a"}], [{}]]

    by_hand = ask("Coverage", roster, ids={"patient": ["merged"]})
    assert params(rounds("per_patient", by_hand)[0]) == [{"patient": "merged"}]


def test_a_first_look_takes_as_many_as_it_may_and_counts_the_others() -> None:
    roster = Roll({"patient": ["a", "b", "c"]}, changed=["c"])

    for max_patients, asked in ((2, ["a", "b"]), (3, ["a", "b", "c"]), (9, ["a", "b", "c"])):
        this = ask("Coverage", roster, max_patients=max_patients)
        assert [params(units) for units in rounds("per_patient", this)] == [[{"patient": ecw_id} for ecw_id in asked]]
        assert remaining_patients(this) == 3 - len(asked)
    assert remaining_patients(ask("Coverage", roster)) == 0


def test_per_patient_looks_at_everybody_within_a_day() -> None:
    everybody = [f"patient-{number}" for number in range(600)]
    looked: list[str] = []
    for hour in range(0, 24, 2):
        window = f"2026-11-22T{hour:02}:00:00+00:00", f"2026-11-22T{hour + 1:02}:59:00+00:00"
        turn = [
            unit.params["patient"]
            for unit in rounds("per_patient", ask("Coverage", Roll({"patient": everybody}), *window))[1]
        ]
        assert 20 < len(turn) < 90, "about one in twelve"
        looked += [str(ecw_id) for ecw_id in turn]

    assert sorted(looked) == sorted(everybody)


@pytest.mark.parametrize(
    ("wanted", "every_minutes", "told"),
    [(24, 120, 24), (3, 120, 2), (5, 120, 4), (1, 120, 2), (1, 30, 1), (24, 420, 21)],
)
def test_nobody_waits_longer_than_is_reported(wanted: int, every_minutes: int, told: float) -> None:
    """What does not divide is asked more often; nobody is asked more often than there are runs."""
    options = {"full_cycle_hours": wanted, "every_minutes": every_minutes}
    everybody = [f"patient-{number}" for number in range(200)]
    begin, width = datetime(2026, 11, 22, tzinfo=UTC), timedelta(minutes=every_minutes)
    looked: set[str] = set()
    for number in range(round(timedelta(hours=told) / width)):
        window = ((begin + at * width).isoformat() for at in (number, number + 1))
        turn = rounds("per_patient", ask("Coverage", Roll({"patient": everybody}), *window, **options))[1]
        looked.update(str(unit.params["patient"]) for unit in turn)

    assert longest_turn(Options(**options)) == told
    assert looked == set(everybody)


def test_a_long_window_makes_up_for_missed_turns() -> None:
    everybody = [f"patient-{number}" for number in range(600)]
    day = ask("Coverage", Roll({"patient": everybody}), "2026-11-20T10:00:00+00:00", "2026-11-22T10:00:00+00:00")
    half = ask("Coverage", Roll({"patient": everybody}), "2026-11-21T22:00:00+00:00", "2026-11-22T10:00:00+00:00")

    assert len(rounds("per_patient", day)[1]) == 600
    assert 240 < len(rounds("per_patient", half)[1]) < 360
    assert (share_due(day.run, day.options), share_due(half.run, half.options)) == (1, 0.5)


@pytest.mark.parametrize(
    ("start", "run_type", "dates"),
    [
        (None, "scheduled", ["ge2024-11-21", "lt2027-05-23"]),
        ("2026-11-22T08:00:00+00:00", "scheduled", ["ge2026-10-22", "lt2027-05-23"]),
        ("2026-09-01T00:00:00+00:00", "scheduled", ["ge2026-08-30", "lt2027-05-23"]),
        ("2026-11-20T00:00:00+00:00", "backfill", ["ge2026-11-19", "lt2026-11-24"]),
    ],
)
def test_a_schedule_covers_the_days_around_now_or_a_backfills_own(
    start: str | None, run_type: str, dates: list[str]
) -> None:
    this = ask("Encounter", Roll({"practitioner": ["x"]}), start, run_type=run_type)

    assert [params(units) for units in rounds("schedule", this)] == [[{"practitioner": "x", "date": dates}]]


def test_last_updated_covers_the_window_and_a_first_run_everything() -> None:
    window = "2026-11-22T08:00:00+00:00", "2026-11-22T10:00:00+00:00"

    assert params(rounds("last_updated", ask("Patient", Roll(), *window))[0]) == [
        {"_lastUpdated": ["ge2026-11-22T07:50:00+00:00", f"lt{window[1]}"]}
    ], "ten minutes of the last window are fetched again"
    for exact in ({"run_type": "backfill"}, {"since": window[0]}):
        assert params(rounds("last_updated", ask("Patient", Roll(), *window, **exact))[0]) == [
            {"_lastUpdated": [f"ge{window[0]}", f"lt{window[1]}"]}
        ]
    assert params(rounds("last_updated", ask("Patient", Roll(), *window, run_type="backfill", full=True))[0]) == [
        {"_lastUpdated": [f"ge{window[0]}", f"lt{window[1]}"]}
    ], "a backfill covers its interval, whatever else is asked for"
    assert params(rounds("last_updated", ask("Patient", Roll()))[0]) == [{"_lastUpdated": [f"lt{window[1]}"]}]
    assert params(rounds("last_updated", ask("Patient", Roll(), *window, full=True))[0]) == [
        {"_lastUpdated": [f"lt{window[1]}"]}
    ]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("per_patient", {"beneficiary": {"reference": "Patient/a"}}, {"beneficiary": {"reference": "Patient/b"}}),
        ("per_patient", {"subject": {"reference": "https://x/fhir/r4/P/Patient/a"}}, {"subject": {"reference": "a"}}),
        (
            "schedule",
            {"participant": [{"individual": {"reference": "Practitioner/x"}}]},
            {"participant": [{"individual": {"reference": "Practitioner/y"}}]},
        ),
        (
            "last_updated",
            {"meta": {"lastUpdated": "2026-11-22T03:00:00-05:00"}},
            {"meta": {"lastUpdated": "2026-11-22T02:49:59-05:00"}},  # before the overlap
        ),
        ("last_updated", {"meta": {"lastUpdated": "2026-11-22T08:00:00Z"}}, {}),
    ],
)
def test_a_filter_that_the_server_ignored_shows(name: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    this = ask("Encounter", Roll({"patient": ["a"], "practitioner": ["x"]}, ["a"]), "2026-11-22T08:00:00+00:00")
    unit = rounds(name, this)[0][0]

    assert unit.holds is not None
    assert unit.holds(good)
    assert not unit.holds(bad)


@pytest.mark.parametrize("end", ["2026-11-22T08:00:00+00:00", "2026-11-22T08:17:03+00:00"])
@pytest.mark.parametrize("number", [1, 2, 7, 12])
def test_a_window_can_be_as_long_as_so_many_turns(end: str, number: int) -> None:
    run = ask("Coverage", Roll(), "2026-11-01T00:00:00+00:00", end).run
    assert turns_due(run, Options()) == 12, "all of them"
    assert turns_due({**run, "window_start": since_turns(run, Options(), number)}, Options()) == number


def test_a_practitioners_schedule_is_theirs_alone_and_its_dates_the_forms() -> None:
    window = "2026-11-23T00:00:00+00:00", "2026-11-25T00:00:00+00:00"
    roster = Roll({"practitioner": ["x", "y"], "stranger": ["p2"], "patient": ["p1"]}, changed=["p2"])
    this = ask("Encounter", roster, *window, practitioners=["z"], run_type="manual")

    assert [params(units) for units in rounds("schedule", this)] == [
        [{"practitioner": "z", "date": ["ge2026-11-22", "lt2026-11-27"]}]
    ]
    assert [unit.ecw_id for unit in rounds("of_schedule", this)[0]] == ["p2"]
    assert [params(units) for units in rounds("per_patient", this)] == [[{"patient": "p2"}]], "nobody else's turn"
