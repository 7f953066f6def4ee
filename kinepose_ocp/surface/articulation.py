"""What joints do to rigid parts, as CasADi expressions: centres, hinges, ligaments, gliding, shared bending.

Written once for the placement (scales free) and for the posing (scales given). A joint's angles are measured
from the template, in which all parts have the same axes and neutral joints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import casadi as ca
import numpy as np

from kinepose_ocp.chain import Chain
from kinepose_ocp.surface.sides import sided, stem_and_side, stem_of
from kinepose_ocp.surface.skeleton import Skeleton, SkeletonJoint

MILLIMETRE = 1e-3
AT_BOUND = 1e-4  # rad; a hinge this close to an end of its range is at it
SHORT = 1e-6  # m; lengths of ligaments are rounded off below this
FULLBODY = {"knee": "knee", "elbow": "elbow", "mtp": "toes"}  # hinge -> joint of the chain with its ROM
# rad: how far a hinge's axis may twist and tilt; the knee's tilt is fullbody's varus, others are estimates
LAXITY = {
    "knee": (np.radians(8.0), np.radians(5.0)),
    "elbow": (np.radians(8.0), np.radians(5.0)),
    "mtp": (np.radians(25.0), np.radians(15.0)),  # a row of five joints with two axes
}
LIGAMENTS = (  # soft ties of bones that glide: part and landmark of both ends (coraco-, costoclavicular)
    (("clavicle", "lateral_end"), ("scapula", "coracoid")),
    (("clavicle", "medial_end"), ("thorax", "suprasternale")),
    (("clavicle", "lateral_end"), ("scapula", "acromion_angle")),
)
GLIDING = ("inferior_angle", "spine_root")  # landmarks of the scapula that glide on the ribs


@dataclass(frozen=True, eq=False)
class Parts:
    """Rigid parts in symbols: rotations, translations and scales by the part's name, origins in numbers."""

    origins: dict[str, np.ndarray]
    rotations: dict[str, ca.SX]
    translations: dict[str, ca.SX]
    scales: dict[str, ca.SX]

    def at(self, part: str, position: np.ndarray) -> ca.SX:
        """Where a point (3,) [m] of a part's template is."""
        scaled = self.scales[part] * ca.DM(position - self.origins[part])
        return self.rotations[part] @ scaled + self.translations[part]

    def into(self, part: str, position: ca.SX) -> ca.SX:
        """Where a point (3,) [m] of the world is in a part's template."""
        moved = self.rotations[part].T @ (position - self.translations[part])
        return moved / self.scales[part] + ca.DM(self.origins[part])


@dataclass(frozen=True)
class HingeRange:
    """Range of a hinge's angle about its first axis [rad]: lower, upper."""

    joint: SkeletonJoint
    lower: float
    upper: float


def hinge_ranges(skeleton: Skeleton, chain: Chain) -> list[HingeRange]:
    """Ranges of a skeleton's hinges from a chain like fullbody; a full turn where it has none.

    The chain's angle counts about its own axis, the hinge's about the flexion axis, to the right.
    """
    ranges = []
    for joint in skeleton.joints:
        if joint.kind != "hinge":
            continue
        stem, side = stem_and_side(joint.name)
        dof = chain.dofs.get(f"{sided(FULLBODY.get(stem, stem), side)}.flexion")
        lower, upper = (-np.pi, np.pi) if dof is None else (dof.lower, dof.upper)
        if dof is not None and dof.axis[1] > 0:  # the chain's y axis points to the left
            lower, upper = -upper, -lower
        ranges.append(HingeRange(joint, lower, upper))
    return ranges


def gap(parts: Parts, joint: SkeletonJoint) -> ca.SX:
    """Vector (3,) [m] from the child's to the parent's joint centre."""
    return parts.at(joint.parent, joint.centre) - parts.at(joint.child, joint.centre)


def hinge_state(parts: Parts, joint: SkeletonJoint) -> tuple[ca.SX, ca.SX]:
    """Angle of a hinge [rad] and how far its axis leaves that of the parent part (2,) [1]: twist, varus."""
    axes = ca.DM(joint.axes)
    turned = axes @ parts.rotations[joint.parent].T @ parts.rotations[joint.child] @ axes.T
    return ca.atan2(turned[2, 1], turned[1, 1]), turned[1:, 0]


def difference(first: ca.SX, second: ca.SX) -> ca.SX:
    """Squared angle [rad^2] between two rotations, as 2 (1 - cos): smooth, monotone to half a turn."""
    return 3 - ca.trace(first.T @ second)


def turn(first: ca.SX, second: ca.SX) -> ca.SX:
    """Rotation (3,) from the first to the second, as axis times the sine of the angle, in the world."""
    relative = second @ first.T
    return ca.inv_skew((relative - relative.T) / 2)


def ligaments(parts: Parts, skeleton: Skeleton) -> list[ca.SX]:
    """Lengths [m] of the ligaments that a skeleton has landmarks for, right ones and left ones."""
    marks = {(mark.part, mark.name): mark.position for mark in skeleton.landmarks}
    lengths = []
    for side in ("_right", "_left"):
        for ends in LIGAMENTS:
            named = [(part if part in skeleton.parts else part + side, name) for part, name in ends]
            if all(name in marks for name in named):
                start, end = (parts.at(name[0], marks[name]) for name in named)
                lengths.append(ca.sqrt(ca.sumsqr(start - end) + SHORT**2))
    return lengths


@dataclass(frozen=True, eq=False)
class Ribcage:
    """Ellipsoid about the ribs in the template: centre (3,), half axes (3,) [m]."""

    centre: np.ndarray
    radii: np.ndarray

    def level(self, position: ca.SX) -> ca.SX:
        """Height [m] of a point of the template above the ellipsoid, about along its ray."""
        relative = (position - ca.DM(self.centre)) / ca.DM(self.radii)
        return (ca.sqrt(ca.sumsqr(relative) + SHORT) - 1) * float(self.radii.mean())


def ribcage(skeleton: Skeleton) -> Ribcage:
    """Least-squares ellipsoid of the ribs, with axes of the world and its centre in the mid plane.

    Scapulae glide on such an ellipsoid in models of the shoulder (van der Helm, J Biomech 1994).
    """
    v = skeleton.part_mesh("thorax").vertices
    middle = np.array([v[:, 0].mean(), 0.0, v[:, 2].mean()])
    x, y, z = (v - middle).T
    a, b, c, d, e = np.linalg.lstsq(np.c_[x * x, y * y, z * z, x, z], np.ones(len(v)), rcond=None)[0]
    total = 1 + d * d / (4 * a) + e * e / (4 * c)
    centre = middle - np.array([d / (2 * a), 0.0, e / (2 * c)])
    return Ribcage(centre, np.sqrt(total / np.array([a, b, c])))


def gliding(parts: Parts, skeleton: Skeleton) -> list[ca.SX]:
    """Heights [m] of the scapulae's gliding points above the ribs, right ones and left ones."""
    if "thorax" not in skeleton.parts:
        return []
    ribs = ribcage(skeleton)
    return [
        ribs.level(parts.into("thorax", parts.at(mark.part, mark.position)))
        for mark in sorted(skeleton.landmarks, key=lambda mark: mark.part, reverse=True)
        if mark.part.startswith("scapula") and mark.name in GLIDING
    ]


def hard_joints(skeleton: Skeleton) -> Iterator[SkeletonJoint]:
    """Joints whose parts stay together: balls and hinges."""
    return (joint for joint in skeleton.joints if joint.kind != "loose")


def loose_joints(skeleton: Skeleton) -> Iterator[SkeletonJoint]:
    """Joints whose parts may glide."""
    return (joint for joint in skeleton.joints if joint.kind == "loose")


@dataclass(frozen=True, eq=False)
class Limits:
    """Constraints of a program: expression (m,) with its bounds (m,); angles: its rows of hinges' angles."""

    expression: ca.SX
    lower: np.ndarray
    upper: np.ndarray
    angles: np.ndarray

    def reached(self, values: np.ndarray) -> int:
        """How many hinges are at an end of their range, from values (m,) of the expression."""
        angle, lower, upper = (each[self.angles] for each in (values, self.lower, self.upper))
        return int((np.minimum(angle - lower, upper - angle) < AT_BOUND).sum())


def joint_limits(parts: Parts, skeleton: Skeleton, ranges: list[HingeRange]) -> Limits:
    """Hard joints without gap [mm], hinges inside their range [rad] and laxity [1]."""
    gaps = [gap(parts, joint) / MILLIMETRE for joint in hard_joints(skeleton)]
    expressions, lower, upper = list(gaps), [np.zeros(3 * len(gaps))], [np.zeros(3 * len(gaps))]
    angles = 3 * len(gaps) + 3 * np.arange(len(ranges))
    for hinge in ranges:
        laxity = np.sin(LAXITY.get(stem_of(hinge.joint.name), LAXITY["knee"]))
        angle, leaves = hinge_state(parts, hinge.joint)
        expressions += [angle, leaves]
        lower.append(np.r_[hinge.lower, -laxity])
        upper.append(np.r_[hinge.upper, laxity])
    return Limits(ca.vertcat(*expressions), np.concatenate(lower), np.concatenate(upper), angles)
