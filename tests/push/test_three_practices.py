"""Three practices in one CRM, with the same eCW ids and the same run ids: no data of one practice reaches another.

The three have the same people under the same ids, with a mark of the practice in each family name. A query that joins
by an id alone, or by a name, would mix the practices and fail the test.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from ecw.crm.db.engine import engine_from_url, reading
from ecw.crm.db.tables import metadata
from ecw.models import PullRequest, PushRequest, Run
from ecw.pull import steps as pulling
from ecw.pull.replay import steps as replaying
from ecw.push import steps as pushing
from ecw.resources import RESOURCES
from ecw.vob import steps as vob
from tests.fixtures.examples import examples
from tests.fixtures.keys import Keys
from tests.fixtures.pulling import WITHOUT_WAITING
from tests.fixtures.sandbox import RunningSandbox, options_of, running_sandbox

CODES = ("PRACTA", "PRACTB", "PRACTC")
MARKS = dict(zip(CODES, ("Alpha", "Bravo", "Charlie"), strict=True))
SIZE = {"patients": 4, "practitioners": 2, "locations": 2, "quota": 0}


@pytest.fixture(scope="module")
def three(keys: Keys) -> Iterator[dict[str, RunningSandbox]]:
    """Start a sandbox process for each of the three practices."""
    started = {code: running_sandbox(*options_of(keys, SIZE | {"practice": code})) for code in CODES}
    running = {code: one.__enter__() for code, one in started.items()}
    yield running
    for one in started.values():
        one.__exit__(None, None, None)


@dataclass
class World:
    """One CRM, three practices, and for each row of the CRM the practices that it was assigned to (`labels`)."""

    engine: Engine
    practices: dict[str, RunningSandbox]
    staging: str
    labels: dict[int, set[str]] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)  # family name of a row that the CRM made -> its id
    phones: dict[str, int] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)

    # -- events

    def pull(self, code: str) -> None:
        """Pull all resources; the n-th run of each practice has the same id."""
        run = self._run(code)
        for resource in RESOURCES:
            self._load(pulling.extract(run, resource))
        pulling.summary(run)

    def replay(self, code: str) -> None:
        number = self.runs[code] = self.runs.get(code, 0) + 1
        end = f"2026-11-22T{number:02}:00:00+00:00"
        request = PullRequest(f"manual__{number}", "manual", None, end, conn(code), "crm_test", self.staging)
        run = replaying.begin(request)
        for resource in RESOURCES:
            if (batch := replaying.collect(run, resource)) is not None:
                self._load(batch)

    def push(self, code: str) -> None:
        number = self.runs[code] = self.runs.get(code, 0) + 1
        push = pushing.begin(PushRequest(f"manual__{number}", "manual", conn(code), "crm_test"))
        pushing.send(push, {"approved": True, "by": "ada"})
        pushing.confirm(push)
        pushing.summary(push)

    def open_vob(self, code: str) -> None:
        vob.open_vob("", conn(code), "crm_test")

    def add(self, code: str | None) -> None:
        """Add a patient to the CRM, for a practice or without one."""
        number = len(self.names)
        row = {"last_name": f"Newcomer{'abcdefghijklmnopqrstuvwxyz'[number]}", "first_name": "Ewa", "gender": "Female"}
        row |= {"birth_date": f"19{50 + number}-01-02", "phone": f"91355501{number:02}", "ecw_practice": code}
        with self.engine.begin() as connection:
            names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
            insert = f"INSERT INTO patient ({names}) VALUES ({marks}) RETURNING id"  # noqa: S608
            crm_id = connection.execute(text(insert), row).scalar_one()
        self.names[row["last_name"]] = crm_id
        self.labels[crm_id] = {code} if code else set()

    def edit(self, nth: int) -> None:
        """Edit a phone number in the CRM."""
        if crm_id := self._nth(nth):
            phone = f"91355502{len(self.phones):02}"
            self.phones[phone] = crm_id
            self._update(crm_id, phone=phone)

    def name_practice(self, nth: int, code: str) -> None:
        """Assign a row of the CRM without a practice to one."""
        if (crm_id := self._nth(nth)) and not self._row(crm_id)["ecw_practice"]:
            self._update(crm_id, ecw_practice=code)

    def type_id(self, nth: int) -> None:
        """Write an eCW id, which all three practices have, into a row of the CRM that has none."""
        ids = sorted(each["id"] for each in self.practices[CODES[0]].records("Patient"))
        if (crm_id := self._nth(nth)) and not self._row(crm_id)["ecw_id"]:
            self._update(crm_id, ecw_id=ids[nth % len(ids)])

    def change(self, code: str, nth: int) -> None:
        """Edit a patient in eCW."""
        records = self.practices[code].records("Patient")
        record = records[nth % len(records)]
        self.practices[code].put(record | {"telecom": [{"system": "phone", "use": "home", "value": "9135550300"}]})

    def spoil(self, code: str) -> None:
        """Put a practitioner that the suite rejects into eCW."""
        record = self.practices[code].records("Practitioner")[0]
        self.practices[code].put(record | {"name": [{"use": "usual", "given": ["Nobody"]}]})

    # -- checks

    def check(self) -> None:
        """Compare every table and the three practices' records with the labels of the rows."""
        rows = self._rows("SELECT id, ecw_practice, last_name FROM patient")
        for row in rows:
            if row["ecw_practice"]:
                self.labels.setdefault(row["id"], set()).add(row["ecw_practice"])
        for row in rows:
            others = {mark for code, mark in MARKS.items() if code not in self.labels.get(row["id"], set())}
            assert not any(mark in (row["last_name"] or "") for mark in others), "a row holds another practice's values"
        for code, sandbox in self.practices.items():
            for record in sandbox.records("Patient"):
                values = [each.get("family", "") for each in record.get("name", ())]
                values += [each.get("value", "") for each in record.get("telecom", ())]
                for value in values:
                    crm_id = self.names.get(value, self.phones.get(value))
                    assert crm_id is None or self.labels[crm_id] == {code}, f"{code} holds another practice's patient"
                    assert not any(mark in value for other, mark in MARKS.items() if other != code)
        self._check_bookkeeping()

    def _check_bookkeeping(self) -> None:
        tables = [
            table for table in metadata.sorted_tables if {"practice", "resource", "crm_id"} <= set(table.c.keys())
        ]
        assert len(tables) > 5
        with reading(self.engine) as connection:
            for table in tables:
                statement = select(table.c.practice, table.c.crm_id).where(table.c.resource == "patient")
                for practice, crm_id in connection.execute(statement.where(table.c.crm_id.is_not(None))):
                    owners = self.labels.get(int(crm_id), set())
                    assert owners == {practice}, f"{table.name} of {practice} has a row of {owners or 'no practice'}"
            for resource in RESOURCES:
                linked = text(
                    f"SELECT t.ecw_practice, l.practice FROM {resource} t JOIN ecw_link l "  # noqa: S608
                    "ON l.resource = :resource AND l.crm_id = CAST(t.id AS VARCHAR)"
                )
                assert all(a == b for a, b in connection.execute(linked, {"resource": resource}))
            requests = text(
                "SELECT v.practice, p.ecw_practice FROM vob_request v JOIN patient p ON p.id = v.patient_id"
            )
            assert all(a == b for a, b in connection.execute(requests))

    # -- helpers

    def _run(self, code: str) -> Run:
        number = self.runs[code] = self.runs.get(code, 0) + 1
        span = f"2026-11-22T{number - 1:02}:00:00+00:00", f"2026-11-22T{number:02}:00:00+00:00"
        return pulling.begin(
            PullRequest(f"scheduled__{number}", "scheduled", *span, conn(code), "crm_test", self.staging)
        )

    def _load(self, batch: Any) -> None:
        pulling.load(pulling.check(pulling.map(batch)))

    def _nth(self, nth: int) -> int | None:
        ids = [row["id"] for row in self._rows("SELECT id FROM patient ORDER BY id DESC LIMIT 6")]
        return ids[nth % len(ids)] if ids else None

    def _row(self, crm_id: int) -> dict[str, Any]:
        return self._rows(f"SELECT * FROM patient WHERE id = {crm_id:d}")[0]  # noqa: S608

    def _rows(self, query: str) -> list[dict[str, Any]]:
        with reading(self.engine) as connection:
            return [dict(row) for row in connection.execute(text(query)).mappings()]

    def _update(self, crm_id: int, **values: Any) -> None:
        sets = ", ".join(f"{name} = :{name}" for name in values)
        with self.engine.begin() as connection:
            connection.execute(text(f"UPDATE patient SET {sets} WHERE id = :id"), values | {"id": crm_id})  # noqa: S608


def conn(code: str) -> str:
    return f"ecw_{code.lower()}"


@pytest.fixture
def worlds(
    three: dict[str, RunningSandbox], keys: Keys, tmp_path: Path, crm_url: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], World]:
    """Return a function that resets the three practices and the CRM and returns a new World."""
    monkeypatch.setenv("AIRFLOW_VAR_ECW_STAGING_DAYS", "14")
    monkeypatch.setenv("AIRFLOW_VAR_ECW_ALERTS", "{}")
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PRACTICES", ", ".join(map(conn, CODES)))
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_SCHEDULE", "0 */2 * * *")
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_RESOURCES", "all")
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "no")
    monkeypatch.setenv("AIRFLOW_CONN_VOB_WEBHOOK", json.dumps({"conn_type": "http", "host": "http://127.0.0.1:9"}))
    for code, sandbox in three.items():
        monkeypatch.setenv(f"AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH__{code}", "no")
        extra = {"private_key": keys.private_key_pem, "key_id": keys.key_id, "jwks_url": keys.jwks_url}
        extra |= {"calls_per_minute": 100_000, "push": WITHOUT_WAITING, "vob": {"include_initial_sync": True}}
        document = {"conn_type": "ecw", "host": sandbox.base_url, "login": keys.client_id, "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn(code).upper()}", json.dumps(document))
    number = 0

    def fresh() -> World:
        nonlocal number
        number += 1
        for code, sandbox in three.items():
            sandbox.reset()
            for record in sandbox.records("Patient"):
                names = [each | {"family": f"{each.get('family', '')} {MARKS[code]}"} for each in record["name"]]
                sandbox.put(record | {"name": names})
        path = tmp_path / f"crm{number}.db"
        shutil.copyfile(crm_url.removeprefix("sqlite:///"), path)
        connection_fields = {"conn_type": "generic", "extra": {"url": f"sqlite:///{path}"}}
        monkeypatch.setenv("AIRFLOW_CONN_CRM_TEST", json.dumps(connection_fields))
        return World(engine_from_url(f"sqlite:///{path}"), three, str(tmp_path / f"staging{number}"))

    return fresh


codes, numbers = st.sampled_from(CODES), st.integers(0, 5)
EVENTS = st.one_of(
    st.tuples(st.just("add"), st.one_of(st.none(), codes)),
    st.tuples(st.just("add"), codes),
    st.tuples(st.just("edit"), numbers),
    st.tuples(st.just("name_practice"), numbers, codes),
    st.tuples(st.just("type_id"), numbers),
    st.tuples(st.just("change"), codes, numbers),
    st.tuples(st.just("spoil"), codes),
    st.tuples(st.sampled_from(["pull", "push", "push", "replay", "open_vob"]), codes),
)


@pytest.mark.journey
@pytest.mark.parametrize("crm_url", ["sqlite"], indirect=True)
@settings(
    max_examples=examples(15, at_least=3),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ],  # an example takes seconds; shrinking it would take many minutes
)
@given(events=st.lists(EVENTS, min_size=4, max_size=8))
def test_no_sequence_of_events_mixes_the_data_of_practices(
    worlds: Callable[[], World], events: list[tuple[Any, ...]]
) -> None:
    world = worlds()
    try:
        for code in CODES[:2]:
            world.pull(code)
        world.add(CODES[2])  # a practice that has not been pulled yet
        world.check()
        for name, *arguments in events:
            getattr(world, name)(*arguments)
            world.check()
        for code in CODES:
            world.push(code)
            world.pull(code)
        world.check()
    finally:
        world.engine.dispose()
