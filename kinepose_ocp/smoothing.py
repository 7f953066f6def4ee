"""Smoothness chosen from the data: how noisy the points are, and how lively each joint is.

Model: every coordinate of a keypoint has white noise of one standard deviation sigma; every joint's angles
are integrated Ornstein-Uhlenbeck processes (white acceleration, velocities that fade with RELAXATION) of one
spectral density Q a joint, one for the root's rotation, one for its translation [rad2/s3, m2/s3]. Empirical
Bayes (expectation-maximisation with a Laplace approximation; MacKay, Neural Comput. 4, 1992) alternates a few
Newton steps for the angles with

    gamma   = free coordinates - sum_c tr(S K_c)                     effective number of parameters
    sigma^2 = weighted squared residuals / (coordinates seen - gamma)
    Q_c     = Q_c |q|^2_{K_c} / (free_c - null_c - tr(S K_c))

where S is the posterior covariance and K_c the prior's Hessian of class c. Densities in time make the result
independent of frame rate. Points far off lose weight (Student-t, DEGREES degrees of freedom; Lange, Little
and Taylor, JASA 84, 1989).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from kinepose_ocp import newton
from kinepose_ocp.case import Case
from kinepose_ocp.chain import Chain
from kinepose_ocp.newton import BandedHessian
from kinepose_ocp.selected_inverse import SelectedInverse, selected_inverse
from kinepose_ocp.terms import (
    AngularAcceleration,
    AngularVelocity,
    KeypointPosition,
    LinearAcceleration,
    LinearVelocity,
    Term,
)

RELAXATION = 0.1  # s
FIRST_NOISE = 0.02  # m
FIRST_DENSITY = 100.0  # rad2/s3
LEVER = 0.1  # m; first density of translations: that of rotations times this squared
ROUNDS = 6
LONGEST = 3000  # frames that are inverted at once
OVERLAP = 60  # frames; further off, a frame hardly changes a deviation
STEPS = 3  # Newton steps of a round
SETTLED = 0.08  # change of log noise, and half that of log densities, at which the rounds end
SMALLEST_NOISE = 1e-4  # m
SLOWEST = 1e-4  # least density of a class, relative to the median
DEGREES = 10.0  # of freedom of the noise's Student-t distribution


@dataclass(frozen=True)
class Smoothness:
    """Noise of the keypoints and liveliness of the coordinates.

    noise: standard deviation of a coordinate of a keypoint [m]. density: (n,) spectral density of every
    free coordinate's acceleration [rad2/s3 or m2/s3].
    """

    noise: float
    density: np.ndarray


@dataclass(frozen=True)
class Classes:
    """Which coordinates share a density: those of a joint; root rotation and translation apart."""

    of: np.ndarray  # (n,) class of every free coordinate
    translates: np.ndarray  # (n,) bool
    root: np.ndarray  # (n,) bool

    @classmethod
    def of_chain(cls, chain: Chain) -> Classes:
        """Find the classes of a chain's free coordinates."""
        labels = [(name.split(".")[0], dof.translates) for name, dof in chain.free_dofs.items()]
        order = list(dict.fromkeys(labels))
        return cls(
            of=np.array([order.index(label) for label in labels]),
            translates=np.array([moves for _, moves in labels]),
            root=np.array([joint == chain.root.name for joint, _ in labels]),
        )


def terms_of(smoothness: Smoothness, classes: Classes, step: float) -> list[Term]:
    """Cost terms of this noise and these densities at a time step [s].

    A density Q makes per-frame standard deviations sqrt(Q / step) of accelerations and RELAXATION times that
    of velocities; the root's velocity is free, so that a subject may spin and run.
    """
    acceleration = np.sqrt(smoothness.density / step)
    velocity = np.where(classes.root, np.inf, RELAXATION * acceleration)
    turns = ~classes.translates
    terms: list[Term] = [
        KeypointPosition(smoothness.noise),
        AngularVelocity(tuple(velocity[turns])),
        AngularAcceleration(tuple(acceleration[turns])),
    ]
    if classes.translates.any():
        terms.append(LinearVelocity(tuple(velocity[~turns])))
        terms.append(LinearAcceleration(tuple(acceleration[~turns])))
    return terms


class Prior:
    """Squared velocities and accelerations of the coordinates, and their expectation."""

    def __init__(self, time: np.ndarray, classes: Classes):
        steps = np.diff(time)
        self.step = float(np.median(steps)) if len(steps) else 1.0
        speeds = (np.stack([-1 / steps, 1 / steps], axis=1), np.where(classes.root, 0.0, RELAXATION**-2))
        middle = (steps[:-1] + steps[1:]) / 2
        first, last = 1 / (steps[:-1] * middle), 1 / (steps[1:] * middle)
        changes = (np.stack([first, -first - last, last], axis=1), np.ones(len(classes.of)))
        self.parts = [part for part in (speeds, changes) if len(part[0])]
        self.unseen = np.where(classes.root, 2, 1)  # dimensions of a coordinate without a prior

    def energy(self, q: np.ndarray) -> np.ndarray:
        """(n,) prior cost of each coordinate at unit density, times two."""
        total = np.zeros(q.shape[1])
        for stencil, weight in self.parts:
            windows = sum(
                stencil[:, [i]] * q[i : len(q) - stencil.shape[1] + 1 + i] for i in range(stencil.shape[1])
            )
            total += weight * self.step * np.square(windows).sum(axis=0)
        return total

    def trace(self, covariance: SelectedInverse) -> np.ndarray:
        """(n,) expectation of the same for the covariance: tr(S K) at unit density."""
        total = np.zeros(covariance.lags[0].shape[1])
        for stencil, weight in self.parts:
            width = stencil.shape[1]
            for i in range(width):
                for j in range(width):
                    lagged = covariance.lags[abs(i - j)][min(i, j) :][: len(stencil)]
                    total += weight * self.step * (stencil[:, [i]] * stencil[:, [j]] * lagged).sum(axis=0)
        return total


def choose(case: Case, start: np.ndarray) -> tuple[Case, np.ndarray, Smoothness]:
    """Choose the smoothness of a case whose terms are those of :func:`terms_of`.

    Parameters
    ----------
    start
        (T, n) coordinates [rad or m].

    Returns
    -------
    The case with the chosen terms and the weights of its points, coordinates near its solution, the choice.
    A motion of more than LONGEST frames is judged by that many in its middle.
    """
    if case.frames > LONGEST:
        middle = slice((case.frames - LONGEST) // 2, (case.frames + LONGEST) // 2)
        part = replace(case, keypoints=case.keypoints.isel(time=middle))
        part, _, smoothness = choose(part, start[middle])
        case = replace(case, terms=part.terms)
        limits = newton.Limits(*case.bounds, iterations=STEPS, stall=1e-3)
        q = newton.minimise(case.transcription, case.parameters, start, limits).x
        return replace(case, weights=student_weights(case, q, smoothness.noise)), q, smoothness
    classes = Classes.of_chain(case.problem.kernels.chain)
    prior = Prior(case.keypoints.time.values, classes)
    smoothness = first_smoothness(classes)
    q = start
    for _ in range(ROUNDS):
        case = replace(case, terms=tuple(terms_of(smoothness, classes, prior.step)))
        limits = newton.Limits(*case.bounds, iterations=STEPS, stall=1e-3)
        fit = newton.minimise(case.transcription, case.parameters, q, limits)
        q = fit.x
        after = _maximise(case, fit, prior, classes, smoothness)
        case = replace(case, weights=student_weights(case, q, after.noise))
        change = max(
            abs(np.log(after.noise / smoothness.noise)),
            np.abs(np.log(after.density / smoothness.density)).max() / 2,
        )
        smoothness = after
        if change < SETTLED:
            break
    return replace(case, terms=tuple(terms_of(smoothness, classes, prior.step))), q, smoothness


def first_smoothness(classes: Classes) -> Smoothness:
    """Where the rounds start."""
    return Smoothness(FIRST_NOISE, FIRST_DENSITY * np.where(classes.translates, LEVER**2, 1.0))


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
        part = replace(
            case,
            keypoints=case.keypoints.isel(time=slice(first, last)),
            weights=None if case.weights is None else case.weights[first:last],
        )
        kept = slice(start, min(start + LONGEST, case.frames))
        variance[kept] = posterior(part, q[first:last])[0].lags[0][kept.start - first : kept.stop - first]
    return np.sqrt(np.maximum(variance, 0.0))


def _maximise(
    case: Case, fit: newton.NewtonResult, prior: Prior, classes: Classes, before: Smoothness
) -> Smoothness:
    """Noise and densities that the fit and its covariance speak for."""
    covariance, free = posterior(case, fit.x)
    known = prior.trace(covariance) / before.density
    count = free.sum(axis=0)
    confidence = case.data[:, 3 * len(case.problem.kernels.measured) :]
    squares, seen = confidence * np.square(case.misses(fit.x)).sum(axis=2), confidence > 0
    effective = count.sum() - known.sum()
    noise = np.sqrt(squares.sum() / max(3 * seen.sum() - effective, 1.0))
    energy = np.bincount(classes.of, prior.energy(fit.x) / before.density)
    room = np.bincount(classes.of, np.maximum(count - prior.unseen - known, 0.0))
    ratio = np.clip((energy + 1e-9) / (room + 1e-6), 0.02, 50.0)
    density = before.density * ratio[classes.of]
    joints = ~classes.root
    typical = np.median(density[joints]) if joints.any() else np.median(density)
    scale = np.where(classes.translates, LEVER**2, 1.0)
    return Smoothness(
        noise=max(float(noise), SMALLEST_NOISE),
        density=np.clip(density, SLOWEST * typical * scale, 1e12),
    )


def student_weights(case: Case, q: np.ndarray, noise: float) -> np.ndarray:
    """Weights (T, K) [1] of points under a Student-t distribution: one near the model, small far off."""
    squares = np.square(case.misses(q)).sum(axis=2) / noise**2
    return np.minimum((DEGREES + 3) / (DEGREES + squares), 1.0)
