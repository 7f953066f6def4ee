"""A walk that turns into an overarm throw: the bundled example, made from a table of angles over time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy.integrate import cumulative_simpson
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d
from scipy.special import softmax

from kinepose_ocp.chain import Chain
from kinepose_ocp.errors import ModelError, possible
from kinepose_ocp.synthetic import mark_straight, true_motion

CYCLE = 1.1  # s; natural cadence (Winter 1991)
WALKED = 2.1  # s; the gait curves end here, just before the right foot lands for the third time
# Degrees over the gait cycle {percent: angle}, 0 = contact of the foot of the same side (of the right one
# for the trunk). Peaks and their times are typical of normal adults and rounded, not digitised. Legs: Winter,
# The Biomechanics and Motor Control of Human Gait, 1991; pelvis and trunk: Perry & Burnfield, Gait Analysis,
# 2nd ed., 2010; arms: Murray 1967, Am J Phys Med 46:290-333.
WALK: dict[str, dict[float, float]] = {
    "pelvis.yaw": {0: 4, 50: -4},
    "pelvis.list": {13: -4, 63: 4},
    "pelvis.tilt": {0: 7, 25: 6, 50: 7, 75: 6},
    "lumbar.flexion": {0: -3},
    "lumbar.bending": {13: 3, 63: -3},
    "lumbar.rotation": {0: -2, 50: 2},
    "thorax.flexion": {0: -1},
    "thorax.rotation": {0: -8, 50: 8},
    "neck.rotation": {0: 6, 50: -6},
    "hip_*.flexion": {0: 28, 10: 25, 20: 17, 30: 7, 40: -1, 50: -8, 54: -9, 61: -4, 70: 13, 80: 26, 87: 31},
    "hip_*.abduction": {0: 0, 15: -6, 30: -5, 50: -2, 63: 5, 75: 3, 90: 0},
    "hip_*.rotation": {0: -4, 20: 2, 50: 2, 65: -5, 85: -4},
    "knee_*.flexion": {0: 4, 14: 18, 21: 15, 30: 7, 40: 3, 47: 9, 52: 17, 60: 40, 72: 64, 80: 50, 95: 3},
    "ankle_*.dorsiflexion": {0: 0, 7: -6, 15: 0, 30: 6, 45: 10, 52: 4, 62: -18, 70: -8, 78: 2, 90: 3},
    "shoulder_*.flexion": {0: -22, 50: 14},
    "shoulder_*.abduction": {0: 8, 50: 6},
    "shoulder_*.rotation": {0: 10, 50: 18},
    "elbow_*.flexion": {0: 17, 50: 38},
    "forearm_*.pronation": {0: 20},
}
# Key poses of an overarm throw with the right hand: right foot lands, left foot lifts, arms part, left foot
# lands, arm cocked, release, arm turned in, arm across the body, right foot steps through, stand. Shoulder,
# elbow, trunk and lead knee rounded after Fleisig et al. 1999, J Biomech 32:1371-1375; Werner et al. 1993,
# J Orthop Sports Phys Ther 17:274-278; Dillman et al. 1993, ibid. 18:402-408. It is slower than a pitch, and
# the elbow ends straighter. Legs and free arm are the project's own, so that the planted foot stays in place.
EVENTS = (2.20, 2.45, 2.72, 2.98, 3.08, 3.14, 3.19, 3.35, 3.65, 4.00)  # s
THROW: dict[str, tuple[float, ...]] = {
    "pelvis.yaw": (-6, -45, -72, -50, -8, 8, 16, 26, 18, 6),
    "pelvis.list": (0, 0, 4, 4, 0, -4, -6, -8, 0, 0),
    "pelvis.tilt": (6, 4, 0, 2, 12, 18, 22, 28, 18, 8),
    "lumbar.flexion": (-3, -2, 0, -4, -8, 4, 12, 18, 12, 0),
    "lumbar.bending": (0, 0, 0, 2, -4, -8, -8, -6, -2, 0),
    "lumbar.rotation": (-3, -5, -8, -12, -4, 4, 8, 10, 6, 0),
    "thorax.flexion": (-2, 0, 2, -4, -15, 6, 14, 20, 14, 2),
    "thorax.bending": (0, 0, 0, 2, -6, -14, -14, -10, -4, 0),
    "thorax.rotation": (-6, -10, -15, -32, -5, 12, 20, 26, 16, 2),
    "neck.flexion": (0, 0, 0, 0, 0, -15, -25, -30, -20, -2),
    "neck.bending": (0, 0, 0, 0, 4, 10, 10, 8, 2, 0),
    "neck.rotation": (12, 50, 80, 80, 17, -20, -35, -40, -25, -4),
    "hip_right.flexion": (28, 19, 20, 14, 0, -2, 0, 20, 46, 24),
    "hip_right.abduction": (-1, 0, 3, 26, 18, 8, 4, 8, 12, 6),
    "hip_right.rotation": (-12, -8, 11, 0, -22, -27, -28, -21, -12, -12),
    "knee_right.flexion": (4, 26, 36, 55, 60, 62, 68, 95, 52, 20),
    "ankle_right.dorsiflexion": (0, 10, 18, -5, -20, -22, -20, 0, 12, 8),
    "ankle_right.inversion": (-2, -3, 3, 12, 10, 8, 8, 8, 5, 2),
    "hip_left.flexion": (-8, 18, 55, 37, 62, 67, 69, 63, 35, 13),
    "hip_left.abduction": (-2, 12, 35, 31, 2, -8, -12, -16, -12, -4),
    "hip_left.rotation": (0, -25, -30, -33, 3, 16, 23, 34, 29, 16),
    "knee_left.flexion": (14, 72, 90, 37, 50, 54, 55, 53, 38, 22),
    "ankle_left.dorsiflexion": (5, 4, 10, -4, 0, 4, 7, 12, 17, 12),
    "ankle_left.inversion": (0, 0, 5, 8, 6, 5, 5, 2, -2, -2),
    "clavicle_right.protraction": (0, -5, -10, -20, -12, 5, 12, 18, 10, 0),
    "clavicle_right.elevation": (0, 2, 8, 12, 14, 14, 12, 8, 4, 0),
    "shoulder_right.abduction": (8, 30, 55, 92, 94, 92, 88, 75, 45, 18),
    "shoulder_right.flexion": (-18, 0, -20, -25, 5, 10, 22, 62, 60, 25),
    "shoulder_right.rotation": (12, 20, 10, -60, -165, -112, -35, 15, 25, 15),
    "elbow_right.flexion": (20, 45, 70, 92, 96, 5, 4, 22, 45, 30),
    "forearm_right.pronation": (20, 20, 30, 40, 20, 10, 45, 70, 50, 25),
    "wrist_right.flexion": (0, 0, 0, -15, -35, -5, 25, 30, 15, 5),
    "clavicle_left.protraction": (0, 5, 10, 5, -5, -8, -8, -5, 0, 0),
    "clavicle_left.elevation": (0, 2, 8, 8, 4, 2, 0, 0, 0, 0),
    "shoulder_left.abduction": (6, 35, 70, 80, 55, 45, 40, 35, 25, 12),
    "shoulder_left.flexion": (14, 25, 20, 15, 5, -10, -15, -20, -10, 0),
    "shoulder_left.rotation": (18, 30, 40, 30, 30, 30, 25, 15, 10, 10),
    "elbow_left.flexion": (38, 45, 10, 5, 60, 95, 100, 90, 60, 30),
    "forearm_left.pronation": (20, 40, 60, 60, 40, 30, 30, 30, 30, 20),
}
SOLES = ("heel_right", "foot_right", "heel_left", "foot_left")


def walk_throw(chain: Chain) -> xr.Dataset:
    """Walk two strides and throw with the right hand: 4 s at 60 Hz, for a chain such as ``fullbody``.

    Angles are published curves of gait and throwing (named at :data:`WALK` and :data:`THROW`), the pelvis
    moves so that the feet stand on the ground without slipping. ``straight (time, joint)`` marks knees and
    elbows within 10 degrees of straight: in stance, in the reaching arm, and at release.

    Raises
    ------
    ModelError
        For a chain without the degrees of freedom and keypoints of ``fullbody``.
    """
    rate, detail = 60, 10  # Hz, and computed steps a frame: the elbow straightens within 4 frames
    before = 0.25  # s, so that the motion does not begin with an edge of the filters
    time = np.arange(round(-before * rate) * detail, round(EVENTS[-1] * rate) * detail) / (rate * detail)
    angles = {}
    for name, points in _control_points().items():
        curve = PchipInterpolator(sorted(points), [points[t] for t in sorted(points)])(time)
        angles[name] = gaussian_filter1d(curve, 0.010 * rate * detail)
    root = gaussian_filter1d(_standing(chain, angles, rate * detail), 0.030 * rate * detail, axis=0)
    angles |= dict(zip(("pelvis.x", "pelvis.y", "pelvis.z"), root.T, strict=True))
    shown = {name: values[time >= 0][::detail] for name, values in angles.items()}
    return mark_straight(chain, true_motion(chain, shown, rate), within=10.0)


def _control_points() -> dict[str, dict[float, float]]:
    """Angle of every DOF that moves, by time [s]: gait curves, then the throw."""
    points: dict[str, dict[float, float]] = {}
    for pattern, curve in WALK.items():
        for side, delay in (("right", 0.0), ("left", 0.5)):
            cycles = [
                ((cycle + delay + percent / 100) * CYCLE, angle)
                for cycle in (-2, -1, 0, 1)
                for percent, angle in curve.items()
            ]
            walked = {time: angle for time, angle in cycles if time < WALKED}
            points.setdefault(pattern.replace("*", side), walked)
    for name, angles in THROW.items():
        still = {0.0: angles[0], WALKED: angles[0]}
        points[name] = points.get(name, still) | dict(zip(EVENTS, angles, strict=True))
    return points


def _standing(chain: Chain, angles: Mapping[str, np.ndarray], rate: float) -> np.ndarray:
    """Root position (T, 3) [m] that keeps the lowest points of the soles still, on the ground."""
    for name in SOLES:
        if name not in chain.keypoints:
            near = possible(name, chain.keypoints)
            raise ModelError(f"no keypoint '{name}' in chain '{chain.name}'; {near}")
    soles = true_motion(chain, angles, rate)["keypoint_position"].sel(keypoint=list(SOLES)).values
    weight = softmax(-soles[..., 2:] / 0.004, axis=1)  # m; both feet count while they are as high
    velocity = -(weight * np.gradient(soles, 1 / rate, axis=0)).sum(axis=1)
    position = cumulative_simpson(velocity, dx=1 / rate, axis=0, initial=0)
    position[:, 2] = -(weight * soles).sum(axis=1)[:, 2]
    return position
