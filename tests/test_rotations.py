"""Rotations against scipy, as symbols and as numbers."""

import casadi as ca
import numpy as np
import pytest
from random_chains import COORDINATE_AXES, random_directions
from scipy.spatial.transform import Rotation

from kinepose_ocp import rotations

AXES = [*COORDINATE_AXES, *map(tuple, random_directions(np.random.default_rng(1), 4).tolist())]
ANGLES = (0.0, 1e-9, 0.7, np.pi / 2, np.pi, -2.5, 9.0)


def number(expression):
    return np.array(ca.DM(ca.evalf(ca.densify(expression))))


def quaternion(rotation):
    return rotation.as_quat(scalar_first=True)


@pytest.mark.parametrize("axis", AXES)
def test_turns_about_an_axis_are_those_of_scipy(axis):
    for angle in ANGLES:
        expected = Rotation.from_rotvec(angle * np.array(axis))
        matrix = number(rotations.about_axis(axis, ca.SX(angle)))
        assert np.allclose(matrix, expected.as_matrix(), atol=1e-14)
        made = number(rotations.quaternion_about_axis(axis, ca.SX(angle))).ravel()
        assert np.allclose(Rotation.from_quat(made, scalar_first=True).as_matrix(), matrix, atol=1e-14)


@pytest.mark.parametrize("axis", AXES)
def test_the_matrix_of_a_rotation_vector_is_that_of_scipy(axis):
    vector = ca.SX.sym("vector", 3)
    matrix = ca.Function("matrix", [vector], [rotations.rotation_of(vector)])
    for angle in ANGLES:
        expected = Rotation.from_rotvec(angle * np.array(axis)).as_matrix()
        assert np.allclose(np.array(matrix(angle * np.array(axis))), expected, atol=1e-11)


def test_a_rotation_vector_has_derivatives_at_zero():
    """The first ones are the generators: R = 1 + K + K^2 / 2 + ..."""
    vector, direction = ca.SX.sym("vector", 3), np.array([0.2, -0.5, 0.4])
    step = ca.SX.sym("step")
    turned = ca.substitute(ca.vec(rotations.rotation_of(vector)), vector, step * ca.DM(direction))
    first = ca.jacobian(turned, step)
    second = ca.jacobian(first, step)
    at_zero = ca.Function("at_zero", [step], [first, second])(0)
    k = np.array([[0, -0.4, -0.5], [0.4, 0, -0.2], [0.5, 0.2, 0]])
    for found, wanted in zip(at_zero, (k, k @ k), strict=True):
        assert np.allclose(np.array(found.full()).reshape(3, 3).T, wanted, atol=1e-6)


def test_coordinate_axes_leave_structural_zeros():
    angle = ca.SX.sym("angle")
    assert [rotations.about_axis(axis, angle).nnz() for axis in COORDINATE_AXES] == [5] * 5
    assert rotations.about_axis((0.6, 0.8, 0.0), angle).nnz() == 9


def test_cross_matrix_is_the_cross_product():
    a, b = random_directions(np.random.default_rng(2), 2)
    assert np.allclose(number(rotations.cross_matrix(tuple(a)) @ ca.DM(b)).ravel(), np.cross(a, b))
    symbol = ca.SX.sym("a", 3)
    made = ca.Function("made", [symbol], [rotations.cross_matrix(symbol)])
    assert np.allclose(np.array(made(a)) @ b, np.cross(a, b))
    assert rotations.cross_matrix((1.0, 0.0, 0.0)).nnz() == 2


def test_quaternion_product_is_the_second_rotation_followed_by_the_first():
    first, second = Rotation.random(2, random_state=3)
    product = rotations.quaternion_product(ca.SX(ca.DM(quaternion(first))), ca.SX(ca.DM(quaternion(second))))
    made = Rotation.from_quat(number(product).ravel(), scalar_first=True)
    assert np.allclose(made.as_matrix(), (first * second).as_matrix(), atol=1e-14)


def test_matrix_of_a_quaternion():
    for turn in Rotation.random(5, random_state=4):
        matrix = np.array(rotations.matrix_of(tuple(quaternion(turn))))
        assert np.allclose(matrix, turn.as_matrix(), atol=1e-14)
    assert rotations.matrix_of((0.5, 0.5, 0.5, 0.5)).nnz() == 3
    half = float(np.sqrt(0.5))
    assert rotations.matrix_of((half, 0.0, 0.0, -half)).nnz() == 3


@pytest.mark.parametrize("angle", [1e-3, 0.4, np.pi / 2, 2.9, np.pi - 1e-3])
def test_rotation_vector_turns_one_direction_into_the_other_the_short_way(angle):
    first, other = random_directions(np.random.default_rng(5), 2)
    axis = np.cross(first, other) / np.linalg.norm(np.cross(first, other))
    second = Rotation.from_rotvec(angle * axis).apply(first)
    vector = number(rotations.rotation_vector_between(ca.SX(ca.DM(first)), ca.SX(ca.DM(second)))).ravel()
    assert np.allclose(vector, angle * axis, atol=4e-6)  # rounded off by ROUNDING / sin(angle)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-6, np.pi / 2, np.pi - 1e-6, np.pi])
def test_rotation_vector_has_derivatives_at_agreement_and_opposition(angle):
    first, second = ca.SX.sym("first", 3), ca.SX.sym("second", 3)
    vector = rotations.rotation_vector_between(first, second)
    symbols = ca.vertcat(first, second)
    hessian, gradient = ca.hessian(ca.sumsqr(vector) / 2, symbols)
    function = ca.Function("f", [first, second], [vector, gradient, hessian, ca.jacobian(vector, symbols)])
    numbers = function([0, 0, 1], [np.sin(angle), 0, np.cos(angle)])
    assert all(np.isfinite(np.array(part)).all() for part in numbers)


def test_rotation_vector_is_a_plain_difference_near_agreement():
    """Curvature 1 across the direction: Newton steps are right in the first iteration."""
    turn = ca.SX.sym("turn", 2)
    u = ca.vertcat(ca.sin(turn[0]), ca.sin(turn[1]), ca.sqrt(1 - ca.sumsqr(ca.sin(turn))))
    cost = ca.sumsqr(rotations.rotation_vector_between(u, ca.SX([0, 0, 1]))) / 2
    hessian = ca.Function("hessian", [turn], [ca.hessian(cost, turn)[0]])
    assert np.allclose(np.array(hessian([1e-3, 0])), np.eye(2), atol=1e-4)
    assert np.allclose(np.array(hessian([0, 0])), np.eye(2), atol=1e-4)
