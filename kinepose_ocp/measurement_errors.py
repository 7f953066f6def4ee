"""How a detector errs: white noise, and errors that last.

The error of a keypoint's coordinate is the sum of white noise and, where the data show one, a slow
Ornstein-Uhlenbeck process, with covariance c_k = s^2 exp(-k dt / tau) + sigma^2 [k = 0] between frames k
apart. Points far off lose weight (Student-t; Lange, Little and Taylor, JASA 84, 1989).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.stats import chi2

from kinepose_ocp.case import Case
from kinepose_ocp.selected_inverse import SelectedInverse
from kinepose_ocp.terms import AppearingKeypointPosition, DriftingKeypointPosition, KeypointPosition, Term

SMALLEST_NOISE = 1e-4  # m
FASTEST_DRIFT, SLOWEST_DRIFT = 0.03, 3.0  # s
DEGREES = 10.0  # of freedom of the Student-t distribution


@dataclass(frozen=True)
class Drift:
    """Slow errors of a coordinate of a keypoint: standard deviation [m] and time constant [s]."""

    spread: float
    time_constant: float


@dataclass(frozen=True)
class MeasurementErrors:
    """Errors of a coordinate of a keypoint: standard deviation of white noise [m], and slow ones."""

    noise: float
    drift: Drift | None = None

    @property
    def spread(self) -> float:
        """Standard deviation of the whole error [m]."""
        return float(np.hypot(self.noise, self.drift.spread if self.drift else 0.0))

    def terms(self, step: float) -> list[Term]:
        """Cost terms at a time step [s]."""
        if self.drift is None:
            return [KeypointPosition(self.noise)]
        return [AppearingKeypointPosition(self.spread), DriftingKeypointPosition(self.whitening(step))]

    def whitening(self, step: float) -> tuple[float, float, float]:
        """Weights [1/m] of the errors of three frames, the oldest first, that leave white noise of size one.

        The autoregression of second order with the process's covariances (Yule and Walker).
        """
        assert self.drift is not None
        c0, c1, c2 = self.drift.spread**2 * np.exp(-np.arange(3) * step / self.drift.time_constant)
        c0 += self.noise**2
        first, second = np.linalg.solve([[c0, c1], [c1, c0]], [c1, c2])
        size = np.sqrt(c0 - first * c1 - second * c2)
        return (float(-second / size), float(-first / size), float(1 / size))

    @classmethod
    def of_covariances(cls, covariances: np.ndarray, step: float) -> MeasurementErrors:
        """White and slow errors with covariances (3,) [m2] none, one and two frames apart."""
        c0, c1, c2 = covariances
        keep = np.clip(c2 / max(c1, 1e-12), np.exp(-step / FASTEST_DRIFT), np.exp(-step / SLOWEST_DRIFT))
        slow = np.clip(c1 / keep, SMALLEST_NOISE**2, c0)
        noise = max(float(np.sqrt(c0 - slow)), SMALLEST_NOISE)
        return cls(noise, Drift(float(np.sqrt(slow)), float(-step / np.log(keep))))


def student_weight(squares: np.ndarray) -> np.ndarray:
    """Weight [1] of points whose squared distance is this many variances."""
    return np.minimum((DEGREES + 3) / (DEGREES + squares), 1.0)


@cache
def usual_weight() -> float:
    """Mean of weight times square over the mean square, of normally distributed points: 0.87."""
    return float(chi2(3).expect(lambda squares: student_weight(squares) * squares) / 3)


def white_noise(case: Case, q: np.ndarray, effective: float) -> float:
    """Standard deviation [m] of white errors around coordinates (T, n); ``effective`` ones were fitted."""
    squares, seen = case.confidence * np.square(case.misses(q)).sum(axis=2), case.confidence > 0
    variance = squares.sum() / max(3 * seen.sum() - effective, 1.0) / usual_weight()
    return max(float(np.sqrt(variance)), SMALLEST_NOISE)


def autocovariance(case: Case, q: np.ndarray, covariance: SelectedInverse) -> np.ndarray:
    """(3,) expected covariance [m2] of a coordinate's errors none, one and two frames apart."""
    misses = case.misses(q).reshape(case.frames, -1)
    jacobian = case.point_jacobians(q)
    trust = np.repeat(np.sqrt(case.confidence), 3, axis=1)
    found = []
    for lag in range(3):
        last = case.frames - lag
        unsure = np.einsum("tic,tic->ti", jacobian[:last] @ covariance.lags[lag], jacobian[lag:])
        together = trust[:last] * trust[lag:]
        product = together * (misses[:last] * misses[lag:] + unsure)
        found.append(product.sum() / max((together > 0).sum(), 1) / usual_weight())
    return np.array(found)


def student_weights(case: Case, q: np.ndarray, spread: float) -> np.ndarray:
    """Weights (T, K) [1] of points under a Student-t distribution: one near the model, small far off.

    A point of little confidence may be further off.
    """
    own = replace(case, weights=None).confidence
    squares = own * np.square(case.misses(q)).sum(axis=2) / spread**2
    return student_weight(squares)
