"""What the command line does with its terminal: progress, notes, Ctrl-C, and a last line when it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from kinepose_ocp.io import atomic

INTERRUPTED = 130
INTERRUPTION = "interrupted; nothing was written"


def note(text: str) -> None:
    """Say on standard error what the user should know."""
    print(f"note: {text}", file=sys.stderr)


@contextmanager
def ends_at_once(words: str = INTERRUPTION) -> Iterator[None]:
    """Let Ctrl-C end the process, and remove what is half-written: CasADi loses or disguises exceptions.

    A process that has others work for it does not solve itself; it ends them, too.
    """

    def end(*_: object) -> None:
        if multiprocessing.active_children():
            raise KeyboardInterrupt
        atomic.abandon()
        clear = "\r\x1b[2K\x1b[?25h" if os.isatty(2) else ""  # line of the progress, and its hidden cursor
        os.write(2, f"{clear}kinepose-ocp: {words}\n".encode())
        os._exit(INTERRUPTED)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    except KeyboardInterrupt:
        fail(words, INTERRUPTED)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, float], None] | None]:
    """A spinner with iteration and cost on a terminal; nothing when piped."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title)

        def tick(iteration: int, cost: float) -> None:
            bar.update(task, description=f"{title}: step {iteration}, cost {cost:.6g}")

        yield tick


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar with finished cases and the time left on a terminal; nothing when piped."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, count: bar.update(task, completed=done, total=count)


def fail(message: str, status: int) -> NoReturn:
    """End with one line on standard error."""
    print(f"kinepose-ocp: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)
