"""Skin that known motions of bones drive: the truth for whatever finds bones from a skin alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from kinepose_ocp.surface.body import LinearBody, Posed
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton
from kinepose_ocp.surface.skin_parts import parts_of_rig


def drive_skin(
    body: LinearBody, rest: Posed, placed: PlacedSkeleton, angles: Mapping[str, Sequence[float]]
) -> tuple[Posed, PlacedSkeleton]:
    """Turn bones by known angles, and let the skin follow them by the weights of its body.

    The bones turn about their joints one after the other, from the pelvis outward; skin is blended linearly,
    without pose correctives.

    Parameters
    ----------
    rest, placed
        The body at rest, and the skeleton placed in it.
    angles
        Name of a joint of the skeleton -> degrees about its flexion, abduction and twist axis, as components
        of one rotation vector; joints that are not named stay.

    Returns
    -------
    tuple of Posed and PlacedSkeleton
        The skin, whose rig stays at rest and so tells nothing of the bones, and the bones in it.

    Raises
    ------
    ModelError
        For a joint that the skeleton has not, and for a body whose rig shares no joint with the skeleton.
    """
    skeleton = placed.skeleton
    for name in angles:
        skeleton.joint(name)
    count = len(skeleton.parts)
    turns, shifts = np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3))
    for joint, centre in zip(skeleton.joints, placed.joint_centres(), strict=True):
        parent, child = (skeleton.parts.index(part) for part in (joint.parent, joint.child))
        axes = joint.axes @ placed.rotations[parent].T
        local = Rotation.from_rotvec(np.radians(angles.get(joint.name, (0, 0, 0))) @ axes).as_matrix()
        turns[child] = turns[parent] @ local
        shifts[child] = turns[parent] @ centre + shifts[parent] - turns[child] @ centre
    of_rig = parts_of_rig(body, skeleton)
    vertices = np.einsum("vk,kij,vj->vi", body.weights, turns[of_rig], rest.vertices)
    vertices += body.weights @ shifts[of_rig]
    moved = np.einsum("pij,pj->pi", turns, placed.translations) + shifts
    driven = Posed(vertices, rest.joint_rotations, rest.joint_positions)
    return driven, placed.moved(turns @ placed.rotations, moved)


def degrees_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Angles (P,) [degree] between rotations (P, 3, 3)."""
    return np.degrees(Rotation.from_matrix(first.swapaxes(1, 2) @ second).magnitude())
