"""A placed skeleton in other poses of its body: bones follow the skin, joints stay closed.

A nonlinear program over rotations and translations with the scales of the rest pose: springs between skin and
bones, hard joints, hinges about their axes, ligaments, scapulae that glide on the ribs, and bending that
pelvis, lumbar spine and thorax share. Built once; frames of a sequence start from the frame before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import casadi as ca
import numpy as np

from kinepose_ocp.chain_file import load_chain
from kinepose_ocp.errors import SolveError
from kinepose_ocp.surface import articulation as joints
from kinepose_ocp.surface.body import LinearBody, Posed
from kinepose_ocp.surface.bone_samples import bone_samples
from kinepose_ocp.surface.envelope import Envelope, Nearest
from kinepose_ocp.surface.parts_program import PartsProgram, Solved, Symbols
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton, part_origins
from kinepose_ocp.surface.point_costs import PointTable
from kinepose_ocp.surface.sides import stem_of
from kinepose_ocp.surface.skeleton import Skeleton
from kinepose_ocp.surface.skin_parts import (
    Unblending,
    facing,
    own_vertices,
    part_motions,
    rig_motions,
    skin_weights,
)
from kinepose_ocp.surface.springs import Springs, spring_points, springs

SPRING_SHARE = 0.4  # of the usual number of points of bone that carry springs
# by which standard deviations are wider: where skin tells little of the bones; smaller where it tells much
SOFT = {
    "lumbar": 3.0,
    "cspine": 2.0,
    "scapula": 3.0,
    "clavicle": 3.0,
    "thorax": 0.5,
    "skull": 0.5,
}
# As an arm is raised, blended skin sinks into the shoulder; the joints' motions that explain it still tell
# how the girdle turned
SOFT_TURN = SOFT | {"lumbar": 1.7, "scapula": 1.0} | dict.fromkeys(("clavicle", "humerus", "forearm"), 0.7)
SHARED = ("pelvis", "lumbar", "thorax")  # the middle one takes half of what the outer ones turn
INNER = 2  # solves of a first pose: the skin next to the bones is found again after each
DEEP = 0.03  # m: bones this far below the skin next to them are not held inside it


@dataclass(frozen=True)
class PosingWeights:
    """Standard deviations of what the posing wants [m, rad, 1].

    spring: of all springs of a part together [m]; margin: bones this deep under the skin [m], or as deep as
    at rest; inside: of the depth that lacks [m]; skin: of a part's rotation against that of its skin [rad];
    rig: against that of the rig [rad], infinite to leave the rig aside; carry: against the correction of
    the frame before [rad]; shared: of the lumbar spine's share in bending [1]; gap: of loose joints [m];
    ligament, glide: of their lengths and heights [m]; axis: of a hinge's axis [1]. Those of a part's
    springs are wider by :data:`SOFT`, of its rotation by :data:`SOFT_TURN`.
    """

    spring: float = 0.006
    margin: float = 0.002
    inside: float = 0.0015
    skin: float = 0.01
    rig: float = 0.02
    carry: float = 0.03
    shared: float = 0.10
    gap: float = 0.0015
    ligament: float = 0.003
    glide: float = 0.004
    axis: float = 0.04


@dataclass(frozen=True, eq=False)
class Guess:
    """Rotations (P, 3, 3) that the rig suggests, and where the skin carries the parts."""

    rig: np.ndarray
    start: PlacedSkeleton


@dataclass(eq=False)
class PosingSubject:
    """One body with its skeleton at rest, and what the posing needs of both."""

    problem: PosingProblem
    body: LinearBody
    rest: Posed
    placed: PlacedSkeleton
    weights: np.ndarray = field(init=False)
    owned: list[np.ndarray] = field(init=False)
    facing: list[np.ndarray] = field(init=False)
    springs: Springs = field(init=False)
    margins: np.ndarray = field(init=False)
    unblending: Unblending = field(init=False)
    numbers: dict[str, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        skeleton, skin = self.placed.skeleton, Envelope(self.body.mesh(self.rest))
        self.weights = skin_weights(self.body, skeleton)
        self.owned = own_vertices(self.weights)
        self.facing = facing(self.body, skeleton, self.weights)
        self.springs = springs(self.problem.tied, self.placed, skin, self.owned, self.weights)
        near, points = self.next_to(skin, self.placed)
        depths = -np.einsum("ni,ni->n", skin.normals(near), points - skin.positions(near))
        self.margins = np.minimum(self.problem.weights.margin, depths)
        self.unblending = Unblending(self.body, self.rest)
        self.numbers = self.problem.resting(self.placed)

    def next_to(self, skin: Envelope, placed: PlacedSkeleton) -> tuple[Nearest, np.ndarray]:
        """Skin next to the samples, among the faces that their parts may see, and the samples (N, 3) [m]."""
        samples, names = self.problem.samples, placed.skeleton.parts
        points = np.zeros((len(samples.parts), 3))
        for part, name in enumerate(names):
            mine = samples.of(part)
            points[mine] = placed.at(name, samples.positions[mine])
        return skin.nearest_of_parts(points, samples.parts, self.facing), points

    def guess(self, target: Posed) -> Guess:
        """Where skin and rig carry the parts; the start is where the skin does."""
        skeleton, placed = self.placed.skeleton, self.placed
        skin = part_motions(self.body, skeleton, self.rest, self.unblending(target))
        rig = part_motions(self.body, skeleton, self.rest, rig_motions(self.rest, target))
        start = placed.moved(skin.rotations @ placed.rotations, skin.at(placed.translations))
        return Guess(rig.rotations @ placed.rotations, start)

    def table(self, skin: Envelope, placed: PlacedSkeleton) -> PointTable:
        """Numbers of all points: springs, then samples under the skin next to where they are placed."""
        problem, weights, count = self.problem, self.problem.weights, len(self.springs.vertices)
        spring = self.springs.firmness / (weights.spring * problem.soft[problem.owner[:count]]) ** 2
        inside = np.full(len(problem.samples.parts), 1 / weights.inside**2)
        inside /= np.bincount(problem.samples.parts)[problem.samples.parts] / 30
        near, points = self.next_to(skin, placed)
        inside[~skin.trusted(near, points, DEEP)] = 0.0
        none, nothing = np.zeros(count), np.zeros(len(inside))
        values = {
            "point": problem.points,
            "skin": np.vstack([skin.mesh.vertices[self.springs.vertices], skin.positions(near)]),
            "normal": np.vstack([skin.vertex_normals[self.springs.vertices], skin.normals(near)]),
            "level": np.r_[0.5 * spring, nothing],
            "depth": np.r_[self.springs.depths, nothing],
            "spring": np.r_[spring, nothing],
            "length": np.r_[self.springs.lengths, nothing],
            "inside": np.r_[none, inside],
            "margin": np.r_[none, self.margins],
        }
        return PointTable(len(problem.owner), values)


class PosingProblem:
    """The program that poses a placed skeleton, built once for all bodies and poses."""

    def __init__(self, skeleton: Skeleton, weights: PosingWeights | None = None):
        self.skeleton, self.weights = skeleton, weights or PosingWeights()
        rigid = skeleton.without_gliding()  # skin before a bone that glides tells nothing of its part
        self.tied, self.samples = bone_samples(rigid, SPRING_SHARE).beside(), bone_samples(rigid)
        ends = spring_points(self.tied)
        self.owner = np.concatenate([ends.parts, self.samples.parts])
        self.points = np.vstack([ends.positions, self.samples.positions]) - part_origins(skeleton)[self.owner]
        self.soft, self.soft_turn = (
            np.array([wider.get(stem_of(part), 1.0) for part in skeleton.parts])
            for wider in (SOFT, SOFT_TURN)
        )
        self.ranges = joints.hinge_ranges(skeleton, load_chain("fullbody"))
        self._rest, sizes = self._rest_values()
        count = len(skeleton.parts)
        shapes = {"skin": (9, count), "rig": (9, count), "carry": (9, count), "resting": (9, count)}
        shapes |= {"carry_weight": (1, 1), "rest": (sizes, 1)}
        self.program = PartsProgram(skeleton, self.owner, None, shapes, self._terms)

    # ---- what a rest pose fixes --------------------------------------------------------------------
    def _soft(self, parts: joints.Parts) -> list[tuple[ca.SX, float]]:
        """Expressions that should stay as in the rest pose, with their standard deviations."""
        weights, skeleton = self.weights, self.skeleton
        loose = [
            (parts.rotations[joint.parent].T @ joints.gap(parts, joint), weights.gap)
            for joint in joints.loose_joints(skeleton)
        ]
        hinges = [(joints.hinge_state(parts, hinge.joint)[1], weights.axis) for hinge in self.ranges]
        tied = [(length, weights.ligament) for length in joints.ligaments(parts, skeleton)]
        glide = [(height, weights.glide) for height in joints.gliding(parts, skeleton)]
        return loose + hinges + tied + glide

    def _rest_values(self) -> tuple[ca.Function, int]:
        """Function of rotations (9, P), translations (3, P), scales (3, P) that gives what should stay."""
        count = len(self.skeleton.parts)
        turns, moves, scales = (ca.SX.sym(name, rows, count) for name, rows in (("R", 9), ("t", 3), ("s", 3)))
        names, origins = self.skeleton.parts, part_origins(self.skeleton)
        parts = joints.Parts(
            dict(zip(names, origins, strict=True)),
            {name: ca.reshape(turns[:, i], 3, 3) for i, name in enumerate(names)},
            {name: moves[:, i] for i, name in enumerate(names)},
            {name: scales[:, i] for i, name in enumerate(names)},
        )
        values = ca.vertcat(*(value for value, _ in self._soft(parts)))
        return ca.Function("rest", [turns, moves, scales], [values]), values.numel()

    def resting(self, placed: PlacedSkeleton) -> dict[str, np.ndarray]:
        """Numbers that a placed skeleton at rest fixes for all of its poses."""
        turns = columns(placed.rotations)
        rest = self._rest(turns, placed.translations.T, placed.scales.T).full()
        return {"rest": rest, "resting": turns}

    def _terms(self, parts: joints.Parts, symbols: Symbols) -> tuple[ca.SX, joints.Limits]:
        """Cost of joints, and their constraints."""
        weights, cost, used = self.weights, ca.SX(0), 0
        for value, std in self._soft(parts):
            cost += ca.sumsqr(value - symbols["rest"][used : used + value.numel()]) / std**2
            used += value.numel()
        for number, part in enumerate(self.skeleton.parts):
            skin, rig, carry = (ca.reshape(symbols[n][:, number], 3, 3) for n in ("skin", "rig", "carry"))
            turned, share = parts.rotations[part], 1 / float(self.soft_turn[number]) ** 2
            cost += share * joints.difference(turned, skin) / weights.skin**2
            cost += share * joints.difference(turned, rig) / weights.rig**2
            cost += symbols["carry_weight"] * joints.difference(turned, carry)
        cost += self._shared(parts, symbols)
        return cost, joints.joint_limits(parts, self.skeleton, self.ranges)

    def _shared(self, parts: joints.Parts, symbols: Symbols) -> ca.SX:
        """Cost of the lumbar spine not taking its half of what turns the thorax against the pelvis."""
        if not set(SHARED) <= set(self.skeleton.parts):
            return ca.SX(0)
        below, middle, above = (
            parts.rotations[part] @ ca.reshape(symbols["resting"][:, self.skeleton.parts.index(part)], 3, 3).T
            for part in SHARED
        )
        return ca.sumsqr(joints.turn(below, middle) - joints.turn(middle, above)) / self.weights.shared**2

    # ---- solving -----------------------------------------------------------------------------------
    def subject(self, body: LinearBody, rest: Posed, placed: PlacedSkeleton) -> PosingSubject:
        """Tie a placed skeleton to the skin of its body at rest."""
        return PosingSubject(self, body, rest, placed)

    def frames(self, subject: PosingSubject, targets: Iterable[Posed]) -> Iterator[Solved]:
        """Solve pose after pose of a sequence; each starts from the one before.

        What a frame adds to the guess of skin and rig is expected to stay, so that a sequence is smooth
        without lagging behind its skin.
        """
        guess, placed = None, None
        for target in targets:
            skin, last, before = Envelope(subject.body.mesh(target)), guess, placed
            guess = subject.guess(target)
            start = (
                guess.start if last is None or before is None else carried_on(guess.start, last.start, before)
            )
            weight = 0.0 if last is None else 1 / self.weights.carry**2
            numbers = subject.numbers | {
                "skin": columns(guess.start.rotations),
                "rig": columns(guess.rig),
                "carry": columns(start.rotations),
                "carry_weight": np.array([weight]),
            }
            for _ in range(INNER if last is None else 1):
                solved = self.program.solve(start, subject.table(skin, start), numbers)
                start = placed = solved.placed
            yield solved


def carried_on(start: PlacedSkeleton, last: PlacedSkeleton, found: PlacedSkeleton) -> PlacedSkeleton:
    """Correct a start as the solution of the frame before corrected its own start."""
    turns = start.rotations @ last.rotations.transpose(0, 2, 1)
    moved = np.einsum("pij,pj->pi", turns, found.translations - last.translations)
    return start.moved(turns @ found.rotations, start.translations + moved)


def columns(rotations: np.ndarray) -> np.ndarray:
    """Rotations (P, 3, 3) as (9, P), column by column."""
    return rotations.transpose(0, 2, 1).reshape(len(rotations), 9).T


@lru_cache(maxsize=2)
def posing_problem(skeleton: Skeleton) -> PosingProblem:
    """Return the program of a skeleton, built at the first call."""
    return PosingProblem(skeleton)


def posed_frames(
    placed: PlacedSkeleton, body: LinearBody, rest: Posed, targets: Iterable[Posed]
) -> Iterator[Solved]:
    """Pose a skeleton, placed in a body at rest, into the poses of a sequence, one after the other.

    Raises
    ------
    SolveError
        When a pose does not converge; it names the pose, the first one as 1.
    """
    problem = posing_problem(placed.skeleton)
    for number, solved in enumerate(problem.frames(problem.subject(body, rest, placed), targets), start=1):
        if not solved.converged:
            raise SolveError(f"pose {number} of the skeleton was not found: {solved.status}")
        yield solved


def pose(
    placed: PlacedSkeleton, body: LinearBody, rest: Posed, targets: Iterable[Posed]
) -> list[PlacedSkeleton]:
    """Return what :func:`posed_frames` finds."""
    return [solved.placed for solved in posed_frames(placed, body, rest, targets)]
