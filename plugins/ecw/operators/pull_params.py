"""The form of the Trigger button: the options of a pull that a person sets for one run.

Fields that are left as they are stay what the connection and the settings say. ecw.settings.pull reads the form (its
FORM names these fields), ecw.pull.plan.validate_request refuses what makes no sense.
"""

from __future__ import annotations

from airflow.sdk import Param

from ecw.resources import RESOURCES
from ecw.settings.pull import AUTOMATIC, CHANGES, FULL, MODES, PATIENTS, SCHEDULE

# What to pull has no section: Airflow shows that part opened, and the others closed.
_WINDOW, _HOW = "From and until", "How"

PARAMS = {
    "resources": Param(
        [],
        type=["array", "null"],
        items={"type": "string", "enum": list(RESOURCES)},
        examples=list(RESOURCES),
        title="Resources",
        description="Nothing chosen: those that the schedule pulls (variable `ecw_pull_resources`).",
    ),
    "mode": Param(
        CHANGES,
        type="string",
        enum=list(MODES),
        values_display={
            CHANGES: "what changed",
            FULL: "everything again",
            PATIENTS: "only these patients",
            SCHEDULE: "a practitioner's schedule",
        },
        title="Mode",
        description="Everything again also maps and loads what did not change.",
    ),
    "patients": Param(
        None,
        type=["array", "null"],
        items={"type": "string", "maxLength": 64},
        maxItems=500,
        title="Only these patients",
        description="eCW or CRM ids, one a line; their insurance and encounters come with them. No MR numbers: Airflow "
        "keeps what stands here; `ecw find` tells the ids. "
        "For the mode 'only these patients'.",
    ),
    "practitioners": Param(
        None,
        type=["array", "null"],
        items={"type": "string", "maxLength": 64},
        maxItems=100,
        title="Practitioners",
        description="eCW ids, one a line; their appointments come, and patients who are not in the CRM yet. "
        "For the mode 'a practitioner's schedule'.",
    ),
    "since": Param(
        None,
        type=["string", "null"],
        format="date-time",
        title="From",
        description="Empty: where the last run ended. Only for resources whose search takes dates.",
        section=_WINDOW,
    ),
    "until": Param(
        None,
        type=["string", "null"],
        format="date-time",
        title="Until",
        description="Empty: now; for a schedule, as far ahead as usual.",
        section=_WINDOW,
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Everything but the load: the summary shows the numbers it would give, the tab Quality "
        "what the rules find; no record is written.",
        section=_HOW,
    ),
    "ignore_time_budget": Param(
        False,
        type="boolean",
        title="Begin even if it takes long",
        description="Also where the plan does not fit before the next run.",
        section=_HOW,
    ),
} | {
    f"strategy_{each.name}": Param(
        AUTOMATIC,
        type="string",
        enum=[AUTOMATIC, *each.strategies],
        title=f"Strategy for {each.name}",
        description="Automatic: what the connection says, else chosen from what the server declares.",
        section=_HOW,
    )
    for each in RESOURCES.values()
}
