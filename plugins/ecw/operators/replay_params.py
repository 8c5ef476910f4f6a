"""The form of a replay: which of the open rejects."""

from __future__ import annotations

from airflow.sdk import Param

from ecw.resources import RESOURCES

# Empty fields choose nothing out; all empty: every open reject. ecw.pull.replay.steps.Chosen explains and checks each.
PARAMS = {
    "resources": Param(
        [],
        type="array",
        items={"type": "string", "enum": list(RESOURCES)},
        examples=list(RESOURCES),
        title="Resources",
        description="Only these; none: all five.",
    ),
    "rule": Param(
        "",
        type="string",
        title="Rule",
        description="Only what is rejected by this rule, as `ecw status` names it: unmapped code.",
    ),
    "run": Param("", type="string", title="Run", description="Only what was rejected by the pull with this run id."),
    "ids": Param(
        [],
        type="array",
        items={"type": "string"},
        title="eCW ids",
        description="Only these records, one id a line.",
    ),
}
