"""Limbs that a fit has put in the wrong place, put anew: the mesh has there what the body has not.

Closest points cannot take a hand from the other hand, or from a thigh, to where it belongs, nor turn over
a hand whose palm lies on the back of the mesh's hand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from kinepose_ocp.surface.body import LinearBody
from kinepose_ocp.surface.body_fit import BodyFit, BodyState
from kinepose_ocp.surface.correspondence import Samples
from kinepose_ocp.surface.pose_limits import PoseLimits
from kinepose_ocp.surface.sides import stem_of

LIMBS = {"arm": ("clavicle", "upperarm", "lowerarm", "wrist"), "leg": ("upperleg", "lowerleg", "foot", "toe")}
SAMPLED = {"upperarm", "lowerarm", "upperleg", "lowerleg"}  # the others start straight
UNEXPLAINED = 0.04  # m from all vertices of the body: no part of it is at such a point of the mesh
FEW, MANY = 0.003, 0.2  # shares of the mesh: a third of a hand; more than limbs in the wrong place leave
POSES = 250  # random poses of a limb, of which the likeliest are tried
TRIED = 4
APART = 0.1  # m between the ends of limbs that are worth to be tried both
SEARCH_POINTS = 3000
MISSING_POINTS = 200
FAR_BENT = np.radians(40)  # of a wrist about one of its axes
HAND_TWISTS = 5  # about the forearm


@dataclass(frozen=True, eq=False)
class Limb:
    """Joints of a limb, those of them that restarts move, and its rows among chosen vertices."""

    name: str
    joints: np.ndarray
    moved: np.ndarray
    rows: np.ndarray


def limbs_of(body: LinearBody, vertices: np.ndarray) -> tuple[Limb, ...]:
    """Return the limbs of a body that has joints of the open rig's names; none for others."""
    found = []
    owner = body.weights[vertices].argmax(1)
    for limb, stems in LIMBS.items():
        for side in ("left", "right"):
            names = [f"{stem}_{side}" for stem in stems if f"{stem}_{side}" in body.joint_names]
            joints = np.array([body.joint_index(name) for name in names], dtype=np.int64)
            moved = [body.joint_index(name) for name in names if stem_of(name) in SAMPLED]
            rows = np.flatnonzero(np.isin(owner, joints))
            if len(moved) and len(rows):
                found.append(Limb(f"{limb}_{side}", joints, np.array(moved), rows))
    return tuple(found)


def unexplained(body: LinearBody, state: BodyState, mesh: Samples) -> np.ndarray:
    """Return the points (M, 3) [m] of a mesh that a body in a state is not near to."""
    points = mesh.some(SEARCH_POINTS).points
    skin = body.posed(state.shape, state.rotations, state.translation).vertices
    return points[cKDTree(skin).query(points)[0] > UNEXPLAINED]


def restarts(
    fit: BodyFit, state: BodyState, limb: Limb, mesh: Samples, missing: np.ndarray
) -> list[BodyState]:
    """Return states with a limb in other poses, likeliest first; missing: unexplained points (M, 3) [m]."""
    random = np.random.default_rng(0)
    limits = fit.limits
    missing = missing[:: len(missing) // MISSING_POINTS + 1]
    scored: list[tuple[float, np.ndarray, BodyState]] = []
    for _ in range(POSES):
        rotations = state.rotations.copy()
        rotations[limb.joints] = 0
        angles = random.uniform(limits.lower[limb.moved], limits.upper[limb.moved])
        rotations[limb.moved] = np.einsum("kij,ki->kj", limits.axes[limb.moved], angles)
        tried = replace(state, rotations=rotations)
        vertices, normals = fit.placed(tried)
        skin = vertices[limb.rows]
        found = mesh.nearest(skin, normals[limb.rows])
        off = np.minimum(np.linalg.norm(mesh.points[found] - skin, axis=1), 0.15).mean()
        left = np.minimum(cKDTree(skin).query(missing)[0], 0.3).mean()
        scored.append((float(off + left), skin[-1], tried))
    chosen: list[tuple[np.ndarray, BodyState]] = []
    for _, end, tried in sorted(scored, key=lambda entry: entry[0]):
        if len(chosen) < TRIED and all(np.linalg.norm(end - other) > APART for other, _ in chosen):
            chosen.append((end, tried))
    return [tried for _, tried in chosen]


def hand_restarts(limits: PoseLimits, state: BodyState, arm: Limb) -> list[BodyState]:
    """Return states with a hand straight at the wrist and turned about the forearm in other ways.

    The list is empty for a hand that is bent little: one that is turned over is found far bent, since neither
    the wrist nor the forearm alone can turn that far.
    """
    elbow, wrist = arm.joints[-2:]
    about = limits.about_axes(state.rotations)
    if np.abs(about[wrist]).max() < FAR_BENT:
        return []
    found = []
    for twist in np.linspace(limits.lower[elbow, 2], limits.upper[elbow, 2], HAND_TWISTS):
        turned = about.copy()
        turned[wrist], turned[elbow, 2] = 0, twist
        found.append(replace(state, rotations=np.einsum("kij,ki->kj", limits.axes, turned)))
    return found
