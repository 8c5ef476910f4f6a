"""The error tree: every class is in the drawing, and every message has a next step."""

from __future__ import annotations

import pickle
import re

from ecw import errors
from ecw.errors import EcwError, FatalError, RateLimited, RetryableError, ServerUnavailable


def classes() -> list[type[EcwError]]:
    return [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, EcwError)]


def test_the_drawing_shows_every_class_below_its_parent() -> None:
    lines = re.findall(r"^([│├└─ ]*)(\w+)", errors.__doc__.split("EcwError", 1)[1], flags=re.M)  # type: ignore[union-attr]
    drawn = [(len(branch) // 4, name) for branch, name in lines if "─" in branch]
    assert len(drawn) > 8
    path: list[str] = ["EcwError"]
    parents = {}
    for depth, name in drawn:
        path[depth:] = [name]
        parents[name] = path[depth - 1]
    assert parents == {c.__name__: c.__base__.__name__ for c in classes() if c is not EcwError and c.__base__}


def test_every_error_is_either_retryable_or_fatal() -> None:
    assert all(issubclass(c, RetryableError | FatalError) for c in classes() if c is not EcwError)


def test_a_message_names_the_problem_then_the_person_and_the_next_step() -> None:
    error = ServerUnavailable("eCW answered 503.", next_step="wait; the task is tried again.")
    assert str(error) == "eCW answered 503. Next (Airflow): wait; the task is tried again."


def test_an_error_can_be_pickled() -> None:
    error = RateLimited("The calls are used up.", next_step="wait a minute.", who="the practice")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  -- bytes of this test
    assert (type(again), str(again), again.who) == (RateLimited, str(error), "the practice")
