"""Which skin belongs to which rigid part, and how firmly: from the weights of the body's rig."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.transform import Rotation

from kinepose_ocp.errors import ModelError
from kinepose_ocp.surface.body import LinearBody, Posed
from kinepose_ocp.surface.sides import stem_and_side
from kinepose_ocp.surface.skeleton import Skeleton

FIRM = 0.3  # share of a vertex's weights that makes it a part's own
RIDGE = 1e-6  # of the mean diagonal: keeps joints that move hardly any skin determined
FEW = 12  # a part with less skin than this takes the vertices that follow it most
REACH = {  # parts whose skin may lie next to a part's bones beyond those that it has a joint with
    "scapula": ("thorax", "humerus"),
    "thorax": ("scapula", "clavicle", "humerus"),
    "clavicle": ("cspine", "humerus"),
    "pelvis": ("thorax",),
    "femur": ("lumbar",),
}


def parts_of_rig(body: LinearBody, skeleton: Skeleton) -> np.ndarray:
    """Part (K,) that moves with every joint of a rig; a joint without a pair goes with its parent.

    Raises
    ------
    ModelError
        When the rig shares no joint with the skeleton.
    """
    moved = {
        joint.rig_joint: skeleton.parts.index(joint.child) for joint in skeleton.joints if joint.rig_joint
    }
    if not set(moved) & set(body.joint_names):
        raise ModelError(
            f"no joint of the body pairs with one of the skeleton ({', '.join(sorted(moved)[:4])}, ...); "
            f"found: {', '.join(body.joint_names[:6])}, ..."
        )
    parts = np.zeros(len(body.parents), dtype=int)
    for number, (name, parent) in enumerate(zip(body.joint_names, body.parents, strict=True)):
        parts[number] = moved.get(name, parts[parent] if parent >= 0 else 0)
    return parts


def skin_weights(body: LinearBody, skeleton: Skeleton) -> np.ndarray:
    """How far vertices follow parts (V, P); parts without a joint of the rig share their parent's skin."""
    weights = np.zeros((len(body.template), len(skeleton.parts)))
    for number, part in enumerate(parts_of_rig(body, skeleton)):
        weights[:, part] += body.weights[:, number]
    for joint in skeleton.joints:
        if joint.rig_joint not in body.joint_names:
            parent, child = skeleton.parts.index(joint.parent), skeleton.parts.index(joint.child)
            weights[:, child] = weights[:, parent]
    return weights


def own_vertices(weights: np.ndarray) -> list[np.ndarray]:
    """Vertices of every part: those that follow it firmly, at least :data:`FEW`."""
    chosen = []
    for column in weights.T:
        firm = np.flatnonzero(column > FIRM)
        chosen.append(firm if len(firm) >= FEW else np.sort(np.argsort(-column, kind="stable")[:FEW]))
    return chosen


def facing(body: LinearBody, skeleton: Skeleton, weights: np.ndarray) -> list[np.ndarray]:
    """Faces of the skin that may lie next to each part's bones: its own, its neighbours', :data:`REACH`."""
    parts = skeleton.parts
    of_vertex = weights.argmax(1)
    if body.vertex_parts is not None and set(np.unique(body.vertex_parts)) <= set(parts):
        of_vertex = np.array([parts.index(name) for name in body.vertex_parts.tolist()])
    near = [{number} for number in range(len(parts))]
    for joint in skeleton.joints:
        first, second = parts.index(joint.parent), parts.index(joint.child)
        near[first].add(second)
        near[second].add(first)
    for number, part in enumerate(parts):
        stem, side = stem_and_side(part)
        for name in REACH.get(stem, ()):
            near[number] |= {i for i, other in enumerate(parts) if _beside(other, name, side)}
    of_corners = of_vertex[body.faces]
    return [np.flatnonzero(np.isin(of_corners, sorted(each)).all(1)) for each in near]


def _beside(part: str, name: str, side: str) -> bool:
    """Whether a part is the named one on the same side (on both sides of a part of the middle)."""
    stem, own = stem_and_side(part)
    return stem == name and (not side or not own or own == side)


@dataclass(frozen=True, eq=False)
class Motions:
    """Rigid motions y = R x + shift: rotations (N, 3, 3), shifts (N, 3) [m]."""

    rotations: np.ndarray
    shifts: np.ndarray

    def at(self, points: np.ndarray) -> np.ndarray:
        """Where points (N, 3) [m] go, one by each motion."""
        return np.einsum("nij,nj->ni", self.rotations, points) + self.shifts


def rig_motions(rest: Posed, posed: Posed) -> Motions:
    """Motion of every joint of a rig from one pose to another."""
    turns = posed.joint_rotations @ rest.joint_rotations.transpose(0, 2, 1)
    return Motions(turns, posed.joint_positions - np.einsum("kij,kj->ki", turns, rest.joint_positions))


class Unblending:
    """Motions of a rig's joints from the skin alone: linear blend skinning, inverted.

    A skinned vertex is linear in the joints' affine motions, sum_k w_k (A_k v + b_k), so these follow by
    least squares from all vertices, and the nearest rotations after them (as Kabsch 1976). Where a joint's
    own skin is blended with that of its neighbours (pelvis, shoulder), it tells its rotation, which the
    rigid fit of a segment does not. Pose correctives are taken off first.
    """

    def __init__(self, body: LinearBody, rest: Posed):
        self._body, self._rest = body, rest
        total = np.maximum((body.weights**2).sum(0), 1e-12)
        self._centres = (body.weights**2).T @ rest.vertices / total[:, None]
        offset = rest.vertices[:, None] - self._centres
        design = np.concatenate([body.weights[..., None] * offset, body.weights[..., None]], axis=2)
        self._design = design.reshape(len(rest.vertices), -1)
        normal = self._design.T @ self._design
        self._ridge = RIDGE * np.trace(normal) / len(normal)
        self._factor = cho_factor(normal + self._ridge * np.eye(len(normal)))

    def __call__(self, posed: Posed) -> Motions:
        """Motions (K) that explain the vertices of a pose; what these do not show stays near the mean."""
        vertices = self._body.blended(posed)
        mean = fitted(self._rest.vertices, vertices)
        start = np.concatenate(
            [
                np.tile(mean.rotations[0].T, (len(self._centres), 1, 1)),
                (self._centres @ mean.rotations[0].T + mean.shifts[0])[:, None],
            ],
            axis=1,
        )
        right = self._design.T @ vertices + self._ridge * start.reshape(-1, 3)
        solved = cho_solve(self._factor, right).reshape(-1, 4, 3)
        turns = nearest_rotation(solved[:, :3].transpose(0, 2, 1))
        return Motions(turns, solved[:, 3] - np.einsum("kij,kj->ki", turns, self._centres))


def part_motions(body: LinearBody, skeleton: Skeleton, rest: Posed, motions: Motions) -> Motions:
    """Motions (P) of the parts from those of a rig's joints (K).

    Parts that move with several joints take their mean, those with none their parent's motion.
    """
    of_rig, count = parts_of_rig(body, skeleton), len(skeleton.parts)
    rotations, shifts = np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3))
    for part in range(count):
        mine = np.flatnonzero(of_rig == part)
        if len(mine):
            rotations[part] = nearest_rotation(motions.rotations[mine].mean(0))
            centre = rest.joint_positions[mine].mean(0)
            moved = motions.rotations[mine] @ centre + motions.shifts[mine]
            shifts[part] = moved.mean(0) - rotations[part] @ centre
    for joint in skeleton.joints:
        parent, child = skeleton.parts.index(joint.parent), skeleton.parts.index(joint.child)
        if not (of_rig == child).any():
            rotations[child], shifts[child] = rotations[parent], shifts[parent]
    return Motions(rotations, shifts)


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) nearest to matrices (..., 3, 3) in the sum of squares."""
    u, _, vt = np.linalg.svd(matrix)
    u[..., 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt


def fitted(start: np.ndarray, end: np.ndarray) -> Motions:
    """One rigid motion of points (N, 3) by least squares."""
    first, second = start.mean(0), end.mean(0)
    turn = Rotation.align_vectors(end - second, start - first)[0].as_matrix()
    return Motions(turn[None], (second - turn @ first)[None])
