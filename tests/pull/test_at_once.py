"""A few records in one task: which error it ends with when several resources fail."""

from __future__ import annotations

import pytest

from ecw.errors import ConfigurationWrong, CrmTrouble, EcwError
from ecw.pull import at_once
from ecw.words import Batch
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

MEND = ConfigurationWrong("The mapping is wrong.", next_move="mend it.")
WAIT = CrmTrouble("The CRM is busy.", next_move="wait.")


@pytest.mark.parametrize(
    ("of_patient", "of_insurance", "raised"), [(MEND, WAIT, WAIT), (WAIT, MEND, WAIT), (MEND, MEND, MEND)]
)
@on_sqlite
def test_what_a_retry_can_mend_is_retried_although_a_person_must_mend_the_rest(
    pull: Pulling, sandbox: RunningSandbox, of_patient: EcwError, of_insurance: EcwError, raised: EcwError
) -> None:
    one = {"patient": [sandbox.records("Patient")[0]["id"]]}
    run = pull.begin("manual", options={"resources": ["patient", "insurance"], "ids": one})

    def load(batch: Batch) -> dict[str, int]:
        raise {"patient": of_patient, "insurance": of_insurance}[batch["resource"]]

    with pytest.raises(type(raised)) as failed:
        at_once.pull(run, load)

    assert failed.value is raised
