"""Smoothness chosen from the data: how the points err, and what the subject's poses are like.

Empirical Bayes (expectation-maximisation with a Laplace approximation) alternates a few Newton steps for the
angles with

    gamma   = free coordinates - tr(S K)                             effective number of parameters
    sigma^2 = weighted squared residuals / (coordinates seen - gamma)
    prior   = what :mod:`pose_prior` learns from the motion and S

where S is the posterior covariance and K the prior's Hessian. Densities in time make the result independent
of frame rate. Where the residuals turn out not to be white, a second set of rounds finds slow errors; the
prior stays, for both together are more than a short motion can tell apart.
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
    Drift,
    MeasurementErrors,
    autocovariance,
    student_weights,
    white_noise,
)
from kinepose_ocp.newton import BandedHessian
from kinepose_ocp.pose_prior import Evidence, PosePrior, PoseStatistics
from kinepose_ocp.selected_inverse import SelectedInverse, selected_inverse
from kinepose_ocp.terms import Term

FIRST_NOISE = 0.02  # m
ROUNDS = 12
LONGEST = 3000  # frames that are inverted at once
OVERLAP = 60  # frames; further off, a frame hardly changes a deviation
STEPS = 3  # Newton steps of a round
SETTLED = 0.08  # change of log spread, and half that of log densities, at which the rounds end
SUSPECT_DRIFT = 0.002  # m; slow errors of this size left by a fit with white ones make us look for them,
LEAST_DRIFT = 0.004  # m; and we believe what we find when it is at least this
FIRST_DRIFT_TIME = 0.3  # s


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


Learn = Callable[[Case, np.ndarray, Smoothness], Smoothness]


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
    return _rounds(case, start, replace(first, prior=first.prior.around(start)), _learn_all)


def choose_errors(case: Case, start: np.ndarray, first: Smoothness) -> tuple[Case, np.ndarray, Smoothness]:
    """Choose white and slow errors for a prior; the rest as :func:`choose`."""
    return _rounds(case, start, first, _learn_errors)


def with_drift(case: Case, q: np.ndarray, smoothness: Smoothness) -> Smoothness | None:
    """Where to start with slow errors, if those left by a fit with white ones are not white."""
    if case.frames < 4:
        return None
    part = _middle(case)
    place = q[_middle_frames(case)]
    c0, c1, _ = autocovariance(part, place, posterior(part, place)[0])
    if c1 < SUSPECT_DRIFT**2:
        return None
    noise = float(np.sqrt(max(c0 - c1, c0 / 4)))
    return replace(smoothness, errors=MeasurementErrors(noise, Drift(float(np.sqrt(c1)), FIRST_DRIFT_TIME)))


def is_believed(smoothness: Smoothness) -> bool:
    """Whether slow errors are large enough to be told from a skeleton that does not quite fit."""
    drift = smoothness.errors.drift
    return drift is None or drift.spread >= LEAST_DRIFT


def _rounds(
    case: Case, start: np.ndarray, smoothness: Smoothness, learn: Learn
) -> tuple[Case, np.ndarray, Smoothness]:
    step = PoseStatistics(case.keypoints.time.values).step
    part, q = _middle(case), start[_middle_frames(case)]
    for _ in range(ROUNDS):
        part = replace(part, terms=smoothness.terms(step))
        q = _improved(part, q)
        before, smoothness = smoothness, learn(part, q, smoothness)
        part = replace(part, weights=student_weights(part, q, smoothness.errors.spread))
        if smoothness.change(before) < SETTLED:
            break
    case = replace(case, terms=smoothness.terms(step))
    if part.frames == case.frames:
        return replace(case, weights=part.weights), q, smoothness
    q = _improved(case, start)
    return replace(case, weights=student_weights(case, q, smoothness.errors.spread)), q, smoothness


def _improved(case: Case, q: np.ndarray) -> np.ndarray:
    """Coordinates after a few Newton steps."""
    limits = newton.Limits(*case.bounds, iterations=STEPS, stall=1e-3)
    return newton.minimise(case.transcription, case.parameters, q, limits).x


def _middle_frames(case: Case) -> slice:
    first = max(case.frames - LONGEST, 0) // 2
    return slice(first, first + min(case.frames, LONGEST))


def _middle(case: Case) -> Case:
    """At most LONGEST frames of a case."""
    return case if case.frames <= LONGEST else _part(case, _middle_frames(case))


def _part(case: Case, frames: slice) -> Case:
    weights = None if case.weights is None else case.weights[frames]
    return replace(case, keypoints=case.keypoints.isel(time=frames), weights=weights)


def _learn_all(case: Case, q: np.ndarray, before: Smoothness) -> Smoothness:
    """White noise and prior that a fit and its covariance speak for."""
    covariance, free = posterior(case, q)
    evidence = Evidence(q, free, covariance, PoseStatistics(case.keypoints.time.values))
    noise = white_noise(case, q, free.sum() - evidence.determined(before.prior))
    return Smoothness(MeasurementErrors(noise), evidence.learn(before.prior))


def _learn_errors(case: Case, q: np.ndarray, before: Smoothness) -> Smoothness:
    """White and slow errors that a fit and its covariance speak for."""
    step = PoseStatistics(case.keypoints.time.values).step
    covariances = autocovariance(case, q, posterior(case, q)[0])
    return replace(before, errors=MeasurementErrors.of_covariances(covariances, step))


def posterior(case: Case, q: np.ndarray) -> tuple[SelectedInverse, np.ndarray]:
    """Covariance of the coordinates around a solution, and which of them (T, n) are free of their bounds."""
    slope = np.array(case.transcription.gradient_function(q.ravel(), case.parameters)).reshape(q.shape)
    lower, upper = case.bounds
    free = ~(((q <= lower) & (slope > 0)) | ((q >= upper) & (slope < 0)))
    banded = BandedHessian(case.transcription)
    blocks = case.transcription.block_list(q, case.parameters, exact=False)
    return selected_inverse(banded, blocks, free), free


def deviations(case: Case, motion: xr.Dataset) -> np.ndarray:
    """Posterior standard deviation (T, n) [rad or m] of the free coordinates of a solved motion."""
    chain = case.problem.kernels.chain
    columns = []
    for name, dof in chain.free_dofs.items():
        source = motion.joint_translation if dof.translates else np.radians(motion.joint_angle)
        columns.append(source.sel({"translation" if dof.translates else "dof": name}).values)
    q = np.stack(columns, axis=1)
    variance = np.zeros_like(q)
    for start in range(0, case.frames, LONGEST):
        first, last = max(start - OVERLAP, 0), min(start + LONGEST + OVERLAP, case.frames)
        kept = slice(start, min(start + LONGEST, case.frames))
        inside = posterior(_part(case, slice(first, last)), q[first:last])[0].lags[0]
        variance[kept] = np.einsum("tii->ti", inside[kept.start - first : kept.stop - first])
    return np.sqrt(np.maximum(variance, 0.0))
