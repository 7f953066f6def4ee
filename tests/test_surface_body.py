"""The linear body against a second implementation with scipy, and the open body that ships."""

import casadi as ca
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinepose_ocp.errors import DataError, ModelError
from kinepose_ocp.io.arrays import read_arrays
from kinepose_ocp.shipped import models_dir
from kinepose_ocp.surface.body import LinearBody, body_of_arrays, example_people, open_body
from kinepose_ocp.surface.mesh import Mesh


@pytest.fixture(scope="module")
def body():
    return open_body()


def random_pose(body, seed, angle=0.5):
    random = np.random.default_rng(seed)
    joints = len(body.parents)
    return (
        random.normal(size=body.shape_count),
        random.normal(size=(joints, 3)) * angle,
        random.normal(size=3),
    )


def skinned(body, shape, rotations, translation):
    """Second implementation: homogeneous matrices down the tree, scipy's rotations, one joint at a time."""
    rest = body.template + body.shape_directions @ shape
    joints = body.joint_template + body.joint_directions @ shape
    local = Rotation.from_rotvec(rotations)
    if body.pose_feature == "matrix":
        rest = rest + body.pose_directions @ (local[1:].as_matrix() - np.eye(3)).ravel()
    if body.pose_feature == "quaternion":
        feature = local[1:].as_quat(canonical=True) - [0, 0, 0, 1]
        rest = rest + body.pose_directions @ np.r_[feature.ravel(), shape[1]]
    world = []
    for joint, parent in enumerate(body.parents):
        step = np.eye(4)
        step[:3, :3] = local[joint].as_matrix()
        step[:3, 3] = joints[joint] + translation if parent < 0 else joints[joint] - joints[parent]
        world.append(step if parent < 0 else world[parent] @ step)
    moved = [
        body.weights[:, [joint]] * ((rest - joints[joint]) @ matrix[:3, :3].T + matrix[:3, 3])
        for joint, matrix in enumerate(world)
    ]
    return sum(moved), np.array(world)


def small_body(feature=None, seed=0):
    """Random body of 30 vertices and 4 joints, with correctives of a kind."""
    random = np.random.default_rng(seed)
    size = {None: 0, "matrix": 27, "quaternion": 13}[feature]
    weights = random.uniform(size=(30, 4))
    return LinearBody(
        template=random.normal(size=(30, 3)),
        shape_directions=random.normal(size=(30, 3, 2)) * 0.1,
        joint_template=random.normal(size=(4, 3)),
        joint_directions=random.normal(size=(4, 3, 2)) * 0.1,
        weights=weights / weights.sum(1, keepdims=True),
        parents=(-1, 0, 1, 0),
        faces=random.integers(0, 30, (10, 3)),
        joint_names=("root", "a", "b", "c"),
        pose_directions=random.normal(size=(30, 3, size)) if feature else None,
        pose_feature=feature,
    )


# ---- skinning --------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(3))
def test_the_open_body_moves_as_a_second_implementation_says(body, seed):
    given = random_pose(body, seed)
    posed = body.posed(*given)
    vertices, world = skinned(body, *given)
    np.testing.assert_allclose(posed.vertices, vertices, atol=1e-10)
    np.testing.assert_allclose(posed.joint_rotations, world[:, :3, :3], atol=1e-10)
    np.testing.assert_allclose(posed.joint_positions, world[:, :3, 3], atol=1e-10)


@pytest.mark.parametrize("feature", ["matrix", "quaternion"])
def test_pose_correctives_act_as_published(feature):
    body = small_body(feature)
    given = random_pose(body, 1)
    np.testing.assert_allclose(body.posed(*given).vertices, skinned(body, *given)[0], atol=1e-10)


@pytest.mark.parametrize("feature", ["matrix", "quaternion"])
def test_pose_correctives_come_off_again(feature):
    body = small_body(feature)
    _, *given = random_pose(body, 1)
    found = body.blended(body.posed(np.zeros(2), *given))
    assert body.plain.plain is body.plain
    np.testing.assert_allclose(found, body.plain.posed(np.zeros(2), *given).vertices, atol=1e-9)


@pytest.mark.parametrize("feature", [None, "matrix", "quaternion"])
def test_at_rest_a_body_is_its_template(feature):
    body = small_body(feature)
    posed = body.posed()
    np.testing.assert_allclose(posed.vertices, body.template, atol=1e-11)
    np.testing.assert_allclose(posed.joint_positions, body.joint_template, atol=1e-12)
    np.testing.assert_allclose(posed.joint_rotations, np.tile(np.eye(3), (4, 1, 1)), atol=1e-12)


def test_the_open_body_at_rest_is_its_template(body):
    np.testing.assert_allclose(body.posed().vertices, body.template, atol=1e-11)


def test_symbols_give_the_numbers_of_the_same_vertices(body):
    chosen = np.array([11, 0, 12000, 503])
    shape, rotations, translation = random_pose(body, 5)
    symbols = [ca.MX.sym("s", body.shape_count), ca.MX.sym("r", 3, 23), ca.MX.sym("t", 3)]
    some = ca.Function("some", symbols, [body.expression(chosen)(*symbols)[0]])
    found = some(shape, rotations.T, translation).full().T
    np.testing.assert_allclose(found, body.posed(shape, rotations, translation).vertices[chosen], atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-4, 0.7, np.pi])
def test_derivatives_agree_with_differences_also_at_rest(scale):
    body = small_body("quaternion")
    rotations = np.random.default_rng(2).normal(size=12)
    rotations *= scale / np.linalg.norm(rotations)
    turn = ca.MX.sym("turn", 12)
    vertices = body.expression(np.arange(30))(np.zeros(2), ca.reshape(turn, 3, 4), np.zeros(3))[0]
    value = ca.Function("value", [turn], [ca.vec(vertices)])
    exact = ca.Function("slope", [turn], [ca.jacobian(ca.vec(vertices), turn)])(rotations).full()
    step = 1e-5
    differences = [
        (value(rotations + step * unit) - value(rotations - step * unit)).full().ravel() / (2 * step)
        for unit in np.eye(12)
    ]
    np.testing.assert_allclose(exact, np.array(differences).T, atol=2e-7)


def test_second_derivatives_are_finite_at_rest():
    body = small_body("matrix")
    turn = ca.MX.sym("turn", 12)
    vertices = body.expression(np.arange(30))(np.ones(2), ca.reshape(turn, 3, 4), np.zeros(3))[0]
    hessian = ca.Function("curvature", [turn], [ca.hessian(ca.sumsqr(vertices), turn)[0]])(np.zeros(12))
    assert np.isfinite(hessian.full()).all()


# ---- what a body accepts ---------------------------------------------------------------------------
def test_a_shape_may_be_shorter_than_the_components(body):
    full = np.zeros(26)
    full[:2] = (1.0, -0.5)
    np.testing.assert_array_equal(body.posed(full[:2]).vertices, body.posed(full).vertices)


def test_inputs_of_another_size_are_refused(body):
    with pytest.raises(DataError, match=r"a shape of \(27,\) for a body of 26 shape components"):
        body.posed(np.zeros(27))
    with pytest.raises(DataError, match=r"rotations of shape \(22, 3\) for a body of 23 joints"):
        body.posed(rotations=np.zeros((22, 3)))
    with pytest.raises(DataError, match=r"a translation of shape \(2,\); needed: \(3,\)"):
        body.posed(translation=np.zeros(2))


def test_unknown_names_are_answered_with_the_nearest(body):
    with pytest.raises(
        ModelError, match="no joint 'upperleg_rigt' in the body; did you mean 'upperleg_right'"
    ):
        body.joint_index("upperleg_rigt")
    with pytest.raises(ModelError, match="no landmark 'head_to' on the body; did you mean 'head_top'"):
        body.landmark("head_to")
    assert body.joint_names[body.joint_index("head")] == "head"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joint_template": np.zeros((3, 3))}, r"joint_template of a body must be of shape \(4, 3\)"),
        ({"weights": np.full((30, 4), 0.5)}, "weights of a vertex must sum to 1"),
        ({"template": np.full((30, 3), np.nan)}, "template of a body has values that are not finite"),
        ({"parents": (-1, 2, 0, 0)}, "parents of a body must come before their children"),
        ({"parents": (-1, 0, 1, -1)}, "parents of a body must come before their children"),
        ({"parents": (-1, 0, 1, -7)}, "parents of a body must come before their children"),
        ({"parents": (-1, 0, 0.5, 0)}, "parents of a body must be whole numbers, found 0.5"),
        ({"template": np.full((30, 3), "x")}, "template of a body must be numbers, found text"),
        ({"weights": np.full((30, 4), "x")}, "weights of a body must be numbers, found text"),
        ({"faces": np.full((2, 3), 30)}, r"faces of a body must be \(F, 3\) of vertices 0 to 29, found 30"),
        (
            {"faces": np.array([[0, 1, -1]])},
            "must be .* of vertices 0 to 29, found -1",
        ),
        ({"faces": np.array([[0, 1, 1.5]])}, "faces of a body must be whole numbers, found 1.5"),
        ({"faces": np.zeros((0, 3), int)}, r"faces of a body must be \(F, 3\), at least one, found \(0, 3\)"),
        ({"landmarks": {"tip": 30}}, "landmark 'tip' of a body must be a vertex of 0 to 29, found 30"),
        ({"landmarks": {"tip": -1}}, "landmark 'tip' of a body must be a vertex of 0 to 29, found -1"),
        ({"landmarks": {"tip": 0.5}}, "landmark 'tip' of a body must be whole numbers, found 0.5"),
        ({"pose_feature": "angle"}, "feature 'angle'; possible: None, matrix, quaternion"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    good = {name: getattr(small_body(), name) for name in LinearBody.__dataclass_fields__}
    with pytest.raises(ModelError, match=message):
        LinearBody(**(good | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part_names": None}, "vertex_parts needs part_names beside it; found: vertex_parts"),
        ({"landmark_names": None}, "landmark_names and landmark_vertices belong together, one name a vertex"),
        ({"landmark_vertices": None}, "landmark_names and landmark_vertices belong together"),
        ({"landmark_vertices": np.zeros(3, int)}, "belong together, one name a vertex; found 37 and 3"),
        ({"landmark_vertices": np.full(37, 10**6)}, "must be a vertex of 0 to 12072, found 1000000"),
        (
            {"vertex_parts": np.full(12073, 99)},
            "must be numbers of part_names, 0 to 22, found 99",
        ),
        (
            {"vertex_parts": np.full(12073, -1)},
            "must be numbers of part_names, 0 to 22, found -1",
        ),
        ({"weights": np.full((12073, 23), "x")}, "weights of a body must be numbers, found text"),
        ({"v_template": np.array("x")}, "template of a body must be numbers, found text"),
        ({"faces": np.zeros((0, 3), int)}, "faces of a body must be"),
        ({"parents": np.array(-1)}, r"parents of a body must be of shape \(K,\), found \(\)"),
        ({"joint_names": np.array("root")}, r"joint_names of a body must be of shape \(K,\), found \(\)"),
        ({"joint_names": np.zeros(23)}, "joint_names of a body must be texts"),
    ],
)
def test_files_of_wrong_arrays_are_refused(change, message):
    good = read_arrays(models_dir() / "surface" / "body.npz")
    arrays = {name: array for name, array in (good | change).items() if array is not None}
    with pytest.raises(ModelError, match=message):
        body_of_arrays(arrays)


# ---- the open body ---------------------------------------------------------------------------------
def test_the_skin_is_closed_and_looks_outward_for_any_shape(body):
    assert (len(body.template), len(body.parents), body.shape_count) == (12073, 23, 26)
    for seed in range(3):
        shape = np.random.default_rng(seed).normal(size=body.shape_count)
        mesh = Mesh(body.posed(shape).vertices, body.faces)
        assert mesh.is_closed()
        assert 0.02 < mesh.volume() < 0.2  # m^3
    assert np.unique(body.faces).size == len(body.template)


def test_weights_are_shares(body):
    np.testing.assert_allclose(body.weights.sum(1), 1.0, atol=1e-12)
    assert body.weights.min() >= 0


def mirrored_names(names):
    swap = {"left": "right", "right": "left"}
    return ["_".join(swap.get(word, word) for word in name.split("_")) for name in names]


def test_the_template_is_symmetric(body):
    other = [body.joint_index(name) for name in mirrored_names(body.joint_names)]
    flip = np.array([1, -1, 1])
    np.testing.assert_allclose(body.joint_template[other] * flip, body.joint_template, atol=5e-4)
    for name, twin in zip(body.landmarks, mirrored_names(body.landmarks), strict=True):
        there, here = (body.template[body.landmark(each)] for each in (twin, name))
        np.testing.assert_allclose(there * flip, here, atol=5e-4)


def test_landmarks_lie_where_a_standing_body_has_them(body):
    at = {name: body.template[vertex] for name, vertex in body.landmarks.items()}
    assert len(at) >= 20
    order = (
        "head_top",
        "sellion",
        "nose_tip",
        "chin",
        "suprasternale",
        "asis_left",
        "patella_left",
        "heel_left",
    )
    heights = [at[name][2] for name in order]
    assert heights == sorted(heights, reverse=True)
    assert at["head_top"][2] == body.template[:, 2].max()
    assert at["dactylion_left"][1] > at["wrist_ulnar_left"][1] > at["elbow_lateral_left"][1] > 0
    assert at["toe_tip_left"][0] > at["malleolus_lateral_left"][0] > at["heel_left"][0]
    assert at["knee_lateral_left"][1] > at["knee_medial_left"][1] > 0
    assert at["c7"][0] < at["suprasternale"][0]
    stature = at["head_top"][2] - body.template[:, 2].min()
    assert 1.5 < stature < 1.9


def test_every_part_of_the_skeleton_has_skin_over_it(body):
    sided = ("clavicle", "scapula", "humerus", "forearm", "hand", "femur", "tibia", "foot", "toes")
    parts = {f"{part}_{side}" for part in sided for side in ("left", "right")}
    assert set(body.vertex_parts) == parts | {"pelvis", "lumbar", "thorax", "cspine", "skull"}


# ---- the people ------------------------------------------------------------------------------------
WHO = {  # median and standard deviation of statures [m], WHO growth reference 2007, at 10 and at 19 years
    "girl, 10": (1.386, 0.064),
    "boy, 10": (1.378, 0.064),
    "woman, 30": (1.632, 0.065),
    "man, 30": (1.765, 0.073),
}


@pytest.fixture(scope="module")
def people(body):
    return {name: body.posed(shape) for name, shape in example_people().items()}


def stature(posed):
    return np.ptp(posed.vertices[:, 2])


def test_people_are_as_tall_as_those_of_their_sex_and_age(people):
    assert len(people) == 12
    for beginning, (median, deviation) in WHO.items():
        for word in ("light", "heavy"):
            assert abs(stature(people[f"{beginning} years, {word}"]) - median) < deviation
    for sex in ("woman", "man"):
        young, old = (stature(people[f"{sex}, {years} years, light"]) for years in (30, 70))
        assert 0 < young - old < 0.05


def test_heavy_people_are_heavy(body, people):
    index = {
        name: 1000 * Mesh(posed.vertices, body.faces).volume() / stature(posed) ** 2
        for name, posed in people.items()
    }  # kg/m^2, if a litre is a kilogram; WHO: adults are overweight from 25, children of 10 from 18.5 and 19
    for name, light in index.items():
        if name.endswith("light"):
            heavy = index[name.replace("light", "heavy")]
            assert 13 < light < (17.5 if "10 years" in name else 20)
            assert (19 if "10 years" in name else 25) < heavy < 35


TO_PUBLISHED_WRIST = (
    0.007  # m: the joint is 4 to 6 mm before the tip of the radial styloid, de Leva's wrist 2 after
)
SHARES = {  # of the stature, of men and of women: Drillis & Contini 1966, de Leva 1996
    "thigh": ((0.2425, 0.245), (0.2124, 0.245)),
    "shank": ((0.246, 0.2529), (0.246, 0.2528)),
    "foot": ((0.1482, 0.152), (0.1316, 0.152)),
    "forearm": ((0.146, 0.1545), (0.146, 0.1523)),
    "head and neck": ((0.1395, 0.1395), (0.1405, 0.1405)),
}


def rig_lengths(body, posed):
    """Lengths [m] between joints of the rig and landmarks of the skin; they know nothing of bones."""
    at = dict(zip(body.joint_names, posed.joint_positions, strict=True))
    at |= {name: posed.vertices[vertex] for name, vertex in body.landmarks.items()}

    def far(first, second):
        return np.linalg.norm(at[f"{first}_left"] - at[f"{second}_left"])

    return {
        "thigh": far("upperleg", "lowerleg"),
        "shank": far("lowerleg", "foot"),
        "foot": far("heel", "toe_tip"),
        "forearm": far("lowerarm", "wrist") + TO_PUBLISHED_WRIST,
        "head and neck": at["head_top"][2] - at["c7"][2],
    }


def test_segments_of_people_are_as_long_as_published_of_their_sex(body, people):
    """Children have larger heads, and nothing is published here of them: limbs as those of adults."""
    for name, posed in people.items():
        child = "10 years" in name
        for segment, length in rig_lengths(body, posed).items():
            men, women = SHARES[segment]
            low, high = (min(men + women), max(men + women)) if child else women if "woman" in name else men
            if not (child and segment == "head and neck"):
                assert 0.96 * low < length / stature(posed) < 1.04 * high, (name, segment)


def test_some_shape_lengthens_the_forearms_alone(body):
    """By 20 mm: of all joints the wrists move, and hands with them."""
    wanted = np.zeros((len(body.parents), 3))
    for side in ("left", "right"):
        wrist, elbow = (body.joint_index(f"{name}_{side}") for name in ("wrist", "lowerarm"))
        along = body.joint_template[wrist] - body.joint_template[elbow]
        wanted[wrist] = 0.02 * along / np.linalg.norm(along)
    directions = body.joint_directions.reshape(-1, body.shape_count)
    shape = np.linalg.lstsq(directions, wanted.ravel(), rcond=0.01)[0]
    assert np.abs(directions @ shape - wanted.ravel()).max() < 0.004
    tip = body.landmark("dactylion_right")
    assert np.linalg.norm(body.posed(shape).vertices[tip] - body.template[tip] - wanted[wrist]) < 0.005
