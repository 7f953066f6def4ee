"""Smoothness chosen from the data: how the points err, and what the subject's poses are like.

Empirical Bayes (expectation-maximisation with a Laplace approximation) alternates a few Newton steps for the
angles with

    gamma   = free coordinates - tr(S K)                             effective number of parameters
    sigma^2 = weighted squared residuals / (coordinates seen - gamma)
    prior   = what :mod:`pose_prior` learns from the motion and S

where S is the posterior covariance and K the prior's Hessian. Densities in time make the result independent
of frame rate. Where the residuals of the result are not white, their covariance in time gives slow errors;
the prior stays, for a short motion cannot tell the two apart. Slow errors that a pose can follow leave no
residual: what is found is the least that there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from kinepose_ocp import newton
from kinepose_ocp.case import Case
from kinepose_ocp.chain import Chain
from kinepose_ocp.measurement_errors import (
    MeasurementErrors,
    autocovariance,
    student_weights,
    white_noise,
)
from kinepose_ocp.newton import BandedHessian
from kinepose_ocp.pose_prior import Evidence, PosePrior, PoseStatistics
from kinepose_ocp.selected_inverse import SelectedInverse, selected_inverse
from kinepose_ocp.terms import Term

FIRST_NOISE = 0.01  # m
ROUNDS = 8
LONGEST = 3000  # frames that are inverted at once
OVERLAP = 60  # frames; further off, a frame hardly changes a deviation
STEPS = 1  # Newton steps of a round
SETTLED = 0.08  # change of log spread, and half that of log densities, at which the rounds end
LEAST_DRIFT = 0.004  # m
FEWEST_FRAMES = 4  # that can show slow errors


@dataclass(frozen=True)
class Smoothness:
    """How the points err, and what poses and their changes are like."""

    errors: MeasurementErrors
    prior: PosePrior

    @classmethod
    def first(cls, chain: Chain) -> Smoothness:
        """Where the rounds start."""
        return cls(MeasurementErrors(FIRST_NOISE), PosePrior.first(chain))

    def terms(self, step: float) -> tuple[Term, ...]:
        """Cost terms at a time step [s]."""
        return (*self.errors.terms(step), *self.prior.terms(step))

    def change(self, before: Smoothness) -> float:
        """Largest change of the logarithm of a standard deviation."""
        liveliness = np.log(self.prior.density / before.prior.density)
        return max(abs(np.log(self.errors.spread / before.errors.spread)), np.abs(liveliness).max() / 2)


def choose(case: Case, start: np.ndarray, first: Smoothness) -> tuple[Case, np.ndarray, Smoothness]:
    """Choose white noise and a prior, for a case whose terms are those of ``first``.

    Parameters
    ----------
    start
        (T, n) coordinates [rad or m].

    Returns
    -------
    The case with the chosen terms and the weights of its points, coordinates near its solution, the choice.
    A motion of more than LONGEST frames is judged by that many in its middle.
    """
    statistics = PoseStatistics(case.keypoints.time.values[_middle(case)])
    part, q = _part(case, _middle(case)), start[_middle(case)]
    smoothness = replace(first, prior=first.prior.around(q))
    for _ in range(ROUNDS if case.frames >= FEWEST_FRAMES else 0):
        part = replace(part, terms=smoothness.terms(statistics.step))
        q = _improved(part, q)
        before, smoothness = smoothness, _learn(part, q, smoothness, statistics)
        part = replace(part, weights=student_weights(part, q, smoothness.errors.spread))
        if smoothness.change(before) < SETTLED:
            break
    case = replace(case, terms=smoothness.terms(statistics.step))
    if part.frames == case.frames:
        return replace(case, weights=part.weights), q, smoothness
    q = _improved(case, start)
    return replace(case, weights=student_weights(case, q, smoothness.errors.spread)), q, smoothness


def with_drift(case: Case, q: np.ndarray, smoothness: Smoothness) -> Smoothness | None:
    """Return the same with slow errors, if a solution with white ones leaves errors that last.

    Slow errors of less than LEAST_DRIFT are a skeleton that does not quite fit, and stay what they are.
    """
    if case.frames < FEWEST_FRAMES:
        return None
    part, q = _part(case, _middle(case)), q[_middle(case)]
    step = PoseStatistics(part.keypoints.time.values).step
    covariances = autocovariance(part, q, posterior(part, q)[0])
    errors = MeasurementErrors.of_covariances(covariances, step)
    found = errors.drift is not None and errors.drift.spread >= LEAST_DRIFT
    return replace(smoothness, errors=errors) if found else None


def _improved(case: Case, q: np.ndarray) -> np.ndarray:
    """Coordinates after a few Newton steps."""
    limits = newton.Limits(*case.bounds, iterations=STEPS, stall=1e-3)
    return newton.minimise(case.transcription, case.parameters, q, limits).x


def _middle(case: Case) -> slice:
    """At most LONGEST frames in the middle of a motion."""
    first = max(case.frames - LONGEST, 0) // 2
    return slice(first, first + min(case.frames, LONGEST))


def _part(case: Case, frames: slice) -> Case:
    if frames == slice(0, case.frames):
        return case
    weights = None if case.weights is None else case.weights[frames]
    return replace(case, keypoints=case.keypoints.isel(time=frames), weights=weights)


def _learn(case: Case, q: np.ndarray, before: Smoothness, statistics: PoseStatistics) -> Smoothness:
    """White noise and prior that a fit and its covariance speak for."""
    covariance, free = posterior(case, q)
    evidence = Evidence(q, free, covariance, statistics)
    noise = white_noise(case, q, free.sum() - evidence.determined(before.prior))
    return Smoothness(MeasurementErrors(noise), evidence.learn(before.prior))


def posterior(case: Case, q: np.ndarray) -> tuple[SelectedInverse, np.ndarray]:
    """Covariance of the coordinates around a solution, and which of them (T, n) are free of their bounds."""
    slope = np.array(case.transcription.gradient_function(q.ravel(), case.parameters)).reshape(q.shape)
    lower, upper = case.bounds
    free = ~(((q <= lower) & (slope > 0)) | ((q >= upper) & (slope < 0)))
    banded = BandedHessian(case.transcription)
    blocks = case.transcription.block_list(q, case.parameters, exact=False)
    return selected_inverse(banded, blocks, free), free


def coordinates(case: Case, motion: xr.Dataset) -> np.ndarray:
    """Free coordinates (T, n) [rad or m] of a solved motion."""
    columns = []
    for name, dof in case.problem.kernels.chain.free_dofs.items():
        source = motion.joint_translation if dof.translates else np.radians(motion.joint_angle)
        columns.append(source.sel({"translation" if dof.translates else "dof": name}).values)
    return np.stack(columns, axis=1)


def deviations(case: Case, q: np.ndarray) -> np.ndarray:
    """Posterior standard deviation (T, n) [rad or m] of coordinates (T, n) of a solved motion."""

    def variance(part: Case, x: np.ndarray) -> np.ndarray:
        return np.einsum("tii->ti", posterior(part, x)[0].lags[0])

    return np.sqrt(np.maximum(in_parts(case, q, variance), 0.0))


def in_parts(case: Case, q: np.ndarray, judge: Callable[[Case, np.ndarray], np.ndarray]) -> np.ndarray:
    """What ``judge`` says of every frame of a case at coordinates (T, n): bounded memory for any length."""
    found = []
    for start in range(0, case.frames, LONGEST):
        end = min(start + LONGEST, case.frames)
        first, last = max(start - OVERLAP, 0), min(end + OVERLAP, case.frames)
        found.append(judge(_part(case, slice(first, last)), q[first:last])[start - first : end - first])
    return np.concatenate(found)
