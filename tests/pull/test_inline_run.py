"""A few records in one task: which error it ends with when several resources fail."""

from __future__ import annotations

import pytest

from ecw.errors import ConfigurationError, DatabaseUnavailable, EcwError
from ecw.models import Batch
from ecw.pull import inline_run, steps
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

FIX = ConfigurationError("The mapping is wrong.", next_step="fix it.")
WAIT = DatabaseUnavailable("The CRM is busy.", next_step="wait.")


@pytest.mark.parametrize(
    ("of_patient", "of_insurance", "raised"), [(FIX, WAIT, WAIT), (WAIT, FIX, WAIT), (FIX, FIX, FIX)]
)
@on_sqlite
def test_what_a_retry_can_fix_is_retried_although_a_person_must_fix_the_rest(
    pull: Pulling, sandbox: RunningSandbox, of_patient: EcwError, of_insurance: EcwError, raised: EcwError
) -> None:
    one = {"patient": [sandbox.records("Patient")[0]["id"]]}
    run = pull.begin("manual", options={"resources": ["patient", "insurance"], "ids": one})

    def load(batch: Batch) -> dict[str, int]:
        raise {"patient": of_patient, "insurance": of_insurance}[batch["resource"]]

    with pytest.raises(type(raised)) as failed:
        inline_run.pull(run, load)

    assert failed.value is raised


@on_sqlite
def test_a_retry_of_a_schedule_tells_of_the_patients_that_the_first_try_made(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    pull("practitioner", "location")
    one = next(each for each in sandbox.records("Encounter") if each["period"]["start"] > "2026-11-23")
    who = one["participant"][0]["individual"]["reference"].removeprefix("Practitioner/")
    run = pull.begin("manual", options={"mode": "schedule", "practitioners": [who]})

    def load(batch: Batch) -> dict[str, int]:
        if batch["resource"] == "encounter":
            raise WAIT
        return steps.load(batch)

    with pytest.raises(DatabaseUnavailable):
        inline_run.pull(run, load)
    [made] = pull.rows("SELECT count(*) AS patients FROM patient")

    told = inline_run.pull(run)

    assert told["patient"]["inserted"] == made["patients"] > 0
    assert told["encounter"]["inserted"] > 0
    [policies] = pull.rows("SELECT count(*) AS number FROM insurance")
    assert told["insurance"]["inserted"] == policies["number"] > 0
