"""From keypoints to a motion in one call: what the command line ``solve`` does."""

from __future__ import annotations

import time as clock
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from kinepose_ocp import smoothing
from kinepose_ocp.anatomy import hidden_dofs
from kinepose_ocp.case import Case
from kinepose_ocp.chain import Chain
from kinepose_ocp.chain_file import chain_to_yaml
from kinepose_ocp.errors import KineposeError, SolveError
from kinepose_ocp.frame_by_frame import solve_frames
from kinepose_ocp.keypoints import check_size, for_chain
from kinepose_ocp.lengths import with_estimated_lengths
from kinepose_ocp.measurement_errors import Drift
from kinepose_ocp.pose_prior import PoseStatistics
from kinepose_ocp.posterior import coordinates, uncertainty
from kinepose_ocp.problem import Problem, build_problem, check_free, default_terms, with_held
from kinepose_ocp.sensitivity import sensitivities
from kinepose_ocp.smoothing import Smoothness
from kinepose_ocp.solvers import Progress

AUTOMATIC = "auto"


def solve_motion(
    chain: Chain,
    keypoints: xr.Dataset,
    *,
    lengths: str = "estimate",
    smoothness: float | str = AUTOMATIC,
    solver: str = "ipopt",
    with_sensitivities: bool = False,
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
        ``auto``: chosen from the data (:mod:`smoothing`); or the standard deviation of joint angle
        accelerations [degree/s2].
    solver
        One of ``SOLVERS``, or ``frame:SOLVER`` to solve frame by frame.
    with_sensitivities
        Add what the angles owe to ROM limits, segment lengths and noise (:mod:`sensitivity`); smoothness
        must be ``auto``.
    on_iteration
        Called with (iteration, cost).

    Raises
    ------
    KineposeError
        For data, a chain or options that cannot be used.
    SolveError
        When the solver did not converge.
    """
    automatic = smoothness == AUTOMATIC
    if not automatic and not (isinstance(smoothness, (int, float)) and 0 < smoothness < np.inf):
        raise KineposeError(f"smoothness must be 'auto' or a positive number [degree/s2], got {smoothness}")
    check_size(keypoints, chain, str(keypoints.attrs.get("source_file", "keypoints")))
    if with_sensitivities and (not automatic or solver.startswith("frame:")):
        raise KineposeError("sensitivities are those of a whole motion with automatic smoothness")
    if lengths == "estimate":
        chain = with_estimated_lengths(chain, keypoints)
    if solver.startswith("frame:"):
        return solve_frames(chain, keypoints, None, solver.removeprefix("frame:"), on_iteration)
    if automatic:
        return _solve_automatically(chain, keypoints, solver, with_sensitivities, on_iteration)
    terms = default_terms(chain, np.radians(float(smoothness)))
    return build_problem(chain, keypoints, terms).solve(solver=solver, on_iteration=on_iteration)


def tuned_problem(chain: Chain, keypoints: xr.Dataset, *, lengths: str = "estimate") -> Problem:
    """Build a problem with noise, weights and priors chosen from the data: what studies vary.

    Its solution is that of :func:`solve_motion`; its terms and confidences are numbers like any others.

    Parameters
    ----------
    keypoints, lengths
        As for :func:`solve_motion`.

    Raises
    ------
    KineposeError
        For data or a chain that cannot be used.
    """
    check_size(keypoints, chain, str(keypoints.attrs.get("source_file", "keypoints")))
    tuning = _tuned(with_estimated_lengths(chain, keypoints) if lengths == "estimate" else chain, keypoints)
    case = tuning.case
    confidence = xr.DataArray(
        case.confidence,
        {"time": case.keypoints.time, "keypoint": list(case.problem.kernels.measured)},
        ("time", "keypoint"),
    )
    every = confidence.reindex(keypoint=case.keypoints.keypoint, fill_value=0.0)
    weighted = case.keypoints.assign(confidence=every)
    return replace(tuning.problem, keypoints=weighted, start=tuning.start)


@dataclass(frozen=True)
class _Tuning:
    """What was chosen from the data for a chain: terms, weights, and where to start."""

    chain: Chain  # the user's, its hidden DOFs held
    held: tuple[str, ...]
    problem: Problem  # its chain's root can translate
    case: Case
    start: np.ndarray  # (T, n) rad or m
    chosen: Smoothness
    seconds: float


def _tuned(chain: Chain, keypoints: xr.Dataset) -> _Tuning:
    """Choose noise and liveliness from the data.

    A chain whose root cannot translate is given a root that can: where the subject stands is unknown then,
    but its keypoints still share one place.
    """
    check_free(chain)
    keypoints = for_chain(keypoints, chain)
    seen = np.isfinite(keypoints.position).all("space") & (keypoints.confidence > 0)
    measured = [str(name) for name in keypoints.keypoint.values[seen.any("time").values]]
    held = tuple(hidden_dofs(chain, measured))
    chain = with_held(chain, held)
    moving = chain.with_moving_root()
    first = Smoothness.first(moving)
    step = PoseStatistics(keypoints.time.values).step
    terms = first.terms(step)
    problem = build_problem(moving, keypoints, terms)
    began = clock.perf_counter()
    case = Case(problem, problem.kernels.chain, problem.keypoints, terms)
    case, start, chosen = smoothing.choose(case, case.best_start(), first)
    drifting = smoothing.with_drift(case, start, chosen)
    if drifting is not None:
        chosen, terms = drifting, drifting.terms(step)
        problem = build_problem(moving, keypoints, terms)
        case = Case(problem, problem.kernels.chain, problem.keypoints, terms, case.weights)
    case, start, chosen = smoothing.without_noise(case, smoothing.plain_start(case, start, chosen), chosen)
    problem = replace(problem, terms=case.terms)
    return _Tuning(chain, held, problem, case, start, chosen, clock.perf_counter() - began)


def _solve_automatically(
    chain: Chain,
    keypoints: xr.Dataset,
    solver: str,
    with_sensitivities: bool,
    on_iteration: Progress | None,
) -> xr.Dataset:
    """Choose noise and liveliness from the data, then solve."""
    tuning = _tuned(chain, keypoints)
    try:
        motion = tuning.problem.solve_case(tuning.case, solver, tuning.start, on_iteration)
    except SolveError as error:
        if error.motion is not None:
            error.motion = _described(error.motion, tuning)
        raise
    described = _described(motion, tuning)
    return _with_sensitivities(described, motion, tuning.case) if with_sensitivities else described


def _with_sensitivities(described: xr.Dataset, motion: xr.Dataset, case: Case) -> xr.Dataset:
    """Add what the angles owe to limits, lengths and noise, or the reason why that is not to be had."""
    try:
        owed = sensitivities(case, coordinates(case.problem.kernels.chain, motion))
    except np.linalg.LinAlgError:
        return described.assign_attrs(no_sensitivities="the solution is no strict minimum")
    return described.merge(owed.reindex(dof=described.dof, fill_value=0))


def _described(motion: xr.Dataset, tuning: _Tuning) -> xr.Dataset:
    """Add what was chosen and how sure the angles are; take out what the user's chain does not have."""
    chain, case = tuning.chain, tuning.case
    q = coordinates(case.problem.kernels.chain, motion)
    chosen = smoothing.with_followed_drift(case, q, tuning.chosen)
    terms = chosen.terms(PoseStatistics(case.keypoints.time.values).step)
    sure = uncertainty(replace(case, terms=terms), q, chosen.errors.spread)
    names = list(case.problem.kernels.chain.free_dofs)
    place = [names.index(name) if name in names else len(names) for name in motion.dof.values]
    density = np.append(np.degrees(np.degrees(chosen.prior.density)), np.nan)[place]
    deviation = np.degrees(np.insert(sure.coordinates, len(names), 0.0, axis=1))[:, place]
    unseen = np.isin(motion.joint.values, [name.split(".")[0] for name in tuning.held])
    drift = chosen.errors.drift or Drift(0.0, np.nan)
    added: dict[str, tuple[tuple[str, ...], Any, str, str]] = {
        "keypoint_noise": (
            (),
            1000 * chosen.errors.noise,
            "mm",
            "estimated standard deviation of white noise of a keypoint coordinate",
        ),
        "keypoint_drift": (
            (),
            1000 * drift.spread,
            "mm",
            "estimated standard deviation of slow errors of a keypoint coordinate",
        ),
        "keypoint_drift_time": ((), drift.time_constant, "s", "estimated time constant of slow errors"),
        "acceleration_density": (
            ("dof",),
            density,
            "degree2 s-3",
            "estimated spectral density of the angular acceleration",
        ),
        "joint_angle_std": (
            ("time", "dof"),
            deviation,
            "degree",
            "posterior standard deviation of the joint angle",
        ),
        "orientation_covariance": (
            ("time", "joint", "space", "space_other"),
            np.degrees(np.degrees(sure.orientations)),
            "degree2",
            "posterior covariance of the rotation vector of orientation_global's error, in the world frame",
        ),
        "observability": (
            ("time", "joint"),
            np.where(unseen, 0.0, sure.observability),
            "1",
            "part of a broad guess's variance of the joint's rotation that the points of the frame remove",
        ),
    }
    for name, (dims, values, units, long_name) in added.items():
        motion[name] = (dims, values, {"units": units, "long_name": long_name})
    motion["guess_seconds"] = motion.guess_seconds + tuning.seconds
    motion.attrs["held_dofs"] = ", ".join(tuning.held)
    if not chain.root_translates:
        motion = motion.drop_dims("translation")
        motion.attrs["chain_yaml"] = chain_to_yaml(chain)
    return motion
