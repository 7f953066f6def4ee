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

from dataclasses import dataclass, replace

import numpy as np

from kinepose_ocp import newton
from kinepose_ocp.case import Case
from kinepose_ocp.chain import Chain
from kinepose_ocp.contact import contact
from kinepose_ocp.measurement_errors import (
    SMALLEST_NOISE,
    MeasurementErrors,
    autocovariance,
    student_weights,
    white_noise,
)
from kinepose_ocp.observability import observability
from kinepose_ocp.pose_prior import Evidence, PosePrior, PoseStatistics
from kinepose_ocp.posterior import LONGEST, posterior
from kinepose_ocp.terms import Term

FIRST_NOISE = 0.01  # m
ROUNDS = 8
STEPS = 1  # Newton steps of a round
SETTLED = 0.08  # change of log spread, and half that of log densities, at which the rounds end
LEAST_DRIFT = 0.004  # m
FOLLOWED_ROUNDS = 4
FEWEST_FRAMES = 4  # that can show slow errors
HIDDEN = 0.8  # observability below which a frame's points are not trusted about a joint,
TRUST = 0.01  # but count this much,
PLAIN_STEPS = 8  # for so many Newton steps; by then they have settled
FINER_NOISE = (3e-5, 1e-5)  # m; of points without noise, where Newton's method
FOLLOWED = 300  # follows in so many steps


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
    part, q = case.part(_middle(case)), start[_middle(case)]
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


def plain_start(case: Case, q: np.ndarray, smoothness: Smoothness) -> np.ndarray:
    """Start near coordinates (T, n) [rad or m] where what the points hardly show is as the prior has it.

    Where a limb is nearly straight, noise makes narrow minima along the twist that it hides. So for some
    Newton steps the limb's points hardly count there: the start lies in a wide minimum (graduated
    non-convexity; Blake and Zisserman, Visual Reconstruction, 1987).
    """
    hidden = observability(case, q, smoothness.errors.spread) < HIDDEN
    trust = np.ones(case.confidence.shape)
    for joint in filter(case.anatomy.moves, range(hidden.shape[1])):
        points = [k for part in case.anatomy.limb(joint) for k in case.anatomy.owned(part)]
        trust[np.flatnonzero(hidden[:, joint])[:, None], points] = TRUST
    easy = replace(case, weights=trust if case.weights is None else trust * case.weights)
    limits = newton.Limits(*case.bounds, iterations=PLAIN_STEPS, stall=1e-5)
    return newton.minimise(easy.transcription, easy.parameters, q, limits).x


def without_noise(case: Case, q: np.ndarray, smoothness: Smoothness) -> tuple[Case, np.ndarray, Smoothness]:
    """Trust points without noise as far as Newton's method follows, from coordinates (T, n) [rad or m].

    Less noise takes the prior's pull away. Where limbs are straight, or points few, the valley to the
    solution gets narrow and crooked; where Newton's method does not reach its end, the noise stays.
    """
    if smoothness.errors.noise > SMALLEST_NOISE or smoothness.errors.drift is not None:
        return case, q, smoothness
    step = PoseStatistics(case.keypoints.time.values).step
    limits = newton.Limits(*case.bounds, iterations=FOLLOWED)
    for noise in (SMALLEST_NOISE, *FINER_NOISE):
        finer = replace(smoothness, errors=MeasurementErrors(noise))
        trusting = replace(case, terms=finer.terms(step))
        found = newton.minimise(trusting.transcription, trusting.parameters, q, limits)
        if not found.converged:
            break
        case, q, smoothness = trusting, found.x, finer
    return case, q, smoothness


def with_drift(case: Case, q: np.ndarray, smoothness: Smoothness) -> Smoothness | None:
    """Return the same with slow errors, if a solution with white ones leaves errors that last.

    Slow errors of less than LEAST_DRIFT are a skeleton that does not quite fit, and stay what they are.
    """
    if case.frames < FEWEST_FRAMES:
        return None
    part, q = case.part(_middle(case)), q[_middle(case)]
    step = PoseStatistics(part.keypoints.time.values).step
    covariances = autocovariance(part, q, posterior(part, q)[0])
    errors = MeasurementErrors.of_covariances(covariances, step)
    found = errors.drift is not None and errors.drift.spread >= LEAST_DRIFT
    return replace(smoothness, errors=errors) if found else None


def with_followed_drift(case: Case, q: np.ndarray, smoothness: Smoothness) -> Smoothness:
    """Return the same with the slow errors that the solved pose has followed, for honest deviations.

    The errors that a solution leaves understate slow ones. Some rounds of expectation-maximisation at the
    solution (T, n) [rad or m] add what its covariance says they hide.
    """
    if smoothness.errors.drift is None:
        return smoothness
    part, q = case.part(_middle(case)), q[_middle(case)]
    step = PoseStatistics(part.keypoints.time.values).step
    for _ in range(FOLLOWED_ROUNDS):
        covariances = autocovariance(part, q, posterior(part, q)[0])
        smoothness = replace(smoothness, errors=MeasurementErrors.of_covariances(covariances, step))
        part = replace(part, terms=smoothness.terms(step))
    return smoothness


def _improved(case: Case, q: np.ndarray) -> np.ndarray:
    """Coordinates after a few Newton steps."""
    limits = newton.Limits(*case.bounds, iterations=STEPS, stall=1e-3)
    return newton.minimise(case.transcription, case.parameters, q, limits).x


def _middle(case: Case) -> slice:
    """At most LONGEST frames in the middle of a motion."""
    first = max(case.frames - LONGEST, 0) // 2
    return slice(first, first + min(case.frames, LONGEST))


def _learn(case: Case, q: np.ndarray, before: Smoothness, statistics: PoseStatistics) -> Smoothness:
    """White noise and prior that a fit and its covariance speak for."""
    covariance, free = posterior(case, q)
    evidence = Evidence(q, free, covariance, statistics)
    held = 0 if case.coupled is None else contact(case, q).coupled.sum()
    noise = white_noise(case, q, free.sum() - held - evidence.determined(before.prior))
    return Smoothness(MeasurementErrors(noise), evidence.learn(before.prior))
