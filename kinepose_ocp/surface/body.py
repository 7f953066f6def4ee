"""The linear body: a skin whose vertices follow shape components and the rotations of a small rig.

World: metres, x forward, y left, z up. Rotations are rotation vectors [rad] relative to the parent joint.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from kinepose_ocp.errors import DataError, ModelError, possible
from kinepose_ocp.io.arrays import read_arrays
from kinepose_ocp.shipped import models_dir
from kinepose_ocp.surface.correctives import bends_of, thickness_correctives
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.plain_numbers import floats, whole_numbers
from kinepose_ocp.surface.skinning import Expression, corrections, skin

FLOATS = ("template", "shape_directions", "joint_template", "joint_directions", "weights", "pose_directions")
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
        For arrays that are not of numbers or do not fit each other, parents that are no tree, faces or
        landmarks of vertices that do not exist, or unknown pose features.
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
        self._make_numbers()
        for name, wanted in self._sizes().items():
            values = getattr(self, name)
            if values is None and name in ("pose_directions", "vertex_parts"):
                continue
            if np.shape(values) != wanted:
                raise ModelError(f"{name} of a body must be of shape {wanted}, found {np.shape(values)}")
            if np.asarray(values).dtype.kind == "f" and not np.isfinite(values).all():
                raise ModelError(f"{name} of a body has values that are not finite")
        if np.abs(self.weights.sum(1) - 1).max() > 1e-9:
            raise ModelError("weights of a vertex must sum to 1")
        self._check_references()

    def _check_references(self) -> None:
        """Refuse parents that are no tree, and faces and landmarks of vertices that do not exist."""
        below = enumerate(self.parents[1:], start=1)
        if self.parents[0] != -1 or any(not 0 <= parent < joint for joint, parent in below):
            raise ModelError(
                f"parents of a body must come before their children, with one root -1, found {self.parents}"
            )
        count, size = len(self.template), self.faces.shape
        if len(size) != 2 or size[1] != 3 or not size[0]:
            raise ModelError(f"faces of a body must be (F, 3), at least one, found {size}")
        if (wrong := _outside(self.faces, count)) is not None:
            raise ModelError(f"faces of a body must be (F, 3) of vertices 0 to {count - 1}, found {wrong}")
        for name, vertex in self.landmarks.items():
            if not 0 <= vertex < count:
                raise ModelError(
                    f"landmark '{name}' of a body must be a vertex of 0 to {count - 1}, found {vertex}"
                )

    def _make_numbers(self) -> None:
        """Convert what was given: floats, or whole numbers; :class:`ModelError` for anything else."""
        for name in FLOATS:
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, floats(values, f"{name} of a body", ModelError))
        object.__setattr__(self, "faces", whole_numbers(self.faces, "faces of a body", ModelError))
        parents = whole_numbers(self.parents, "parents of a body", ModelError)
        if parents.ndim != 1 or not len(parents):
            raise ModelError(f"parents of a body must be of shape (K,), found {parents.shape}")
        object.__setattr__(self, "parents", tuple(parents.tolist()))
        marks = {
            name: whole_numbers(vertex, f"landmark '{name}' of a body", ModelError).item()
            for name, vertex in self.landmarks.items()
        }
        object.__setattr__(self, "landmarks", marks)

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

    @cached_property
    def plain(self) -> LinearBody:
        """The body without pose correctives: linear blend skinning alone."""
        if self.pose_directions is None:
            return self
        return replace(self, pose_directions=None, pose_feature=None)

    @cached_property
    def _corrections(self) -> Expression:
        return corrections(self)

    def blended(self, posed: Posed) -> np.ndarray:
        """Return the vertices (V, 3) [m] of a pose without its correctives: linear blend skinning alone."""
        if self.pose_directions is None:
            return posed.vertices
        before = posed.joint_rotations[np.maximum(self.parents, 0)]
        turns = Rotation.from_matrix(before.transpose(0, 2, 1) @ posed.joint_rotations).as_rotvec()
        added = self._corrections(turns.T).full().T
        mixed = (self.weights @ posed.joint_rotations.reshape(-1, 9)).reshape(-1, 3, 3)
        return posed.vertices - np.einsum("vij,vj->vi", mixed, added)

    def mesh(self, posed: Posed) -> Mesh:
        """Return the skin of a posed body."""
        return self._skin.with_vertices(posed.vertices)

    @cached_property
    def _skin(self) -> Mesh:
        return Mesh(self.template, self.faces)


def body_of_arrays(arrays: dict[str, np.ndarray]) -> LinearBody:
    """Return the body of the arrays of a file like ``body.npz``; :class:`ModelError` if they do not fit."""
    missing = [name for name in (*STORED, "parents", "joint_names") if name not in arrays]
    if missing:
        raise ModelError(f"no array '{missing[0]}'; needed: {', '.join((*STORED, 'parents', 'joint_names'))}")
    values: dict[str, Any] = {ours: arrays[stored] for stored, ours in STORED.items()}
    values["weights"] = normalised(floats(values["weights"], "weights of a body", ModelError))
    values["parents"], names = arrays["parents"], arrays["joint_names"]
    if names.dtype.kind != "U":
        raise ModelError(f"joint_names of a body must be texts, found {names.dtype}")
    if names.ndim != 1:
        raise ModelError(f"joint_names of a body must be of shape (K,), found {names.shape}")
    return LinearBody(
        **values,
        joint_names=tuple(names.tolist()),
        landmarks=_stored_landmarks(arrays),
        vertex_parts=_stored_parts(arrays),
    )


def _stored_landmarks(arrays: dict[str, np.ndarray]) -> dict[str, int]:
    """Landmarks of a file, by name; :class:`ModelError` for names without vertices, or the other way."""
    names, vertices = (
        np.ravel(arrays.get(name, np.zeros(0))).tolist() for name in ("landmark_names", "landmark_vertices")
    )
    if len(names) != len(vertices):
        raise ModelError(
            "landmark_names and landmark_vertices belong together, one name a vertex; "
            f"found {len(names)} and {len(vertices)}"
        )
    return dict(zip(names, vertices, strict=True))


def _stored_parts(arrays: dict[str, np.ndarray]) -> np.ndarray | None:
    """Name of the part under each vertex (V,) of a file; :class:`ModelError` for numbers without a name."""
    if "vertex_parts" not in arrays:
        return None
    if "part_names" not in arrays:
        raise ModelError("vertex_parts needs part_names beside it; found: vertex_parts")
    numbers, names = whole_numbers(arrays["vertex_parts"], "vertex_parts", ModelError), arrays["part_names"]
    if (wrong := _outside(numbers, names.size)) is not None:
        raise ModelError(f"vertex_parts must be numbers of part_names, 0 to {names.size - 1}, found {wrong}")
    return np.ravel(names)[numbers]


def _outside(numbers: np.ndarray, count: int) -> int | None:
    """The first of the numbers that is not one of 0 to count - 1."""
    wrong = numbers[(numbers < 0) | (numbers >= count)]
    return int(wrong[0]) if len(wrong) else None


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
    """Return the open body that ships with kinepose_ocp: 23 joints, 26 shape components (see its NOTICE).

    Its limbs stay thick in a bend: see :mod:`kinepose_ocp.surface.correctives`.
    """
    body = body_of_arrays(read_arrays(_open_file()))
    directions = thickness_correctives(body, bends_of(body.joint_names, body.joint_template))
    return replace(body, pose_directions=directions, pose_feature="matrix")


def example_people() -> dict[str, np.ndarray]:
    """Return shapes (S,) of 12 people by name, for the open body [standard deviations].

    Girls and boys of 10 years, women and men of 30 and 70, light and heavy: ``"woman, 30 years, heavy"``.
    """
    arrays = read_arrays(_open_file(), ("people_names", "people_shapes"))
    return dict(zip(arrays["people_names"].tolist(), arrays["people_shapes"].astype(float), strict=True))


def _open_file() -> Path:
    return models_dir() / "surface" / "body.npz"
