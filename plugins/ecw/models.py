"""The few shapes that steps pass to each other; as XComs, so: ids, paths and counts, never patient data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, NotRequired, Self, TypedDict, TypeVar

from ecw.errors import CorruptBatch, CountMismatch

Left = TypeVar("Left")


class Mode(StrEnum):
    """What a run of the pull is about."""

    CHANGES = "changes"  # what the schedule pulls: what changed
    FULL = "full"  # everything again
    PATIENTS = "patients"
    SCHEDULE = "schedule"  # of practitioners
    REPLAY = "replay"  # rejected records, from the staging area: no form of a pull has it


class Run(TypedDict):
    """One DAG run (or one `ecw` command) as its steps see it.

    `window_start` and `window_end` are ISO 8601 with offset, half open; `window_start` is None where
    there is no lower bound (the first run of a snapshot resource).
    """

    practice: str
    base_url: str  # the practice's server and code, as the connection named them when the run began
    run_id: str
    run_type: str  # Airflow's: scheduled, manual, backfill, asset_triggered
    mode: str  # a Mode, as text
    window_start: str | None
    window_end: str
    ecw_conn_id: str
    crm_conn_id: str
    staging: str  # ObjectStoragePath of this run's folder


@dataclass(frozen=True, slots=True)
class PullRequest:
    """The run that `ecw.pull.steps.begin` opens, or that of a replay: id and type, window, connections, form.

    The window's bounds are ISO 8601 with offset. `staging` is another staging area than the variable `ecw_staging`
    names. `options` are those of the form, as an object or as JSON: ecw.settings.pull.Options; of a replay
    ecw.settings.replay.ReplayOptions.
    """

    run_id: str
    run_type: str  # Airflow's: scheduled, manual, backfill, asset_triggered
    window_start: str | None
    window_end: str
    ecw_conn_id: str = "ecw_default"
    crm_conn_id: str = "crm_default"
    staging: str | None = None
    options: Mapping[str, Any] | str | None = None


@dataclass(frozen=True, slots=True)
class PushRequest:
    """The run that `ecw.push.steps.begin` plans: id and type, connections, form.

    `options` are those of the form, as an object or as JSON: ecw.settings.push.Wanted.
    """

    run_id: str
    run_type: str = "manual"  # Airflow's: manual, asset_triggered
    ecw_conn_id: str = "ecw_default"
    crm_conn_id: str = "crm_default"
    options: Mapping[str, Any] | str | None = None


class Batch(TypedDict):
    """Staged records of one resource: a file and a count, and what happened to the others so far.

    After every step `fetched == rejected + unchanged + count`.
    """

    run: Run
    resource: str
    path: str  # gzip NDJSON
    count: int  # lines in `path`
    fetched: int
    rejected: int
    unchanged: int
    rejects: list[str]  # gzip NDJSON files of the rejected, one per step that rejected any
    calls: int  # API calls so far, token calls included
    seconds: float
    newer: NotRequired[str]  # gzip NDJSON of those unchanged whose version is newer than that of their link
    full_scan: NotRequired[bool]  # all records were requested, whatever the window
    deleted_at_source: NotRequired[int]  # of the fetched, those that eCW said it no longer has
    strategy: NotRequired[str]  # the one that it was extracted by
    queried: NotRequired[str]  # gzip NDJSON of the patients who were queried one by one
    patients_queried: NotRequired[int]  # how many they are
    completeness: NotRequired[str]  # how it is known that nothing is missing, as far as it is
    read_from: NotRequired[str]  # ISO 8601: from when to when eCW was asked for the records
    read_until: NotRequired[str]
    always: NotRequired[bool]  # everything again, or single records: what eCW answers holds, whatever its version
    remaining_patients: NotRequired[int]  # patients whom an initial sync left to the next runs
    remaining_due_at: NotRequired[str]  # when the last of them is queried


def fetched_batch(run: Run, resource: str, path: str, count: int, *, calls: int, seconds: float) -> Batch:
    """Return the batch of records that were fetched and stay as they came so far."""
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
    """Return a batch as a step passes it on: the lines that stay, and the file of those that the step rejected."""
    return {
        **batch,
        "path": path,
        "count": count,
        "rejected": batch["rejected"] + rejected,
        "rejects": [*batch["rejects"], rejects] if rejected else batch["rejects"],
        "seconds": round(batch["seconds"] + seconds, 3),
    }


class KeptCapability(TypedDict):
    """What a practice's server said it can do with the type that a run pushes."""

    read_at: str  # ISO 8601 with offset
    statement: str  # ecw.fhir.capability.Capability, as text


class Push(TypedDict):
    """One run of the push as its steps see it; whom it takes, and what happened to each, stands in the CRM."""

    practice: str
    base_url: str  # as of a Run
    run_id: str
    run_type: str  # Airflow's: manual, asset_triggered
    ecw_conn_id: str
    crm_conn_id: str
    creates: int
    updates: int
    not_sent: dict[str, int]
    needs_approval: bool
    options: dict[str, Any]  # ecw.settings.push.Wanted, without the names of patients
    named: bool  # a person named the patients
    server: NotRequired[KeptCapability]  # where somebody is to be pushed


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened to the records of one resource in one run: the same few numbers everywhere."""

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
        """Return the numbers themselves, once `fetched = rejected + inserted + updated + unchanged` holds.

        Raises CountMismatch.
        """
        if self.fetched != self.rejected + self.inserted + self.updated + self.unchanged:
            raise CountMismatch(
                f"Records went missing between extract and load: {self}.",
                next_step="nothing was written; clear the resource's task group to run it again, "
                "and report the numbers above if they come out the same.",
            )
        return self


def left_by(task: str, found: Left | None) -> Left:
    """Return what the task before this one has left.

    Raises CorruptBatch where it left nothing: a person marked it success, or Airflow's database was cleaned since.
    """
    if found is None:
        raise CorruptBatch(
            f"The task {task} of this run has left nothing to go on with: it was marked success by hand, or "
            "`airflow db clean` has removed what it left.",
            next_step=f"clear {task}, with those downstream; of a run that is long over, trigger a new one instead.",
        )
    return found
