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
from scipy.interpolate import PchipInterpolator

from kinepose_ocp.chain import Chain
from kinepose_ocp.chain_file import chain_to_yaml
from kinepose_ocp.dataset import pose_dataset
from kinepose_ocp.errors import DataError, possible
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
