"""One person through a sequence of meshes.

Poses are followed roughly from frame to frame, some frames tell the shape, and all poses are fitted with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kinepose_ocp.errors import DataError
from kinepose_ocp.surface.body import LinearBody
from kinepose_ocp.surface.body_fit import BodyState
from kinepose_ocp.surface.closest_point_search import Candidate
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.mesh_soundness import sound_mesh
from kinepose_ocp.surface.orientation import MeshFrame
from kinepose_ocp.surface.registration import Case, Registrar, Registration
from kinepose_ocp.surface.registration_checks import misfit
from kinepose_ocp.surface.registration_starts import Start

SHAPED = 8  # frames, spread over the sequence, that tell the shape
LOST = 1.3  # times the least distance since the last search: a frame that fits worse is searched anew
Tick = Callable[[str], None]  # told what is being done
RegistrarOf = Callable[[LinearBody], Registrar]


def register_sequence(
    meshes: list[Mesh], body: LinearBody, registrar_of: RegistrarOf, frame: MeshFrame | None, tick: Tick
) -> list[Registration]:
    """Fit a body of one shape to meshes in a frame, which is found from the first mesh if not given.

    The shape is the mean of those of up to :data:`SHAPED` frames. Where some of these fit better without pose
    correctives, they are fitted with and without, and what fits better in the mean is kept for all.

    Raises
    ------
    DataError
        When a mesh is no body, or the body does not fit it; it names the frame.
    """
    tick(f"registering frame 1 of {len(meshes)}")
    sequence = _Sequence(meshes, registrar_of(body), registrar_of, frame)
    near = sequence.followed(tick)
    tick("finding the shape")
    chosen = np.unique(np.linspace(0, len(meshes) - 1, SHAPED).round().astype(int)).tolist()
    alone = {number: sequence.settled(number, near[number]) for number in chosen}
    shape = np.mean([each.shape for each in alone.values()], axis=0)
    bodies = list(dict.fromkeys(each.body for each in alone.values()))
    if len(bodies) > 1:
        bodies.sort(key=lambda one: sequence.distance(one, shape, {n: near[n] for n in chosen}))
    notes = next(each.notes for each in alone.values() if each.body is bodies[0])
    fits = []
    for number, candidate in enumerate(near):
        tick(f"fitting the pose of frame {number + 1} of {len(meshes)}")
        fits.append(replace(sequence.reposed(number, candidate, bodies[0], shape), notes=notes))
    sequence.check(fits)
    return fits


class _Sequence:
    """Meshes of one person, the first of which tells how all are made sound and what frame they are in."""

    def __init__(
        self, meshes: list[Mesh], registrar: Registrar, registrar_of: RegistrarOf, frame: MeshFrame | None
    ):
        self.meshes, self.registrar, self.registrar_of = meshes, registrar, registrar_of
        try:
            self.sound = sound_mesh(meshes[0], registrar.bars)
            self.first = registrar.register(meshes[0], None, frame)
        except DataError as error:
            raise DataError(f"frame 1: {error}") from None
        self.frame = self.first.frame

    def case(self, number: int) -> Case:
        """Return the mesh of a frame, ready to be fitted; :class:`DataError` for one that is not sound."""
        mesh = self.meshes[number]
        try:
            sound = self.sound.of(mesh, self.registrar.bars)
        except DataError as error:
            raise DataError(f"frame {number + 1}: {error}") from None
        return self.registrar.case(mesh, sound, self.frame)

    def followed(self, tick: Tick) -> list[Candidate]:
        """Rough poses of all frames, each from the one before, or searched anew where that fits worse."""
        registrar = self.registrar_of(self.first.body)
        near = [registrar.followed(self.case(0), self._near(self.first))]
        least = near[0].cost
        for number in range(1, len(self.meshes)):
            tick(f"registering frame {number + 1} of {len(self.meshes)}")
            case = self.case(number)
            found = registrar.followed(case, near[-1])
            if found.cost > LOST * least:
                found = self._anew(number, case, found)
                least = found.cost
            least = min(least, found.cost)
            near.append(found)
        return near

    def _anew(self, number: int, case: Case, found: Candidate) -> Candidate:
        """Return what a search finds, or the fit that was followed if that is nearer to the mesh."""
        try:
            searched = self.registrar.register(self.meshes[number], None, self.frame)
        except DataError:
            return found
        other = self.registrar_of(self.first.body).followed(case, self._near(searched))
        return min(found, other, key=lambda each: each.cost)

    def _near(self, found: Registration) -> Candidate:
        """Return a fit with the shape of the first frame's; the root stays where it was found."""
        shape = self.first.shape
        moved = found.body.joint_directions[0] @ (found.shape - shape)
        state = BodyState(shape, found.rotations, found.translation + moved)
        return Candidate(Start(found.start, found.rotations, np.eye(3)), state, np.inf)

    def settled(self, number: int, near: Candidate) -> Registration:
        """Fit the body to a frame, with a shape of its own."""
        return self.registrar.settled(self.case(number), near)

    def reposed(self, number: int, near: Candidate, body: LinearBody, shape: np.ndarray) -> Registration:
        """Fit the pose of a body to a frame."""
        return self.registrar_of(body).reposed(self.case(number), near, shape)

    def distance(self, body: LinearBody, shape: np.ndarray, near: dict[int, Candidate]) -> float:
        """Mean distance [mm] of a body of a shape from some frames."""
        fits = [self.reposed(number, each, body, shape) for number, each in near.items()]
        return float(np.mean([each.residual.mean_mm for each in fits]))

    def check(self, fits: list[Registration]) -> None:
        """Refuse bodies of one shape of which one does not fit its mesh."""
        bars = self.registrar.bars
        refused = [number for number, each in enumerate(fits) if misfit(each.residual, bars) is not None]
        if refused:
            worst = max(refused, key=lambda number: fits[number].residual.mean_mm)
            raise DataError(
                f"frame {worst + 1}: with the mean shape of all {len(fits)} frames, "
                f"{misfit(fits[worst].residual, bars)}; a sequence must be of one person"
            )
        for number, each in enumerate(fits):
            if (why := self.registrar.implausible(each)) is not None:
                raise DataError(f"frame {number + 1}: {why}")
