"""The open skeleton: bones, joints found on them, symmetry."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from kinepose_ocp.errors import ModelError
from kinepose_ocp.surface.body import open_body
from kinepose_ocp.surface.envelope import Envelope
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.skeleton import Bone, Skeleton, SkeletonJoint, open_skeleton

FLIP = np.array([1, -1, 1])
SIDED = ("sc", "ac", "gh", "elbow", "wrist", "hip", "knee", "ankle", "mtp")


@pytest.fixture(scope="module")
def skeleton():
    return open_skeleton()


def bone(skeleton, name):
    return next(each.mesh for each in skeleton.bones if each.name == name)


def test_all_bones_are_there_and_light(skeleton):
    assert len(skeleton.bones) == 102 and len(skeleton.parts) == 23 and len(skeleton.joints) == 22
    large = ("skull", "ribcage", "cervical")
    assert all(len(each.mesh.faces) <= (4000 if each.name in large else 700) for each in skeleton.bones)
    assert {each.part for each in skeleton.bones} == set(skeleton.parts)
    thorax = skeleton.part_mesh("thorax")
    assert len(thorax.vertices) == sum(len(each.mesh.vertices) for each in skeleton.bones_of("thorax"))


def test_parts_come_before_their_children(skeleton):
    order = {part: number for number, part in enumerate(skeleton.parts)}
    assert all(order[joint.parent] < order[joint.child] for joint in skeleton.joints)


def test_left_bones_mirror_the_right_ones(skeleton):
    for each in skeleton.bones:
        if each.name.endswith("_left"):
            twin = bone(skeleton, each.name.replace("_left", "_right"))
            np.testing.assert_allclose(each.mesh.vertices * FLIP, twin.vertices, atol=1e-7)


def test_nothing_of_the_logo_is_left_before_the_sternum(skeleton):
    ribs = bone(skeleton, "ribcage").vertices
    middle = ribs[np.abs(ribs[:, 1]) < 0.02]
    front = middle[middle[:, 0] > middle[:, 0].mean()]
    slope = np.polyfit(front[:, 2], front[:, 0], 1)
    assert np.ptp(front[:, 0] - np.polyval(slope, front[:, 2])) < 0.03  # one plate, not two behind each other


def test_joints_are_symmetric(skeleton):
    for name in SIDED:
        left, right = (skeleton.joint(f"{name}_{side}") for side in ("left", "right"))
        np.testing.assert_allclose(left.centre * FLIP, right.centre, atol=1e-9)
        np.testing.assert_allclose(left.axes * FLIP, right.axes * [[-1], [1], [1]], atol=1e-9)


def test_axes_are_right_handed_and_named_as_they_point(skeleton):
    for joint in skeleton.joints:
        np.testing.assert_allclose(joint.axes @ joint.axes.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(joint.axes) == pytest.approx(1.0, abs=1e-5)
        assert joint.axes[2, 2] > 0.9  # up
        if not joint.name.startswith("wrist"):  # turned with the forearm
            assert joint.axes[0, 1] < -0.8 and joint.axes[1, 0] > 0.8  # to the right, forward


@pytest.mark.parametrize(("joint", "name"), [("hip_right", "femur_right"), ("gh_left", "humerus_left")])
def test_heads_are_spheres_about_their_joint(skeleton, joint, name):
    """Vertices of the head, picked by direction alone, are equally far from the fitted centre."""
    vertices = bone(skeleton, name).vertices
    centre = skeleton.joint(joint).centre
    offset = vertices - centre
    distance = np.linalg.norm(offset, axis=1)
    medial = -np.sign(centre[1])
    pole = np.array([0, medial, 1 if joint.startswith("hip") else 0.6])
    head = (distance < 0.04) & (offset @ (pole / np.linalg.norm(pole)) > 0.55 * distance)
    assert head.sum() >= 12
    assert 0.021 < np.median(distance[head]) < 0.027  # m; about 24 mm in adults
    assert np.ptp(distance[head]) < 0.004


def test_the_femoral_head_sits_in_the_socket(skeleton):
    for side in ("left", "right"):
        far, _ = cKDTree(bone(skeleton, f"pelvis_{side}").vertices).query(
            skeleton.joint(f"hip_{side}").centre
        )
        assert 0.015 < far < 0.035


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_patella_lies_before_the_condyles_and_not_in_them(skeleton, side):
    """Cartilage of patella and groove, 2 to 4 mm each at most, is what keeps the bones apart."""
    pytest.importorskip("igl")
    patella, femur = (bone(skeleton, f"{name}_{side}") for name in ("patella", "femur"))
    knee = skeleton.joint(f"knee_{side}").centre
    condyles = femur.vertices[femur.vertices[:, 2] < knee[2] + 0.04]
    assert patella.vertices[:, 0].min() > condyles[:, 0].max()
    assert abs(patella.vertices[:, 1].mean() - knee[1]) < 0.01
    assert 0 < patella.vertices[:, 2].mean() - knee[2] < 0.03
    gaps = [
        Envelope(one).signed_distances(other.vertices).min()
        for one, other in ((femur, patella), (patella, femur))
    ]
    assert 0.001 < min(gaps) < 0.008  # m


def test_every_joint_lies_by_the_bones_it_joins(skeleton):
    for joint in skeleton.joints:
        for part in (joint.parent, joint.child):
            far, _ = cKDTree(skeleton.part_mesh(part).vertices).query(joint.centre)
            assert far < 0.04, (joint.name, part)


def test_hinge_axes_run_through_the_epicondyles(skeleton):
    for joint, part in (("knee_right", "femur_right"), ("elbow_left", "humerus_left")):
        found = skeleton.joint(joint)
        ends = [skeleton.landmark(part, f"epicondyle_{side}") for side in ("lateral", "medial")]
        np.testing.assert_allclose(found.centre, np.mean(ends, axis=0), atol=1e-5)
        across = np.cross(ends[0] - ends[1], found.axes[0])
        assert np.linalg.norm(across) < 3e-4 * np.linalg.norm(ends[0] - ends[1])  # stored to 0.01 mm


def test_lengths_are_those_of_a_person(skeleton):
    """Shares of the stature: Drillis and Contini (1966) as in Winter (2009), within a sixth."""
    everything = np.vstack([skeleton.part_mesh(part).vertices for part in skeleton.parts])
    stature = np.ptp(everything[:, 2]) * 1.02  # skin over the skull and under the heel
    at = {joint.name: joint.centre for joint in skeleton.joints}
    for first, second, share in (
        ("hip_right", "knee_right", 0.245),
        ("knee_right", "ankle_right", 0.246),
        ("gh_right", "elbow_right", 0.186),
        ("elbow_right", "wrist_right", 0.146),
    ):
        assert np.linalg.norm(at[first] - at[second]) / stature == pytest.approx(share, rel=1 / 6)
    spacing = np.linalg.norm(at["hip_left"] - at["hip_right"])
    assert 0.13 < spacing < 0.20


def test_rig_joints_are_those_of_the_open_body(skeleton):
    names = {joint.rig_joint for joint in skeleton.joints} - {None}
    assert names <= set(open_body().joint_names)
    assert all(joint.source for joint in skeleton.joints)


def test_bony_landmarks_lie_on_their_bones(skeleton):
    for mark in skeleton.landmarks:
        far, _ = cKDTree(skeleton.part_mesh(mark.part).vertices).query(mark.position)
        assert far < 0.015, mark.name


def test_unknown_names_are_answered_with_the_nearest(skeleton):
    with pytest.raises(ModelError, match="no joint 'hip_rigth' in the skeleton; did you mean 'hip_right'"):
        skeleton.joint("hip_rigth")
    with pytest.raises(ModelError, match="no part 'femur' in the skeleton; did you mean 'femur_"):
        skeleton.part_mesh("femur")
    with pytest.raises(ModelError, match="no landmark 'pelvis/asis' in the skeleton; did you mean 'pelvis/"):
        skeleton.landmark("pelvis", "asis")


def test_a_skeleton_of_unknown_parts_or_kinds_is_refused():
    mesh = Mesh(np.eye(3), [[0, 1, 2]])
    with pytest.raises(ModelError, match="no part 'arm' in the skeleton; possible: leg"):
        Skeleton(("leg",), (Bone("ulna", "arm", mesh),), ())
    joint = SkeletonJoint("knee", "leg", "leg", np.zeros(3), np.eye(3), "screw", None, "none")
    with pytest.raises(ModelError, match="joint 'knee' of kind 'screw'; possible: ball, hinge, loose"):
        Skeleton(("leg",), (), (joint,))
