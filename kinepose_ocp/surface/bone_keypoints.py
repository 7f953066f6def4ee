"""What posed bones say of a chain: where its keypoints are, and how its segments are oriented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.spatial.transform import Rotation

from kinepose_ocp.chain import Chain
from kinepose_ocp.keypoints import make_keypoints
from kinepose_ocp.surface.joint_geometry import JointGeometry
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton
from kinepose_ocp.surface.sides import sided, stem_and_side
from kinepose_ocp.surface.to_chain import segment_frames

if TYPE_CHECKING:
    from kinepose_ocp.surface.subject import Subject

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
    stem, side = stem_and_side(joint)
    return sided(CHAIN_PARTS[stem], side)


def _start(pose: PlacedSkeleton, part: str) -> np.ndarray:
    """Where a part hangs (3,) [m]: its joint; the pelvis, the middle of the hips."""
    centres = [joint.centre for joint in pose.skeleton.joints if joint.child == part]
    if not centres:
        centres = [pose.skeleton.joint(f"hip_{side}").centre for side in ("left", "right")]
    return pose.at(part, np.array(centres)).mean(0)
