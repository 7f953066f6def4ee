"""Which skin belongs to which rigid part, and how firmly: from the weights of the body's rig."""

from __future__ import annotations

import numpy as np

from kinepose_ocp.errors import ModelError
from kinepose_ocp.surface.body import LinearBody, Posed
from kinepose_ocp.surface.skeleton import Skeleton

FIRM = 0.3  # share of a vertex's weights that makes it a part's own
FEW = 12  # a part with less skin than this takes the vertices that follow it most
REACH = {  # parts whose skin may lie next to a part's bones beyond those that it has a joint with
    "scapula": ("thorax", "humerus"),
    "thorax": ("scapula", "clavicle", "humerus"),
    "clavicle": ("cspine", "humerus"),
    "pelvis": ("thorax",),
    "femur": ("lumbar",),
}


def parts_of_rig(body: LinearBody, skeleton: Skeleton) -> np.ndarray:
    """Part (K,) that moves with every joint of a rig; a joint that pairs with none goes with its parent.

    Raises
    ------
    ModelError
        When the rig shares no joint with the skeleton.
    """
    moved = {joint.rig_joint: skeleton.parts.index(joint.child) for joint in skeleton.joints if joint.rig_joint}
    if not set(moved) & set(body.joint_names):
        raise ModelError(
            f"no joint of the body is one that the skeleton pairs with ({', '.join(sorted(moved)[:4])}, ...); "
            f"found: {', '.join(body.joint_names[:6])}, ..."
        )
    parts = np.zeros(len(body.parents), dtype=int)
    for number, (name, parent) in enumerate(zip(body.joint_names, body.parents, strict=True)):
        parts[number] = moved.get(name, parts[parent] if parent >= 0 else 0)
    return parts


def skin_weights(body: LinearBody, skeleton: Skeleton) -> np.ndarray:
    """How far every vertex follows every part (V, P); parts without a joint of the rig share their parent's."""
    weights = np.zeros((len(body.template), len(skeleton.parts)))
    for joint, part in enumerate(parts_of_rig(body, skeleton)):
        weights[:, part] += body.weights[:, joint]
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
        base, _, side = part.partition("_")
        for name in REACH.get(base, ()):
            near[number] |= {i for i, other in enumerate(parts) if _beside(other, name, side)}
    of_corners = of_vertex[body.faces]
    return [np.flatnonzero(np.isin(of_corners, sorted(each)).all(1)) for each in near]


def _beside(part: str, name: str, side: str) -> bool:
    """Whether a part is the named one on the same side (on both sides of a part of the middle)."""
    base, _, own = part.partition("_")
    return base == name and (not side or not own or own == side)


def carried(body: LinearBody, skeleton: Skeleton, rest: Posed, posed: Posed) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (P, 3, 3) and shift (P, 3) [m] by which the rig carries every part: y = R x + shift.

    Parts that move with several joints take the one nearest to their middle; those with none their parent's.
    """
    of_rig = parts_of_rig(body, skeleton)
    turns = posed.joint_rotations @ rest.joint_rotations.transpose(0, 2, 1)
    shifts = posed.joint_positions - np.einsum("kij,kj->ki", turns, rest.joint_positions)
    source = {part: int(np.flatnonzero(of_rig == part)[0]) for part in set(of_rig.tolist())}
    for joint in skeleton.joints:
        parent, child = skeleton.parts.index(joint.parent), skeleton.parts.index(joint.child)
        source.setdefault(child, source.get(parent, 0))
    order = [source.get(part, 0) for part in range(len(skeleton.parts))]
    return turns[order], shifts[order]


def fitted(start: np.ndarray, end: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rigid motion y = R x + shift of weighted points (N, 3) by least squares (Kabsch 1976): R (3, 3), shift (3,)."""
    share = weights / weights.sum()
    first, second = share @ start, share @ end
    u, _, vt = np.linalg.svd(((end - second) * share[:, None]).T @ (start - first))
    turn = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    return turn, second - turn @ first
