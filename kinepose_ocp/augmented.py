"""Coupled ranges of motion in numbers, and a motion's cost with their augmented Lagrangian.

With limits l <= h(q) <= u of every frame, multipliers y and a penalty m, the cost becomes

    f + 1/(2 m) sum [max(0, y + m (h - u))^2 + min(0, y + m (h - l))^2]

whose gradient is that of f + y+ . h with y+ the sum of the two brackets: the next multipliers (Hestenes;
Powell; Rockafellar, Math. Program. 5, 1973). A positive multiplier is an upper limit's, as CasADi has it.
Each h sees one frame, so the Hessian keeps its bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kinepose_ocp.kernels import KernelSet, places_in
from kinepose_ocp.motion_values import CHUNK
from kinepose_ocp.transcription import Transcription


class Objective(Protocol):
    """What Newton's method minimises, of coordinates (T, n) [rad or m]."""

    def cost_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Cost [1] and its gradient (T, n)."""

    def blocks(self, x: np.ndarray, exact: bool) -> list[np.ndarray]:
        """Non-zeros of the Hessian's blocks by lag."""


@dataclass(frozen=True)
class PlainCost:
    """The cost of a motion with its numbers."""

    transcription: Transcription
    parameters: np.ndarray

    def cost_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Cost [1] and its gradient (T, n)."""
        return self.transcription.values.cost_and_gradient(x, self.parameters)

    def blocks(self, x: np.ndarray, exact: bool) -> list[np.ndarray]:
        """Non-zeros of the Hessian's blocks by lag."""
        return self.transcription.values.blocks(x, self.parameters, exact)


class Coupled:
    """Coupled limits of a motion in numbers; x: (T, n) coordinates [rad or m]."""

    def __init__(self, kernels: KernelSet, parameters: np.ndarray):
        assert kernels.couplings is not None
        self.kernels, self.kernel = kernels, kernels.couplings
        self.shared = parameters[-kernels.shared_size :]
        self.lower, self.upper = self.kernel.limits(self.shared)

    def value(self, x: np.ndarray) -> np.ndarray:
        """(T, m) numbers that the limits hold [rad]."""
        return self._of_frames("value", x)

    def gradient(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(T, n) derivatives of the sum of multipliers y (T, m) times numbers."""
        return self._of_frames("gradient", x, y)

    def slopes(self, x: np.ndarray) -> np.ndarray:
        """(T, m, n) derivatives of the numbers."""
        rows, columns = self.kernel.slope_pattern.get_triplet()
        dense = np.zeros((len(x), self.kernel.size, x.shape[1]))
        dense[:, rows, columns] = self._of_frames("slopes", x)
        return dense

    def curvature(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """(nnz, T) second derivatives of y . h and weight (T, m) times squared slopes, as Hessian blocks."""
        pattern = self.kernels.patterns[0]
        found = np.zeros((pattern.nnz(), len(x)))
        found[places_in(pattern, self.kernel.pattern)] = self._of_frames("hessian", x, y, weight).T
        return found

    def shown(self, x: np.ndarray) -> np.ndarray:
        """(T, m) angles that people know [rad]: of a swing, that in units of its ellipse."""
        return self.kernel.shown(self.value(x), self.upper)

    def violation(self, value: np.ndarray) -> np.ndarray:
        """(T, m) how far outside numbers (T, m) are [rad]; never negative."""
        return np.maximum(np.maximum(self.lower - value, value - self.upper), 0.0)

    def _of_frames(self, name: str, *by_frame: np.ndarray) -> np.ndarray:
        found, function = [], getattr(self.kernel, name)
        for start in range(0, len(by_frame[0]), CHUNK):
            parts = [values[start : start + CHUNK].T for values in by_frame]
            mapped = self.kernels.mapped(function, parts[0].shape[1], [len(parts)])
            found.append(np.asarray(mapped(*parts, self.shared)).reshape(-1, parts[0].shape[1], order="F").T)
        return np.concatenate(found)


@dataclass(frozen=True)
class AugmentedCost:
    """Cost of a motion whose coupled limits pull with multipliers (T, m) [1/rad] and a penalty [1/rad2]."""

    plain: PlainCost
    coupled: Coupled
    multiplier: np.ndarray
    penalty: float

    def pulls(self, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Multipliers of the upper and of the lower limits (T, m) at numbers (T, m)."""
        upper = np.maximum(self.multiplier + self.penalty * (value - self.coupled.upper), 0.0)
        lower = np.minimum(self.multiplier + self.penalty * (value - self.coupled.lower), 0.0)
        return upper, lower

    def cost_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Cost [1] and its gradient (T, n): that of the Lagrangian with the next multipliers."""
        upper, lower = self.pulls(self.coupled.value(x))
        cost, gradient = self.plain.cost_and_gradient(x)
        cost += float((np.square(upper) + np.square(lower)).sum() / (2 * self.penalty))
        return cost, gradient + self.coupled.gradient(x, upper + lower)

    def blocks(self, x: np.ndarray, exact: bool) -> list[np.ndarray]:
        """Non-zeros of the Hessian's blocks by lag."""
        upper, lower = self.pulls(self.coupled.value(x))
        first, *others = self.plain.blocks(x, exact)
        active = self.penalty * ((upper > 0) | (lower < 0))
        bending = upper + lower if exact else np.zeros_like(upper)
        return [first + self.coupled.curvature(x, bending, active), *others]
