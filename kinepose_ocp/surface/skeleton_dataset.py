"""A skeleton in a sequence of poses as one ``xarray.Dataset``, and back.

Dimensions: time, part, bone, joint, quaternion (w, x, y, z), space (x forward, y left, z up).
Bones are where their part is, but for those that glide (:class:`GlidingBone`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy.spatial.transform import Rotation

from kinepose_ocp.dataset import QUATERNION, SPACE
from kinepose_ocp.errors import DataError
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton
from kinepose_ocp.surface.skeleton import Skeleton

VARIABLES = ("part_rotation", "part_translation", "part_scale")


def skeleton_dataset(poses: Sequence[PlacedSkeleton], time: np.ndarray) -> xr.Dataset:
    """Return the poses (T) of one skeleton at times (T,) [s].

    Raises
    ------
    DataError
        For no poses, another number of times, or poses of different skeletons.
    """
    if not poses or len(poses) != len(time):
        raise DataError(f"{len(poses)} poses of a skeleton at {len(time)} times; needed: one pose a time")
    skeleton = poses[0].skeleton
    if any(pose.skeleton is not skeleton for pose in poses):
        raise DataError("the poses of a sequence must be of one skeleton")
    turns = np.array([quaternions(pose.rotations) for pose in poses])
    ends = np.array([pose.joint_ends() for pose in poses])
    axes = quaternions(np.array([pose.joint_axes() for pose in poses]).swapaxes(-1, -2))
    part, joint = ("time", "part"), ("time", "joint")
    gap = 1e3 * np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=2)
    return xr.Dataset(
        {
            "part_rotation": _of(
                (*part, "quaternion"), turns, "1", "rotation from the template to the world"
            ),
            "part_translation": _of(
                (*part, "space"),
                np.array([pose.translations for pose in poses]),
                "m",
                "origin of the part in the world",
            ),
            "part_scale": _of(
                ("part", "space"),
                poses[0].scales,
                "1",
                "scale along the axes of the template, before the rotation",
            ),
            "part_origin": _of(
                ("part", "space"), poses[0].origins, "m", "origin of the part in the template"
            ),
            "joint_centre": _of((*joint, "space"), ends.mean(2), "m", "joint centre in the world"),
            "joint_axes": _of(
                (*joint, "quaternion"),
                axes,
                "1",
                "rotation from flexion, abduction and twist axis to the world",
            ),
            "joint_gap": _of(joint, gap, "mm", "distance of the joint's centres in its two parts"),
        },
        coords=_coordinates(skeleton, time),
        attrs={"title": "skeleton placed in a body", "frame": "x forward, y left, z up"},
    )


def _coordinates(skeleton: Skeleton, time: np.ndarray) -> dict[str, object]:
    """Coordinates of the dataset of a skeleton."""
    return {
        "time": ("time", np.asarray(time, dtype=float), {"units": "s", "long_name": "elapsed time"}),
        "part": list(skeleton.parts),
        "joint": [joint.name for joint in skeleton.joints],
        "bone": [bone.name for bone in skeleton.bones],
        "bone_part": ("bone", [bone.part for bone in skeleton.bones]),
        "quaternion": list(QUATERNION),
        "space": list(SPACE),
    }


def skeleton_poses(dataset: xr.Dataset, skeleton: Skeleton) -> list[PlacedSkeleton]:
    """Return the poses of a dataset as :func:`skeleton_dataset` makes it.

    Raises
    ------
    DataError
        When variables are missing or the parts are not those of the skeleton.
    """
    missing = [name for name in VARIABLES if name not in dataset]
    if missing:
        raise DataError(f"no '{missing[0]}' in the dataset of a skeleton; needed: {', '.join(VARIABLES)}")
    parts = [str(part) for part in dataset.part.values]
    if parts != list(skeleton.parts):
        raise DataError(f"parts {', '.join(parts[:4])}, ... are not those of the skeleton")
    turns = dataset.part_rotation.transpose("time", "part", "quaternion").values
    moves = dataset.part_translation.transpose("time", "part", "space").values
    scales = dataset.part_scale.transpose("part", "space").values
    return [
        PlacedSkeleton(skeleton, Rotation.from_quat(turn, scalar_first=True).as_matrix(), move, scales)
        for turn, move in zip(turns, moves, strict=True)
    ]


def quaternions(rotations: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4), w first and not negative, of rotations (..., 3, 3)."""
    flat = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_quat(canonical=True, scalar_first=True)
    return flat.reshape(*rotations.shape[:-2], 4)


def _of(dims: tuple[str, ...], values: np.ndarray, units: str, name: str) -> tuple:
    return dims, values, {"units": units, "long_name": name}
