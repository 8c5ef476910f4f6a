"""Import Great Expectations without its logs and warnings, and without the modules that are not needed."""

from __future__ import annotations

import gc
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# Only expectations that the catalogue leaves out use them (Kullback-Leibler, Kolmogorov-Smirnov). They cost a second of
# CPU.
UNUSED = ("altair", "scipy.stats")


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Replace these modules by empty ones during the `with`; a later import gets the real ones."""
    empty = {name: ModuleType(name) for name in names if name not in sys.modules}
    sys.modules.update(empty)
    try:
        yield
    finally:
        for name, module in empty.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Exempt the objects created in the `with` from garbage collection, which costs a fifth of the import's time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


# It logs tracebacks, which hold values, and many messages while it is imported.
logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
with warnings.catch_warnings(), _without(UNUSED), _without_garbage_collection():
    # Deprecations inside it and its dependencies do not concern the person on call.
    warnings.simplefilter("ignore")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.exceptions.exceptions import GreatExpectationsError
    from great_expectations.execution_engine import pandas_execution_engine
    from great_expectations.expectations.expectation import Expectation
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.registry import get_expectation_impl

logging.getLogger("great_expectations.data_context.types.base").setLevel(
    logging.CRITICAL
)  # this logger sets its own level
# It computes no fingerprint of larger frames. Nobody uses the fingerprint, and it hashes every value.
pandas_execution_engine.HASH_THRESHOLD = -1


_EXPECTATION: Any = Expectation  # Any, because types do not allow to replace a property
_CONFIGURATION = _EXPECTATION.configuration


@contextmanager
def configurations_kept() -> Iterator[None]:
    """Cache each expectation's configuration: it is computed 136 times a check, over a quarter of the CPU time.

    Use it only in code that changes no expectation, and in one thread at a time.
    """
    kept: dict[
        int, tuple[Expectation, ExpectationConfiguration]
    ] = {}  # by id; the value keeps the expectation alive, so that its id is not reused

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
