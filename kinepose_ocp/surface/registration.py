"""Registration: the shape and the pose in which a linear body has the surface of a given mesh.

A mesh of the body's own vertices and faces is fitted vertex by vertex. Any other mesh is fitted by iterated
closest points (Besl and McKay 1992; point to plane: Chen and Medioni 1992) from the starts it is likest to.
What does not fit is refused: see :mod:`kinepose_ocp.surface.registration_checks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation

from kinepose_ocp.errors import DataError, possible
from kinepose_ocp.surface.body import LinearBody, Posed
from kinepose_ocp.surface.body_fit import BodyState
from kinepose_ocp.surface.closest_point_search import (
    EXACT,
    FINE,
    FOLLOWING,
    REPOSING,
    Candidate,
    ClosestPointSearch,
    Target,
)
from kinepose_ocp.surface.correspondence import Surface
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.mesh_soundness import sound_mesh
from kinepose_ocp.surface.orientation import YAWS, MeshFrame, found_unit, nearest_axes, world_rotations
from kinepose_ocp.surface.registration_checks import Bars, Gauge, Residual, implausible, measured, misfit
from kinepose_ocp.surface.registration_starts import Start
from kinepose_ocp.surface.same_topology import direct_fit, same_topology

ATTEMPTS = 4  # fits that are measured before a mesh is refused
DIRECT = "vertex by vertex"
WELL = 1.5  # mm: a body with pose correctives that is farther off is also tried without them,
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
class Case:
    """A sound mesh [m], the given vertices (V, 3) [m] if they are the body's own, and the mesh's frame."""

    surface: Surface
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

    @cached_property
    def _coarse(self) -> Gauge:
        return Gauge.coarse(self.body)

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
        sound = sound_mesh(mesh, self.bars).mesh
        given = MeshFrame(found_unit(sound), np.eye(3)) if frame is None else frame
        case = self.case(mesh, sound, given)
        target = Target.of(case.surface, {name: given.to_world(point) for name, point in marks.items()})
        refused: list[tuple[float, str]] = []
        for fit in self._fits(case, target, world_rotations()[: YAWS if frame else None]):
            world = np.eye(3) if frame else self._upright(fit)
            found = self._measured(fit, world, case, target)
            why = misfit(found.residual, self.bars)
            if why is None:
                if (nobody := self.implausible(found)) is not None:
                    raise DataError(nobody)
                return found
            refused.append((found.residual.mean_mm, why))
            if len(refused) == ATTEMPTS:
                break
        raise DataError(min(refused)[1])

    # ---- the steps of a sequence: see kinepose_ocp.surface.mesh_sequence ---------------------------
    def case(self, mesh: Mesh, sound: Mesh, frame: MeshFrame) -> Case:
        """Return a given mesh, made sound, in the unit and the axes of a frame."""
        metric = sound.with_vertices(frame.to_world(sound.vertices))
        own = frame.to_world(mesh.vertices) if same_topology(mesh, self.body) else None
        return Case(Surface(metric), own, frame)

    def followed(self, case: Case, near: Candidate) -> Candidate:
        """Fit a pose roughly, from a fit near it whose shape is held. A direct fit needs no fit near it."""
        if _is_direct(near, case):
            return near
        return self._search.followed(near, Target.of(case.surface, {}, FOLLOWING.points))

    def settled(self, case: Case, near: Candidate) -> Registration:
        """Fit shape and pose, from a fit near it; what does not fit is not refused."""
        target = Target.of(case.surface, {})
        direct = _is_direct(near, case)
        fit = _direct(self._search, case.vertices) if direct else self._search.exact(near, target, EXACT)
        return self._measured(fit, np.eye(3), case, target)

    def reposed(self, case: Case, near: Candidate, shape: np.ndarray) -> Registration:
        """Fit the pose of a body of a shape (S,), from a fit near it; what does not fit is not refused.

        The residual is measured at fewer points than that of other fits.
        """
        if _is_direct(near, case):
            fit = _direct(self._search, case.vertices, shape)
        else:
            moved = self.body.joint_directions[0] @ (near.state.shape - shape)  # the root stays where it was
            state = BodyState(shape, near.state.rotations, near.state.translation + moved)
            target = Target.of(case.surface, {}, 0)
            fit = self._search.exact(replace(near, state=state), target, REPOSING, hold=True)
        return self._result(self.body, fit, np.eye(3), case, self._coarse)

    def implausible(self, found: Registration) -> str | None:
        """Return in one line why a fit that is near its mesh is no body's all the same, or None."""
        stature = float(np.ptp(self.body.posed(found.shape).vertices[:, 2]))
        return implausible(found.residual, stature, self.bars)

    def _checked(self, landmarks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        for name, position in landmarks.items():
            if name not in self.body.landmarks:
                raise DataError(f"no landmark '{name}' on the body; {possible(name, self.body.landmarks)}")
            if np.shape(position) != (3,) or not np.isfinite(position).all():
                raise DataError(f"landmark '{name}' must be three finite numbers, found {position}")
        return {name: np.asarray(position, dtype=float) for name, position in landmarks.items()}

    def _fits(self, case: Case, target: Target, worlds: np.ndarray) -> Iterator[Candidate]:
        """Yield fits to a mesh, the likeliest first."""
        if case.vertices is not None:
            yield _direct(self._search, case.vertices)
        yield from self._search.candidates(target, worlds)

    def _measured(self, fit: Candidate, world: np.ndarray, case: Case, target: Target) -> Registration:
        """Return a fit, or that of the body without correctives next to it: many programs blend linearly."""
        found = self._result(self.body, fit, world, case)
        if found.residual.mean_mm < WELL or self.body.plain is self.body:
            return found
        drawn_in = (
            _direct(self._plain, case.vertices) if _is_direct(fit, case) else self._plain.settled(fit, target)
        )
        other = self._result(self.body.plain, drawn_in, world, case)
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
        self,
        body: LinearBody,
        fit: Candidate,
        world: np.ndarray,
        case: Case,
        gauge: Gauge | None = None,
    ) -> Registration:
        """Return a fit of a body, measured, in the mesh's axes turned by ``world`` (3, 3)."""
        state, turn = fit.state, world @ fit.start.world.T
        root = body.joint_template[0] + body.joint_directions[0] @ state.shape
        rotations = state.rotations.copy()
        rotations[0] = (Rotation.from_matrix(turn) * Rotation.from_rotvec(rotations[0])).as_rotvec()
        translation = turn @ (root + state.translation) - root
        posed = body.posed(state.shape, rotations, translation)
        residual = measured(body, posed, case.surface.turned(world), gauge)
        frame = MeshFrame(case.frame.unit, world @ case.frame.rotation)
        notes = (f"the mesh is in {frame.unit}, {frame.up} up", f"fitted from: {fit.start.name}")
        return Registration(
            body, state.shape, rotations, translation, posed, residual, frame, fit.start.name, notes
        )


def _is_direct(fit: Candidate, case: Case) -> bool:
    return fit.start.name == DIRECT and case.vertices is not None


def _direct(
    search: ClosestPointSearch, vertices: np.ndarray | None, shape: np.ndarray | None = None
) -> Candidate:
    """Fit the body of a search to vertices (V, 3) [m] of its topology; a given shape (S,) is held."""
    assert vertices is not None
    state = direct_fit(search.fit(FINE), vertices, shape)
    return Candidate(Start(DIRECT, state.rotations, np.eye(3)), state, 0.0)
