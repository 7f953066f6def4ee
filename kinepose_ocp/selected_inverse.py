"""Parts of the inverse of a motion's Hessian: the posterior covariance, linear in frames.

Block elimination of a block-tridiagonal matrix, then backwards (Takahashi, Fagan and Chin, 1973): only blocks
on and next to the diagonal of the inverse are ever formed. Two frames make one block, so that a coupling
over three frames is tridiagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from threadpoolctl import ThreadpoolController

from kinepose_ocp.newton import BandedHessian

_BLAS = ThreadpoolController()


@dataclass(frozen=True)
class SelectedInverse:
    """Covariance of the free coordinates; held ones have none.

    ``same``: (T, n, n) of a frame; ``lags[k]``: (T - k, n) of each coordinate with itself k frames later.
    """

    same: np.ndarray
    lags: tuple[np.ndarray, ...]


@_BLAS.wrap(limits=1, user_api="blas")
def selected_inverse(banded: BandedHessian, blocks: list[np.ndarray], free: np.ndarray) -> SelectedInverse:
    """Invert the Hessian given by its ``blocks``; coordinates that are not ``free`` (T, n) are fixed."""
    frames, size = free.shape
    diagonal, coupling = _superblocks(banded, blocks, free)
    pivots, gains = [], []
    matrix = diagonal[0]
    for g in range(len(diagonal)):
        root = solve_triangular(_root(matrix), np.eye(2 * size), lower=True, check_finite=False)
        pivots.append(root.T @ root)
        if g + 1 < len(diagonal):
            gains.append(pivots[g] @ coupling[g])
            matrix = diagonal[g + 1] - coupling[g].T @ gains[g]
    same = np.zeros((2 * len(diagonal), size, size))
    lags = np.zeros((3, 2 * len(diagonal), size))
    inverse = pivots[-1]
    for g in range(len(diagonal) - 1, -1, -1):
        if g + 1 < len(diagonal):
            across = -gains[g] @ inverse
            inverse = pivots[g] - across @ gains[g].T
            lags[1, 2 * g + 1] = np.diag(across[size:, :size])
            lags[2, 2 * g] = np.diag(across[:size, :size])
            lags[2, 2 * g + 1] = np.diag(across[size:, size:])
        same[2 * g], same[2 * g + 1] = inverse[:size, :size], inverse[size:, size:]
        lags[1, 2 * g] = np.diag(inverse[:size, size:])
    same = same[:frames] * free[:, :, None] * free[:, None, :]
    lags[0, :frames] = np.einsum("tii->ti", same)
    kept = [lags[k, : frames - k] * free[: frames - k] * free[k:] for k in range(min(3, frames))]
    return SelectedInverse(same, tuple(kept))


def _superblocks(
    banded: BandedHessian, blocks: list[np.ndarray], free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Diagonal blocks (G, 2n, 2n) of two frames each, and couplings (G - 1, 2n, 2n) to the next."""
    frames, size = free.shape
    count = (frames + 1) // 2
    diagonal = np.zeros((count, 2 * size, 2 * size))
    coupling = np.zeros((count, 2 * size, 2 * size))
    held = np.ones((2 * count, size))
    held[:frames] = ~free
    for lag, (values, (rows, columns)) in enumerate(zip(blocks, banded.entries, strict=True)):
        last = frames - lag
        kept = (values * free[:last, rows].T * free[lag:, columns].T).T
        for first in (0, 1):
            part = kept[first::2]
            where = np.arange(len(part))[:, None]
            second = first + lag
            target = diagonal if second < 2 else coupling
            target[where, first * size + rows, (second % 2) * size + columns] = part
    diagonal += np.triu(diagonal, 1).transpose(0, 2, 1)
    index = np.arange(2 * size)
    diagonal[:, index, index] += held.reshape(count, 2 * size)
    return diagonal, coupling[:-1]


def _root(matrix: np.ndarray) -> np.ndarray:
    """Cholesky factor; a matrix that is singular to rounding gets a little more on its diagonal."""
    extra = 0.0
    for _ in range(8):
        try:
            return cholesky(matrix + np.diag(extra * np.diag(matrix)), lower=True, check_finite=False)
        except LinAlgError:
            extra = max(30 * extra, 1e-13)
    raise LinAlgError("the Hessian is not positive definite")
