"""Segment lengths from keypoints of a subject of another size."""

import numpy as np
import pytest

import kinepose_ocp as kp
from kinepose_ocp.lengths import with_estimated_lengths
from kinepose_ocp.synthetic import measure, random_motion


def length(chain, joint):
    return float(np.linalg.norm(chain.joints[chain.joint_names.index(joint)].offset))


@pytest.fixture(scope="module")
def subject(imvip22):
    changes = {"knee": 0.47, "ankle": 0.40, "elbow": 0.33, "wrist": 0.22, "hip": 0.11}
    return imvip22.with_lengths(
        {f"{name}_{side}": m for name, m in changes.items() for side in ("left", "right")}
    )


def test_exact_without_noise(imvip22, subject):
    found = with_estimated_lengths(imvip22, measure(random_motion(subject, 60, 60, seed=1)))
    for joint in ("knee_right", "ankle_left", "elbow_left", "wrist_right", "hip_left"):
        assert length(found, joint) == pytest.approx(length(subject, joint), rel=0.002)


def test_robust_against_noise_and_gaps(imvip22, subject):
    keypoints = measure(random_motion(subject, 120, 60, seed=2), noise=0.01, missing=0.1, seed=5)
    keypoints.position.loc[{"keypoint": "wrist_left", "time": keypoints.time[:12]}] += 2.0
    found = with_estimated_lengths(imvip22, keypoints)
    for joint in ("knee_right", "ankle_left", "elbow_left", "wrist_right"):
        assert length(found, joint) == pytest.approx(length(subject, joint), rel=0.03)


def test_noise_does_not_make_short_segments_longer(imvip22, subject):
    """A pair 0.1 m apart looks longer by 2 sigma^2 / 0.1 m = 4.5 mm at 15 mm of noise."""
    short = subject.with_lengths({"hip_right": 0.10, "hip_left": 0.10})
    keypoints = measure(random_motion(short, 400, 60, seed=2), noise=0.015, seed=5)
    apart = keypoints.position.sel(keypoint="hip_right") - keypoints.position.sel(keypoint="pelvis")
    assert np.mean(np.linalg.norm(apart, axis=1)) > 0.1035
    found = with_estimated_lengths(imvip22, keypoints)
    assert length(found, "hip_right") == pytest.approx(0.10, abs=0.0025)


def test_left_equals_right_unless_asked_otherwise(imvip22, subject):
    uneven = subject.with_lengths({"knee_left": 0.40, "knee_right": 0.50})
    keypoints = measure(random_motion(uneven, 60, 60, seed=1))
    same = with_estimated_lengths(imvip22, keypoints)
    assert length(same, "knee_left") == pytest.approx(length(same, "knee_right"), rel=1e-9)
    own = with_estimated_lengths(imvip22, keypoints, symmetric=False)
    assert length(own, "knee_left") == pytest.approx(0.40, rel=0.01)
    assert length(own, "knee_right") == pytest.approx(0.50, rel=0.01)


def test_chain_that_data_do_not_show_scales_with_the_body():
    chain = kp.load_chain("fullbody")
    lengths = {
        joint.name: 1.2 * float(np.linalg.norm(joint.offset)) for joint in chain.joints if any(joint.offset)
    }
    big = chain.with_lengths(lengths)
    names = [
        "pelvis",
        *(f"{n}_{s}" for n in ("hip", "knee", "ankle", "shoulder", "elbow") for s in ("left", "right")),
    ]
    found = with_estimated_lengths(chain, measure(random_motion(big, 60, 60, seed=4), names))
    assert length(found, "wrist_left") == pytest.approx(1.2 * length(chain, "wrist_left"), rel=0.05)
