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


def scaled_geometry(
    skeleton: Skeleton, scales: np.ndarray, offsets: Mapping[str, Mapping[str, np.ndarray]] | None = None
) -> JointGeometry:
    """Hang the scaled parts of a skeleton together at their joints, in the pose of its template.

    Only sizes matter: gaps that a placement leaves at loose joints are closed, and its pose is left out.

    Parameters
    ----------
    scales
        (P, 3) of every part along the axes of the template [1].
    offsets
        More landmarks: part -> name -> (3,) [m] from the joint that the part hangs at (the template's origin
        for the root), scaled already, in the directions of the template.

    Raises
    ------
    DataError
        For scales of another shape or that are not positive.
    """
    scales = np.asarray(scales, dtype=float)
    if scales.shape != (len(skeleton.parts), 3) or not (np.isfinite(scales).all() and (scales > 0).all()):
        raise DataError(
            f"scales must be positive numbers of shape ({len(skeleton.parts)}, 3), found {scales.shape}"
        )
    by_part = dict(zip(skeleton.parts, scales, strict=True))
    anchor = {ROOT_PART: np.zeros(3)}  # where a part hangs, in the template
    placed = {ROOT_PART: np.zeros(3)}  # and where that place is now
    centres, axes = {}, {}
    for joint in skeleton.joints:
        centre = placed[joint.parent] + by_part[joint.parent] * (joint.centre - anchor[joint.parent])
        anchor[joint.child], placed[joint.child], centres[joint.name] = joint.centre, centre, centre
        axes[joint.name] = _scaled_axes(joint.axes, by_part[joint.child])
    landmarks = {
        f"{mark.part}/{mark.name}": placed[mark.part]
        + by_part[mark.part] * (mark.position - anchor[mark.part])
        for mark in skeleton.landmarks
    }
    for part, marks in (offsets or {}).items():
        landmarks |= {f"{part}/{name}": placed[part] + offset for name, offset in marks.items()}
    return JointGeometry(centres, axes, {part: np.eye(3) for part in skeleton.parts}, landmarks)


def placed_geometry(placed: PlacedSkeleton, skin: Mapping[str, np.ndarray] | None = None) -> JointGeometry:
    """Joint geometry of a placed skeleton, upright in the pose of its template.

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
            apart = np.asarray(skin[name]) - placed.at(part, anchors[part])
            offsets.setdefault(part, {})[own] = placed.rotations[placed.part_index(part)].T @ apart
    return scaled_geometry(placed.skeleton, placed.scales, offsets)


def _scaled_axes(axes: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Axes (3, 3) of a part that was stretched: flexion axis and twist axis follow it, at right angles."""
    flexion = axes[0] * scale
    flexion /= np.linalg.norm(flexion)
    twist = axes[2] * scale
    twist -= flexion * (flexion @ twist)
    twist /= np.linalg.norm(twist)
    return np.stack([flexion, np.cross(twist, flexion), twist])
