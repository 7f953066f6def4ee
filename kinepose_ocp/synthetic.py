"""Motions whose truth is known, and measurements of them: what an estimate can be judged by.

All motions come from the project's one forward kinematics and are ``xarray.Dataset`` like any solved motion,
so that every plot, metric and writer takes them. The same seed gives the same motion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.integrate import cumulative_simpson
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d
from scipy.special import softmax

from kinepose_ocp.chain import Chain
from kinepose_ocp.chain_file import chain_to_yaml
from kinepose_ocp.dataset import pose_dataset
from kinepose_ocp.errors import DataError, ModelError, possible
from kinepose_ocp.keypoints import check_rate, make_keypoints
from kinepose_ocp.kinematics import Kinematics

KEY_STEP = 0.25  # s between the keyframes of a random motion
REACH = {False: 45.0, True: 0.5}  # degrees, or m for a translation: a DOF without limits stays within
SAME_PLACE = 0.005  # m; points this close are the two ends of no segment
BURST = (0.1, 0.5)  # s; a point is missing for this long


# ---- truth ---------------------------------------------------------------------------------------
def true_motion(chain: Chain, angles: Mapping[str, ArrayLike] | ArrayLike, rate: float) -> xr.Dataset:
    """Make the motion that given joint angles are, with everything that follows from them.

    Parameters
    ----------
    angles
        ``{"joint.dof": (T,) values}`` in degrees (m for a translation), others at rest; or (T, n) in the
        order of ``chain.free_dofs``.
    rate
        Sampling rate [Hz]; the first frame is at 0 s.

    Returns
    -------
    xarray.Dataset
        Motion; velocities are central differences of the angles.

    Raises
    ------
    ModelError
        For an unknown degree of freedom.
    DataError
        For a locked one, arrays that do not fit, values that are not finite, or an impossible rate.
    """
    if isinstance(angles, Mapping):
        angles = _columns(chain, angles)
    values = np.array(angles, dtype=float)
    count = len(chain.free_dofs)
    if values.ndim != 2 or values.shape[1] != count or not len(values):
        raise DataError(
            f"angles have shape {values.shape}; chain '{chain.name}' needs (frames, {count}), "
            "a column for each free degree of freedom"
        )
    if not np.isfinite(values).all():
        frame, column = np.argwhere(~np.isfinite(values))[0]
        raise DataError(f"angle of '{list(chain.free_dofs)[column]}' in frame {frame + 1} is not finite")
    time = np.arange(len(values)) / check_rate(rate, "motion")
    motion = pose_dataset(chain, time, values * [dof.from_user_unit(1) for dof in chain.free_dofs.values()])
    return motion.assign_attrs(
        Conventions="CF-1.11",
        title=f"true motion of chain {chain.name}",
        source="kinepose_ocp.synthetic",
        chain_yaml=chain_to_yaml(chain),
    )


def _columns(chain: Chain, angles: Mapping[str, ArrayLike]) -> np.ndarray:
    """Gather the angles (T, n) of the free DOFs [degrees or m]."""
    for name in angles:
        if chain.dof(name).locked:
            raise DataError(f"'{name}' is locked in chain '{chain.name}'; unlock it to move it")
    columns = [angles.get(name, dof.in_user_unit(dof.rest)) for name, dof in chain.free_dofs.items()]
    try:
        return np.atleast_2d(np.stack(np.broadcast_arrays(*columns), axis=-1))
    except ValueError:
        lengths = ", ".join(f"'{name}' {np.shape(values)}" for name, values in angles.items())
        raise DataError(f"angles must have the same number of frames; found {lengths}") from None


# ---- straight limbs ------------------------------------------------------------------------------
@dataclass(frozen=True)
class LimbHinge:
    """A hinge below a ball joint, as a knee or an elbow is, and where it makes the limb straight."""

    joint: str
    dof: str
    straight: float  # degrees


def limb_hinges(chain: Chain) -> list[LimbHinge]:
    """Find the hinges whose straightness hides the twist of the segment above, from the tree alone.

    Such a joint has one free rotation and hangs on a joint with three. The limb is straightest where the
    next point below is farthest from the ball joint; where the range of motion ends before, at its limit.
    """
    kinematics, names = Kinematics(chain), list(chain.free_dofs)
    rest = np.array([dof.rest for dof in chain.free_dofs.values()])
    turns = {
        joint.name: [f"{joint.name}.{dof.name}" for dof in joint.dofs if not (dof.locked or dof.translates)]
        for joint in chain.joints
    }
    hinges = []
    for j, joint in enumerate(chain.joints):
        if joint.parent is None or len(turns[joint.name]) != 1 or len(turns[joint.parent]) != 3:
            continue
        name = turns[joint.name][0]
        pose = kinematics(rest, np.array([[float(other == name) for other in names]]))
        below = [i for i in range(len(chain.joints)) if j in chain.ancestors(i)]
        sites = [chain.joint_names.index(site.joint) for site in chain.keypoints.values()]
        on = [k for k, site in enumerate(sites) if site in below]
        points = np.concatenate([pose.joint_position[0, below], pose.keypoint_position[0, on]])
        arms = points - pose.joint_position[0, j]
        arms = arms[np.linalg.norm(arms, axis=1) > SAME_PLACE]
        axis = pose.angular_velocity[0, j]
        above = np.cross(axis, pose.joint_position[0, j] - pose.joint_position[0, chain.parents[j]])
        arm = np.cross(axis, arms[0]) if len(arms) else np.zeros(3)
        if min(np.linalg.norm(above), np.linalg.norm(arm)) > SAME_PLACE:  # else it twists, or is no limb
            turn = np.arctan2(axis @ np.cross(arm, above), arm @ above)
            dof = chain.dofs[name]
            inside = min(max(dof.rest + turn, dof.lower), dof.upper)
            hinges.append(LimbHinge(joint.name, name, dof.in_user_unit(inside)))
    return hinges


def mark_straight(chain: Chain, motion: xr.Dataset, within: float) -> xr.Dataset:
    """Return the motion with ``straight (time, joint)``: hinges ``within`` degrees of straight.

    Only joints of :func:`limb_hinges` are ever straight.
    """
    straight = xr.zeros_like(motion["joint_position"].isel(space=0, drop=True), dtype=bool)
    straight.attrs = {"long_name": f"limb hinge within {within:g} degree of straight"}
    for hinge in limb_hinges(chain):
        bend = np.abs(motion["joint_angle"].sel(dof=hinge.dof, drop=True) - hinge.straight)
        straight.loc[{"joint": hinge.joint}] = bend <= within
    return motion.assign(straight=straight)


# ---- random motions ------------------------------------------------------------------------------
def random_motion(chain: Chain, frames: int, rate: float, seed: int, straight: bool = True) -> xr.Dataset:
    """Move every free DOF at random inside its range of motion, without jumps.

    Keyframes every 0.25 s are a random walk reflected at the limits and are joined monotonically, so that
    nothing overshoots. A DOF without limits stays within 45 degrees (0.5 m) of zero.

    Parameters
    ----------
    frames, rate
        Number of frames and sampling rate [Hz].
    straight
        Hold each limb hinge exactly straight for 0.25 to 2 s again and again; ``straight (time, joint)``
        marks these frames.

    Raises
    ------
    DataError
        For fewer than 1 frame or an impossible rate.
    """
    if frames < 1:
        raise DataError(f"a motion of {frames} frames is not possible; possible: 1 or more")
    generator = np.random.default_rng(seed)
    time = np.arange(frames) / check_rate(rate, "motion")
    count = int(np.ceil(time[-1] / KEY_STEP)) + 2
    lower, upper = _reach(chain)
    steps = generator.normal(0, 0.25, (count, len(lower)))
    walk = generator.uniform(0.2, 0.8, len(lower)) + steps.cumsum(axis=0)
    reflected = 1 - np.abs(1 - walk % 2)
    keys = lower + (upper - lower) * (0.03 + 0.94 * reflected)
    for hinge in limb_hinges(chain) if straight else []:
        column, key = list(chain.free_dofs).index(hinge.dof), int(generator.integers(1, 4))
        while key < count - 1:
            held = round(2 ** generator.uniform(0, 3))
            keys[key : key + held + 1, column] = hinge.straight
            key += held + int(generator.integers(3, 7))
    angles = PchipInterpolator(KEY_STEP * np.arange(count), keys)(time)
    return mark_straight(chain, true_motion(chain, angles, rate), within=1e-6)


def _reach(chain: Chain) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper limit of every free DOF [degrees or m], also of those without."""
    limits = []
    for dof in chain.free_dofs.values():
        lower, upper, reach = dof.in_user_unit(dof.lower), dof.in_user_unit(dof.upper), REACH[dof.translates]
        if np.isinf(lower):
            lower = -reach if np.isinf(upper) else upper - 2 * reach
        limits.append((lower, lower + 2 * reach if np.isinf(upper) else upper))
    return tuple(np.array(limits).T)


# ---- walking and throwing ------------------------------------------------------------------------
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


# ---- measurements --------------------------------------------------------------------------------
def measure(
    motion: xr.Dataset,
    keypoints: Sequence[str] | None = None,
    *,
    noise: float = 0.0,
    drift: float = 0.0,
    drift_time: float = 0.3,
    missing: float = 0.0,
    seed: int = 0,
) -> xr.Dataset:
    """Measure keypoints of a motion as a pose detector would: with jitter, slow offsets and gaps.

    Parameters
    ----------
    keypoints
        Names of the measured ones; all by default.
    noise
        Standard deviation per axis of the white error [m].
    drift
        Root mean square length of an offset of each point that comes and goes [m] (Ornstein-Uhlenbeck).
    drift_time
        Its time constant [s].
    missing
        Fraction of the points that is missing, each for 0.1 to 0.5 s at a time (longer where gaps meet).
    seed
        Seed of everything random. The kinds of error are independent: the same noise with or without gaps.

    Raises
    ------
    DataError
        For an unknown keypoint, a negative strength, or a fraction outside 0..0.95.
    """
    known = [str(name) for name in motion["keypoint"].values]
    names = known if keypoints is None else list(keypoints)
    for name in names:
        if name not in known:
            raise DataError(f"motion has no keypoint '{name}'; {possible(name, known)}")
    if min(noise, drift) < 0 or drift_time <= 0:
        given = f"noise {noise:g} m, drift {drift:g} m, drift_time {drift_time:g} s"
        raise DataError(f"{given}; possible: noise and drift from 0 up, drift_time above 0")
    if not 0 <= missing <= 0.95:
        raise DataError(f"missing is {missing:g}; possible: a fraction in 0..0.95")
    time = motion["time"].values
    modelled = motion["keypoint_position"].sel(keypoint=names).transpose("time", "keypoint", "space")
    position = modelled.values.astype(float)
    white, slow, gaps = np.random.default_rng(seed).spawn(3)
    position += noise * white.normal(size=position.shape)
    position += drift / np.sqrt(3) * _wandering(time, drift_time, position.shape, slow)
    position[_missing(time, len(names), missing, gaps)] = np.nan
    return make_keypoints(position, names, time=time, place="measurement")


def _wandering(time: np.ndarray, constant: float, shape: tuple, generator: np.random.Generator) -> np.ndarray:
    """Stationary Ornstein-Uhlenbeck process (T, ...) of unit variance and that time constant [s]."""
    values = generator.normal(size=shape)
    for t, kept in enumerate(np.exp(-np.diff(time) / constant), start=1):
        values[t] = kept * values[t - 1] + np.sqrt(1 - kept**2) * values[t]
    return values


def _missing(time: np.ndarray, points: int, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Return which points (T, K) are missing: bursts until the fraction is reached."""
    missing = np.zeros((len(time), points), dtype=bool)
    while missing.mean() < fraction:
        point, length = generator.integers(points), generator.uniform(*BURST)
        start = generator.uniform(time[0] - length, time[-1])  # so that the ends are as often hit
        missing[(time >= start) & (time < start + length), point] = True
    return missing
