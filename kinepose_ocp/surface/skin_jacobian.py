"""Derivatives of a body's vertices: linear in the joints' motions, whose own derivatives are CasADi's."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from kinepose_ocp.numeric import Numeric
from kinepose_ocp.surface.body import LinearBody
from kinepose_ocp.surface.skinning import kinematic_derivatives, mostly_zero


class SkinJacobian:
    """Derivatives of some vertices (N,) of a body by shape, rotations and translation.

    Of v = sum_k w_k (R_k x + s_k), with x the vertex before skinning, they are
    sum_k w_k (dR_k x + ds_k) + (sum_k w_k R_k) dx: see :mod:`kinepose_ocp.surface.skinning`.
    """

    def __init__(self, body: LinearBody, vertices: np.ndarray):
        self._joints, self._shapes = len(body.parents), body.shape_count
        self._motion = Numeric(kinematic_derivatives(body))
        self._template, self._directions = body.template[vertices], body.shape_directions[vertices]
        self._weights = csr_matrix(body.weights[vertices])
        at = 4 * self._weights.indices[:, None] + np.arange(4)  # three numbers of x, and 1, for every weight
        self._columns, self._ends = at.ravel(), 4 * self._weights.indptr
        self._of_weight = np.repeat(np.arange(len(vertices)), np.diff(self._weights.indptr))
        given = body.pose_directions
        poses = (
            np.zeros((3 * len(vertices), 0))
            if given is None
            else given[vertices].reshape(3 * len(vertices), -1)
        )
        self._poses = csr_matrix(poses) if mostly_zero(poses) else poses

    def __call__(self, shape: np.ndarray, rotations: np.ndarray, translation: np.ndarray) -> np.ndarray:
        """Derivatives (N, 3, n) at a shape (S,), rotation vectors (K, 3) [rad], translation (3,) [m]."""
        joints, count = self._joints, len(self._template)
        rotation, _, feature, slope = self._motion(shape, rotations.T, translation)
        size = slope.shape[1]
        before = (self._poses @ feature).reshape(count, 3)
        moved = (self._poses @ slope[12 * joints :]).reshape(count, 3, size)
        moved[:, :, : self._shapes] += self._directions
        turns = np.concatenate(  # of a joint: three columns of its rotation, and its shift, each (3, n)
            [
                slope[: 9 * joints].reshape(joints, 3, 3 * size),
                slope[9 * joints : 12 * joints].reshape(joints, 1, 3 * size),
            ],
            axis=1,
        ).reshape(4 * joints, 3 * size)
        rest = np.c_[self._template + self._directions @ shape + before, np.ones(count)]
        values = self._weights.data[:, None] * rest[self._of_weight]
        mixed = csr_matrix((values.ravel(), self._columns, self._ends), (count, 4 * joints))
        blended = (self._weights @ rotation.T.reshape(joints, 9)).reshape(count, 3, 3).transpose(0, 2, 1)
        return (mixed @ turns).reshape(count, 3, size) + blended @ moved
