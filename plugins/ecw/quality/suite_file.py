"""The keys of include/quality/*.yaml, as a pydantic model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Ratio = Annotated[float, Field(ge=0, le=1, strict=True)]


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Volume(_Keys):
    """How many records must come again, as a share of what runs that see everything usually fetch."""

    at_least: Ratio
    on_fail: Literal["warn", "stop"]
    reason: str = ""


class Meta(_Keys):
    """What Great Expectations does not know: what a failed row means."""

    on_fail: Literal["warn", "reject", "stop"]
    max_failed_ratio: Ratio | None = None
    reason: str = ""


class Expectation(_Keys):
    """One expectation, as Great Expectations writes it in JSON."""

    type: Text
    kwargs: dict[str, Any] = Field(default_factory=dict)
    meta: Meta


class SuiteFile(_Keys):
    """The suite of one resource; its expectations are read one by one, so that a mistake in one hides none."""

    resource: Text
    small_batch: Annotated[int, Field(ge=0, strict=True)] = 0
    volume: Volume | None = None
    expectations: list[Any]
