"""Pose correctives that keep limbs as thick in a bend as at rest, which linear blend skinning does not.

Skin that follows both bones of a joint by halves is drawn to the joint by the cosine of half the angle: at
135 degrees, to 38 % of its distance. Correctives of SMPL's form (vertices at rest move linearly with R - I
of the joints; Loper et al. 2015) are fitted here so that skin stays as far from the axis of a turn as at
rest, as dual quaternions keep it (Kavan et al. 2008). Nothing is learnt from people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import numpy as np
from scipy.spatial.transform import Rotation

from kinepose_ocp.surface.skinning import Skinned

FEATURES = 9  # numbers of R - I
BLENDED = 0.01  # share of a vertex's weights on both sides of a joint from which on it is corrected
RIDGE = 0.01  # of one turn by a radian: keeps directions that no turn shows at zero
HINGES = {"lowerleg": ("upperleg", "foot"), "lowerarm": ("upperarm", "wrist")}  # joint: its neighbours
HINGE_DEG = tuple(range(-10, 141, 10))
HIP_DEG = (range(-30, 121, 15), (-15, 10, 35), (-20, 0, 20))  # flexion, abduction, turn about the thigh
SHOULDER_DEG = (range(-40, 111, 15), (-30, 0, 30, 60), (-20, 20))  # abduction, flexion, turn about the arm


def bends_of(names: Sequence[str], joints: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Numbers of hips, shoulders, knees and elbows of the open body, and turns (N, 3) [rad] that they make.

    joints (K, 3): centres at rest. Knees bend about the left, elbows about the normal of the arm's plane.
    """
    for side, sign in (("left", 1), ("right", -1)):
        hip = names.index(f"upperleg_{side}")
        angles = np.array(list(product(*HIP_DEG)))
        yield hip, Rotation.from_euler("YXZ", angles * [-1, sign, sign], degrees=True).as_rotvec()
        arm = names.index(f"upperarm_{side}")
        along = joints[names.index(f"lowerarm_{side}")] - joints[arm]
        angles = np.radians(list(product(*SHOULDER_DEG))) * [sign, -1, sign]
        twist = Rotation.from_rotvec(angles[:, 2:] * along / np.linalg.norm(along))
        yield arm, (Rotation.from_euler("XY", angles[:, :2]) * twist).as_rotvec()
        for name, others in HINGES.items():
            above, joint, below = (names.index(f"{each}_{side}") for each in (others[0], name, others[1]))
            first, second = joints[joint] - joints[above], joints[below] - joints[joint]
            left = np.array([0.0, 1.0, 0.0])
            axis = (
                left - first * (first @ left) / (first @ first)
                if name == "lowerleg"
                else np.cross(first, second)
            )
            yield joint, np.radians(HINGE_DEG)[:, None] * axis / np.linalg.norm(axis)


def thickness_correctives(body: Skinned, bends: Iterable[tuple[int, np.ndarray]]) -> np.ndarray:
    """Pose directions (V, 3, 9 (K - 1)) on R - I of all joints but the root.

    bends: numbers of the joints that are corrected, and the turns (N, 3) [rad] that each is corrected for.
    """
    directions = np.zeros((len(body.template), 3, FEATURES * (len(body.parents) - 1)))
    for joint, turns in bends:
        carried = np.zeros(len(body.parents), dtype=bool)
        carried[joint] = True
        for child, parent in enumerate(body.parents):
            carried[child] |= parent >= 0 and carried[parent]
        share = body.weights[:, carried].sum(1)
        mixed = np.flatnonzero((share > BLENDED) & (share < 1 - BLENDED))
        fitted = _fitted(body.template[mixed] - body.joint_template[joint], share[mixed], turns)
        first = FEATURES * (joint - 1)
        directions[mixed, :, first : first + FEATURES] = fitted
    return directions


def _fitted(arms: np.ndarray, share: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Directions (N, 3, 9) that give skin at arms (N, 3) [m] from a joint its distance from the axis back.

    By least squares over turns (M, 3) of the joint, which the skin follows by shares (N,).
    """
    size = 3 * FEATURES
    normal, right = np.tile(RIDGE * np.eye(size), (len(arms), 1, 1)), np.zeros((len(arms), size))
    for turn in turns[np.linalg.norm(turns, axis=1) > 0]:
        rotation, axis = Rotation.from_rotvec(turn).as_matrix(), turn / np.linalg.norm(turn)
        blend = np.eye(3) + share[:, None, None] * (rotation - np.eye(3))
        around = np.eye(3) - np.outer(axis, axis)
        before, after = arms @ around, np.einsum("nij,nj->ni", blend, arms) @ around
        far, near = np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1)
        missing = after * (far / np.maximum(near, 1e-6) - 1)[:, None]
        rows = np.einsum("nij,k->nijk", blend, (rotation - np.eye(3)).ravel()).reshape(len(arms), 3, size)
        normal += np.einsum("nia,nib->nab", rows, rows)
        right += np.einsum("nia,ni->na", rows, missing)
    return np.linalg.solve(normal, right[..., None]).reshape(len(arms), 3, FEATURES)
