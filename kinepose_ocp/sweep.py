"""Sweeps: one problem solved with many numbers, in one process or many; failures are recorded, not fatal."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from kinepose_ocp.chain import Chain
from kinepose_ocp.chain_file import chain_to_yaml
from kinepose_ocp.errors import KineposeError, SolveError
from kinepose_ocp.io import write
from kinepose_ocp.posterior import coordinates
from kinepose_ocp.problem import Problem, build_problem
from kinepose_ocp.terms import Term

VARIED = ("chain", "keypoints", "terms")
KEPT = ("joint_angle", "bound_multiplier", "cost", "solver_iterations", "converged")
_built: dict[str, Problem] = {}  # of this process


def sweep(
    problem: Problem,
    cases: Mapping[Any, Mapping[str, Any]],
    *,
    dim: str = "case",
    solver: str = "ipopt",
    kept: Sequence[str] = KEPT,
    executor: Executor | None = None,
    folder: Path | None = None,
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
        Where cases run: none (here), a ``concurrent.futures.ProcessPoolExecutor``, or that of a Dask cluster
        (``distributed.Client(...).get_executor()``).
    folder
        Each finished case is kept here and not solved again, so that a sweep can be resumed.

    Returns
    -------
    xarray.Dataset
        The kept variables with ``dim``; NaN where a case failed, and why in ``error (dim)``.

    Raises
    ------
    KineposeError
        Without cases, for numbers that :meth:`Problem.solve` does not take, or a variable no motion has.
    """
    base = _base(problem, cases, kept, solver)
    start = coordinates(problem.kernels.chain, base)
    whole = (problem.chain, problem.keypoints, problem.terms)
    key = _fingerprint(*whole)
    made: dict[Any, Any] = {}
    for label, numbers in cases.items():
        name = _fingerprint(key, solver, tuple(kept), *(numbers.get(n) for n in VARIED))
        path = None if folder is None else Path(folder) / f"{name}.nc"
        if path is not None and path.exists():
            made[label] = xr.load_dataset(path)
            continue
        task = (key, whole, dict(numbers), solver, start, tuple(kept), path)
        made[label] = _solved(*task) if executor is None else executor.submit(_solved, *task)
    found = [part if isinstance(part, xr.Dataset) else part.result() for part in made.values()]
    joined = xr.concat(
        [part if part.attrs["error"] == "" else _blank(base, kept) for part in found],
        xr.Variable(dim, list(cases)),
        combine_attrs="drop",
    )
    reasons = [part.attrs["error"] for part in found]
    joined["error"] = (dim, reasons, {"long_name": "why a case has no solution; empty where it has one"})
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


def _blank(base: xr.Dataset, kept: Sequence[str]) -> xr.Dataset:
    """What a case without a solution is worth."""
    empty = base[list(kept)].where(False)
    return empty.assign(converged=0) if "converged" in kept else empty


def _origin(base: xr.Dataset) -> dict[str, str]:
    names = ("kinepose_ocp_version", "casadi_version", "chain_yaml", "source_file", "input_sha256")
    return {name: base.attrs[name] for name in names if name in base.attrs}


def _solved(
    key: str,
    whole: tuple[Chain, xr.Dataset, Sequence[Term]],
    numbers: dict[str, Any],
    solver: str,
    start: np.ndarray,
    kept: Sequence[str],
    path: Path | None,
) -> xr.Dataset:
    """Solve one case, in whatever process this is; a problem is built once in each."""
    if key not in _built:
        _built.clear()
        _built[key] = build_problem(*whole)
    same_length = numbers.get("keypoints") is None or numbers["keypoints"].sizes["time"] == len(start)
    try:
        motion = _built[key].solve(**numbers, solver=solver, start=start if same_length else None)
        found = motion[list(kept)].assign_attrs(error="")
    except (KineposeError, SolveError) as error:
        found = xr.Dataset(attrs={"error": str(error)})
    if path is not None:
        write(found, path)
    return found


def _fingerprint(*parts: Hashable | Chain | xr.Dataset | Sequence[Term] | None) -> str:
    """Name of a set of numbers: the same for the same."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Chain):
            digest.update(chain_to_yaml(part).encode())
        elif isinstance(part, xr.Dataset):
            for name in ("time", "keypoint", "position", "confidence"):
                if name in part:
                    digest.update(repr(part[name].dims).encode() + np.ascontiguousarray(part[name]).tobytes())
        else:
            digest.update(repr(part).encode())
        digest.update(b"|")
    return digest.hexdigest()[:20]
