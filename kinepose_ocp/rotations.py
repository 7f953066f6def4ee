"""Rotations as CasADi expressions: one expression serves numbers and symbols.

Matrices act on column vectors; quaternions are ``w, x, y, z`` and map the same way.
"""

from __future__ import annotations

import casadi as ca

from kinepose_ocp.chain import Quaternion, Vector

ROUNDING = 1e-6  # rad; angles are rounded off below this, so that they have derivatives at zero
NOTHING = 1e-20  # keeps a number from being zero
SERIES = 1e-4  # squared sine of half an angle below which a power series is exact to rounding


def cross_matrix(vector: Vector | ca.SX) -> ca.SX:
    """Return the matrix K with ``K v = vector x v`` (structural zeros kept)."""
    x, y, z = ca.vertsplit(ca.SX(ca.DM(vector)) if isinstance(vector, tuple) else vector)
    return ca.sparsify(ca.vertcat(ca.horzcat(0, -z, y), ca.horzcat(z, 0, -x), ca.horzcat(-y, x, 0)))


def about_axis(axis: Vector, angle: ca.SX) -> ca.SX:
    """Rotation matrix about a unit axis by ``angle`` [rad] (Rodrigues' formula)."""
    if max(abs(component) for component in axis) == 1.0:
        return _about_coordinate_axis(axis, angle)
    k = cross_matrix(axis)
    return ca.sparsify(ca.SX.eye(3) + ca.sin(angle) * k + (1 - ca.cos(angle)) * (k @ k))


def _about_coordinate_axis(axis: Vector, angle: ca.SX) -> ca.SX:
    i = [abs(component) for component in axis].index(1.0)
    j, k = (i + 1) % 3, (i + 2) % 3
    matrix = ca.SX(3, 3)
    matrix[i, i] = 1
    matrix[j, j] = matrix[k, k] = ca.cos(angle)
    matrix[k, j] = axis[i] * ca.sin(angle)
    matrix[j, k] = -matrix[k, j]
    return matrix


def quaternion_about_axis(axis: Vector, angle: ca.SX) -> ca.SX:
    """Unit quaternion of the rotation about a unit axis by ``angle`` [rad]."""
    half = angle / 2
    return ca.vertcat(ca.cos(half), ca.sin(half) * ca.DM(axis))


def quaternion_product(first: ca.SX, second: ca.SX) -> ca.SX:
    """Hamilton product: the rotation ``second`` followed by ``first``."""
    return _PRODUCT(first, second)


def _product() -> ca.Function:
    """The product once as a function: putting it into an expression is then one step."""
    first, second = ca.SX.sym("first", 4), ca.SX.sym("second", 4)
    a, u, b, v = first[0], first[1:], second[0], second[1:]
    product = ca.vertcat(a * b - ca.dot(u, v), a * v + b * u + ca.cross(u, v))
    return ca.Function("quaternion_product", [first, second], [product])


_PRODUCT = _product()


def matrix_of(quaternion: Quaternion) -> ca.DM:
    """Rotation matrix of a constant unit quaternion; exact zeros are structural."""
    w, x, y, z = quaternion
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return ca.sparsify(ca.DM(rows), 1e-15)


def rotation_vector_between(first: ca.SX, second: ca.SX) -> ca.SX:
    """Rotation vector [rad] that turns one unit direction into another, the short way.

    ``(atan2(s, c) / s) (u x v)`` with ``c = u . v`` and ``s = |u x v|`` rounded off below ROUNDING:
    finite value, gradient and Hessian at agreement and at opposition, where acos has none.
    """
    cross = ca.cross(first, second)
    sine = ca.sqrt(ca.sumsqr(cross) + ROUNDING**2)
    return ca.atan2(sine, ca.dot(first, second)) / sine * cross


def sine_ratio(angle: ca.SX) -> ca.SX:
    """Return sin(angle) / angle of a positive angle [rad]."""
    return ca.sin(angle) / angle


def rotation_of(vector: ca.SX) -> ca.SX:
    """Rotation matrix (3, 3) of a rotation vector (3,) [rad], with derivatives of all orders at zero.

    Rodrigues' formula with (1 - cos a) / a^2 = (sin(a/2) / (a/2))^2 / 2, which loses no digits.
    """
    angle = ca.sqrt(ca.sumsqr(vector) + ROUNDING**2)
    cross = cross_matrix(vector)
    return ca.SX.eye(3) + sine_ratio(angle) * cross + sine_ratio(angle / 2) ** 2 / 2 * (cross @ cross)


def shortest_rotation(start: Vector, end: Vector) -> ca.DM:
    """Unit quaternion of the shortest rotation of one constant unit direction to another, not opposite."""
    first, second = ca.DM(start), ca.DM(end)
    quaternion = ca.vertcat(1 + ca.dot(first, second), ca.cross(first, second))
    return quaternion / ca.norm_2(quaternion)


def conjugate(quaternion: ca.SX) -> ca.SX:
    """Quaternion of the inverse rotation."""
    return ca.vertcat(quaternion[0], -quaternion[1:])


def swing_twist(quaternion: ca.SX, axis: Vector, first: Vector) -> tuple[ca.SX, ca.SX]:
    """Split a rotation into a twist about ``axis``, followed by a swing about a perpendicular axis.

    With q = (w, v), t = v . axis and n = sqrt(w^2 + t^2), the cosine of half the swing: twist =
    atan2(2 w t, w^2 - t^2), swing quaternion (n, (w u + t axis x u) / n) with u = v - t axis. Both are the
    same for q and -q. The swing's rotation vector is its vector part z times 2 asin(|z|) / |z|, a power
    series near zero: value and all derivatives are finite everywhere but at a swing of 180 degrees, where the
    twist has no meaning (n = 0).

    Returns
    -------
    Swing (2,) [rad]: components of its rotation vector about ``first`` and ``axis x first``; twist [rad].
    """
    along = ca.DM(axis)
    second = ca.cross(along, ca.DM(first))
    w, v = quaternion[0], quaternion[1:]
    t = ca.dot(v, along)
    n = ca.sqrt(w**2 + t**2 + NOTHING)
    u = v - t * along
    turned = (w * u + t * ca.cross(along, u)) / n
    swing = ca.vertcat(ca.dot(turned, ca.DM(first)), ca.dot(turned, second))
    square = ca.sumsqr(swing)
    small = square < SERIES
    sine = ca.sqrt(ca.if_else(small, 1.0, square))  # the branch not taken must be finite as well
    series = 1 + square / 6 + 3 * square**2 / 40 + 5 * square**3 / 112 + 35 * square**4 / 1152
    factor = 2 * ca.if_else(small, series, ca.atan2(sine, n) / sine)
    return factor * swing, ca.atan2(2 * w * t, w**2 - t**2 + NOTHING)
