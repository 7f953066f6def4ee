"""Newton's method for a motion: banded Cholesky, exact bounds, linear in frames.

Projected Levenberg-Marquardt with an active set (Bertsekas, SIAM J. Control Optim. 20, 1982): coordinates
at a bound whose gradient pushes outwards are held, the others take a damped Newton step that is then cut off
at the bounds. Gauss-Newton steps far from the solution, exact ones near it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, solveh_banded
from threadpoolctl import ThreadpoolController

from kinepose_ocp.transcription import Transcription

_BLAS = ThreadpoolController()  # small banded systems: one thread is faster, by far on a busy machine
LONGEST_STEP = 0.8  # rad or m, of one coordinate in one iteration


@dataclass(frozen=True)
class NewtonResult:
    """Last iterate and how it was reached. ``optimality`` is the largest projected gradient entry."""

    x: np.ndarray
    gradient: np.ndarray
    cost: float
    iterations: int
    converged: bool


class BandedHessian:
    """Where the blocks' non-zeros lie in LAPACK's upper banded storage."""

    def __init__(self, transcription: Transcription):
        self.frames, self.size = transcription.frames, transcription.kernels.size
        self.entries = [
            tuple(np.array(part, dtype=int) for part in pattern.get_triplet())
            for pattern in transcription.patterns
        ]
        offsets = [lag * self.size + columns - rows for lag, (rows, columns) in enumerate(self.entries)]
        self.width = max(int(offset.max()) for offset in offsets if len(offset))

    def assemble(self, blocks: list[np.ndarray], free: np.ndarray) -> np.ndarray:
        """Banded matrix of the free coordinates (T, n); held ones get an identity row and column."""
        banded = np.zeros((self.width + 1, self.frames, self.size))
        for lag, (values, (rows, columns)) in enumerate(zip(blocks, self.entries, strict=True)):
            last = self.frames - lag
            kept = values * free[:last, rows].T * free[lag:, columns].T
            banded[self.width - (lag * self.size + columns - rows), lag:, columns] = kept
        banded[self.width] += ~free
        return banded.reshape(self.width + 1, -1)


@_BLAS.wrap(limits=1, user_api="blas")
def minimise(
    transcription: Transcription,
    parameters: np.ndarray,
    start: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
    max_iterations: int = 200,
    tolerance: float = 1e-6,
    on_iteration: Callable[[int, float], None] | None = None,
) -> NewtonResult:
    """Minimise the motion's cost inside bounds.

    Parameters
    ----------
    start
        (T, n) coordinates [rad or m].
    bounds
        Lower and upper limits, each (T, n) or (n,).
    tolerance
        On the largest entry of the projected gradient, relative to 1 + cost per frame.
    """
    lower, upper = (np.broadcast_to(bound, start.shape) for bound in bounds)
    banded = BandedHessian(transcription)
    cost_of, gradient_of = transcription.cost_function, transcription.gradient_function

    def cost(x: np.ndarray) -> float:
        return float(np.array(cost_of(x.ravel(), parameters)).sum())

    def gradient(x: np.ndarray) -> np.ndarray:
        return np.array(gradient_of(x.ravel(), parameters)).reshape(x.shape)

    x = np.clip(start, lower, upper)
    now, slope = cost(x), gradient(x)
    damping, exact, converged, iteration = 1e-4, False, False, 0
    for iteration in range(1, max_iterations + 1):
        held = ((x <= lower) & (slope > 0)) | ((x >= upper) & (slope < 0))
        if np.abs(np.where(held, 0, slope)).max() <= tolerance * (1 + now / len(x)):
            converged, iteration = True, iteration - 1
            break
        blocks = transcription.block_functions[exact](x.ravel(), parameters)
        blocks = [np.array(block) for block in (blocks if isinstance(blocks, (tuple, list)) else [blocks])]
        matrix = banded.assemble(blocks, ~held)
        diagonal = np.where(held.ravel(), 0, np.abs(matrix[-1]) + 1e-9)
        accepted = False
        for _attempt in range(12):
            damped = matrix.copy()
            damped[-1] += damping * diagonal
            try:
                step = solveh_banded(
                    damped, np.where(held, 0, -slope).ravel(), overwrite_ab=True, check_finite=False
                )
            except LinAlgError:
                damping = max(10 * damping, 1e-4)
                continue
            moved = np.clip(x + np.clip(step.reshape(x.shape), -LONGEST_STEP, LONGEST_STEP), lower, upper)
            then = cost(moved)
            if then <= now:
                accepted = True
                break
            damping = max(8 * damping, 1e-4)
        if not accepted:
            if not exact:
                exact, damping = True, 1e-4
                continue
            break
        gain = now - then
        damping = max(damping / 8, 1e-10) if _attempt == 0 else damping
        x, now = moved, then
        slope = gradient(x)
        exact = gain < 0.1 * (now + 1e-9)
        if on_iteration:
            on_iteration(iteration, now)
        if gain < 1e-14 * (1 + now):
            converged = True
            break
    return NewtonResult(x, slope, now, iteration, converged)
