"""Cost terms: short functions that return weighted residuals; the problem squares and sums them.

A term is any dataclass with a whole number ``span`` and a method ``residual(self, *frames)`` that sees
``span`` consecutive :class:`Frame` objects and returns one vector of dimensionless residuals. There is
nothing to derive from and nothing to register. The cost is half the sum of squares over all windows of
``span`` frames; a term may give it itself as ``cost(self, *frames)`` where that has a cheaper form. A term
that says ``quadratic = True`` gives only its cost, which is quadratic and convex in the coordinates. Every
field of the dataclass that holds numbers becomes a parameter of the program: its value can change without
building anything again.

Standard deviations of velocities and accelerations are per frame and in physical units, so that the same
values mean the same at any frame rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import casadi as ca

from kinepose_ocp import rotations
from kinepose_ocp.chain import Link
from kinepose_ocp.kinematics import Pose

SHORTEST_LENGTH = 0.001  # m; a measured link shorter than this has no direction and no weight


@dataclass(frozen=True)
class Frame:
    """What a term sees of one frame (CasADi expressions).

    Attributes
    ----------
    joint_angle
        (n,) free rotational DOFs [rad], in the order of ``dofs``.
    translation
        (m,) free translational DOFs [m].
    coordinate
        The free DOFs by name [rad or m].
    pose
        The forward kinematics of the frame [m].
    observed
        Measured position (3,) [m] of every measured keypoint.
    confidence
        Its weight in 0..1 [1]; 0 where it is missing.
    appears
        1 where it is seen and was not in the frame before, else 0 [1].
    step
        Time to the next frame [s].
    links
        The chain's links whose two ends are measured.
    link_cosine
        Cosine [1] of the angle between the model's and the measured direction of each.
    """

    joint_angle: ca.SX
    translation: ca.SX
    coordinate: Mapping[str, ca.SX]
    pose: Pose
    observed: Mapping[str, ca.SX]
    confidence: Mapping[str, ca.SX]
    appears: Mapping[str, ca.SX]
    step: ca.SX
    links: tuple[Link, ...]
    link_cosine: Mapping[Link, ca.SX]


class Term(Protocol):
    """What the problem asks of every term; beside it, ``residual`` or ``cost`` of that many frames."""

    span: int


def term_names(terms: Sequence[Term]) -> list[str]:
    """Name of every term: its kind, with its place where there are several of one kind."""
    kinds = [type(term).__name__ for term in terms]
    return [kind if kinds.count(kind) == 1 else f"{kind}_{i}" for i, kind in enumerate(kinds)]


def link_direction(vector: ca.SX) -> ca.SX:
    """Unit direction of a link; finite also for a link of no length."""
    return vector / ca.sqrt(ca.sumsqr(vector) + 1e-16)


@dataclass(frozen=True)
class LinkDirection:
    """Turn the chain's links into the measured directions: the pose term of KinePose.

    The residual is the rotation vector between model and measured direction (Gildea et al., IMVIP
    2022, sum of squared link angles), so the lengths of the segments do not matter.

    std: standard deviation of a measured direction [rad].
    """

    std: float = 0.05
    span = 1

    def _precision(self, frame: Frame, link: Link) -> ca.SX:
        """Weight of a squared link angle [1/rad2]; a measured link far below SHORTEST_LENGTH has none."""
        length = ca.sumsqr(frame.observed[link.end] - frame.observed[link.start])
        trust = frame.confidence[link.start] * frame.confidence[link.end]
        return link.weight * trust * length / (length + SHORTEST_LENGTH**2) / self.std**2

    def residual(self, frame: Frame) -> ca.SX:
        """Rotation vectors of all links [1]; weighted by link and by both ends' confidence."""
        parts = []
        position, observed = frame.pose.keypoint_position, frame.observed
        for link in frame.links:
            model = link_direction(position[link.end] - position[link.start])
            measured = link_direction(observed[link.end] - observed[link.start])
            weight = ca.sqrt(self._precision(frame, link))
            parts.append(weight * rotations.rotation_vector_between(model, measured))
        return ca.vertcat(*parts)

    def cost(self, frame: Frame) -> ca.SX:
        """Half the weighted sum of squared link angles [1]: of their cosines alone."""
        cost = ca.SX(0)
        for link in frame.links:
            cosine = frame.link_cosine[link]
            angle = ca.atan2(ca.sqrt(1 - cosine**2 + rotations.ROUNDING**2), cosine)
            cost += self._precision(frame, link) * angle**2 / 2
        return cost


def _position_errors(frame: Frame) -> dict[str, ca.SX]:
    """Vectors [m] from measured keypoints to the model's."""
    return {name: frame.pose.keypoint_position[name] - seen for name, seen in frame.observed.items()}


@dataclass(frozen=True)
class KeypointPosition:
    """Put the chain's keypoints on the measured ones; needs a root that translates.

    std: standard deviation of a measured coordinate [m].
    """

    std: float = 0.02
    span = 1

    def residual(self, frame: Frame) -> ca.SX:
        """Position errors of all measured keypoints [1]."""
        errors = _position_errors(frame)
        return ca.vertcat(*[ca.sqrt(frame.confidence[k]) / self.std * error for k, error in errors.items()])


@dataclass(frozen=True)
class AppearingKeypointPosition:
    """Put the chain's keypoints on the measured ones in frames where they appear.

    std: standard deviation of a measured coordinate [m].
    """

    std: float
    span = 1

    def residual(self, frame: Frame) -> ca.SX:
        """Position errors of all measured keypoints [1]; zero where they were seen before."""
        errors = _position_errors(frame)
        trust = {k: ca.sqrt(frame.confidence[k] * frame.appears[k]) for k in errors}
        return ca.vertcat(*[trust[k] / self.std * error for k, error in errors.items()])


@dataclass(frozen=True)
class DriftingKeypointPosition:
    """Put the chain's keypoints on the measured ones, whose errors last for several frames.

    A real detector errs slowly. Errors are whitened over three frames: the residual is the part of a
    frame's error that those of the two frames before do not foretell. Goes with
    :class:`AppearingKeypointPosition` for the frames that have none before.

    whitening: weights [1/m] of the errors two frames before, one before, and now.
    """

    whitening: tuple[float, float, float]
    span = 3

    def residual(self, *frames: Frame) -> ca.SX:
        """Whitened position errors of all measured keypoints [1]."""
        errors = [_position_errors(frame) for frame in frames]
        parts = []
        for name in frames[0].observed:
            trust = ca.sqrt(math.prod(frame.confidence[name] for frame in frames))
            parts.append(trust * sum(self.whitening[i] * error[name] for i, error in enumerate(errors)))
        return ca.vertcat(*parts)


def _rate(value: str, before: Frame, after: Frame) -> ca.SX:
    return (getattr(after, value) - getattr(before, value)) / before.step


def _second_rate(value: str, frames: tuple[Frame, ...]) -> ca.SX:
    before, here, after = frames
    change = _rate(value, here, after) - _rate(value, before, here)
    return change / ((before.step + here.step) / 2)


@dataclass(frozen=True)
class AngularVelocity:
    """Prefer joint angles that change slowly. std: standard deviation [rad/s], of all or of each DOF."""

    std: float | tuple[float, ...] = 3.0
    span = 2

    def residual(self, *frames: Frame) -> ca.SX:
        """Joint angle rates [1]."""
        return _rate("joint_angle", *frames) / self.std


@dataclass(frozen=True)
class AngularAcceleration:
    """Prefer joint angle rates that change slowly. std: standard deviation [rad/s2]."""

    std: float | tuple[float, ...] = 30.0
    span = 3

    def residual(self, *frames: Frame) -> ca.SX:
        """Joint angle accelerations [1]."""
        return _second_rate("joint_angle", frames) / self.std


@dataclass(frozen=True)
class LinearVelocity:
    """Prefer translational DOFs that change slowly. std: standard deviation [m/s]."""

    std: float | tuple[float, ...] = 1.0
    span = 2

    def residual(self, *frames: Frame) -> ca.SX:
        """Translational rates [1]."""
        return _rate("translation", *frames) / self.std


@dataclass(frozen=True)
class LinearAcceleration:
    """Prefer translational rates that change slowly. std: standard deviation [m/s2]."""

    std: float | tuple[float, ...] = 10.0
    span = 3

    def residual(self, *frames: Frame) -> ca.SX:
        """Translational accelerations [1]."""
        return _second_rate("translation", frames) / self.std


@dataclass(frozen=True)
class PoseDeviation:
    """Prefer poses near a mean pose.

    joints: names of the free DOFs of each joint. mean: of all these DOFs [rad or m]. precision: one
    symmetric matrix a joint, row by row, one after the other: the inverses of the joints' covariances
    [1/(rad or m)2].
    """

    joints: tuple[tuple[str, ...], ...]
    mean: tuple[float, ...]
    precision: tuple[float, ...]
    span = 1
    quadratic = True

    def cost(self, frame: Frame) -> ca.SX:
        """Half the squared distance to the mean pose [1]."""
        return _squared(_pose(frame, self.joints) - self.mean, self.joints, self.precision) / 2


@dataclass(frozen=True)
class PoseVelocity:
    """Prefer poses that change slowly; as :class:`PoseDeviation`, of the rates [s2/(rad or m)2]."""

    joints: tuple[tuple[str, ...], ...]
    precision: tuple[float, ...]
    span = 2
    quadratic = True

    def cost(self, before: Frame, after: Frame) -> ca.SX:
        """Half the squared velocity [1]."""
        change = _pose(after, self.joints) - _pose(before, self.joints)
        return _squared(change / before.step, self.joints, self.precision) / 2


@dataclass(frozen=True)
class PoseAcceleration:
    """Prefer poses that change evenly; as :class:`PoseDeviation`, of the accelerations [s4/(rad or m)2]."""

    joints: tuple[tuple[str, ...], ...]
    precision: tuple[float, ...]
    span = 3
    quadratic = True

    def cost(self, before: Frame, here: Frame, after: Frame) -> ca.SX:
        """Half the squared acceleration [1]."""
        first, second, third = (_pose(frame, self.joints) for frame in (before, here, after))
        change = (third - second) / here.step - (second - first) / before.step
        change *= 2 / (before.step + here.step)
        return _squared(change, self.joints, self.precision) / 2


def _pose(frame: Frame, joints: tuple[tuple[str, ...], ...]) -> ca.SX:
    return ca.vertcat(*[frame.coordinate[name] for dofs in joints for name in dofs])


def _squared(vector: ca.SX, joints: tuple[tuple[str, ...], ...], precision: Any) -> ca.SX:
    """Sum of the joints' squared vectors in the metric of their precision matrices."""
    total, start, used = ca.SX(0), 0, 0
    for dofs in joints:
        size = len(dofs)
        matrix = ca.reshape(precision[used : used + size**2], size, size)
        total += ca.bilin(ca.triu2symm(ca.triu(matrix)), *[vector[start : start + size]] * 2)
        start, used = start + size, used + size**2
    return total
