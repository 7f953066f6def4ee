"""From rotations to joint angles: every set of angles that makes a rotation, and the smoothest choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from kinepose_ocp.chain import Dof

TURN = 2 * np.pi
CHUNK = 256  # frames whose steps are compared at once


def decompose(rotation: np.ndarray, dofs: Sequence[Dof]) -> np.ndarray | None:
    """All sets of joint angles that make a joint's rotation, one set a branch.

    Parameters
    ----------
    rotation
        (T, 3, 3) rotation made by the joint's own DOFs.
    dofs
        One to three rotational DOFs in intrinsic order. With fewer than three, the part of the rotation
        that they cannot make is dropped.

    Returns
    -------
    (B, T, n) angles [rad], or None where consecutive axes are not perpendicular (Davenport angles need
    that; Wittenburg and Lilov, Multibody Syst. Dyn. 9, 2003).
    """
    turns = Rotation.from_matrix(rotation)
    axes = [np.array(dof.axis) for dof in dofs]
    if len(axes) == 1:
        quaternion = turns.as_quat(scalar_first=True)
        return 2 * np.arctan2(quaternion[:, 1:] @ axes[0], quaternion[:, 0])[None, :, None]
    if len(axes) == 2:
        axes.append(np.cross(axes[0], axes[1]))
    if len(axes) != 3 or abs(axes[0] @ axes[1]) > 1e-6 or abs(axes[1] @ axes[2]) > 1e-6:
        return None
    with np.errstate(all="ignore"):
        angles = _davenport(rotation, axes)
    between = np.arctan2(axes[2] @ np.cross(axes[0], axes[1]), axes[2] @ axes[0])
    other = np.stack([angles[:, 0] + np.pi, 2 * between - angles[:, 1], angles[:, 2] + np.pi], axis=-1)
    return np.stack([angles, other])[:, :, : len(dofs)]


def _davenport(rotation: np.ndarray, axes: list[np.ndarray]) -> np.ndarray:
    """Angles (T, 3) about first, second, third axis (intrinsic); at gimbal lock the first is zero."""
    first, second, third = axes
    normal = np.cross(first, second)
    between = np.arctan2(third @ normal, third @ first)
    image = rotation @ third
    middle = between - np.arctan2(np.hypot(image @ normal, image @ second), image @ first)
    tilted = Rotation.from_rotvec(middle[:, None] * second).apply(third)
    start = np.arctan2(tilted @ normal, tilted @ second)
    end = np.arctan2(image @ normal, image @ second)
    alpha = np.where(np.hypot(image @ normal, image @ second) < 1e-9, 0.0, end - start)
    before = Rotation.from_rotvec(alpha[:, None] * first) * Rotation.from_rotvec(middle[:, None] * second)
    rest = (before.inv() * Rotation.from_matrix(rotation)).as_quat(scalar_first=True)
    gamma = 2 * np.arctan2(rest[:, 1:] @ third, rest[:, 0])
    return np.stack([alpha, middle, gamma], axis=-1)


def compose(angles: np.ndarray, dofs: Sequence[Dof]) -> np.ndarray:
    """Rotation (T, 3, 3) that joint angles (T, n) [rad] make, in intrinsic order."""
    whole = Rotation.identity(len(angles))
    for angle, dof in zip(angles.T, dofs, strict=True):
        whole = whole * Rotation.from_rotvec(angle[:, None] * np.array(dof.axis))
    return whole.as_matrix()


def rotation_axes(angles: np.ndarray, dofs: Sequence[Dof]) -> np.ndarray:
    """(T, 3, k) axes of a joint's rotational DOFs as they stand at angles (T, k) [rad].

    Times a small change of the angles they give the rotation vector of the change [rad].
    """
    axes, turned = [], Rotation.identity(len(angles))
    for angle, dof in zip(angles.T, dofs, strict=True):
        axes.append(turned.apply(np.array(dof.axis)))
        turned = turned * Rotation.from_rotvec(angle[:, None] * np.array(dof.axis))
    return np.stack(axes, axis=2)


def into_range(angles: np.ndarray, dofs: Sequence[Dof]) -> np.ndarray:
    """Shift angles [rad] by whole turns into their ROM, or towards it (zero where unbounded)."""
    middle = np.array([_middle(dof) for dof in dofs])
    return middle + np.mod(angles - middle + np.pi, TURN) - np.pi


def _middle(dof: Dof) -> float:
    if np.isinf(dof.lower) and np.isinf(dof.upper):
        return 0.0
    if np.isinf(dof.upper):
        return dof.lower + np.pi
    return dof.upper - np.pi if np.isinf(dof.lower) else (dof.lower + dof.upper) / 2


def smoothest_path(
    candidates: np.ndarray, cost: np.ndarray, stiffness: float | np.ndarray, periodic: np.ndarray
) -> np.ndarray:
    """Choose one candidate a frame: least cost plus squared steps (Viterbi).

    Parameters
    ----------
    candidates
        (C, T, n) [rad].
    cost
        (C, T) of each candidate.
    stiffness
        Weight of a squared step [1/rad2]; one for all, or of each (T - 1,).
    periodic
        (n,) bool: steps of these are counted modulo a whole turn.

    Returns
    -------
    (T, n), with whole turns added to periodic angles so that they are continuous.
    """
    count, frames, _ = candidates.shape
    weight, best = np.broadcast_to(stiffness, frames - 1), cost[:, 0].copy()
    came = np.zeros((frames, count), dtype=int)
    for first in range(0, frames - 1, CHUNK):
        now = candidates[:, first : first + CHUNK + 1].swapaxes(0, 1)
        step = now[1:, None] - now[:-1, :, None]
        step[..., periodic] -= TURN * np.round(step[..., periodic] / TURN)
        moved = weight[first : first + CHUNK, None, None] * np.einsum("tabi,tabi->tab", step, step)
        for t, change in enumerate(moved, first + 1):
            total = best[:, None] + change
            came[t] = total.argmin(axis=0)
            best = total.min(axis=0) + cost[:, t]
    path = np.zeros(frames, dtype=int)
    path[-1] = best.argmin()
    for t in range(frames - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    chosen = candidates[path, np.arange(frames)]
    chosen[:, periodic] = np.unwrap(chosen[:, periodic], axis=0)
    return chosen
