"""What coupled ranges of motion compute of one frame, as CasADi functions with exact derivatives.

Every limit is one number h of a frame between a lower and an upper one [rad]. A swing inside an ellipse with
semi-angles a and b, A the larger: with v = A sqrt((s1/a)^2 + (s2/b)^2), the swing in units of the ellipse,
h = (v^2 + A^2) / (2 A) <= A. It is smooth at rest, where v has a kink, equals v at the limit with the same
slope, and h - A is never less than the angle by which the limit is exceeded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import casadi as ca
import numpy as np

from kinepose_ocp import rotations
from kinepose_ocp.chain import Chain
from kinepose_ocp.coupled_ranges import SwingTwistCone
from kinepose_ocp.errors import ModelError
from kinepose_ocp.kinematics import Geometry, forward_kinematics

SWING = ".swing"  # ends the name of a swing's limit
OUTSIDE = 1e-9  # rad; further outside than rounding


@dataclass(frozen=True)
class CouplingKernel:
    """The coupled limits of a frame as functions of (coordinates, ..., shared numbers).

    ``value``: (m,) numbers [rad]; ``gradient``: their derivatives times multipliers y (m,); ``slopes``: the
    non-zeros of their derivatives; ``hessian``: those of the upper triangle of J' diag(w) J + sum y h''.
    Shared numbers end with all lower, then all upper limits.
    """

    names: tuple[str, ...]
    value: ca.Function
    gradient: ca.Function
    slopes: ca.Function
    hessian: ca.Function
    slope_pattern: ca.Sparsity
    pattern: ca.Sparsity

    @property
    def size(self) -> int:
        """Number of limits of a frame."""
        return len(self.names)

    def limits(self, shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper limits (m,) [rad] among the shared numbers."""
        lower, upper = np.split(shared[-2 * self.size :], 2)
        return lower, upper

    def shown(self, value: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """Angles [rad] that people know of values (T, m): of a swing, v."""
        swings = np.array([name.endswith(SWING) for name in self.names])
        found = value.copy()
        found[:, swings] = shown(value[:, swings], upper[swings])
        return found


def shown(value: np.ndarray | float, upper: np.ndarray | float) -> np.ndarray:
    """Return the swing v [rad] of a value h [rad] and its limit A."""
    return np.sqrt(np.maximum(2 * upper * value - np.square(upper), 0.0))


def shape_numbers(chain: Chain) -> np.ndarray:
    """Numbers of all coupled ranges beside their limits: semi-angles [rad], weights [1]."""
    parts = [
        list(one.swing) if isinstance(one, SwingTwistCone) else list(one.weights.values())
        for one in chain.coupled
    ]
    return np.array([number for part in parts for number in part], dtype=float)


def coupled_values(
    chain: Chain, coordinates: Mapping[str, ca.SX], local: Mapping[str, ca.SX], shape: ca.SX
) -> dict[str, ca.SX]:
    """Every coupled limit's number [rad] of a frame.

    Parameters
    ----------
    coordinates
        The free DOFs by name [rad or m].
    local
        Quaternion (4,) of every joint's own DOFs.
    shape
        As :func:`shape_numbers` orders them.
    """
    values: dict[str, ca.SX] = {}
    used = 0
    for one in chain.coupled:
        if isinstance(one, SwingTwistCone):
            numbers, used = shape[used : used + 2], used + 2
            found = _of_cone(one, local[one.joint], numbers)
            values |= dict(zip([limit.name for limit in one.limits], found, strict=False))
            continue
        total = ca.SX(0)
        for i, name in enumerate(one.weights):
            total += shape[used + i] * coordinates.get(name, ca.SX(chain.dofs[name].rest))
        values[one.name], used = total, used + len(one.weights)
    return values


def _of_cone(cone: SwingTwistCone, rotation: ca.SX, semi_angles: ca.SX) -> tuple[ca.SX, ca.SX]:
    """Number of the swing, and the twist [rad]."""
    if cone.center is not None:
        back = rotations.conjugate(ca.SX(rotations.shortest_rotation(cone.axis, cone.center)))
        rotation = rotations.quaternion_product(back, rotation)
    swing, twist = rotations.swing_twist(rotation, cone.axis, cone.first)
    largest = ca.fmax(semi_angles[0], semi_angles[1])
    return largest * (ca.sumsqr(swing / semi_angles) + 1) / 2, twist


def coupling_kernel(q: ca.SX, values: Mapping[str, ca.SX], shared: ca.SX) -> CouplingKernel:
    """Make the functions of the limits ``values`` [rad] of a frame with coordinates ``q``."""
    value = ca.densify(ca.vertcat(*values.values()))
    y, weight = ca.SX.sym("y", len(values)), ca.SX.sym("weight", len(values))
    slopes = ca.jacobian(value, q)
    curvature, gradient = ca.hessian(ca.dot(y, value), q)
    whole = ca.triu(curvature + slopes.T @ ca.diag(weight) @ slopes)
    cse = {"cse": True}
    return CouplingKernel(
        names=tuple(values),
        value=ca.Function("coupling_value", [q, shared], [value], cse),
        gradient=ca.Function("coupling_gradient", [q, y, shared], [ca.densify(gradient)], cse),
        slopes=ca.Function("coupling_slopes", [q, shared], [slopes.nz[:]], cse),
        hessian=ca.Function("coupling_hessian", [q, y, weight, shared], [whole.nz[:]], cse),
        slope_pattern=slopes.sparsity(),
        pattern=whole.sparsity(),
    )


def movable(chain: Chain) -> list[str]:
    """Names of the limits that some free DOF moves.

    Raises
    ------
    ModelError
        For one that none moves and that the locked DOFs violate.
    """
    outside = outside_at_rest(chain)
    found = []
    for one in chain.coupled:
        if any(name in chain.free_dofs for name in coupled_dofs(chain, one)):
            found += [limit.name for limit in one.limits]
        elif not outside.keys().isdisjoint(limit.name for limit in one.limits):
            raise ModelError(
                f"coupled range '{one.name}' in chain '{chain.name}' cannot be kept: all its DOFs are locked "
                "outside of it"
            )
    return found


def coupled_dofs(chain: Chain, one: object) -> list[str]:
    """Full names of the DOFs that a coupled range limits."""
    if not isinstance(one, SwingTwistCone):
        return list(one.weights)  # type: ignore[attr-defined]
    return [
        name
        for name, dof in chain.dofs.items()
        if name.rpartition(".")[0] == one.joint and not dof.translates
    ]


def outside_at_rest(chain: Chain) -> dict[str, float]:
    """Limits that the rest pose violates, and the angle there [rad]: of a swing, v."""
    rest = {name: ca.SX(dof.rest) for name, dof in chain.free_dofs.items()}
    pose = forward_kinematics(chain, rest, Geometry.of(chain))
    values = coupled_values(chain, rest, pose.local, ca.SX(ca.DM(shape_numbers(chain))))
    limits = {limit.name: limit for one in chain.coupled for limit in one.limits}
    numbers = {name: float(ca.evalf(value)) for name, value in values.items()}
    outside = {}
    for name, number in numbers.items():
        lower, upper = limits[name].lower, limits[name].upper
        if not lower - OUTSIDE <= number <= upper + OUTSIDE:
            outside[name] = float(shown(number, upper)) if name.endswith(SWING) else number
    return outside
