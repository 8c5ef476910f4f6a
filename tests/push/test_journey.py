"""Hundreds of pushes with faults, pulls between them and edits on both sides: no patient doubled, no edit lost."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import update

from ecw.crm.db.tables import ecw_claim
from ecw.crm.state.conflicts import text
from ecw.errors import AccessDenied, ConfigurationError, RetryableError
from ecw.models import PushRequest, RunType
from ecw.push import intents, steps
from ecw.push.patient.push import push_patient
from ecw.push.patient.readback import confirm
from ecw.push.plan.outbox import outbox
from tests.fixtures.keys import Keys
from tests.fixtures.pulling import connect
from tests.push.names import NAMES
from tests.push.worker import read_line, worker, write_id

FAULTS = ("lose_response", "hang", "server_error", "request_timeout", "drop", "truncate", "too_many", "revoke_token")
CODES = ("103", "2", "308", "999")
SHAPES = ("outcome", "empty", "entry_outcome", "no_location", "absolute", "history")
# Every kind of fault, with its value.
KINDS = [(kind, "") for kind in FAULTS]
KINDS += [("write_code", code) for code in CODES] + [("write_answer", shape) for shape in SHAPES]
CITIES = ("Topeka", "Lawrence", "Wichita", "Salina", "Dodge City", "Emporia", "Hays", "Newton")
SHOWN_AFTER, SETTLE_AFTER = 0.1, 0.15  # seconds: eCW shows a new patient; an unknown outcome is searched for

# The number of rows that are reused for another person, and the birth date of that person.
REUSED, REUSED_BIRTH_DATE = 5, "2001-02-03"

Key = tuple[str, str]  # CRM id, column


def account(patient: dict[str, Any]) -> str:
    return next((each["value"] for each in patient["identifier"] if each["use"] == "secondary"), "")


def shown(patient: dict[str, Any]) -> dict[str, str]:
    """Return the edited columns of eCW's patient as the CRM's values."""
    name = patient["name"][0]
    return {
        "city": patient["address"][0]["city"],
        "gender": patient["gender"].title(),
        "last_name": name["family"],
        "middle_name": (name["given"][1:] or [""])[0],
    }


class Journey:
    """Random edits on both sides, pushes with faults, and pulls, from a seed.

    `crm_values` and `ecw_values` are the last edits of the CRM and of the clinic that must survive. An edit is removed
    from them when the other side replaces it after having received it: that is not a loss.
    """

    def __init__(
        self, crm: Any, sandbox: Any, pushing: Any, pull: Any, seed: int, use_other_practice: Callable[[bool], None]
    ) -> None:
        self.crm, self.sandbox, self.pull, self.use_other_practice = crm, sandbox, pull, use_other_practice
        self.pushing = pushing(unknown_outcome_wait_seconds=SETTLE_AFTER)
        self._transact, self._search = self.pushing.client.transact, self.pushing.client.search
        self.pushing.client.transact, self.pushing.client.search = self.transact, self.search
        self.random = random.Random(seed)
        self.ids: list[str] = []
        self.crm_values: dict[Key, str] = {}
        self.ecw_values: dict[Key, str] = {}
        self.status: Counter[str] = Counter()
        self.pulls = self.edits = self.kills = 0
        self.twins: set[str] = set()
        self.reused: dict[str, str] = {}  # rows reused for another person: the eCW id that they must not change
        self.edited_before_write = self.lost_claims = self.switched_practices = 0
        self.claims_taken = False
        self.kinds = self._deck()

    def _deck(self) -> Iterator[tuple[str, str]]:
        while True:
            yield from self.random.sample(KINDS, k=len(KINDS))

    def linked(self) -> dict[str, str]:
        """Return the eCW ids of the journey's patients by CRM id."""
        return {row["crm_id"]: row["ecw_id"] for row in self.crm.all("ecw_link") if row["crm_id"] in set(self.ids)}

    def stored(self) -> dict[str, dict[str, Any]]:
        return {each["id"]: each for each in self.sandbox.records("Patient")}

    def new(self) -> None:
        at = len(self.ids)
        name, born = NAMES[at % len(NAMES)], f"19{50 + at // len(NAMES):02}-0{1 + at % 9}-1{at % 9}"
        city = self.random.choice(CITIES)
        crm_id = self.crm.add(identifier=f"J-{at:04}", last_name=name, birth_date=born, phone=None, city=city)
        self.ids.append(crm_id)
        self.crm_values |= {(crm_id, "city"): city, (crm_id, "gender"): "Female", (crm_id, "last_name"): name}

    def twin(self) -> None:
        """Add a patient with the family name and birth date of another, and a first name that is similar or not."""
        other = self.random.choice(self.ids)
        row, first = self.crm.row(other), self.random.choice(("Zofia", "Eva"))
        if other in self.twins or other in self.reused or row["last_name"] not in NAMES:
            return
        self.twins.add(other)
        city = self.random.choice(CITIES)
        same = {"last_name": row["last_name"], "birth_date": str(row["birth_date"]), "phone": None}
        crm_id = self.crm.add(identifier=f"J-T{len(self.twins):03}", first_name=first, city=city, **same)
        self.ids.append(crm_id)
        self.twins.add(crm_id)
        self.crm_values |= {(crm_id, "city"): city, (crm_id, "gender"): "Female"}

    def reuse(self) -> None:
        """Reuse a linked row of the CRM for another person."""
        done = {row["crm_id"] for row in self.crm.all("ecw_intent") if row["state"] == intents.DONE}
        free = sorted(done & set(self.linked()) - set(self.reused) - self.twins)
        if not free or len(self.reused) >= REUSED:
            return
        crm_id = self.random.choice(free)
        self.reused[crm_id] = self.linked()[crm_id]
        self.crm.edit(crm_id, last_name="Quarrington", first_name="Dagmar", birth_date=REUSED_BIRTH_DATE, gender="Male")
        for edits in (self.crm_values, self.ecw_values):
            for key in [key for key in edits if key[0] == crm_id]:
                del edits[key]

    def decide(self) -> None:
        """Decide all held patients as a person would: a candidate with another account number is another patient."""
        for crm_id, one in intents.held(self.crm.engine, self.pushing.place):
            if crm_id not in self.reused and one.choice is None:
                number, stored = self.crm.row(crm_id)["identifier"], self.stored()
                own = [each for each in one.candidates if each in stored and account(stored[each]) == number]
                assert intents.choose(
                    self.crm.engine, self.pushing.place, crm_id, own[0] if own else intents.NEW, "tester"
                )

    # -- what goes wrong between the decision and the write

    def transact(self, request: Any, **options: Any) -> Any:
        """Sometimes let the clinic edit the patient before the request, or another worker take over after it."""
        [entry] = request["entry"]
        crm_ids = {ecw_id: crm_id for crm_id, ecw_id in self.linked().items() if crm_id not in self.reused}
        if entry["request"]["method"] == "PUT" and self.random.random() < 0.1:
            self.clinic_edits(crm_ids[entry["resource"]["id"]])
            self.edited_before_write += 1
        answer = self._transact(request, **options)
        if self.random.random() < 0.04:
            self.take_over_claims()
        return answer

    def search(self, *arguments: Any, **options: Any) -> Any:
        if self.random.random() < 0.02:
            self.take_over_claims()
        return self._search(*arguments, **options)

    def take_over_claims(self) -> None:
        """Take over every claim as another worker."""
        with self.crm.engine.begin() as connection:
            connection.execute(update(ecw_claim).values(token=ecw_claim.c.token + 1, holder="elsewhere 1 1"))
        self.lost_claims, self.claims_taken = self.lost_claims + 1, True

    def switch_practice(self) -> None:
        """Begin a run and let its steps fail with the connection of another practice; then send it with its own."""
        self.switched_practices += 1
        run_id = f"switch__{self.switched_practices}"
        push = steps.begin(PushRequest(run_id, RunType.MANUAL, "ecw_test", "crm_test", options={"limit": 3}))
        self.use_other_practice(True)
        for step in (steps.send, steps.confirm):
            with pytest.raises(ConfigurationError):
                step(push)
        self.use_other_practice(False)
        with suppress(RetryableError, AccessDenied):  # a fault that was set before
            self.status.update(steps.send(push))

    def change(self, side: str) -> dict[str, str]:
        """Return new values for some columns; each value is used once, so that no edit restores an earlier value.

        There are not enough genders for that: the clinic writes one that the CRM never writes.
        """
        self.edits += 1
        new = f"{side}{self.edits}"
        gender = self.random.choice(("Male", "Female")) if side == "Crm" else "Unknown"
        values = {"city": new, "gender": gender, "last_name": new, "middle_name": new}
        names = self.random.sample(["city", "gender", "middle_name"], k=self.random.randrange(1, 3))
        return {name: values[name] for name in names + ["last_name"] * (self.random.random() < 0.2)}

    def write(
        self, crm_id: str, own: dict[Key, str], others: dict[Key, str], current: Any, values: dict[str, str]
    ) -> None:
        for name, value in values.items():
            own[crm_id, name] = value
            if (crm_id, name) in others and others[crm_id, name] == current[name]:
                del others[crm_id, name]

    def crm_edits(self) -> None:
        linked = self.linked()
        not_reused = [crm_id for crm_id in self.ids if crm_id not in self.reused]
        for crm_id in self.random.sample(not_reused, k=min(3, len(not_reused))):
            row = self.crm.row(crm_id)
            values = {name: value for name, value in self.change("Crm").items() if row[name] != value}
            if crm_id not in linked:
                values.pop("last_name", None)  # a person of another name would be another person
            if values:
                self.crm.edit(crm_id, **values)
                self.write(crm_id, self.crm_values, self.ecw_values, row, values)

    def clinic_edits(self, only: str | None = None) -> None:
        linked = sorted((crm_id, ecw_id) for crm_id, ecw_id in self.linked().items() if crm_id not in self.reused)
        chosen = [each for each in linked if each[0] == only] or self.random.sample(linked, k=min(1, len(linked)))
        for crm_id, ecw_id in chosen:
            patient = self.sandbox.record("Patient", ecw_id)
            before = shown(patient)
            values = {name: value for name, value in self.change("Clinic").items() if before[name] != value}
            after, name = before | values, patient["name"][0]
            given = [name["given"][0], *filter(None, [after["middle_name"]])]
            changed = {
                "gender": after["gender"].lower(),
                "address": [patient["address"][0] | {"city": after["city"]}],
                "name": [name | {"family": after["last_name"], "given": given}],
            }
            self.sandbox.put(patient | changed)
            self.write(crm_id, self.ecw_values, self.crm_values, before, values)

    def fault(self, nth: int = 0) -> None:
        kind, value = next(self.kinds)
        rule = {"nth": nth or self.random.randrange(1, 4), "times": 1, "seconds": 0.01, "value": value}
        self.sandbox.fault(kind, interaction="transaction", **rule)

    def fired(self) -> set[tuple[str, str]]:
        return {(rule["kind"], rule["value"]) for rule in self.sandbox.faults() if rule["fired"]}

    def push(self) -> None:
        for crm_id in list(outbox(self.pushing))[:20]:
            pushed = push_patient(self.pushing, crm_id)
            self.status[pushed.status] += 1
            if self.claims_taken:  # the other worker has ended
                with self.crm.engine.begin() as connection:
                    connection.execute(update(ecw_claim).values(holder=None))
                self.claims_taken = False
            if pushed.status in ("created", "updated") and self.random.random() < 0.3:
                confirm(self.pushing, crm_id)

    def pulled(self) -> None:
        self.pull("patient")
        self.pulls += 1

    def kill(self, stop: str, url: str, keys: Keys) -> None:
        """Kill a worker before or after its request, or at a random time."""
        time.sleep(SETTLE_AFTER)
        self.new() if stop == "before" else self.crm_edits()
        waiting = list(outbox(self.pushing))[-4:]
        with worker(url, self.sandbox, keys, stop, SETTLE_AFTER) as process:
            for crm_id in waiting if not stop else waiting[-1:]:
                write_id(process, crm_id)
            if stop:
                self.kills += read_line(process) == "here"
            else:
                time.sleep(self.random.random() * 0.3)
                self.kills += process.poll() is None

    def steps(self, count: int) -> None:
        actions = [self.new, self.new, self.crm_edits, self.clinic_edits, self.fault, self.push, self.push] * 6
        actions += [self.twin, self.twin, self.reuse, self.decide, self.switch_practice]
        self.new()
        for _ in range(count):
            self.random.choice(actions)()

    def end(self) -> None:
        """Trigger the faults that have not occurred, then push and pull until nothing is left to do."""
        for _ in range(len(KINDS) * 2):
            if self.fired() == set(KINDS):
                break
            self.fault(nth=1)
            self.new()
            self.push()
        for _ in range(30):
            time.sleep(SETTLE_AFTER)
            self.push()
            self.decide()
            if not len(outbox(self.pushing)):
                break
        self.pulled()
        self.push()

    def lost_edits(self, edits: dict[Key, str], side: str, stored: dict[str, dict[str, Any]]) -> list[Key]:
        """Return the edits that eCW does not have now and no conflict records."""
        linked = self.linked()
        recorded = {(row["crm_id"], row["column"]): row[f"{side}_value"] for row in self.crm.all("ecw_conflict")}
        return [
            (crm_id, name)
            for (crm_id, name), value in edits.items()
            if crm_id not in linked or shown(stored[linked[crm_id]])[name] != value
            if recorded.get((crm_id, name)) != text(value)
            if side == "emr" or name != "gender" or (crm_id, name) not in self.ecw_values
        ]

    def wrong_charts(self, stored: dict[str, dict[str, Any]]) -> list[str]:
        """Return the eCW ids of charts whose data belong to another person than their account number."""
        owners = {self.crm.row(crm_id)["identifier"]: crm_id for crm_id in self.ids}
        wrong = []
        for crm_id, ecw_id in self.linked().items():
            patient, row = stored[ecw_id], self.crm.row(crm_id)
            first = "Ewa" if crm_id in self.reused else row["first_name"]
            own = owners.get(account(patient)) == crm_id and patient["name"][0]["given"][0] == first
            if not own or patient["birthDate"] == REUSED_BIRTH_DATE:
                wrong.append(ecw_id)
        return wrong

    def differences(self, stored: dict[str, dict[str, Any]]) -> list[Key]:
        """Return the columns in which the two sides differ without an open conflict.

        A gender that the clinic wrote twice does not count: the second edit may equal the value before it.
        """
        open_conflicts = {
            (row["crm_id"], row["column"]) for row in self.crm.all("ecw_conflict") if row["state"] == "open"
        }
        return [
            (crm_id, name)
            for crm_id, ecw_id in self.linked().items()
            if crm_id not in self.reused
            for name, value in shown(stored[ecw_id]).items()
            if (crm_id, name) not in open_conflicts and (self.crm.row(crm_id)[name] or "") != value
            if name != "gender" or (crm_id, name) not in self.ecw_values
        ]


@pytest.mark.journey
@pytest.mark.parametrize(
    "crm_url", [pytest.param("sqlite", marks=pytest.mark.slow), "postgresql"], indirect=True
)  # hundreds of pushes on SQLite, some dozens on PostgreSQL
def test_many_pushes_with_faults_and_kills_double_and_lose_nothing(
    crm: Any,
    crm_url: str,
    sandbox: Any,
    keys: Keys,
    pushing: Any,
    pull: Any,
    run: Any,
    monkeypatch: pytest.MonkeyPatch,
    sandbox_factory: Any,
    record_property: Any,
) -> None:
    sandbox.set(create_delay=SHOWN_AFTER, versions=True, cache_seconds=60)
    other = sandbox_factory(patients=3, practice=sandbox.practice)
    before, long = sandbox.held()["Patient"], "sqlite" in crm_url

    def use_other_practice(other_practice: bool) -> None:
        connect(monkeypatch, other if other_practice else sandbox, keys)

    journey = Journey(crm, sandbox, pushing, pull, 7, use_other_practice)
    for stop in ("before", "", "after", ""):
        journey.steps(400 if long else 25)  # the databases differ only in their locks, which test_locks tests
        journey.kill(stop, crm_url, keys)
        journey.pulled()
    journey.end()
    stored = journey.stored()
    pushes = sum(journey.status.values()) + journey.kills
    accounts = Counter(
        each["value"]
        for patient in stored.values()
        for each in patient["identifier"]
        if each["use"] == "secondary" and each["value"].startswith("J-")
    )
    doubled = sum(count - 1 for count in accounts.values()) + len(stored) - before - len(journey.ids)
    wrong = journey.wrong_charts(stored)
    lost, wiped = (
        journey.lost_edits(journey.crm_values, "crm", stored),
        journey.lost_edits(journey.ecw_values, "emr", stored),
    )
    statuses = {str(status): count for status, count in journey.status.items()}
    record_property(
        "figures",
        f"{pushes} pushes {statuses}, {len(journey.fired())} kinds of faults, {journey.kills} kills, "
        f"{journey.pulls} pulls, {len(journey.twins)} twins, {len(journey.reused)} rows used again, "
        f"{journey.edited_before_write} edits between read and write, {journey.lost_claims} lost claims, "
        f"{journey.switched_practices} switched connections, "
        f"{len(crm.all('ecw_conflict'))} conflicts: {len(wrong)} wrong charts, {doubled} doubled, {len(lost)} lost, "
        f"{len(wiped)} overwritten",
    )
    assert (wrong, doubled, lost, wiped, journey.differences(stored)) == ([], 0, [], [], [])
    assert other.served() == 0, "no call went to the other practice"
    if long:
        assert min(len(journey.twins), journey.edited_before_write, journey.lost_claims, journey.switched_practices) > 5
        assert len(journey.reused) == REUSED
    assert journey.fired() == set(KINDS)
    assert pushes > (1_000 if long else 80)
    assert journey.kills >= 3, "one worker may have had nothing to send"
    assert journey.status["unknown"] > 5
    assert len(crm.all("ecw_conflict")) > (20 if long else 0)
    assert set(journey.linked()) == set(journey.ids)
    assert intents.unsettled(crm.engine, journey.pushing.place) == []
    assert list(outbox(pushing())) == []
