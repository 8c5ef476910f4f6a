"""The form of the Trigger button: the options of a pull that a person sets for one run."""

from __future__ import annotations

from airflow.sdk import Param

# Empty fields stay what the connection says; ecw.pull.options.Options explains and checks each.
PARAMS = {
    "full": Param(
        False, type="boolean", title="Everything again", description="Map and load also what did not change."
    ),
    "strategies": Param(
        {},
        type="object",
        title="Strategies",
        description='How a resource is extracted, instead of the choice made from what the server declares: \
{"encounter": "per_patient"}.',
    ),
    "ids": Param(
        {},
        type="object",
        title="Only these records",
        description='eCW ids by resource; the insurance and encounters of patients come with them: \
{"patient": ["…"]}.',
    ),
    "allow_long": Param(
        False,
        type="boolean",
        title="Begin even if it takes long",
        description="Also where the plan does not fit before the next run.",
    ),
}
