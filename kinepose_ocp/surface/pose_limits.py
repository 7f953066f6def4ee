"""What joints of a body's rig can do: soft limits, so that a fit cannot twist limbs unnaturally.

Rotation vectors about forward, left and up axes, from the rest pose of the open body (arms out and down,
elbows bent); right joints mirror left ones. A body that rests otherwise, as in a T pose, has the same limits,
told from its own rest pose. Round numbers, meant to be wider than what people reach: the normal active ranges
(American Academy of Orthopaedic Surgeons, Joint Motion, 1965) are 135 deg of knee flexion, 120 of hip
flexion and 150 of elbow flexion; those of the trunk are shared among the rig's four joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.spatial.transform import Rotation

from kinepose_ocp.surface.body import LinearBody, open_body
from kinepose_ocp.surface.sides import stem_and_side

Range = tuple[float, float]
LIMITS_DEG: dict[str, tuple[Range, Range, Range]] = {  # about forward, left, up (elbow: about its own axes)
    "spine04": ((-15, 15), (-20, 30), (-12, 12)),
    "spine03": ((-15, 15), (-20, 30), (-12, 12)),
    "spine02": ((-15, 15), (-20, 30), (-20, 20)),
    "spine01": ((-15, 15), (-20, 30), (-25, 25)),
    "neck01": ((-30, 30), (-40, 40), (-40, 40)),
    "head": ((-25, 25), (-35, 35), (-45, 45)),
    "upperleg": ((-35, 60), (-145, 35), (-55, 55)),
    "lowerleg": ((-12, 12), (-10, 155), (-25, 25)),
    "foot": ((-30, 30), (-35, 55), (-30, 30)),
    "toe": ((-10, 10), (-70, 40), (-10, 10)),
    "clavicle": ((-15, 40), (-25, 25), (-30, 30)),
    "upperarm": ((-70, 160), (-150, 80), (-130, 80)),
    "lowerarm": ((-50, 115), (-12, 12), (-95, 95)),  # flexion, carrying angle, twist
    "wrist": ((-60, 60), (-60, 60), (-60, 60)),
}
OTHER_DEG = (-120.0, 120.0)  # joints of other rigs
MIRRORED = np.array([-1.0, 1.0, -1.0])
# joints of limbs, with the joint at the end of their segment; hands turn with them, feet stay level
SEGMENTS = {"upperarm": "lowerarm", "lowerarm": "wrist", "upperleg": "lowerleg", "lowerleg": "foot"}
LEVEL = "foot"


@dataclass(frozen=True, eq=False)
class PoseLimits:
    """Limits of every joint but the root: axes (K, 3, 3) rows, lower and upper (K, 3) [rad] about them."""

    axes: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def about_axes(self, rotations: np.ndarray) -> np.ndarray:
        """Components (K, 3) [rad] of rotation vectors (K, 3) about the joints' axes."""
        return np.einsum("kij,kj->ki", self.axes, rotations)

    def excess(self, rotations: np.ndarray) -> np.ndarray:
        """How far (K, 3) [rad] rotation vectors lie outside, signed; zero inside."""
        turned = self.about_axes(rotations)
        return np.maximum(turned - self.upper, 0) + np.minimum(turned - self.lower, 0)


def pose_limits(body: LinearBody) -> PoseLimits:
    """Return the limits of a body's joints by their names; wide ones for joints of other names.

    A turn R from the body's rest pose is C_p R C_k' from the open body's, by the :func:`rest_turns` C of the
    joint and its parent: about the rotation vector C_p r plus that of C_p C_k'.
    """
    count = len(body.parents)
    bounds = np.tile(np.radians(OTHER_DEG), (count, 3, 1))
    bounds[0] = np.array([-np.inf, np.inf])
    for joint, name in enumerate(body.joint_names):
        stem, side = stem_and_side(name)
        if stem not in LIMITS_DEG:
            continue
        bounds[joint] = np.radians(LIMITS_DEG[stem])
        if side == "right" and stem != "lowerarm":
            bounds[joint] = np.sort(bounds[joint] * MIRRORED[:, None], axis=1)
    axes, turns = open_axes(body), rest_turns(body)
    above = turns[np.maximum(body.parents, 0)]
    rest = Rotation.from_matrix(above @ turns.transpose(0, 2, 1)).as_rotvec()
    bounds -= np.einsum("kij,kj->ki", axes, rest)[..., None]
    return PoseLimits(axes @ above, bounds[..., 0], bounds[..., 1])


@cache
def _open_joints() -> dict[str, np.ndarray]:
    """Positions (3,) [m] of the open body's joints at rest."""
    body = open_body()
    return dict(zip(body.joint_names, body.joint_template, strict=True))


def open_axes(body: LinearBody) -> np.ndarray:
    """Axes (K, 3, 3), by rows, that limits and poses count about, in the open body's rest pose.

    Forward, left, up; of elbows: flexion, carrying angle and forearm, from the bent elbow of the open body.
    """
    axes, at = np.tile(np.eye(3), (len(body.parents), 1, 1)), _open_joints()
    for joint, name in enumerate(body.joint_names):
        stem, side = stem_and_side(name)
        if stem == "lowerarm" and side:
            shoulder, elbow, wrist = (at[f"{each}_{side}"] for each in ("upperarm", "lowerarm", "wrist"))
            flexion, along = np.cross(elbow - shoulder, wrist - elbow), wrist - elbow
            flexion, along = flexion / np.linalg.norm(flexion), along / np.linalg.norm(along)
            axes[joint] = np.array([flexion, np.cross(along, flexion), along])
    return axes


def rest_turns(body: LinearBody) -> np.ndarray:
    """Global rotations (K, 3, 3) that bring a body's limbs from its rest pose into the open body's.

    Each turns a segment the shortest way; the trunk rests alike.
    """
    at, resting = dict(zip(body.joint_names, body.joint_template, strict=True)), _open_joints()
    turns = np.tile(np.eye(3), (len(body.parents), 1, 1))
    for joint, (name, parent) in enumerate(zip(body.joint_names, body.parents, strict=True)):
        stem, side = stem_and_side(name)
        end = f"{SEGMENTS.get(stem)}_{side}"
        if name in resting and end in at and end in resting:
            turn, _ = Rotation.align_vectors(resting[end] - resting[name], at[end] - at[name])
            turns[joint] = turn.as_matrix()
        elif parent >= 0 and stem != LEVEL:
            turns[joint] = turns[parent]
    return turns
