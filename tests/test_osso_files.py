"""OSSO's regressor and its own kind, on small files of the same layout that are written here."""

import pickle

import numpy as np
import pytest
from test_body_files import model

from kinepose_ocp.errors import DataError
from kinepose_ocp.surface.body import open_body
from kinepose_ocp.surface.body_files import load_body
from kinepose_ocp.surface.osso_files import load_osso_regressor
from kinepose_ocp.surface.regressed_sizes import regressed_sizes, regressor_of
from kinepose_ocp.surface.regressor import fit_regressor, save_regressor
from kinepose_ocp.surface.skeleton import open_skeleton

VERTICES = 90
NAMES = [f"{bone}_{end}{side}" for bone in ("femur", "humerus") for end in "PD" for side in "LR"] + ["hips_L"]
CENTRES = np.random.default_rng(1).normal(size=(len(NAMES), 3))  # m, in axes of STAR


def content(seed=0):
    """What the three files hold: OSSO's shapes and kinds, invented numbers."""
    random = np.random.default_rng(seed)
    groups = random.permutation(VERTICES)[: 8 * len(NAMES)].reshape(len(NAMES), 8)
    mean = random.normal(size=(VERTICES, 3))
    for group, centre in zip(groups, CENTRES, strict=True):
        mean[group] = centre + 0.02 * random.normal(size=(8, 3))
    return {
        "skeleton/betas_regressor_female.pkl": random.normal(size=(11, 12)) * 0.3,
        "skeleton/skeleton_pca_female.pkl": {"M": mean, "B": random.normal(size=(VERTICES, 3, 12)) * 0.01},
        "loss/gloss_ball_joints_ldm.pkl": {"names": NAMES, "verts_ids": [list(group) for group in groups]},
    }


def written(folder, files):
    """Path of the regressor in a folder of files."""
    for name, held in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(pickle.dumps(held, protocol=2))
    return folder / "skeleton" / "betas_regressor_female.pkl"


def published(files, betas):
    """OSSO's skeleton (N, 3) of ten shape numbers of STAR, by the formulas of its paper and code."""
    regressor, pca, _ = files.values()
    numbers = (np.append(betas, 1.0) @ regressor)[:10]
    return pca["M"] + np.tensordot(pca["B"][:, :, :10], numbers, axes=1)


@pytest.fixture
def star(tmp_path):
    np.savez(tmp_path / "star.npz", **model(93))
    return load_body(tmp_path / "star.npz")


def test_points_are_the_middles_of_joint_surfaces(tmp_path):
    files = content()
    found = load_osso_regressor(written(tmp_path, files))
    betas = np.random.default_rng(5).normal(size=(3, 10))
    surfaces = {"hip": "femur_P", "knee": "femur_D", "gh": "humerus_P", "elbow": "humerus_D"}
    for row, points in zip(betas, found.predict(betas), strict=True):
        vertices = published(files, row)
        for name, point in zip(found.names, points, strict=True):
            joint, side = name.split("_")
            group = files["loss/gloss_ball_joints_ldm.pkl"]["verts_ids"][
                NAMES.index(surfaces[joint] + side[0].upper())
            ]
            x, y, z = vertices[group].mean(0)  # left, up, forward
            np.testing.assert_allclose(point, [z, x, y], atol=1e-12)
    assert found.population == "OSSO (Keller et al. 2022), female" and np.isnan(found.error_mm)


def test_sizes_are_those_of_the_published_skeleton_for_the_stature(tmp_path, star):
    files, shape = content(), np.random.default_rng(6).normal(size=10) * 0.5
    found = regressed_sizes(regressor_of(written(tmp_path, files), star), star, shape, open_skeleton())
    groups = dict(zip(NAMES, files["loss/gloss_ball_joints_ldm.pkl"]["verts_ids"], strict=True))
    person, mean = published(files, shape), published(files, np.zeros(10))
    tall, usual = (np.ptp(star.posed(each).vertices[:, 2]) for each in (shape, np.zeros(10)))

    def ratio(*names):
        first, second = (groups[name] for name in names)
        lengths = [np.linalg.norm(each[first].mean(0) - each[second].mean(0)) for each in (person, mean)]
        return lengths[0] / lengths[1] / (tall / usual)

    assert set(found.of_part) == {"pelvis", "femur_left", "femur_right", "humerus_left", "humerus_right"}
    for side in ("left", "right"):
        for bone in ("femur", "humerus"):
            wanted = ratio(f"{bone}_P{side[0].upper()}", f"{bone}_D{side[0].upper()}")
            assert found.of_part[f"{bone}_{side}"] == pytest.approx(wanted)
            assert abs(wanted - 1) > 1e-3
    assert found.of_part["pelvis"] == pytest.approx(ratio("femur_PL", "femur_PR"))


def test_a_saved_regressor_tells_sizes_of_the_open_body(tmp_path):
    """Joints of the rig are linear in shape: lengths are those of the body itself."""
    body, random = open_body(), np.random.default_rng(2)
    rig = {"hip_left": "upperleg_left", "knee_left": "lowerleg_left", "ankle_left": "foot_left"}
    joints = [body.joint_index(name) for name in rig.values()]
    shapes = random.normal(size=(60, body.shape_count))
    points = np.array([body.posed(shape).joint_positions[joints] for shape in shapes])
    learnt = fit_regressor(shapes, points, "60 random shapes", (body.shape_count, 9), 5, tuple(rig))
    save_regressor(learnt, tmp_path / "mine.npz")
    found = regressed_sizes(regressor_of(tmp_path / "mine.npz", body), body, np.array([2.0]), open_skeleton())
    person, mean = body.posed(np.array([2.0])), body.posed()
    for part, ends in {"femur_left": joints[:2], "tibia_left": joints[1:]}.items():
        lengths, statures = zip(
            *(
                (np.linalg.norm(np.diff(each.joint_positions[ends], axis=0)), np.ptp(each.vertices[:, 2]))
                for each in (person, mean)
            ),
            strict=True,
        )
        wanted = lengths[0] / lengths[1] / (statures[0] / statures[1])
        assert found.of_part[part] == pytest.approx(wanted, rel=1e-3)
    assert set(found.of_part) == {"femur_left", "tibia_left"} and found.population == "60 random shapes"


class Bomb:
    def __reduce__(self):
        return (print, ("unpickled",))


def changed(name, value):
    """All files, with one replaced, or one of its entries."""
    files = content()
    name, _, entry = name.partition(":")
    if entry:
        files[name] = files[name] | {entry: value}
    else:
        files[name] = value
    return files


REGRESSOR, PCA, JOINTS = content()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (REGRESSOR, np.zeros((10, 12)), r"female.pkl: not of OSSO: an array must be .* \(11, any\)"),
        (REGRESSOR, {"a": np.zeros((11, 12))}, r"an array must be finite numbers of shape \(11, any\)"),
        (REGRESSOR, np.full((11, 12), np.nan), r"an array must be finite numbers"),
        (REGRESSOR, np.full((11, 12), "a"), r"an array must be finite numbers"),
        (REGRESSOR, Bomb(), r"female.pkl: refused, its pickle asks for .*print; allowed are arrays only"),
        (PCA, np.zeros((90, 3)), r"pca_female.pkl: not of OSSO: needed: a dictionary of M, B"),
        (PCA + ":M", np.zeros(270), r"M must be finite numbers of shape \(any, 3\)"),
        (PCA + ":B", np.zeros((89, 3, 12)), r"B must be finite numbers of shape \(90, 3, any\)"),
        (PCA + ":B", np.zeros((90, 3, 4)), r"B has 4 components, betas_regressor_female.pkl 10"),
        (JOINTS, [1, 2], r"ldm.pkl: not of OSSO: needed: a dictionary of names, verts_ids"),
        (JOINTS + ":names", NAMES[1:], r"names and verts_ids must belong together"),
        (JOINTS + ":names", ["x", *NAMES[1:]], r"no joint surface 'femur_PL'"),
        (JOINTS + ":verts_ids", [[90]] * len(NAMES), r"verts_ids of 'femur_PL' must be vertices of 0 to 89"),
        (JOINTS + ":verts_ids", [[]] * len(NAMES), r"verts_ids of 'femur_PL' must be finite numbers"),
    ],
)
def test_wrong_files_are_refused_in_one_line(tmp_path, capsys, name, value, message):
    with pytest.raises(DataError, match=message) as refused:
        load_osso_regressor(written(tmp_path, changed(name, value)))
    assert "\n" not in str(refused.value) and "unpickled" not in capsys.readouterr().out


@pytest.mark.parametrize("name", [REGRESSOR, PCA, JOINTS])
def test_a_missing_file_is_named(tmp_path, name):
    path = written(tmp_path, content())
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=f"{name.rpartition('/')[2]}: no such file"):
        load_osso_regressor(path)


def test_a_regressor_must_be_of_the_body_and_of_joints(tmp_path, star):
    path = written(tmp_path, content())
    with pytest.raises(DataError, match=r"female.pkl: OSSO's regressor is for shapes of STAR; give STAR's"):
        regressor_of(path, open_body())
    with pytest.raises(DataError, match=r"not OSSO's regressor; possible: betas_regressor_female.pkl, "):
        regressor_of(tmp_path / "skeleton" / "skeleton_pca_female.pkl", star)
    random = np.random.default_rng(0)
    other = fit_regressor(random.normal(size=(20, 10)), random.normal(size=(20, 2, 3)), "nobody", folds=2)
    with pytest.raises(DataError, match=r"no two points of the regressor have names of joints of one part"):
        regressed_sizes(other, star, np.zeros(10), open_skeleton())


def test_impossible_sizes_are_refused(tmp_path, star):
    path = written(tmp_path, changed(PCA + ":B", np.random.default_rng(0).normal(size=(VERTICES, 3, 12)) * 9))
    with pytest.raises(DataError, match=r"the regressor makes the .* times as long as stature tells"):
        regressed_sizes(load_osso_regressor(path), star, np.ones(10), open_skeleton())
