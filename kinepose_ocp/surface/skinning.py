"""Linear blend skinning as CasADi expressions: one formula serves numbers and symbols.

A vertex x of the shaped body moves as v = sum_k w_k (R_k (x - J_k) + p_k) with the rotations R_k and centres
p_k of the joints after the pose and their centres J_k before it (Loper et al., SMPL, 2015). Kinematics are
scalar expressions; the vertices are matrix expressions, so that a whole body of 12,000 vertices stays fast.
"""

from __future__ import annotations

from typing import Protocol

import casadi as ca
import numpy as np
from scipy.sparse import csc_matrix

from kinepose_ocp.rotations import ROUNDING, rotation_of, sine_ratio

Expression = ca.Function  # for numbers and for symbols
SPARSE = 0.1  # share of numbers that are not zero, below which a matrix is held without its zeros


class Skinned(Protocol):
    """What skinning needs of a body: see :class:`~kinepose_ocp.surface.body.LinearBody`."""

    @property
    def template(self) -> np.ndarray: ...
    @property
    def shape_directions(self) -> np.ndarray: ...
    @property
    def joint_template(self) -> np.ndarray: ...
    @property
    def joint_directions(self) -> np.ndarray: ...
    @property
    def weights(self) -> np.ndarray: ...
    @property
    def parents(self) -> tuple[int, ...]: ...
    @property
    def pose_directions(self) -> np.ndarray | None: ...
    @property
    def pose_feature(self) -> str | None: ...


def quaternion_feature(vector: ca.SX) -> ca.SX:
    """Quaternion x, y, z, w - 1 (4,) of a rotation vector (3,) [rad]: what STAR's correctives act on."""
    half = ca.sqrt(ca.sumsqr(vector) + ROUNDING**2) / 2
    return ca.vertcat(sine_ratio(half) / 2 * vector, -2 * ca.sin(half / 2) ** 2)


def matrix_feature(vector: ca.SX) -> ca.SX:
    """R - I (9,), row by row: what SMPL's correctives act on."""
    return ca.vec((rotation_of(vector) - ca.SX.eye(3)).T)


def pose_feature(body: Skinned, shape: ca.SX, rotations: ca.SX) -> ca.SX:
    """What the pose correctives of a body are multiplied with (P,); empty for a body without.

    STAR's correctives also depend on the second shape component (Osman et al. 2020).
    """
    joints = range(1, len(body.parents))
    if body.pose_feature == "matrix":
        return ca.vertcat(*(matrix_feature(rotations[:, joint]) for joint in joints))
    if body.pose_feature == "quaternion":
        return ca.vertcat(*(quaternion_feature(rotations[:, joint]) for joint in joints), shape[1])
    return ca.SX(0, 1)


def kinematics(body: Skinned) -> Expression:
    """Motion of a body's joints.

    Inputs: shape (S,), rotations (3, K) rotation vectors [rad] relative to the parent, translation (3,) [m].
    Outputs: rotation (3, 3 K) global, side by side; position (3, K) [m]; shift (3, K) [m], of a vertex that
    follows one joint, R_k x + shift_k; feature (P,) of the pose correctives.
    """
    count = len(body.parents)
    shape = ca.SX.sym("shape", body.shape_directions.shape[2])
    rotations = ca.SX.sym("rotations", 3, count)
    translation = ca.SX.sym("translation", 3)
    directions = ca.DM(body.joint_directions.reshape(3 * count, -1))
    rest = ca.DM(body.joint_template.T) + ca.reshape(directions @ shape, 3, count)
    turned: list[ca.SX] = []
    position: list[ca.SX] = []
    for joint, parent in enumerate(body.parents):
        local = rotation_of(rotations[:, joint])
        if parent < 0:
            turned.append(local)
            position.append(rest[:, joint] + translation)
        else:
            turned.append(turned[parent] @ local)
            position.append(position[parent] + turned[parent] @ (rest[:, joint] - rest[:, parent]))
    shift = [position[joint] - turned[joint] @ rest[:, joint] for joint in range(count)]
    return ca.Function(
        "body_kinematics",
        [shape, rotations, translation],
        [
            ca.horzcat(*turned),
            ca.horzcat(*position),
            ca.horzcat(*shift),
            pose_feature(body, shape, rotations),
        ],
        ["shape", "rotations", "translation"],
        ["rotation", "position", "shift", "feature"],
    )


def kinematic_derivatives(body: Skinned) -> Expression:
    """Motion of a body's joints with derivatives, for numbers.

    Inputs as :func:`kinematics`. Outputs: rotation (3, 3 K), shift (3, K), feature (P,), and the derivatives
    (12 K + P, S + 3 K + 3) of these, one after the other and column by column, by shape, rotations and
    translation.
    """
    shape = ca.SX.sym("shape", body.shape_directions.shape[2])
    rotations, translation = ca.SX.sym("rotations", 3, len(body.parents)), ca.SX.sym("translation", 3)
    rotation, _, shift, feature = kinematics(body)(shape, rotations, translation)
    motion = ca.vertcat(ca.vec(rotation), ca.vec(shift), feature)
    slope = ca.jacobian(motion, ca.vertcat(shape, ca.vec(rotations), translation))
    results = [rotation, shift, feature, slope]
    return ca.Function("body_slope", [shape, rotations, translation], [ca.densify(each) for each in results])


def combined(directions: np.ndarray, numbers: ca.MX) -> ca.MX:
    """Sum (3, N) of directions (N, 3, P) times numbers (P,): a row times a matrix, in the order of memory.

    The pose correctives of the open body are mostly zeros, which are left out; few zeros cost less than that.
    """
    rows = directions.reshape(-1, directions.shape[2]).T
    matrix = ca.DM(csc_matrix(rows) if mostly_zero(rows) else rows)
    return ca.reshape(ca.densify(numbers.T @ matrix), 3, len(directions))


def mostly_zero(matrix: np.ndarray) -> bool:
    """Whether a matrix is worth holding without its zeros."""
    return bool(np.count_nonzero(matrix) < SPARSE * matrix.size)


def skin(body: Skinned, vertices: np.ndarray) -> Expression:
    """Motion of some vertices of a body, numbers or symbols.

    Inputs as :func:`kinematics`. Outputs: vertices (3, N) [m]; rotation (3, 3 K); position (3, K) [m].
    """
    joints = len(body.parents)
    shape = ca.MX.sym("shape", body.shape_directions.shape[2])
    rotations = ca.MX.sym("rotations", 3, joints)
    translation = ca.MX.sym("translation", 3)
    rotation, position, shift, feature = kinematics(body)(shape, rotations, translation)
    moved = combined(body.shape_directions[vertices], shape)
    if body.pose_directions is not None:
        moved += combined(body.pose_directions[vertices], feature)
    rest = ca.DM(body.template[vertices].T) + moved
    weights = ca.sparsify(ca.DM(body.weights[vertices].T))
    blended = ca.reshape(rotation, 9, joints) @ weights
    skinned = shift @ weights
    for column in range(3):
        skinned += blended[3 * column : 3 * column + 3, :] * ca.repmat(rest[column, :], 3, 1)
    return ca.Function(
        "body_skin",
        [shape, rotations, translation],
        [skinned, rotation, position],
        ["shape", "rotations", "translation"],
        ["vertices", "rotation", "position"],
    )


def corrections(body: Skinned) -> Expression:
    """What the pose correctives of a body add to its vertices (3, V) [m] before skinning.

    Input: rotations (3, K) rotation vectors [rad] relative to the parent; without turns nothing is added.
    """
    rotations = ca.MX.sym("rotations", 3, len(body.parents))
    feature = kinematics(body)(ca.MX(body.shape_directions.shape[2], 1), rotations, ca.MX(3, 1))[3]
    return ca.Function("corrections", [rotations], [combined(np.asarray(body.pose_directions), feature)])
