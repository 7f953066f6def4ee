"""Where the cases of a sweep run: in this process, in others of this machine, or on a Dask cluster."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from multiprocessing import active_children, get_context, parent_process
from typing import Any

from kinepose_ocp.errors import KineposeError

PATIENCE = 10  # s; how long a scheduler may take to answer


@contextmanager
def executor(workers: int = 1, scheduler: str | None = None) -> Iterator[Any]:
    """Yield what :func:`sweep.sweep` takes as ``executor``; its processes end with the block.

    Parameters
    ----------
    workers
        Processes of this machine; 1: the caller's own.
    scheduler
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``, instead.

    Raises
    ------
    KineposeError
        When the scheduler does not answer, or ``distributed`` is not installed.
    """
    if scheduler is not None:
        with _client(scheduler) as client:
            yield client
    elif workers > 1:
        with _Processes(workers) as pool:
            yield pool
    else:
        yield None


def mapped(function: Callable[..., Any], jobs: Iterable[tuple], workers: int = 1) -> list[Any]:
    """Results of a function for the arguments of every job, in order; in ``workers`` processes."""
    with executor(workers) as pool:
        if pool is None:
            return [function(*job) for job in jobs]
        return [future.result() for future in [pool.submit(function, *job) for job in jobs]]


class _Processes:
    """A pool of processes that starts with the first task, and ends at once when its user is interrupted."""

    def __init__(self, count: int):
        self._count = count
        self._others = frozenset(active_children())  # processes of the user's own

    @cached_property
    def _pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._count, get_context("spawn"), initializer=serve)

    def submit(self, *task: Any) -> Future:
        """Run a function with arguments in one of the processes."""
        return self._pool.submit(*task)

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if "_pool" not in self.__dict__:
            return
        if kind is not None:
            for process in set(active_children()) - self._others:
                process.terminate()
        self._pool.shutdown(cancel_futures=True)


def _client(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise KineposeError(
            "a scheduler needs Dask's distributed; to get it: pip install 'kinepose_ocp[cluster]'"
        ) from None
    try:
        return Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise KineposeError(f"no Dask scheduler answers at '{scheduler}': {reason}") from None


def serve() -> None:
    """Make this process one that serves another: Ctrl-C is for its parent, and it ends when that does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the parent, even one that was killed: a pool's process would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
