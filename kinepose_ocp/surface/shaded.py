"""Meshes seen by a far camera: depth and normals of the nearest surface in every pixel, in plain numpy.

Triangles are filled with points closer than a pixel, and the nearest point of every pixel stays. A hundred
thousand faces take about a second, and translucent skin over opaque bones is one formula for the whole
picture, where drawing polygons one by one leaves seams.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kinepose_ocp.surface.mesh import Mesh

BONE, SKIN, PAPER = np.array([0.93, 0.87, 0.74]), np.array([0.45, 0.60, 0.72]), np.ones(3)
LIGHT = np.array([-0.45, 0.55, 0.70])  # across, up, towards the camera
THIN, RIM = 0.16, 0.62  # opacity of skin seen straight on, and what is added where it is seen edge-on
AMBIENT = 0.38
POINTS_PER_PIXEL = 1.3  # along an edge
AT_ONCE = 500_000  # points that are held at a time


@dataclass(frozen=True, eq=False)
class View:
    """A far camera.

    Rows of ``axes`` (3, 3) point across, up and towards it; low (2,) [m]: its lower left corner; size: rows
    and columns of the picture; pixel [m].
    """

    axes: np.ndarray
    low: np.ndarray
    size: tuple[int, int]
    pixel: float

    @classmethod
    def of(cls, axes: np.ndarray, points: np.ndarray, rows: int) -> View:
        """View of points (n, 3) [m] that fills a picture of a number of rows, with a margin."""
        seen = points @ axes[:2].T
        low, high = seen.min(0), seen.max(0)
        margin = 0.02 * (high - low).max()
        pixel = (high - low + 2 * margin)[1] / rows
        columns = int(np.ceil((high - low + 2 * margin)[0] / pixel))
        return cls(axes, low - margin, (rows, columns), pixel)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the picture [m]."""
        rows, columns = self.size
        left, bottom = self.low
        return left, left + columns * self.pixel, bottom, bottom + rows * self.pixel


def picture(view: View, skin: Mesh, bones: Mesh) -> np.ndarray:
    """Opaque bones inside translucent skin (rows, columns, 3), 0 to 1, the lowest row first.

    Bones that reach through the skin are drawn without skin over them.
    """
    depth, normal = _nearest(view, bones)
    over, outside = _nearest(view, skin)
    image = np.broadcast_to(PAPER, (*view.size, 3)).copy()
    light = LIGHT / np.linalg.norm(LIGHT)
    hit = np.isfinite(depth)
    shade = AMBIENT + (1 - AMBIENT) * np.clip(normal[hit] @ light, 0, 1)
    near = np.clip(normal[hit, 2], 0, 1) ** 0.5  # darker where the surface turns away
    image[hit] = BONE * (shade * (0.55 + 0.45 * near))[:, None]
    covered = over > depth
    edge = 1 - np.clip(outside[covered, 2], 0, 1)
    opacity = (THIN + RIM * edge**2.2)[:, None]
    tone = SKIN * (0.82 + 0.25 * np.clip(outside[covered] @ light, 0, 1))[:, None]
    image[covered] = image[covered] * (1 - opacity) + np.clip(tone, 0, 1) * opacity
    return image


def _nearest(view: View, mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Depth (rows, columns) towards the camera [m], -inf where nothing is; normals (..., 3) in the view."""
    seen = mesh.vertices @ view.axes.T
    normals = mesh.vertex_normals() @ view.axes.T
    facing = (mesh.face_normals() @ view.axes[2]) > 0
    faces = mesh.faces[facing]
    depth = np.full(view.size[0] * view.size[1], -np.inf)
    normal = np.zeros((len(depth), 3))
    corners = seen[faces]
    edge = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
    steps = np.maximum(np.ceil(edge / view.pixel * POINTS_PER_PIXEL), 1).astype(int)
    for count in np.unique(steps):
        weights = _grid(int(count))
        chosen = faces[steps == count]
        for part in np.array_split(chosen, max(1, len(chosen) * len(weights) // AT_ONCE)):
            _draw(
                view,
                depth,
                normal,
                (weights @ seen[part]).reshape(-1, 3),
                (weights @ normals[part]).reshape(-1, 3),
            )
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal /= np.maximum(length, 1e-12)
    return depth.reshape(view.size), normal.reshape(*view.size, 3)


def _grid(steps: int) -> np.ndarray:
    """Barycentric weights (n, 3) of points spread evenly over a triangle."""
    first, second = np.meshgrid(np.arange(steps + 1), np.arange(steps + 1), indexing="ij")
    inside = first + second <= steps
    one, two = first[inside] / steps, second[inside] / steps
    return np.stack([one, two, 1 - one - two], axis=1)


def _draw(view: View, depth: np.ndarray, normal: np.ndarray, points: np.ndarray, normals: np.ndarray) -> None:
    """Keep the nearest of these points (n, 3) [m] in every pixel."""
    column, row = ((points[:, :2] - view.low) / view.pixel).astype(int).T
    inside = (row >= 0) & (row < view.size[0]) & (column >= 0) & (column < view.size[1])
    place = (row * view.size[1] + column)[inside]
    far, normals = points[inside, 2], normals[inside]
    before = depth[place]
    np.maximum.at(depth, place, far)
    nearer = (far > before) & (far == depth[place])
    normal[place[nearer]] = normals[nearer]
