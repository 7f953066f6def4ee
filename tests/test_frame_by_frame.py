"""Frame by frame: the same terms without memory."""

import numpy as np
import pytest

import kinepose_ocp as kp
from kinepose_ocp import metrics
from kinepose_ocp.frame_by_frame import solve_frames


def test_finds_the_truth_without_noise(imvip22, short_motion):
    truth, keypoints = short_motion
    motion = solve_frames(imvip22, keypoints)
    assert motion.attrs["solver"] == "ipopt, frame by frame"
    assert list(motion.term.values) == ["LinkDirection"]
    assert metrics.mpjas(motion, truth, "local") < 1
    assert metrics.rom_violation(motion) <= np.degrees(1e-6)


def test_needs_a_term_of_one_frame(imvip22, short_motion):
    with pytest.raises(kp.KineposeError, match="needs a term that sees one frame"):
        solve_frames(imvip22, short_motion[1], [kp.AngularVelocity()])
