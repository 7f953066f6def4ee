"""Designs against their known properties, and what they change in a problem."""

import sys

import numpy as np
import pytest
import xarray as xr

import kinepose_ocp as kp
from kinepose_ocp import designs
from kinepose_ocp.factors import Factor, changed_numbers
from kinepose_ocp.synthetic import measure, random_motion

TERMS = (kp.KeypointPosition(0.005), kp.AngularAcceleration(60.0), kp.LinearAcceleration(30.0))
ELBOW = "elbow_right.z"


@pytest.fixture(scope="module")
def problem(imvip22):
    chain = imvip22.with_moving_root()
    truth = random_motion(chain, frames=8, rate=60, seed=3, straight=False)
    return kp.build_problem(chain, measure(truth, noise=0.005, seed=1), TERMS)


# ---- points --------------------------------------------------------------------------------------
def test_a_grid_is_every_combination():
    design = designs.grid({"a.x upper": (1, 2, 3), "noise": (0, 5)})
    assert design.values.tolist() == [[1, 0], [1, 5], [2, 0], [2, 5], [3, 0], [3, 5]]


def test_a_latin_hypercube_has_one_case_in_every_part_of_every_range():
    design = designs.latin_hypercube(
        {"a.x upper": (100, 150), "noise": (0, 8), "b length": (1, 2)}, 20, seed=4
    )
    assert design.values.shape == (20, 3)
    parts = np.sort(np.floor(design.unit * 20).astype(int), axis=0)
    assert (parts == np.arange(20)[:, None]).all()
    again = designs.latin_hypercube(design.levels, 20, seed=4)
    assert np.array_equal(again.values, design.values)
    assert not np.array_equal(designs.latin_hypercube(design.levels, 20, seed=5).values, design.values)


@pytest.mark.parametrize("make", [designs.sobol, designs.morris])
def test_samples_stay_in_their_ranges_and_are_seeded(make):
    pytest.importorskip("SALib")
    ranges = {"a.x upper": (100, 150), "noise": (0, 8)}
    design = make(ranges, 8)
    assert len(design) == 8 * {"sobol": 4, "morris": 3}[design.kind]
    assert (design.values >= [100, 0]).all() and (design.values <= [150, 8]).all()
    assert np.array_equal(make(ranges, 8).values, design.values)
    assert not np.array_equal(make(ranges, 8, seed=1).values, design.values)


# ---- what is refused -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: designs.grid({}), "a design needs at least one factor"),
        (
            lambda: designs.grid({"noise": [1, 1]}),
            "factor 'noise': values [1.0, 1.0] must be different finite",
        ),
        (
            lambda: designs.grid({"knee": [1]}),
            "factor 'knee': a factor is 'noise', or a name and one of lower",
        ),
        (lambda: designs.grid({"knee.y uper": [1]}), "no quantity 'uper'; did you mean 'upper'?"),
        (
            lambda: designs.latin_hypercube({"noise": (5, 2)}, 4),
            "factor 'noise': range [5, 2] must be finite",
        ),
        (lambda: designs.latin_hypercube({"noise": (2, 5)}, 0), "a size of at least 1, got 0"),
        (lambda: designs.sobol({"noise": (2, 5)}, 12), "is a power of 2, got 12"),
    ],
)
def test_impossible_designs_are_refused(make, says):
    with pytest.raises(kp.KineposeError) as refusal:
        make()
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    ("levels", "says"),
    [
        ({"knee_y upper": (1, 2)}, "factor 'knee_y upper': no degree of freedom 'knee_y' in chain 'imvip22'"),
        (
            {"knee_right.z upper": (1, 2)},
            "factor 'knee_right.z upper': 'knee_right.z' is not free in the problem",
        ),
        (
            {"kneee_right length": (1, 2)},
            "no joint or keypoint 'kneee_right' in chain 'imvip22'; did you mean",
        ),
        ({"knee_right length": (0, 2)}, "factor 'knee_right length': 0 is too small; possible: above 0"),
        ({"noise": (-1, 2)}, "factor 'noise': -1 is too small; possible: 0 or more"),
        ({f"{ELBOW} lock": (0, 2)}, "2 is too large; possible: 0 to 1"),
        ({f"{ELBOW} lower": (0, 50), f"{ELBOW} upper": (40, 99)}, "its lower limit goes up to 50, its upper"),
        ({f"{ELBOW} lower": (0, 150)}, "its lower limit goes up to 150, its upper limit down to 143.239"),
        ({"LinkDirection std": (1, 2)}, "has no term 'LinkDirection'; possible: KeypointPosition, Angular"),
        ({"knee_right length": (1, 2), "knee_right scale": (1, 2)}, "are the same; give one of them"),
    ],
)
def test_impossible_factors_are_refused(problem, levels, says):
    with pytest.raises(kp.KineposeError) as refusal:
        designs.grid(levels).cases(problem)
    assert says in str(refusal.value)


def test_without_salib_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "SALib", None)
    for make in (designs.sobol, designs.morris):
        with pytest.raises(kp.KineposeError) as refusal:
            make({"noise": (0, 1)}, 4)
        assert str(refusal.value) == (
            "Sobol' and Morris designs need SALib; to get it: pip install 'kinepose_ocp[studies]'"
        )
    assert len(designs.latin_hypercube({"noise": (0, 1)}, 4)) == 4


# ---- what they change ----------------------------------------------------------------------------
def test_every_factor_changes_its_number_alone(problem):
    values = {f"{ELBOW} upper": 120.0, f"{ELBOW} lower": 5.0, "hip_right.y lock": 1.0, "hip_left.y lock": 0.2}
    values |= {"knee_right length": 0.5, "knee_left scale": 1.1, "KeypointPosition std": 0.01}
    values |= {"KeypointPosition weight": 4.0, "noise": 3.0}
    changed = changed_numbers(problem, values, seed=7)
    chain, old = changed["chain"], problem.chain
    assert np.degrees([chain.dofs[ELBOW].lower, chain.dofs[ELBOW].upper]) == pytest.approx([5, 120])
    assert [name for name in old.free_dofs if name not in chain.free_dofs] == ["hip_right.y"]
    lengths = {joint.name: np.linalg.norm(joint.offset) for joint in chain.joints}
    before = {joint.name: np.linalg.norm(joint.offset) for joint in old.joints}
    others = [name for name in lengths if name not in ("knee_right", "knee_left")]
    assert [lengths["knee_right"], lengths["knee_left"]] == pytest.approx([0.5, 1.1 * before["knee_left"]])
    assert [lengths[name] for name in others] == [before[name] for name in others]
    assert changed["terms"] == (
        kp.KeypointPosition(0.005),
        *TERMS[1:],
    )  # twice the std, four times the weight
    noise = (changed["keypoints"].position - problem.keypoints.position).values
    louder = changed_numbers(problem, {"noise": 6.0}, seed=7)["keypoints"].position.values
    assert noise.std() == pytest.approx(0.003, rel=0.1)
    assert np.allclose(louder, problem.keypoints.position.values + 2 * noise)


def test_a_weight_scales_the_cost_of_its_term(imvip22):
    truth = random_motion(imvip22, frames=8, rate=60, seed=3, straight=False)
    problem = kp.tuned_problem(imvip22, measure(truth, noise=0.005, seed=1), lengths="model")
    names = [str(name) for name in problem.solve().term.values]
    q = problem.start
    own = problem.case().costs(q)
    for name in names:
        case = problem.case(**changed_numbers(problem, {f"{name} weight": 3.0}))
        assert case.costs(q) == pytest.approx(own | {name: 3 * own[name]}, rel=1e-9)


def test_nothing_is_built_again(problem, monkeypatch):
    from kinepose_ocp import kernels

    problem.solve()
    monkeypatch.setattr(kernels, "Lift", None)  # a build would need it
    values = {
        f"{ELBOW} upper": (80, 120),
        f"{ELBOW} lock": (0, 1),
        "noise": (0, 2),
        "knee_right scale": (1, 1.1),
    }
    values["KeypointPosition weight"] = (1, 2)
    design = designs.latin_hypercube(values, 4, seed=1)
    swept = kp.sweep(problem, design.cases(problem))
    assert (swept.converged == 1).all()


# ---- results -------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def grid(problem):
    top = float(problem.solve().joint_angle.sel(dof=ELBOW).max())
    return designs.grid({f"{ELBOW} upper": (top - 20, top - 10, top), f"{ELBOW} lock": (0, 1)})


@pytest.fixture(scope="module")
def swept(problem, grid):
    return grid.labelled(kp.sweep(problem, grid.cases(problem)))


def test_factors_become_coordinates(grid, swept, tmp_path):
    name = "elbow_right.z_upper"
    assert swept[name].dims == ("case",) and swept[name].attrs["units"] == "degree"
    assert np.array_equal(swept[name], grid.values[:, 0])
    kp.write(swept[sorted(swept.variables, reverse=True)], tmp_path / "swept.nc")
    again = designs.Design.of(xr.load_dataset(tmp_path / "swept.nc"))
    assert (again.kind, again.seed) == ("grid", 0) and np.array_equal(again.values, grid.values)
    assert list(again.levels.items()) == list(grid.levels.items())
    with pytest.raises(kp.KineposeError, match="no design: a sweep that a design has labelled"):
        designs.Design.of(swept.drop_vars([name, "elbow_right.z_lock"]))


def test_a_grid_unstacks_to_one_dimension_a_factor(grid, swept, tmp_path):
    cube = grid.unstacked(swept)
    assert cube.joint_angle.dims == ("elbow_right.z_upper", "elbow_right.z_lock", "time", "dof")
    assert cube.joint_angle.shape[:2] == (3, 2) and cube.converged.dtype == swept.converged.dtype
    limit = grid.levels[f"{ELBOW} upper"][1]
    highest = cube.joint_angle.sel({"elbow_right.z_upper": limit, "dof": ELBOW}).max("time")
    assert highest.values == pytest.approx([limit, 0.0], abs=1e-6)
    for i, row in enumerate(grid.values):
        there = cube.joint_angle.sel({"elbow_right.z_upper": row[0], "elbow_right.z_lock": row[1]})
        assert np.array_equal(there, swept.joint_angle.sel(case=i))
    kp.write(cube, tmp_path / "cube.nc")
    xr.testing.assert_equal(xr.load_dataset(tmp_path / "cube.nc"), cube)
    sampled = designs.latin_hypercube({"noise": (0, 1)}, 2)
    with pytest.raises(kp.KineposeError, match="a latin_hypercube design has no dimensions to unstack"):
        sampled.unstacked(swept)


def test_names_of_factors():
    factor = Factor.of("knee_right.flexion upper")
    assert (factor.subject, factor.quantity) == ("knee_right.flexion", "upper")
    assert factor.variable == "knee_right.flexion_upper"
    assert factor.long_name == "knee_right.flexion: upper limit of the range of motion"
    assert Factor.of("noise").long_name == "standard deviation of white noise added to the keypoints"
