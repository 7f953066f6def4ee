"""Newton's method for a motion: banded Cholesky, exact bounds, linear in frames.

Every step minimises the quadratic model inside the bounds (primal-dual active set: Hintermueller, Ito and
Kunisch, SIAM J. Optim. 13, 2002), with Levenberg-Marquardt damping: Gauss-Newton curvature far from the
solution, exact curvature near it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import LinAlgError, solveh_banded
from scipy.linalg.blas import dsbmv
from threadpoolctl import ThreadpoolController

from kinepose_ocp.augmented import AugmentedCost, Coupled, Objective, PlainCost
from kinepose_ocp.transcription import Transcription

_BLAS = ThreadpoolController()  # small banded systems: one thread is faster, by far on a busy machine
LONGEST_STEP = 1.0  # rad or m, of one coordinate in one iteration
ACTIVE_SET_ROUNDS = 3
ROUGH_ROUNDS = 2  # where the iterations stall long before the solution
GROWING_ROUNDS = 6
PATIENCE = 3  # iterations before a start is hopeless
ATTEMPTS = 12  # dampings tried in one iteration
NEAR = 0.1  # relative gain of an iteration below which the exact Hessian is used
SLIGHT = 1e-9  # damping, relative to the diagonal, that first follows none
STIFFNESS = 5.0  # penalty of coupled ranges at first, relative to the curvature of the cost
STIFFEST = 1e6  # growth of the penalty at which a coupled range is given up
FEASIBLE = 1e-8  # rad; a coupled range is kept
AT_LIMIT = 1e-12  # rad or m; a coordinate this close to its limit is at it
# a step [rad or m] this short, with damping of at most so much, ends at the solution, whatever rounding
# leaves of the gradient
SETTLED = ((1e-9, SLIGHT), (1e-12, 1e-3))
ROUNDING = 1e-13  # relative rounding error of a cost


@dataclass(frozen=True)
class NewtonResult:
    """Last iterate and how it was reached."""

    x: np.ndarray  # (T, n) rad or m
    gradient: np.ndarray  # (T, n) of the cost, and of what coupled ranges add to it
    cost: float
    iterations: int
    converged: bool
    coupling: np.ndarray | None = None  # (T, m) 1/rad; multipliers of coupled ranges


@dataclass(frozen=True)
class Limits:
    """Bounds of the coordinates, and how long to go on.

    tolerance: largest entry of the projected gradient, relative to 1 + cost per frame.
    stall: stop when an iteration gains less than this part of the cost; 0 = never.
    hopeless: stop when the cost is still above this after a few iterations.
    """

    lower: np.ndarray
    upper: np.ndarray
    iterations: int = 200
    tolerance: float = 1e-6
    stall: float = 0.0
    hopeless: float = np.inf


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
        banded = np.zeros((self.frames, self.size, self.width + 1))  # as LAPACK wants it, transposed
        for lag, (values, (rows, columns)) in enumerate(zip(blocks, self.entries, strict=True)):
            last = self.frames - lag
            kept = values * free[:last, rows].T * free[lag:, columns].T
            banded[lag:, columns, self.width - (lag * self.size + columns - rows)] = kept.T
        banded[:, :, self.width] += ~free
        return banded.reshape(-1, self.width + 1).T

    def step(
        self,
        blocks: list[np.ndarray],
        slope: np.ndarray,
        damping: float,
        room: tuple[np.ndarray, np.ndarray],
        rounds: int,
        growing: bool = False,
    ) -> np.ndarray:
        """Step (T, n) that minimises the damped quadratic model between ``room`` (lower, upper).

        rounds: sets of active bounds that are tried.
        growing: coordinates that are held once stay held; slower, but sets cannot go round in circles.
        Raises LinAlgError where the model is not convex.
        """
        lower, upper = room
        whole = self.assemble(blocks, np.ones(slope.shape, dtype=bool))
        extra = damping * (np.abs(whole[-1]) + 1e-9)
        whole[-1] += extra
        at_lower, at_upper = (lower >= 0) & (slope > 0), (upper <= 0) & (slope < 0)
        step = np.zeros_like(slope)
        for _ in range(rounds):
            held = at_lower | at_upper
            fixed = np.where(at_lower, lower, np.where(at_upper, upper, 0.0))
            pushed = slope + dsbmv(self.width, 1.0, whole, fixed.ravel()).reshape(slope.shape)
            matrix = self.assemble(blocks, ~held)
            matrix[-1] += np.where(held.ravel(), 0.0, extra)
            right = np.where(held, 0.0, -pushed).ravel()
            step = solveh_banded(matrix, right, overwrite_ab=True, check_finite=False).reshape(slope.shape)
            step = step + fixed
            model = slope + dsbmv(self.width, 1.0, whole, step.ravel()).reshape(slope.shape)
            low = (~held & (step < lower)) | (at_lower & (growing | (model > 0)))
            high = (~held & (step > upper)) | (at_upper & (growing | (model < 0)))
            if (low == at_lower).all() and (high == at_upper).all():
                break
            at_lower, at_upper = low, high
        return step


@_BLAS.wrap(limits=1, user_api="blas")
def minimise(
    transcription: Transcription,
    parameters: np.ndarray,
    start: np.ndarray,
    limits: Limits,
    on_iteration: Callable[[int, float], None] | None = None,
) -> NewtonResult:
    """Minimise the motion's cost from ``start`` (T, n) [rad or m] inside bounds and coupled ranges."""
    plain = PlainCost(transcription, parameters)
    if transcription.kernels.couplings is None:
        return _descend(plain, transcription, start, limits, on_iteration)
    coupled = Coupled(transcription.kernels, parameters)
    penalty = STIFFNESS * _typical(plain.blocks(start, False)[0], transcription)
    stiffest = STIFFEST * penalty
    pull, x, used, worst = np.zeros((len(start), coupled.kernel.size)), start, 0, np.inf
    while True:
        objective = AugmentedCost(plain, coupled, pull, penalty)
        left = replace(limits, iterations=limits.iterations - used)
        result = _descend(objective, transcription, x, left, on_iteration)
        x, used, before = result.x, used + result.iterations, pull
        pull = np.sum(objective.pulls(coupled.value(x)), axis=0)
        short = (
            np.abs(pull - before).max() / penalty
        )  # rad outside a limit, or inside of one that still pulls
        if short <= FEASIBLE or used >= limits.iterations or limits.stall or penalty > stiffest:
            break
        penalty *= 1 if short < worst / 4 else 10
        worst = short
    return replace(result, iterations=used, converged=result.converged and short <= FEASIBLE, coupling=pull)


def _typical(diagonal: np.ndarray, transcription: Transcription) -> float:
    """Curvature [1/rad2] of the cost along coordinates that coupled ranges limit."""
    couplings, pattern = transcription.kernels.couplings, transcription.patterns[0]
    assert couplings is not None
    rows, columns = (np.array(part, dtype=int) for part in pattern.get_triplet())
    limited = np.unique(couplings.slope_pattern.get_triplet()[1])
    own = diagonal[(rows == columns) & np.isin(rows, limited)]
    return float(np.median(own.max(axis=0))) + 1e-9


def _descend(
    objective: Objective,
    transcription: Transcription,
    start: np.ndarray,
    limits: Limits,
    on_iteration: Callable[[int, float], None] | None,
) -> NewtonResult:
    """Newton's method inside bounds."""
    lower, upper = (np.broadcast_to(bound, start.shape) for bound in (limits.lower, limits.upper))
    banded = BandedHessian(transcription)
    rounds = ROUGH_ROUNDS if limits.stall else ACTIVE_SET_ROUNDS
    x = np.clip(start, lower, upper)
    now, slope = objective.cost_and_gradient(x)
    damping, exact, converged, iteration, growing = 1e-4, False, False, 0, False
    while not (converged := is_optimal(x, slope, now, limits)) and iteration < limits.iterations:
        iteration += 1
        curvature, accepted, first = objective.blocks(x, exact), False, damping
        room = lower - x, upper - x
        for _ in range(ATTEMPTS):
            try:
                step = banded.step(curvature, slope, damping, room, rounds, growing)
            except LinAlgError:  # not convex: more damping
                damping = max(10 * damping, SLIGHT)
                continue
            moved = np.clip(x + np.clip(step, -LONGEST_STEP, LONGEST_STEP), lower, upper)
            then, steepness = objective.cost_and_gradient(moved)
            if then <= now * (1 + ROUNDING):
                accepted = True
                break
            damping = max(8 * damping, SLIGHT)
        if not accepted and not exact:
            break
        if not accepted:
            exact, damping = False, 1e-2
            continue
        if damping == first:
            damping = max(damping / 8, 1e-3 * SLIGHT)
        gain, x, now, slope = now - then, moved, then, steepness
        exact = gain < NEAR * now
        if on_iteration:
            on_iteration(iteration, now)
        if iteration >= PATIENCE and now > limits.hopeless:
            break
        length = np.abs(step).max()
        if gain < limits.stall * now or length < 1e-12:
            settled = any(length < short and damping <= most for short, most in SETTLED)
            converged = settled or is_optimal(x, slope, now, limits)
            if converged or growing or limits.stall:
                break
            # active sets may have gone round in circles: once more, in another way
            growing, rounds = True, GROWING_ROUNDS
    return NewtonResult(x, slope, now, iteration, converged)


def held(
    x: np.ndarray, slope: np.ndarray, lower: np.ndarray, upper: np.ndarray, force: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Which coordinates (T, n) their lower and upper limits hold, with more than ``force`` [1/rad or 1/m].

    Coordinates that were degrees for a while are a rounding off their limits.
    """
    return (x <= lower + AT_LIMIT) & (slope > force), (x >= upper - AT_LIMIT) & (slope < -force)


def is_optimal(x: np.ndarray, slope: np.ndarray, cost: float, limits: Limits) -> bool:
    """Whether the projected gradient is within tolerance."""
    at_lower, at_upper = held(x, slope, limits.lower, limits.upper)
    largest = np.abs(np.where(at_lower | at_upper, 0.0, slope)).max()
    return bool(largest <= limits.tolerance * (1 + cost / len(x)))
