"""Many requests in flight at once, because a simple read takes eCW seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

IN_FLIGHT = 16
Item = TypeVar("Item")
Result = TypeVar("Result")


def concurrent(
    call: Callable[[Item], Result], items: Iterable[Item], max_concurrency: int = IN_FLIGHT
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with its result, in the order in which they are ready.

    At most `max_concurrency` results exist at a time: an item is taken only when there is room, so that memory does not
    grow with the number of items, however slowly the results are used. The first error stops everything: no more
    items are taken, and it is raised when the calls in flight have ended.
    """
    waiting = iter(items)
    with ThreadPoolExecutor(max_concurrency, thread_name_prefix="ecw") as pool:
        running: dict[Future[Result], Item] = {}
        while True:
            for item in islice(waiting, max_concurrency - len(running)):
                running[pool.submit(call, item)] = item
            if not running:
                return
            ready, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ready:
                yield running.pop(future), future.result()
