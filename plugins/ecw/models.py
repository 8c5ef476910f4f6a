"""The types that steps pass to each other, also as XComs: ids, paths and counts, never patient data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, NotRequired, Self, TypedDict, TypeVar

from ecw.errors import CorruptBatch, CountMismatch

Left = TypeVar("Left")


class Mode(StrEnum):
    """The records that a run of the pull covers."""

    CHANGES = "changes"  # changed records; the mode of scheduled runs
    FULL = "full"  # all records, again
    PATIENTS = "patients"
    SCHEDULE = "schedule"  # the appointments of practitioners
    REPLAY = "replay"  # rejected records, from the staging area; only for a replay


class RunType(StrEnum):
    """How a run was started. Airflow's DagRunType has the same words; `ecw` commands are manual."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    BACKFILL = "backfill"
    ASSET_TRIGGERED = "asset_triggered"  # a push that the watcher starts


class RunKind(StrEnum):
    """The kind of a run; each kind is a DAG of its own."""

    PULL = "pull"
    REPLAY = "replay"
    PUSH = "push"


class Run(TypedDict):
    """One DAG run (or one `ecw` command), for its steps.

    `window_start` and `window_end` are ISO 8601 with offset, half open; `window_start` is None without a lower bound
    (the first run of a snapshot resource).
    """

    practice: str
    base_url: str  # server and practice code, from the connection when the run began
    run_id: str
    run_type: str  # a RunType, as text
    mode: str  # a Mode, as text
    window_start: str | None
    window_end: str
    ecw_conn_id: str
    crm_conn_id: str
    staging: str  # ObjectStoragePath of this run's folder


@dataclass(frozen=True, slots=True)
class PullRequest:
    """The input of `ecw.pull.steps.begin`, or of a replay: run id and type, window, connections, form.

    The window's bounds are ISO 8601 with offset. `staging` overrides the staging area of the variable `ecw_staging`.
    `options` are the form's, as an object or as JSON: ecw.settings.pull.Options, for a replay
    ecw.settings.replay.ReplayOptions.
    """

    run_id: str
    run_type: str  # a RunType, as text
    window_start: str | None
    window_end: str
    ecw_conn_id: str = "ecw_default"
    crm_conn_id: str = "crm_default"
    staging: str | None = None
    options: Mapping[str, Any] | str | None = None


@dataclass(frozen=True, slots=True)
class PushRequest:
    """The input of `ecw.push.steps.begin`: run id and type, connections, form.

    `options` are the form's, as an object or as JSON: ecw.settings.push.PushOptions.
    """

    run_id: str
    run_type: str = RunType.MANUAL
    ecw_conn_id: str = "ecw_default"
    crm_conn_id: str = "crm_default"
    options: Mapping[str, Any] | str | None = None


class Batch(TypedDict):
    """The staged records of one resource: a file and its count, and the counts of the other records so far.

    After every step `fetched == rejected + unchanged + count`.
    """

    run: Run
    resource: str
    path: str  # gzip NDJSON
    count: int  # lines in `path`
    fetched: int
    rejected: int
    unchanged: int
    rejects: list[str]  # gzip NDJSON files of rejected records, one per step that rejected any
    calls: int  # API calls so far, token calls included
    seconds: float
    newer: NotRequired[str]  # gzip NDJSON of unchanged records whose version is newer than their link's
    full_scan: NotRequired[bool]  # all records were requested, regardless of the window
    deleted_at_source: NotRequired[int]  # number of the fetched that eCW reports as deleted
    strategy: NotRequired[str]  # the strategy of the extraction
    queried: NotRequired[str]  # gzip NDJSON of the patients that were queried one by one
    patients_queried: NotRequired[int]  # their number
    completeness: NotRequired[str]  # the evidence that no record is missing, if there is any
    read_from: NotRequired[str]  # ISO 8601: when the requests to eCW began; `read_until`: when they ended
    read_until: NotRequired[str]
    always: NotRequired[bool]  # a full run, or single records: load eCW's answer regardless of its version
    remaining_patients: NotRequired[int]  # patients that an initial sync leaves to later runs
    remaining_due_at: NotRequired[str]  # when the last of them will be queried


def fetched_batch(run: Run, resource: str, path: str, count: int, *, calls: int, seconds: float) -> Batch:
    """Return the batch of fetched records, none of them rejected or unchanged yet."""
    return Batch(
        run=run,
        resource=resource,
        path=path,
        count=count,
        fetched=count,
        rejected=0,
        unchanged=0,
        rejects=[],
        calls=calls,
        seconds=round(seconds, 3),
    )


def passed_on(batch: Batch, path: str, count: int, rejects: str, rejected: int, seconds: float) -> Batch:
    """Return the batch after a step: the file and count of the lines that stay, with the file of the step's rejects."""
    return {
        **batch,
        "path": path,
        "count": count,
        "rejected": batch["rejected"] + rejected,
        "rejects": [*batch["rejects"], rejects] if rejected else batch["rejects"],
        "seconds": round(batch["seconds"] + seconds, 3),
    }


class KeptCapability(TypedDict):
    """The capabilities that a practice's server declares for the type that a run pushes."""

    read_at: str  # ISO 8601 with offset
    statement: str  # ecw.fhir.capability.Capability, as text


class Push(TypedDict):
    """One run of the push, for its steps; the CRM's database holds its patients and their results."""

    practice: str
    base_url: str  # as in Run
    run_id: str
    run_type: str  # a RunType, as text
    ecw_conn_id: str
    crm_conn_id: str
    creates: int
    updates: int
    not_sent: dict[str, int]
    needs_approval: bool
    options: dict[str, Any]  # ecw.settings.push.PushOptions, without `patients`
    named: bool  # a person named the patients
    server: NotRequired[KeptCapability]  # if there is a patient to push


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of one resource in one run; logs, tables and pages show the same ones."""

    fetched: int = 0
    rejected: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __str__(self) -> str:
        return ", ".join(f"{name} {count}" for name, count in asdict(self).items())

    def verified(self) -> Self:
        """Return the counts, if `fetched = rejected + inserted + updated + unchanged`.

        Raises CountMismatch if not.
        """
        if self.fetched != self.rejected + self.inserted + self.updated + self.unchanged:
            raise CountMismatch(
                f"Records went missing between extract and load: {self}.",
                next_step="nothing was written; clear the resource's task group to run it again, "
                "and report the numbers above if they are the same again.",
            )
        return self


def left_by(task: str, found: Left | None) -> Left:
    """Return the result of the task before this one.

    Raises CorruptBatch if there is none: a person marked the task as success, or Airflow's database was cleaned since.
    """
    if found is None:
        raise CorruptBatch(
            f"The task {task} of this run has no result: it was marked success by hand, or `airflow db clean` has "
            "removed its result.",
            next_step=f"clear {task} with its downstream tasks; if the run is old, trigger a new one instead.",
        )
    return found
