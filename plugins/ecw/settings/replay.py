"""What the form of a replay may say: which of the open rejects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic.dataclasses import dataclass

from ecw.resources import RESOURCES
from ecw.settings.base import OPTIONS, ResourceName, form_fields, option, require_own_keys, said, validated


@dataclass(frozen=True, slots=True, config=OPTIONS)
class ReplayOptions:
    """Every key; what is empty chooses nothing out, all empty: every open reject."""

    resources: list[ResourceName] = option(
        list,
        "only these resources; none: all",
        form={
            "title": "Resources",
            "description": "Only these; none: all.",
            "items": {"type": "string", "enum": list(RESOURCES)},
            "examples": list(RESOURCES),
        },
    )
    rule: str = option(
        "",
        "only what this rule rejected",
        form={
            "title": "Rule",
            "description": "Only what is rejected by this rule, as `ecw status` names it: unmapped code.",
        },
    )
    run: str = option(
        "",
        "only what this run rejected",
        form={"title": "Run", "description": "Only what was rejected by the pull with this run id."},
    )
    ids: list[str] = option(
        list,
        "only these eCW ids",
        form={
            "title": "eCW ids",
            "description": "Only these records, one id a line.",
        },
    )

    @classmethod
    def read(cls, source: Mapping[str, Any] | str | None) -> Self:
        """Read what a run says, as an object or as JSON.

        Raises ConfigurationError naming the key and what it may be.
        """
        form = said(source, of="replay", example='{"resources": ["patient"]}')
        require_own_keys(form, FORM, "replay")
        given = {name: value for name, value in form.items() if value is not None}
        return validated(cls, given, of="replay", where="the run's form")


FIELDS = form_fields(ReplayOptions)
FORM = tuple(FIELDS)
