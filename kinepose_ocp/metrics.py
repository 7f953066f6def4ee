"""How far a motion is from the truth, and how plausible it is by itself.

Angles between orientations are geodesic: the angle of the one rotation that turns one into the other,
whatever joint angles describe them. Quaternions are scalar-first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from kinepose_ocp.chain import Chain
from kinepose_ocp.chain_file import chain_from_yaml
from kinepose_ocp.errors import DataError, possible
from kinepose_ocp.kinematics import Kinematics

FRAMES = ("global", "local")
DETERMINED = 0.5  # observability from which a joint counts as shown
LEAST_VARIANCE = 1e-6  # degree2; less is none


# ---- orientations ----------------------------------------------------------------------------------
def geodesic(q1: ArrayLike, q2: ArrayLike) -> np.ndarray:
    """Angle between orientations [degrees], 0 to 180; NaN where one is missing.

    Parameters
    ----------
    q1, q2
        Unit quaternions (..., 4) w, x, y, z, broadcast against each other. q and -q are the same orientation.
    """
    first, second = np.broadcast_arrays(np.asarray(q1, dtype=float), np.asarray(q2, dtype=float))
    shape = first.shape[:-1]
    first, second = (q.reshape(-1, 4)[:, [1, 2, 3, 0]] for q in (first, second))
    known = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    angle = np.full(len(first), np.nan)
    turn = Rotation.from_quat(first[known]).inv() * Rotation.from_quat(second[known])
    angle[known] = np.degrees(turn.magnitude())
    return angle.reshape(shape)


def angular_error(motion: xr.Dataset, truth: xr.Dataset, frame: str = "global") -> xr.DataArray:
    """Angle (time, joint) [degrees] between estimated and true orientation of the joints in common.

    A frame is compared with the nearest of the truth, within half a time step of the faster of the two;
    frames without one are left out.

    Parameters
    ----------
    frame
        ``global``: orientation in the world; ``local``: of the joint's own rotation.

    Raises
    ------
    DataError
        For another frame, a missing variable, or no joint or time in common.
    """
    if frame not in FRAMES:
        raise DataError(f"no frame '{frame}'; {possible(frame, FRAMES)}")
    name = f"orientation_{frame}"
    dims = ("time", "joint", "quaternion")
    estimated = _variable(motion, name, "motion").transpose(*dims)
    true = _variable(truth, name, "truth").transpose(*dims)
    joints = [joint for joint in estimated["joint"].values if joint in true["joint"].values]
    if not joints:
        listed = (", ".join(map(str, array["joint"].values)) for array in (estimated, true))
        raise DataError("motion and truth have no joint in common: {}; and {}".format(*listed))
    here, there = _common_frames(estimated["time"].values, true["time"].values)
    estimated, true = estimated.sel(joint=joints).isel(time=here), true.sel(joint=joints).isel(time=there)
    error = estimated.isel(quaternion=0, drop=True).copy(data=geodesic(estimated.values, true.values))
    error.attrs = {"units": "degree", "long_name": f"{frame} angular error"}
    return error.rename("angular_error")


def mpjas(
    motion: xr.Dataset, truth: xr.Dataset, frame: str = "global", joints: Sequence[str] | None = None
) -> float:
    """Mean per joint angular separation [degrees] (Gildea et al., KinePose, IMVIP 2022).

    Parameters
    ----------
    frame
        ``global`` or ``local``, as in :func:`angular_error`.
    joints
        Names of the joints; by default those with a free rotation: others have no orientation of their own.

    Raises
    ------
    DataError
        As :func:`angular_error`, and for a joint that is not in both.
    """
    error = angular_error(motion, truth, frame)
    known = [str(joint) for joint in error["joint"].values]
    if joints is None:
        chain = _chain(motion)
        joints = [joint for joint in known if joint in chain.joint_names and _turns(chain, joint)]
    for joint in joints:
        if joint not in known:
            raise DataError(f"motion and truth have no joint '{joint}' in common; {possible(joint, known)}")
    return float(error.sel(joint=list(joints)).mean()) if joints else float("nan")


def lower_limb_joints(chain: Chain) -> list[str]:
    """Find hips and knees from the tree, without looking at names.

    Legs are the branches of the root that reach lowest at rest (at least half as deep as the lowest); on each
    the first two joints with a free rotation count. Feet do not: few pose detectors measure them.
    """
    names = list(chain.joint_names)
    pose = Kinematics(chain)(np.zeros((1, len(chain.free_dofs))))
    up = np.array([("x", "y", "z").index(chain.frame["up"][-1]) == i for i in range(3)], dtype=float)
    up *= -1 if chain.frame["up"].startswith("-") else 1
    root = chain.parents.index(-1)
    depth = (pose.joint_position[0, root] - pose.joint_position[0]) @ up
    branches: dict[int, list[int]] = {}  # joints below the root, parents first, by the branch they are on
    for joint in range(len(names)):
        if joint != root:
            branches.setdefault(chain.ancestors(joint)[-2], []).append(joint)
    deepest = max((depth[branch].max() for branch in branches.values()), default=0.0)
    legs = [branch for branch in branches.values() if depth[branch].max() > max(deepest, 0.0) / 2]
    return [name for leg in legs for name in [names[j] for j in leg if _turns(chain, names[j])][:2]]


def straight_error(motion: xr.Dataset, truth: xr.Dataset) -> tuple[float, float]:
    """Mean local error [degrees] of the joint above a limb hinge, with the limb straight and with it bent.

    A straight limb does not show the twist of its upper segment: the two numbers tell what that costs. Hinges
    that are never straight are left out; NaN where there are no such frames.

    Raises
    ------
    DataError
        As :func:`angular_error`, and for a truth without ``straight (time, joint)``.
    """
    straight = _variable(truth, "straight", "truth").astype(bool)
    error, parents = angular_error(motion, truth, "local"), {j.name: j.parent for j in _chain(truth).joints}
    _, there = _common_frames(motion["time"].values, truth["time"].values)
    inside, outside = [], []
    for joint in straight["joint"].values:
        held, above = straight.sel(joint=joint).values[there], parents.get(str(joint))
        if held.any() and above in error["joint"].values:
            of_joint = error.sel(joint=above).values
            inside.append(of_joint[held])
            outside.append(of_joint[~held])
    return _mean(inside), _mean(outside)


# ---- a motion by itself ------------------------------------------------------------------------------
def rom_violation(motion: xr.Dataset) -> float:
    """Largest excess [degrees] of a joint angle over its range of motion; 0 when all are inside."""
    names = "joint_angle", "rom_lower", "rom_upper"
    angle, lower, upper = (_variable(motion, name, "motion") for name in names)
    return max(0.0, float((lower - angle).max()), float((angle - upper).max()))


def jitter(motion: xr.Dataset) -> float:
    """Root mean square third derivative of the keypoint positions [m/s3]; NaN for fewer than 4 frames."""
    position = _variable(motion, "keypoint_position", "motion").transpose("time", "keypoint", "space").values
    time = motion["time"].values
    for order in (1, 2, 3):  # divided differences, also of uneven steps
        span = (time[order:] - time[:-order])[:, None, None]
        position = order * np.diff(position, axis=0) / span
    square = (position**2).sum(axis=-1)
    return float(np.sqrt(np.nanmean(square))) if np.isfinite(square).any() else float("nan")


def keypoint_error(motion: xr.Dataset) -> float:
    """Root mean square distance [m] between modelled and measured keypoints, over those measured."""
    names = "keypoint_position", "keypoint_observed"
    modelled, observed = (_variable(motion, name, "motion") for name in names)
    square = ((modelled - observed) ** 2).sum("space", skipna=False)
    return float(np.sqrt(square.mean()))


def predicted_error(motion: xr.Dataset) -> xr.DataArray:
    """RMS angle (time, joint) [degree] between true and found orientation in the world, as predicted.

    Raises
    ------
    DataError
        For a motion without ``orientation_covariance``.
    """
    covariance = _variable(motion, "orientation_covariance", "motion").transpose("time", "joint", ...)
    attributes = {"units": "degree", "long_name": "predicted RMS error of the orientation"}
    size = np.sqrt(np.trace(covariance.values, axis1=2, axis2=3))
    places = {"time": covariance["time"], "joint": covariance["joint"]}
    return xr.DataArray(size, places, ("time", "joint"), "predicted_error", attributes)


def standardised_errors(
    motion: xr.Dataset, truth: xr.Dataset, joints: Sequence[str] | None = None
) -> xr.DataArray:
    """Errors of orientations in the world, in predicted standard deviations: (time, joint, axis) [1].

    The rotation vector of an error is taken apart along the three principal axes of the covariance that the
    motion predicts for it, the least known first. Honest deviations leave standard normal numbers: 68 %
    within one, 95 % within two. NaN for joints without a free rotation, and along axes that do not vary.

    Parameters
    ----------
    joints
        By default those with a free rotation.

    Raises
    ------
    DataError
        As :func:`angular_error`, and for a motion without ``orientation_covariance``.
    """
    covariance = _variable(motion, "orientation_covariance", "motion")
    frames = angular_error(motion, truth)
    chain = _chain(motion)
    if joints is None:
        joints = [str(j) for j in frames["joint"].values if str(j) in chain.joint_names and _turns(chain, j)]
    _, there = _common_frames(motion["time"].values, truth["time"].values)
    dims = ("time", "joint", "quaternion")
    found = motion["orientation_global"].transpose(*dims).sel(joint=joints, time=frames["time"]).values
    true = truth["orientation_global"].transpose(*dims).sel(joint=joints).isel(time=there).values
    turn = Rotation.from_quat(true.reshape(-1, 4), scalar_first=True)
    turn = turn * Rotation.from_quat(found.reshape(-1, 4), scalar_first=True).inv()
    error = np.degrees(turn.as_rotvec()).reshape(*found.shape[:2], 3)
    parts = covariance.sel(joint=joints, time=frames["time"]).transpose("time", "joint", ...).values
    variance, axes = np.linalg.eigh(parts)
    along = np.einsum("tjia,tji->tja", axes, error)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(variance > LEAST_VARIANCE, along / np.sqrt(variance), np.nan)[:, :, ::-1]
    return xr.DataArray(
        size,
        {"time": frames["time"], "joint": list(joints), "axis": ["least known", "middle", "best known"]},
        ("time", "joint", "axis"),
        "standardised_error",
        {"units": "1", "long_name": "error of the orientation over its predicted standard deviation"},
    )


def coverage(motion: xr.Dataset, truth: xr.Dataset, joints: Sequence[str] | None = None) -> dict[str, float]:
    """Share [percent] of errors within one and two predicted deviations, by what a frame's points show.

    ``within_1_shown`` and so on: joints whose ``observability`` is at least DETERMINED are shown, the others
    hidden. NaN where there are none. Parameters and errors as :func:`standardised_errors`.
    """
    sizes = sizes_by_class(motion, truth, joints)
    return {
        f"within_{deviations}_{name}": within(size, deviations)
        for name, size in sizes.items()
        for deviations in (1, 2)
    }


def sizes_by_class(
    motion: xr.Dataset, truth: xr.Dataset, joints: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Sizes [1] of :func:`standardised_errors` of joints that a frame's points show, and of hidden ones."""
    size = abs(standardised_errors(motion, truth, joints))
    shown = _variable(motion, "observability", "motion").sel(joint=size["joint"], time=size["time"])
    parts = {"shown": size.where(shown >= DETERMINED), "hidden": size.where(shown < DETERMINED)}
    return {name: part.values[np.isfinite(part.values)] for name, part in parts.items()}


def within(sizes: np.ndarray, deviations: float) -> float:
    """Share [percent] of standardised errors within so many deviations; NaN where there are none."""
    return 100 * float((sizes < deviations).mean()) if len(sizes) else float("nan")


def summary(motion: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    """All of the above by name; NaN for what a motion or truth does not allow to tell.

    Raises
    ------
    DataError
        As :func:`angular_error`.
    """
    legs = [joint for joint in lower_limb_joints(_chain(motion)) if joint in truth["joint"].values]
    result = {}
    for frame in FRAMES:
        result[f"mpjas_{frame}"] = mpjas(motion, truth, frame)
        result[f"mpjas_{frame}_lower_limbs"] = mpjas(motion, truth, frame, legs)
    unknown = float("nan"), float("nan")
    straight, bent = straight_error(motion, truth) if "straight" in truth else unknown
    return result | {
        "straight_error": straight,
        "bent_error": bent,
        "rom_violation": rom_violation(motion),
        "jitter": jitter(motion),
        "keypoint_error": keypoint_error(motion) if "keypoint_observed" in motion else float("nan"),
    }


# ---- pieces ------------------------------------------------------------------------------------------
def _chain(motion: xr.Dataset) -> Chain:
    """Read the chain of a motion from the text it carries."""
    if "chain_yaml" not in motion.attrs:
        raise DataError("motion has no attribute 'chain_yaml', the text of the chain it was solved with")
    return _parsed(motion.attrs["chain_yaml"])


@lru_cache(maxsize=4)  # a summary asks for it again and again
def _parsed(text: str) -> Chain:
    return chain_from_yaml(text, "attribute 'chain_yaml' of the motion")


def _variable(ds: xr.Dataset, name: str, which: str) -> xr.DataArray:
    if name not in ds:
        raise DataError(f"{which} has no variable '{name}'; {possible(name, map(str, ds.data_vars))}")
    return ds[name]


def _turns(chain: Chain, joint: str) -> bool:
    """Whether a joint has a free rotation."""
    dofs = chain.joints[chain.joint_names.index(joint)].dofs
    return any(not (dof.locked or dof.translates) for dof in dofs)


def _common_frames(here: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of every frame of ``here`` with a partner in ``there``, and of that nearest one."""
    steps = [float(np.median(np.diff(time))) for time in (here, there) if len(time) > 1]
    index = xr.IndexVariable("time", there).to_index()
    nearest = index.get_indexer(here, "nearest", tolerance=min(steps, default=0.0) / 2)
    close = nearest >= 0
    if not close.any():
        found = " and ".join(f"{time[0]:g} to {time[-1]:g} s" for time in (here, there))
        raise DataError(f"motion and truth have no time in common: {found}")
    return np.flatnonzero(close), nearest[close]


def _mean(parts: list[np.ndarray]) -> float:
    values = np.concatenate([*parts, np.empty(0)])
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
