"""Which points of two surfaces belong together: nearest in position and in direction of the normal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from kinepose_ocp.surface.envelope import barycentric, libigl
from kinepose_ocp.surface.mesh import Mesh

NORMAL_LENGTH = 0.15  # m that unit normals count: opposite sides of a limb are 0.3 m apart
ROUNDING = 0.5  # of the way to the tangent planes of a triangle's corners: on a ball, exact to second order
SMOOTH = 0.5  # cosine between the normals of a triangle and of its corners, below which these tell nothing
COMPATIBLE = 0.3  # cosine below which two normals do not belong together


@dataclass(frozen=True, eq=False)
class Samples:
    """Points (N, 3) [m] of a surface, outward unit normals (N, 3), and which of them border a hole (N,)."""

    points: np.ndarray
    normals: np.ndarray
    at_hole: np.ndarray

    def turned(self, rotation: np.ndarray) -> Samples:
        """Return the samples turned about the origin by a rotation (3, 3)."""
        return Samples(self.points @ rotation.T, self.normals @ rotation.T, self.at_hole)

    def some(self, count: int) -> Samples:
        """Return about ``count`` of the samples, evenly among them."""
        return self.at(np.linspace(0, len(self.points) - 1, min(count, len(self.points))).round().astype(int))

    def at(self, numbers: np.ndarray) -> Samples:
        """Return the samples of given numbers (M,)."""
        return Samples(self.points[numbers], self.normals[numbers], self.at_hole[numbers])

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(np.c_[self.points, NORMAL_LENGTH * self.normals])

    def nearest(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Return for points (M, 3) with normals (M, 3) the numbers (M,) of the samples next to them."""
        return self._tree.query(np.c_[points, NORMAL_LENGTH * normals])[1]

    def matched(self, points: np.ndarray, normals: np.ndarray) -> Samples:
        """Return the samples (M) next to points (M, 3) with normals (M, 3)."""
        return self.at(self.nearest(points, normals))


def sampled(mesh: Mesh, count: int) -> Samples:
    """Return points spread evenly by area over a mesh, with normals interpolated between its vertices.

    The points come in random order, always the same, so that any stretch of them is spread evenly as well.
    """
    random = np.random.default_rng(0)
    cumulated = np.cumsum(np.linalg.norm(mesh.face_normals(), axis=1))
    wanted = (np.arange(count) + random.uniform(size=count)) / count * cumulated[-1]
    face = np.minimum(np.searchsorted(cumulated, wanted), len(mesh.faces) - 1)
    first, second = np.sqrt(random.uniform(size=count)), random.uniform(size=count)
    weights = np.c_[1 - first, first * (1 - second), first * second]
    corners = mesh.faces[face]
    points = np.einsum("nc,ncx->nx", weights, mesh.vertices[corners])
    normals = np.einsum("nc,ncx->nx", weights, mesh.vertex_normals()[corners])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    order = random.permutation(count)
    at_hole = (weights * mesh.connectivity.boundary_vertices[corners]).sum(1) > 0.5
    return Samples(points[order], normals[order], at_hole[order])


def spread_vertices(vertices: np.ndarray, count: int, first: np.ndarray) -> np.ndarray:
    """Return numbers of vertices: the ``first`` ones, then each the farthest from all before it."""
    chosen = [int(vertex) for vertex in dict.fromkeys(first.tolist())] or [0]
    distance = cKDTree(vertices[chosen]).query(vertices)[0]
    while len(chosen) < min(count, len(vertices)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(vertices - vertices[chosen[-1]], axis=1))
    return np.array(chosen)


@dataclass(frozen=True, eq=False)
class ClosestPoints:
    """Where a surface is next to given points (N,).

    distance [m]; positions (N, 3) [m]; interpolated unit normals (N, 3); whether at a rim; the vertices of
    the triangle (N, 3), and barycentric coordinates in it (N, 3).
    """

    distance: np.ndarray
    positions: np.ndarray
    normals: np.ndarray
    at_hole: np.ndarray
    corners: np.ndarray
    shares: np.ndarray


@dataclass(frozen=True, eq=False)
class Surface:
    """The triangles of a mesh, sorted once for all searches (libigl)."""

    mesh: Mesh

    @cached_property
    def _sorted(self) -> tuple[Any, np.ndarray, np.ndarray]:
        """Libigl's tree, and the arrays it needs in every search."""
        vertices, faces = np.ascontiguousarray(self.mesh.vertices), np.ascontiguousarray(self.mesh.faces)
        tree = libigl().AABB()
        tree.init(vertices, faces)
        return tree, vertices, faces

    @cached_property
    def _normals(self) -> np.ndarray:
        return self.mesh.vertex_normals()

    def turned(self, rotation: np.ndarray) -> Surface:
        """Return the surface turned about the origin by a rotation (3, 3)."""
        if np.array_equal(rotation, np.eye(3)):
            return self
        return Surface(self.mesh.with_vertices(self.mesh.vertices @ rotation.T))

    def closest(self, points: np.ndarray) -> ClosestPoints:
        """Return the exact closest points on the triangles.

        Raises
        ------
        DataError
            Without libigl.
        """
        tree, vertices, faces = self._sorted
        squared, face, closest = tree.squared_distance(vertices, faces, np.ascontiguousarray(points))
        corners = faces[face]
        share = barycentric(vertices[corners], closest)
        rim = self.mesh.connectivity.boundary_vertices[corners]
        away = share < 1e-4  # corners that the closest point's edge or vertex does not touch
        at_hole = away.any(1) & (rim | away).all(1)
        normals = np.einsum("nk,nkx->nx", share, self._normals[corners])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        return ClosestPoints(np.sqrt(squared), closest, normals, at_hole, corners, share)

    def matched(self, points: np.ndarray, normals: np.ndarray) -> Samples:
        """Return the closest points of points (M, 3) on the rounded surface; normals do not matter.

        Between its vertices a mesh lies inside the skin where this is convex, so that a body fitted to flat
        triangles is too thin and its joints slide along its limbs. Phong tessellation (Boubekeur and Alexa
        2008) lifts the closest points towards the tangent planes of the corners, where these are not noise.
        """
        found = self.closest(points)
        places, normals = self.mesh.vertices[found.corners], self._normals[found.corners]
        heights = ((places - found.positions[:, None]) * normals).sum(2)
        lifted = np.einsum("nk,nk,nkx->nx", found.shares, heights, normals)
        flat = np.cross(places[:, 1] - places[:, 0], places[:, 2] - places[:, 0])
        flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-300)
        smooth = ((normals * flat[:, None]).sum(2) > SMOOTH).all(1)
        return Samples(found.positions + ROUNDING * smooth[:, None] * lifted, found.normals, found.at_hole)
