"""What a skeleton is made from: one body in some poses, from a mesh, a sequence of meshes, or poses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kinepose_ocp.errors import DataError, possible
from kinepose_ocp.surface.body import LinearBody, Posed
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.mesh_sequence import Tick, register_sequence
from kinepose_ocp.surface.mesh_soundness import sound_mesh
from kinepose_ocp.surface.orientation import MeshFrame, found_unit
from kinepose_ocp.surface.plain_numbers import floats
from kinepose_ocp.surface.registration import Registrar
from kinepose_ocp.surface.registration_checks import Bars, Residual

UPS = {  # rotation of mesh axes into the world for the usual meaning of "up"
    "z": np.eye(3),
    "y": np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]),  # x left, y up, z forward
}
AUTOMATIC = "auto"
Landmarks = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Surfaces:
    """A body of one shape (S,) in poses: targets, at times (T,) [s] from 0.

    frame: from the coordinates of the user's mesh to metres with z up; residuals: of every mesh, none for
    poses; notes: one line each.
    """

    body: LinearBody
    shape: np.ndarray
    targets: tuple[Posed, ...]
    time: np.ndarray
    frame: MeshFrame
    residuals: tuple[Residual, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def rest(self) -> Posed:
        """The body standing, where its rig stands."""
        return self.body.posed(self.shape)

    @property
    def stature(self) -> float:
        """Height [m] of the body in its rest pose."""
        return float(np.ptp(self.rest.vertices[:, 2]))


def of_mesh(
    mesh: Mesh, body: LinearBody, landmarks: Landmarks | None = None, up: str = AUTOMATIC
) -> Surfaces:
    """Register a body to one mesh.

    Parameters
    ----------
    landmarks
        Name of a landmark of the body -> (3,) in the mesh's own coordinates.
    up
        Which axis of the mesh points up: ``z``, ``y``, or ``auto`` to find out.

    Raises
    ------
    DataError
        For a mesh that is no body, that does not fit, or another ``up``.
    """
    found = registrar(body).register(mesh, landmarks, mesh_frame(mesh, up))
    return Surfaces(
        *(found.body, found.shape, (found.posed,), np.zeros(1), found.frame, (found.residual,), found.notes)
    )


def of_meshes(
    meshes: list[Mesh], rate: float, body: LinearBody, up: str = AUTOMATIC, tick: Tick | None = None
) -> Surfaces:
    """Register a body to a sequence of meshes at a rate [Hz].

    Its shape is the mean of those of some frames, with which the poses of all are fitted; residuals are of
    the bodies found so (see :mod:`kinepose_ocp.surface.mesh_sequence`).

    Raises
    ------
    DataError
        As for :func:`of_mesh`, and when the mean shape does not fit a mesh; it names the frame.
    """
    said = tick or (lambda text: None)
    fits = register_sequence(meshes, body, registrar, mesh_frame(meshes[0], up), said)
    first = fits[0]
    return Surfaces(
        *(
            first.body,
            first.shape,
            tuple(each.posed for each in fits),
            np.arange(len(fits)) / rate,
            first.frame,
        ),
        residuals=tuple(each.residual for each in fits),
        notes=first.notes,
    )


def of_poses(
    body: LinearBody, shape: np.ndarray, rotations: np.ndarray, translation: np.ndarray, rate: float
) -> Surfaces:
    """Pose a body: shape (S,), rotation vectors (T, K, 3) [rad], translation (T, 3) [m], rate [Hz].

    Raises
    ------
    DataError
        For arrays that are not of numbers or do not fit the body.
    """
    shape, rotations, translation = (
        floats(values, f"{name} of the poses")
        for name, values in (("shape", shape), ("rotations", rotations), ("translation", translation))
    )
    if np.ndim(rotations) != 3 or np.shape(translation) != (len(rotations), 3) or not len(rotations):
        raise DataError(
            f"poses need rotations (T, {len(body.parents)}, 3) and translation (T, 3), "
            f"found {np.shape(rotations)} and {np.shape(translation)}"
        )
    for name, values in (("shape", shape), ("rotations", rotations), ("translation", translation)):
        if not np.isfinite(values).all():
            raise DataError(f"{name} of the poses has values that are not finite")
    targets = [body.posed(shape, turns, place) for turns, place in zip(rotations, translation, strict=True)]
    frame = MeshFrame("metres", np.eye(3))
    return Surfaces(body, shape, tuple(targets), np.arange(len(targets)) / rate, frame)


@lru_cache(maxsize=2)
def registrar(body: LinearBody) -> Registrar:
    """Return the registrar of a body, built at the first call."""
    return Registrar(body)


def mesh_frame(mesh: Mesh, up: str) -> MeshFrame | None:
    """Unit and axes of a mesh whose up axis is known; None to find them in the registration."""
    if up == AUTOMATIC:
        return None
    if up not in UPS:
        raise DataError(f"up is '{up}'; {possible(up, [*UPS, AUTOMATIC])}")
    return MeshFrame(found_unit(sound_mesh(mesh, Bars()).mesh), UPS[up])
