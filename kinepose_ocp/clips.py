"""Clips of measured motion as problems with a truth: chain, points and true orientations of their skeletons.

A clip brings no ranges of motion. Elbows and knees get -5 to 150 degrees (AAOS 0 to 135-150 and slack), other
joints but the shoulders at least 60 degrees to each side; where the subject leaves these, they are widened.
Errors are told apart by what 17 points can show of a segment: all of its orientation (full), its twist only
by the bend of the hinge below (hinge), or only the direction of its bone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.spatial.transform import Rotation

from kinepose_ocp.chain import Chain, Dof, Joint, Link, Site, Vector
from kinepose_ocp.errors import DataError
from kinepose_ocp.io.mocap_clip import MocapClip, read
from kinepose_ocp.keypoints import make_keypoints
from kinepose_ocp.metrics import geodesic

HINGE_ROM, BALL_ROM, SLACK = (-5.0, 150.0), (-60.0, 60.0), 5.0  # degrees
SAME_PLACE = 0.005  # m; a point this close to a joint is not moved by it
ROOT_AXES = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}
TURNS = {"yaw": (0, 0, 1), "roll": (1, 0, 0), "pitch": (0, 1, 0)}
PARENT = {  # standard segments
    "chest": "pelvis",
    "head": "chest",
    **{f"{s}_{a}": b for s in "rl" for a, b in [("thigh", "pelvis"), ("upper_arm", "chest")]},
    **{
        f"{s}_{a}": f"{s}_{b}"
        for s in "rl"
        for a, b in [("shank", "thigh"), ("foot", "shank"), ("forearm", "upper_arm"), ("hand", "forearm")]
    },
}
LOWER = [f"{s}_{a}" for s in "rl" for a in ("thigh", "shank")]
HINGED = [f"{s}_{a}" for s in "rl" for a in ("shank", "forearm")]


@dataclass(frozen=True)
class ClipProblem:
    """A clip ready to solve; ``truth`` has orientations of all joints and the angles of hinges."""

    source: str
    chain: Chain
    keypoints: xr.Dataset
    truth: xr.Dataset
    segments: dict[str, str]  # joint of each standard segment
    observed: dict[str, str]  # full, hinge, direction or none, of each segment
    bone: dict[str, np.ndarray]  # (3,) its direction in the joint's frame

    @property
    def judged(self) -> list[str]:
        """Joints whose orientation the points show, if need be by the hinge below."""
        return [joint for name, joint in self.segments.items() if self.observed[name] in ("full", "hinge")]


def clip_files(folder: Path) -> list[Path]:
    """Return the clips in a folder, sorted.

    Raises
    ------
    DataError
        When there is no such folder, or no clip in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of clips")
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise DataError(f"{folder}: no clips in this folder; possible: .npz files of schema kinepose-mocap-1")
    return files


def read_clip(path: Path) -> ClipProblem:
    """Read a clip and make the chain of its own skeleton.

    Raises
    ------
    DataError
        For a file that is no such clip.
    """
    clip = read(path)
    body = _Body(clip)
    joints = tuple(
        Joint(name, body.parent_name(j), _vector(clip.offset[j]) if j else (0.0, 0.0, 0.0), dofs=body.dofs(j))
        for j, name in enumerate(clip.joints)
    )
    sites = {name: Site(clip.joints[j], _vector(local)) for name, (j, local, _) in clip.points.items()}
    links = tuple(Link("pelvis", name) for name in sites if name != "pelvis" and "pelvis" in sites)
    chain = Chain(clip.name, clip.source, joints, sites, links)
    position = np.stack([point for *_, point in clip.points.values()], axis=1)
    keypoints = make_keypoints(position, list(sites), rate=clip.rate, place=str(path))
    return ClipProblem(
        source=clip.source,
        chain=chain,
        keypoints=keypoints,
        truth=_truth(clip, chain, keypoints["time"].values),
        segments={name: clip.joints[j] for name, j in clip.segments.items()},
        observed={name: clip.observed[j] for name, j in clip.segments.items()},
        bone={name: body.bone(j) for name, j in clip.segments.items() if body.moved[j]},
    )


def segment_errors(clip: ClipProblem, motion: xr.Dataset) -> dict[str, float]:
    """Mean errors [degree] by what the points show; MPJAS over the classes full and hinge."""
    dims = ("time", "joint", "quaternion")
    found, true = (ds["orientation_global"].transpose(*dims) for ds in (motion, clip.truth))
    shown = {name: joint for name, joint in clip.segments.items() if clip.observed[name] != "none"}
    turns = {
        name: [_rotation(orientation.sel(joint=joint).values) for orientation in (found, true)]
        for name, joint in shown.items()
    }
    world, own, direction = {}, {}, {}
    for name, (estimate, truth) in turns.items():
        if clip.observed[name] == "direction":
            bone = clip.bone.get(name, np.array([0.0, 0.0, 1.0]))
            cosine = (estimate.apply(bone) * truth.apply(bone)).sum(axis=1)
            direction[name] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
            continue
        world[name] = geodesic(_wxyz(estimate), _wxyz(truth))
        above = turns.get(PARENT.get(name, ""))
        local = (
            [a.inv() * b for a, b in zip(above, (estimate, truth), strict=True)]
            if above
            else [estimate, truth]
        )
        own[name] = geodesic(*map(_wxyz, local))
    return {
        "mpjas_global": _mean(world, list(world)),
        "mpjas_local": _mean(own, list(own)),
        "mpjas_global_lower_limbs": _mean(world, LOWER),
        "mpjas_local_lower_limbs": _mean(own, LOWER),
        "over_90": 100 * float(np.mean([np.mean(error > 90) for error in world.values()])),
        **{
            f"mpjas_{kind}": _mean(world, [n for n in world if clip.observed[n] == kind])
            for kind in ("full", "hinge")
        },
        "direction_error": _mean(direction, list(direction)),
    }


class _Body:
    """Which joints of a clip the points can show, and the DOFs that these get."""

    def __init__(self, clip: MocapClip):
        self.clip = clip
        count = len(clip.joints)
        self.rest = np.zeros((count, 3))
        for j, p in enumerate(clip.parents):
            self.rest[j] = clip.offset[j] + self.rest[p] if p >= 0 else 0.0
        self.moved = [
            {
                name
                for name, (site, _, _) in clip.points.items()
                if j in self.path(site) and self._arm(j, name) > SAME_PLACE
            }
            for j in range(count)
        ]
        self.segment = {j: name for name, j in clip.segments.items()}

    def path(self, joint: int) -> list[int]:
        """A joint and all above it."""
        found = [joint]
        while self.clip.parents[found[-1]] >= 0:
            found.append(int(self.clip.parents[found[-1]]))
        return found

    def parent_name(self, joint: int) -> str | None:
        return None if self.clip.parents[joint] < 0 else self.clip.joints[self.clip.parents[joint]]

    def place(self, name: str) -> np.ndarray:
        """A point at rest (3,) [m]."""
        joint, local, _ = self.clip.points[name]
        return self.rest[joint] + local

    def bone(self, joint: int) -> np.ndarray:
        """Direction at rest (3,) to the point that the joint is the nearest above, the farthest of these."""
        order = {name: len(self.path(self.clip.points[name][0])) for name in self.moved[joint]}
        nearest = [name for name in order if order[name] == min(order.values())]
        arm = self.place(max(nearest, key=lambda name: self._arm(joint, name))) - self.rest[joint]
        return arm / np.linalg.norm(arm)

    def dofs(self, joint: int) -> tuple[Dof, ...]:
        """DOFs [rad, m] of a joint; none where another above already moves the same points."""
        if joint == 0:
            moves = [Dof(name, _vector(axis), translates=True) for name, axis in ROOT_AXES.items()]
            return (*moves, *(Dof(name, _vector(axis)) for name, axis in TURNS.items()))
        kind, moved = self.clip.types[joint], self.moved[joint]
        if kind == "fixed" or not moved or any(self.moved[a] == moved for a in self._turning_above(joint)):
            return ()
        turn = local_rotation(self.clip, joint, self.group(joint))
        segment = self.segment.get(self.group(joint), "")
        if kind == "hinge" or segment in HINGED:
            return (_hinge(turn, self.clip.hinge_axis[joint], HINGE_ROM if segment in HINGED else BALL_ROM),)
        return _ball(turn, self.bone(joint), "upper_arm" in segment)

    def group(self, joint: int) -> int:
        """The last of a row of joints that move the same points: they turn as one."""
        row = [
            j for j in range(len(self.moved)) if joint in self.path(j) and self.moved[j] == self.moved[joint]
        ]
        return next((j for j in reversed(row) if self.clip.types[j] != "fixed"), joint)

    def _turning_above(self, joint: int) -> list[int]:
        return [a for a in self.path(joint)[1:] if a != 0 and self.clip.types[a] != "fixed"]

    def _arm(self, joint: int, name: str) -> float:
        return float(np.linalg.norm(self.place(name) - self.rest[joint]))


def local_rotation(clip: MocapClip, joint: int, last: int | None = None) -> Rotation:
    """Rotation of a joint (to the last of a row) relative to the parent."""
    turn, parent = _rotation(clip.orientation[:, joint if last is None else last]), clip.parents[joint]
    return turn if parent < 0 else _rotation(clip.orientation[:, parent]).inv() * turn


def _hinge(turn: Rotation, axis: np.ndarray, least: tuple[float, float]) -> Dof:
    """One DOF, positive in flexion; about the principal axis where the clip's joint is none."""
    vectors = turn.as_rotvec(degrees=True)
    if not np.isfinite(axis).all():
        axis = np.linalg.svd(vectors, full_matrices=False)[2][0]
    axis = axis / np.linalg.norm(axis)
    axis = axis if np.median(vectors @ axis) >= 0 else -axis
    lower, upper = _range(vectors @ axis, least)
    return Dof("flexion", _vector(axis), lower=lower, upper=upper)


def _ball(turn: Rotation, bone: np.ndarray, unlimited: bool) -> tuple[Dof, ...]:
    """Three DOFs, the last about the bone; no limit where the subject may turn over."""
    side = np.array([0.0, 1.0, 0.0]) if abs(bone[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    first = side - (side @ bone) * bone
    first /= np.linalg.norm(first)
    axes = {"flexion": first, "abduction": np.cross(bone, first), "twist": bone}
    angles = turn.as_davenport(np.array(list(axes.values())), "intrinsic", degrees=True)
    dofs = []
    for (name, axis), angle in zip(axes.items(), angles.T, strict=True):
        lower, upper = _range(angle, BALL_ROM)
        free = unlimited or np.abs(angle).max() > 170
        dofs.append(
            Dof(name, _vector(axis), lower=-np.inf if free else lower, upper=np.inf if free else upper)
        )
    return tuple(dofs)


def _range(angle: np.ndarray, least: tuple[float, float]) -> tuple[float, float]:
    """ROM [rad] that holds angles [degree] with some slack."""
    lower, upper = min(least[0], angle.min() - SLACK), max(least[1], angle.max() + SLACK)
    return float(np.radians(lower)), float(np.radians(upper))


def _truth(clip: MocapClip, chain: Chain, time: np.ndarray) -> xr.Dataset:
    """True orientations of all joints, and angles of the hinges [degree]."""
    local = np.stack([_wxyz(local_rotation(clip, j)) for j in range(len(clip.joints))], axis=1)
    hinges = {f"{j.name}.{j.dofs[0].name}": j for j in chain.joints if len(j.dofs) == 1}
    angles = [
        local_rotation(clip, chain.joint_names.index(joint.name)).as_rotvec(degrees=True)
        @ np.array(joint.dofs[0].axis)
        for joint in hinges.values()
    ]
    dims = ("time", "joint", "quaternion")
    return xr.Dataset(
        {
            "orientation_global": (dims, clip.orientation),
            "orientation_local": (dims, local),
            "joint_angle": (("time", "dof"), np.array(angles).reshape(len(hinges), len(time)).T),
        },
        {"time": time, "joint": clip.joints, "dof": list(hinges), "quaternion": ["w", "x", "y", "z"]},
    )


def _vector(values: Sequence[float] | np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _rotation(quaternion: np.ndarray) -> Rotation:
    return Rotation.from_quat(np.asarray(quaternion, dtype=float)[..., [1, 2, 3, 0]])


def _wxyz(turn: Rotation) -> np.ndarray:
    return turn.as_quat()[..., [3, 0, 1, 2]]


def _mean(errors: dict[str, np.ndarray], names: list[str]) -> float:
    values = [errors[name].mean() for name in names if name in errors]
    return float(np.mean(values)) if values else float("nan")
