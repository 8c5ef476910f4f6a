"""Great Expectations, imported the way that a task wants it: without what it would log, warn or load for nothing."""

from __future__ import annotations

import gc
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# Only expectations that the catalogue leaves out use them (Kullback-Leibler, Kolmogorov-Smirnov); a second of CPU.
UNUSED = ("altair", "scipy.stats")


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Let imports of these modules find an empty one; afterwards whoever imports them gets the real one."""
    empty = {name: ModuleType(name) for name in names if name not in sys.modules}
    sys.modules.update(empty)
    try:
        yield
    finally:
        for name, module in empty.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Make objects that stay without looking for garbage among them, then or later: a fifth of the import's time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


# It logs tracebacks, and they hold values; and a page of news while it is imported.
logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
with warnings.catch_warnings(), _without(UNUSED), _uncollected():
    # What it deprecates in itself and in its dependencies is no news for the person on call.
    warnings.simplefilter("ignore")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.exceptions.exceptions import GreatExpectationsError
    from great_expectations.execution_engine import pandas_execution_engine
    from great_expectations.expectations.expectation import Expectation
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.registry import get_expectation_impl

logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.CRITICAL)  # it set one of its own
# Above this size it makes no fingerprint of a frame, which nobody looks at, and which hashes every value.
pandas_execution_engine.HASH_THRESHOLD = -1


_EXPECTATION: Any = Expectation  # whose property is replaced, which types do not allow
_CONFIGURATION = _EXPECTATION.configuration


@contextmanager
def configurations_kept() -> Iterator[None]:
    """Let each expectation make its configuration once: it would 136 times a check, over a quarter of its CPU.

    For code that changes no expectation, one thread at a time.
    """
    kept: dict[int, tuple[Expectation, ExpectationConfiguration]] = {}  # with its owner, so that no other has its id

    def configuration(expectation: Expectation) -> ExpectationConfiguration:
        if (found := kept.get(id(expectation))) is None:
            found = kept[id(expectation)] = expectation, _CONFIGURATION.fget(expectation)
        return found[1]

    _EXPECTATION.configuration = property(configuration)
    try:
        yield
    finally:
        _EXPECTATION.configuration = _CONFIGURATION


__all__ = ["GreatExpectationsError", "ProgressBarsConfig", "configurations_kept", "get_expectation_impl", "gx"]
