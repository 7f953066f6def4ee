"""Registration: the shape and the pose in which a linear body has the surface of a given mesh.

A mesh of the body's own vertices and faces is fitted vertex by vertex. Any other mesh is fitted by iterated
closest points (Besl and McKay 1992; point to plane: Chen and Medioni 1992) from the starts it is likest to.
What does not fit is refused: see :mod:`kinepose_ocp.surface.registration_checks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation

from kinepose_ocp.errors import DataError, possible
from kinepose_ocp.surface.body import LinearBody, Posed
from kinepose_ocp.surface.body_fit import BodyState
from kinepose_ocp.surface.closest_point_search import FINE, Candidate, ClosestPointSearch, Target
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.orientation import YAWS, MeshFrame, found_unit, nearest_axes, world_rotations
from kinepose_ocp.surface.registration_checks import Bars, Residual, implausible, measured, misfit, sound_mesh
from kinepose_ocp.surface.registration_starts import Start
from kinepose_ocp.surface.same_topology import direct_fit, same_topology

ATTEMPTS = 4  # fits that are measured before a mesh is refused
DIRECT = "vertex by vertex"
WELL = 1.5  # mm: a body with pose correctives that is farther off is also tried without them,
AS_WELL = 1.3  # times the least distance of the frames before
BETTER = 0.9  # and left without where that brings the mean distance down to this part
LINEAR = "the body fits better without its pose correctives: the mesh is drawn in where it bends"


@dataclass(frozen=True, eq=False)
class Registration:
    """A body fitted to a mesh.

    shape (S,), rotations (K, 3) rotation vectors [rad] and translation (3,) [m] of ``body``, which may be the
    given one without its pose correctives, give ``posed``: metres, z up; ``frame.to_mesh`` takes that back to
    the mesh's own unit and axes. start: the pose that led here, or "vertex by vertex"; notes: what was found
    out about the mesh, a line each.
    """

    body: LinearBody
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
class _Case:
    """A mesh in metres, points on it, its vertices (V, 3) [m] if it has the body's own, and its frame."""

    mesh: Mesh
    target: Target
    vertices: np.ndarray | None
    frame: MeshFrame


class Registrar:
    """Fits one body to many meshes: its functions are built once. bars: what is refused."""

    def __init__(self, body: LinearBody, bars: Bars | None = None):
        self.body = body
        self.bars = bars or Bars()
        self._search = ClosestPointSearch(body)

    @cached_property
    def _plain(self) -> ClosestPointSearch:
        return ClosestPointSearch(self.body.plain)

    @cached_property
    def _pose_turns(self) -> np.ndarray:
        """Global rotations (P, K, 3, 3) of the joints in the poses of the starts."""
        poses = self._search.poses.values()
        return np.array([self.body.posed(rotations=pose).joint_rotations for pose in poses])

    def register(
        self,
        mesh: Mesh,
        landmarks: Mapping[str, np.ndarray] | None = None,
        frame: MeshFrame | None = None,
        before: Sequence[Registration] = (),
    ) -> Registration:
        """Fit the body to a mesh.

        landmarks: name of a landmark of the body -> its position (3,) in the mesh's own unit and axes; frame:
        unit and axes of the mesh, where they are known: both are found from the mesh if not; before: fits to
        the meshes before, in this frame: the search starts from the last one, and anew where that fits worse
        than before.

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
        case = _Case(metric, Target.of(metric, marks), vertices, given)
        if before and frame is not None and vertices is None:
            last, least = before[-1], min(each.residual.mean_mm for each in before)
            state = BodyState(last.shape, last.rotations, last.translation)
            start = Candidate(Start(last.start, last.rotations, np.eye(3)), state, np.inf)
            found = self._measured(self._search.settled(start, case.target), np.eye(3), case)
            if found.residual.mean_mm < AS_WELL * least and misfit(found.residual, self.bars) is None:
                return self._plausible(found)
        refused: list[tuple[float, str]] = []
        for fit in self._fits(case, world_rotations()[: YAWS if frame else None]):
            world = np.eye(3) if frame else self._upright(fit)
            found = self._measured(fit, world, case)
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
            state = direct_fit(self._search.fit(FINE), frame.to_world(mesh.vertices), shape)
        else:
            moved = self.body.joint_directions[0] @ (found.shape - shape)  # the root stays where it was found
            near = BodyState(shape, found.rotations, found.translation + moved)
            state = self._search.reposed(Target.of(metric, {}), near)
        fit = Candidate(Start(found.start, state.rotations, np.eye(3)), state, np.inf)
        return self._result(self.body, fit, np.eye(3), metric, frame)

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

    def _fits(self, case: _Case, worlds: np.ndarray) -> Iterator[Candidate]:
        """Yield fits to a mesh, the likeliest first."""
        if case.vertices is not None:
            yield _direct(self._search, case.vertices)
        yield from self._search.candidates(case.target, worlds)

    def _measured(self, fit: Candidate, world: np.ndarray, case: _Case) -> Registration:
        """Return a fit, or that of the body without correctives next to it: many programs blend linearly."""
        found = self._result(self.body, fit, world, case.mesh, case.frame)
        if found.residual.mean_mm < WELL or self.body.plain is self.body:
            return found
        drawn_in = (
            _direct(self._plain, case.vertices)
            if fit.start.name == DIRECT and case.vertices is not None
            else self._plain.settled(fit, case.target)
        )
        other = self._result(self.body.plain, drawn_in, world, case.mesh, case.frame)
        better = other.residual.mean_mm < BETTER * found.residual.mean_mm
        return replace(other, notes=(*other.notes, LINEAR)) if better else found

    def _upright(self, fit: Candidate) -> np.ndarray:
        """Which exchange of the mesh's axes (3, 3) brings the body nearest to one of the poses of the starts.

        They stand on the ground of a world with z up; near: the global rotations of all joints.
        """
        turned = self.body.posed(fit.state.shape, fit.state.rotations).joint_rotations
        in_mesh = fit.start.world.T @ turned
        worlds = world_rotations()
        likeness = np.einsum("wij,kjl,pkil->pw", worlds, in_mesh, self._pose_turns)
        return nearest_axes(worlds[likeness.max(0).argmax()])

    def _result(
        self, body: LinearBody, fit: Candidate, world: np.ndarray, mesh: Mesh, given: MeshFrame
    ) -> Registration:
        """Return a fit of a body, measured, in the mesh's axes turned by ``world`` (3, 3)."""
        state, turn = fit.state, world @ fit.start.world.T
        root = body.joint_template[0] + body.joint_directions[0] @ state.shape
        rotations = state.rotations.copy()
        rotations[0] = (Rotation.from_matrix(turn) * Rotation.from_rotvec(rotations[0])).as_rotvec()
        translation = turn @ (root + state.translation) - root
        posed = body.posed(state.shape, rotations, translation)
        residual = measured(body, posed, Mesh(mesh.vertices @ world.T, mesh.faces))
        frame = MeshFrame(given.unit, world @ given.rotation)
        notes = (f"the mesh is in {frame.unit}, {frame.up} up", f"fitted from: {fit.start.name}")
        return Registration(
            body, state.shape, rotations, translation, posed, residual, frame, fit.start.name, notes
        )


def _direct(search: ClosestPointSearch, vertices: np.ndarray) -> Candidate:
    """Fit the body of a search to vertices (V, 3) [m] of its topology."""
    state = direct_fit(search.fit(FINE), vertices)
    return Candidate(Start(DIRECT, state.rotations, np.eye(3)), state, 0.0)
