"""Concurrent requests: a simple read takes eCW seconds."""

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
    """Yield each item with its result, in the order in which the calls end.

    At most `max_concurrency` calls and unused results exist at a time, so that memory does not grow with the number of
    items, even if the caller is slow. After the first error no more items are started; the error is raised when the
    calls in flight have ended.
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
