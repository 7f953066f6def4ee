"""The published frame-by-frame method, as a yardstick."""

import pytest

from kinepose_ocp.errors import DataError
from kinepose_ocp.metrics import rom_violation
from kinepose_ocp.slsqp_baseline import solve_slsqp
from kinepose_ocp.synthetic import measure, random_motion


def test_links_are_met_inside_the_rom(imvip22):
    truth = random_motion(imvip22, 3, 60, seed=3, straight=False)
    motion = solve_slsqp(imvip22, measure(truth))
    assert rom_violation(motion) == 0
    assert motion.sizes["time"] == 3
    assert float(motion["solve_seconds"]) > 0
    found, true = (
        ds["keypoint_position"] - ds["keypoint_position"].sel(keypoint="pelvis") for ds in (motion, truth)
    )
    assert float(abs(found - true).max()) < 0.02  # m; the chain's own lengths, no noise


def test_no_link_is_refused(imvip22, short_motion):
    with pytest.raises(DataError) as error:
        solve_slsqp(imvip22, short_motion[1].sel(keypoint=["hip_left", "head"]))
    assert str(error.value) == "no link of chain 'imvip22' has both its keypoints measured"
