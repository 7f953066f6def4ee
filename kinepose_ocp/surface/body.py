"""The linear body: a skin whose vertices follow shape components and the rotations of a small rig.

World: metres, x forward, y left, z up. Rotations are rotation vectors [rad] relative to the parent joint.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from kinepose_ocp.errors import DataError, ModelError, possible
from kinepose_ocp.io.arrays import read_arrays
from kinepose_ocp.shipped import models_dir
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.skinning import Expression, skin

FEATURES = {None: 0, "matrix": 9, "quaternion": 4}  # pose correctives: numbers a joint
STORED = {  # arrays of body.npz, with the fields they become
    "v_template": "template",
    "shapedirs": "shape_directions",
    "J_template": "joint_template",
    "J_shapedirs": "joint_directions",
    "weights": "weights",
    "faces": "faces",
}


@dataclass(frozen=True, eq=False)
class Posed:
    """A body in a pose: vertices (V, 3) [m], joint rotations (K, 3, 3), global, and positions (K, 3) [m]."""

    vertices: np.ndarray
    joint_rotations: np.ndarray
    joint_positions: np.ndarray


@dataclass(frozen=True, eq=False)
class LinearBody:
    """A linear-blend-skinned body with linear shapes.

    template (V, 3) [m], shape_directions (V, 3, S) [m per standard deviation], joint_template (K, 3) [m],
    joint_directions (K, 3, S), weights (V, K) whose rows sum to one, parents (-1 for the root, parents before
    children), faces (F, 3), joint_names; landmarks: name -> vertex; vertex_parts (V,): name of the rigid part
    under each vertex. Pose correctives, if any: pose_directions (V, 3, P) on pose_feature, which is "matrix"
    (SMPL: R - I of every joint but the root) or "quaternion" (STAR: x, y, z, w - 1, then the second shape
    number).

    Raises
    ------
    ModelError
        For arrays whose sizes do not fit each other, parents that are no tree, or unknown pose features.
    """

    template: np.ndarray
    shape_directions: np.ndarray
    joint_template: np.ndarray
    joint_directions: np.ndarray
    weights: np.ndarray
    parents: tuple[int, ...]
    faces: np.ndarray
    joint_names: tuple[str, ...]
    landmarks: dict[str, int] = field(default_factory=dict)
    vertex_parts: np.ndarray | None = None
    pose_directions: np.ndarray | None = None
    pose_feature: str | None = None

    def __post_init__(self) -> None:
        sizes = self._sizes()
        for name, wanted in sizes.items():
            values = getattr(self, name)
            if values is None and name in ("pose_directions", "vertex_parts"):
                continue
            if np.shape(values) != wanted:
                raise ModelError(f"{name} of a body must be of shape {wanted}, found {np.shape(values)}")
            if np.asarray(values).dtype.kind == "f" and not np.isfinite(values).all():
                raise ModelError(f"{name} of a body has values that are not finite")
        if any(parent >= joint for joint, parent in enumerate(self.parents)) or self.parents[0] != -1:
            raise ModelError(f"parents of a body must come before their children, found {self.parents}")
        if np.abs(self.weights.sum(1) - 1).max() > 1e-9:
            raise ModelError("weights of a vertex must sum to 1")
        if self.faces.ndim != 2 or self.faces.shape[1] != 3 or self.faces.max() >= len(self.template):
            raise ModelError(f"faces of a body must be (F, 3) numbers below {len(self.template)}")

    def _sizes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every array, from those of template, shape directions and parents."""
        if self.pose_feature not in FEATURES or (self.pose_directions is None) != (self.pose_feature is None):
            known = ", ".join(str(name) for name in FEATURES)
            raise ModelError(f"pose correctives with feature '{self.pose_feature}'; possible: {known}")
        if np.ndim(self.template) != 2 or np.ndim(self.shape_directions) != 3:
            raise ModelError("a body needs a template (V, 3) and shape directions (V, 3, S)")
        vertices, joints, shapes = len(self.template), len(self.parents), self.shape_directions.shape[2]
        features = FEATURES[self.pose_feature] * (joints - 1) + (self.pose_feature == "quaternion")
        return {
            "template": (vertices, 3),
            "shape_directions": (vertices, 3, shapes),
            "joint_template": (joints, 3),
            "joint_directions": (joints, 3, shapes),
            "weights": (vertices, joints),
            "joint_names": (joints,),
            "vertex_parts": (vertices,),
            "pose_directions": (vertices, 3, features),
        }

    @property
    def shape_count(self) -> int:
        """Number of shape components."""
        return self.shape_directions.shape[2]

    def joint_index(self, name: str) -> int:
        """Return the number of a joint; :class:`ModelError` for an unknown one."""
        if name not in self.joint_names:
            raise ModelError(f"no joint '{name}' in the body; {possible(name, self.joint_names)}")
        return self.joint_names.index(name)

    def landmark(self, name: str) -> int:
        """Return the vertex of a landmark; :class:`ModelError` for an unknown one."""
        if name not in self.landmarks:
            raise ModelError(f"no landmark '{name}' on the body; {possible(name, self.landmarks)}")
        return self.landmarks[name]

    def expression(self, vertices: np.ndarray) -> Expression:
        """CasADi function of some vertices (N,): see :func:`kinepose_ocp.surface.skinning.skin`."""
        return skin(self, np.asarray(vertices, dtype=np.int64))

    @cached_property
    def _all_vertices(self) -> Expression:
        return self.expression(np.arange(len(self.template)))

    def posed(
        self,
        shape: np.ndarray | None = None,
        rotations: np.ndarray | None = None,
        translation: np.ndarray | None = None,
    ) -> Posed:
        """Return the body of a shape (S,) in a pose (K, 3) rotation vectors [rad], moved by (3,) [m].

        What is left out is zero. Fewer shape numbers than components are filled up with zeros.

        Raises
        ------
        DataError
            For arrays of other shapes.
        """
        joints = len(self.parents)
        given = np.zeros(0) if shape is None else np.asarray(shape, dtype=float)
        if given.ndim != 1 or len(given) > self.shape_count:
            raise DataError(f"a shape of {given.shape} for a body of {self.shape_count} shape components")
        full = np.zeros(self.shape_count)
        full[: len(given)] = given
        turns = np.zeros((joints, 3)) if rotations is None else np.asarray(rotations, dtype=float)
        if turns.shape != (joints, 3):
            raise DataError(
                f"rotations of shape {turns.shape} for a body of {joints} joints; needed: ({joints}, 3)"
            )
        moved = np.zeros(3) if translation is None else np.asarray(translation, dtype=float)
        if moved.shape != (3,):
            raise DataError(f"a translation of shape {moved.shape}; needed: (3,)")
        vertices, rotation, position = self._all_vertices(full, turns.T, moved)
        matrices = rotation.full().reshape(3, joints, 3).transpose(1, 0, 2)
        return Posed(vertices.full().T, matrices, position.full().T)

    def mesh(self, posed: Posed) -> Mesh:
        """Return the skin of a posed body."""
        return Mesh(posed.vertices, self.faces)

    def with_shape(self, shape: np.ndarray) -> LinearBody:
        """Return the body whose template is this one's of a given shape (S,); its shape directions stay."""
        numbers = np.asarray(shape, dtype=float)
        return replace(
            self,
            template=self.template + self.shape_directions @ numbers,
            joint_template=self.joint_template + self.joint_directions @ numbers,
        )


def body_of_arrays(arrays: dict[str, np.ndarray]) -> LinearBody:
    """Return the body of the arrays of a file like ``body.npz``; :class:`ModelError` if they do not fit."""
    missing = [name for name in (*STORED, "parents", "joint_names") if name not in arrays]
    if missing:
        raise ModelError(f"no array '{missing[0]}'; needed: {', '.join((*STORED, 'parents', 'joint_names'))}")
    values = {ours: arrays[stored] for stored, ours in STORED.items()}
    doubles: dict[str, Any] = {
        name: np.asarray(array, dtype=float) for name, array in values.items() if name != "faces"
    }
    doubles["weights"] = normalised(doubles["weights"])
    marks = (arrays[name].tolist() for name in ("landmark_names", "landmark_vertices") if name in arrays)
    parts = arrays["part_names"][arrays["vertex_parts"]] if "vertex_parts" in arrays else None
    return LinearBody(
        **doubles,
        faces=values["faces"].astype(np.int64),
        parents=tuple(arrays["parents"].tolist()),
        joint_names=tuple(arrays["joint_names"].tolist()),
        landmarks=dict(zip(*marks, strict=True)),
        vertex_parts=parts,
    )


def normalised(weights: np.ndarray) -> np.ndarray:
    """Return skinning weights (V, K) whose rows sum to one again after storage in low precision.

    Raises
    ------
    ModelError
        When a row is off by more than 1 %: then it is no rounding.
    """
    total = weights.sum(-1, keepdims=True)
    if not np.abs(total - 1).max() < 0.01:
        raise ModelError(
            f"weights of a vertex must sum to 1, found {total.flat[np.abs(total - 1).argmax()]:.3f}"
        )
    return weights / total


def open_body() -> LinearBody:
    """Return the open body that ships with kinepose_ocp: 23 joints, 16 shape components (see its NOTICE)."""
    return body_of_arrays(read_arrays(models_dir() / "surface" / "body.npz"))
