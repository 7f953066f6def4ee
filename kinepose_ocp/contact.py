"""Which limits hold a motion, and with what force: bounds of single angles and coupled ranges together.

Bounds alone: the gradient tells. Where coupled limits are reached too, the forces of a frame are those that
balance its gradient best without pulling (non-negative least squares: Lawson and Hanson, 1974).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from kinepose_ocp.case import Case
from kinepose_ocp.newton import AT_LIMIT, held

REACHED = 1e-5  # rad; a coupled limit this near is touched
STIFF = 1e6  # of a coupled limit that holds, relative to the largest curvature of the frame


@dataclass(frozen=True)
class Contact:
    """Limits that hold coordinates (T, n) of a motion and coupled numbers (T, m)."""

    slope: np.ndarray  # (T, n) gradient of the cost and of what coupled limits add to it
    at_lower: np.ndarray  # (T, n)
    at_upper: np.ndarray  # (T, n)
    pull: np.ndarray | None = None  # (T, m) 1/rad; positive at an upper limit

    @property
    def coupled(self) -> np.ndarray:
        """(T, m) which coupled limits hold."""
        return np.zeros((len(self.slope), 0), dtype=bool) if self.pull is None else self.pull != 0

    def curved(self, case: Case, q: np.ndarray, blocks: list[np.ndarray]) -> list[np.ndarray]:
        """Hessian blocks with the curvature of coupled limits that hold."""
        if case.coupled is None or self.pull is None:
            return blocks
        return [blocks[0] + case.coupled.curvature(q, self.pull, np.zeros(self.pull.shape)), *blocks[1:]]

    def stiffened(self, case: Case, q: np.ndarray, blocks: list[np.ndarray]) -> list[np.ndarray]:
        """Hessian blocks with stiff rows across coupled limits that hold."""
        if case.coupled is None or self.pull is None:
            return blocks
        rows = case.coupled.curvature(q, np.zeros(self.pull.shape), self.weight(case, blocks))
        return [blocks[0] + rows, *blocks[1:]]

    def weight(self, case: Case, blocks: list[np.ndarray]) -> np.ndarray:
        """(T, m) stiffness of coupled limits that hold [1/rad2]."""
        rows, columns = case.transcription.patterns[0].get_triplet()
        diagonal = np.array(rows) == np.array(columns)
        return STIFF * blocks[0][diagonal].max(axis=0)[:, None] * self.coupled


def contact(case: Case, q: np.ndarray, force: float = 0.0) -> Contact:
    """Limits that hold coordinates (T, n) [rad or m] with more than ``force`` [1/rad or 1/m]."""
    slope = case.transcription.values.gradient(q, case.parameters)
    if case.coupled is None:
        return Contact(slope, *held(q, slope, *case.bounds, force))
    value = case.coupled.value(q)
    high, low = case.coupled.upper - value < REACHED, value - case.coupled.lower < REACHED
    pull = np.zeros(value.shape)
    slopes = case.coupled.slopes(q) if (high | low).any() else None
    for t in np.flatnonzero((high | low).any(axis=1)):
        assert slopes is not None
        pull[t] = _forces(case, q[t], slope[t], slopes[t], (low[t], high[t]))
    pull[np.abs(pull) <= force] = 0.0
    slope = slope + case.coupled.gradient(q, pull)
    return Contact(slope, *held(q, slope, *case.bounds, force), pull)


def _forces(
    case: Case, q: np.ndarray, slope: np.ndarray, slopes: np.ndarray, reached: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Multipliers (m,) of a frame's coupled limits that balance the gradient ``slope`` (n,) best."""
    (lower, upper), (low, high) = case.bounds, reached
    movable = lower < upper
    unit = np.eye(len(q))[movable]
    walls = np.concatenate([-unit[(q <= lower + AT_LIMIT)[movable]], unit[(q >= upper - AT_LIMIT)[movable]]])
    columns = np.concatenate([slopes[high], -slopes[low], walls])
    found = nnls(columns[:, movable].T, -slope[movable], maxiter=100 * len(columns))[0]
    pull = np.zeros(len(slopes))
    pull[high] += found[: high.sum()]
    pull[low] -= found[high.sum() : high.sum() + low.sum()]
    return pull
