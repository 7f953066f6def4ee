"""Body models that users bring: SMPL's and STAR's official files, and files like the open body's own.

SMPL (Loper et al. 2015) and STAR (Osman et al. 2020) are licensed to their users and not part of this
project. Their world, x left, y up, z forward, is turned to x forward, y left, z up, with all that depends on
rotations.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from kinepose_ocp.errors import DataError, ModelError
from kinepose_ocp.io.arrays import read_arrays
from kinepose_ocp.io.chumpy_pickle import read_pickled_arrays
from kinepose_ocp.surface.body import STORED, LinearBody, body_of_arrays, normalised
from kinepose_ocp.surface.plain_numbers import floats, whole_numbers
from kinepose_ocp.surface.sides import sided, stem_and_side

TURN = [2, 0, 1]  # our axes x, y, z among those of SMPL: z, x, y
NEEDED = ("v_template", "shapedirs", "weights", "J_regressor", "kintree_table", "f")
OWN = (*STORED, "parents", "joint_names", "landmark_names", "landmark_vertices", "part_names", "vertex_parts")
JOINTS = (  # of SMPL in its order, by the names of the open body where they mean the same
    "root",
    "upperleg_left",
    "upperleg_right",
    "spine04",
    "lowerleg_left",
    "lowerleg_right",
    "spine02",
    "foot_left",
    "foot_right",
    "spine01",
    "toe_left",
    "toe_right",
    "neck01",
    "clavicle_left",
    "clavicle_right",
    "head",
    "upperarm_left",
    "upperarm_right",
    "lowerarm_left",
    "lowerarm_right",
    "wrist_left",
    "wrist_right",
)
HANDS = ("hand_left", "hand_right")  # of SMPL and STAR; larger models have fingers or a face instead
PARTS = {  # rigid part under the skin of a joint, without the side
    "root": "pelvis",
    "spine04": "lumbar",
    "spine02": "thorax",
    "spine01": "thorax",
    "neck01": "cspine",
    "head": "skull",
    "upperleg": "femur",
    "lowerleg": "tibia",
    "foot": "foot",
    "toe": "toes",
    "clavicle": "clavicle",
    "upperarm": "humerus",
    "lowerarm": "forearm",
    "wrist": "hand",
}


def load_body(path: str | os.PathLike[str], components: int = 10) -> LinearBody:
    """Load a body model: SMPL (``.npz``, ``.pkl``), STAR (``.npz``), or one like the open body (``.npz``).

    ``components``: how many of the shape components are kept (of SMPL's and STAR's; all of an open body's).

    Raises
    ------
    DataError
        For a file that is missing or damaged, of another kind, or a pickle that asks for more than arrays.
    ModelError
        For arrays that are missing or do not fit each other.
    """
    path = Path(path)
    if path.suffix.lower() == ".pkl":
        arrays = read_pickled_arrays(path)
    elif path.suffix.lower() == ".npz":
        arrays = read_arrays(path, {*OWN, *NEEDED, "posedirs"})
    else:
        raise DataError(f"{path}: not a body model; possible: .npz, .pkl")
    try:
        if "J_template" in arrays:
            return body_of_arrays(arrays)
        return smpl_body(arrays, components)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def smpl_body(arrays: dict[str, np.ndarray], components: int) -> LinearBody:
    """Return the body of SMPL's or STAR's arrays; the pose correctives tell which one it is."""
    _check(arrays, components)
    regressor, template, shapes, weights = (
        floats(arrays[name], name, ModelError)
        for name in ("J_regressor", "v_template", "shapedirs", "weights")
    )
    template, shapes, weights = template[:, TURN], shapes[:, TURN, :components], normalised(weights)
    parents = tree(whole_numbers(arrays["kintree_table"], "kintree_table", ModelError))
    names = joint_names(len(parents))
    directions, feature = correctives(arrays.get("posedirs"), len(parents))
    return LinearBody(
        template=template,
        shape_directions=shapes,
        joint_template=regressor @ template,
        joint_directions=np.einsum("kv,vcs->kcs", regressor, shapes),
        weights=weights,
        parents=parents,
        faces=arrays["f"],
        joint_names=names,
        vertex_parts=np.array([part_of(name) for name in names])[
            nearest_named(parents, names)[weights.argmax(1)]
        ],
        pose_directions=directions,
        pose_feature=feature,
    )


def _check(arrays: dict[str, np.ndarray], components: int) -> None:
    missing = [name for name in NEEDED if name not in arrays]
    if missing:
        raise ModelError(f"no array '{missing[0]}'; a body model needs {', '.join(NEEDED)}")
    if components < 2:
        raise ModelError(f"{components} shape components; needed: at least 2")
    vertices, joints = len(np.atleast_1d(arrays["v_template"])), np.shape(arrays["kintree_table"])[-1:]
    wanted = {"v_template": (vertices, 3), "kintree_table": (2, *joints), "J_regressor": (*joints, vertices)}
    wanted |= {"weights": (vertices, *joints)}
    for name, shape in wanted.items():
        if arrays[name].shape != shape:
            raise ModelError(f"{name} must be of shape {shape}, found {arrays[name].shape}")
    shapes = arrays["shapedirs"].shape
    if len(shapes) != 3 or shapes[:2] != (vertices, 3) or shapes[2] < 2:
        raise ModelError(f"shapedirs must be of shape ({vertices}, 3, 2 or more), found {shapes}")


def tree(table: np.ndarray) -> tuple[int, ...]:
    """Return the parents (K,) of ``kintree_table`` (2, K): parent's and own number; -1 for the root."""
    own = {int(number): column for column, number in enumerate(table[1])}
    parents = [own.get(int(number), -1) for number in table[0, 1:]]
    if -1 in parents:
        raise ModelError(
            f"kintree_table has a joint whose parent {int(table[0, 1 + parents.index(-1)])} is missing"
        )
    if any(parent > joint for joint, parent in enumerate(parents)):
        raise ModelError("kintree_table must list parents before their children")
    return (-1, *parents)


def joint_names(count: int) -> tuple[str, ...]:
    """Return names for SMPL's joints: those of the open body, then the hands or numbers."""
    if count < len(JOINTS):
        raise ModelError(f"{count} joints; SMPL and STAR have {len(JOINTS) + len(HANDS)}")
    more = range(len(JOINTS), count)
    return (*JOINTS, *(HANDS if count == len(JOINTS) + len(HANDS) else (f"joint{number}" for number in more)))


def nearest_named(parents: tuple[int, ...], names: tuple[str, ...]) -> np.ndarray:
    """For every joint (K,) itself or the nearest one above it that the open body has too."""
    found: list[int] = []
    for joint, name in enumerate(names):
        found.append(joint if name in JOINTS else found[parents[joint]])
    return np.array(found)


def part_of(name: str) -> str:
    """Return the rigid part under the skin that follows a joint; empty for a joint the open body has not."""
    stem, side = stem_and_side(name)
    return sided(PARTS[stem], side) if stem in PARTS else ""


def correctives(directions: np.ndarray | None, joints: int) -> tuple[np.ndarray | None, str | None]:
    """Turn pose correctives (V, 3, P) into our axes; P tells SMPL (9 a joint) from STAR (4, and 1)."""
    if directions is None:
        return None, None
    found = floats(directions, "posedirs", ModelError)
    if not found.ndim:
        raise ModelError("posedirs must be of shape (vertices, 3, P), found ()")
    count, features = joints - 1, found.shape[-1]
    if found.ndim != 3 or features not in (9 * count, 4 * count + 1):
        wanted = f"{9 * count} (SMPL) or {4 * count + 1} (STAR)"
        raise ModelError(f"posedirs must be of shape (vertices, 3, {wanted}), found {found.shape}")
    found = found[:, TURN]
    if features == 9 * count:
        by_joint = found.reshape(-1, 3, count, 3, 3)
        return by_joint[:, :, :, TURN][..., TURN].reshape(found.shape), "matrix"
    by_joint = found[..., :-1].reshape(-1, 3, count, 4)[..., [*TURN, 3]]
    return np.concatenate([by_joint.reshape(-1, 3, 4 * count), found[..., -1:]], axis=2), "quaternion"
