"""Whether a mesh bounds anything that could be a body: welded, wound one way, closed but for small holes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinepose_ocp.errors import DataError
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.registration_checks import Bars


@dataclass(frozen=True, eq=False)
class SoundMesh:
    """A given mesh made sound; numbers (V,): which of the given vertices its vertices are."""

    given: Mesh
    mesh: Mesh
    numbers: np.ndarray

    def of(self, other: Mesh, bars: Bars) -> Mesh:
        """Make another mesh sound, in the same way if its faces are those of the given one.

        Raises
        ------
        DataError
            As :func:`sound_mesh`.
        """
        alike = len(other.vertices) == len(self.given.vertices)
        if alike and (other.faces is self.given.faces or np.array_equal(other.faces, self.given.faces)):
            return self.mesh.with_vertices(other.vertices[self.numbers])
        return sound_mesh(other, bars).mesh


def sound_mesh(mesh: Mesh, bars: Bars) -> SoundMesh:
    """Make vertices at the same place one, leave out faces without area, turn normals outward.

    Raises
    ------
    DataError
        For a mesh that bounds no body: without faces, non-manifold, wound both ways, or open.
    """
    welded, numbers = _welded(mesh)
    if len(welded.faces) < 100:
        raise DataError(f"the mesh has {len(welded.faces)} faces with an area; no body has so few")
    shared, sides = welded.connectivity.edges[1], welded.connectivity.sides()
    twice = np.unique(sides[:, 0] * len(welded.vertices) + sides[:, 1], return_counts=True)[1]
    branched, turned = float((shared > 2).mean()), float((twice > 1).sum() / len(shared))
    if branched > 0.01:
        raise DataError(
            f"the mesh is no surface: {branched:.1%} of its edges have more than two faces; at most 1% may"
        )
    if turned > 0.05:
        raise DataError(
            f"the mesh has no inside: {turned:.1%} of its edges lie between faces wound in opposite ways; "
            f"at most 5% may"
        )
    missing = missing_share(welded)
    if missing > bars.holes:
        raise DataError(
            f"the mesh is open: holes take {missing:.1%} of the area that its surface would have if closed; "
            f"at most {bars.holes:.0%} may be missing"
        )
    normals = welded.face_normals()
    centre = welded.vertices.mean(0)
    volume = np.einsum("fi,fi->", normals, welded.vertices[welded.faces[:, 0]] - centre)
    outward = welded if volume > 0 else Mesh(welded.vertices, welded.faces[:, ::-1])
    return SoundMesh(mesh, outward, numbers)


def rims_of(mesh: Mesh) -> list[np.ndarray]:
    """Return the simple loops of vertices along edges that only one face has, each once around.

    Where holes touch in a vertex, the walk closes the loop that it has gone around and goes on with the rest.
    """
    own, count = mesh.connectivity.sides(), len(mesh.vertices)
    single = own[~np.isin(own[:, 0] * count + own[:, 1], own[:, 1] * count + own[:, 0])]
    following: dict[int, list[int]] = {}
    for first, second in single.tolist():
        following.setdefault(first, []).append(second)
    rims = []
    for start in list(following):
        path, places = [start], {start: 0}
        while following.get(path[-1]):
            vertex = following[path[-1]].pop()
            if vertex in places:
                loop = path[places[vertex] :]
                rims.append(np.array(loop))
                for passed in loop[1:]:
                    del places[passed]
                del path[places[vertex] + 1 :]
            else:
                places[vertex] = len(path)
                path.append(vertex)
    return rims


def missing_share(mesh: Mesh) -> float:
    """Share of the area that is missing: every rim filled by triangles about its middle."""
    holes = 0.0
    for rim in rims_of(mesh):
        spokes = mesh.vertices[rim] - mesh.vertices[rim].mean(0)
        holes += float(np.linalg.norm(np.cross(spokes, np.roll(spokes, -1, axis=0)), axis=1).sum())
    return holes / (holes + float(np.linalg.norm(mesh.face_normals(), axis=1).sum()))


def _welded(mesh: Mesh) -> tuple[Mesh, np.ndarray]:
    """One vertex for all at one place (files of triangles, seams of textures); no faces without area.

    Returns the numbers of the vertices that are left as well.
    """
    if not len(mesh.faces):
        return mesh, np.arange(len(mesh.vertices))
    used, faces = np.unique(mesh.faces, return_inverse=True)
    vertices = mesh.vertices[used]
    grain = max(float(np.ptp(vertices, axis=0).max()), 1e-12) * 1e-7
    _, first, place = np.unique(np.round(vertices / grain), axis=0, return_index=True, return_inverse=True)
    faces = place.ravel()[faces.reshape(-1, 3)]
    welded = Mesh(vertices[first], faces)
    area = np.linalg.norm(welded.face_normals(), axis=1)
    return Mesh(welded.vertices, faces[area > 1e-12 * area.max()]), used[first]
