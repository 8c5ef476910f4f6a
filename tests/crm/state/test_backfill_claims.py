"""One run of a backfill claims each resource that eCW cannot be searched for by a window, and fetches all of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, update

from ecw.crm.db.tables import ecw_run
from ecw.crm.state import backfill_claims, runs
from ecw.errors import DatabaseUnavailable
from ecw.models import Run

NOW = datetime.now(UTC)


def a_run(number: int, *, run_type: str = "backfill", ends: datetime | None = None) -> Run:
    end = ends or NOW - timedelta(days=3) + number * timedelta(hours=2)
    return Run(
        practice="P",
        run_id=f"{run_type}__{number}",
        run_type=run_type,
        mode="changes",
        window_start=(end - timedelta(hours=2)).isoformat(),
        window_end=end.isoformat(),
        ecw_conn_id="",
        crm_conn_id="",
        staging="",
    )


def claimed(crm: Engine, run: Run, *resources: str) -> bool:
    return not backfill_claims.claim(crm, run, resources or ("location",))


def shift(crm: Engine, run: Run, **values: object) -> None:
    with crm.begin() as connection:
        connection.execute(update(ecw_run).where(ecw_run.c.run_id == run["run_id"]).values(**values))


def test_of_concurrent_runs_one_gets_the_claim(crm_engine: Engine) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        claims = list(pool.map(lambda number: claimed(crm_engine, a_run(number)), range(8)))

    assert claims.count(True) == 1


def test_each_resource_is_claimed_separately(crm_engine: Engine) -> None:
    assert claimed(crm_engine, a_run(1), "location")
    assert backfill_claims.claim(crm_engine, a_run(2), ["location", "patient"]) == {"location": ("backfill__1", False)}
    assert backfill_claims.claim(crm_engine, a_run(3), ["patient"]) == {"patient": ("backfill__2", False)}


def test_a_retry_keeps_its_claim(crm_engine: Engine) -> None:
    assert claimed(crm_engine, a_run(1))
    assert claimed(crm_engine, a_run(1))


def test_a_failed_run_releases_its_claim(crm_engine: Engine) -> None:
    assert claimed(crm_engine, a_run(1))
    runs.fail(crm_engine, a_run(1), "location", DatabaseUnavailable("busy", next_step="wait."))

    assert claimed(crm_engine, a_run(2))
    assert not claimed(crm_engine, a_run(3))


def test_the_claim_of_a_run_that_died_expires(crm_engine: Engine) -> None:
    assert claimed(crm_engine, a_run(1))
    shift(crm_engine, a_run(1), started_at=NOW - timedelta(hours=7), strategy="list")

    assert claimed(crm_engine, a_run(2))


def test_a_run_keeps_its_claims_while_it_makes_progress(crm_engine: Engine) -> None:
    assert claimed(crm_engine, a_run(1), "patient", "insurance")
    shift(crm_engine, a_run(1), started_at=NOW - timedelta(hours=7), strategy="list")
    with crm_engine.begin() as connection:
        loaded = update(ecw_run).where(ecw_run.c.resource == "patient")
        connection.execute(loaded.values(state="loaded", ended_at=NOW - timedelta(hours=1)))

    assert not claimed(crm_engine, a_run(2), "insurance")


def test_the_claim_of_a_run_that_died_at_its_beginning_expires_after_minutes(crm_engine: Engine) -> None:
    assert claimed(crm_engine, a_run(1))
    assert not claimed(crm_engine, a_run(2))
    shift(crm_engine, a_run(1), started_at=NOW - timedelta(minutes=16))

    assert claimed(crm_engine, a_run(2))


def test_a_run_that_has_ended_releases_the_claims_of_resources_that_it_did_not_load(crm_engine: Engine) -> None:
    assert claimed(crm_engine, a_run(1), "location", "patient")
    with crm_engine.begin() as connection:
        connection.execute(update(ecw_run).where(ecw_run.c.resource == "location").values(state="loaded"))

    assert runs.give_back(crm_engine, a_run(1)) == 1
    assert backfill_claims.claim(crm_engine, a_run(2), ["location", "patient"]) == {"location": ("backfill__1", True)}


def test_the_next_backfill_makes_its_own_claim(crm_engine: Engine) -> None:
    assert claimed(crm_engine, a_run(1))
    earlier = datetime.now(UTC) - timedelta(hours=1)
    shift(crm_engine, a_run(1), state="loaded", started_at=earlier, ended_at=earlier)
    assert claimed(crm_engine, a_run(2)), "an hour without a run ends a backfill"


def test_a_backfill_that_goes_on_keeps_its_claim_for_any_time(crm_engine: Engine) -> None:
    now = datetime.now(UTC)
    for number in range(4):
        begun = now - timedelta(minutes=100 - 25 * number)
        runs.begin(crm_engine, a_run(number), ["location" if number == 0 else "encounter"])
        shift(crm_engine, a_run(number), state="loaded", started_at=begun, ended_at=begun)

    assert backfill_claims.claim(crm_engine, a_run(9), ["location"]) == {"location": ("backfill__0", True)}


def test_a_full_run_is_served_only_by_the_claim_of_another_full_run(crm_engine: Engine) -> None:
    assert claimed(crm_engine, a_run(1))
    runs.begin(crm_engine, a_run(1), ["location"], strategies={"location": "list"})

    assert backfill_claims.claim(crm_engine, a_run(2), ["location"], full=True) == {}
    runs.begin(crm_engine, a_run(2), ["location", "encounter"], strategies={"location": "list"})
    for full in (True, False):
        assert backfill_claims.claim(crm_engine, a_run(3), ["location"], full=full) == {
            "location": ("backfill__2", False)
        }


def test_a_run_whose_interval_ends_after_the_claim_makes_its_own(crm_engine: Engine) -> None:
    assert claimed(crm_engine, a_run(1))
    assert claimed(crm_engine, a_run(2, ends=datetime.now(UTC) + timedelta(minutes=1)))


def test_live_runs_dry_runs_and_other_practices_hold_no_claim(crm_engine: Engine) -> None:
    runs.begin(crm_engine, a_run(1, run_type="scheduled"), ["location"])
    runs.begin(crm_engine, a_run(2), ["location"], state=runs.DRY)
    runs.begin(crm_engine, {**a_run(3), "practice": "Q"}, ["location"])

    assert claimed(crm_engine, a_run(4))
