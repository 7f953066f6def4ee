"""Clips of measured motion with true orientations: ``.npz`` of the schema ``kinepose-mocap-1``.

Each file brings its own skeleton: joints with rest offsets, types and hinge axes, the world orientation of
every joint over time (identity at rest), and points fixed to joints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinepose_ocp.errors import DataError, possible
from kinepose_ocp.io.arrays import read_arrays

SCHEMA = "kinepose-mocap-1"
NEEDED = (
    "schema name fps joint_names parents rest_offset joint_type hinge_axis global_q kp_joint kp_local "
    "kp_pos h36m_names h36m_kp seg_names seg_joint obs_h36m17 source up_axis forward"
).split()


@dataclass(frozen=True)
class MocapClip:
    """The content of a file, in a world whose x is forward, y left and z up at rest."""

    name: str
    source: str
    rate: float  # Hz
    joints: list[str]
    parents: np.ndarray  # (J,), -1 for the root; parents first
    types: list[str]  # free, ball, universal, hinge or fixed
    offset: np.ndarray  # (J, 3) m from the parent, at rest
    hinge_axis: np.ndarray  # (J, 3), NaN where there is none
    orientation: np.ndarray  # (T, J, 4) w, x, y, z; to the world
    points: dict[str, tuple[int, np.ndarray, np.ndarray]]  # joint, offset (3,) m, position (T, 3) m
    segments: dict[str, int]  # joint of each standard segment
    observed: list[str]  # (J,) what the points show: full, hinge, direction or none


def read(path: Path) -> MocapClip:
    """Read a clip with its Human3.6M points; the pelvis point becomes the middle of the hips.

    Some skeletons have their pelvis point off the line of the hips, where it would show the tilt of the
    pelvis; no pose estimator measures that.

    Raises
    ------
    DataError
        For a file that is damaged, or no such clip.
    """
    arrays = read_arrays(path)
    for name in NEEDED:
        if name not in arrays:
            raise DataError(
                f"{path}: not a clip of schema {SCHEMA}: no array '{name}'; {possible(name, arrays)}"
            )
    if str(arrays["schema"]) != SCHEMA:
        raise DataError(f"{path}: its schema is '{arrays['schema']}'; possible: '{SCHEMA}'")
    return _clip(arrays, _world(str(arrays["up_axis"]), str(arrays["forward"]), path))


def _clip(arrays: dict[str, np.ndarray], turn: np.ndarray) -> MocapClip:
    vectors = {
        name: arrays[name].astype(float) @ turn.T
        for name in ("rest_offset", "hinge_axis", "kp_local", "kp_pos")
    }
    quaternion = arrays["global_q"].astype(float)
    quaternion = np.concatenate([quaternion[..., :1], quaternion[..., 1:] @ turn.T], axis=-1)
    points = {
        str(name): (int(arrays["kp_joint"][k]), vectors["kp_local"][k], vectors["kp_pos"][:, k])
        for name, k in zip(arrays["h36m_names"], arrays["h36m_kp"], strict=True)
        if k >= 0
    }
    parents = arrays["parents"].astype(int)
    if {"pelvis", "r_hip", "l_hip"} <= set(points):
        hips = [points[name] for name in ("r_hip", "l_hip")]
        middle = np.mean(
            [_from_root(parents, vectors["rest_offset"], joint) + local for joint, local, _ in hips], axis=0
        )
        points["pelvis"] = (0, middle, np.mean([position for *_, position in hips], axis=0))
    return MocapClip(
        name=str(arrays["name"]),
        source=str(arrays["source"]),
        rate=float(arrays["fps"]),
        joints=[str(name) for name in arrays["joint_names"]],
        parents=parents,
        types=[str(kind) for kind in arrays["joint_type"]],
        offset=vectors["rest_offset"],
        hinge_axis=vectors["hinge_axis"],
        orientation=quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True),
        points=points,
        segments={
            str(n): int(j) for n, j in zip(arrays["seg_names"], arrays["seg_joint"], strict=True) if j >= 0
        },
        observed=[str(text) for text in arrays["obs_h36m17"]],
    )


def _from_root(parents: np.ndarray, offset: np.ndarray, joint: int) -> np.ndarray:
    """Position (3,) [m] of a joint at rest, from the root."""
    place = np.zeros(3)
    while parents[joint] >= 0:
        place, joint = place + offset[joint], parents[joint]
    return place


def _world(up: str, forward: str, path: Path) -> np.ndarray:
    """Matrix (3, 3) from the clip's axes to forward, left, up."""
    found = [re.search(r"([+-]?)([xyz])\b", re.sub(r"^.*faces", "", text)) for text in (up, forward)]
    if found[0] is None or found[1] is None:
        raise DataError(f"{path}: axes up '{up}', forward '{forward}'; possible: such as '+y' and '-x'")
    up_axis, forward_axis = (
        (-1.0 if match[1] == "-" else 1.0) * np.eye(3)["xyz".index(match[2])] for match in found if match
    )
    return np.stack([forward_axis, np.cross(up_axis, forward_axis), up_axis])
