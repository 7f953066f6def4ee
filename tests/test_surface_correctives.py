"""Pose correctives of the open body: limbs stay thick in bends, and what is added can be taken off again."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from surface_motion import both, rig_pose

from kinepose_ocp.surface.body import LinearBody, example_people, open_body
from kinepose_ocp.surface.correctives import bends_of, thickness_correctives

SQUAT = both("upperleg", 0, -110, 0) | both("lowerleg", 0, 120, 0) | both("lowerarm", 0, -60, 0)


@pytest.fixture(scope="module")
def body():
    return open_body()


@pytest.fixture(scope="module")
def plain(body):
    """The same body without correctives: linear blend skinning."""
    return body.plain


def tube():
    """A tube of radius 5 cm along x; beyond the origin it follows a joint there, blended over 8 cm."""
    along, around = np.linspace(-0.2, 0.2, 41), np.linspace(0, 2 * np.pi, 24, endpoint=False)
    x, angle = (each.ravel() for each in np.meshgrid(along, around, indexing="ij"))
    share = np.clip(0.5 + x / 0.08, 0, 1)
    return LinearBody(
        template=np.stack([x, 0.05 * np.cos(angle), 0.05 * np.sin(angle)], axis=1),
        shape_directions=np.zeros((len(x), 3, 1)),
        joint_template=np.array([[-0.2, 0, 0], [0, 0, 0]]),
        joint_directions=np.zeros((2, 3, 1)),
        weights=np.stack([1 - share, share], axis=1),
        parents=(-1, 0),
        faces=np.array([[0, 1, 2]]),
        joint_names=("root", "bend"),
    )


def volume(body, posed):
    corners = posed.vertices[body.faces]
    return np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6


def far_from(axis, points):
    return np.linalg.norm(np.cross(points, axis / np.linalg.norm(axis)), axis=1)


def test_a_bent_tube_stays_as_thick_as_it_was():
    thin, turns = tube(), np.radians(np.arange(-10, 141, 10))[:, None] * [0, 1, 0]
    thick = replace(thin, pose_directions=thickness_correctives(thin, [(1, turns)]), pose_feature="matrix")
    middle = np.abs(thin.template[:, 0]) < 1e-9
    for degrees in (35, 75, 125):
        turned = np.array([[0, 0, 0], [0, np.radians(degrees), 0]])
        before = far_from([0, 1, 0], thin.template[middle])
        blended, kept = (
            far_from([0, 1, 0], each.posed(rotations=turned).vertices[middle]) for each in (thin, thick)
        )
        np.testing.assert_allclose(blended, before * np.cos(np.radians(degrees / 2)), atol=1e-9)
        np.testing.assert_allclose(kept, before, rtol=0.08, atol=1e-4)


@pytest.mark.parametrize("number", range(8))
def test_hips_knees_and_elbows_keep_their_skin_at_its_distance(body, plain, number):
    joint, turns = list(bends_of(body.joint_names, body.joint_template))[number]
    carried = [joint]
    for child, parent in enumerate(body.parents):
        carried += [child] if parent in carried else []
    share = body.weights[:, carried].sum(1)
    middle = (share > 0.3) & (share < 0.7)
    turn = turns[np.linalg.norm(turns, axis=1).argmax()] * 0.9
    rotations = np.zeros((len(body.parents), 3))
    rotations[joint] = turn
    before = far_from(turn, body.template[middle] - body.joint_template[joint])
    drawn_in, kept = (
        far_from(turn, each.posed(rotations=rotations).vertices[middle] - body.joint_template[joint])
        for each in (plain, body)
    )
    assert np.median(drawn_in / before) < 0.75
    assert abs(np.median(kept / before) - 1) < 0.08


def test_a_squat_takes_less_of_the_volume(body, plain):
    for shape in (None, example_people()["woman, 30 years, light"]):
        pose = rig_pose(body, SQUAT)
        rest, squat, drawn_in = body.posed(shape), body.posed(shape, pose), plain.posed(shape, pose)
        assert volume(body, drawn_in) < 0.93 * volume(body, rest)
        assert abs(volume(body, squat) / volume(body, rest) - 1) < 0.04


def test_left_and_right_are_mirror_images(body):
    flip = np.array([1.0, -1, 1])
    left, right = (
        {f"{joint}_{side}": (0, 60, 0) for joint in ("upperleg", "lowerleg")} for side in ("left", "right")
    )
    one, other = (body.posed(rotations=rig_pose(body, pose)).vertices for pose in (left, right))
    distance = np.linalg.norm(np.sort(one * flip, axis=0) - np.sort(other, axis=0), axis=1)
    assert distance.max() < 1e-3


def test_without_correctives_a_pose_is_blended_linearly(body, plain):
    shape, pose = np.linspace(-1, 1, body.shape_count), rig_pose(body, SQUAT | {"root": (5, 20, 40)})
    wanted = plain.posed(shape, pose, np.array([1.0, 2, 3]))
    found = body.blended(body.posed(shape, pose, np.array([1.0, 2, 3])))
    np.testing.assert_allclose(found, wanted.vertices, atol=1e-9)
    assert body.blended(body.posed(shape)) == pytest.approx(body.posed(shape).vertices, abs=1e-12)
    np.testing.assert_array_equal(plain.blended(wanted), wanted.vertices)


def test_knees_bend_about_the_left_and_elbows_forward(body):
    for joint, turns in bends_of(body.joint_names, body.joint_template):
        name, most = body.joint_names[joint], Rotation.from_rotvec(turns[-1])
        if name.startswith("lowerleg"):
            assert turns[-1][1] > 2.4 and most.apply([0, 0, -1])[0] < 0  # the shank goes back
        if name.startswith("lowerarm"):
            assert most.apply([0, 0, -1])[0] > 0  # the forearm goes forward
