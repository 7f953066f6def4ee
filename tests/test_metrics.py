"""Errors and plausibility: known rotations, known curves, and refusals."""

import math
import re

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.transform import Rotation

from kinepose_ocp import metrics
from kinepose_ocp.chain_file import chain_from_yaml, load_chain
from kinepose_ocp.errors import DataError
from kinepose_ocp.metrics import (
    angular_error,
    coverage,
    geodesic,
    jitter,
    keypoint_error,
    lower_limb_joints,
    mpjas,
    rom_violation,
    straight_error,
    summary,
)
from kinepose_ocp.synthetic import mark_straight, measure, random_motion, true_motion


def refused(message):
    return pytest.raises(DataError, match=f"^{re.escape(message)}$")


def scalar_first(rotation):
    return rotation.as_quat()[..., [3, 0, 1, 2]]


@pytest.fixture(scope="module")
def chain():
    return load_chain("fullbody")


@pytest.fixture(scope="module")
def truth(chain):
    return random_motion(chain, 120, 60, seed=2)


@pytest.fixture(scope="module")
def moved(chain, truth):
    """Right hip turned about its own axis by 8 degrees more, at all times."""
    angles = truth["joint_angle"].copy()
    angles.loc[{"dof": "hip_right.rotation"}] += 8
    values = {
        str(name): angles.sel(dof=name).values for name in angles.dof.values if str(name) in chain.free_dofs
    }
    values |= {str(n): truth["joint_translation"].sel(translation=n).values for n in truth.translation.values}
    return true_motion(chain, values, 60)


# ---- predicted deviations
@pytest.fixture(scope="module")
def guessed(truth):
    """The truth, turned about random vectors drawn from the covariance that the motion states."""
    generator = np.random.default_rng(5)
    shape = truth.orientation_global.transpose("time", "joint", "quaternion").shape
    roots = generator.normal(size=(*shape[:2], 3, 3)) * [4.0, 2.0, 1.0]  # degree
    turns = np.radians(np.einsum("tjab,tjb->tja", roots, generator.normal(size=(*shape[:2], 3))))
    true = Rotation.from_quat(truth.orientation_global.values.reshape(-1, 4), scalar_first=True)
    turned = scalar_first(Rotation.from_rotvec(turns.reshape(-1, 3)) * true).reshape(shape)
    dims = ("time", "joint", "space", "space_other")
    shown = np.tile(np.arange(shape[1]) % 2 == 0, (shape[0], 1)).astype(float)
    return truth.assign(
        orientation_global=(("time", "joint", "quaternion"), turned),
        orientation_covariance=(dims, roots @ roots.swapaxes(-1, -2)),
        observability=(("time", "joint"), shown),
    )


def test_errors_drawn_from_the_covariance_are_covered(truth, guessed):
    for name, share in coverage(guessed, truth).items():
        assert share == pytest.approx(68.3 if "_1_" in name else 95.4, abs=2), name


def test_deviations_half_as_large_do_not_cover(truth, guessed):
    bold = guessed.assign(orientation_covariance=guessed.orientation_covariance / 4)
    for name, share in coverage(bold, truth).items():
        assert share == pytest.approx(38.3 if "_1_" in name else 68.3, abs=2.5), name


def test_predicted_error_is_that_of_rotation_vectors_drawn(guessed):
    generator = np.random.default_rng(6)
    parts = guessed.orientation_covariance.transpose("time", "joint", ...).values[3, 2]
    drawn = np.linalg.norm(generator.multivariate_normal(np.zeros(3), parts, 20000), axis=1)
    told = float(metrics.predicted_error(guessed).isel(time=3, joint=2))
    assert told == pytest.approx(np.sqrt(np.mean(drawn**2)), rel=0.02)


def test_coverage_needs_a_covariance(truth):
    with pytest.raises(DataError, match="motion has no variable 'orientation_covariance'"):
        coverage(truth, truth)


# ---- orientations
def test_geodesic_agrees_with_scipy_and_ignores_the_sign():
    generator = np.random.default_rng(1)
    q = generator.normal(size=(2, 50, 3, 4))
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    first, second = (Rotation.from_quat(a.reshape(-1, 4)[:, [1, 2, 3, 0]]).as_matrix() for a in q)
    trace = np.einsum("nij,nij->n", first, second)
    expected = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1))).reshape(50, 3)
    np.testing.assert_allclose(geodesic(*q), expected, atol=1e-5)
    np.testing.assert_allclose(geodesic(-q[0], q[1]), expected, atol=1e-5)
    assert geodesic(q[0], q[0]).max() < 1e-5


def test_geodesic_broadcasts_and_keeps_what_is_missing():
    turned = scalar_first(Rotation.from_rotvec(np.outer([0, 1e-4, 30, 180], [0, 0, 1]), degrees=True))
    np.testing.assert_allclose(geodesic(turned, [1, 0, 0, 0]), [0, 1e-4, 30, 180], atol=1e-9)
    assert geodesic([1, 0, 0, 0], [1, 0, 0, 0]).shape == ()
    turned[1] = np.nan
    np.testing.assert_allclose(geodesic(turned, [1, 0, 0, 0]), [0, np.nan, 30, 180], atol=1e-9)


def test_angular_error_of_a_known_rotation(truth, moved):
    local, over_all = angular_error(moved, truth, "local"), angular_error(moved, truth)
    assert local.dims == ("time", "joint") and local.attrs["units"] == "degree"
    np.testing.assert_allclose(local.sel(joint="hip_right"), 8, atol=1e-6)
    assert local.drop_sel(joint="hip_right").max() < 1e-5
    for joint in ("hip_right", "knee_right", "ankle_right", "toes_right"):  # all that hangs on it
        np.testing.assert_allclose(over_all.sel(joint=joint), 8, atol=1e-6)
    assert over_all.sel(joint=["pelvis", "hip_left", "head"]).max() < 1e-5


def test_frames_are_matched_by_time_and_joints_by_name(truth, moved):
    half = moved.isel(time=slice(None, None, 2), joint=slice(None, None, -1))
    shifted = half.assign_coords(time=half["time"] + 0.4 / 60)
    xr.testing.assert_allclose(
        angular_error(shifted, truth, "local").sel(joint="hip_right"),
        angular_error(half, truth, "local").sel(joint="hip_right").assign_coords(time=shifted["time"]),
    )
    assert angular_error(moved, truth.isel(time=slice(30, 60))).sizes["time"] == 30
    # a motion twice as fast meets the truth in every second frame only
    assert angular_error(moved, half).sizes["time"] == half.sizes["time"]
    assert angular_error(moved.isel(time=[7]), truth.isel(time=[7])).sizes["time"] == 1


def test_what_has_nothing_in_common_is_refused(truth):
    late = truth.assign_coords(time=truth["time"] + 10)
    with refused("motion and truth have no time in common: 10 to 11.9833 s and 0 to 1.98333 s"):
        angular_error(late, truth)
    with refused("motion and truth have no joint in common: pelvis; and head"):
        angular_error(truth.sel(joint=["pelvis"]), truth.sel(joint=["head"]))
    with refused("no frame 'word'; possible: global, local"):
        angular_error(truth, truth, "word")
    with refused("truth has no variable 'orientation_local'; did you mean 'orientation_global'?"):
        angular_error(truth, truth.drop_vars("orientation_local"), "local")
    with refused("motion and truth have no joint 'knee' in common; did you mean 'knee_left'?"):
        mpjas(truth, truth, "global", ["knee"])
    with refused("motion has no attribute 'chain_yaml', the text of the chain it was solved with"):
        mpjas(truth.drop_attrs(), truth)


def test_mpjas_is_the_mean_over_joints_that_turn(truth, moved):
    free = 23 - 3  # neither head nor toes have a free DOF
    assert mpjas(moved, truth, "local") == pytest.approx(8 / free)
    assert mpjas(moved, truth) == pytest.approx(3 * 8 / free)  # hip, knee, ankle
    assert mpjas(moved, truth, joints=["toes_right", "pelvis"]) == pytest.approx(4)
    assert mpjas(truth, truth) < 1e-5
    assert math.isnan(mpjas(truth, truth, "local", []))


@pytest.mark.parametrize("name", ["fullbody", "imvip22"])
def test_hips_and_knees_are_the_lower_limbs(name):
    expected = ["hip_left", "hip_right", "knee_left", "knee_right"]
    assert sorted(lower_limb_joints(load_chain(name))) == expected


def test_lower_limbs_are_found_along_the_up_axis_of_the_chain():
    joints = """
  - {name: root, parent: null}
  - {name: a, parent: root, offset: [0, -0.1, 0.2], dofs: [{name: r, rotation: [1, 0, 0]}]}
  - {name: b, parent: root, offset: [0, 0.3, 0.2], dofs: [{name: r, rotation: [1, 0, 0]}]}
  - {name: b2, parent: b, offset: [0, 0.6, 0]}
  - {name: b3, parent: b2, offset: [0, 0.1, 0], dofs: [{name: r, rotation: [1, 0, 0]}]}
keypoints: {tip: {joint: b3, offset: [0, 0.1, 0]}}
"""
    head = "schema: 1\nname: odd\nsource: made for this test\nframe: {forward: x, left: z, up: -y}\njoints:"
    assert lower_limb_joints(chain_from_yaml(head + joints)) == ["b", "b3"]


def test_straight_error_is_told_apart_from_bent(chain):
    bend = np.repeat([0, 60], 20)
    truth = mark_straight(
        chain,
        true_motion(
            chain,
            {
                "knee_left.flexion": bend,
                "elbow_left.flexion": 90,
                "knee_right.flexion": 90,
                "elbow_right.flexion": 90,
            },
            50,
        ),
        5,
    )
    wrong = np.repeat([30, 3], 20)
    motion = true_motion(chain, {"hip_left.rotation": wrong, "shoulder_left.rotation": 50}, 50)
    assert straight_error(motion, truth) == pytest.approx((30, 3))
    assert straight_error(motion.isel(time=slice(20, 40)), truth) == pytest.approx(
        (np.nan, np.nan), nan_ok=True
    )
    assert straight_error(motion.isel(time=slice(0, 20)), truth) == pytest.approx((30, np.nan), nan_ok=True)
    with refused("truth has no variable 'straight'; possible: " + ", ".join(motion.data_vars)):
        straight_error(motion, motion)


# ---- a motion by itself
def test_rom_violation_is_the_largest_excess(chain):
    angles = {"knee_left.flexion": [0, -10, 163], "hip_left.abduction": [-32, 0, 0], "pelvis.yaw": 500}
    assert rom_violation(true_motion(chain, angles, 50)) == pytest.approx(3)
    assert rom_violation(true_motion(chain, {"knee_left.flexion": [0, -10, 160]}, 50)) == pytest.approx(0)


def test_jitter_is_the_third_derivative_also_of_uneven_times(chain):
    for time in (np.arange(30) / 60, np.sort(np.random.default_rng(3).uniform(0, 1, 30))):
        path = 2 * time**3 - time**2 + 3
        motion = true_motion(chain, {"pelvis.x": path, "pelvis.z": path}, 60).assign_coords(time=time)
        assert jitter(motion) == pytest.approx(12 * math.sqrt(2), rel=1e-5)
        assert math.isnan(jitter(motion.isel(time=slice(3))))


def test_keypoint_error_counts_what_was_measured(chain, truth):
    seen = truth["keypoint_position"].copy()
    seen[:, 1] += [0.03, 0, 0.04]
    seen[:, 2:] = np.nan
    assert keypoint_error(truth.assign(keypoint_observed=seen)) == pytest.approx(0.05 / math.sqrt(2))
    noisy = measure(truth, noise=0.01)["position"]
    assert keypoint_error(truth.assign(keypoint_observed=noisy)) == pytest.approx(
        0.01 * math.sqrt(3), rel=0.03
    )
    with refused("motion has no variable 'keypoint_observed'; did you mean 'keypoint_position'?"):
        keypoint_error(truth)


def test_summary_names_every_metric(truth, moved):
    perfect = summary(truth.assign(keypoint_observed=truth["keypoint_position"]), truth)
    zero = {name: value for name, value in perfect.items() if name != "jitter"}
    assert max(zero.values()) < 1e-5
    found = summary(moved, truth)
    assert (
        list(found)
        == list(perfect)
        == [
            "mpjas_global",
            "mpjas_global_lower_limbs",
            "mpjas_local",
            "mpjas_local_lower_limbs",
            "straight_error",
            "bent_error",
            "rom_violation",
            "jitter",
            "keypoint_error",
        ]
    )
    assert found["mpjas_local_lower_limbs"] == pytest.approx(2)
    assert found["mpjas_global_lower_limbs"] == pytest.approx(4)
    assert math.isnan(found["keypoint_error"])
    assert all(type(value) is float for value in found.values())
    assert math.isnan(summary(truth, moved)["straight_error"])  # a truth that does not say
