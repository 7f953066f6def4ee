"""Iterated closest points from several starts: from likeness over rough fits to one exact fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kinepose_ocp.surface.body import LinearBody
from kinepose_ocp.surface.body_fit import BodyFit, BodyState, Moved, NormalEquations, Stage, add_surface
from kinepose_ocp.surface.correspondence import COMPATIBLE, Samples, Surface, sampled
from kinepose_ocp.surface.limb_restarts import (
    FEW,
    MANY,
    SEARCH_POINTS,
    Limb,
    hand_restarts,
    limbs_of,
    restarts,
    unexplained,
)
from kinepose_ocp.surface.registration_starts import (
    POSES_DEG,
    Start,
    landmark_starts,
    pose_rotations,
    ranked_starts,
    spread,
)

TRIED = 16  # starts that are fitted roughly
REFINED = 3  # of those, how many are fitted further before the best one is taken
ROUGH = Stage(350, 4000, 10, std=0.02, sliding=0.3, back=1.0, pose_std=1.0, cutoff=0.06)
MIDDLE = Stage(800, 10000, 12, std=0.01, sliding=0.1, back=0.6, pose_std=1.5, cutoff=0.03)
FINE = Stage(1500, 30000, 16, std=0.004, sliding=0.02, back=0.1, pose_std=3.0, cutoff=0.015)
EXACT = Stage(  # what skin hardly tells, like the twist of a forearm, is left to it: no damping, no pull
    vertices=1500,
    points=0,
    iterations=12,
    std=0.0002,
    sliding=0.0,
    back=0.0,
    pose_std=10.0,
    cutoff=0.01,
    independent=1000.0,
    damping=1e-6,
    near=0.0,
    measured=True,
)
LAST = replace(EXACT, vertices=10**9, iterations=30, settled=2e-6)
FOLLOWING = Stage(350, 6000, 12, std=0.01, sliding=0.1, back=0.6, pose_std=1.5, cutoff=0.03, settled=5e-4)
REPOSING = replace(EXACT, iterations=8, settled=1e-4)
MESH_POINTS = FINE.points  # one in 8 mm
FIRST_SHAPE = 2.5  # standard deviations by which a start may differ from the mean
ENOUGH = 4  # landmarks that tell how the world is turned
WIDE = 0.2  # m that they must lie beside a line for that
Matches = Callable[[NormalEquations, Moved], None]  # adds what draws vertices to a mesh


@dataclass(frozen=True, eq=False)
class Target:
    """A surface [m], points on it, and positions (3,) [m] of landmarks."""

    surface: Surface
    points: Samples
    landmarks: dict[str, np.ndarray]

    @classmethod
    def of(cls, surface: Surface, landmarks: dict[str, np.ndarray], count: int = MESH_POINTS) -> Target:
        return cls(surface, sampled(surface.mesh, count), landmarks)

    def turned(self, rotation: np.ndarray, count: int) -> Target:
        """Return surface, ``count`` points and all landmarks turned about the origin by a rotation (3, 3)."""
        marks = {name: rotation @ point for name, point in self.landmarks.items()}
        return Target(self.surface.turned(rotation), self.points.some(count).turned(rotation), marks)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A state that fits a target turned by ``start.world``; cost: mean distance [m] of both ways."""

    start: Start
    state: BodyState
    cost: float


class ClosestPointSearch:
    """Fits one body to many targets: its functions and starts are made once. Nothing in it is random."""

    def __init__(self, body: LinearBody):
        self.body = body
        self._fits: dict[int, BodyFit] = {}

    def fit(self, stage: Stage) -> BodyFit:
        """Return the body's equations with a stage's number of vertices, made at the first call."""
        if stage.vertices not in self._fits:
            self._fits[stage.vertices] = BodyFit(self.body, stage.vertices)
        return self._fits[stage.vertices]

    @cached_property
    def _limbs(self) -> tuple[Limb, ...]:
        return limbs_of(self.body, self.fit(ROUGH).vertices)

    @cached_property
    def poses(self) -> dict[str, np.ndarray]:
        """Rotations (K, 3) of the starts by name."""
        return {name: pose_rotations(self.body, turns) for name, turns in POSES_DEG.items()}

    @cached_property
    def _surfaces(self) -> dict[str, Samples]:
        return {
            name: sampled(self.body.mesh(self.body.posed(rotations=rotations)), 1000)
            for name, rotations in self.poses.items()
        }

    @cached_property
    def _growth(self) -> np.ndarray:
        """Shape (S,) of 100 % more size."""
        body = self.body
        around = (body.template - body.template.mean(0)).ravel()
        directions = body.shape_directions.reshape(len(around), -1)
        weak = 1e-3 * np.trace(directions.T @ directions) / body.shape_count * np.eye(body.shape_count)
        return np.linalg.solve(directions.T @ directions + weak, directions.T @ around)

    def candidates(self, target: Target, worlds: np.ndarray) -> Iterator[Candidate]:
        """Yield fits, the likeliest first, each as exact as can be.

        worlds (W, 3, 3): the ways in which the target's world may have to be turned.
        """
        starts = self._starts(target, worlds)[:TRIED]
        rough = sorted((self._rough(start, target) for start in starts), key=lambda found: found.cost)
        for first in range(0, len(rough), REFINED):
            middle = [self._refined(found, target, MIDDLE) for found in rough[first : first + REFINED]]
            for found in sorted(middle, key=lambda found: found.cost):
                better = self._hands_restarted(self._limbs_restarted(found, target), target)
                yield self.settled(better, target)

    def settled(self, found: Candidate, target: Target) -> Candidate:
        """Return a fit near another, as exact as can be."""
        return self.exact(self._refined(found, target, FINE), target, LAST)

    def followed(self, near: Candidate, target: Target) -> Candidate:
        """Return a rough fit of pose and translation near a fit whose shape is held."""
        start = replace(near.start, rotations=near.state.rotations)
        return self._refined(replace(near, start=start), target, FOLLOWING, held=self.body.shape_count)

    def exact(self, near: Candidate, target: Target, stage: Stage, hold: bool = False) -> Candidate:
        """Fit to the closest points of the surface itself, from a fit near it, whose shape may be held."""
        turned, held = target.turned(near.start.world, 0), self.body.shape_count if hold else 0
        start = replace(near.start, rotations=near.state.rotations)

        def matches(equations: NormalEquations, moved: Moved) -> None:
            add_surface(equations, moved, turned.surface, None, stage)

        return replace(near, state=self._stepped(replace(near, start=start), turned, stage, matches, held))

    def _limbs_restarted(self, found: Candidate, target: Target) -> Candidate:
        """Put limbs anew, one after the other, while the mesh has points that no part of the body is at."""
        turned = target.turned(found.start.world, ROUGH.points)
        fit = self.fit(ROUGH)
        for limb in self._limbs:
            missing = unexplained(self.body, found.state, turned.points)
            if not FEW < len(missing) / SEARCH_POINTS < MANY:
                break
            for state in restarts(fit, found.state, limb, turned.points, missing):
                start = replace(found.start, rotations=state.rotations)
                rough = self._refined(Candidate(start, state, np.inf), target, ROUGH)
                tried = self._refined(rough, target, MIDDLE)
                found = min(found, tried, key=lambda each: each.cost)
        return found

    def _starts(self, target: Target, worlds: np.ndarray) -> list[Start]:
        """Starts, the likeliest first: by landmarks that tell how the world is turned, or by surfaces."""
        found = np.array(list(target.landmarks.values())).reshape(-1, 3)
        wide = np.linalg.svd(found - found.mean(0), compute_uv=False)[1] if len(found) >= ENOUGH else 0.0
        if wide < WIDE:
            return ranked_starts(self.poses, self._surfaces, target.points, worlds)
        vertices = [self.body.landmark(name) for name in target.landmarks]
        marks = {
            name: self.body.posed(rotations=pose).vertices[vertices] for name, pose in self.poses.items()
        }
        return landmark_starts(self.poses, marks, found)

    def _rough(self, start: Start, target: Target) -> Candidate:
        """Fit from a start: the mean body grown to the size of the target, centre on centre."""
        surface = self._surfaces[start.name]
        size = spread(target.points.points) / spread(surface.points)
        shape = np.clip((size - 1) * self._growth, -FIRST_SHAPE, FIRST_SHAPE)
        translation = start.world @ target.points.points.mean(0) - size * surface.points.mean(0)
        return self._refined(
            Candidate(start, BodyState(shape, start.rotations, translation), np.inf), target, ROUGH
        )

    def _hands_restarted(self, found: Candidate, target: Target) -> Candidate:
        """Turn hands over that the wrist is far bent for, where that fits better."""
        limits = self.fit(ROUGH).limits
        for arm in self._limbs:
            if not arm.name.startswith("arm"):
                continue
            for state in hand_restarts(limits, found.state, arm):
                start = replace(found.start, rotations=state.rotations)
                tried = self._refined(Candidate(start, state, np.inf), target, MIDDLE)
                found = min(found, tried, key=lambda each: each.cost)
        return found

    def _refined(self, found: Candidate, target: Target, stage: Stage, held: int = 0) -> Candidate:
        """Take the steps of a stage from a fit, in which the first ``held`` coordinates stay."""
        turned = target.turned(found.start.world, stage.points)
        back = turned.points.some(stage.vertices)

        def matches(equations: NormalEquations, moved: Moved) -> None:
            add_surface(equations, moved, turned.points, back if stage.back else None, stage)

        state = self._stepped(found, turned, stage, matches, held)
        return Candidate(found.start, state, _cost(self.fit(stage), state, turned, back))

    def _stepped(
        self, found: Candidate, target: Target, stage: Stage, matches: Matches, held: int
    ) -> BodyState:
        fit, state, moved = self.fit(stage), found.state, None
        for _ in range(stage.iterations):
            moved = fit.moved(state, moved, stage.near)
            equations = NormalEquations.empty(fit.size)
            matches(equations, moved)
            fit.add_prior(equations, state, found.start.rotations, stage.pose_std)
            fit.add_landmarks(equations, moved, target.landmarks)
            state = state.moved(equations.step(stage.damping, held))
            if moved.distance(fit.placed(state)[0]) < stage.settled:
                break
        return state


def _cost(fit: BodyFit, state: BodyState, target: Target, back: Samples) -> float:
    """Mean distance [m] from body to target and back, and of landmarks; other normals count as 0.1 m."""
    vertices, normals = fit.placed(state)
    own = Samples(vertices, normals, np.zeros(len(vertices), bool))
    total = 0.0
    for points, others in ((own, target.points), (back, own)):
        found = others.nearest(points.points, points.normals)
        gap = np.linalg.norm(others.points[found] - points.points, axis=1)
        facing = (others.normals[found] * points.normals).sum(1) > COMPATIBLE
        total += float(np.where(facing, np.minimum(gap, 0.1), 0.1).mean())
    gaps = [np.linalg.norm(vertices[fit.landmark_rows[name]] - at) for name, at in target.landmarks.items()]
    return total + (float(np.mean(gaps)) if gaps else 0.0)
