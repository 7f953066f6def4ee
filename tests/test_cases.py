"""The boundary cases: seeded, inside what they promise, and apart from the seeds of tuning."""

import numpy as np
import pytest
import xarray as xr

from kinepose_ocp import case_motions as motions
from kinepose_ocp import cases, cli
from kinepose_ocp.cases import CASES, EVALUATION_SEED, QUICK, TUNING_SEEDS, choose
from kinepose_ocp.errors import KineposeError
from kinepose_ocp.evaluate import METRICS
from kinepose_ocp.handedness import seems_mirrored
from kinepose_ocp.io import write
from kinepose_ocp.synthetic import limb_hinges, measure, random_motion
from kinepose_ocp.walk_throw import walk_throw

SMALL = [case for case in CASES if case.name not in ("rate-1000-hz", "rate-240-hz")]


def test_names_are_unique_and_limits_are_of_known_metrics():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert set(QUICK) <= set(names)
    assert {metric for case in CASES for metric in case.limits} | set(cases.ALWAYS) <= set(METRICS)


def test_evaluation_never_uses_a_seed_of_tuning():
    assert all(case.seed >= EVALUATION_SEED and case.seed not in TUNING_SEEDS for case in CASES)


@pytest.mark.parametrize("name", QUICK)
def test_a_case_is_seeded(name):
    keypoints, other = one(name).keypoints, choose([name])[0].sample(0).keypoints
    xr.testing.assert_identical(keypoints, one(name).keypoints)
    assert not np.array_equal(keypoints["position"].values, other["position"].values)


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_a_case_is_complete(case):
    chain, keypoints, truth = case.sample()
    assert set(map(str, keypoints["keypoint"].values)) <= set(chain.keypoints)
    assert keypoints.sizes["time"] == truth.sizes["time"]
    assert set(map(str, truth["joint"].values)) == set(chain.joint_names)


def test_a_wrong_name_names_the_nearest():
    with pytest.raises(KineposeError) as error:
        choose(["genral"])
    assert str(error.value) == "no case 'genral'; did you mean 'general'?"


# ---- what a case promises ------------------------------------------------------------------------
def inside(sample):
    """Largest excess of the truth over the ROMs of the chain that solves [degree]."""
    chain, _, truth = sample
    angle = truth["joint_angle"].sel(
        dof=[name for name, dof in chain.free_dofs.items() if not dof.translates]
    )
    limits = [[getattr(chain.dofs[str(n)], side) for n in angle["dof"].values] for side in ("lower", "upper")]
    lower, upper = np.degrees(limits)
    return float(np.maximum(lower - angle.values, angle.values - upper).max())


def one(name):
    return choose([name])[0].sample()


def test_limits_of_the_rom_are_touched_and_left_as_said():
    assert inside(one("rom-along")) == pytest.approx(0, abs=1e-9)
    assert inside(one("rom-at")) == pytest.approx(0, abs=1e-9)
    assert 5 < inside(one("rom-beyond")) <= 10
    assert inside(one("hyperextended")) == pytest.approx(15, abs=0.1)


def test_straight_limbs_stay_straight():
    for name in ("straight", "straight-imvip22"):
        chain, _, truth = one(name)
        assert truth["straight"].any("time").sum() == len(limb_hinges(chain)) == 4


def test_the_root_turns_three_times():
    yaw = one("turning").truth["joint_angle"].sel(dof="pelvis.yaw")
    assert float(yaw[-1] - yaw[0]) == pytest.approx(1080, abs=40)


def test_rates_sample_the_same_motion():
    slow, fast = (one(f"rate-{rate}-hz").truth for rate in (15, 60))
    np.testing.assert_allclose(slow["joint_angle"], fast["joint_angle"][::4], atol=1e-9)


def test_points_are_missing_and_off_as_said():
    gone = one("limb-gone").keypoints["position"].isnull().any("space").sum("time")
    assert gone.sel(keypoint="wrist_right") == gone.sel(keypoint="elbow_right") == pytest.approx(60, abs=1)
    assert gone.sum() == gone.sel(keypoint=["wrist_right", "elbow_right"]).sum()
    _, keypoints, truth = one("outliers")
    modelled = truth["keypoint_position"].sel(keypoint=keypoints["keypoint"])
    far = np.linalg.norm(keypoints["position"].values - modelled.values, axis=2) > 0.2
    assert far.mean() == pytest.approx(0.02, abs=0.01)


def test_only_the_root_is_free():
    chain = one("only-root").chain
    assert {name.partition(".")[0] for name in chain.free_dofs} == {"pelvis"}


# ---- left and right ------------------------------------------------------------------------------
@pytest.mark.parametrize("model", ["imvip22", "fullbody"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_swap_is_noticed_and_a_proper_motion_is_not_blamed(model, seed):
    assert not seems_mirrored(*motions.randomly(model, 40, seed)[:2])
    assert seems_mirrored(*motions.swapped(model, 40, seed)[:2])


def test_axes_that_are_left_handed_are_noticed(imvip22):
    keypoints = measure(random_motion(imvip22, 40, 60, seed=3), noise=0.005)
    keypoints["position"] = keypoints["position"] * xr.DataArray([1.0, 1.0, -1.0], dims="space")
    assert seems_mirrored(imvip22, keypoints)


def test_walking_and_throwing_is_not_blamed_also_with_gaps():
    chain = motions.load_chain("fullbody")
    keypoints = measure(walk_throw(chain), noise=0.01, missing=0.2)
    assert not seems_mirrored(chain, keypoints)


def test_the_command_line_says_so(tmp_path, capsys):
    write(motions.swapped("imvip22", 20, seed=1).keypoints, tmp_path / "points.csv")
    arguments = ["solve", tmp_path / "points.csv", "--model", "imvip22", "-o", tmp_path / "motion.nc"]
    with pytest.raises(SystemExit):
        cli.main([*map(str, arguments), "--smoothness", "2000"])
    note = "note: the points look like a mirror image: left and right swapped, or axes that are left-handed"
    assert note in capsys.readouterr().err


def test_nothing_is_said_of_points_that_show_nothing(imvip22, short_motion):
    few = short_motion[1].sel(keypoint=["pelvis", "hip_right", "hip_left"])
    assert not seems_mirrored(imvip22, few)
