"""Inverse kinematics frame by frame, as most tools do it: for comparison with the whole motion."""

from __future__ import annotations

import time as clock
from collections.abc import Sequence

import numpy as np
import xarray as xr

from kinepose_ocp.case import Case
from kinepose_ocp.chain import Chain
from kinepose_ocp.dataset import SolveRecord, motion_dataset
from kinepose_ocp.errors import KineposeError, SolveError
from kinepose_ocp.guess import guess
from kinepose_ocp.problem import build_problem, coupled_record, default_terms
from kinepose_ocp.solvers import SOLVERS, Progress, Solution
from kinepose_ocp.terms import Term


def solve_frames(
    chain: Chain,
    keypoints: xr.Dataset,
    terms: Sequence[Term] | None = None,
    solver: str = "ipopt",
    on_frame: Progress | None = None,
) -> xr.Dataset:
    """Solve every frame on its own, each from the solution of the one before.

    Terms that see more than one frame are left out. Arguments, result and errors as
    :meth:`Problem.solve`.
    """
    terms = [term for term in terms or default_terms(chain) if term.span == 1]
    if not terms:
        raise KineposeError("a frame on its own needs a term that sees one frame, such as LinkDirection")
    problem = build_problem(chain, keypoints, terms)
    whole = Case(problem, problem.kernels.chain, problem.keypoints, tuple(terms))
    program = problem.transcription(1)
    single = SOLVERS[solver](program)
    began = clock.perf_counter()
    frames: list[Solution] = []
    start = guess(whole.anatomy, whole.position, "analytic")[:1]
    guessed = clock.perf_counter()
    for t in range(whole.frames):
        parameters = program.parameters(whole.data[[t]], np.zeros(0), whole.shared)
        frames.append(single.solve(parameters, start, whole.bounds))
        start = frames[-1].q
        if on_frame:
            on_frame(t + 1, float(t + 1))
    solution = Solution(
        q=np.concatenate([frame.q for frame in frames]),
        multiplier=np.concatenate([frame.multiplier for frame in frames]),
        iterations=sum(frame.iterations for frame in frames),
        converged=all(frame.converged for frame in frames),
        status=next((frame.status for frame in frames if not frame.converged), "converged"),
        coupling=None
        if whole.coupled is None
        else np.concatenate([frame.coupling for frame in frames if frame.coupling is not None]),
    )
    record = SolveRecord(
        solution=solution,
        dofs=tuple(whole.chain.free_dofs),
        guess_seconds=guessed - began,
        solve_seconds=clock.perf_counter() - guessed,
        costs=whole.costs(solution.q),
        solver=f"{solver}, frame by frame",
        coupled=coupled_record(whole, solution),
    )
    motion = motion_dataset(whole.chain, problem.keypoints, record)
    if not solution.converged:
        count = sum(not frame.converged for frame in frames)
        raise SolveError(
            f"{solver} did not converge in {count} of {len(frames)} frames: {solution.status}", motion
        )
    return motion
