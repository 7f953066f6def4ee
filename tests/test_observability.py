"""What a frame's points show of each joint."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import kinepose_ocp as kp
from kinepose_ocp.joint_angles import compose, rotation_axes
from kinepose_ocp.synthetic import measure, random_motion


def test_axes_turn_small_changes_into_rotation_vectors(imvip22):
    dofs = list(next(joint for joint in imvip22.joints if joint.name == "shoulder_left").dofs)
    generator = np.random.default_rng(0)
    angles, change = generator.uniform(-1, 1, (5, 3)), 1e-6 * generator.normal(size=(5, 3))
    turned = [Rotation.from_matrix(compose(a, dofs)) for a in (angles - change, angles + change)]
    found = (turned[1] * turned[0].inv()).as_rotvec()
    expected = np.einsum("tij,tj->ti", rotation_axes(angles, dofs), 2 * change)
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-12)


@pytest.fixture(scope="module")
def solved(imvip22):
    truth = random_motion(imvip22, frames=80, rate=60, seed=5, straight=True)
    points = measure(truth, noise=0.01, seed=1)
    points["position"] = points.position.where(~((points.keypoint == "wrist_left") & (points.time > 1.0)))
    return truth, kp.solve_motion(imvip22, points, lengths="model")


def test_a_straight_limb_hides_the_twist_above(solved):
    truth, motion = solved
    shown = motion.observability
    assert shown.dims == ("time", "joint") and (shown >= 0).all() and (shown <= 1).all()
    assert shown.attrs["units"] == "1"
    straight = truth.straight.sel(joint="knee_right").values.astype(bool)
    bent = np.abs(truth.joint_angle.sel(dof="knee_right.y").values) > 40  # degree
    above = shown.sel(joint="hip_right").values
    assert straight.any() and bent.any()
    assert np.median(above[straight]) < 0.5 < 0.8 < np.median(above[bent])


def test_a_missing_point_hides_what_it_showed(solved):
    _, motion = solved
    late = motion.time.values > 1.0
    shown = motion.observability.sel(joint="elbow_left").values
    assert shown[late].max() < 0.1 and np.median(shown[~late]) > 0.9
