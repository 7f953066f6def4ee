"""What a skeleton is made from: one body in some poses, from a mesh, a sequence of meshes, or poses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kinepose_ocp.errors import DataError, possible
from kinepose_ocp.surface.body import LinearBody, Posed
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.orientation import MeshFrame, found_unit
from kinepose_ocp.surface.plain_numbers import floats
from kinepose_ocp.surface.registration import Registrar, Registration
from kinepose_ocp.surface.registration_checks import Bars, Residual, misfit, sound_mesh

UPS = {  # rotation of mesh axes into the world for the usual meaning of "up"
    "z": np.eye(3),
    "y": np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]),  # x left, y up, z forward
}
AUTOMATIC = "auto"
Landmarks = Mapping[str, np.ndarray]
Tick = Callable[[str], None]  # told what is being done


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

    Its shape is the mean of all frames'; poses are then fitted again with this shape held, and residuals are
    of the bodies found so. Where some frames fit better without pose correctives, all are fitted with and
    without, and what fits better in the mean is kept.

    Raises
    ------
    DataError
        As for :func:`of_mesh`, and when the mean shape does not fit a mesh; it names the frame.
    """
    frame = mesh_frame(meshes[0], up)
    found: list[Registration] = []
    for number, mesh in enumerate(meshes):
        if tick is not None:
            tick(f"registering frame {number + 1} of {len(meshes)}")
        try:
            found.append(registrar(body).register(mesh, None, frame, found))
        except DataError as error:
            raise DataError(f"frame {number + 1}: {error}") from None
        frame = found[0].frame
    shape = np.mean([each.shape for each in found], axis=0)
    poses: dict[LinearBody, list[Registration]] = {}
    for one in dict.fromkeys(each.body for each in found):
        poses[one] = []
        for number, (mesh, each) in enumerate(zip(meshes, found, strict=True)):
            if tick is not None:
                tick(f"fitting the pose of frame {number + 1} of {len(meshes)}")
            poses[one].append(registrar(one).reposed(mesh, each, shape))
    body = min(poses, key=lambda one: float(np.mean([each.residual.mean_mm for each in poses[one]])))
    residuals = tuple(each.residual for each in poses[body])
    _check_one_person(residuals, registrar(body).bars)
    return Surfaces(
        *(
            body,
            shape,
            tuple(each.posed for each in poses[body]),
            np.arange(len(found)) / rate,
            found[0].frame,
        ),
        residuals=residuals,
        notes=next(each.notes for each in found if each.body is body),
    )


def _check_one_person(residuals: tuple[Residual, ...], bars: Bars) -> None:
    """Refuse bodies of one shape of which one does not fit its mesh."""
    refused = [number for number, residual in enumerate(residuals) if misfit(residual, bars) is not None]
    if refused:
        worst = max(refused, key=lambda number: residuals[number].mean_mm)
        raise DataError(
            f"frame {worst + 1}: with the mean shape of all {len(residuals)} frames, "
            f"{misfit(residuals[worst], bars)}; a sequence must be of one person"
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
    return MeshFrame(found_unit(sound_mesh(mesh, Bars())), UPS[up])
