"""Posing a placed skeleton: known motions come back, joints stay closed, sequences, mirror images."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from surface_motion import both, both_joints, mirror_image, rig_pose

from kinepose_ocp.errors import DataError, ModelError, SolveError
from kinepose_ocp.surface import posing
from kinepose_ocp.surface.body import Posed, example_people, open_body
from kinepose_ocp.surface.correctives import bends_of
from kinepose_ocp.surface.driven_skin import degrees_between, drive_skin
from kinepose_ocp.surface.parts_program import PartsProgram
from kinepose_ocp.surface.placement import placement_problem
from kinepose_ocp.surface.posing import PosingProblem, PosingWeights, pose, posing_problem
from kinepose_ocp.surface.quality import skeleton_quality
from kinepose_ocp.surface.skeleton import open_skeleton
from kinepose_ocp.surface.skeleton_dataset import skeleton_dataset, skeleton_poses
from kinepose_ocp.surface.skin_parts import Unblending, rig_motions

pytest.importorskip("igl")
FLIP = np.array([1.0, -1, 1])


@pytest.fixture(scope="module")
def body():
    return open_body()


@pytest.fixture(scope="module")
def rest(body):
    return body.posed()


@pytest.fixture(scope="module")
def placed(body, rest):
    return placement_problem(open_skeleton()).place(body, rest).placed


@pytest.fixture(scope="module")
def seat():
    return both("upperleg", 0, -85, 0) | both("lowerleg", 0, 85, 0) | both("upperarm", -30, -20, 0)


def test_the_rest_pose_stays(body, rest, placed):
    (found,) = pose(placed, body, rest, [rest])
    assert degrees_between(found.rotations, placed.rotations).max() < 0.05
    assert np.abs(found.translations - placed.translations).max() < 1e-4


def test_a_seated_body_has_its_bones_inside_and_joints_closed(body, rest, placed, seat):
    target = body.posed(None, rig_pose(body, seat))
    (found,) = pose(placed, body, rest, [target])
    measured = skeleton_quality(found, body.mesh(target))
    assert measured.inside_percent >= 98.5 and measured.beyond_percent <= 1
    assert measured.trunk_protrusion_mm <= 10
    assert measured.hard_gap_mm <= 0.1


@pytest.mark.parametrize("person", ["woman, 30 years, heavy", "man, 70 years, light"])
def test_a_squatting_body_has_its_bones_inside(body, person):
    """Kneecaps as well: skin that is drawn into a bent knee leaves them up to 29 mm outside."""
    shape, angles = example_people()[person], both("upperleg", 8, -115, 0) | {"root": (0, 25, 0)}
    angles |= {"spine04": (0, 12, 0), "spine03": (0, 18, 0), "spine02": (0, 12, 0)}
    rotations = rig_pose(body, angles)
    for joint, turns in bends_of(body.joint_names, body.joint_template):
        if body.joint_names[joint].startswith("lowerleg"):
            rotations[joint] = turns[-2]  # 130 degrees
    rest, target = body.posed(shape), body.posed(shape, rotations)
    placed = placement_problem(open_skeleton()).place(body, rest).placed
    (found,) = pose(placed, body, rest, [target])
    measured = skeleton_quality(found, body.mesh(target))
    assert measured.inside_percent >= 98.5 and measured.beyond_percent <= 1
    assert measured.trunk_protrusion_mm <= 10


def test_driven_skin_follows_the_bones_that_turn(body, rest, placed):
    skin, bones = drive_skin(body, rest, placed, {"knee_left": (-40, 0, 0)})
    knee = placed.skeleton.joint("knee_left")
    assert np.degrees(bones.hinge_angle(knee) - placed.hinge_angle(knee)) == pytest.approx(-40)
    turned = degrees_between(bones.rotations, placed.rotations) > 1e-3
    shank = [placed.part_index(f"{part}_left") for part in ("tibia", "foot", "toes")]
    assert np.flatnonzero(turned).tolist() == sorted(shank)
    np.testing.assert_allclose(bones.joint_ends()[:, 0], bones.joint_ends()[:, 1], atol=0.01)
    moved = np.linalg.norm(skin.vertices - rest.vertices, axis=1)
    heel, nail = body.landmark("heel_left"), body.landmark("dactylion_left")
    assert moved[heel] > 0.2 and moved[nail] == pytest.approx(0, abs=1e-9)
    with pytest.raises(ModelError, match=r"^no joint 'knee' in the skeleton; "):
        drive_skin(body, rest, placed, {"knee": (-40, 0, 0)})


def both_sides(angles):
    """Angles of joints of the right and left side."""
    return {f"{name}_{side}": values for name, values in angles.items() for side in ("right", "left")}


def test_known_motions_of_bones_are_found_from_the_skin_alone(body, rest, placed):
    problem = PosingProblem(placed.skeleton, PosingWeights(rig=np.inf))
    subject = problem.subject(body, rest, placed)
    motions = (
        {
            "hip_right": (-15, 0, 0),
            "hip_left": (30, 5, 0),
            "knee_right": (-40, 0, 0),
            "elbow_left": (25, 0, 0),
        },
        {"hip_right": (70, -5, 5), "knee_right": (-80, 0, 0), "l5s1": (-10, 3, 5), "t12l1": (-10, -2, 5)},
        both_sides({"hip": (90, 0, 0), "knee": (-110, 0, 0)}) | {"l5s1": (-15, 0, 0), "t12l1": (-15, 0, 0)},
    )
    pelvis = placed.part_index("pelvis")
    for angles in motions:
        target, truth = drive_skin(body, rest, placed, angles)
        (found,) = problem.frames(subject, [target])
        assert found.converged
        off = degrees_between(found.placed.rotations, truth.rotations)
        assert off[pelvis] < 3
        assert np.delete(off, pelvis).max() < 2


def test_motions_of_the_shoulder_girdle_are_found_from_the_skin_alone(body, rest, placed):
    """Scapulae stay on the ribs in them: a raised clavicle turns back, as it does in people.

    One joint of the rig moves the skin of clavicle and scapula, so both turn alike.
    """
    problem = PosingProblem(placed.skeleton, PosingWeights(rig=np.inf))
    subject = problem.subject(body, rest, placed)
    shrug = both_joints("sc", 9, 20, 0)
    overhead = shrug | both_joints("gh", 0, 75, 0)
    for angles in (shrug, both_joints("sc", 0, 0, -20), both_joints("gh", 0, 45, 0), overhead):
        target, truth = drive_skin(body, rest, placed, angles)
        lifted = problem.resting(truth)["rest"][-4:] - problem.resting(placed)["rest"][-4:]
        assert np.abs(lifted).max() < 0.006  # m, over the ribs
        (found,) = problem.frames(subject, [target])
        assert found.converged
        assert degrees_between(found.placed.rotations, truth.rotations).max() < 2


def test_a_pose_that_is_not_found_is_told_by_its_number(body, rest, placed, monkeypatch):
    frames = PosingProblem.frames

    def failing(problem, subject, targets):
        first, second = frames(problem, subject, targets)
        yield first
        yield replace(second, converged=False, status="too many iterations")

    monkeypatch.setattr(PosingProblem, "frames", failing)
    with pytest.raises(SolveError, match=r"^pose 2 of the skeleton was not found: too many iterations$"):
        pose(placed, body, rest, [rest, rest])


def test_hinges_bend_about_their_axis_only(body, rest, placed, seat):
    (found,) = pose(placed, body, rest, [body.posed(None, rig_pose(body, seat))])
    for name in ("knee_left", "elbow_right"):
        joint = placed.skeleton.joint(name)
        parent, child = (found.rotations[found.part_index(part)] for part in (joint.parent, joint.child))
        leaves = joint.axes @ parent.T @ child @ joint.axes[0]
        assert np.degrees(np.arccos(np.clip(leaves[0], -1, 1))) < 10  # laxities of 8 and 5 degrees


def test_a_mirrored_body_has_the_mirrored_skeleton(body, rest, placed):
    angles = {"upperleg_left": (0, -40, 0), "lowerleg_right": (0, 30, 0), "spine03": (0, 5, 10)}
    target = body.posed(None, rig_pose(body, angles))
    order = cKDTree(body.template).query(body.template * FLIP)[1]
    swap = [
        body.joint_index(name.replace("_left", "_#").replace("_right", "_left").replace("_#", "_right"))
        for name in body.joint_names
    ]
    flip = np.diag(FLIP)
    mirrored = Posed(
        target.vertices[order] * FLIP,
        flip @ target.joint_rotations[swap] @ flip,
        target.joint_positions[swap] * FLIP,
    )
    (one,) = pose(placed, body, rest, [target])
    (other,) = pose(placed, body, rest, [mirrored])
    expected = mirror_image(one)
    for part in placed.skeleton.parts:
        far = np.linalg.norm(other.part_mesh(part).vertices - expected.part_mesh(part).vertices, axis=1)
        assert far.max() < 1e-3, part
    assert degrees_between(other.rotations, expected.rotations).max() < 0.5


def test_a_sequence_starts_warm_is_smooth_and_builds_nothing(body, rest, placed, monkeypatch):
    problem = posing_problem(placed.skeleton)
    monkeypatch.setattr(PartsProgram, "_built", None)
    subject = problem.subject(body, rest, placed)
    phases = np.linspace(0, 1.2, 6)
    targets = [
        body.posed(None, rig_pose(body, {"upperleg_left": (0, -30 * p, 0), "lowerleg_left": (0, 40 * p, 0)}))
        for p in phases
    ]
    found = list(problem.frames(subject, targets))
    assert all(frame.converged for frame in found)
    thigh = placed.part_index("femur_left")
    turns = [degrees_between(frame.placed.rotations, placed.rotations)[thigh] for frame in found]
    np.testing.assert_allclose(turns, 30 * phases, atol=2)
    monkeypatch.setattr(posing, "INNER", 1)  # one solve a frame, as in a sequence
    cold = [next(problem.frames(subject, [target])).iterations for target in targets]
    warm = [frame.iterations for frame in found]
    assert sum(warm[1:]) < sum(cold[1:])


def test_unblending_finds_the_joints_of_the_rig(body, rest):
    bent = both("upperleg", 5, -60, 10) | {"spine03": (5, 20, -10)}
    for angles in (bent, bent | both("upperleg", 10, -120, 0) | both("lowerleg", 0, 135, 0)):
        target = body.posed(None, rig_pose(body, angles))
        found, truth = Unblending(body, rest)(target), rig_motions(rest, target)
        assert degrees_between(found.rotations, truth.rotations).max() < 1
        points = rest.joint_positions
        np.testing.assert_allclose(found.at(points), truth.at(points), atol=5e-3)


def test_a_dataset_keeps_the_skeleton(placed):
    dataset = skeleton_dataset([placed, placed], np.array([0.0, 0.1]))
    assert dataset.joint_centre.dims == ("time", "joint", "space") and dataset.joint_centre.units == "m"
    assert float(dataset.joint_gap.sel(joint="hip_left").max()) < 0.1
    again, skull = skeleton_poses(dataset, placed.skeleton)[1], placed.bone_mesh("skull")
    np.testing.assert_allclose(again.bone_mesh("skull").vertices, skull.vertices, atol=1e-12)
    axes = dataset.joint_axes.sel(joint="hip_left").isel(time=0).values
    assert np.linalg.norm(axes) == pytest.approx(1)


def test_datasets_that_do_not_fit_are_refused(placed):
    with pytest.raises(DataError, match="1 poses of a skeleton at 2 times"):
        skeleton_dataset([placed], np.zeros(2))
    dataset = skeleton_dataset([placed], np.zeros(1))
    with pytest.raises(DataError, match="no 'part_scale' in the dataset"):
        skeleton_poses(dataset.drop_vars("part_scale"), placed.skeleton)
