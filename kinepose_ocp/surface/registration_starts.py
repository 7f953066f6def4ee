"""Poses from which a registration starts, and which of them a mesh looks like most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from kinepose_ocp.surface.body import LinearBody
from kinepose_ocp.surface.correspondence import Samples
from kinepose_ocp.surface.pose_limits import MIRRORED, open_axes, rest_turns
from kinepose_ocp.surface.sides import stem_and_side, twin

FAR = 0.25  # m: points farther apart than that tell nothing more
POINTS = 160  # of either surface, by which a start is judged
LEAST_TRACE = 1 + 2 * np.cos(np.radians(40))  # of turns: starts turned by less lead to the same answer

Turns = Mapping[str, tuple[float, float, float]]
_ARMS_DOWN: Turns = {"upperarm": (-32, 0, 0), "lowerarm": (-25, 0, 0)}
_ARMS_FORWARD: Turns = {"upperarm": (0, -20, -75), "lowerarm": (-30, 0, 0)}
_ARMS_UP: Turns = {"clavicle": (25, 0, 0), "upperarm": (105, 0, 0), "lowerarm": (-30, 0, 0)}
_SITTING: Turns = {"upperleg": (0, -85, 0), "lowerleg": (0, 85, 0)}
_SQUAT: Turns = {
    "root": (0, 25, 0),
    "upperleg": (15, -125, 0),
    "lowerleg": (0, 125, 0),
    "foot": (0, -25, 0),
}
_CROUCH: Turns = {
    "root": (0, 35, 0),
    **{f"spine0{n}": (0, 15, 0) for n in (1, 2, 3, 4)},
    "upperleg": (5, -130, 0),
    "lowerleg": (0, 140, 0),
    "foot": (0, -20, 0),
}
_BEND: Turns = {
    "root": (0, 50, 0),
    **{f"spine0{n}": (0, 12, 0) for n in (1, 2, 3, 4)},
    "upperleg": (0, -60, 0),
}
_LUNGE: Turns = {
    "upperleg_left": (0, -40, 0),
    "lowerleg_left": (0, 25, 0),
    "upperleg_right": (0, 15, 0),
    "lowerleg_right": (0, 35, 0),
    "foot_right": (0, 20, 0),
}
POSES_DEG: dict[str, Turns] = {  # of left joints, or of joints without side; right ones mirror left ones
    "standing, arms out": {},
    "standing, arms down": _ARMS_DOWN,
    "T pose": {"upperarm": (45, 0, 0), "lowerarm": (-35, 0, 0)},
    "arms overhead": _ARMS_UP,
    "arms forward": _ARMS_FORWARD,
    "sitting": {**_SITTING, **_ARMS_DOWN},
    "sitting, arms forward": {**_SITTING, **_ARMS_FORWARD},
    "squat": {**_SQUAT, **_ARMS_DOWN},
    "squat, arms forward": {**_SQUAT, **_ARMS_FORWARD},
    "squat, arms out": _SQUAT,
    "crouch": {**_CROUCH, **_ARMS_FORWARD},
    "crouch, arms down": {**_CROUCH, **_ARMS_DOWN},
    "bent forward": {**_BEND, "upperarm": (0, -40, -30)},
    "stride, left leg in front": {**_LUNGE, **_ARMS_DOWN},
    "stride, right leg in front": {**{twin(name): turn for name, turn in _LUNGE.items()}, **_ARMS_DOWN},
}


@dataclass(frozen=True, eq=False)
class Start:
    """A pose by name, its rotations (K, 3) [rad], and what turns the mesh's world into the body's (3, 3)."""

    name: str
    rotations: np.ndarray
    world: np.ndarray


def pose_rotations(body: LinearBody, turns: Turns) -> np.ndarray:
    """Rotation vectors (K, 3) [rad] of a body in a pose, told in degrees from the open body's rest pose."""
    told = np.zeros((len(body.parents), 3))
    for joint, name in enumerate(body.joint_names):
        stem, side = stem_and_side(name)
        turn = np.radians(turns.get(name, turns.get(stem, (0, 0, 0))))
        told[joint] = turn * MIRRORED if side == "right" and stem != "lowerarm" else turn
    told = np.einsum("kij,ki->kj", open_axes(body), told)
    rest = rest_turns(body)
    above = rest[np.maximum(body.parents, 0)]
    local = above.transpose(0, 2, 1) @ Rotation.from_rotvec(told).as_matrix() @ rest
    return Rotation.from_matrix(local).as_rotvec()


def likeness(pose: Samples, mesh: Samples, worlds: np.ndarray) -> np.ndarray:
    """Mean squared distance (W,) [m^2] of two surfaces, both ways, for each way to turn the mesh's world.

    Both are centred and of one size (see :func:`centred`).
    """
    count = len(worlds)
    turned = np.einsum("wij,nj->wni", worlds, mesh.points).reshape(-1, 3)
    normals = np.einsum("wij,nj->wni", worlds, mesh.normals).reshape(-1, 3)
    there = pose.points[pose.nearest(turned, normals)] - turned
    back = np.einsum("wji,nj->wni", worlds, pose.points).reshape(-1, 3)
    back_normals = np.einsum("wji,nj->wni", worlds, pose.normals).reshape(-1, 3)
    here = mesh.points[mesh.nearest(back, back_normals)] - back
    both = [np.minimum((gap**2).sum(1), FAR**2).reshape(count, -1).mean(1) for gap in (there, here)]
    return both[0] + both[1]


def landmark_starts(
    poses: Mapping[str, np.ndarray], marks: Mapping[str, np.ndarray], found: np.ndarray
) -> list[Start]:
    """Return one start for every pose, the likest first by landmarks alone.

    marks: name of a pose -> positions (L, 3) [m] of the landmarks in it; found (L, 3) [m]: those of the mesh.
    The turn of the mesh's world is that which brings landmarks to landmarks (Kabsch).
    """
    about = found - found.mean(0)
    scored: list[tuple[float, Start]] = []
    for name, rotations in poses.items():
        own = marks[name] - marks[name].mean(0)
        turn, gap = Rotation.align_vectors(own, about * spread(own) / spread(about))
        scored.append((float(gap), Start(name, rotations, turn.as_matrix())))
    return [start for _, start in sorted(scored, key=lambda pair: pair[0])]


def spread(points: np.ndarray) -> float:
    """Root mean square distance [m] of points from their mean."""
    return float(np.sqrt(((points - points.mean(0)) ** 2).sum(1).mean()))


def centred(samples: Samples, size: float) -> Samples:
    """Return samples about their mean, scaled to a spread of ``size`` [m]."""
    points = samples.points - samples.points.mean(0)
    return Samples(points * size / max(spread(points), 1e-9), samples.normals, samples.at_hole)


def ranked_starts(
    poses: Mapping[str, np.ndarray], surfaces: Mapping[str, Samples], mesh: Samples, worlds: np.ndarray
) -> list[Start]:
    """Return all pairs of a pose (its rotations and its surface) and a turned world, the likest first.

    worlds (W, 3, 3) are the ways to turn the mesh's world. A pair that is like a better one but for a small
    turn is left out.
    """
    target = mesh.some(POINTS)
    scored: list[tuple[float, Start]] = []
    for name, rotations in poses.items():
        surface = surfaces[name].some(POINTS)
        size = spread(surface.points)
        costs = likeness(centred(surface, size), centred(target, size), worlds)
        scored += [
            (float(cost), Start(name, rotations, way)) for cost, way in zip(costs, worlds, strict=True)
        ]
    chosen: list[Start] = []
    for _, start in sorted(scored, key=lambda pair: pair[0]):
        alike = [other.world for other in chosen if other.name == start.name]
        # the trace of a turn between two worlds is 1 + 2 cos(angle)
        if all(float((start.world * other).sum()) < LEAST_TRACE for other in alike):
            chosen.append(start)
    return chosen
