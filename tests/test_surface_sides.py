"""Names with a side, on the names that body, skeleton and landmarks really have."""

import numpy as np
import pytest

from kinepose_ocp.surface.body import open_body
from kinepose_ocp.surface.sides import FLIP, sided, stem_and_side, stem_of, twin
from kinepose_ocp.surface.skeleton import open_skeleton


@pytest.mark.parametrize(
    ("name", "split", "other"),
    [
        ("upperarm_left", ("upperarm", "left"), "upperarm_right"),
        ("toe_big_right", ("toe_big", "right"), "toe_big_left"),
        ("head_top", ("head_top", ""), "head_top"),
        ("skull", ("skull", ""), "skull"),
    ],
)
def test_names_are_split_and_mirrored(name, split, other):
    assert stem_and_side(name) == split and stem_of(name) == split[0]
    assert sided(*split) == name and twin(name) == other


def test_twins_are_where_the_mirror_image_is():
    body, skeleton = open_body(), open_skeleton()
    for joint in skeleton.joints:
        np.testing.assert_allclose(skeleton.joint(twin(joint.name)).centre, FLIP @ joint.centre, atol=2e-3)
    for name, vertex in body.landmarks.items():
        there = body.template[body.landmark(twin(name))]
        np.testing.assert_allclose(there, FLIP @ body.template[vertex], atol=2e-3)
