"""Ranges of motion of several angles together, as frozen values: swing-twist cones and linear couplings.

A box of ROMs allows every corner. A shoulder does not: how far the arm may point in one direction depends on
the other, and a straight knee stops the hip early. Angles are radians inside; files and the methods of
:class:`~kinepose_ocp.chain.Chain` speak degrees. What they compute: :mod:`kinepose_ocp.coupling_kernels`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from kinepose_ocp.errors import possible

Vector = tuple[float, float, float]
PERPENDICULAR = 1e-4  # largest cosine between axes that should be perpendicular


class CoupledLimit(NamedTuple):
    """One quantity that is held between two numbers [rad]."""

    name: str
    lower: float
    upper: float


@dataclass(frozen=True)
class SwingTwistCone:
    """Where the rotation of a joint may point its ``axis``, and how far it may turn about it.

    With R the rotation of the joint's own DOFs and C the shortest rotation of ``axis`` to ``center``,
    R = C S T: T turns about ``axis`` (twist), S about an axis perpendicular to it (swing). The rotation
    vector of S, components s1 about ``first`` and s2 about ``axis x first``, obeys
    (s1 / swing[0])^2 + (s2 / swing[1])^2 <= 1; the angle of T, in (-180, 180] degrees, lies in ``twist``.

    Singular only where S turns by 180 degrees: the direction opposite to ``center``, which no semi-angle
    below 180 degrees reaches. A wide range (an arm from hanging to overhead) wants its centre in the middle.
    """

    name: str
    joint: str
    axis: Vector
    first: Vector
    swing: tuple[float, float]  # semi-angles [rad]
    source: str
    center: Vector | None = None  # in the joint's frame at rest; the axis itself when left out
    twist: tuple[float, float] | None = None  # rad

    @property
    def limits(self) -> tuple[CoupledLimit, ...]:
        """``NAME.swing``: the swing in units of the ellipse, times its larger semi-angle; ``NAME.twist``."""
        swing = CoupledLimit(f"{self.name}.swing", -math.inf, max(self.swing))
        return (swing,) if self.twist is None else (swing, CoupledLimit(f"{self.name}.twist", *self.twist))

    @property
    def described(self) -> list[tuple[str, float, float]]:
        """Words and two numbers [rad] for every limit."""
        found = [(f"{self.joint}: swing, semi-angles", *self.swing)]
        return found if self.twist is None else [*found, (f"{self.joint}: twist", *self.twist)]

    @property
    def structure(self) -> tuple[object, ...]:
        """What a built program cannot change."""
        return self.name, self.joint, self.axis, self.first, self.center, self.twist is None

    def with_limit(self, name: str, pair: tuple[float, float]) -> SwingTwistCone:
        """Return a copy with other semi-angles (``NAME.swing``) or another twist limit [rad]."""
        return replace(self, swing=pair) if name.endswith(".swing") else replace(self, twist=pair)


@dataclass(frozen=True)
class LinearCoupling:
    """``lower <= sum of weight * angle <= upper``; equal limits hold the sum.

    weights: {"joint.dof": weight [1]}.
    """

    name: str
    weights: Mapping[str, float]
    lower: float
    upper: float
    source: str

    @property
    def limits(self) -> tuple[CoupledLimit, ...]:
        """The sum itself, under the coupling's name."""
        return (CoupledLimit(self.name, self.lower, self.upper),)

    @property
    def described(self) -> list[tuple[str, float, float]]:
        """Words and two numbers [rad]."""
        words = " ".join(f"{weight:+g} {name}" for name, weight in self.weights.items())
        return [(words, self.lower, self.upper)]

    @property
    def structure(self) -> tuple[object, ...]:
        """What a built program cannot change."""
        return self.name, tuple(self.weights)

    def with_limit(self, name: str, pair: tuple[float, float]) -> LinearCoupling:
        """Return a copy with other limits [rad]; ``name`` is its own."""
        assert name == self.name
        return replace(self, lower=pair[0], upper=pair[1])


CoupledRange = SwingTwistCone | LinearCoupling


def refusal(one: CoupledRange, turning: Mapping[str, Sequence[str]], moving: Sequence[str]) -> str | None:
    """Say what is wrong with a coupled range of a chain, or nothing.

    turning: full names of the rotations of every joint. moving: those of all translations.
    """
    if "." in one.name or not one.name:
        return "a name has no dots"
    if isinstance(one, SwingTwistCone):
        if one.joint not in turning:
            return f"no joint '{one.joint}'; {possible(one.joint, turning)}"
        if (count := len(turning[one.joint])) != 3:
            return f"a cone needs a joint with three rotations; '{one.joint}' has {count}"
        return _axes_refusal(one) or limit_refusal(one)
    angles = [name for names in turning.values() for name in names]
    for name, weight in one.weights.items():
        if name in moving:
            return f"'{name}' is a translation; a coupling takes rotations"
        if name not in angles:
            return f"no degree of freedom '{name}'; {possible(name, angles)}"
        if weight == 0 or not math.isfinite(weight):
            return f"weight {weight:g} of '{name}' must be a number other than 0"
    return limit_refusal(one)


def limit_refusal(coupled: CoupledRange) -> str | None:
    """Say in degrees what is wrong with the limits of a coupled range, or nothing."""
    if isinstance(coupled, SwingTwistCone):
        if not all(0 < angle < math.pi for angle in coupled.swing):
            given = ", ".join(f"{math.degrees(angle):g}" for angle in coupled.swing)
            return f"swing [{given}]: both semi-angles must lie between 0 and 180 degrees"
        if coupled.twist is None:
            return None
        pair, what = coupled.twist, "twist"
    else:
        pair, what = (coupled.lower, coupled.upper), "limits"
    given = ", ".join(f"{math.degrees(angle):g}" for angle in pair)
    if any(math.isnan(angle) for angle in pair):
        return f"{what} [{given}] is not a pair of numbers"
    if pair[0] > pair[1]:
        return f"{what} [{given}] has its lower limit above its upper one"
    if what == "twist" and not -math.pi <= pair[0] <= pair[1] <= math.pi:
        return f"twist [{given}] must lie within -180 and 180 degrees"
    if what == "limits" and math.isinf(pair[0]) and math.isinf(pair[1]):
        return f"limits [{given}] limit nothing; give at least one number"
    return None


def _axes_refusal(cone: SwingTwistCone) -> str | None:
    """Say what is wrong with the axes of a cone, or nothing."""
    axes = {"axis": cone.axis, "first": cone.first}
    if cone.center is not None:
        axes["center"] = cone.center
    for name, axis in axes.items():
        length = math.hypot(*axis)
        if abs(length - 1) > 1e-4:
            return f"{name} {list(axis)} has length {length:.6g}; it must be a unit vector"
    if abs(_dot(cone.axis, cone.first)) > PERPENDICULAR:
        return f"first {list(cone.first)} must be perpendicular to axis {list(cone.axis)}"
    if cone.center is not None and _dot(cone.axis, cone.center) < -1 + PERPENDICULAR:
        return "center is opposite to axis: no shortest rotation leads there"
    return None


def _dot(first: Vector, second: Vector) -> float:
    return sum(a * b for a, b in zip(first, second, strict=True))
