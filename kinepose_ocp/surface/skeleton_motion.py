"""A posed skeleton as Datasets: rotations of all parts, and what a chain's keypoints would measure on it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from scipy.spatial.transform import Rotation

from kinepose_ocp.chain import Chain
from kinepose_ocp.keypoints import make_keypoints
from kinepose_ocp.surface.joint_geometry import JointGeometry
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton
from kinepose_ocp.surface.to_chain import segment_frames

if TYPE_CHECKING:
    from kinepose_ocp.surface.subject import Subject

SPACE, QUATERNION, AXES = ["x", "y", "z"], ["w", "x", "y", "z"], ["flexion", "abduction", "twist"]
MEANINGS = {
    "rotation": "rotation of the part from the template to the world",
    "translation": "place of the part's origin",
    "scale": "scale of the part along the axes of the template",
    "origin": "origin of the part in the template",
    "joint_centre": "centre of the joint",
    "joint_axis": "axis of the joint, turning with the part below it",
}
CHAIN_PARTS = {  # chain joint without side: part below it
    "pelvis": "pelvis",
    "lumbar": "lumbar",
    "thorax": "thorax",
    "neck": "cspine",
    "head": "skull",
    "hip": "femur",
    "knee": "tibia",
    "ankle": "foot",
    "toes": "toes",
    "clavicle": "clavicle",
    "shoulder": "humerus",
    "elbow": "forearm",
    "forearm": "forearm",
    "wrist": "hand",
}


def skeleton_dataset(subject: Subject) -> xr.Dataset:
    """Return rotation, translation and scale of all parts, with the joints, over time.

    A point X of the template goes to R (scale * (X - origin)) + translation [m]; the world has z up. The
    user's own coordinates follow from the attributes ``mesh_unit`` and ``mesh_rotation`` (row by row, into
    the world).
    """
    poses, frame = subject.poses, subject.surfaces.frame
    skeleton = poses[0].skeleton
    turns = np.array([each.rotations for each in poses])
    quaternion = Rotation.from_matrix(turns.reshape(-1, 3, 3)).as_quat(canonical=True)[:, [3, 0, 1, 2]]
    joints = ("time", "joint", "space")
    values = {
        "rotation": (("time", "part", "quaternion"), quaternion.reshape(*turns.shape[:2], 4), "1"),
        "translation": (("time", "part", "space"), np.array([each.translations for each in poses]), "m"),
        "scale": (("part", "space"), poses[0].scales, "1"),
        "origin": (("part", "space"), poses[0].origins, "m"),
        "joint_centre": (joints, np.array([each.joint_centres() for each in poses]), "m"),
        "joint_axis": (
            ("time", "joint", "axis", "space"),
            np.array([each.joint_axes() for each in poses]),
            "1",
        ),
    }
    time = ("time", subject.surfaces.time, {"units": "s", "long_name": "elapsed time"})
    coords: dict[str, Any] = {"time": time, "part": list(skeleton.parts), "space": SPACE}
    coords |= {"joint": [joint.name for joint in skeleton.joints], "quaternion": QUATERNION, "axis": AXES}
    return xr.Dataset(
        {
            name: (dims, data, {"units": unit, "long_name": MEANINGS[name]})
            for name, (dims, data, unit) in values.items()
        },
        coords,
        {
            "Conventions": "CF-1.11",
            "title": "bones inside the surface of a body",
            "source": f"kinepose_ocp {importlib.metadata.version('kinepose_ocp')}: kinepose_ocp.surface",
            "mesh_unit": frame.unit,
            "mesh_rotation": frame.rotation.ravel(),
        },
    )


def keypoint_dataset(chain: Chain, subject: Subject, names: Sequence[str] | None = None) -> xr.Dataset:
    """Return where the keypoints of a subject's chain are on the posed bones [m]: exact measurements."""
    names = list(chain.keypoints) if names is None else list(names)
    turns = chain_rotations(chain, subject)
    found = []
    for site in (chain.keypoints[name] for name in names):
        start = np.array([_start(pose, _part(site.joint)) for pose in subject.poses])
        found.append(start + turns[site.joint] @ np.array(site.offset))
    return make_keypoints(np.stack(found, axis=1), names, time=subject.surfaces.time, place="bones")


def chain_rotations(chain: Chain, subject: Subject) -> dict[str, np.ndarray]:
    """Rotations (T, 3, 3) of the frames of all chain joints as the bones carry them.

    Elbow and forearm are one rigid part, so that both turn with it.
    """
    frames, found = _frames(chain, subject.geometry), {}
    for joint in chain.joint_names:
        part = subject.resting.part_index(_part(joint))
        own = subject.resting.rotations[part].T @ frames[joint]  # in the template
        found[joint] = np.array([pose.rotations[part] for pose in subject.poses]) @ own
    return found


def _frames(chain: Chain, geometry: JointGeometry) -> Mapping[str, np.ndarray]:
    """Frame (3, 3) of every chain joint in the pose of the geometry, which is at rest."""
    frames = segment_frames(geometry)
    for joint in chain.joints:
        if joint.name not in frames and joint.parent is not None:  # the forearm, below the elbow
            w, x, y, z = joint.orientation
            frames[joint.name] = frames[joint.parent] @ Rotation.from_quat([x, y, z, w]).as_matrix()
    return frames


def _part(joint: str) -> str:
    stem, _, side = joint.rpartition("_")
    return f"{CHAIN_PARTS[stem]}_{side}" if side in ("left", "right") else CHAIN_PARTS[joint]


def _start(pose: PlacedSkeleton, part: str) -> np.ndarray:
    """Where a part hangs (3,) [m]: its joint; the pelvis, the middle of the hips."""
    centres = [joint.centre for joint in pose.skeleton.joints if joint.child == part]
    if not centres:
        centres = [pose.skeleton.joint(f"hip_{side}").centre for side in ("left", "right")]
    return pose.at(part, np.array(centres)).mean(0)
