"""Bodies and poses for the tests of the surface: rig poses, joint angles of both sides, mirror images."""

import numpy as np

from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton
from kinepose_ocp.surface.sides import twin


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


def mirror_image(placed):
    """A placed skeleton reflected in the plane y = 0: left parts where the right ones were."""
    order, flip = [placed.part_index(twin(part)) for part in placed.skeleton.parts], np.diag([1.0, -1, 1])
    return PlacedSkeleton(
        placed.skeleton,
        flip @ placed.rotations[order] @ flip,
        placed.translations[order] @ flip,
        placed.scales[order],
    )
