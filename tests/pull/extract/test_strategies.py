"""The searches that each strategy makes."""

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
class FixedIds:
    """Known ids with fixed values, in place of a query of the CRM."""

    ids: dict[str, list[str]] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    merged_patients: set[str] = field(default_factory=set)
    required: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    urgent_patients: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)  # the linked records of the searched window or patients

    def known(self, resource: str) -> list[str]:
        return self.ids.get(resource, [])

    def changed_ids(self, resource: str, follower: str) -> list[str]:
        return self.changed

    def deleted_ids(self, resource: str) -> set[str]:
        return self.deleted

    def merged(self, resource: str) -> set[str]:
        return self.merged_patients

    def beginning(self, resource: str, start: datetime, end: datetime) -> list[str]:
        return self.linked

    def of_patients(self, resource: str, patients: Sequence[str]) -> list[str]:
        return self.linked

    def urgent(self) -> list[str]:
        return self.urgent_patients

    def unlinked_patients(self) -> list[str]:
        return self.ids.get("stranger", [])

    def refused(self, resource: str) -> list[str]:
        return self.rejected

    def left(self, resource: str, follower: str) -> list[tuple[str, str | None]]:
        return []

    def beginnings(self, resource: str) -> set[str]:
        return set()

    def required_ids(self, resource: str) -> list[str]:
        return self.required


def extract_context(
    fhir_type: str, known_ids: FixedIds, start: str | None = None, end: str = "2026-11-22T10:00:00+00:00", **more: Any
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
    return ExtractContext(run, Resource(fhir_type.lower(), fhir_type, ()), Options(**more), known_ids, max_patients)


def rounds(name: str, context: ExtractContext) -> list[list[SearchRequest]]:
    strategy = STRATEGIES[name].rounds
    assert strategy is not None
    return [list(requests) for requests in strategy(context)]


def params(requests: Iterable[SearchRequest]) -> list[dict[str, Any]]:
    return [dict(request.params) for request in requests]


def test_list_is_one_search_without_parameters() -> None:
    assert [params(requests) for requests in rounds("list", extract_context("Location", FixedIds()))] == [[{}]]


@pytest.mark.parametrize("strategy", ["list", "name_sweep"])
def test_a_full_scan_reads_rejected_records_that_it_did_not_find(strategy: str) -> None:
    context = extract_context("Location", FixedIds(rejected=["a", "b"]))
    context.seen.add({"id": "b"}, 0, 0)
    *_, last = rounds(strategy, context)
    assert [request.ecw_id for request in last] == ["a"]


def test_name_sweep_adds_prefixes_of_found_names_and_reads_known_patients_that_it_did_not_find() -> None:
    context = extract_context(
        "Patient", FixedIds({"patient": ["found", "missing", "deleted"]}, deleted={"deleted"}), letters="ab"
    )
    strategy = STRATEGIES["name_sweep"].rounds
    assert strategy is not None
    walk = strategy(context)

    assert params(next(walk)) == [{"name": "a"}, {"name": "b"}]
    context.seen.add({"id": "found", "name": [{"family": "Ωmega", "given": ["b", " 'Abd"]}]}, 0, 0)
    more = next(walk)
    assert all(request.optional for request in more), "a refused prefix fails no other search"
    assert {"ł", "李", "ω", "'"} <= {request.params["name"] for request in more}
    context.seen.add({"id": "another", "name": [{"text": "Ꭰ"}]}, 0, 0)
    assert params(next(walk)) == [{"name": "Ꭰ".casefold()}]
    assert [request.ecw_id for request in next(walk)] == ["missing"]


def test_per_patient_begins_with_the_changed_patients() -> None:
    context = extract_context("Coverage", FixedIds({"patient": ["a", "b", "c"]}, changed=["c"]))

    assert [params(requests) for requests in rounds("per_patient", context)] == [
        [{"patient": "c"}],
        [{"patient": "a"}, {"patient": "b"}],
    ]


def test_per_patient_does_not_search_deleted_and_merged_patients_and_reads_their_linked_records() -> None:
    known_ids = FixedIds(
        {"patient": ["a", "deleted", "merged"]},
        changed=["merged"],
        deleted={"deleted"},
        merged_patients={"merged"},
        linked=["x"],
    )

    assert [params(requests) for requests in rounds("per_patient", extract_context("Coverage", known_ids))] == [
        [],
        [{"patient": "a"}],
        [{}],
    ]

    named = extract_context("Coverage", known_ids, ids={"patient": ["merged"]})
    assert params(rounds("per_patient", named)[0]) == [{"patient": "merged"}]


def test_an_initial_sync_queries_at_most_max_patients_and_counts_the_remaining_ones() -> None:
    known_ids = FixedIds({"patient": ["a", "b", "c"]}, changed=["c"])

    for max_patients, queried in ((2, ["a", "b"]), (3, ["a", "b", "c"]), (9, ["a", "b", "c"])):
        context = extract_context("Coverage", known_ids, max_patients=max_patients)
        assert [params(requests) for requests in rounds("per_patient", context)] == [
            [{"patient": ecw_id} for ecw_id in queried]
        ]
        assert remaining_patients(context) == 3 - len(queried)
    assert remaining_patients(extract_context("Coverage", known_ids)) == 0


def test_per_patient_queries_every_patient_once_a_day() -> None:
    patients = [f"patient-{number}" for number in range(600)]
    queried: list[str] = []
    for hour in range(0, 24, 2):
        window = f"2026-11-22T{hour:02}:00:00+00:00", f"2026-11-22T{hour + 1:02}:59:00+00:00"
        turn = [
            request.params["patient"]
            for request in rounds("per_patient", extract_context("Coverage", FixedIds({"patient": patients}), *window))[
                1
            ]
        ]
        assert 20 < len(turn) < 90, "about one in twelve"
        queried += [str(ecw_id) for ecw_id in turn]

    assert sorted(queried) == sorted(patients)


@pytest.mark.parametrize(
    ("full_cycle_hours", "every_minutes", "longest"),
    [(24, 120, 24), (3, 120, 2), (5, 120, 4), (1, 120, 2), (1, 30, 1), (24, 420, 21)],
)
def test_every_patient_is_queried_within_the_reported_time(
    full_cycle_hours: int, every_minutes: int, longest: float
) -> None:
    """If the cycle is not a multiple of the interval, patients are queried more often, at most once a run."""
    options = {"full_cycle_hours": full_cycle_hours, "every_minutes": every_minutes}
    patients = [f"patient-{number}" for number in range(200)]
    begin, width = datetime(2026, 11, 22, tzinfo=UTC), timedelta(minutes=every_minutes)
    queried: set[str] = set()
    for number in range(round(timedelta(hours=longest) / width)):
        window = ((begin + at * width).isoformat() for at in (number, number + 1))
        turn = rounds("per_patient", extract_context("Coverage", FixedIds({"patient": patients}), *window, **options))[
            1
        ]
        queried.update(str(request.params["patient"]) for request in turn)

    assert longest_turn(Options(**options)) == longest
    assert queried == set(patients)


def test_a_long_window_includes_the_missed_turns() -> None:
    patients = [f"patient-{number}" for number in range(600)]
    day = extract_context(
        "Coverage", FixedIds({"patient": patients}), "2026-11-20T10:00:00+00:00", "2026-11-22T10:00:00+00:00"
    )
    half = extract_context(
        "Coverage", FixedIds({"patient": patients}), "2026-11-21T22:00:00+00:00", "2026-11-22T10:00:00+00:00"
    )

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
def test_schedule_covers_the_days_around_the_window_or_a_backfills_interval(
    start: str | None, run_type: str, dates: list[str]
) -> None:
    context = extract_context("Encounter", FixedIds({"practitioner": ["x"]}), start, run_type=run_type)

    assert [params(requests) for requests in rounds("schedule", context)] == [[{"practitioner": "x", "date": dates}]]


def test_last_updated_covers_the_window_and_in_a_first_run_all_records() -> None:
    window = "2026-11-22T08:00:00+00:00", "2026-11-22T10:00:00+00:00"

    assert params(rounds("last_updated", extract_context("Patient", FixedIds(), *window))[0]) == [
        {"_lastUpdated": ["ge2026-11-22T07:50:00+00:00", f"lt{window[1]}"]}
    ], "ten minutes of the last window are fetched again"
    for exact in ({"run_type": "backfill"}, {"since": window[0]}):
        assert params(rounds("last_updated", extract_context("Patient", FixedIds(), *window, **exact))[0]) == [
            {"_lastUpdated": [f"ge{window[0]}", f"lt{window[1]}"]}
        ]
    assert params(
        rounds("last_updated", extract_context("Patient", FixedIds(), *window, run_type="backfill", full=True))[0]
    ) == [{"_lastUpdated": [f"ge{window[0]}", f"lt{window[1]}"]}], (
        "a backfill covers its interval, also in the mode full"
    )
    assert params(rounds("last_updated", extract_context("Patient", FixedIds()))[0]) == [
        {"_lastUpdated": [f"lt{window[1]}"]}
    ]
    assert params(rounds("last_updated", extract_context("Patient", FixedIds(), *window, full=True))[0]) == [
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
def test_a_record_that_does_not_match_the_search_is_recognised(
    name: str, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    context = extract_context(
        "Encounter", FixedIds({"patient": ["a"], "practitioner": ["x"]}, ["a"]), "2026-11-22T08:00:00+00:00"
    )
    request = rounds(name, context)[0][0]

    assert request.holds is not None
    assert request.holds(good)
    assert not request.holds(bad)


@pytest.mark.parametrize("end", ["2026-11-22T08:00:00+00:00", "2026-11-22T08:17:03+00:00"])
@pytest.mark.parametrize("number", [1, 2, 7, 12])
def test_the_start_of_a_window_of_n_turns_makes_n_turns_due(end: str, number: int) -> None:
    run = extract_context("Coverage", FixedIds(), "2026-11-01T00:00:00+00:00", end).run
    assert turns_due(run, Options()) == 12, "every turn"
    assert turns_due({**run, "window_start": since_turns(run, Options(), number)}, Options()) == number


def test_a_run_of_a_practitioners_schedule_searches_only_them_on_the_forms_dates() -> None:
    window = "2026-11-23T00:00:00+00:00", "2026-11-25T00:00:00+00:00"
    known_ids = FixedIds({"practitioner": ["x", "y"], "stranger": ["p2"], "patient": ["p1"]}, changed=["p2"])
    context = extract_context("Encounter", known_ids, *window, practitioners=["z"], run_type="manual")

    assert [params(requests) for requests in rounds("schedule", context)] == [
        [{"practitioner": "z", "date": ["ge2026-11-22", "lt2026-11-27"]}]
    ]
    assert [request.ecw_id for request in rounds("of_schedule", context)[0]] == ["p2"]
    assert [params(requests) for requests in rounds("per_patient", context)] == [[{"patient": "p2"}]], (
        "no other patient"
    )
