"""Do the same on many hosts in parallel. One host's failure does not stop the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, ParamSpec, TypeVar

from kamal_dev.errors import DevError

TICK = 1.0  # seconds until Ctrl-C is noticed, at most

Item = TypeVar("Item")
Value = TypeVar("Value")
Known = ParamSpec("Known")


class Background(Generic[Value]):
    """Run one function in the background; `result()` waits for it and re-raises its exception."""

    def __init__(self, work: Callable[[], Value], name: str | None = None) -> None:
        """`name` is the name of its thread."""
        self._future: Future[Value] = Future()
        threading.Thread(target=self._run, args=(work,), name=name, daemon=True).start()

    def _run(self, work: Callable[[], Value]) -> None:
        try:
            self._future.set_result(work())
        except BaseException as error:  # raised when the result is read
            self._future.set_exception(error)

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self._future.done()

    def wait(self, seconds: float) -> None:
        """Wait for the end, or until the timeout."""
        wait((self._future,), timeout=seconds)

    def result(self) -> Value:
        """Wait for the end; return the value or raise the function's exception."""
        return _result(self._future)


class once(Generic[Known, Value]):  # noqa: N801 # a decorator
    """Cache the result of a function by its arguments; parallel calls with the same arguments run it once."""

    def __init__(self, work: Callable[Known, Value]) -> None:
        self._known: dict[object, Value] = {}
        self._asking: dict[object, threading.Lock] = {}
        self._guard = threading.Lock()
        self._work = work

    def __call__(self, *given: Known.args, **named: Known.kwargs) -> Value:
        """Return the result for these hashable arguments; exceptions are not cached."""
        key = (given, *named.items())
        with self._guard:
            asking = self._asking.setdefault(key, threading.Lock())
        with asking:
            if key not in self._known:
                self._known[key] = self._work(*given, **named)
            return self._known[key]

    def forget(self) -> None:
        """Forget everything."""
        self._known.clear()


def each(items: Iterable[Item], work: Callable[[Item], Value], *, limit: int) -> list[Value | DevError]:
    """Call `work` on every item, at most `limit` at once; returns results in the items' order.

    A DevError becomes that item's result. Any other exception is raised once all items are done.
    """
    items = list(items)
    if not items:
        return []
    pool = ThreadPoolExecutor(max_workers=min(limit, len(items)))
    try:
        futures = [pool.submit(_guarded, work, item) for item in items]
        for future in futures:
            _settled(future)
        return [future.result() for future in futures]
    finally:
        # Don't wait here: after an interrupt, the caller closes the connections, which frees the workers.
        pool.shutdown(wait=False, cancel_futures=True)


def _result(future: Future[Value]) -> Value:
    _settled(future)
    return future.result()


def _settled(future: Future[Value]) -> None:
    """Wait with a short timeout in a loop: a signal that arrives just before an unlimited wait would not end it."""
    while not wait((future,), timeout=TICK).done:
        pass


def _guarded(work: Callable[[Item], Value], item: Item) -> Value | DevError:
    try:
        return work(item)
    except DevError as error:
        return error
