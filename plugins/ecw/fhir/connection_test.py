"""Test a connection step by step, for Test Connection and `ecw check`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ecw.errors import AccessDenied, AuthenticationError, EcwError, KeyNotPublished, RetryableError
from ecw.fhir.auth.jwks import check_published
from ecw.fhir.auth.tokens import Purpose
from ecw.fhir.client import EcwClient

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the test and its result: the findings, or the cause and the next step."""

    name: str
    ok: bool
    text: str
    tells_of_app: bool = False  # the failure is about keys, scopes or the registration, not about the network


def steps(client: EcwClient) -> Iterator[Step]:
    """Yield the steps until one fails: discovery of the token endpoint, the key, a token, one read."""
    for name, step in (("discovery", _discovery), ("key", _key), ("token", _token), ("read", _read)):
        found = _result(name, step, client)
        yield found
        if not found.ok:
            return


def for_anybody(taken: Iterable[Step]) -> tuple[bool, str]:
    """Return the result of `in_words`, but write the text of a network failure to the log only.

    Otherwise everybody who can type a URL into Airflow's form could find out which hosts and ports can be reached.
    """
    done = list(taken)
    last = done[-1]
    if last.ok or last.tells_of_app:
        return in_words(done)
    log.warning("Test Connection: the %s failed. %s", last.name, last.text)
    return False, (
        f"The {last.name} failed: eClinicalWorks did not answer. Next (data engineer): check the base URL, the JWKS "
        "URL and the token URL; the log of Airflow's API server and `ecw check` say why."
    )


def in_words(taken: Iterable[Step]) -> tuple[bool, str]:
    """Return True and all findings if every step succeeded, else False and the failure."""
    done = list(taken)
    if not done[-1].ok:
        return False, f"The {done[-1].name} failed. {done[-1].text}"
    return True, " ".join(f"{step.name.capitalize()}: {step.text}" for step in done)


def _result(name: str, step: Callable[[EcwClient], str], client: EcwClient) -> Step:
    try:
        return Step(name, True, step(client))
    except RetryableError as error:  # a person is waiting here, not Airflow
        return Step(name, False, f"{error.what} Next (data engineer): {error.next_step}")
    except EcwError as error:
        return Step(name, False, str(error), isinstance(error, AuthenticationError | AccessDenied | KeyNotPublished))


def _discovery(client: EcwClient) -> str:
    return f"practice {client.practice}, token endpoint {client.tokens.token_url()}."


def _key(client: EcwClient) -> str:
    settings = client.settings
    if settings.private_key is None:
        return "a client secret is used."
    if settings.jwks_url is None:
        return "not compared with the published one, because jwks_url is empty."
    check_published(settings, client.transport)
    return f"{settings.key_id!r} is published at {settings.jwks_url}."


def _token(client: EcwClient) -> str:
    return f"granted for {', '.join(client.tokens.token(Purpose.READ).scopes)}."


def _read(client: EcwClient) -> str:
    first_page = next(client.search("Practitioner"), [])
    return f"{len(first_page)} practitioners on the first page."
