"""Unit and axes of a mesh: found from its size, and from the ways in which a body can stand in its world."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import permutations, product

import numpy as np
from scipy.spatial.transform import Rotation

from kinepose_ocp.errors import DataError, possible
from kinepose_ocp.surface.mesh import Mesh

UNITS = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}
SKIN_AREA = (
    0.45,
    4.0,
)  # m^2: a child of four has 0.7, a very heavy adult 2.9, a noisy scan up to a third more
YAWS = 12  # directions that a body may face, for every axis that may be up


@dataclass(frozen=True, eq=False)
class MeshFrame:
    """What turns a mesh's own coordinates into metres, x forward, z up.

    unit: metres, centimetres or millimetres; rotation (3, 3), of mesh axes into world axes. Where the mesh
    stands in its world stays as it is: a point p of the mesh is at ``metres * rotation @ p``.
    """

    unit: str
    rotation: np.ndarray

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise DataError(f"no unit '{self.unit}' of a mesh; {possible(self.unit, UNITS)}")
        turned = np.asarray(self.rotation, dtype=float)
        if turned.shape != (3, 3) or not np.allclose(turned @ turned.T, np.eye(3), atol=1e-6):
            raise DataError(f"the axes of a mesh must be a rotation matrix (3, 3), found {self.rotation}")

    @property
    def metres(self) -> float:
        """Metres of one unit of the mesh."""
        return UNITS[self.unit]

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the mesh -> world [m]."""
        return self.metres * np.asarray(points, dtype=float) @ self.rotation.T

    def to_mesh(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the world [m] -> the mesh's own unit and axes."""
        return np.asarray(points, dtype=float) @ self.rotation / self.metres

    @property
    def up(self) -> str:
        """Which axis of the mesh points up: x, y or z, with its sign."""
        towards = self.rotation[2]
        axis = int(np.abs(towards).argmax())
        return ("-" if towards[axis] < 0 else "+") + "xyz"[axis]


def found_unit(mesh: Mesh) -> str:
    """Return the unit in which the area of a mesh is that of a body's skin; area does not depend on the pose.

    Raises
    ------
    DataError
        When there is none: the size is implausible.
    """
    area = float(np.linalg.norm(mesh.face_normals(), axis=1).sum() / 2)
    for unit, metres in UNITS.items():
        if SKIN_AREA[0] <= area * metres**2 <= SKIN_AREA[1]:
            return unit
    as_units = ", ".join(f"{area * metres**2:.3g} m2 if in {unit}" for unit, metres in UNITS.items())
    raise DataError(
        f"the mesh is of no body's size: its surface has {as_units}; "
        f"a body has {SKIN_AREA[0]:g} to {SKIN_AREA[1]:g} m2"
    )


@cache
def axis_rotations() -> np.ndarray:
    """Return all 24 rotations (24, 3, 3) that exchange axes; the first one is none."""
    found = []
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            matrix = np.eye(3)[list(order)] * np.array(signs)[:, None]
            if np.linalg.det(matrix) > 0:
                found.append(matrix)
    return np.array(found)


@cache
def world_rotations() -> np.ndarray:
    """Return the ways (6 * YAWS, 3, 3) in which the world of a mesh may be turned: up axis, then facing."""
    ups = [Rotation.identity()]
    ups += [Rotation.from_rotvec(np.pi / 2 * np.array(axis)) for axis in ((1, 0, 0), (-1, 0, 0))]
    ups += [Rotation.from_rotvec(np.pi / 2 * np.array(axis)) for axis in ((0, 1, 0), (0, -1, 0))]
    ups += [Rotation.from_rotvec(np.pi * np.array((1, 0, 0)))]
    yaws = Rotation.from_rotvec(2 * np.pi / YAWS * np.arange(YAWS)[:, None] * np.array([0, 0, 1]))
    return np.vstack([(yaws * up).as_matrix() for up in ups])


def nearest_axes(rotation: np.ndarray) -> np.ndarray:
    """Return the exchange of axes (3, 3) next to a rotation (3, 3)."""
    every = axis_rotations()
    return every[np.einsum("nij,ij->n", every, rotation).argmax()]
