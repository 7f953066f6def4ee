"""What registration is made of: derivatives, closest points, joint limits, starts, rims."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from kinepose_ocp.surface.body import LinearBody, open_body
from kinepose_ocp.surface.body_fit import BodyFit, BodyState, NormalEquations
from kinepose_ocp.surface.correspondence import Surface, sampled, spread_vertices
from kinepose_ocp.surface.mesh import Mesh
from kinepose_ocp.surface.orientation import world_rotations
from kinepose_ocp.surface.pose_limits import pose_limits
from kinepose_ocp.surface.registration_starts import POSES_DEG, pose_rotations, ranked_starts
from kinepose_ocp.surface.same_topology import first_state, joint_turns


@pytest.fixture(scope="module")
def body():
    return open_body()


@pytest.fixture(scope="module")
def fit(body):
    return BodyFit(body, 60)


def some_state(body, seed=1):
    random = np.random.default_rng(seed)
    joints = len(body.parents)
    return BodyState(
        random.normal(size=body.shape_count), random.normal(size=(joints, 3)) * 0.3, random.normal(size=3)
    )


def square(holes=()):
    """A flat square of 1 m in the plane z = 0, 10 by 10 cells, without some of its faces."""
    first = (np.arange(10)[:, None] * 11 + np.arange(10)).ravel()
    faces = np.vstack([np.c_[first, first + 11, first + 12], np.c_[first, first + 12, first + 1]])
    x, y = np.divmod(np.arange(121), 11)
    return Mesh(np.c_[x, y, 0 * x] / 10, np.delete(faces, list(holes), axis=0))


def test_derivatives_agree_with_differences(body, fit):
    state, step = some_state(body), 1e-6
    moved = fit.moved(state)
    assert np.allclose(
        moved.vertices, body.posed(state.shape, state.rotations, state.translation).vertices[fit.vertices]
    )
    shapes = body.shape_count
    for column in (0, shapes - 1, shapes, shapes + 2, shapes + 3 * 8 + 1, fit.size - 3, fit.size - 1):
        change = np.zeros(fit.size)
        change[column] = step
        both = [fit.placed(state.moved(sign * change))[0] for sign in (1, -1)]
        assert np.allclose(moved.jacobian[:, :, column], (both[0] - both[1]) / (2 * step), atol=1e-7)


def test_normals_follow_the_pose(body, fit):
    state = BodyState(np.zeros(body.shape_count), some_state(body).rotations, np.zeros(3))
    wanted = body.mesh(body.posed(rotations=state.rotations)).vertex_normals()[fit.vertices]
    assert np.median((fit.moved(state).normals * wanted).sum(1)) > 0.99


def test_landmarks_come_first_among_the_vertices(body, fit):
    for name, vertex in body.landmarks.items():
        assert fit.vertices[fit.landmark_rows[name]] == vertex


def test_normal_equations_are_those_of_least_squares():
    random = np.random.default_rng(0)
    rows, residuals, weights = random.normal(size=(20, 4)), random.normal(size=20), random.uniform(1, 2, 20)
    equations = NormalEquations.empty(4)
    equations.add(rows, residuals, weights)
    root = np.sqrt(weights)
    wanted = np.linalg.lstsq(rows * root[:, None], -residuals * root, rcond=None)[0]
    assert np.allclose(equations.step(0.0), wanted, atol=1e-7)
    held = np.r_[0, 0, np.linalg.lstsq((rows * root[:, None])[:, 2:], -residuals * root, rcond=None)[0]]
    assert np.allclose(equations.step(0.0, held=2), held, atol=1e-7)


def test_a_step_turns_joints_only_so_far(body):
    state = BodyState(np.zeros(body.shape_count), np.zeros((len(body.parents), 3)), np.zeros(3))
    moved = state.moved(np.full(body.shape_count + 3 * len(body.parents) + 3, 10.0))
    assert np.linalg.norm(moved.rotations, axis=1).max() == pytest.approx(0.4)
    assert moved.shape.max() == 6


def test_a_joint_without_skin_does_not_turn(body):
    toe, foot = body.joint_index("toe_left"), body.joint_index("foot_left")
    weights = body.weights.copy()
    weights[:, foot] += weights[:, toe]
    weights[:, toe] = 0
    turns = joint_turns(body.template, replace(body, weights=weights))
    np.testing.assert_allclose(turns, np.tile(np.eye(3), (len(turns), 1, 1)), atol=1e-9)


def test_a_template_that_is_turned_is_turned_back(body):
    turn = Rotation.from_rotvec([0.5, 2.0, -1.0])
    wanted = turn.apply(body.template) + np.array([1, 2, 3])
    state = first_state(wanted, body)
    assert np.allclose(Rotation.from_rotvec(state.rotations[0]).as_matrix(), turn.as_matrix())
    assert np.abs(state.rotations[1:]).max() < 1e-6
    posed = body.posed(state.shape, state.rotations, state.translation)
    assert np.allclose(posed.vertices, wanted, atol=1e-6)


# ---- limits and starts -----------------------------------------------------------------------------
def test_limits_mirror_each_other(body):
    limits = pose_limits(body)
    rotations = some_state(body).rotations
    mirrored = rotations.copy()
    for joint, name in enumerate(body.joint_names):
        other = name.replace("left", "_").replace("right", "left").replace("__", "_right")
        mirrored[body.joint_index(other)] = rotations[joint] * [-1, 1, -1]
    there, back = (np.abs(limits.excess(3 * turned)).sum() for turned in (rotations, mirrored))
    assert there == pytest.approx(back, rel=1e-4) and there > 0


@pytest.mark.parametrize("name", POSES_DEG)
def test_starts_are_within_the_limits(body, name):
    limits = pose_limits(body)
    rotations = pose_rotations(body, POSES_DEG[name])
    assert np.abs(limits.excess(rotations)).max() == 0


def test_flexion_bends_the_elbow(body):
    limits, elbow = pose_limits(body), body.joint_index("lowerarm_right")

    def bend(flexion):
        rotations = np.zeros((len(body.parents), 3))
        rotations[elbow] = flexion * limits.axes[elbow, 0]
        at = body.posed(rotations=rotations).joint_positions
        upper, lower = at[elbow] - at[elbow - 1], at[elbow + 1] - at[elbow]
        return np.arccos(upper @ lower / np.linalg.norm(upper) / np.linalg.norm(lower))

    assert bend(0.5) - bend(0.0) == pytest.approx(0.5, abs=1e-6)


LIMBS = {"upperarm": "lowerarm", "lowerarm": "wrist", "upperleg": "lowerleg", "lowerleg": "foot"}


def t_pose_body():
    """A body of a few vertices that rests in a T pose: arms straight to the sides, legs straight down."""
    at = {"root": (None, (0, 0, 0)), "spine01": ("root", (0, 0, 0.35))}
    for side, sign in (("left", 1), ("right", -1)):
        chain = [("upperleg", 0.1, -0.05), ("lowerleg", 0.1, -0.45), ("foot", 0.1, -0.85)]
        for above, (name, y, z) in zip(("root", "upperleg", "lowerleg"), chain, strict=True):
            at[f"{name}_{side}"] = (above if above == "root" else f"{above}_{side}", (0, sign * y, z))
        for above, name, y in (
            ("spine01", "clavicle", 0.02),
            ("clavicle", "upperarm", 0.17),
            ("upperarm", "lowerarm", 0.45),
            ("lowerarm", "wrist", 0.7),
            ("wrist", "hand", 0.8),
        ):
            at[f"{name}_{side}"] = (
                above if above == "spine01" else f"{above}_{side}",
                (0, sign * y, 0.45),
            )
    names = tuple(at)
    positions = np.array([place for _, place in at.values()])
    return LinearBody(
        template=positions,
        shape_directions=np.zeros((len(names), 3, 1)),
        joint_template=positions,
        joint_directions=np.zeros((len(names), 3, 1)),
        weights=np.eye(len(names)),
        parents=tuple(-1 if above is None else names.index(above) for above, _ in at.values()),
        faces=np.array([[0, 1, 2]]),
        joint_names=names,
    )


def limb_directions(body, rotations):
    """Unit vectors of upper arms, forearms, thighs and shanks, by name."""
    at = body.posed(rotations=rotations).joint_positions
    found = {}
    for start, end in LIMBS.items():
        for side in ("left", "right"):
            step = at[body.joint_index(f"{end}_{side}")] - at[body.joint_index(f"{start}_{side}")]
            found[f"{start}_{side}"] = step / np.linalg.norm(step)
    return found


@pytest.mark.parametrize("name", POSES_DEG)
def test_a_start_is_the_same_pose_whatever_pose_a_body_rests_in(body, name):
    resting = t_pose_body()
    turns = {joint: turn for joint, turn in POSES_DEG[name].items() if "spine" not in joint}
    rotations = pose_rotations(resting, turns)
    wanted = limb_directions(body, pose_rotations(body, turns))
    for limb, direction in limb_directions(resting, rotations).items():
        np.testing.assert_allclose(direction, wanted[limb], atol=1e-9)
    assert np.abs(pose_limits(resting).excess(rotations)).max() == 0


def test_a_straight_elbow_bends_forward_and_hardly_back():
    resting = t_pose_body()
    limits = pose_limits(resting)
    for side in ("left", "right"):
        elbow = resting.joint_index(f"lowerarm_{side}")

        def turned(flexion, elbow=elbow):
            rotations = np.zeros((len(resting.parents), 3))
            rotations[elbow] = flexion * limits.axes[elbow, 0]
            return rotations

        assert limb_directions(resting, turned(np.pi / 2))[f"lowerarm_{side}"][0] > 0.8
        outside = [np.abs(limits.excess(turned(np.radians(angle)))).max() for angle in (-30, 0, 140, 170)]
        assert outside[0] > 0 and outside[1] == outside[2] == 0 and outside[3] > 0


def test_the_likest_start_has_the_pose_and_the_way_of_the_world(body):
    chosen = ("standing, arms out", "arms overhead", "sitting", "crouch")
    poses = {name: pose_rotations(body, POSES_DEG[name]) for name in chosen}
    surfaces = {name: sampled(body.mesh(body.posed(rotations=pose)), 400) for name, pose in poses.items()}
    ways = world_rotations()
    for number, name in enumerate(chosen):
        turned = surfaces[name].turned(ways[11 * number + 5].T)
        best = ranked_starts(poses, surfaces, turned, ways)[0]
        assert best.name == name and np.allclose(best.world, ways[11 * number + 5])


# ---- correspondence ----------------------------------------------------------------------------------
def test_closest_points_know_holes():
    flat = square(holes=(44,))  # a triangle in the middle: corners (0.4, 0.4), (0.5, 0.4), (0.5, 0.5)
    points = np.array([[0.13, 0.22, 0.3], [0.47, 0.43, 0.1], [-0.2, 0.5, 0.0], [0.41, 0.47, -0.2]])
    found = Surface(flat).closest(points)
    assert found.at_hole.tolist() == [False, True, True, False]
    assert np.allclose(found.distance, [0.3, np.hypot(0.1, 0.04 / 2**0.5), 0.2, 0.2], atol=1e-9)
    assert np.allclose(found.normals, [0, 0, 1])
    assert (flat.connectivity.edges[1] == 1).sum() == 43


def test_matches_lie_on_the_rounded_surface():
    """A coarse ball of 1 m in radius, whose flat triangles lie up to 4 mm inside."""
    ball = trimesh.creation.icosphere(subdivisions=3)
    surface = Surface(Mesh(ball.vertices, ball.faces))
    outside = np.random.default_rng(0).normal(size=(500, 3))
    outside *= 1.1 / np.linalg.norm(outside, axis=1, keepdims=True)
    flat = 1 - np.linalg.norm(surface.closest(outside).positions, axis=1)
    rounded = 1 - np.linalg.norm(surface.matched(outside, outside).points, axis=1)
    assert 0.004 < flat.max() < 0.005 and np.abs(rounded).max() < 0.15 * flat.max()


def test_samples_are_spread_by_area(body):
    flat = sampled(square(), 4000)
    counts = np.histogram2d(flat.points[:, 0], flat.points[:, 1], bins=4)[0]
    assert np.abs(counts - 250).max() < 30 and np.allclose(flat.normals, [0, 0, 1])
    assert np.array_equal(sampled(square(), 50).points, sampled(square(), 50).points)


def test_spread_vertices_start_with_the_given_ones():
    vertices = square().vertices
    chosen = spread_vertices(vertices, 9, np.array([60, 0]))
    assert chosen[:2].tolist() == [60, 0] and set(chosen[2:5]) == {10, 110, 120}
