"""All steps of a run in one process: for runs about a few records, and for `ecw pull`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from threading import Thread

from ecw.errors import EcwError, FatalError
from ecw.models import Batch, Run
from ecw.pull import run_plan, steps
from ecw.resources import RESOURCES

log = logging.getLogger(__name__)


def pull(run: Run, load: Callable[[Batch], dict[str, int]] = steps.load) -> dict[str, dict[str, int]]:
    """Pull the resources of the run's plan, with `load` as the last step; return the counts of each resource.

    The records of single patients are fetched concurrently. In a pull of a schedule, the appointments are fetched
    first, because they name the patients, and loaded last, because they refer to them. Whole resources are pulled one
    after the other, because the extract of one depends on the load of another.

    An error of one resource does not stop the others. At the end, raises the first error that a retry can fix, or else
    the first error. Rows that refer to a failed record are deferred in the CRM, and the retry loads them.
    """
    # This import takes seconds, which pass while the extract waits for eCW.
    Thread(target=import_module, args=("ecw.quality.gx_runner",), daemon=True).start()
    planned = run_plan.of(run)
    names, options = [name for name in RESOURCES if name in planned["resources"]], run_plan.options_of(planned)
    done: dict[str, dict[str, int]] = {}
    errors: list[Exception] = []
    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        fetched: dict[str, Future[Batch]] = {}
        if options.practitioners:
            fetched = {"encounter": _finished(pool.submit(steps.extract, run, "encounter"))}
        elif options.few:
            fetched = {name: pool.submit(steps.extract, run, name) for name in names}
        for name in names:
            try:
                batch = fetched[name].result() if name in fetched else steps.extract(run, name)
                done[name] = load(steps.check(steps.map(batch)))
            except Exception as error:  # noqa: BLE001 - the other resources go on; it is raised below
                log.error("%s: %s", name, error if isinstance(error, EcwError) else type(error).__name__)
                errors.append(error)
    if errors:
        raise next((error for error in errors if not isinstance(error, FatalError)), errors[0])
    return done


def _finished(extract: Future[Batch]) -> Future[Batch]:
    """Wait until the extract has ended, with or without an error."""
    extract.exception()
    return extract
