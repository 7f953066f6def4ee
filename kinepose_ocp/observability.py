"""What the points of a frame show of every joint, without help from other frames.

Take a broad guess of every joint's rotation (standard deviation BROAD about any axis) and add what one
frame's points say: the variance that is left, about the axis that is known least, tells how much the points
show. A straight elbow hides the twist of the upper arm; so does noise, at small flexion.
"""

from __future__ import annotations

import numpy as np

from kinepose_ocp.case import Case
from kinepose_ocp.joint_angles import rotation_axes

BROAD = np.radians(40.0)  # rad
FAR = 10.0  # m, rad; hardly a guess at all


def observability(case: Case, q: np.ndarray, spread: float) -> np.ndarray:
    """Part of a broad guess's variance that a frame's points remove, about the least known axis.

    Parameters
    ----------
    q
        (T, n) coordinates [rad or m].
    spread
        Standard deviation of a measured coordinate [m].

    Returns
    -------
    (T, J) for every joint, 0 (nothing) to 1 (all) [1]; 1 for joints without a free rotation.
    """
    axes = _axes(case, q)
    jacobian = case.point_jacobians(q)
    weight = np.repeat(case.confidence, 3, axis=1)[..., None] / spread**2
    precision = jacobian.swapaxes(1, 2) @ (weight * jacobian) + FAR**-2 * np.eye(q.shape[1])
    for places, turn in axes.values():
        precision[np.ix_(range(len(q)), places, places)] += turn.swapaxes(1, 2) @ turn / BROAD**2
    left = np.linalg.inv(precision)
    shown = np.ones((len(q), len(case.problem.kernels.chain.joints)))
    for joint, (places, turn) in axes.items():
        kept = turn @ left[:, places][:, :, places] @ turn.swapaxes(1, 2)
        shown[:, joint] = 1 - np.linalg.eigvalsh(kept)[:, -1] / BROAD**2
    return np.clip(shown, 0.0, 1.0)


def _axes(case: Case, q: np.ndarray) -> dict[int, tuple[list[int], np.ndarray]]:
    """Of every joint that turns: the places of its free rotations among the coordinates, and their axes."""
    chain, found = case.problem.kernels.chain, {}
    names = list(chain.free_dofs)
    for j, joint in enumerate(chain.joints):
        dofs = [dof for dof in joint.dofs if not dof.translates]
        own = [i for i, dof in enumerate(dofs) if not dof.locked]
        if own:
            places = [names.index(f"{joint.name}.{dofs[i].name}") for i in own]
            angles = np.tile([dof.rest for dof in dofs], (len(q), 1))
            angles[:, own] = q[:, places]
            found[j] = places, rotation_axes(angles, dofs)[:, :, own]
    return found
