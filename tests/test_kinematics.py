"""The forward kinematics against scipy rotations, differences and motions with known truth."""

import math
import os
from pathlib import Path

import casadi as ca
import numpy as np
import pytest
from random_chains import random_chain, random_coordinates
from scipy.spatial.transform import Rotation

from kinepose_ocp.chain import Chain, Dof, Joint, Site
from kinepose_ocp.chain_file import load_chain
from kinepose_ocp.kinematics import (
    Geometry,
    JointStep,
    KeypointDerivatives,
    Kinematics,
    forward_kinematics,
    geometry_values,
)
from kinepose_ocp.layouts import load_layout

ROOT = Path(__file__).parents[1]
TRUTH = Path(os.environ.get("KINEPOSE_SHARED", ROOT.parent / "shared")) / "data" / "synthetic"
SEEDS = range(24)


# ---- the oracle ----------------------------------------------------------------------------------------
def scipy_kinematics(chain, q):
    """Positions, rotations and own rotations by joint, and keypoints, of one frame."""
    coordinates = dict(zip(chain.free_dofs, q, strict=True))
    position, rotation, local = {}, {}, {}
    for joint in chain.joints:
        place, turn, own = np.zeros(3), Rotation.identity(), Rotation.identity()
        if joint.parent is not None:
            place, turn = position[joint.parent], rotation[joint.parent]
        place = place + turn.apply(joint.offset)
        resting = turn * Rotation.from_quat(joint.orientation, scalar_first=True)
        for dof in joint.dofs:
            value = dof.rest if dof.locked else coordinates[f"{joint.name}.{dof.name}"]
            if dof.translates:
                place = place + (resting * own).apply(value * np.array(dof.axis))
            else:
                own = own * Rotation.from_rotvec(value * np.array(dof.axis))
        position[joint.name], rotation[joint.name], local[joint.name] = place, resting * own, own
    keypoints = [
        position[site.joint] + rotation[site.joint].apply(site.offset) for site in chain.keypoints.values()
    ]
    return list(position.values()), list(rotation.values()), list(local.values()), keypoints


def matrices(quaternions):
    return Rotation.from_quat(quaternions.reshape(-1, 4), scalar_first=True).as_matrix()


@pytest.mark.parametrize("seed", SEEDS)
def test_kinematics_equals_scipy(seed):
    chain = random_chain(seed)
    q = random_coordinates(chain, np.random.default_rng(seed), 3)
    made = Kinematics(chain)(q)
    for t in range(3):
        position, rotation, local, keypoints = scipy_kinematics(chain, q[t])
        assert np.allclose(made.joint_position[t], position, rtol=0, atol=1e-12)
        assert np.allclose(made.keypoint_position[t], keypoints, rtol=0, atol=1e-12)
        turns = np.array([turn.as_matrix() for turn in rotation])
        assert np.allclose(made.rotation[t], turns, rtol=0, atol=1e-12)
        assert np.allclose(matrices(made.orientation[t]), turns, rtol=0, atol=1e-12)
        own = np.array([turn.as_matrix() for turn in local])
        assert np.allclose(matrices(made.local[t]), own, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_angular_velocity_is_the_rate_of_the_orientation(seed):
    chain = random_chain(seed)
    rng = np.random.default_rng(seed)
    kinematics = Kinematics(chain)
    q, rate = random_coordinates(chain, rng, 2), random_coordinates(chain, rng, 2)
    step = 1e-5
    before, after = kinematics(q - step * rate).rotation, kinematics(q + step * rate).rotation
    turn = Rotation.from_matrix((after @ np.swapaxes(before, -1, -2)).reshape(-1, 3, 3))
    expected = turn.as_rotvec().reshape(2, -1, 3) / (2 * step)
    assert np.allclose(kinematics(q, rate).angular_velocity, expected, rtol=0, atol=1e-6)
    assert not kinematics(q).angular_velocity.any()


@pytest.mark.parametrize("seed", SEEDS[:8])
def test_joint_steps_make_the_same_poses(seed):
    chain = random_chain(seed)
    q = random_coordinates(chain, np.random.default_rng(seed), 4)
    expected = Kinematics(chain)(q)
    names, turned, moved = list(chain.free_dofs), [], []
    for joint, parent in zip(chain.joints, chain.parents, strict=True):
        step = JointStep(joint)
        base = (np.tile(np.eye(3), (4, 1, 1)), np.zeros((4, 3)))
        if parent >= 0:
            base = (turned[parent], moved[parent])
        rotation, position = step(*base, q[:, [names.index(name) for name in step.names]])
        turned.append(rotation)
        moved.append(position)
    assert np.allclose(np.stack(turned, axis=1), expected.rotation, atol=1e-12)
    assert np.allclose(np.stack(moved, axis=1), expected.joint_position, atol=1e-12)


# ---- conventions, by hand ------------------------------------------------------------------------------
def test_rotations_are_intrinsic_in_the_order_listed():
    root = Joint("root", None, dofs=(Dof("z", (0, 0, 1)), Dof("x", (1, 0, 0))))
    chain = Chain("top", "by hand", (root,), {"tip": Site("root", (0.0, 1.0, 0.0))})
    tip = Kinematics(chain)(np.array([[math.pi / 2, math.pi / 2]])).keypoint_position[0, 0]
    assert np.allclose(tip, [0, 0, 1])  # x first lifts the tip, z then leaves it; extrinsic: (-1, 0, 0)


def test_a_translation_moves_in_the_frame_reached_so_far():
    slide = Dof("slide", (1, 0, 0), translates=True)
    turn = Dof("turn", (0, 0, 1))
    after = Joint("root", None, dofs=(turn, slide))
    before = Joint("root", None, dofs=(slide, turn))
    for joint, expected in ((after, [0, 2, 0]), (before, [2, 0, 0])):
        chain = Chain("sledge", "by hand", (joint,), {"root": Site("root")})
        q = [[{"turn": math.pi / 2, "slide": 2.0}[dof.name] for dof in joint.dofs]]
        assert np.allclose(Kinematics(chain)(np.array(q)).joint_position[0, 0], expected)


def test_a_single_frame_may_be_a_vector():
    chain = random_chain(0)
    q = random_coordinates(chain, np.random.default_rng(0), 1)
    assert np.array_equal(Kinematics(chain)(q[0]).rotation, Kinematics(chain)(q).rotation)
    assert Kinematics(chain)(q[0], q[0]).angular_velocity.shape == (1, len(chain.joints), 3)


def test_a_chain_without_free_dofs_rests():
    root = Joint("root", None, dofs=(Dof("z", (0, 0, 1), locked=True, rest=math.pi / 2),))
    chain = Chain("statue", "by hand", (root,), {"tip": Site("root", (1.0, 0.0, 0.0))})
    made = Kinematics(chain)(np.zeros((3, 0)))
    assert np.allclose(made.keypoint_position[:, 0], [0, 1, 0])
    turned, moved = JointStep(root)(np.tile(np.eye(3), (3, 1, 1)), np.ones((3, 3)), np.zeros((3, 0)))
    assert np.allclose(turned[:, 1, 0], 1) and np.allclose(moved, 1)


def test_geometry_parameters_change_lengths_without_building_again():
    chain = load_chain("imvip22")
    longer = chain.with_lengths({"knee_right": 0.5})
    symbols = Geometry.of(chain)
    q = dict.fromkeys(chain.free_dofs, ca.SX(0))
    knee = forward_kinematics(chain, q, symbols).joint_position["knee_right"]
    place = ca.Function("knee", [symbols.symbol], [knee])
    for each in (chain, longer):
        rest = Kinematics(each)(np.zeros(len(chain.free_dofs))).joint_position[0, 2]
        assert np.allclose(np.array(place(geometry_values(each))).ravel(), rest)
    assert np.allclose(np.linalg.norm(rest - [0, -0.08, 0]), 0.5)


# ---- derivatives of keypoints --------------------------------------------------------------------------
def derivative_functions(chain, measured):
    """Closed-form and automatic Jacobian and curvature as functions of (q, multiplier)."""
    q = ca.SX.sym("q", len(chain.free_dofs))
    multiplier = ca.SX.sym("multiplier", 3 * len(measured))
    geometry = Geometry.of(chain, ca.SX(ca.DM(geometry_values(chain))))
    pose = forward_kinematics(chain, dict(zip(chain.free_dofs, ca.vertsplit(q), strict=True)), geometry)
    points = ca.densify(ca.vertcat(*[pose.keypoint_position[name] for name in measured]))
    closed = KeypointDerivatives(chain, pose, measured)
    automatic = [ca.jacobian(points, q), ca.triu(ca.hessian(ca.dot(multiplier, points), q)[0])]
    outputs = [closed.jacobian(), closed.curvature(multiplier), *automatic, points]
    return ca.Function("derivatives", [q, multiplier], outputs), closed


@pytest.mark.parametrize("seed", SEEDS)
def test_keypoint_derivatives_equal_automatic_ones(seed):
    chain = random_chain(seed)
    rng = np.random.default_rng(seed)
    measured = list(rng.permutation(list(chain.keypoints))[:7])
    function, _ = derivative_functions(chain, measured)
    for _ in range(2):
        q, multiplier = random_coordinates(chain, rng, 1)[0], rng.normal(size=3 * len(measured))
        jacobian, curvature, slopes, bending, _ = (np.array(ca.DM(part)) for part in function(q, multiplier))
        assert np.allclose(jacobian, slopes, rtol=0, atol=1e-12)
        assert np.allclose(curvature, bending, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS[:6])
def test_keypoint_derivatives_equal_differences(seed):
    chain = random_chain(seed)
    rng = np.random.default_rng(seed)
    measured = list(chain.keypoints)
    function, _ = derivative_functions(chain, measured)
    q, multiplier = random_coordinates(chain, rng, 1)[0], rng.normal(size=3 * len(measured))

    def at(x):
        jacobian, _, _, _, points = (np.array(ca.DM(part)) for part in function(x, multiplier))
        return points.ravel(), jacobian.T @ multiplier

    jacobian, curvature, *_ = (np.array(ca.DM(part)) for part in function(q, multiplier))
    for i, step in enumerate(1e-5 * np.eye(len(q))):
        (points, slope), (points_before, slope_before) = at(q + step), at(q - step)
        assert np.allclose(jacobian[:, i], (points - points_before) / 2e-5, rtol=0, atol=1e-8)
        whole = curvature + np.triu(curvature, 1).T
        assert np.allclose(whole[:, i], (slope - slope_before) / 2e-5, rtol=0, atol=1e-7)


def test_a_keypoint_on_the_axis_of_its_joint_has_no_entries():
    chain = load_chain("imvip22")
    _, closed = derivative_functions(chain, ["knee_right"])
    moving = {list(chain.free_dofs)[column] for column in closed.jacobian().sparsity().get_triplet()[1]}
    assert moving == {f"{joint}.{axis}" for joint in ("pelvis", "hip_right") for axis in "zyx"}


# ---- motions with known truth --------------------------------------------------------------------------
@pytest.mark.skipif(not TRUTH.is_dir(), reason=f"no motions with known truth in {TRUTH} (KINEPOSE_SHARED)")
def test_imvip22_makes_the_motions_with_known_truth():
    chain = load_chain("imvip22")
    kinematics, targets = Kinematics(chain), load_layout("h36m17", chain).targets
    files = sorted(TRUTH.glob("imvip22_*.npz"))
    assert files
    for file in files:
        truth = np.load(file)
        dofs, joints = list(truth["dof"]), list(truth["joint_names"])
        q = np.radians(truth["joint_angle_deg"][:, [dofs.index(name) for name in chain.free_dofs]])
        made = kinematics(q.astype(float))
        names = [targets[name][0] for name in truth["names"]]
        keypoints = made.keypoint_position[:, [list(chain.keypoints).index(name) for name in names]]
        assert np.abs(keypoints - truth["position"]).max() < 1e-5, file.name
        order = [joints.index(name) for name in chain.joint_names]
        for mine, theirs in ((made.orientation, "orientation_global"), (made.local, "orientation_local")):
            expected = truth[theirs][:, order].astype(float)
            apart = np.minimum(np.abs(mine - expected).max(axis=2), np.abs(mine + expected).max(axis=2))
            assert apart.max() < 1e-5, (file.name, theirs)
