"""A skeleton in a body at rest: bones scaled and placed under the skin, joints closed.

A nonlinear program over rotations, translations and scales (left and right alike), after the idea of
OSSO (Keller et al., CVPR 2022) that bony points lie close under the skin and all bones inside it. It is
solved some times: first joints of the rig and landmarks only, then with the skin next to the bones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import casadi as ca
import numpy as np

from kinepose_ocp.chain_file import load_chain
from kinepose_ocp.errors import SolveError
from kinepose_ocp.surface import articulation as joints
from kinepose_ocp.surface.body import LinearBody, Posed
from kinepose_ocp.surface.bone_samples import bone_samples, without_fingers
from kinepose_ocp.surface.contacts import bony_points, landmark_pairs, missing_landmarks
from kinepose_ocp.surface.envelope import Envelope
from kinepose_ocp.surface.parts_program import PartsProgram, Solved, Symbols
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton, part_origins
from kinepose_ocp.surface.point_costs import PointTable
from kinepose_ocp.surface.sides import stem_of, twin
from kinepose_ocp.surface.skeleton import Skeleton
from kinepose_ocp.surface.skin_parts import facing, skin_weights

ROUNDS = 4  # with the skin next to the bones, after one without
TURN = 0.6  # rad by which a part may turn in each of them
BENT = {"humerus": 1.2, "femur": 0.5, "forearm": 1.0, "hand": 0.5, "tibia": 0.5}  # rad; else STIFF
BENT |= {"lumbar": 0.12, "thorax": 0.12, "cspine": 0.15}
STIFF = 0.3  # rad
# m: forward and up, where a joint off the rig's tears bones and skin apart in a bend
BEND_STD = {"hip": 0.004, "knee": 0.004}
RIG_STD = {
    "hip": 0.015,
    "l5s1": 0.025,
    "t12l1": 0.020,
    "c7t1": 0.025,
    "sc": 0.025,
    "gh": 0.015,
    "wrist": 0.004,
    "mtp": 0.02,
}
TIP_STD = {"dactylion": 0.004, "thumb_tip": 0.006}  # m: they tell how long a hand is and how it is turned
RIG_USUAL = 0.008  # m: how far a rig's joint may lie from the anatomical one


@dataclass(frozen=True)
class PlacementWeights:
    """Standard deviations of what the placement wants [m, rad, 1].

    margin: bones this deep under the skin [m]; inside: of the depth that lacks [m]; landmark: of landmarks
    of the skin [m]; size: of the logarithm of a scale against the expected one; shape: between the three
    scales of a part; gap: of loose joints [m]; glide: of the scapula's height over the ribs [m]; axis: of a
    hinge's axis [1]; upright: of the spine bending aside and turning at rest, which skin hardly shows [1];
    twist: of thighs turning about their length at rest, and knees with them [1].
    """

    margin: float = 0.004
    inside: float = 0.0015
    landmark: float = 0.012
    size: float = 0.15
    shape: float = 0.10
    gap: float = 0.003
    glide: float = 0.005
    axis: float = 0.04
    upright: float = 0.01
    twist: float = 0.05


@dataclass(frozen=True, eq=False)
class Placement:
    """A placed skeleton, and how each round of the placement went."""

    placed: PlacedSkeleton
    rounds: tuple[Solved, ...]

    @property
    def converged(self) -> bool:
        """Whether the last round converged."""
        return self.rounds[-1].converged


class PlacementProblem:
    """The program that places a skeleton, built once for all bodies."""

    def __init__(self, skeleton: Skeleton, weights: PlacementWeights | None = None):
        self.skeleton, self.weights = skeleton, weights or PlacementWeights()
        self.samples, self.bony, self.pairs = (
            bone_samples(without_fingers(skeleton)),
            bony_points(skeleton),
            landmark_pairs(skeleton),
        )
        self.paired = [joint for joint in skeleton.joints if joint.rig_joint]
        self.origins = part_origins(skeleton)
        bending = [number for number, joint in enumerate(self.paired) if stem_of(joint.name) in BEND_STD]
        self.bending = np.repeat(bending, 2).astype(int)  # forward, then up
        rig = np.array([skeleton.parts.index(joint.child) for joint in self.paired], dtype=int)
        ends = [self.samples.parts, self.bony.parts, self.pairs.parts, rig, rig[self.bending]]
        owner = np.concatenate(ends).astype(int)
        names = [stem_of(part) for part in skeleton.parts]
        groups = np.array([sorted(set(names)).index(name) for name in names])
        self.owner, self.groups = owner, groups
        self.ranges = joints.hinge_ranges(skeleton, load_chain("fullbody"))
        shapes = {"size": (1, len(skeleton.parts))}
        self.program = PartsProgram(skeleton, owner, groups, shapes, self._terms)

    def _terms(self, parts: joints.Parts, symbols: Symbols) -> tuple[ca.SX, joints.Limits]:
        """Cost of joints and scales, and the joints' constraints."""
        weights, skeleton = self.weights, self.skeleton
        cost = ca.SX(0)
        for joint in joints.loose_joints(skeleton):
            cost += ca.sumsqr(joints.gap(parts, joint)) / weights.gap**2
        for joint in skeleton.joints:
            std = BENT.get(stem_of(joint.child), STIFF)
            pair = parts.rotations[joint.parent], parts.rotations[joint.child]
            cost += joints.difference(*pair) / std**2
            if joint.parent == twin(joint.parent) and joint.child == twin(joint.child):
                cost += ca.sumsqr(joints.turn(*pair)[[0, 2]]) / weights.upright**2
            if stem_of(joint.name) == "hip":
                cost += joints.turn(*pair)[2] ** 2 / weights.twist**2
        for hinge in self.ranges:
            cost += ca.sumsqr(joints.hinge_state(parts, hinge.joint)[1]) / weights.axis**2
        resting = _template(skeleton, self.origins)
        for height, wanted in zip(
            joints.gliding(parts, skeleton), joints.gliding(resting, skeleton), strict=True
        ):
            cost += (height - wanted) ** 2 / weights.glide**2
        for part in skeleton.parts:
            logs = ca.log(parts.scales[part])
            share = 0.5 if twin(part) != part else 1.0
            size = symbols["size"][skeleton.parts.index(part)]
            cost += share * ca.sumsqr(logs - size) / weights.size**2
            cost += share * ca.sumsqr(logs - ca.sum1(logs) / 3) / weights.shape**2
        return cost, joints.joint_limits(parts, skeleton, self.ranges)

    def place(self, body: LinearBody, rest: Posed, sizes: Mapping[str, float] | None = None) -> Placement:
        """Place the skeleton in a body at rest.

        sizes: length of parts [1] where it is expected to be another one than the stature's.

        Raises
        ------
        ModelError
            For a body whose rig shares no joint with the skeleton.
        SolveError
            When the last round does not converge.
        """
        skin = RestSkin(self, body, rest)
        stature = float(np.ptp(rest.vertices[:, 2]))
        bones = np.vstack([self.skeleton.part_mesh(part).vertices for part in self.skeleton.parts])
        size = stature / float(np.ptp(bones[:, 2]) + 0.02)
        expected = size * np.array([(sizes or {}).get(part, 1.0) for part in self.skeleton.parts])
        numbers = {"size": np.log(expected)}
        found = [self.program.solve(self._start(rest, size, expected), skin.table(None), numbers)]
        for _ in range(ROUNDS):
            last = found[-1].placed
            found.append(self.program.solve(last, skin.table(last), numbers, TURN))
        if not found[-1].converged:
            raise SolveError(f"the skeleton could not be placed: {found[-1].status}")
        return Placement(found[-1].placed, tuple(found))

    def _start(self, rest: Posed, size: float, expected: np.ndarray) -> PlacedSkeleton:
        """Return the template, scaled, its middle in that of the body, its parts as expected (P,)."""
        count = len(self.skeleton.parts)
        middle = self.origins.mean(0)
        shift = rest.joint_positions.mean(0) - size * middle
        scales = np.repeat(expected[:, None], 3, axis=1)
        return PlacedSkeleton(
            self.skeleton, np.tile(np.eye(3), (count, 1, 1)), size * self.origins + shift, scales
        )


@dataclass(eq=False)
class RestSkin:
    """The skin of one body at rest, as the placement's points see it."""

    problem: PlacementProblem
    body: LinearBody
    rest: Posed
    envelope: Envelope = field(init=False)
    facing: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self.envelope = Envelope(self.body.mesh(self.rest))
        weights = skin_weights(self.body, self.problem.skeleton)
        self.facing = facing(self.body, self.problem.skeleton, weights)

    def table(self, placed: PlacedSkeleton | None) -> PointTable:
        """Numbers of all points; without a placed skeleton, only joints of the rig and landmarks count."""
        problem, weights = self.problem, self.problem.weights
        samples, bony, pairs = problem.samples, problem.bony, problem.pairs
        (rig, rig_weights, rig_points), bent = self._rig(), problem.bending
        points = np.vstack([samples.positions, bony.positions, pairs.positions, rig_points, rig_points[bent]])
        count, owner = len(points), problem.owner
        skin, normal = np.zeros((count, 3)), np.zeros((count, 3))
        zero = {name: np.zeros(count) for name in ("tie", "level", "depth", "inside", "margin")}
        first, second = len(samples.parts), len(samples.parts) + len(bony.parts)
        third = second + len(pairs.parts)
        fourth = third + len(rig)
        skin[second:third], zero["tie"][second:third] = self._landmarks(early=placed is None)
        skin[third:], zero["tie"][third:fourth] = np.vstack([rig, rig[bent]]), rig_weights
        normal[fourth:] = np.tile(np.eye(3)[[0, 2]], (len(bent) // 2, 1))
        stds = np.array([BEND_STD[stem_of(problem.paired[number].name)] for number in bent])
        zero["level"][fourth:] = np.where(rig_weights[bent] > 0, 1 / stds**2, 0.0)
        if placed is not None:
            skin[:second], normal[:second] = self.next_to(placed, owner[:second], points[:second])
            share = np.bincount(samples.parts)[samples.parts] / 30
            zero["inside"][:first], zero["margin"][:first] = 1 / weights.inside**2 / share, weights.margin
            zero["level"][first:second], zero["depth"][first:second] = 1 / bony.stds**2, bony.depths
        values = {"point": points - problem.origins[owner], "skin": skin, "normal": normal} | zero
        return PointTable(count, values)

    def next_to(
        self, placed: PlacedSkeleton, owner: np.ndarray, points: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Skin (N, 3) and its normals (N, 3) next to points of the template, among the faces they may see."""
        world = np.zeros(points.shape)
        for part, name in enumerate(placed.skeleton.parts):
            mine = np.flatnonzero(owner == part)
            world[mine] = placed.at(name, points[mine])
        near = self.envelope.nearest_of_parts(world, owner, self.facing)
        return self.envelope.positions(near), self.envelope.normals(near)

    def _rig(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Joint centres of the rig (N, 3) [m], their weights (N,), and the template's (N, 3) [m]."""
        paired, names = self.problem.paired, self.body.joint_names
        known = [joint.rig_joint in names for joint in paired]
        place = [names.index(joint.rig_joint) if joint.rig_joint in names else 0 for joint in paired]
        stds = [RIG_STD.get(stem_of(joint.name), RIG_USUAL) for joint in paired]
        centres = np.array([joint.centre for joint in paired]).reshape(-1, 3)
        return self.rest.joint_positions[place], np.array(known) / np.square(stds), centres

    def _landmarks(self, early: bool) -> tuple[np.ndarray, np.ndarray]:
        """Where the bony points below the landmarks of the skin are expected (N, 3) [m], and weights (N,)."""
        pairs, missing = self.problem.pairs, missing_landmarks(self.body, self.problem.pairs)
        vertices = np.array([self.body.landmarks.get(name, 0) for name in pairs.names])
        below = self.rest.vertices[vertices] - pairs.depths[:, None] * self.envelope.vertex_normals[vertices]
        std = self.problem.weights.landmark * (1.0 if early else 1.5)
        stds = np.array([TIP_STD.get(stem_of(name), std) for name in pairs.names])
        return below, np.where(missing, 0.0, 1 / stds**2)


def _template(skeleton: Skeleton, origins: np.ndarray) -> joints.Parts:
    """Return the template itself as parts in symbols."""
    named = dict(zip(skeleton.parts, origins, strict=True))
    return joints.Parts(
        named,
        {part: ca.SX.eye(3) for part in named},
        {part: ca.SX(ca.DM(origin)) for part, origin in named.items()},
        {part: ca.SX.ones(3) for part in named},
    )


@lru_cache(maxsize=2)
def placement_problem(skeleton: Skeleton) -> PlacementProblem:
    """Return the program of a skeleton, built at the first call."""
    return PlacementProblem(skeleton)


def place(body: LinearBody, rest: Posed, skeleton: Skeleton) -> PlacedSkeleton:
    """Place a skeleton in a body at rest: see :meth:`PlacementProblem.place`."""
    return placement_problem(skeleton).place(body, rest).placed
