"""Joint centres and axes of one person: the seam between bones and everything that needs no bones.

The geometry may stand in any pose; what is made of it (:mod:`kinepose_ocp.surface.to_chain`) speaks in frames
of the parts, so that the pose does not matter as long as the parts meet at their joints.
World: metres, x forward, y left, z up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kinepose_ocp.errors import DataError, ModelError, possible
from kinepose_ocp.surface.sides import stem_and_side

if TYPE_CHECKING:
    from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton
    from kinepose_ocp.surface.skeleton import Skeleton

ROOT_PART = "pelvis"
SKIN = {  # landmark of the body's surface: part that it moves with, and its name there
    "head_top": ("skull", "head_top"),
    "nose_tip": ("skull", "nose_tip"),
    "c7": ("cspine", "c7_skin"),
    "heel_right": ("foot_right", "heel_skin"),
    "heel_left": ("foot_left", "heel_skin"),
    "toe_tip_right": ("toes_right", "toe_skin"),
    "toe_tip_left": ("toes_left", "toe_skin"),
}


@dataclass(frozen=True, eq=False)
class JointGeometry:
    """Where the joints of a person are, in one pose.

    centres: joint -> (3,) [m]; axes: joint -> (3, 3), rows flexion (to the right), abduction (forward) and
    twist (up) axis as the child part carries them; frames: part -> (3, 3), columns forward, left, up of that
    part when the person stands upright with hanging arms; landmarks: "part/name" -> (3,) [m].
    """

    centres: Mapping[str, np.ndarray]
    axes: Mapping[str, np.ndarray]
    frames: Mapping[str, np.ndarray]
    landmarks: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = {"centre": (self.centres, (3,)), "axes": (self.axes, (3, 3)), "frame": (self.frames, (3, 3))}
        shapes["landmark"] = (self.landmarks, (3,))
        for kind, (values, shape) in shapes.items():
            for name, value in values.items():
                if np.shape(value) != shape or not np.isfinite(value).all():
                    raise DataError(
                        f"{kind} of '{name}' must be finite numbers of shape {shape}, found {value}"
                    )

    def centre(self, joint: str) -> np.ndarray:
        """Return the centre (3,) [m] of a joint; :class:`ModelError` for an unknown one."""
        return _named(self.centres, joint, "joint")

    def axis(self, joint: str) -> np.ndarray:
        """Return the axes (3, 3) of a joint; :class:`ModelError` for an unknown one."""
        return _named(self.axes, joint, "joint")

    def frame(self, part: str) -> np.ndarray:
        """Return the frame (3, 3) of a part; :class:`ModelError` for an unknown one."""
        return _named(self.frames, part, "part")


def _named(values: Mapping[str, np.ndarray], name: str, kind: str) -> np.ndarray:
    if name not in values:
        raise ModelError(f"no {kind} '{name}' in the joint geometry; {possible(name, values)}")
    return np.asarray(values[name], dtype=float)


def hung_geometry(
    skeleton: Skeleton,
    scales: np.ndarray,
    rotations: np.ndarray | None = None,
    offsets: Mapping[str, Mapping[str, np.ndarray]] | None = None,
) -> JointGeometry:
    """Hang scaled and turned parts of a skeleton together at their joints, without gaps.

    Frames are those of somebody who stands upright in this pose: of trunk and shoulder girdle level and
    forward, of the feet level and in the direction of the shank.

    Parameters
    ----------
    scales
        (P, 3) of every part along the axes of the template [1].
    rotations
        (P, 3, 3) of the parts; none: as in the template.
    offsets
        More landmarks: part -> name -> (3,) [m] in this pose, from the joint that the part hangs at.

    Raises
    ------
    DataError
        For arrays of another shape, or scales that are not positive.
    """
    count = len(skeleton.parts)
    scales = np.asarray(scales, dtype=float)
    turns = np.tile(np.eye(3), (count, 1, 1)) if rotations is None else np.asarray(rotations, dtype=float)
    if scales.shape != (count, 3) or not (np.isfinite(scales).all() and (scales > 0).all()):
        raise DataError(f"scales must be positive numbers of shape ({count}, 3), found {scales.shape}")
    if turns.shape != (count, 3, 3):
        raise DataError(f"rotations must be of shape ({count}, 3, 3), found {turns.shape}")
    stretch = dict(zip(skeleton.parts, turns * scales[:, None, :], strict=True))
    turned = dict(zip(skeleton.parts, turns, strict=True))
    anchor = {ROOT_PART: np.zeros(3)}  # where a part hangs, in the template
    place = {ROOT_PART: np.zeros(3)}  # and where that is now
    centres, axes = {}, {}
    for joint in skeleton.joints:
        centre = place[joint.parent] + stretch[joint.parent] @ (joint.centre - anchor[joint.parent])
        anchor[joint.child], place[joint.child], centres[joint.name] = joint.centre, centre, centre
        own = _scaled_axes(joint.axes, scales[skeleton.parts.index(joint.child)])
        axes[joint.name] = own @ turned[joint.child].T
    landmarks = {
        f"{mark.part}/{mark.name}": place[mark.part]
        + stretch[mark.part] @ (mark.position - anchor[mark.part])
        for mark in skeleton.landmarks
    }
    for part, marks in (offsets or {}).items():
        landmarks |= {f"{part}/{name}": place[part] + offset for name, offset in marks.items()}
    frames = {part: _standing_frame(part, axes) for part in skeleton.parts}
    return JointGeometry(centres, axes, frames, landmarks)


def _standing_frame(part: str, axes: Mapping[str, np.ndarray]) -> np.ndarray:
    """Frame (3, 3) of a part of a standing person: level, and forward or, for a foot, as its shank."""
    stem, side = stem_and_side(part)
    if stem not in ("foot", "toes"):
        return np.eye(3)
    left = -axes[f"knee_{side}"][0] * [1, 1, 0]
    left /= np.linalg.norm(left)
    return np.stack([np.cross(left, [0, 0, 1]), left, [0.0, 0, 1]], axis=1)


def placed_geometry(placed: PlacedSkeleton, skin: Mapping[str, np.ndarray] | None = None) -> JointGeometry:
    """Joint geometry of a skeleton in a body that stands at rest, facing forward.

    Parameters
    ----------
    skin
        Landmarks on the surface of the same body in the same pose: name -> (3,) [m]; those of :data:`SKIN`
        count.
    """
    anchors = {joint.child: joint.centre for joint in placed.skeleton.joints}
    offsets: dict[str, dict[str, np.ndarray]] = {}
    for name, (part, own) in SKIN.items():
        if skin is not None and name in skin:
            offsets.setdefault(part, {})[own] = np.asarray(skin[name]) - placed.at(part, anchors[part])
    return hung_geometry(placed.skeleton, placed.scales, placed.rotations, offsets)


def _scaled_axes(axes: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Axes (3, 3) of a part that was stretched: flexion axis and twist axis follow it, at right angles."""
    flexion = axes[0] * scale
    flexion /= np.linalg.norm(flexion)
    twist = axes[2] * scale
    twist -= flexion * (flexion @ twist)
    twist /= np.linalg.norm(twist)
    return np.stack([flexion, np.cross(twist, flexion), twist])
