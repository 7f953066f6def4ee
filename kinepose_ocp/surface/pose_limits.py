"""What joints of the open body's rig can do: soft limits, so that a fit cannot twist limbs unnaturally.

Rotation vectors about forward, left and up axes of the template pose (arms out and down, elbows bent); right
joints mirror left ones. Round numbers, meant to be wider than what people reach: the normal active ranges
(American Academy of Orthopaedic Surgeons, Joint Motion, 1965) are 135 deg of knee flexion, 120 of hip
flexion and 150 of elbow flexion; those of the trunk are shared among the rig's four joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinepose_ocp.surface.body import LinearBody

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
    """Return the limits of a body's joints by their names; wide ones for joints of other names."""
    count = len(body.parents)
    axes = np.tile(np.eye(3), (count, 1, 1))
    bounds = np.tile(np.radians(OTHER_DEG), (count, 3, 1))
    bounds[0] = np.array([-np.inf, np.inf])
    for joint, name in enumerate(body.joint_names):
        stem, _, side = name.rpartition("_")
        stem = stem if side in ("left", "right") else name
        if stem not in LIMITS_DEG:
            continue
        bounds[joint] = np.radians(LIMITS_DEG[stem])
        if stem == "lowerarm":
            axes[joint] = _elbow_axes(body, joint)
        elif side == "right":
            mirrored = bounds[joint] * MIRRORED[:, None]
            bounds[joint] = np.sort(mirrored, axis=1)
    return PoseLimits(axes, bounds[..., 0], bounds[..., 1])


def _elbow_axes(body: LinearBody, elbow: int) -> np.ndarray:
    """Rows: flexion axis, carrying axis, axis of the forearm, from the bent elbow of the template."""
    shoulder = body.parents[elbow]
    wrist = next(joint for joint, parent in enumerate(body.parents) if parent == elbow)
    at = body.joint_template
    upper, lower = at[elbow] - at[shoulder], at[wrist] - at[elbow]
    flexion, along = np.cross(upper, lower), lower / np.linalg.norm(lower)
    flexion /= np.linalg.norm(flexion)
    return np.array([flexion, np.cross(along, flexion), along])
