"""Placing the skeleton in a body at rest: inside, closed joints, symmetry, one program for all bodies."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from surface_motion import mirror_image

from kinepose_ocp.errors import DataError, ModelError
from kinepose_ocp.surface.anthropometry import proportions
from kinepose_ocp.surface.body import LinearBody, example_people, open_body
from kinepose_ocp.surface.contacts import bony_points, landmark_pairs
from kinepose_ocp.surface.joint_geometry import placed_geometry
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.parts_program import PartsProgram
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton, part_origins
from kinepose_ocp.surface.placement import RestSkin, placement_problem
from kinepose_ocp.surface.quality import joint_gaps, overlap, skeleton_quality
from kinepose_ocp.surface.sides import twin
from kinepose_ocp.surface.skeleton import Bone, Skeleton, SkeletonJoint, open_skeleton

pytest.importorskip("igl")
SHAPES = (np.zeros(26), np.random.default_rng(4).normal(size=26) * 0.8)


@pytest.fixture(scope="module")
def body():
    return open_body()


@pytest.fixture(scope="module")
def skeleton():
    return open_skeleton()


@pytest.fixture(scope="module")
def placements(body, skeleton):
    problem = placement_problem(skeleton)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartsProgram, "_built", None)  # built once for all bodies
        return [problem.place(body, body.posed(shape)) for shape in SHAPES]


@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_bones_lie_inside_the_skin_and_joints_are_closed(body, placements, number):
    placement = placements[number]
    found = skeleton_quality(placement.placed, body.mesh(body.posed(SHAPES[number])))
    assert placement.converged
    assert found.inside_percent >= 98.5 and found.beyond_percent <= 1
    assert found.trunk_protrusion_mm <= 10
    assert found.hard_gap_mm <= 0.1


def test_parts_turn_no_farther_than_allowed(body, skeleton, placements):
    """From a femur turned by half a radian about its length, which would turn back at once."""
    problem, rest = placement_problem(skeleton), body.posed(SHAPES[0])
    placed, part = placements[0].placed, skeleton.parts.index("femur_left")
    turns = placed.rotations.copy()
    turns[part] = turns[part] @ Rotation.from_rotvec([0, 0, 0.5]).as_matrix()
    start = PlacedSkeleton(skeleton, turns, placed.translations, placed.scales)
    table, numbers = RestSkin(problem, body, rest).table(start), {"size": np.zeros(len(skeleton.parts))}
    for farthest, least, most in ((np.inf, 0.4, np.inf), (0.1, 0.0, 0.1)):
        found = problem.program.solve(start, table, numbers, farthest).placed
        turned = Rotation.from_matrix(np.swapaxes(turns, 1, 2) @ found.rotations).as_rotvec()
        assert np.abs(turned[part]).max() > least and np.abs(turned).max() < most + 1e-6


def test_left_and_right_have_the_same_scales_and_mirrored_places(placements):
    for placement in placements:
        placed = placement.placed
        mirrored = mirror_image(placed)
        for part in placed.skeleton.parts:
            number, other = placed.part_index(part), placed.part_index(twin(part))
            np.testing.assert_allclose(placed.scales[number], placed.scales[other], atol=1e-9)
            one, other = placed.part_mesh(part), mirrored.part_mesh(part)
            assert np.linalg.norm(one.vertices - other.vertices, axis=1).max() < 1e-3, part


def test_expected_sizes_draw_the_scales(body, placements, skeleton):
    """Longer thighs are expected: femora are scaled up, as far as the skin lets them, and little else."""
    wanted = {"femur_left": 1.2, "femur_right": 1.2}
    longer = placement_problem(skeleton).place(body, body.posed(SHAPES[0]), wanted).placed
    growth = np.log(longer.scales / placements[0].placed.scales)
    femora = [longer.part_index(part) for part in wanted]
    others = np.delete(np.arange(len(growth)), femora)
    assert (growth[femora] > 0.005).any(1).all() and (growth[femora] > -0.005).all()
    assert np.abs(growth[others]).mean() < 0.1 * np.abs(growth[femora]).mean()


def test_bony_points_lie_at_their_depth(body, placements, skeleton):
    placed = placements[0].placed
    vertices = body.posed(SHAPES[0]).vertices
    top = placed.landmark("skull", "vertex")
    assert 0.003 < vertices[:, 2].max() - top[2] < 0.012
    shin = placed.landmark("tibia_right", "tibial_tuberosity")
    assert 0.002 < np.linalg.norm(vertices - shin, axis=1).min() < 0.025


@pytest.mark.parametrize(
    "person", ["girl, 10 years, light", "man, 30 years, light", "woman, 70 years, heavy"]
)
def test_a_hand_reaches_from_the_wrist_to_the_fingertips(body, skeleton, person):
    """Against the skin's own tips; scales against the stature's; most of the fingers in the skin's."""
    rest = body.posed(example_people()[person])
    placed = placement_problem(skeleton).place(body, rest).placed
    for side in ("left", "right"):
        for name, most in (("dactylion", 0.009), ("thumb_tip", 0.015)):
            tip = rest.vertices[body.landmark(f"{name}_{side}")]
            assert np.linalg.norm(placed.landmark(f"hand_{side}", name) - tip) < most, name
        bones = np.vstack([skeleton.part_mesh(part).vertices for part in skeleton.parts])
        size = np.ptp(rest.vertices[:, 2]) / np.ptp(bones[:, 2])
        shares = placed.scales[placed.part_index(f"hand_{side}")] / size
        assert shares.min() > 0.8 and shares.max() < 1.2
    assert skeleton_quality(placed, body.mesh(rest)).inside_of["hand_left"] > 94


@pytest.mark.parametrize(
    "person", ["girl, 10 years, light", "woman, 30 years, heavy", "man, 70 years, light"]
)
def test_segments_of_people_are_as_long_as_published(body, skeleton, person):
    """Children's heads are larger than adults', of whom alone lengths are published here."""
    rest = body.posed(example_people()[person])
    placed = placement_problem(skeleton).place(body, rest).placed
    marks = {name: rest.vertices[vertex] for name, vertex in body.landmarks.items()}
    found = proportions(placed_geometry(placed, marks), np.ptp(rest.vertices[:, 2]))
    outside = {one.segment.partition(" (")[0]: one.outside for one in found}
    assert len(outside) == 8
    if person.startswith("girl"):
        assert 10 < outside.pop("head and neck") < 20
    assert max(abs(percent) for percent in outside.values()) < 5


@pytest.mark.parametrize("person", ["boy, 10 years, light", "man, 70 years, heavy"])
def test_thighs_are_not_twisted_and_bend_where_the_rig_does(body, skeleton, person):
    """Shins and calves of these people alone would turn the thighs inward by up to 23 degrees."""
    rest = body.posed(example_people()[person])
    placed = placement_problem(skeleton).place(body, rest).placed
    forward = placed.rotations[placed.part_index("femur_left")] @ [1.0, 0, 0]
    assert abs(np.degrees(np.arctan2(forward[1], forward[0]))) < 5
    centres = dict(zip([joint.name for joint in skeleton.joints], placed.joint_centres(), strict=True))
    for name, joint in (("hip_left", "upperleg_left"), ("knee_left", "lowerleg_left")):
        off = centres[name] - rest.joint_positions[body.joint_index(joint)]
        assert np.hypot(off[0], off[2]) < 0.01, name


def test_points_of_a_hand_lie_in_its_palm(skeleton):
    """Fingers are bent and spread otherwise in another body, so they must not say where the hand is."""
    samples = placement_problem(skeleton).samples
    for side in ("left", "right"):
        mine = samples.positions[samples.of(skeleton.parts.index(f"hand_{side}"))]
        knuckles = [skeleton.landmark(f"hand_{side}", f"metacarpal_{number}") for number in (2, 3, 5)]
        assert len(mine) >= 40 and mine[:, 2].min() > min(knuckle[2] for knuckle in knuckles) - 0.004


def test_a_taller_body_has_longer_bones(placements, body):
    lengths = []
    for placement in placements:
        centres = dict(
            zip(
                [joint.name for joint in placement.placed.skeleton.joints],
                placement.placed.joint_centres(),
                strict=True,
            )
        )
        lengths.append(np.linalg.norm(centres["hip_left"] - centres["knee_left"]))
    statures = [np.ptp(body.posed(shape).vertices[:, 2]) for shape in SHAPES]
    assert np.sign(lengths[1] - lengths[0]) == np.sign(statures[1] - statures[0])
    assert 0.2 < lengths[0] / statures[0] < 0.29  # 0.245 in Drillis & Contini (1966)


def test_a_part_moves_by_scale_then_rotation_then_translation(skeleton):
    count = len(skeleton.parts)
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    placed = PlacedSkeleton(
        skeleton,
        np.tile(turn, (count, 1, 1)),
        np.tile([1.0, 2, 3], (count, 1)),
        np.tile([2.0, 1, 1], (count, 1)),
    )
    origin = placed.origins[placed.part_index("pelvis")]
    np.testing.assert_allclose(placed.at("pelvis", origin + np.array([1, 0, 0])), [1, 4, 3], atol=1e-12)
    assert joint_gaps(placed)["hip_left"] > 1


def test_a_bone_with_the_name_of_its_part_is_not_the_part(placements, skeleton):
    placed = placements[0].placed
    bones = {bone.name: bone.mesh for bone in skeleton.bones_of("tibia_right")}
    assert set(bones) == {"tibia_right", "fibula_right", "patella_right"}
    tibia, shank = placed.bone_mesh("tibia_right"), placed.part_mesh("tibia_right")
    np.testing.assert_allclose(tibia.vertices, placed.at("tibia_right", bones["tibia_right"].vertices))
    assert len(shank.vertices) == sum(len(mesh.vertices) for mesh in bones.values())
    assert len(shank.faces) == sum(len(mesh.faces) for mesh in bones.values())


def test_unknown_names_and_wrong_arrays_are_refused(placements, skeleton):
    placed = placements[0].placed
    with pytest.raises(DataError, match="no part 'patella_left' in the skeleton; "):
        placed.part_mesh("patella_left")
    with pytest.raises(DataError, match="no bone 'femur' in the skeleton; did you mean 'femur_"):
        placed.bone_mesh("femur")
    with pytest.raises(
        DataError, match=r"rotations of a placed skeleton must be \(23, 3, 3\) finite numbers"
    ):
        PlacedSkeleton(skeleton, np.eye(3), placed.translations, placed.scales)


def test_a_rig_without_known_joints_is_refused(body, skeleton):
    names = tuple(f"bone{number}" for number in range(len(body.parents)))
    other = LinearBody(
        body.template,
        body.shape_directions,
        body.joint_template,
        body.joint_directions,
        body.weights,
        body.parents,
        body.faces,
        names,
    )
    with pytest.raises(ModelError, match="no joint of the body pairs with one of the skeleton"):
        placement_problem(skeleton).place(other, other.posed())


def test_contacts_and_landmarks_are_on_both_sides(skeleton, body):
    bony, pairs = bony_points(skeleton), landmark_pairs(skeleton)
    for points in (bony.positions, pairs.positions):
        mirrored = points * [1, -1, 1]
        far = np.linalg.norm(points[:, None] - mirrored, axis=2).min(1)
        assert far.max() < 0.002
    assert set(pairs.names) <= set(body.landmarks)
    assert len(set(pairs.names)) == len(pairs.names) == 4 + 2 * 14


def box(*size):
    trimesh = pytest.importorskip("trimesh")
    made = trimesh.creation.box(size).subdivide().subdivide()
    return Mesh(np.asarray(made.vertices), np.asarray(made.faces))


def test_boxes_overlap_by_the_depth_of_the_deepest_corner():
    first = box(0.1, 0.1, 0.1)
    second = first.with_vertices(first.vertices + np.array([0.08, 0, 0]))
    assert overlap(first, second) == pytest.approx(0.02, abs=1e-6)
    assert overlap(first, first.with_vertices(first.vertices + 1)) == 0
    assert overlap(first, first.with_vertices(first.vertices + np.array([0.1001, 0, 0]))) == 0


def test_a_bone_that_is_pushed_into_its_neighbour_is_measured():
    """Two boxes of 10 cm, the upper one pushed down by 12 mm; by the name of their joint."""
    bones = tuple(
        Bone(name, name, mesh.with_vertices(mesh.vertices + np.array([0, 0, height])))
        for name, mesh, height in (("leg", box(0.1, 0.1, 0.1), 0.05), ("trunk", box(0.2, 0.2, 0.1), 0.15))
    )
    joint = SkeletonJoint("hip", "trunk", "leg", np.array([0, 0, 0.1]), np.eye(3), "ball", None, "none")
    skeleton = Skeleton(("trunk", "leg"), bones, (joint,))
    at = part_origins(skeleton)
    skin, none = box(2, 2, 2), np.tile(np.eye(3), (2, 1, 1))
    for pushed, wanted in ((0.0, 0.0), (0.012, 12.0)):
        moved = at - np.array([[0, 0, pushed], [0, 0, 0]])
        found = skeleton_quality(PlacedSkeleton(skeleton, none, moved, np.ones((2, 3))), skin)
        assert found.overlap_of == {"hip": pytest.approx(wanted, abs=1e-6)}
