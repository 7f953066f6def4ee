"""Sweeps: one problem solved with many numbers, in one process or many; failures are recorded, not fatal."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from kinepose_ocp.chain import Chain
from kinepose_ocp.dataset import motion_dataset, solution_dataset
from kinepose_ocp.errors import KineposeError, SolveError
from kinepose_ocp.io import write
from kinepose_ocp.posterior import coordinates
from kinepose_ocp.problem import Problem, build_problem
from kinepose_ocp.terms import Term

VARIED = ("chain", "keypoints", "terms")
KEPT = ("joint_angle", "bound_multiplier", "cost", "solver_iterations", "converged")
CaseProgress = Callable[[int, int], None]  # cases done, cases in all
_built: dict[str, Problem] = {}  # of this process: the last one
_turn = threading.Lock()  # a problem's buffers, and IPOPT's linear solver, serve one thread at a time


@dataclass(frozen=True)
class _Shared:
    """What all cases of a sweep have in common: a process builds its problem from it, once."""

    key: str
    chain: Chain
    keypoints: xr.Dataset
    terms: tuple[Term, ...]
    start: np.ndarray  # (T, n) rad or m
    solver: str
    kept: tuple[str, ...]

    @classmethod
    def of(cls, problem: Problem, base: xr.Dataset, solver: str, kept: Sequence[str]) -> _Shared:
        """Gather it from the problem and the solution with its own numbers."""
        whole = (problem.chain, problem.keypoints, problem.terms)
        key = _fingerprint(importlib.metadata.version("kinepose_ocp"), *whole)
        start = coordinates(problem.kernels.chain, base)
        return cls(key, *whole, start, solver, tuple(kept))

    def place(self, folder: Path | None, numbers: Mapping[str, Any]) -> Path | None:
        """File in which a case is kept; its name tells its numbers."""
        if folder is None:
            return None
        name = _fingerprint(self.key, self.solver, self.kept, *(numbers.get(n) for n in VARIED))
        return Path(folder) / f"{name}.nc"


def sweep(
    problem: Problem,
    cases: Mapping[Any, Mapping[str, Any]],
    *,
    dim: str = "case",
    solver: str = "ipopt",
    kept: Sequence[str] = KEPT,
    executor: Any = None,
    folder: Path | None = None,
    on_case: CaseProgress | None = None,
) -> xr.Dataset:
    """Solve a problem once for every case.

    Parameters
    ----------
    cases
        Label (it becomes a coordinate: a number, a name) to other numbers, as :meth:`Problem.solve` takes
        them: ``chain``, ``keypoints``, ``terms``.
    dim
        Name of the new dimension.
    solver
        One of ``SOLVERS``; every case starts from the solution with the problem's own numbers.
    kept
        Variables of the motion to keep.
    executor
        Where cases run: none (here), a ``concurrent.futures.ProcessPoolExecutor``, or a Dask cluster
        (``distributed.Client(...)``, or its ``get_executor()``), which gets the problem once.
    folder
        Each finished case is kept here and not solved again, so that a sweep can be resumed.
    on_case
        Called with (cases done, cases in all).

    Returns
    -------
    xarray.Dataset
        The kept variables with ``dim``; NaN where a case failed, and why in ``error (dim)``.

    Raises
    ------
    KineposeError
        Without cases, for numbers that :meth:`Problem.solve` does not take, a variable no motion has, or
        when a process of the executor ended.
    """
    base = _base(problem, cases, kept, solver)
    shared = _Shared.of(problem, base, solver, kept)
    places = {label: shared.place(folder, numbers) for label, numbers in cases.items()}
    made = {label: xr.load_dataset(path) for label, path in places.items() if path and path.exists()}
    waiting = [label for label in cases if label not in made]
    tasks = [(dict(cases[label]), places[label]) for label in waiting]
    tell = on_case or (lambda done, count: None)
    tell(len(made), len(cases))
    if executor is None:
        solved: Iterable[xr.Dataset] = (_case(problem, shared, *task) for task in tasks)
    else:
        solved = _elsewhere(executor, shared, tasks)
    for label, part in zip(waiting, solved, strict=True):
        made[label] = part
        tell(len(made), len(cases))
    joined = _joined([made[label] for label in cases], base[list(kept)], xr.Variable(dim, list(cases)))
    return joined.assign_attrs(title=f"sweep over {dim} of chain {problem.chain.name}", **_origin(base))


def _base(
    problem: Problem, cases: Mapping[Any, Mapping[str, Any]], kept: Sequence[str], solver: str
) -> xr.Dataset:
    """The solution with the problem's own numbers, when cases and variables are possible."""
    if not cases:
        raise KineposeError("a sweep needs at least one case")
    for label, numbers in cases.items():
        if unknown := ", ".join(sorted(set(numbers) - set(VARIED))):
            raise KineposeError(f"case {label}: {unknown} cannot vary; possible: {', '.join(VARIED)}")
    base = problem.solve(solver=solver)
    if missing := ", ".join(name for name in kept if name not in base):
        raise KineposeError(f"a motion has no {missing}; possible: {', '.join(map(str, base.data_vars))}")
    return base


def _origin(base: xr.Dataset) -> dict[str, str]:
    names = ("kinepose_ocp_version", "casadi_version", "chain_yaml", "source_file", "input_sha256")
    return {name: base.attrs[name] for name in names if name in base.attrs}


def _joined(found: Sequence[xr.Dataset], base: xr.Dataset, labels: xr.Variable) -> xr.Dataset:
    """All cases in one Dataset; a case without a solution is NaN, and not converged."""
    blank = base.where(False)
    if "converged" in base:
        blank = blank.assign(converged=base.converged * 0)
    reasons = [part.attrs["error"] for part in found]
    parts = [blank if reason else part for part, reason in zip(found, reasons, strict=True)]
    joined = xr.concat(parts, labels, combine_attrs="override")  # units and names are those of any case
    (dim,) = labels.dims
    joined.attrs = {}
    joined["error"] = (dim, reasons, {"long_name": "why a case has no solution; empty where it has one"})
    return joined


def _elsewhere(
    executor: Any, shared: _Shared, tasks: Sequence[tuple[dict[str, Any], Path | None]]
) -> Iterator[xr.Dataset]:
    """Solve cases in other processes; yields their results in order.

    A Dask cluster gets what the cases share once, as the result of a task: workers pass it on to each other,
    and it is made again when the worker that holds it ends.
    """
    is_client = hasattr(executor, "get_executor")
    client = executor if is_client else getattr(executor, "_client", None)
    pool: Executor = executor.get_executor(pure=False) if is_client else executor
    common = shared if client is None else client.submit(_itself, shared, pure=False)
    waiting = [pool.submit(_solved, common, *task) for task in tasks]
    try:
        for future in waiting:
            yield future.result()
    except BrokenExecutor:
        raise KineposeError("a process of the sweep ended, perhaps for lack of memory") from None
    finally:
        for future in waiting:
            future.cancel()


def _itself(shared: _Shared) -> _Shared:
    return shared


def _solved(shared: _Shared, numbers: dict[str, Any], path: Path | None) -> xr.Dataset:
    """Solve one case, in whatever process this is; a problem is built once in each."""
    with _turn:
        if shared.key not in _built:
            _built.clear()
            _built[shared.key] = build_problem(shared.chain, shared.keypoints, shared.terms)
        return _case(_built[shared.key], shared, numbers, path)


def _case(problem: Problem, shared: _Shared, numbers: dict[str, Any], path: Path | None) -> xr.Dataset:
    """Solve one case; what is kept of it, or why there is nothing."""
    try:
        found = _kept(problem, shared, numbers)
        found.attrs = {"error": ""}
    except KineposeError as error:
        found = xr.Dataset(attrs={"error": str(error)})
    if path is not None:
        write(found, path)
    return found


def _kept(problem: Problem, shared: _Shared, numbers: dict[str, Any]) -> xr.Dataset:
    """Kept variables of a case; kinematics only where one of them needs it."""
    case = problem.case(**numbers)
    start = shared.start if len(shared.start) == case.frames else None
    record = problem.solution(case, shared.solver, start)
    if record.failure:
        raise SolveError(record.failure)
    motion = solution_dataset(case.chain, case.keypoints.time.values, record)
    if not set(shared.kept) <= set(motion.data_vars):
        motion = motion_dataset(case.chain, case.keypoints, record)
    return motion[list(shared.kept)]


def _fingerprint(*parts: Hashable | Chain | xr.Dataset | Sequence[Term] | None) -> str:
    """Name of a set of numbers: the same for the same."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, xr.Dataset):
            for name in ("time", "keypoint", "position", "confidence"):
                if name in part:
                    digest.update(repr(part[name].dims).encode() + np.ascontiguousarray(part[name]).tobytes())
        else:
            with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
                digest.update(repr(part).encode())
        digest.update(b"|")
    return digest.hexdigest()[:20]
