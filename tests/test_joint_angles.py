"""Joint angles of a rotation: every branch makes it again; the smoothest path among the branches."""

import numpy as np
import pytest
from random_chains import random_directions
from scipy.spatial.transform import Rotation

from kinepose_ocp import joint_angles
from kinepose_ocp.chain import Dof
from kinepose_ocp.joint_angles import TURN, compose, decompose, into_range, smoothest_path

AXES = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1), "-x": (-1, 0, 0), "-z": (0, 0, -1)}


def dofs_about(*axes):
    return [Dof(f"d{i}", tuple(float(v) for v in axis)) for i, axis in enumerate(axes)]


def named(order):
    return dofs_about(*(AXES[axis] for axis in order.split()))


def random_dofs(seed, third):
    """First and second axis perpendicular, the third too, the first again, or any one across the second."""
    rng = np.random.default_rng(seed)
    first, other = random_directions(rng, 2)
    second = np.cross(first, other) / np.linalg.norm(np.cross(first, other))
    angle = {"cardan": np.pi / 2, "euler": 0.0, "mirrored": np.pi, "oblique": rng.uniform(0.3, 1.2)}[third]
    return dofs_about(first, second, np.cos(angle) * first + np.sin(angle) * np.cross(first, second))


def same_turn(angles, others):
    return np.abs(np.mod(angles - others + np.pi, TURN) - np.pi).max()


# ---- three DOFs ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("third", ["cardan", "euler", "mirrored", "oblique"])
@pytest.mark.parametrize("seed", range(5))
def test_both_branches_make_the_rotation(seed, third):
    dofs = random_dofs(seed, third)
    rotation = Rotation.random(50, random_state=seed).as_matrix()
    branches = decompose(rotation, dofs)
    assert branches.shape == (2, 50, 3)
    assert same_turn(branches[0, :, 0], branches[1, :, 0] + np.pi) < 1e-12
    for angles in branches:
        assert np.allclose(compose(angles, dofs), rotation, atol=1e-10)


@pytest.mark.parametrize("order", ["z y x", "x y z", "z x y", "y x y", "z x z", "-z y x", "z y -x"])
def test_angles_are_those_of_scipy(order):
    if "-" not in order:
        rotation = Rotation.random(50, random_state=3)
        expected = rotation.as_euler(order.replace(" ", "").upper())
    else:
        expected = np.random.default_rng(3).uniform(-1, 1, (50, 3))
        rotation = Rotation.from_matrix(compose(expected, named(order)))
    branches = decompose(rotation.as_matrix(), named(order))
    for t in range(50):
        assert min(same_turn(branch[t], expected[t]) for branch in branches) < 1e-9


@pytest.mark.parametrize("third", ["cardan", "euler", "oblique"])
@pytest.mark.parametrize("away", [0.0, 1e-12, 1e-9, 1e-8, 1e-5])
def test_gimbal_lock_still_makes_the_rotation(third, away):
    dofs = random_dofs(4, third)
    first, second, last = (np.array(dof.axis) for dof in dofs)
    lock = np.arctan2(last @ np.cross(first, second), last @ first)  # brings the third axis on the first
    rng = np.random.default_rng(0)
    angles = np.column_stack([rng.uniform(-3, 3, 40), np.full(40, lock + away), rng.uniform(-3, 3, 40)])
    angles[20:, 1] += np.pi
    rotation = compose(angles, dofs)
    for branch in decompose(rotation, dofs):
        assert np.allclose(compose(branch, dofs), rotation, atol=1e-9)


@pytest.mark.parametrize("order", ["z y x", "z x z"])
def test_no_rotation_gives_no_angles(order):
    angles = decompose(np.eye(3)[None], named(order))
    assert min(same_turn(branch, np.zeros((1, 3))) for branch in angles) < 1e-12


def test_axes_that_are_not_perpendicular_are_left_to_others():
    rotation = np.eye(3)[None]
    assert decompose(rotation, named("z z x")) is None
    assert decompose(rotation, named("z x x")) is None
    assert decompose(rotation, dofs_about((1, 0, 0), (0.6, 0.8, 0))) is None
    assert decompose(rotation, dofs_about((1, 0, 0), (0, 1, 0), (0, 0.6, 0.8))) is None
    assert decompose(rotation, named("z y x z")) is None


# ---- fewer DOFs ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(3))
def test_one_dof(seed):
    dofs = random_dofs(seed, "cardan")[:1]
    angles = np.linspace(-6, 6, 41)[:, None]
    found = decompose(compose(angles, dofs), dofs)
    assert found.shape == (1, 41, 1)
    assert same_turn(found[0], angles) < 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_two_dofs_are_on_one_of_the_branches(seed):
    dofs = random_dofs(seed, "cardan")[:2]
    angles = np.random.default_rng(seed).uniform(-3, 3, (50, 2))
    found = decompose(compose(angles, dofs), dofs)
    assert found.shape == (2, 50, 2)
    apart = np.abs(np.mod(found - angles + np.pi, TURN) - np.pi).max(axis=2)
    assert apart.min(axis=0).max() < 1e-9


def test_what_fewer_dofs_cannot_make_is_dropped():
    whole = named("z x y")
    angles = np.array([[0.4, -0.2, 0.3]])
    rotation = compose(angles, whole)
    pair = decompose(rotation, whole[:2])
    assert min(same_turn(branch, angles[:, :2]) for branch in pair) < 1e-12
    single = decompose(compose(angles * [1, 0, 0], whole), whole[:1])
    assert np.allclose(single, 0.4)


# ---- ranges ----------------------------------------------------------------------------------------------
def test_angles_come_into_the_middle_turn_of_their_range():
    dofs = [Dof("knee", (0, 1, 0), lower=0.0, upper=2.4), Dof("free", (0, 0, 1))]
    angles = np.array([[2.0 - TURN, 7.0], [-0.5 + TURN, -0.1 - 2 * TURN]])
    expected = np.array([[2.0, 7.0 - TURN], [-0.5, -0.1]])
    assert np.allclose(into_range(angles, dofs), expected)


# ---- paths -----------------------------------------------------------------------------------------------
def test_the_smoothest_path_follows_a_curve_through_its_candidates():
    """Two candidates a frame, the true one and a far one, in random order: steps tell them apart."""
    rng = np.random.default_rng(0)
    truth = np.sin(np.linspace(0, 3, 60))[:, None] * [1.0, -0.5]
    candidates = np.stack([truth, truth + 1.5])
    for t in range(60):
        candidates[:, t] = candidates[rng.permutation(2), t]
    cost = rng.uniform(0, 0.01, (2, 60))
    cost[:, 0] = np.abs(candidates[:, 0] - truth[0]).sum(axis=1)
    path = smoothest_path(candidates, cost, 1.0, np.array([False, False]))
    assert np.allclose(path, truth)


def test_stiffness_weighs_steps_against_costs():
    """A detour of one frame saves 1.0 of cost and takes two steps of 1 rad."""
    candidates = np.zeros((2, 5, 1))
    candidates[1] = 1.0
    cost = np.stack([[0.0, 0.0, 1.0, 0.0, 0.0], [9.0, 9.0, 0.0, 9.0, 9.0]])
    periodic = np.array([False])
    assert smoothest_path(candidates, cost, 0.4, periodic).ravel().tolist() == [0, 0, 1, 0, 0]
    assert smoothest_path(candidates, cost, 0.6, periodic).ravel().tolist() == [0, 0, 0, 0, 0]


def brute_force(candidates, cost, stiffness):
    count, frames, _ = candidates.shape
    best = np.inf
    for choice in np.ndindex(*[count] * frames):
        chosen = candidates[list(choice), np.arange(frames)]
        steps = np.square(np.diff(chosen, axis=0)).sum(axis=1)
        total = cost[list(choice), np.arange(frames)].sum() + (stiffness * steps).sum()
        if total < best:
            best, path = total, chosen
    return path


@pytest.mark.parametrize("seed", range(3))
def test_no_path_is_better(seed, monkeypatch):
    monkeypatch.setattr(joint_angles, "CHUNK", 2 + seed)
    rng = np.random.default_rng(seed)
    candidates, cost = rng.normal(size=(3, 6, 2)), rng.random((3, 6))
    for stiffness in (0.3, rng.random(5)):
        path = smoothest_path(candidates, cost, stiffness, np.array([False, False]))
        assert np.array_equal(path, brute_force(candidates, cost, stiffness))


def test_periodic_angles_run_on_over_several_turns():
    truth = np.column_stack([np.linspace(0, 5 * TURN, 100), np.linspace(0, 0.5, 100)])
    wrapped = np.mod(truth + np.pi, TURN) - np.pi
    candidates = np.stack([wrapped, wrapped + np.array([np.pi, 0.4])])
    cost = np.stack([np.zeros(100), np.full(100, 1e-3)])
    path = smoothest_path(candidates, cost, 1.0, np.array([True, False]))
    assert np.allclose(path, truth)


def test_bounded_angles_are_never_shifted():
    candidates = np.array([[[3.0], [-3.0], [3.0]]])
    assert smoothest_path(candidates, np.zeros((1, 3)), 1.0, np.array([False])).ravel().tolist() == [3, -3, 3]


def test_a_path_of_one_frame_is_its_cheapest_candidate():
    candidates = np.array([[[0.1]], [[0.2]]])
    path = smoothest_path(candidates, np.array([[1.0], [0.0]]), 1.0, np.array([True]))
    assert path.tolist() == [[0.2]]


def test_the_smoothest_path_leaves_its_candidates_alone():
    candidates = np.array([[[0.0], [4.0]]])
    smoothest_path(candidates, np.zeros((1, 2)), 1.0, np.array([True]))
    assert candidates.ravel().tolist() == [0.0, 4.0]
