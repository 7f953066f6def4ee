"""Cost terms: short functions that return weighted residuals; the problem squares and sums them.

A term is any dataclass with a whole number ``span`` and a method ``residual(self, *frames)`` that sees
``span`` consecutive :class:`Frame` objects and returns one vector of dimensionless residuals. There is
nothing to derive from and nothing to register. The cost is half the sum of squares over all windows of
``span`` frames; a term may give it itself as ``cost(self, *frames)`` where that has a cheaper form. Every
field of the dataclass that holds numbers becomes a parameter of the program: its value can change without
building anything again.

Standard deviations of velocities and accelerations are per frame and in physical units, so that the same
values mean the same at any frame rate.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    pose
        The forward kinematics of the frame [m].
    observed
        Measured position (3,) [m] of every measured keypoint.
    confidence
        Its weight in 0..1 [1]; 0 where it is missing.
    step
        Time to the next frame [s].
    links
        The chain's links whose two ends are measured.
    link_cosine
        Cosine [1] of the angle between the model's and the measured direction of each.
    """

    joint_angle: ca.SX
    translation: ca.SX
    pose: Pose
    observed: Mapping[str, ca.SX]
    confidence: Mapping[str, ca.SX]
    step: ca.SX
    links: tuple[Link, ...]
    link_cosine: Mapping[Link, ca.SX]


class Term(Protocol):
    """What the problem asks of a term: ``span``, and ``residual`` of that many consecutive frames."""

    span: int

    def residual(self, *frames: Any, **none: Any) -> ca.SX:
        """Return the residuals [1]."""


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


@dataclass(frozen=True)
class KeypointPosition:
    """Put the chain's keypoints on the measured ones; needs a root that translates.

    std: standard deviation of a measured coordinate [m].
    """

    std: float = 0.02
    span = 1

    def residual(self, frame: Frame) -> ca.SX:
        """Position errors of all measured keypoints [1]."""
        parts = []
        for name, measured in frame.observed.items():
            error = frame.pose.keypoint_position[name] - measured
            parts.append(ca.sqrt(frame.confidence[name]) / self.std * error)
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
