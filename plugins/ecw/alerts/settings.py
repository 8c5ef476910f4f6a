"""The variable `ecw_alerts`: when a condition becomes an alert, and who is notified (without it: only the log)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic.dataclasses import dataclass

from ecw.alerts.conditions import Thresholds
from ecw.settings import connections
from ecw.settings.base import OPTIONS, described, option, read_options, validated
from ecw.settings.practice import Practice
from ecw.settings.schedule import cron, gaps, resources

VARIABLE = "ecw_alerts"


def _address(text: str) -> str:
    if "@" not in text[1:]:
        raise ValueError("text should be an e-mail address")
    return text


Address = Annotated[str, AfterValidator(_address)]
_OF, _WHERE = f"notification in the variable {VARIABLE}", "the variable"


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _unique(addresses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(addresses))


@dataclass(frozen=True, slots=True, config=OPTIONS)
class Settings:
    """The keys of the variable."""

    webhook: str = option("", "an HTTP connection: each notification is POSTed to it as JSON")
    email: Annotated[tuple[Address, ...], BeforeValidator(_as_tuple), AfterValidator(_unique)] = option(
        (), "one address, or a list of them"
    )
    smtp: str = option("smtp_default", "the SMTP connection for e-mail")
    thresholds: Thresholds = option(Thresholds, "when a condition becomes an alert")

    @property
    def targets(self) -> list[str]:
        """Return the targets as ecw_alert_notification stores them: `webhook <connection>`, `email <address>`."""
        webhook = [f"webhook {self.webhook}"] if self.webhook else []
        return webhook + [f"email {address}" for address in self.email]


def schedule(practice: Practice | None = None) -> tuple[timedelta, Collection[str]]:
    """Return the longest interval between the practice's scheduled pulls, and the resources that they pull."""
    return gaps(cron(practice)).longest, resources(practice)


def settings(practice: Practice | None = None) -> Settings:
    """Read the variable; the practice's own `alerts` in include/practices.yaml override its keys.

    A practice with a webhook or e-mail addresses of its own uses none of the variable's targets.

    Raises ConfigurationError with the wrong key.
    """
    values = read_options(connections.variable(VARIABLE), of=_OF, example='{"webhook": "<HTTP connection>"}')
    own = practice.alerts if practice else {}
    if {"webhook", "email"} & own.keys():
        values = {name: value for name, value in values.items() if name not in ("webhook", "email")}
    values |= own
    limits = {name: values.pop(name) for name, *_ in described(Thresholds) if name in values}
    names = [name for model in (Settings, Thresholds) for name, *_ in described(model) if name != "thresholds"]
    thresholds = validated(Thresholds, limits, of=_OF, where=_WHERE)
    return validated(Settings, values | {"thresholds": thresholds}, of=_OF, where=_WHERE, names=names)
