"""The variable `ecw_alerts`: from when on something is wrong, and who is told (without it: the log alone)."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from ecw.alerts.conditions import Thresholds
from ecw.errors import ConfigurationError
from ecw.settings import connections
from ecw.settings.practices import Practice
from ecw.settings.schedule import cron, gaps, resources

VARIABLE = "ecw_alerts"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the variable says."""

    webhook: str = ""  # an HTTP connection: every notice is POSTed to it as JSON
    email: tuple[str, ...] = ()
    smtp: str = "smtp_default"  # the connection for e-mail
    thresholds: Thresholds = field(default_factory=Thresholds)

    @property
    def targets(self) -> list[str]:
        """Who is told, by the names under which ecw_alert_notification knows them."""
        webhook = [f"webhook {self.webhook}"] if self.webhook else []
        return webhook + [f"email {address}" for address in self.email]


def schedule(practice: Practice | None = None) -> tuple[timedelta, Collection[str]]:
    """Return how often the practice's pull runs by itself, and what it then pulls."""
    return gaps(cron(practice)).longest, resources(practice)


def settings(practice: Practice | None = None) -> Settings:
    """Read the variable, with what include/practices.yaml says of a practice's own alerts over it.

    A practice that names a webhook or addresses names all of them.  Raises ConfigurationError naming what is wrong.
    """
    written = connections.variable(VARIABLE)
    own = practice.alerts if practice else {}
    try:
        said = {} if written is None else json.loads(written)
    except ValueError:
        said = None
    if isinstance(said, dict):
        if {"webhook", "email"} & own.keys():
            said = {name: value for name, value in said.items() if name not in ("webhook", "email")}
        said |= own
    if not isinstance(said, dict):
        raise _wrong("is not a JSON object", 'write it as {"webhook": "<HTTP connection>", "email": ["<address>"]}.')
    limits = {each.name: _number(said, each.name) for each in fields(Thresholds) if each.name in said}
    names = [each.name for each in fields(Settings) if each.name != "thresholds"]
    usual = [*names, *(each.name for each in fields(Thresholds))]
    if unknown := sorted(set(said) - set(usual)):
        raise _wrong(f"has the unknown key {unknown[0]!r}", f"use {', '.join(usual)}.")
    return Settings(
        webhook=_text(said, "webhook", ""),
        email=_addresses(said.get("email", [])),
        smtp=_text(said, "smtp", "smtp_default"),
        thresholds=Thresholds(**limits),
    )


def _text(said: dict[str, Any], name: str, usual: str) -> str:
    value = said.get(name, usual)
    if not isinstance(value, str):
        raise _wrong(f"has a {name!r} that is not a text", "write the id of an Airflow connection.")
    return value


def _addresses(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(one, str) and "@" in one[1:] for one in listed):
        raise _wrong("has an 'email' that is not a list of addresses", 'write it as ["name@example.org"].')
    return tuple(dict.fromkeys(listed))


def _number(said: dict[str, Any], name: str) -> float:
    value = said[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
        raise _wrong(f"has a {name!r} that is not a number above 0", "write it without quotes, or leave it out.")
    return float(value)


def _wrong(what: str, next_move: str) -> ConfigurationError:
    return ConfigurationError(f"The variable {VARIABLE} {what}.", next_move=next_move)
