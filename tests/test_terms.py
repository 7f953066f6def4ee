"""What every term says, and that it can be differentiated wherever a motion may pass."""

from dataclasses import dataclass

import casadi as ca
import numpy as np
import pytest
from random_chains import plain_frames, random_chain, random_coordinates, random_data, window_numbers
from scipy.spatial.transform import Rotation

from kinepose_ocp import rotations
from kinepose_ocp.chain import Chain, Dof, Joint, Link, Site
from kinepose_ocp.kernels import KernelSet
from kinepose_ocp.kinematics import Kinematics
from kinepose_ocp.terms import (
    AngularAcceleration,
    AngularVelocity,
    AppearingKeypointPosition,
    DriftingKeypointPosition,
    KeypointPosition,
    LinearAcceleration,
    LinearVelocity,
    LinkDirection,
    PoseAcceleration,
    PoseDeviation,
    PoseVelocity,
)


@dataclass(frozen=True)
class NeutralPosture:
    """A user's term. std: standard deviation [rad]."""

    std: float = 0.5
    span = 1

    def residual(self, frame):
        return frame.joint_angle / self.std


TERMS = [
    LinkDirection(),
    KeypointPosition(),
    AngularVelocity(),
    AngularAcceleration(),
    LinearVelocity(),
    LinearAcceleration(),
    NeutralPosture(),
    AppearingKeypointPosition(0.02),
    DriftingKeypointPosition((0.4, -1.2, 1.7)),
]
STEPS = np.array([0.02, 0.03])


def name_of(term):
    return type(term).__name__


@pytest.fixture(scope="module")
def arm():
    """A root that moves and turns, and an elbow; straight along z at rest."""
    moves = tuple(Dof(axis, unit, translates=True) for axis, unit in zip("xyz", _units(), strict=True))
    turns = tuple(Dof(f"turn_{axis}", unit) for axis, unit in zip("xyz", _units(), strict=True))
    shoulder = Joint("shoulder", None, dofs=moves + turns)
    elbow = Joint("elbow", "shoulder", (0.0, 0.0, -0.3), dofs=(Dof("flexion", (0.0, 1.0, 0.0)),))
    keypoints = {
        "shoulder": Site("shoulder"),
        "elbow": Site("elbow"),
        "wrist": Site("elbow", (0.0, 0.0, -0.25)),
    }
    links = (Link("shoulder", "elbow"), Link("elbow", "wrist", 2.0))
    return Chain("arm", "by hand", (shoulder, elbow), keypoints, links)


def _units():
    return [tuple(row) for row in np.eye(3)]


def data_of(points, confidence=1.0):
    """(T, 5K) data of positions (T, K, 3) [m] that appear in the first frame."""
    weights = np.broadcast_to(confidence, points.shape[:2])
    appears = np.zeros(points.shape[:2])
    appears[0] = 1
    return np.concatenate([points.reshape(len(points), -1), weights, appears], axis=1)


def numbers_of(chain, term, q, data):
    """One window of a term that stands alone."""
    kernels = KernelSet(chain, tuple(chain.keypoints), [term])
    shared = kernels.shared_values(chain, [term])
    steps = STEPS[: term.span - 1]
    return window_numbers(kernels, kernels.kernels[0], q[: term.span], data[: term.span], steps, shared)


def turned(points, angle):
    return Rotation.from_rotvec([angle, 0, 0]).apply(points.reshape(-1, 3)).reshape(points.shape)


# ---- derivatives everywhere ------------------------------------------------------------------------------
def situation(chain, name):
    """Coordinates (3, n) and data of a place where a careless term has no derivatives."""
    rng = np.random.default_rng(7)
    q = np.zeros((3, len(chain.free_dofs)))
    if name == "agreement":
        q = random_coordinates(chain, rng, 3)
    points = Kinematics(chain)(q).keypoint_position
    if name == "rest":
        return q, data_of(points + rng.normal(0, 0.1, points.shape))
    if name == "no measured length":
        return q, data_of(np.zeros_like(points))
    if name == "opposition, half seen":
        return q, data_of(-points, np.array([1.0, 0.5, 0.0]))
    placements = {
        "agreement": points,
        "rest and agreement": points,
        "90 degrees": turned(points, np.pi / 2),
        "opposition": -points,
        "almost opposition": turned(points, np.pi - 1e-6),
        "confidence 0": points + rng.normal(0, 0.1, points.shape),
        "nothing seen": np.zeros_like(points),
    }
    seen = 0.0 if name in ("confidence 0", "nothing seen") else 1.0
    return q, data_of(placements[name], seen)


SITUATIONS = [
    "rest",
    "agreement",
    "rest and agreement",
    "90 degrees",
    "opposition",
    "almost opposition",
    "opposition, half seen",
    "confidence 0",
    "nothing seen",
    "no measured length",
]


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("term", TERMS, ids=name_of)
def test_every_term_has_finite_derivatives_everywhere(arm, term, name):
    found = numbers_of(arm, term, *situation(arm, name))
    for part in (found.cost, found.gradient, found.hessian, found.gauss_newton):
        assert np.isfinite(part).all()
    assert np.linalg.eigvalsh(found.gauss_newton).min() > -1e-9 * (1 + np.abs(found.gauss_newton).max())


def test_rounding_at_agreement_never_leaves_the_domain_of_a_root(arm):
    """Cosines of long links round to just above 1 as often as to just below."""
    long = arm.with_lengths({"elbow": 30.0}, {"wrist": 30.0})
    measured, term = tuple(long.keypoints), LinkDirection()
    kernels = KernelSet(long, measured, [term])
    shared = kernels.shared_values(long, [term])
    q = random_coordinates(long, np.random.default_rng(8), 40)
    for coordinates, data in zip(q, data_of(Kinematics(long)(q).keypoint_position), strict=True):
        found = window_numbers(kernels, kernels.kernels[0], coordinates, data, [], shared)
        assert np.isfinite(found.cost).all() and np.isfinite(found.hessian).all()


@pytest.mark.parametrize("term", [LinkDirection(), KeypointPosition()], ids=name_of)
def test_agreement_is_a_minimum_with_the_curvature_of_gauss_newton(arm, term):
    found = numbers_of(arm, term, *situation(arm, "agreement"))
    assert found.cost.sum() < 1e-8
    assert np.abs(found.gradient).max() < 1e-6
    assert np.allclose(found.hessian, found.gauss_newton, atol=1e-4 * np.abs(found.hessian).max())


@pytest.mark.parametrize("name", ["confidence 0", "nothing seen"])
@pytest.mark.parametrize("term", [LinkDirection(), KeypointPosition()], ids=name_of)
def test_what_is_not_seen_costs_nothing(arm, term, name):
    found = numbers_of(arm, term, *situation(arm, name))
    assert not any(part.any() for part in (found.cost, found.gradient, found.hessian, found.gauss_newton))


def test_a_measured_link_of_no_length_costs_nothing(arm):
    found = numbers_of(arm, LinkDirection(), *situation(arm, "no measured length"))
    assert not any(part.any() for part in (found.cost, found.gradient, found.hessian, found.gauss_newton))


# ---- what they cost --------------------------------------------------------------------------------------
@pytest.mark.parametrize("angle", [0.3, np.pi / 2, 3.0])
def test_a_link_costs_its_squared_angle(arm, angle):
    points = turned(Kinematics(arm)(np.zeros((1, 7))).keypoint_position, angle)
    data = data_of(points, np.array([1.0, 0.5, 0.8]))
    found = numbers_of(arm, LinkDirection(std=0.1), np.zeros((1, 7)), data)
    expected = (0.5 * 1.0 + 0.5 * 0.8 * 2.0) * angle**2 / 2 / 0.1**2  # confidence of both ends, then weight
    assert found.cost[0] == pytest.approx(expected, rel=2e-4)  # a short link weighs 1 - (0.001 / length)^2


def test_a_link_in_opposition_costs_a_straight_angle(arm):
    found = numbers_of(arm, LinkDirection(std=1.0), *situation(arm, "opposition"))
    assert found.cost[0] == pytest.approx((1 + 2) * np.pi**2 / 2, rel=1e-4)


def residual_numbers(chain, term, q, data):
    """Residuals, and half their squares or the term's own cost, from plain expressions."""
    x, frames = plain_frames(chain, tuple(chain.keypoints), data[: term.span], STEPS[: term.span - 1])
    residual = term.residual(*frames)
    own = term.cost(*frames) if hasattr(term, "cost") else ca.sumsqr(residual) / 2
    function = ca.Function("residual", [x], [ca.densify(residual), own])
    return [np.array(part) for part in function(q[: term.span].ravel())]


@pytest.mark.parametrize("seed", range(6))
def test_the_cost_of_a_link_is_half_its_squared_residuals(seed):
    chain = random_chain(seed)
    rng = np.random.default_rng(seed)
    q, data = random_coordinates(chain, rng, 1), random_data(len(chain.keypoints), rng, 1)
    residual, cost = residual_numbers(chain, LinkDirection(), q, data)
    assert cost.item() > 1
    assert cost.item() == pytest.approx(np.square(residual).sum() / 2, rel=1e-9)
    assert numbers_of(chain, LinkDirection(), q, data).cost[0] == pytest.approx(cost.item(), rel=1e-9)


@pytest.mark.parametrize("apart", [1e-4, 1e-3, 1e-2])
def test_the_cost_of_a_link_is_half_its_squared_residuals_near_agreement_and_opposition(arm, apart):
    for angle in (apart, np.pi - apart):
        points = turned(Kinematics(arm)(np.zeros((1, 7))).keypoint_position, angle)
        residual, cost = residual_numbers(arm, LinkDirection(), np.zeros((1, 7)), data_of(points))
        half = np.square(residual).sum() / 2
        assert cost.item() == pytest.approx(half, rel=3 * (rotations.ROUNDING / apart) ** 2 + 1e-7)


def test_keypoint_position_counts_distance_by_confidence(arm):
    points = Kinematics(arm)(np.zeros((1, 7))).keypoint_position + np.array([0.03, 0.0, -0.04])
    data = data_of(points, np.array([1.0, 0.25, 0.0]))
    found = numbers_of(arm, KeypointPosition(std=0.1), np.zeros((1, 7)), data)
    assert found.cost[0] == pytest.approx(1.25 * 0.05**2 / 2 / 0.1**2)


RATE_TERMS = [
    (AngularVelocity(std=2.0), 4, 1.0 / 2.0),
    (LinearVelocity(std=0.5), 3, 1.0 / 0.5),
    (AngularAcceleration(std=4.0), 4, 3.0 / 4.0),
    (LinearAcceleration(std=0.5), 3, 3.0 / 0.5),
]


@pytest.mark.parametrize("frame_rate", [50.0, 200.0])
@pytest.mark.parametrize("term, count, expected", RATE_TERMS, ids=lambda value: name_of(value))
def test_rates_are_physical_at_any_frame_rate(arm, term, count, expected, frame_rate):
    """Every coordinate follows v t + a t^2 / 2 with v = 1 and, for an acceleration term, a = 3."""
    time = np.arange(term.span) / frame_rate
    acceleration = 3.0 if term.span == 3 else 0.0
    q = np.tile((time + acceleration * time**2 / 2)[:, None], 7)
    data = np.zeros((term.span, 5 * len(arm.keypoints)))
    x, frames = plain_frames(arm, tuple(arm.keypoints), data, np.diff(time))
    residual = np.array(ca.Function("residual", [x], [term.residual(*frames)])(q.ravel())).ravel()
    assert np.allclose(residual, np.full(count, expected), rtol=1e-9)


def test_acceleration_is_right_for_steps_of_different_length(arm):
    time = np.array([0.0, 0.02, 0.05])
    q = np.tile((1.5 * time**2)[:, None], 7)
    data = np.zeros((3, 5 * len(arm.keypoints)))
    x, frames = plain_frames(arm, tuple(arm.keypoints), data, np.diff(time))
    residual = ca.Function("residual", [x], [AngularAcceleration(std=1.0).residual(*frames)])(q.ravel())
    assert np.allclose(np.array(residual), 3.0)


def test_terms_without_their_dofs_cost_nothing():
    """A chain whose root does not translate may keep its translation terms, and the other way round."""
    hinge = Joint("hinge", None, dofs=(Dof("turn", (0.0, 1.0, 0.0)),))
    slide = Joint("slide", None, dofs=(Dof("along", (0.0, 1.0, 0.0), translates=True),))
    for joint, idle in (
        (hinge, [LinearVelocity(), LinearAcceleration()]),
        (slide, [AngularVelocity(), AngularAcceleration(), NeutralPosture()]),
    ):
        chain = Chain("one", "by hand", (joint,), {"tip": Site(joint.name, (0.0, 0.0, 1.0))})
        for term in [*idle, LinkDirection()]:  # the chain has no links either
            found = numbers_of(chain, term, np.ones((3, 1)), np.ones((3, 5)))
            assert found.cost.tolist() == [0.0] and not found.gradient.any() and not found.hessian.any()


# ---- poses -----------------------------------------------------------------------------------------------
POSE_TERMS = [PoseDeviation, PoseVelocity, PoseAcceleration]


@pytest.mark.parametrize("kind", POSE_TERMS, ids=lambda kind: kind.__name__)
def test_pose_terms_are_quadratic_forms(arm, kind):
    """Cost, gradient and both Hessians of joints with a full precision matrix each, against numpy."""
    rng = np.random.default_rng(3)
    names = list(arm.free_dofs)
    joints = (tuple(names[1:4]), tuple(names[5:7]))
    matrices = [part @ part.T for part in (rng.normal(size=(3, 3)), rng.normal(size=(2, 2)))]
    precision = tuple(np.concatenate([matrix.ravel() for matrix in matrices]))
    mean = rng.normal(size=5) if kind is PoseDeviation else np.zeros(5)
    term = kind(joints, tuple(mean), precision) if kind is PoseDeviation else kind(joints, precision)
    q = rng.normal(size=(3, 7))
    before, after = STEPS
    stencil = {
        1: [1.0],
        2: [-1 / before, 1 / before],
        3: np.array([1 / before, -1 / before - 1 / after, 1 / after]) * 2 / (before + after),
    }[term.span]
    whole = np.zeros((7, 7))
    whole[1:4, 1:4], whole[5:7, 5:7] = matrices
    change = np.array(stencil) @ q[: term.span]
    change[[1, 2, 3, 5, 6]] -= mean
    found = numbers_of(arm, term, q, data_of(rng.normal(size=(3, len(arm.keypoints), 3))))
    assert found.cost[0] == pytest.approx(change @ whole @ change / 2)
    assert np.allclose(found.gradient, np.kron(stencil, whole @ change))
    expected = np.triu(np.kron(np.outer(stencil, stencil), whole))
    assert np.allclose(np.triu(found.hessian), expected)
    assert np.allclose(np.triu(found.gauss_newton), expected)


def test_drifting_points_count_what_the_frames_before_do_not_foretell(arm):
    """A point that is off by a constant costs as much as the sum of the weights says."""
    q = np.zeros((3, 7))
    points = np.repeat(Kinematics(arm)(q[:1]).keypoint_position, 3, axis=0) - np.array([0.01, 0, 0])
    found = numbers_of(arm, DriftingKeypointPosition((10.0, -70.0, 100.0)), q, data_of(points))
    assert found.cost[0] == pytest.approx(len(arm.keypoints) * (40 * 0.01) ** 2 / 2)


def test_appearing_points_count_only_where_they_appear(arm):
    q = np.zeros((3, 7))
    points = np.repeat(Kinematics(arm)(q[:1]).keypoint_position, 3, axis=0) - np.array([0.01, 0, 0])
    data = data_of(points)
    assert numbers_of(arm, AppearingKeypointPosition(0.01), q, data).cost[0] == pytest.approx(
        len(arm.keypoints) / 2
    )
    assert numbers_of(arm, AppearingKeypointPosition(0.01), q[1:], data[1:]).cost[0] == 0
