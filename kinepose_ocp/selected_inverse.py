"""Parts of the inverse of a motion's Hessian: the posterior covariance, linear in frames.

Block elimination of a block-tridiagonal matrix, then backwards (Takahashi, Fagan and Chin, 1973): only blocks
on and next to the diagonal of the inverse are ever formed. Two frames make one block, so that a coupling
over three frames is tridiagonal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from threadpoolctl import ThreadpoolController

from kinepose_ocp.newton import BandedHessian

_BLAS = ThreadpoolController()


@dataclass(frozen=True)
class SelectedInverse:
    """Covariance of the free coordinates; held ones have none.

    ``lags[k]``: (T - k, n, n) of the coordinates of a frame with those k frames later.
    """

    lags: tuple[np.ndarray, ...]


@_BLAS.wrap(limits=1, user_api="blas")
def selected_inverse(banded: BandedHessian, blocks: list[np.ndarray], free: np.ndarray) -> SelectedInverse:
    """Invert the Hessian given by its ``blocks``; coordinates that are not ``free`` (T, n) are fixed."""
    frames, size = free.shape
    count = (frames + 1) // 2
    pivots: list[np.ndarray] = []
    gains: list[np.ndarray] = []
    fill = np.zeros((2 * size, 2 * size))  # what eliminating the blocks before changes in the next
    for diagonal, coupling in _superblocks(banded, blocks, free):
        root = solve_triangular(_root(diagonal - fill), np.eye(2 * size), lower=True, check_finite=False)
        pivots.append(root.T @ root)
        gains.append(pivots[-1] @ coupling)
        fill = coupling.T @ gains[-1]
    lags = np.zeros((3, 2 * count, size, size))
    inverse = pivots[-1]
    for g in range(count - 1, -1, -1):
        if g + 1 < count:
            across = -gains[g] @ inverse
            inverse = pivots[g] - across @ gains[g].T
            lags[1, 2 * g + 1] = across[size:, :size]
            lags[2, 2 * g] = across[:size, :size]
            lags[2, 2 * g + 1] = across[size:, size:]
        lags[0, 2 * g], lags[0, 2 * g + 1] = inverse[:size, :size], inverse[size:, size:]
        lags[1, 2 * g] = inverse[:size, size:]
        pivots.pop()
    kept = [
        lags[k, : frames - k] * free[: frames - k, :, None] * free[k:, None, :] for k in range(min(3, frames))
    ]
    return SelectedInverse(tuple(kept))


def _superblocks(
    banded: BandedHessian, blocks: list[np.ndarray], free: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, two frames at a time, the block (2n, 2n) on the diagonal and its coupling to the next."""
    frames, size = free.shape
    for start in range(0, frames, 2):
        diagonal, coupling = np.zeros((2 * size, 2 * size)), np.zeros((2 * size, 2 * size))
        held = np.ones((2, size))
        held[: frames - start] = ~free[start : start + 2]
        for lag, (values, (rows, columns)) in enumerate(zip(blocks, banded.entries, strict=True)):
            for first in range(start, min(start + 2, frames - lag)):
                kept = values[:, first] * free[first, rows] * free[first + lag, columns]
                second = first - start + lag
                target = diagonal if second < 2 else coupling
                target[(first - start) * size + rows, (second % 2) * size + columns] = kept
        diagonal += np.triu(diagonal, 1).T
        diagonal[np.diag_indices(2 * size)] += held.ravel()
        yield diagonal, coupling


def _root(matrix: np.ndarray) -> np.ndarray:
    """Cholesky factor; a matrix that is singular to rounding gets a little more on its diagonal."""
    extra = 0.0
    for _ in range(8):
        try:
            return cholesky(matrix + np.diag(extra * np.diag(matrix)), lower=True, check_finite=False)
        except LinAlgError:
            extra = max(30 * extra, 1e-13)
    raise LinAlgError("the Hessian is not positive definite")
