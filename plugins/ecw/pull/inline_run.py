"""All steps of a run in one process: a few records within seconds, and whatever `ecw pull` is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from threading import Thread

from ecw.errors import EcwError, FatalError
from ecw.models import Batch, Run
from ecw.pull import steps
from ecw.pull.plan import plan
from ecw.resources import RESOURCES

log = logging.getLogger(__name__)


def pull(run: Run, load: Callable[[Batch], dict[str, int]] = steps.load) -> dict[str, dict[str, int]]:
    """Pull the resources of the run's plan, each by `load` in the end; return the numbers of each.

    The records of single patients are fetched side by side. Of a schedule the appointments come first, because they say
    who the patients are; they are loaded last, because they refer to them. Whole resources come one after the other:
    what is fetched of one depends on what was loaded of another.

    Raises an error, after everything else was done, as in tasks of their own: the first that a retry can fix, else the
    first. What refers to a record that failed waits for it in the CRM, and the retry does the rest.
    """
    # It costs seconds, and most of the time until it is needed is waiting for eCW.
    Thread(target=import_module, args=("ecw.quality.gx_runner",), daemon=True).start()
    planned = plan.of(run)
    names, options = [name for name in RESOURCES if name in planned["resources"]], plan.options_of(planned)
    done: dict[str, dict[str, int]] = {}
    errors: list[Exception] = []
    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        fetched: dict[str, Future[Batch]] = {}
        if options.practitioners:
            fetched = {"encounter": _ended(pool.submit(steps.extract, run, "encounter"))}
        elif options.few:
            fetched = {name: pool.submit(steps.extract, run, name) for name in names}
        for name in names:
            try:
                batch = fetched[name].result() if name in fetched else steps.extract(run, name)
                done[name] = load(steps.check(steps.map(batch)))
            except Exception as error:  # noqa: BLE001 - the others are not to suffer from it; it is raised below
                log.error("%s: %s", name, error if isinstance(error, EcwError) else type(error).__name__)
                errors.append(error)
    if errors:
        raise next((error for error in errors if not isinstance(error, FatalError)), errors[0])
    return done


def _ended(fetching: Future[Batch]) -> Future[Batch]:
    fetching.exception()
    return fetching
