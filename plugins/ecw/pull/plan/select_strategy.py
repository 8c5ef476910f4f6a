"""Choose the strategy of a resource: from the run's form, the connection, or the server's declared capabilities."""

from __future__ import annotations

from typing import NamedTuple

from ecw.did_you_mean import did_you_mean
from ecw.errors import ConfigurationError
from ecw.fhir.capability import Capability
from ecw.pull.extract.strategies import STRATEGIES
from ecw.resources import Resource, StrategyName
from ecw.settings.pull import Options


class Choice(NamedTuple):
    """The strategies to try in order, and the reason; the next one is used only if eCW refuses a search of the last."""

    strategies: tuple[str, ...]
    reason: str


def choose(resource: Resource, capability: Capability, options: Options) -> Choice:
    """Return the choice for a resource.

    Raises ConfigurationError for a strategy that does not exist, does not fit the resource, or that the server does not
    support.
    """
    if options.few:
        return _for_a_few(resource, options)
    if configured := options.strategies.get(resource.name):
        _check(resource, configured, capability)
        return Choice((configured,), "configured")
    possible = [name for name in resource.strategies if not _missing(resource, name, capability)]
    usable = tuple(name for name in possible if STRATEGIES[name].rounds is not None)
    if not usable:
        raise ConfigurationError(
            f"The server declares no search that returns all of {resource.fhir_type}.",
            next_step=f"check its /metadata; configure one of: {', '.join(resource.strategies)}.",
        )
    skipped = resource.strategies[: resource.strategies.index(usable[0])]
    lacking = [f"{name} needs {', '.join(_missing(resource, name, capability))}" for name in skipped]
    return Choice(usable, f"the server does not declare what {'; '.join(lacking)}" if lacking else "the first choice")


def _for_a_few(resource: Resource, options: Options) -> Choice:
    if options.practitioners:
        strategy = {"encounter": StrategyName.SCHEDULE, "patient": StrategyName.OF_SCHEDULE}.get(
            resource.name, StrategyName.PER_PATIENT
        )
        return Choice((strategy,), "the run is about a practitioner's schedule")
    if resource.name in options.ids:
        return Choice((StrategyName.BY_ID,), "the run is about single records")
    if StrategyName.PER_PATIENT in resource.strategies and "patient" in options.ids:
        return Choice((StrategyName.PER_PATIENT,), "the run is about single patients")
    raise ConfigurationError(
        f"The run is about single records, and {resource.name} is not among them.",
        next_step=f"add ids of {resource.name}, or leave it out of the resources.",
    )


def _check(resource: Resource, name: str, capability: Capability) -> None:
    if name not in resource.strategies:
        problem = "cannot be extracted by" if name in STRATEGIES else "has no strategy"
        raise ConfigurationError(
            f"{resource.name} {problem} {name!r}.", next_step=did_you_mean(name, list(map(str, resource.strategies)))
        )
    if missing := _missing(resource, name, capability):
        raise ConfigurationError(
            f"The strategy {name!r} for {resource.name} searches {resource.fhir_type} by {' and '.join(missing)}, "
            "which the server does not declare.",
            next_step="choose another one in the run's form or in the connection's extra field `pull`.",
        )


def _missing(resource: Resource, name: str, capability: Capability) -> list[str]:
    """Return the searches and parameters that the strategy needs and the server does not declare."""
    if STRATEGIES[name].rounds is None:
        group = capability.resources.get("Group")
        return [] if group is not None and "export" in group.operations else ["Group/$export"]
    if not capability.can(resource.fhir_type, "search-type"):
        return ["search"]
    return [param for param in STRATEGIES[name].params if not capability.takes(resource.fhir_type, param)]
