"""Body models that users bring, on small files of the same format as the official ones."""

import pickle

import numpy as np
import pytest
from scipy.sparse import csc_matrix
from scipy.spatial.transform import Rotation

from kinepose_ocp.errors import DataError, ModelError
from kinepose_ocp.shipped import models_dir
from kinepose_ocp.surface.body import open_body
from kinepose_ocp.surface.body_files import load_body

PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]  # of SMPL
VERTICES = 40


def model(features, joints=24, seed=0):
    """Arrays of a random model in SMPL's format and axes (x left, y up, z forward)."""
    random = np.random.default_rng(seed)
    weights, regressor = random.uniform(size=(VERTICES, joints)), random.uniform(size=(joints, VERTICES))
    table = np.array([PARENTS[:joints], range(joints)])
    return {
        "v_template": random.normal(size=(VERTICES, 3)),
        "shapedirs": random.normal(size=(VERTICES, 3, 12)) * 0.1,
        "posedirs": random.normal(size=(VERTICES, 3, features)) * 0.1,
        "weights": weights / weights.sum(1, keepdims=True),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "kintree_table": (table % 2**32).astype("u4"),
        "f": random.integers(0, VERTICES, (60, 3)).astype("u4"),
    }


def published(arrays, shape, rotations, translation):
    """SMPL's and STAR's formulas in their own axes, with scipy's rotations."""
    rest = arrays["v_template"] + arrays["shapedirs"][:, :, : len(shape)] @ shape
    joints = arrays["J_regressor"] @ rest
    local = Rotation.from_rotvec(rotations)
    if arrays["posedirs"].shape[2] == 207:
        feature = (local[1:].as_matrix() - np.eye(3)).ravel()
    else:
        quaternions = local[1:].as_quat(canonical=True) - [0, 0, 0, 1]
        feature = np.r_[quaternions.ravel(), shape[1]]
    rest = rest + arrays["posedirs"] @ feature
    world, moved = [], 0
    for joint, parent in enumerate(PARENTS):
        step = np.eye(4)
        step[:3, :3] = local[joint].as_matrix()
        step[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        world.append(step if parent < 0 else world[parent] @ step)
        turned = (rest - joints[joint]) @ world[joint][:3, :3].T + world[joint][:3, 3]
        moved = moved + arrays["weights"][:, [joint]] * turned
    return moved + translation


def ours(points):
    """x left, y up, z forward -> x forward, y left, z up."""
    return points[..., [2, 0, 1]]


def save(path, arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays, notes=np.array({"of": "no use"}, dtype=object))
    else:
        path.write_bytes(
            pickle.dumps(arrays | {"J_regressor": csc_matrix(arrays["J_regressor"])}, protocol=2)
        )
    return path


@pytest.mark.parametrize(("features", "suffix"), [(207, ".npz"), (207, ".pkl"), (93, ".npz")])
def test_smpl_and_star_pose_as_published(tmp_path, features, suffix):
    arrays = model(features)
    body = load_body(save(tmp_path / f"body{suffix}", arrays))
    random = np.random.default_rng(1)
    shape, rotations, translation = (
        random.normal(size=10),
        random.normal(size=(24, 3)) * 0.6,
        random.normal(size=3),
    )
    found = body.posed(shape, ours(rotations), ours(translation))
    np.testing.assert_allclose(
        found.vertices, ours(published(arrays, shape, rotations, translation)), atol=1e-10
    )
    assert body.pose_feature == {207: "matrix", 93: "quaternion"}[features]
    assert body.shape_count == 10 and body.parents == tuple(PARENTS)


def test_joints_have_the_names_of_the_open_body(tmp_path):
    body = load_body(save(tmp_path / "smpl.npz", model(207)))
    assert set(body.joint_names) - set(open_body().joint_names) == {"hand_left", "hand_right"}
    for joint in ("lowerleg_left", "wrist_right", "head"):
        parent = body.joint_names[body.parents[body.joint_index(joint)]]
        assert (
            parent
            == {"lowerleg_left": "upperleg_left", "wrist_right": "lowerarm_right", "head": "neck01"}[joint]
        )
    sides = ("left", "right")
    parts = {"pelvis", "lumbar", "thorax", "cspine", "skull"}
    parts |= {f"{part}_{side}" for part in ("femur", "tibia", "foot", "toes") for side in sides}
    parts |= {f"{part}_{side}" for part in ("clavicle", "humerus", "forearm", "hand") for side in sides}
    assert set(body.vertex_parts) <= parts


def test_more_components_are_kept_where_asked(tmp_path):
    path = save(tmp_path / "smpl.npz", model(207))
    assert load_body(path, components=12).shape_count == 12
    with pytest.raises(ModelError, match="1 shape components; needed: at least 2"):
        load_body(path, components=1)


def test_a_model_without_correctives_is_read(tmp_path):
    arrays = model(207)
    del arrays["posedirs"]
    assert load_body(save(tmp_path / "plain.npz", arrays)).pose_directions is None


def test_the_open_body_is_a_file_like_others():
    found = load_body(models_dir() / "surface" / "body.npz")
    np.testing.assert_array_equal(found.template, open_body().template)
    assert found.landmarks == open_body().landmarks


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weights", None, "no array 'weights'; a body model needs v_template, shapedirs"),
        ("v_template", np.zeros((VERTICES, 2)), r"v_template must be of shape \(40, 3\), found \(40, 2\)"),
        ("J_regressor", np.zeros((24, 41)), r"J_regressor must be of shape \(24, 40\), found \(24, 41\)"),
        ("shapedirs", np.zeros((VERTICES, 3)), r"shapedirs must be of shape \(40, 3, 2 or more\), found"),
        ("posedirs", np.zeros((VERTICES, 3, 200)), r"posedirs must be .* 207 \(SMPL\) or 93 \(STAR\)"),
        (
            "posedirs",
            np.zeros((VERTICES + 1, 3, 207)),
            r"pose_directions of a body must be of shape \(40, 3, 207\)",
        ),
        ("weights", np.full((VERTICES, 24), 1.0), "weights of a vertex must sum to 1, found 24.000"),
        ("f", np.full((5, 3), VERTICES), r"faces of a body must be \(F, 3\) of vertices 0 to 39, found 40"),
        ("v_template", np.full((VERTICES, 3), "x"), "v_template must be numbers, found text"),
        ("kintree_table", np.full((2, 24), "x"), "kintree_table must be whole numbers, found text"),
        ("posedirs", np.full((VERTICES, 3, 207), "x"), "posedirs must be numbers, found text"),
        ("v_template", np.full((VERTICES, 3), np.nan), "template of a body has values that are not finite"),
        ("kintree_table", np.full((2, 24), 7), "kintree_table"),
    ],
)
def test_wrong_arrays_are_refused_in_one_line(tmp_path, name, value, message):
    arrays = model(207)
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value
    path = save(tmp_path / "wrong.npz", arrays)
    with pytest.raises(ModelError, match=message) as caught:
        load_body(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(path))


def test_models_of_fewer_joints_are_refused(tmp_path):
    with pytest.raises(ModelError, match="16 joints; SMPL and STAR have 24"):
        load_body(save(tmp_path / "hand.npz", model(135, joints=16)))


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
def test_damaged_files_are_refused_in_one_line(tmp_path, suffix):
    path = save(tmp_path / f"cut{suffix}", model(207))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=rf"cut\{suffix}: not a readable") as caught:
        load_body(path)
    assert "\n" not in str(caught.value)


def test_objects_in_an_archive_are_refused(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, **(model(207) | {"weights": np.array([{}, {}], dtype=object)}))
    with pytest.raises(DataError, match=r"objects\.npz: not a readable NumPy archive"):
        load_body(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"body.fbx: not a body model; possible: .npz, .pkl"):
        load_body(tmp_path / "body.fbx")
    with pytest.raises(DataError, match=r"none.npz: no such file"):
        load_body(tmp_path / "none.npz")
