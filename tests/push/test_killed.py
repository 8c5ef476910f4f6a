"""Pushes that are killed, that meet, and hundreds with everything going wrong: none doubled, lost, overwritten."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ecw.push import intents
from ecw.push.confirm import confirm
from ecw.push.outbox import outbox
from ecw.push.send import push_patient
from tests.fixtures.keys import Keys
from tests.fixtures.sandbox import RunningSandbox
from tests.push.names import NAMES

# Pushes the patients whose ids come on stdin, and says what it did; stops where it was told to, until it is killed.
WORKER = """
import json, sys, time
from requests import Session
from ecw.api.client import EcwClient
from ecw.api.patience import Circuit, Patience, Trying
from ecw.api.settings import EcwSettings
from ecw.crm.engine import engine_from_url
from ecw.mapping.files import load_mapping
from ecw.push.pushing import Options, Pushing
from ecw.push.send import push_patient

given = json.loads(sys.argv[1])
session = Session()
session.trust_env = False
settings = EcwSettings(**given["settings"])
trying = Trying(Patience(3, seconds=0), Circuit(10**6), sleep=lambda seconds: None)
client = EcwClient(settings, session, timeout=10, trying=trying)

def stop():
    print("here", flush=True)
    time.sleep(600)

transact = client.transact
def stopping(bundle, **how):
    if given["stop"] == "before":
        stop()
    answer = transact(bundle, **how)
    if given["stop"] == "after":
        stop()
    return answer
client.transact = stopping
options = Options(settle_after=0)
pushing = Pushing(engine_from_url(given["url"]), client, load_mapping("patient"), "worker", options=options)
print("ready", flush=True)
for line in sys.stdin:
    print(push_patient(pushing, line.strip()).did, flush=True)
"""


@contextmanager
def worker(url: str, sandbox: RunningSandbox, keys: Keys, stop: str = "") -> Iterator[subprocess.Popen[str]]:
    """Start a process that pushes; kill it at the end."""
    import json

    settings = {
        "base_url": sandbox.base_url,
        "client_id": keys.client_id,
        "private_key": keys.private_key_pem,
        "key_id": keys.key_id,
        "jwks_url": keys.jwks_url,
    }
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, json.dumps({"url": url, "settings": settings, "stop": stop})],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            assert says(started) == "ready"
            yield started
        finally:
            started.kill()


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str], crm_id: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{crm_id}\n")
    process.stdin.flush()


@pytest.mark.parametrize("stop", ["before", "after"])
def test_a_push_that_is_killed_around_the_request_is_done_once(
    crm: Any, crm_url: str, sandbox: Any, keys: Keys, pushing: Any, stop: str
) -> None:
    crm_id, before = crm.add(), sandbox.held()["Patient"]
    with worker(crm_url, sandbox, keys, stop) as process:
        tell(process, crm_id)
        assert says(process) == "here"
        assert push_patient(pushing(), crm_id).did == "busy", "the other one is still alive"
        process.kill()
    assert intents.unsettled(crm.engine, pushing().place) == [crm_id]
    assert push_patient(pushing("r2"), crm_id).did == "created"
    assert sandbox.held()["Patient"] == before + 1
    assert sandbox.served("transaction") == 1
    crm.edit(crm_id, city="Lawrence")
    with worker(crm_url, sandbox, keys, stop) as process:
        tell(process, crm_id)
        assert says(process) == "here"
        process.kill()
    assert push_patient(pushing("r3"), crm_id).did == ("updated" if stop == "before" else "unchanged")
    assert intents.unsettled(crm.engine, pushing().place) == []
    assert len(crm.all("ecw_link")) == 1


def test_two_processes_that_push_the_same_patients_create_each_once(
    crm: Any, crm_url: str, sandbox: Any, keys: Keys
) -> None:
    before = sandbox.held()["Patient"]
    ids = [crm.add(identifier=f"ACC-{at}", last_name=name, phone=None) for at, name in enumerate(NAMES[:8])]
    with worker(crm_url, sandbox, keys) as one, worker(crm_url, sandbox, keys) as two:
        for crm_id in ids:
            tell(one, crm_id)
            tell(two, crm_id)
        told = Counter(says(process) for process in (one, two) for _ in ids)
    assert set(told) <= {"created", "busy", "unchanged"}
    assert told["created"] == len(ids)
    assert sandbox.held()["Patient"] == before + len(ids)
    assert sandbox.served("transaction") == len(ids)


FAULTS = ("lose_response", "hang", "server_error", "request_timeout", "drop", "truncate", "too_many", "revoke_token")
CODES = ("103", "2", "308")
SHAPES = ("outcome", "empty", "entry_outcome", "no_location", "absolute", "history")
CITIES = ("Topeka", "Lawrence", "Wichita", "Salina", "Dodge City", "Emporia", "Hays", "Newton")


class Journey:
    """Edits on both sides and pushes with faults, by a seed; what the clinic wrote last is remembered."""

    def __init__(self, crm: Any, sandbox: Any, pushing: Any, seed: int) -> None:
        self.crm, self.sandbox, self.pushing = crm, sandbox, pushing()
        self.random = random.Random(seed)
        self.ids: list[str] = []
        self.cities: dict[str, str] = {}  # by CRM id, what the CRM says
        self.genders: dict[str, str] = {}
        self.clinics: dict[str, str] = {}  # by eCW id, the middle name that the clinic wrote
        self.theirs: dict[str, str] = {}  # the gender that it wrote: eCW wins
        self.did: Counter[str] = Counter()

    def linked(self) -> dict[str, str]:
        return {row["crm_id"]: row["ecw_id"] for row in self.crm.all("ecw_link")}

    def stored(self) -> dict[str, dict[str, Any]]:
        return {each["id"]: each for each in self.sandbox.records("Patient")}

    def new(self) -> None:
        at = len(self.ids)
        name, born = NAMES[at % len(NAMES)], f"19{50 + at // len(NAMES):02}-0{1 + at % 9}-1{at % 9}"
        city = self.random.choice(CITIES)
        crm_id = self.crm.add(identifier=f"J-{at:04}", last_name=name, birth_date=born, phone=None, city=city)
        self.ids.append(crm_id)
        self.cities[crm_id], self.genders[crm_id] = city, "Female"

    def crm_edits(self) -> None:
        for crm_id in self.random.sample(self.ids, k=min(3, len(self.ids))):
            city = self.cities[crm_id] = self.random.choice(CITIES)
            gender = self.genders[crm_id] = self.random.choice(("Male", "Female"))
            self.crm.edit(crm_id, city=city, gender=gender)

    def clinic_edits(self) -> None:
        linked = self.linked()
        if linked:
            ecw_id = self.random.choice(sorted(linked.values()))
            patient = self.sandbox.record("Patient", ecw_id)
            word = f"Clinic{self.random.randrange(1000)}"
            given = [patient["name"][0]["given"][0], word]
            changed = {"name": [patient["name"][0] | {"given": given}]}
            self.clinics[ecw_id] = word
            if self.random.random() < 0.3:
                changed["gender"] = self.theirs[ecw_id] = "unknown"  # the CRM never writes it
            self.sandbox.put(patient | changed)

    def fault(self) -> None:
        nth = self.random.randrange(1, 4)
        kind = self.random.choice((*FAULTS, "write_code", "write_answer"))
        value = {"write_code": self.random.choice(CODES), "write_answer": self.random.choice(SHAPES)}.get(kind, "")
        rule = {"nth": nth, "times": 1, "seconds": 0.01, "value": value}
        self.sandbox.fault(kind, interaction="transaction", **rule)

    def push(self) -> None:
        for crm_id in list(outbox(self.pushing))[:20]:
            pushed = push_patient(self.pushing, crm_id)
            self.did[pushed.did] += 1
            if pushed.did in ("created", "updated") and self.random.random() < 0.3:
                confirm(self.pushing, crm_id)

    def has_arrived(self, crm_id: str, patient: dict[str, Any]) -> bool:
        """Say whether eCW has what the CRM says, but for the gender where the clinic wrote one."""
        gender = patient["id"] in self.theirs or patient["gender"] == self.genders[crm_id].lower()
        return gender and patient["address"][0]["city"] == self.cities[crm_id]

    def steps(self, count: int) -> None:
        ways = (self.new, self.new, self.crm_edits, self.clinic_edits, self.fault, self.push, self.push)
        self.new()
        for _ in range(count):
            self.random.choice(ways)()


@pytest.mark.timeout(900)
def test_a_journey_with_faults_and_kills(
    crm: Any, crm_url: str, sandbox: Any, keys: Keys, pushing: Any, record_property: Any
) -> None:
    before = sandbox.held()["Patient"]
    journey = Journey(crm, sandbox, pushing, seed=7)
    kills = 0
    for stop in ("before", "after", "after", "before"):
        journey.steps(360 if "sqlite" in crm_url else 25)  # the databases differ in locks, which test_alone looks at
        journey.new() if stop == "before" else journey.crm_edits()
        for waiting in list(outbox(journey.pushing))[-1:]:
            with worker(crm_url, sandbox, keys, stop) as process:
                tell(process, waiting)
                kills += says(process) == "here"
    sandbox.fault("latency", seconds=0)
    for _ in range(12):  # faults that were switched on and not met yet fire now
        journey.push()
        if not len(outbox(pushing())):
            break
    linked, stored = journey.linked(), journey.stored()
    pushes = sum(journey.did.values()) + kills
    accounts = Counter(
        each["value"]
        for patient in stored.values()
        for each in patient["identifier"]
        if each["use"] == "secondary" and each["value"].startswith("J-")
    )
    doubled = sum(count - 1 for count in accounts.values())
    lost = [
        crm_id
        for crm_id in journey.ids
        if crm_id not in linked or not journey.has_arrived(crm_id, stored[linked[crm_id]])
    ]
    overwritten = [
        ecw_id
        for ecw_id, word in journey.clinics.items()
        if stored[ecw_id]["name"][0]["given"][1:] != [word]
        or stored[ecw_id]["gender"] != journey.theirs.get(ecw_id, stored[ecw_id]["gender"])
    ]
    told = f"{pushes} pushes, {kills} kills, {dict(journey.did)}"
    record_property("journey", told)
    print(f"{told}: {doubled} doubled, {len(lost)} lost, {len(overwritten)} overwritten clinic edits")  # noqa: T201
    assert (doubled, lost, overwritten) == (0, [], []), told
    assert pushes > (1_000 if "sqlite" in crm_url else 80)
    assert kills
    assert journey.did["unknown"] > 5
    assert len(stored) == before + len(journey.ids)
    assert list(outbox(pushing())) == []
