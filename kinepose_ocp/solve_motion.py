"""From keypoints to a motion in one call: what the command line ``solve`` does."""

from __future__ import annotations

import numpy as np
import xarray as xr

from kinepose_ocp.chain import Chain
from kinepose_ocp.errors import KineposeError
from kinepose_ocp.frame_by_frame import solve_frames
from kinepose_ocp.keypoints import check_size
from kinepose_ocp.lengths import with_estimated_lengths
from kinepose_ocp.problem import build_problem, default_terms
from kinepose_ocp.solvers import Progress

SMOOTHNESS = 2000.0  # degree/s2


def solve_motion(
    chain: Chain,
    keypoints: xr.Dataset,
    *,
    lengths: str = "estimate",
    smoothness: float = SMOOTHNESS,
    solver: str = "ipopt",
    on_iteration: Progress | None = None,
) -> xr.Dataset:
    """Solve a motion with the default terms.

    Parameters
    ----------
    keypoints
        Measured positions [m] under the chain's keypoint names.
    lengths
        ``estimate``: segment lengths from the data; ``model``: the chain's own.
    smoothness
        Standard deviation of joint angle accelerations [degree/s2].
    solver
        One of ``SOLVERS``, or ``frame:SOLVER`` to solve frame by frame.
    on_iteration
        Called with (iteration, cost).

    Raises
    ------
    KineposeError
        For data, a chain or options that cannot be used.
    SolveError
        When the solver did not converge.
    """
    if not (np.isfinite(smoothness) and smoothness > 0):
        raise KineposeError(f"smoothness must be a positive number [degree/s2], got {smoothness:g}")
    check_size(keypoints, chain, str(keypoints.attrs.get("source_file", "keypoints")))
    if lengths == "estimate":
        chain = with_estimated_lengths(chain, keypoints)
    terms = default_terms(chain, np.radians(smoothness))
    if solver.startswith("frame:"):
        return solve_frames(chain, keypoints, terms, solver.removeprefix("frame:"), on_iteration)
    return build_problem(chain, keypoints, terms).solve(solver=solver, on_iteration=on_iteration)
