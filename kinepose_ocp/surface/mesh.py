"""Triangle meshes: the value, its normals, and files through trimesh (the extra ``surface``)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from kinepose_ocp.errors import DataError
from kinepose_ocp.io.atomic import whole_file
from kinepose_ocp.surface.plain_numbers import floats, whole_numbers

SUFFIXES = (".ply", ".obj", ".stl", ".off")


@dataclass(frozen=True, eq=False)
class Connectivity:
    """What the faces (F, 3) of ``count`` vertices tell alone, wherever these are."""

    faces: np.ndarray
    count: int

    @cached_property
    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Edges (E, 2), the lower vertex first, and how many faces share each (E,)."""
        lower, upper = np.sort(self.sides(), axis=1).T
        keys, faces = np.unique(lower * self.count + upper, return_counts=True)
        return np.stack(np.divmod(keys, self.count), axis=1), faces

    def sides(self) -> np.ndarray:
        """Sides (3 F, 2) of all faces, each from vertex to vertex as its face is wound."""
        faces = self.faces
        return np.vstack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])

    @cached_property
    def boundary_vertices(self) -> np.ndarray:
        """Which vertices (V,) lie on an edge that only one face has."""
        edges, faces = self.edges
        on_edge = np.zeros(self.count, bool)
        on_edge[edges[faces == 1].ravel()] = True
        return on_edge

    @cached_property
    def around(self) -> csr_matrix:
        """Sums over the faces around each vertex, as a matrix (V, F)."""
        corners = self.faces.ravel()
        of_corners = np.repeat(np.arange(len(self.faces)), 3)
        return csr_matrix((np.ones(len(corners)), (corners, of_corners)), (self.count, len(self.faces)))


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh: ``vertices`` (V, 3) [m], ``faces`` (F, 3) of vertices, counter-clockwise from outside.

    Raises
    ------
    DataError
        For arrays of another shape or not of numbers, positions that are not finite, or faces of vertices
        that do not exist.
    """

    vertices: np.ndarray
    faces: np.ndarray

    def __post_init__(self) -> None:
        vertices = floats(self.vertices, "vertices of a mesh")
        faces = whole_numbers(self.faces, "faces of a mesh")
        for name, values in (("vertices", vertices), ("faces", faces)):
            if values.ndim != 2 or values.shape[1] != 3:
                raise DataError(f"{name} of a mesh must be of shape (n, 3), found {values.shape}")
        if not np.isfinite(vertices).all():
            raise DataError("a mesh has vertices that are not finite")
        if faces.size and not (0 <= faces.min() and faces.max() < len(vertices)):
            wrong = faces.min() if faces.min() < 0 else faces.max()
            raise DataError(f"a mesh of {len(vertices)} vertices has faces of vertex {wrong}")
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)

    @cached_property
    def connectivity(self) -> Connectivity:
        """Edges, boundary and neighbours, found once for all meshes of the same faces."""
        return Connectivity(self.faces, len(self.vertices))

    def with_vertices(self, vertices: np.ndarray) -> Mesh:
        """Return the mesh of the same faces with other positions (V, 3) [m]."""
        other = Mesh(vertices, self.faces)
        if len(other.vertices) == len(self.vertices):
            other.__dict__["connectivity"] = self.connectivity
        return other

    def face_normals(self) -> np.ndarray:
        """Outward normals (F, 3), of twice the area of the face [m^2] as length."""
        first, second, third = (self.vertices[self.faces[:, corner]] for corner in range(3))
        return np.cross(second - first, third - first)

    def vertex_normals(self) -> np.ndarray:
        """Outward unit normals (V, 3): the mean of the faces around, by area; zero where there are none."""
        normals = self.connectivity.around @ self.face_normals()
        return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)

    def volume(self) -> float:
        """Enclosed volume [m^3] of a closed mesh; negative when its faces look inward."""
        return float(np.einsum("fc,fc->", self.face_normals(), self.vertices[self.faces[:, 0]]) / 6)

    def vertex_areas(self) -> np.ndarray:
        """Area (V,) [m^2] of each vertex: a third of the faces around it."""
        third = np.repeat(np.linalg.norm(self.face_normals(), axis=1) / 6, 3)
        return np.bincount(self.faces.ravel(), third, minlength=len(self.vertices))

    def is_closed(self) -> bool:
        """Whether every edge has two faces."""
        return bool((self.connectivity.edges[1] == 2).all())


def read_mesh(path: str | os.PathLike[str]) -> Mesh:
    """Read a ``.ply``, ``.obj``, ``.stl`` or ``.off`` file; positions are taken as metres, as they stand.

    Raises
    ------
    DataError
        For a file that is missing, damaged, of another kind or without triangles, and without trimesh.
    """
    path = _checked(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        found: Any = _trimesh().load(path, force="mesh", process=False)
        vertices, faces = np.asarray(found.vertices), np.asarray(found.faces)
    except DataError:
        raise
    except Exception as error:  # trimesh's parsers raise whatever the damaged text leads to
        raise DataError(
            f"{path}: not a readable mesh ({' '.join(str(error).split()) or type(error).__name__})"
        ) from None
    if not len(faces):
        raise DataError(f"{path}: no triangles")
    try:
        return Mesh(vertices, faces)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def write_mesh(mesh: Mesh, path: str | os.PathLike[str]) -> None:
    """Write a mesh in the format of the file's suffix; an existing file is replaced whole or not at all."""
    path = _checked(path)
    exported = (
        _trimesh().Trimesh(mesh.vertices, mesh.faces, process=False).export(file_type=path.suffix[1:].lower())
    )
    content = exported.encode() if isinstance(exported, str) else exported
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def _checked(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: not a mesh file; possible: {', '.join(SUFFIXES)}")
    return path


def _trimesh() -> ModuleType:
    try:
        import trimesh
    except ImportError:
        raise DataError("mesh files need trimesh: pip install 'kinepose_ocp[surface]'") from None
    return trimesh
