"""Registration: the shape and the pose in which a linear body has the surface of a given mesh.

A mesh of the body's own vertices and faces is fitted vertex by vertex. Any other mesh is fitted by iterated
closest points (Besl and McKay 1992; point to plane: Chen and Medioni 1992) from the starts it is likest to.
What does not fit is refused: see :mod:`kinepose_ocp.surface.registration_checks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from kinepose_ocp.errors import DataError, possible
from kinepose_ocp.surface.body import LinearBody, Posed
from kinepose_ocp.surface.body_fit import BodyState
from kinepose_ocp.surface.closest_point_search import FINE, ClosestPointSearch, Target
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.orientation import YAWS, MeshFrame, found_unit, nearest_axes, world_rotations
from kinepose_ocp.surface.registration_checks import Bars, Residual, implausible, measured, misfit, sound_mesh
from kinepose_ocp.surface.same_topology import direct_fit, same_topology

ATTEMPTS = 4  # fits that are measured before a mesh is refused
DIRECT = "vertex by vertex"


@dataclass(frozen=True, eq=False)
class Registration:
    """A body fitted to a mesh.

    shape (S,), rotations (K, 3) rotation vectors [rad] and translation (3,) [m] give ``posed``: metres, z up;
    ``frame.to_mesh`` takes that back to the mesh's own unit and axes. start: the pose that led here, or
    "vertex by vertex"; notes: what was found out about the mesh, a line each.
    """

    shape: np.ndarray
    rotations: np.ndarray
    translation: np.ndarray
    posed: Posed
    residual: Residual
    frame: MeshFrame
    start: str
    notes: tuple[str, ...] = ()


def register(
    mesh: Mesh,
    body: LinearBody,
    landmarks: Mapping[str, np.ndarray] | None = None,
    frame: MeshFrame | None = None,
    bars: Bars | None = None,
) -> Registration:
    """Fit a body to one mesh as :meth:`Registrar.register` does; for several meshes make one Registrar."""
    return Registrar(body, bars).register(mesh, landmarks, frame)


@dataclass(frozen=True, eq=False)
class _Fit:
    """A state that fits the mesh in metres turned by ``world`` (3, 3), and the start that led there."""

    state: BodyState
    world: np.ndarray
    start: str


class Registrar:
    """Fits one body to many meshes: its functions are built once. bars: what is refused."""

    def __init__(self, body: LinearBody, bars: Bars | None = None):
        self.body = body
        self.bars = bars or Bars()
        self._search = ClosestPointSearch(body)
        poses = self._search.poses.values()
        self._pose_turns = np.array([body.posed(rotations=pose).joint_rotations for pose in poses])

    def register(
        self,
        mesh: Mesh,
        landmarks: Mapping[str, np.ndarray] | None = None,
        frame: MeshFrame | None = None,
    ) -> Registration:
        """Fit the body to a mesh.

        landmarks: name of a landmark of the body -> its position (3,) in the mesh's own unit and axes; frame:
        unit and axes of the mesh, where they are known: both are found from the mesh if not.

        Raises
        ------
        DataError
            When the mesh is no closed surface of a body's size, or the body does not fit it.
        """
        marks = self._checked(landmarks or {})
        sound = sound_mesh(mesh, self.bars)
        given = MeshFrame(found_unit(sound), np.eye(3)) if frame is None else frame
        marks = {name: given.to_world(point) for name, point in marks.items()}
        metric = Mesh(given.to_world(sound.vertices), sound.faces)
        vertices = given.to_world(mesh.vertices) if same_topology(mesh, self.body) else None
        refused: list[tuple[float, str]] = []
        for fit in self._fits(metric, vertices, marks, world_rotations()[: YAWS if frame else None]):
            world = np.eye(3) if frame else self._upright(fit)
            found = self._result(fit, world, metric, given)
            why = misfit(found.residual, self.bars)
            if why is None:
                return self._plausible(found)
            refused.append((found.residual.mean_mm, why))
            if len(refused) == ATTEMPTS:
                break
        raise DataError(min(refused)[1])

    def reposed(self, mesh: Mesh, found: Registration, shape: np.ndarray) -> Registration:
        """Fit the pose again to a mesh of which ``found`` tells the frame, with a shape (S,) that is held.

        What does not fit is not refused: see the residual.
        """
        frame = found.frame
        metric = sound_mesh(mesh, self.bars)
        metric = metric.with_vertices(frame.to_world(metric.vertices))
        if found.start == DIRECT:
            fit = self._search.fits[FINE.vertices]
            state = direct_fit(fit, frame.to_world(mesh.vertices), shape)
        else:
            moved = self.body.joint_directions[0] @ (found.shape - shape)  # the root stays where it was found
            near = BodyState(shape, found.rotations, found.translation + moved)
            state = self._search.reposed(Target.of(metric, {}), near)
        return self._result(_Fit(state, np.eye(3), found.start), np.eye(3), metric, frame)

    def _plausible(self, found: Registration) -> Registration:
        stature = float(np.ptp(self.body.posed(found.shape).vertices[:, 2]))
        why = implausible(found.residual, stature, self.bars)
        if why is not None:
            raise DataError(why)
        return found

    def _checked(self, landmarks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        for name, position in landmarks.items():
            if name not in self.body.landmarks:
                raise DataError(f"no landmark '{name}' on the body; {possible(name, self.body.landmarks)}")
            if np.shape(position) != (3,) or not np.isfinite(position).all():
                raise DataError(f"landmark '{name}' must be three finite numbers, found {position}")
        return {name: np.asarray(position, dtype=float) for name, position in landmarks.items()}

    def _fits(
        self, mesh: Mesh, vertices: np.ndarray | None, landmarks: dict[str, np.ndarray], worlds: np.ndarray
    ) -> Iterator[_Fit]:
        """Yield fits to a mesh in metres; vertices (V, 3) [m] are given if it has the body's own topology."""
        if vertices is not None:
            yield _Fit(direct_fit(self._search.fits[FINE.vertices], vertices), np.eye(3), DIRECT)
        for found in self._search.candidates(Target.of(mesh, landmarks), worlds):
            yield _Fit(found.state, found.start.world, found.start.name)

    def _upright(self, fit: _Fit) -> np.ndarray:
        """Which exchange of the mesh's axes (3, 3) brings the body nearest to one of the poses of the starts.

        They stand on the ground of a world with z up; near: the global rotations of all joints.
        """
        turned = self.body.posed(fit.state.shape, fit.state.rotations).joint_rotations
        in_mesh = fit.world.T @ turned
        worlds = world_rotations()
        likeness = np.einsum("wij,kjl,pkil->pw", worlds, in_mesh, self._pose_turns)
        return nearest_axes(worlds[likeness.max(0).argmax()])

    def _result(self, fit: _Fit, world: np.ndarray, mesh: Mesh, given: MeshFrame) -> Registration:
        """Return a fit, measured, in the mesh's axes turned by ``world`` (3, 3)."""
        state, turn = fit.state, world @ fit.world.T
        root = self.body.joint_template[0] + self.body.joint_directions[0] @ state.shape
        rotations = state.rotations.copy()
        rotations[0] = (Rotation.from_matrix(turn) * Rotation.from_rotvec(rotations[0])).as_rotvec()
        translation = turn @ (root + state.translation) - root
        posed = self.body.posed(state.shape, rotations, translation)
        residual = measured(self.body, posed, Mesh(mesh.vertices @ world.T, mesh.faces))
        frame = MeshFrame(given.unit, world @ given.rotation)
        notes = (f"the mesh is in {frame.unit}, {frame.up} up", f"fitted from: {fit.start}")
        return Registration(state.shape, rotations, translation, posed, residual, frame, fit.start, notes)
