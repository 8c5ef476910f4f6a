"""The variable `ecw_alerts`: from when on something is wrong, and who is notified (without it: the log alone)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic.dataclasses import dataclass

from ecw.alerts.conditions import Thresholds
from ecw.settings import connections
from ecw.settings.base import OPTIONS, described, option, said, validated
from ecw.settings.practice import Practice
from ecw.settings.schedule import cron, gaps, resources

VARIABLE = "ecw_alerts"


def _address(text: str) -> str:
    if "@" not in text[1:]:
        raise ValueError("text should be an e-mail address")
    return text


Address = Annotated[str, AfterValidator(_address)]
_OF, _WHERE = f"notice in the variable {VARIABLE}", "the variable"


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _once(addresses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(addresses))


@dataclass(frozen=True, slots=True, config=OPTIONS)
class Settings:
    """What the variable says."""

    webhook: str = option("", "an HTTP connection: each notification is POSTed to it as JSON")
    email: Annotated[tuple[Address, ...], BeforeValidator(_listed), AfterValidator(_once)] = option(
        (), "one address, or a list of them"
    )
    smtp: str = option("smtp_default", "the SMTP connection for e-mail")
    thresholds: Thresholds = option(Thresholds, "when a condition becomes an alert")

    @property
    def targets(self) -> list[str]:
        """Who is notified, by the names under which ecw_alert_notification knows them."""
        webhook = [f"webhook {self.webhook}"] if self.webhook else []
        return webhook + [f"email {address}" for address in self.email]


def schedule(practice: Practice | None = None) -> tuple[timedelta, Collection[str]]:
    """Return how often the practice's pull runs by itself, and what it then pulls."""
    return gaps(cron(practice)).longest, resources(practice)


def settings(practice: Practice | None = None) -> Settings:
    """Read the variable, with what include/practices.yaml says of a practice's own alerts over it.

    A practice that names a webhook or addresses names all of them.  Raises ConfigurationError naming what is wrong.
    """
    found = said(connections.variable(VARIABLE), of=_OF, example='{"webhook": "<HTTP connection>"}')
    own = practice.alerts if practice else {}
    if {"webhook", "email"} & own.keys():
        found = {name: value for name, value in found.items() if name not in ("webhook", "email")}
    found |= own
    limits = {name: found.pop(name) for name, *_ in described(Thresholds) if name in found}
    names = [name for model in (Settings, Thresholds) for name, *_ in described(model) if name != "thresholds"]
    thresholds = validated(Thresholds, limits, of=_OF, where=_WHERE)
    return validated(Settings, found | {"thresholds": thresholds}, of=_OF, where=_WHERE, names=names)
