"""The skin as a closed surface: which points are inside, how deep, and what skin is next to them (libigl)."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

import numpy as np

from kinepose_ocp.errors import DataError
from kinepose_ocp.surface.mesh import Mesh


@dataclass(frozen=True, eq=False)
class Nearest:
    """Skin next to some points: faces (N,), barycentric coordinates (N, 3) and distances (N,) [m]."""

    faces: np.ndarray
    corners: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True, eq=False)
class Envelope:
    """A closed skin."""

    mesh: Mesh

    @cached_property
    def vertex_normals(self) -> np.ndarray:
        """Outward unit normals (V, 3)."""
        return self.mesh.vertex_normals()

    def signed_distances(self, points: np.ndarray) -> np.ndarray:
        """Distances (N,) [m] of points (N, 3) from the surface, negative inside.

        The sign is that of the generalised winding number, which holes and folds of the skin do not upset
        (Barill et al., Fast winding numbers for soups and clouds, 2018).

        Raises
        ------
        DataError
            Without libigl.
        """
        arrays = [np.ascontiguousarray(values) for values in (points, self.mesh.vertices, self.mesh.faces)]
        distances = np.sqrt(np.asarray(libigl().point_mesh_squared_distance(*arrays)[0]))
        return np.where(self.contains(points), -distances, distances)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether points (N, 3) [m] are inside, by their winding number; needs libigl."""
        arrays = [np.ascontiguousarray(values) for values in (self.mesh.vertices, self.mesh.faces, points)]
        return np.asarray(libigl().fast_winding_number(*arrays)) > 0.5

    def nearest(self, points: np.ndarray, among: np.ndarray) -> Nearest:
        """Return the skin next to points (N, 3) [m] among some faces (numbers); needs libigl."""
        faces = self.mesh.faces[among]
        arrays = [np.ascontiguousarray(values) for values in (points, self.mesh.vertices, faces)]
        squared, found, closest = libigl().point_mesh_squared_distance(*arrays)
        corners = barycentric(self.mesh.vertices[faces[found]], closest)
        return Nearest(np.asarray(among)[found], corners, np.sqrt(squared))

    def nearest_of_parts(self, points: np.ndarray, parts: np.ndarray, among: list[np.ndarray]) -> Nearest:
        """Return the skin next to points (N, 3) [m] of parts (N,), each among the faces of its part.

        One search among all faces serves every point whose nearest face is one of its part; the others are
        searched again, part by part.
        """
        every = np.arange(len(self.mesh.faces))
        found = self.nearest(points, every)
        for part in np.unique(parts).tolist():
            mine = np.flatnonzero(parts == part)
            allowed = np.zeros(len(every), bool)
            allowed[among[part]] = True
            again = mine[~allowed[found.faces[mine]]]
            if len(again):
                other = self.nearest(points[again], among[part])
                found.faces[again], found.corners[again] = other.faces, other.corners
                found.distances[again] = other.distances
        return found

    def positions(self, nearest: Nearest) -> np.ndarray:
        """Where pieces of skin (N, 3) [m] are."""
        return np.einsum("ni,nij->nj", nearest.corners, self.mesh.vertices[self.mesh.faces[nearest.faces]])

    def normals(self, nearest: Nearest) -> np.ndarray:
        """Outward unit normals (N, 3) of pieces of skin."""
        mixed = np.einsum("ni,nij->nj", nearest.corners, self.vertex_normals[self.mesh.faces[nearest.faces]])
        return mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12)

    def trusted(self, nearest: Nearest, points: np.ndarray, deep: float) -> np.ndarray:
        """Whether the planes of the skin next to points (N, 3) [m] tell where the inside is; needs libigl.

        In a fold, skin of the other side or skin inside the body may be nearest; there, the height above the
        plane has not the sign that the winding number gives. Points below ``deep`` [m] need not be held.
        """
        height = np.einsum("ni,ni->n", self.normals(nearest), points - self.positions(nearest))
        return np.where(self.contains(points), (height < 0) & (height > -deep), height > 0)


def barycentric(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Barycentric coordinates (N, 3) of points (N, 3) in triangles (N, 3, 3), kept inside."""
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    offset = points - triangles[:, 0]
    a, b, c = (np.einsum("ni,ni->n", *pair) for pair in ((first, first), (first, second), (second, second)))
    u, v = (np.einsum("ni,ni->n", *pair) for pair in ((offset, first), (offset, second)))
    area = np.maximum(a * c - b * b, 1e-30)
    one, two = (c * u - b * v) / area, (a * v - b * u) / area
    inside = np.clip(np.stack([1 - one - two, one, two], axis=1), 0, None)
    return inside / inside.sum(1, keepdims=True)


def libigl() -> ModuleType:
    """Return the module of libigl; :class:`DataError` says what to install without it."""
    try:
        return importlib.import_module("igl")
    except ImportError:
        raise DataError("distances from surfaces need libigl: pip install 'kinepose_ocp[surface]'") from None
