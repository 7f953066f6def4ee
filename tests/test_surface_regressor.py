"""The regressor against scikit-free oracles: exact linear pairs, the error of people left out, its file."""

import numpy as np
import pytest

from kinepose_ocp.errors import DataError
from kinepose_ocp.surface.body import open_body
from kinepose_ocp.surface.regressor import fit_regressor, load_regressor, save_regressor

WHO = "40 invented adults"


def pairs(count=40, noise=0.0, seed=1):
    """Points (n, 5, 3) [m] that are linear in 6 inputs, with noise [m]."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(count, 6)) * [3, 2, 1, 0.5, 0.2, 0.1]
    map_ = generator.normal(0, 0.01, (6, 15))
    points = (0.5 + inputs @ map_ + noise * generator.normal(size=(count, 15))).reshape(count, 5, 3)
    return inputs, points


def test_linear_pairs_are_learnt_exactly():
    inputs, points = pairs(count=44)
    learnt = fit_regressor(inputs[:40], points[:40], WHO, components=(6, 6), folds=5)
    new, truth = inputs[40:], points[40:]  # people it has not seen
    np.testing.assert_allclose(learnt.predict(new), truth, atol=1e-4)
    assert learnt.error_mm < 0.1 < learnt.baseline_mm
    assert (learnt.count, learnt.population) == (40, WHO)
    assert learnt.predict(new[0]).shape == (5, 3)


def test_the_error_is_that_of_people_left_out():
    """Leave one out by refitting without each person gives the same mean distance."""
    inputs, points = pairs(count=12, noise=0.004)
    learnt = fit_regressor(inputs, points, WHO, components=(6, 15), folds=12)
    errors = []
    for one in range(12):
        rest = np.arange(12) != one
        centred = (inputs - inputs[rest].mean(0))[rest]
        basis, _, _ = np.linalg.svd(centred, full_matrices=False)
        scores = basis * np.sqrt(11)  # unit variance
        to_scores = np.linalg.pinv(centred) @ scores
        target = points.reshape(12, -1)
        gram = scores.T @ scores / 11 + learnt.weight * np.eye(6)
        map_ = np.linalg.solve(gram, scores.T @ (target[rest] - target[rest].mean(0)) / 11)
        answer = target[rest].mean(0) + (inputs[one] - inputs[rest].mean(0)) @ to_scores @ map_
        errors.append(1000 * np.linalg.norm((answer - target[one]).reshape(-1, 3), axis=1).mean())
    assert learnt.error_mm == pytest.approx(np.mean(errors), rel=1e-6)
    assert learnt.error_std_mm == pytest.approx(np.std(errors), rel=1e-6)


def test_noise_asks_for_more_ridge():
    quiet, loud = (fit_regressor(*pairs(count=14, noise=noise), WHO, folds=7).weight for noise in (0.0, 0.05))
    assert loud > 100 * quiet


def test_it_learns_the_joints_of_the_open_body_from_its_skin():
    """A real pair of sides: vertices (n, V, 3) to rig joints, which are linear in shape."""
    body = open_body()
    shapes = np.random.default_rng(3).normal(size=(30, body.shape_count))[:, :6]
    posed = [body.posed(shape) for shape in shapes]
    some = np.arange(0, len(body.template), 60)
    skin = np.array([each.vertices[some] for each in posed])
    joints = np.array([each.joint_positions for each in posed])
    learnt = fit_regressor(skin, joints, "30 random shapes of the open body", (6, 6), 5, body.joint_names)
    assert learnt.error_mm < 0.5 < 5 < learnt.baseline_mm
    assert learnt.names == body.joint_names
    np.testing.assert_allclose(learnt.predict(skin[0].ravel()), joints[0], atol=5e-4)


def test_the_file_gives_the_same_regressor(tmp_path):
    inputs, points = pairs(noise=0.003)
    learnt = fit_regressor(inputs, points, WHO, names=list("abcde"))
    save_regressor(learnt, tmp_path / "joints.npz")
    again = load_regressor(tmp_path / "joints.npz")
    np.testing.assert_array_equal(again.predict(inputs), learnt.predict(inputs))
    assert (again.population, again.count, again.names) == (WHO, 40, tuple("abcde"))
    assert (again.error_mm, again.weight) == (learnt.error_mm, learnt.weight)


class Bomb:
    def __reduce__(self):
        return (print, ("unpickled",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": np.array(7)}, "regressor of version 7; possible: 1"),
        ({"basis_in": np.zeros((2, 2))}, "basis_in must be finite numbers of shape"),
        ({"spread_in": None}, "no array 'spread_in'"),
        ({"weight": np.array(np.nan)}, "weight must be finite numbers"),
        ({"names": np.array(["a"])}, "names must be 5 texts or none"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, change, message):
    path = tmp_path / "joints.npz"
    save_regressor(fit_regressor(*pairs(), WHO), path)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files} | change
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(DataError, match=message):
        load_regressor(path)


def test_pickles_and_other_files_are_refused(tmp_path, capsys):
    np.savez(tmp_path / "evil.npz", version=np.array([Bomb()], dtype=object))
    with pytest.raises(DataError, match=r"evil.npz: not a readable NumPy archive"):
        load_regressor(tmp_path / "evil.npz")
    assert "unpickled" not in capsys.readouterr().out
    with pytest.raises(DataError, match="no such file"):
        load_regressor(tmp_path / "none.npz")
    with pytest.raises(DataError, match=r"cannot write '.txt' files here; possible: .npz"):
        save_regressor(fit_regressor(*pairs(), WHO), tmp_path / "joints.txt")


@pytest.mark.parametrize(
    ("inputs", "points", "who", "folds", "message"),
    [
        (np.ones((5, 2)), np.ones((4, 2, 3)), WHO, 2, r"inputs \(n, I\) and points \(n, N, 3\)"),
        (np.ones((3, 2)), np.ones((3, 2, 3)), WHO, 2, "4 pairs or more, found 3"),
        (np.ones((5, 2)), np.ones((5, 2, 3)), WHO, 2, "all pairs are alike"),
        (np.ones((5, 2)), np.ones((5, 2, 3)), " ", 2, "say who the pairs are"),
        (np.ones((5, 2)), np.ones((5, 2, 3)), WHO, 9, "9 folds and .* possible: 2 to 5"),
        (np.full((5, 2), np.nan), np.ones((5, 2, 3)), WHO, 2, "not finite"),
    ],
)
def test_pairs_that_teach_nothing_are_refused(inputs, points, who, folds, message):
    with pytest.raises(DataError, match=message):
        fit_regressor(inputs, points, who, folds=folds)


def test_inputs_of_another_size_are_refused():
    learnt = fit_regressor(*pairs(), WHO)
    with pytest.raises(DataError, match=r"inputs must be \(..., 6\) finite numbers, found \(7,\)"):
        learnt.predict(np.zeros(7))
