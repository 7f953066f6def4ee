"""Bodies and poses for the tests of the surface: rig poses, and skin driven by known motions of bones."""

import numpy as np
from scipy.spatial.transform import Rotation

from kinepose_ocp.surface.body import Posed
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton
from kinepose_ocp.surface.sides import twin
from kinepose_ocp.surface.skin_parts import parts_of_rig


def rig_pose(body, angles):
    """Rotation vectors (K, 3) [rad] of a rig from degrees about x, y, z by joint."""
    rotations = np.zeros((len(body.parents), 3))
    for name, values in angles.items():
        rotations[body.joint_index(name)] = np.radians(values)
    return rotations


def both(name, x, y, z):
    """A pose of both sides: mirror images."""
    return {f"{name}_right": (-x, y, -z), f"{name}_left": (x, y, z)}


def both_joints(name, flexion, abduction, twist):
    """Angles of the joints of both sides: mirror images, told for the left one."""
    return {f"{name}_left": (flexion, abduction, twist), f"{name}_right": (flexion, -abduction, -twist)}


def driven(body, rest, placed, angles):
    """Skin of bones that turn by known angles: degrees about flexion, abduction and twist axis by joint.

    The bones turn about their joints one after the other; the skin follows them by the weights of the body.
    Returns the posed body, whose rig says nothing, and the true skeleton.
    """
    skeleton = placed.skeleton
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
    still = np.tile(np.eye(3), (len(body.parents), 1, 1))
    moved = np.einsum("pij,pj->pi", turns, placed.translations) + shifts
    return Posed(vertices, still, rest.joint_positions), placed.moved(turns @ placed.rotations, moved)


def degrees_between(first, second):
    """Angles (P,) [degree] between rotations (P, 3, 3)."""
    return np.degrees(Rotation.from_matrix(first.swapaxes(1, 2) @ second).magnitude())


def mirror_image(placed):
    """A placed skeleton reflected in the plane y = 0: left parts where the right ones were."""
    order, flip = [placed.part_index(twin(part)) for part in placed.skeleton.parts], np.diag([1.0, -1, 1])
    return PlacedSkeleton(
        placed.skeleton,
        flip @ placed.rotations[order] @ flip,
        placed.translations[order] @ flip,
        placed.scales[order],
    )
