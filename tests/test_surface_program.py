"""Kernels of the parts' program: exact derivatives, expressions against numbers."""

import casadi as ca
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinepose_ocp.chain_file import load_chain
from kinepose_ocp.surface.articulation import (
    Parts,
    difference,
    hinge_ranges,
    hinge_state,
    joint_limits,
    ribcage,
    turn,
)
from kinepose_ocp.surface.envelope import barycentric
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton, part_origins
from kinepose_ocp.surface.point_costs import WIDTH, PointCosts, PointTable
from kinepose_ocp.surface.skeleton import open_skeleton


@pytest.mark.parametrize("scaled", [False, True])
def test_gradient_and_hessian_are_those_of_the_cost(scaled):
    rng = np.random.default_rng(1)
    motion = np.arange(12).reshape(2, 6)
    scales = np.tile([12, 13, 14], (2, 1)) if scaled else np.full((2, 3), -1)
    size = 15 if scaled else 12
    points = PointCosts(np.array([0, 1, 1]), np.hstack([motion, scales]), size)
    x, fixed = ca.MX.sym("x", size), ca.MX.sym("fixed", 3, 2)
    base, numbers = ca.MX.sym("base", 9, 2), ca.MX.sym("numbers", WIDTH, 3)
    given = [x, fixed, base, numbers]
    cost = points.cost(*given)
    own = ca.Function("own", given, [points.gradient(*given), ca.triu2symm(points.hessian(*given))])
    hessian, gradient = ca.hessian(cost, x)
    other = ca.Function("other", given, [gradient, hessian])
    values = (
        rng.normal(size=size) * 0.3,
        np.zeros((3, 2)),
        rng.normal(size=(9, 2)),
        rng.normal(size=(WIDTH, 3)),
    )
    for mine, theirs in zip(own(*values), other(*values), strict=True):
        np.testing.assert_allclose(mine.full(), theirs.full(), rtol=1e-8, atol=1e-8)


def test_points_at_rest_and_in_agreement_have_finite_derivatives():
    points = PointCosts(np.zeros(1, dtype=int), np.r_[0:6, [-1] * 3][None], 6)
    table = PointTable(1, {"tie": np.ones(1), "spring": np.ones(1), "inside": np.ones(1)})
    given = [ca.MX.sym("x", 6), ca.MX.sym("f", 3, 1), ca.MX.sym("b", 9, 1), ca.MX.sym("n", WIDTH, 1)]
    run = ca.Function("run", given, [points.gradient(*given), points.hessian(*given)])
    for value in run(np.zeros(6), np.zeros(3), np.eye(3).ravel(), table.rows().T):
        assert np.isfinite(value.full()).all()


def test_parts_move_like_the_placed_skeleton():
    skeleton, rng = open_skeleton(), np.random.default_rng(2)
    count = len(skeleton.parts)
    turns = Rotation.random(count, rng=3).as_matrix()
    placed = PlacedSkeleton(skeleton, turns, rng.normal(size=(count, 3)), rng.uniform(0.8, 1.2, (count, 3)))
    named = range(count)
    parts = Parts(
        {skeleton.parts[i]: placed.origins[i] for i in named},
        {skeleton.parts[i]: ca.SX(ca.DM(placed.rotations[i])) for i in named},
        {skeleton.parts[i]: ca.SX(ca.DM(placed.translations[i])) for i in named},
        {skeleton.parts[i]: ca.SX(ca.DM(placed.scales[i])) for i in named},
    )
    point = np.array([0.1, 0.2, 0.3])
    there = parts.at("skull", point)
    np.testing.assert_allclose(np.array(ca.evalf(there)).ravel(), placed.at("skull", point), atol=1e-12)
    np.testing.assert_allclose(np.array(ca.evalf(parts.into("skull", there))).ravel(), point, atol=1e-12)


def test_a_knee_bends_backwards_within_the_range_of_fullbody():
    skeleton = open_skeleton()
    ranges = {
        each.joint.name: np.degrees([each.lower, each.upper])
        for each in hinge_ranges(skeleton, load_chain("fullbody"))
    }
    np.testing.assert_allclose(ranges["knee_left"], [-160, 10])
    np.testing.assert_allclose(ranges["elbow_right"], [-10, 160])
    joint = skeleton.joint("knee_left")
    bent = Rotation.from_rotvec(np.radians(-70) * joint.axes[0]).as_matrix()
    eye = ca.SX.eye(3)
    parts = Parts({}, {joint.parent: eye, joint.child: ca.SX(ca.DM(bent))}, {}, {})
    angle, leaves = (np.array(ca.evalf(value)) for value in hinge_state(parts, joint))
    assert np.degrees(angle.item()) == pytest.approx(-70)
    np.testing.assert_allclose(leaves, 0, atol=1e-5)  # the file's axes have six digits
    assert (bent @ [0, 0, -1])[0] < 0  # the shank goes back


def test_a_hinge_is_at_its_limit_by_its_angle_not_by_its_laxity():
    """A knee bent as far as it goes, and an elbow whose axis is twisted by all of its laxity."""
    skeleton = open_skeleton()
    knee, elbow = skeleton.joint("knee_left"), skeleton.joint("elbow_right")

    def reached(flexion, twist):
        turns = dict.fromkeys(skeleton.parts, np.eye(3))
        turns[knee.child] = Rotation.from_rotvec(np.radians(-flexion) * knee.axes[0]).as_matrix()
        twisted = Rotation.from_rotvec(np.radians(twist) * elbow.axes[2])
        bent = Rotation.from_rotvec(np.radians(70) * elbow.axes[0])
        turns[elbow.child] = (twisted * bent).as_matrix()
        named = {part: ca.SX(ca.DM(matrix)) for part, matrix in turns.items()}
        origins = dict(zip(skeleton.parts, part_origins(skeleton), strict=True))
        parts = Parts(origins, named, dict.fromkeys(named, ca.SX(3, 1)), dict.fromkeys(named, ca.SX.ones(3)))
        ranges = hinge_ranges(skeleton, load_chain("fullbody"))
        limits = joint_limits(parts, skeleton, ranges)
        values = ca.evalf(limits.expression).full().ravel()
        row = limits.angles[[each.joint.name for each in ranges].index("elbow_right")] + 1
        return limits.reached(values), values[row] / limits.upper[row]

    assert reached(90, 8) == (0, pytest.approx(1, abs=1e-4))
    assert reached(160, 8)[0] == 1
    assert reached(160, 0)[0] == 1


def test_turns_and_differences_are_those_of_scipy():
    first, second = Rotation.random(2, rng=5)
    between = second * first.inv()
    axis, angle = between.as_rotvec() / between.magnitude(), between.magnitude()
    one, two = (ca.SX(ca.DM(each.as_matrix())) for each in (first, second))
    np.testing.assert_allclose(np.array(ca.evalf(turn(one, two))).ravel(), axis * np.sin(angle), atol=1e-12)
    assert float(ca.evalf(difference(one, two))) == pytest.approx(2 * (1 - np.cos(angle)))


def test_the_ellipsoid_follows_the_ribs():
    skeleton = open_skeleton()
    ribs, v = ribcage(skeleton), skeleton.part_mesh("thorax").vertices
    relative = np.linalg.norm((v - ribs.centre) / ribs.radii, axis=1)
    assert np.sqrt(((relative - 1) ** 2).mean()) < 0.25
    assert 0.08 < ribs.radii[0] < 0.2 and 0.1 < ribs.radii[1] < 0.2 and 0.15 < ribs.radii[2] < 0.35


def test_barycentric_coordinates_give_the_point_back():
    rng = np.random.default_rng(6)
    triangles = rng.normal(size=(5, 3, 3))
    shares = rng.dirichlet(np.ones(3), size=5)
    points = np.einsum("ni,nij->nj", shares, triangles)
    np.testing.assert_allclose(barycentric(triangles, points), shares, atol=1e-9)
