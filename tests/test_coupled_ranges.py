"""Coupled ranges of motion: what they compute, how they are solved, what they are worth, what is refused."""

from dataclasses import replace

import casadi as ca
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import kinepose_ocp as kp
from kinepose_ocp import cli, newton, rotations
from kinepose_ocp.case import Case
from kinepose_ocp.chain_file import chain_from_yaml, chain_to_yaml, load_couplings
from kinepose_ocp.contact import contact
from kinepose_ocp.coupled_ranges import LinearCoupling, SwingTwistCone
from kinepose_ocp.coupling_kernels import outside_at_rest
from kinepose_ocp.posterior import coordinates, posterior
from kinepose_ocp.synthetic import measure, random_motion, true_motion

STD = 0.005  # m
TERMS = (kp.KeypointPosition(STD), kp.AngularAcceleration(60.0), kp.LinearAcceleration(30.0))
SOLVERS = ("newton", "ipopt", "sqp")
ARM = SwingTwistCone(
    "arm",
    "shoulder_right",
    (0.0, -1.0, 0.0),
    (1.0, 0.0, 0.0),
    tuple(np.radians([60.0, 45.0])),
    "made up",
    twist=tuple(np.radians([-30.0, 15.0])),
)
STRIDE = LinearCoupling(
    "stride", {"hip_right.x": 1.0, "knee_right.y": 0.5}, *np.radians([-33.0, -24.0]), "made up"
)
SPINE = LinearCoupling("spine", {"spine_upper.x": 1.0, "spine_lower.x": -0.5}, 0.0, 0.0, "made up")
WIDE = {"arm.swing": (175, 174), "arm.twist": (-180, 180), "stride": (-500, 500), "spine": (-90, 90)}


@pytest.fixture(scope="module")
def plain(imvip22):
    chain = imvip22.with_moving_root()
    truth = random_motion(chain, frames=16, rate=60, seed=6, straight=False)
    return chain, measure(truth, noise=STD, seed=1)


@pytest.fixture(scope="module")
def problem(plain):
    chain, keypoints = plain
    return kp.build_problem(chain.with_coupled(ARM, STRIDE, SPINE), keypoints, TERMS)


@pytest.fixture(scope="module")
def motions(problem):
    return {solver: problem.solve(solver=solver) for solver in SOLVERS}


def case_of(problem, chain=None):
    return Case(problem, chain or problem.chain, problem.keypoints, TERMS)


def resolved(problem, chain, q):
    """Coordinates and cost with other limits, to rounding."""
    case = case_of(problem, chain)
    limits = newton.Limits(*case.bounds, iterations=60, tolerance=1e-13)
    found = newton.minimise(case.transcription, case.parameters, q, limits)
    return found.x, float(case.transcription.values.costs(found.x, case.parameters).sum())


# ---- what they compute -------------------------------------------------------------------------------
def swing_twist(quaternion, axis, first):
    q = ca.SX.sym("q", 4)
    swing, twist = rotations.swing_twist(q, axis, first)
    found = np.array(ca.Function("f", [q], [ca.vertcat(swing, twist)])(quaternion)).ravel()
    return found[:2], found[2]


def random_frame(rng):
    """A unit axis, and one perpendicular to it."""
    matrix = Rotation.random(random_state=rng).as_matrix()
    return tuple(map(float, matrix[0])), tuple(map(float, matrix[1]))


@pytest.mark.parametrize("seed", range(20))
def test_swing_and_twist_make_the_rotation(seed):
    """Made with scipy from a swing and a twist, both are found again; also of -q."""
    rng = np.random.default_rng(seed)
    axis, first = random_frame(rng)
    size = [0.0, 1e-9, 1e-5, 0.019, 0.021, 1.0, 3.1][seed % 7]
    angle = rng.uniform(0, 2 * np.pi)
    swing, twist = size * np.array([np.cos(angle), np.sin(angle)]), rng.uniform(-3.1, 3.1)
    second = np.cross(axis, first)
    made = Rotation.from_rotvec(swing[0] * np.array(first) + swing[1] * second)
    whole = (made * Rotation.from_rotvec(twist * np.array(axis))).as_quat(scalar_first=True)
    for quaternion in (whole, -whole):
        found = swing_twist(quaternion, axis, first)
        assert np.allclose(found[0], swing, atol=1e-10)
        assert found[1] == pytest.approx(twist, abs=1e-10)


def cone_values(cone, chain, q):
    """Numbers of a cone from scipy alone: v of the swing and the twist [rad]."""
    joint = next(joint for joint in chain.joints if joint.name == cone.joint)
    turn = Rotation.identity()
    for dof in joint.dofs:
        turn = turn * Rotation.from_rotvec(q[f"{joint.name}.{dof.name}"] * np.array(dof.axis))
    axis = np.array(cone.axis)
    center = axis if cone.center is None else np.array(cone.center)
    turn = shortest(axis, center).inv() * turn
    swing = shortest(axis, turn.apply(axis))
    twist = (swing.inv() * turn).as_rotvec() @ axis
    vector = swing.as_rotvec()
    parts = np.array([vector @ cone.first, vector @ np.cross(cone.axis, cone.first)]) / cone.swing
    return max(cone.swing) * np.linalg.norm(parts), twist


def shortest(start, end):
    cross = np.cross(start, end)
    sine = np.linalg.norm(cross)
    return (
        Rotation.from_rotvec(cross / sine * np.arctan2(sine, start @ end))
        if sine > 1e-15
        else Rotation.identity()
    )


@pytest.mark.parametrize("center", [None, (0.6, 0.0, -0.8)])
def test_numbers_of_a_cone_against_scipy(plain, center):
    """On a chain with oblique axes; linear couplings are sums."""
    chain, keypoints = plain
    cone = replace(ARM, center=center)
    made = chain.with_coupled(cone, STRIDE)
    case = case_of(kp.build_problem(made, keypoints, TERMS))
    q = np.random.default_rng(0).uniform(-1.2, 1.2, (16, len(chain.free_dofs)))
    found = case.coupled.shown(q)
    for t in range(0, 16, 3):
        values = dict(zip(chain.free_dofs, q[t], strict=True))
        assert np.allclose(found[t, :2], cone_values(cone, chain, values), atol=1e-9)
        assert found[t, 2] == pytest.approx(values["hip_right.x"] + 0.5 * values["knee_right.y"])


@pytest.mark.parametrize("where", ["rest", "boundary", "anywhere"])
def test_derivatives_are_finite_and_those_of_differences(problem, motions, where):
    case, rng = case_of(problem), np.random.default_rng(1)
    q = coordinates(problem.kernels.chain, motions["newton"])[:3]
    if where != "boundary":
        q = np.zeros_like(q) if where == "rest" else rng.uniform(-1, 1, q.shape)
    coupled, size = case.coupled, q.shape[1]
    y, step = rng.normal(size=(3, coupled.kernel.size)), 1e-5
    slopes, pattern = coupled.slopes(q), problem.kernels.patterns[0]
    curvature = np.zeros((3, size, size))
    rows, columns = pattern.get_triplet()
    curvature[:, rows, columns] = coupled.curvature(q, y, np.zeros_like(y)).T
    curvature += np.triu(curvature, 1).swapaxes(1, 2)
    weighted = np.zeros((3, size, size))
    weighted[:, rows, columns] = coupled.curvature(q, 0 * y, y**2).T
    squares = np.einsum("tmi,tm,tmj->tij", slopes, y**2, slopes)
    assert np.isfinite(curvature).all() and np.allclose(weighted, np.triu(squares), atol=1e-12)
    for i in range(size):
        near = [q + side * step * np.eye(size)[i] for side in (-1, 1)]
        change = np.diff([coupled.value(x) for x in near], axis=0)[0] / (2 * step)
        assert np.allclose(slopes[:, :, i], change, atol=1e-8)
        change = np.diff([coupled.gradient(x, y) for x in near], axis=0)[0] / (2 * step)
        assert np.allclose(curvature[:, :, i], change, atol=1e-7)


# ---- how they are solved -----------------------------------------------------------------------------
def test_the_motion_wants_to_leave(plain, problem):
    chain, keypoints = plain
    free = kp.build_problem(chain, keypoints, TERMS).solve(solver="newton")
    coupled = case_of(problem).coupled
    outside = coupled.violation(coupled.value(coordinates(chain, free)))
    assert (np.degrees(outside.max(axis=0)) > 1.5).all()
    assert "coupling_value" not in free


def test_solvers_agree_and_keep_the_ranges(problem, motions):
    coupled, cost = case_of(problem).coupled, float(motions["newton"].cost.sum())
    for solver, motion in motions.items():
        q = coordinates(problem.kernels.chain, motion)
        assert coupled.violation(coupled.value(q)).max() <= 1e-6, solver
        assert float(motion.cost.sum()) == pytest.approx(cost, rel=1e-6), solver
        held = motion.joint_angle.sel(dof="spine_upper.x") - 0.5 * motion.joint_angle.sel(dof="spine_lower.x")
        assert abs(held).max() <= np.degrees(1e-6), solver


def test_multipliers_are_the_slopes_of_the_cost(problem, motions):
    """d(cost)/d(limit) against central differences of re-solves; those of all solvers, and recomputed."""
    motion, step = motions["newton"], 1e-3
    q = coordinates(problem.kernels.chain, motion)
    changes = {
        "arm.swing": lambda d: (60 + d, (60 + d) * 45 / 60),
        "arm.twist": lambda d: (-30, 15 + d),
        "stride": lambda d: (-33, -24 + d),
        "spine": lambda d: (d, d),
    }
    for name, limits in changes.items():
        state = 3 if name == "spine" else 2
        price = motion.coupling_multiplier.where(motion.coupling_state == state).sel(coupling=name).sum()
        cheap, dear = (
            resolved(problem, problem.chain.with_coupled_limits({name: limits(side * step)}), q)[1]
            for side in (-1, 1)
        )
        assert float(price) == pytest.approx((dear - cheap) / (2 * step), rel=1e-4), name
        assert float(price) != 0
        for solver in SOLVERS[1:]:
            other = motions[solver].coupling_multiplier.where(motion.coupling_state == state)
            assert float(other.sel(coupling=name).sum()) == pytest.approx(float(price), rel=1e-3)
    pull = -np.radians(contact(case_of(problem), q).pull)
    assert np.allclose(pull, motion.coupling_multiplier, atol=1e-4 * abs(pull).max())


def test_ranges_wide_open_change_nothing(plain, problem):
    chain, keypoints = plain
    free = kp.build_problem(chain, keypoints, TERMS).solve(solver="newton")
    built = len(problem._solvers)
    motion = problem.solve(chain=problem.chain.with_coupled_limits(WIDE), solver="newton")
    assert len(problem._solvers) == built  # numbers: nothing is built again
    assert np.allclose(motion.joint_angle, free.joint_angle, atol=1e-5)
    assert float(motion.cost.sum()) == pytest.approx(float(free.cost.sum()), rel=1e-9)
    assert (motion.coupling_state == 0).all() and (motion.coupling_multiplier == 0).all()


def test_a_chain_without_ranges_has_the_same_program(plain, problem):
    chain, keypoints = plain
    free = kp.build_problem(chain, keypoints, TERMS)
    case = case_of(free, chain)
    assert free.kernels.couplings is None and case.coupled is None
    assert free.kernels.shared_size < problem.kernels.shared_size
    assert free._solver("ipopt", 16)._warm._solver.size_in("lbg") == (0, 1)
    assert problem._solver("ipopt", 16)._warm._solver.size_in("lbg")[0] > 0


def test_the_motion_says_where_ranges_hold(problem, motions, tmp_path):
    motion = motions["ipopt"]
    kp.write(motion, tmp_path / "motion.nc")
    again = kp.read_motion(tmp_path / "motion.nc")
    assert list(again.coupling.values) == ["arm.swing", "arm.twist", "stride", "spine"]
    for name, units in (("value", "degree"), ("state", "1"), ("multiplier", "degree-1")):
        variable = again[f"coupling_{name}"]
        assert (variable.dims, variable.attrs["units"]) == (("time", "coupling"), units)
    assert again.coupling_state.attrs["flag_meanings"] == "free at_lower at_upper held"
    assert (again.coupling_state.sel(coupling="spine") == 3).all()
    swing = again.coupling_value.sel(coupling="arm.swing")
    assert float(swing.max()) == pytest.approx(60, abs=1e-3) and float(
        again.coupling_upper[0]
    ) == pytest.approx(60)
    chain = chain_from_yaml(again.attrs["chain_yaml"])
    assert [one.structure for one in chain.coupled] == [one.structure for one in problem.chain.coupled]
    assert chain_to_yaml(chain) == again.attrs["chain_yaml"]


def test_frame_by_frame(plain, problem):
    _, keypoints = plain
    motion = kp.solve_motion(
        problem.chain, keypoints.isel(time=slice(3)), solver="frame:ipopt", lengths="model"
    )
    coupled = case_of(problem).coupled
    q = coordinates(problem.kernels.chain, motion)
    assert coupled.violation(coupled.value(q)).max() <= 1e-6
    assert motion.coupling_value.sizes == {"time": 3, "coupling": 4}


# ---- what they are worth -----------------------------------------------------------------------------
def test_a_pose_does_not_vary_across_a_limit_that_holds(problem, motions):
    case = case_of(problem)
    q = coordinates(problem.kernels.chain, motions["newton"])
    covariance, held = posterior(case, q)[0].lags[0], contact(case, q).coupled
    slopes = case.coupled.slopes(q)
    across = np.sqrt(np.einsum("tmi,tij,tmj->tm", slopes, covariance, slopes))
    assert held.sum() > 16
    assert across[held].max() < 1e-5  # rad
    assert across[~held].min() > 1e-4 and np.degrees(np.median(across[~held])) > 0.1


def test_sensitivities_against_solving_again(problem, motions):
    q = coordinates(problem.kernels.chain, motions["newton"])
    owed, step = problem.sensitivities(motions["newton"]), 1e-3
    turning = [i for i, dof in enumerate(problem.kernels.chain.free_dofs.values()) if not dof.translates]
    length = {joint.name: float(np.linalg.norm(joint.offset)) for joint in problem.chain.joints}[
        "elbow_right"
    ]
    limit = problem.chain.with_coupled_limits
    cases = {
        "arm.swing upper": lambda d: limit({"arm.swing": (60 + d, (60 + d) * 45 / 60)}),
        "spine both": lambda d: limit({"spine": (d, d)}),
        "elbow_right": lambda d: problem.chain.with_lengths({"elbow_right": length + d / 1000}),
    }
    for name, chain in cases.items():
        low, high = (resolved(problem, chain(side * step), q)[0] for side in (-1, 1))
        angles = np.degrees(high - low)[:, turning] / (2 * step)
        found = owed.angle_per_length if name == "elbow_right" else owed.angle_per_bound
        found = found.sel({found.dims[-1]: name}).values
        assert np.linalg.norm(found - angles) < 1e-3 * np.linalg.norm(angles), name
    price = motions["newton"].coupling_multiplier.sel(coupling="spine").sum()
    assert float(owed.cost_per_bound.sel(bound="spine both")) == pytest.approx(float(price), rel=1e-5)


def test_in_default_settings(problem, plain):
    """Noise and liveliness from the data, under ranges that the motion presses against."""
    chain, keypoints = plain
    mild = chain.with_coupled(replace(ARM, swing=tuple(np.radians([65, 50])), twist=None), SPINE)
    motion = kp.solve_motion(mild, keypoints, lengths="model", with_sensitivities=True)
    assert motion.converged == 1 and np.isfinite(motion.joint_angle_std).all()
    assert float(motion.coupling_value.sel(coupling="arm.swing").max()) <= 65 + np.degrees(1e-6)
    assert "spine both" in motion.bound


# ---- as values and in files --------------------------------------------------------------------------
CHAIN = """\
schema: 1
name: leg
source: a book
joints:
  - name: pelvis
    parent: null
    dofs: [{name: tilt, rotation: [0, 1, 0]}, {name: up, translation: [0, 0, 1]}]
  - name: hip
    parent: pelvis
    offset: [0, 0, -0.1]
    dofs:
      - {name: flexion, rotation: [0, -1, 0], rom: [-30, 145]}
      - {name: abduction, rotation: [-1, 0, 0]}
      - {name: rotation, rotation: [0, 0, 1]}
  - name: knee
    parent: hip
    offset: [0, 0, -0.4]
    dofs:
      - {name: flexion, rotation: [0, 1, 0], rom: [0, 140]}
      - {name: twist, rotation: [0, 0, 1], locked: true}
keypoints: {hip: {joint: hip}, knee: {joint: knee}}
cones:
  - name: thigh
    joint: hip
    axis: [0, 0, -1]
    first: [0, -1, 0]
    center: [0.6, 0, -0.8]
    swing: [70, 50]
    twist: [-40, 60]
    source: made up
couplings:
  - {name: hamstrings, weights: {hip.flexion: 1, knee.flexion: -0.5}, limits: [-.inf, 90], source: made up}
"""
THIGH, HAMSTRINGS = ("coupled range 'thigh' in chain 'leg': ", "coupled range 'hamstrings' in chain 'leg': ")
REFUSED = {
    "unknown key of a cone": (
        "    swing:",
        "    swings: [1, 2]\n    swing:",
        "cones[0] ('thigh').swings: unknown key; did you mean 'swing'?",
    ),
    "unknown key of a coupling": (
        "limits:",
        "limit: 3, limits:",
        "couplings[0] ('hamstrings').limit: unknown key; did you mean 'limits'?",
    ),
    "unknown joint": (
        "joint: hip\n    axis",
        "joint: hop\n    axis",
        THIGH + "no joint 'hop'; did you mean 'hip'?",
    ),
    "unknown dof": (
        "{hip.flexion: 1",
        "{hip.flexio: 1",
        HAMSTRINGS + "no degree of freedom 'hip.flexio'; did you mean 'hip.flexion'?",
    ),
    "translation": (
        "{hip.flexion: 1",
        "{pelvis.up: 1",
        HAMSTRINGS + "'pelvis.up' is a translation; a coupling takes rotations",
    ),
    "no weight": (
        "knee.flexion: -0.5",
        "knee.flexion: 0",
        HAMSTRINGS + "weight 0 of 'knee.flexion' must be a number other than 0",
    ),
    "inverted limits": (
        "[-.inf, 90]",
        "[95, 90]",
        HAMSTRINGS + "limits [95, 90] has its lower limit above its upper one",
    ),
    "no limits": (
        "[-.inf, 90]",
        "[-.inf, .inf]",
        HAMSTRINGS + "limits [-inf, inf] limit nothing; give at least one number",
    ),
    "inverted twist": (
        "[-40, 60]",
        "[60, -40]",
        THIGH + "twist [60, -40] has its lower limit above its upper one",
    ),
    "twist too far": (
        "[-40, 60]",
        "[-40, 200]",
        THIGH + "twist [-40, 200] must lie within -180 and 180 degrees",
    ),
    "semi-angle": (
        "[70, 50]",
        "[70, 180]",
        THIGH + "swing [70, 180]: both semi-angles must lie between 0 and 180 degrees",
    ),
    "two rotations": (
        "joint: hip\n    axis",
        "joint: knee\n    axis",
        THIGH + "a cone needs a joint with three rotations; 'knee' has 2",
    ),
    "long axis": (
        "axis: [0, 0, -1]",
        "axis: [0, 0, -2]",
        THIGH + "axis [0.0, 0.0, -2.0] has length 2; it must be a unit vector",
    ),
    "oblique axis": (
        "first: [0, -1, 0]",
        "first: [0, -0.6, 0.8]",
        THIGH + "first [0.0, -0.6, 0.8] must be perpendicular to axis [0.0, 0.0, -1.0]",
    ),
    "opposite centre": (
        "center: [0.6, 0, -0.8]",
        "center: [0, 0, 1]",
        THIGH + "center is opposite to axis: no shortest rotation leads there",
    ),
    "no source": (", source: made up}", "}", "couplings[0] ('hamstrings').source: is required and missing"),
    "locked": (
        "knee.flexion: -0.5",
        "knee.twist: -0.5",
        HAMSTRINGS + "'knee.twist' is locked; unlock it, or say 'accept: [locked]' to count it at rest",
    ),
    "rest outside": (
        "[-.inf, 90]",
        "[10, 90]",
        HAMSTRINGS + "the rest pose has hamstrings at 0 degrees, outside [10, 90]; change the limits, or say "
        "'accept: [rest]'",
    ),
    "rest outside a cone": (
        "[70, 50]",
        "[30, 50]",
        THIGH
        + "the rest pose has thigh.swing at 61.45 degrees, outside [-inf, 50]; change the limits, or say "
        "'accept: [rest]'",
    ),
    "the same name": ("name: hamstrings", "name: thigh", THIGH + "its name is taken"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_range_is_refused_in_one_line(case):
    old, new, message = REFUSED[case]
    assert old in CHAIN
    with pytest.raises(kp.ModelError) as error:
        chain_from_yaml(CHAIN.replace(old, new, 1), "leg.yaml")
    assert str(error.value) == f"leg.yaml: {message}"


def test_a_file_and_back():
    chain = chain_from_yaml(CHAIN)
    assert chain_from_yaml(chain_to_yaml(chain)) == chain
    for changed in (
        chain.with_locked({"knee.flexion": 20.0}),
        chain.with_coupled_limits({"hamstrings": (5, 60), "thigh.swing": (20, 30), "thigh.twist": (1, 2)}),
    ):
        assert chain_from_yaml(chain_to_yaml(changed)) == changed


def test_limits_change_by_name():
    chain = chain_from_yaml(CHAIN).with_coupled_limits({"thigh.swing": (30, 20), "hamstrings": (-10, 80)})
    cone, coupling = chain.coupled
    assert np.allclose(np.degrees(cone.swing), (30, 20)) and np.allclose(np.degrees(cone.twist), (-40, 60))
    assert np.allclose(np.degrees([coupling.lower, coupling.upper]), (-10, 80))
    with pytest.raises(kp.ModelError, match=r"no coupled limit 'thigh.swung' in chain 'leg'; did you mean"):
        chain.with_coupled_limits({"thigh.swung": (1, 2)})
    with pytest.raises(kp.ModelError, match=r"limits \[3, 2\] has its lower limit above"):
        chain.with_coupled_limits({"hamstrings": (3, 2)})


def test_other_ranges_need_another_problem(plain, problem):
    with pytest.raises(kp.ModelError, match="other coupled ranges than the problem was built with"):
        problem.solve(chain=plain[0])


def test_ranges_of_held_angles_must_be_kept(plain):
    chain, keypoints = plain
    only = LinearCoupling("neck", {"neck.x": 1.0}, *np.radians([5.0, 9.0]), "made up")
    fixed = chain.with_coupled(only).with_locked({"neck.x": 0.0})
    with pytest.raises(
        kp.ModelError, match="'neck' in chain 'imvip22' cannot be kept: all its DOFs are locked"
    ):
        kp.build_problem(fixed, keypoints, TERMS)
    kept = kp.build_problem(chain.with_coupled(only).with_locked({"neck.x": 6.0}), keypoints, TERMS)
    assert kept.kernels.couplings is None


# ---- the shipped ones --------------------------------------------------------------------------------
def at(**angles):
    """Coupled numbers [degree] of fullbody at some angles [degree], right side, mirrored to be compared."""
    chain = load_couplings("fullbody", kp.load_chain("fullbody"))
    values = {f"{n.replace('__', f'_{side}.')}": v for n, v in angles.items() for side in ("right", "left")}
    posed = chain.with_locked(values)
    return {name: np.degrees(value) for name, value in outside_at_rest(posed).items()}


@pytest.mark.parametrize(
    ("angles", "violated"),
    [
        ({}, []),
        ({"shoulder__flexion": 180}, []),
        ({"shoulder__abduction": 180}, []),
        ({"shoulder__flexion": -60}, []),
        ({"shoulder__abduction": 90, "shoulder__rotation": -180}, []),
        ({"shoulder__rotation": 95}, []),
        ({"hip__flexion": 145, "knee__flexion": 140}, []),
        ({"hip__flexion": -30}, []),
        ({"hip__abduction": 65}, []),
        ({"hip__flexion": 120}, ["hamstrings"]),
        ({"hip__flexion": -30, "knee__flexion": 150}, ["rectus_femoris"]),
        ({"hip__flexion": -30, "hip__abduction": 65}, ["thigh.swing"]),
        ({"hip__flexion": 145, "hip__abduction": 65, "knee__flexion": 140}, ["thigh.swing"]),
        ({"shoulder__flexion": -90}, ["arm.swing"]),
    ],
)
def test_shipped_ranges_hold_what_they_should(angles, violated):
    expected = {
        f"{name.partition('.')[0]}_{side}{'.' * ('.' in name)}{name.partition('.')[2]}"
        for name in violated
        for side in ("right", "left")
    }
    assert set(at(**angles)) == expected


def test_shipped_ranges_are_solved(tmp_path):
    """Straight-leg raises to 110 degrees: the hamstrings allow 90."""
    chain = load_couplings("fullbody", kp.load_chain("fullbody"))
    frames = 6
    truth = true_motion(chain, {"hip_right.flexion": np.linspace(60, 110, frames)}, rate=30)
    keypoints = measure(truth, noise=0.002, seed=0)
    motion = kp.build_problem(chain, keypoints).solve(solver="newton")
    assert (motion.coupling_state.sel(coupling="hamstrings_right") == 2).any()
    assert float(motion.coupling_value.sel(coupling="hamstrings_right").max()) <= 90 + 1e-4


def test_files_of_couplings(tmp_path):
    chain = kp.load_chain("fullbody")
    with pytest.raises(kp.ModelError, match=r"no couplings 'full': neither a .yaml file nor a shipped one"):
        load_couplings("full", chain)
    path = tmp_path / "c.yaml"
    for text, message in (
        ("schema: 1", "a file of coupled ranges has 'schema: 1' and 'cones' or 'couplings'"),
        ("schema: 2\ncones: []", "schema is 2; possible: 1"),
        (
            "schema: 1\ncones: []\ncolour: red",
            "colour: unknown key; possible: schema, description, cones, couplings",
        ),
    ):
        path.write_text(text)
        with pytest.raises(kp.ModelError) as error:
            load_couplings(path, chain)
        assert str(error.value) == f"{path}: {message}"


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leg.yaml").write_text(CHAIN)
    (tmp_path / "wrong.yaml").write_text("schema: 1\ncones: [{name: arm}]")

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main(list(arguments))
        return end.value.code, *capsys.readouterr()

    assert run("models", "check", "leg.yaml")[1].endswith("0 links, 2 coupled ranges\n")
    shown = run("models", "show", "fullbody", "--couplings", "fullbody")[1]
    assert "hamstrings_left" in shown and "-150 .. 125" in shown
    status, out, err = run("solve", "points.csv", "--couplings", "wrong.yaml", "-o", "out.nc")
    message = "kinepose-ocp: wrong.yaml: cones[0] ('arm').joint: is required and missing\n"
    assert (status, out, err) == (2, "", message)
    assert not (tmp_path / "out.nc").exists()


def test_a_limit_swept_by_name(problem):
    limits = {
        upper: {"chain": problem.chain.with_coupled_limits({"stride": (-33, upper)})} for upper in (-24, -22)
    }
    kept = ("coupling_value", "cost")
    study = kp.sweep(problem, limits, dim="stride_upper", solver="newton", kept=kept)
    assert (study.error == "").all()
    assert np.allclose(study.coupling_value.sel(coupling="stride").max("time"), [-24, -22], atol=1e-4)
    cost = study.cost.sum("term")
    assert float(cost[0]) > float(cost[1])


@pytest.mark.parametrize("solver", SOLVERS)
def test_ranges_that_no_pose_keeps(plain, solver):
    """A sum that the box of ROMs does not allow: no solution, said as such."""
    chain, keypoints = plain
    wish = LinearCoupling("spine", {"spine_upper.x": 1.0}, *np.radians([20.0, 30.0]), "made up")
    impossible = kp.build_problem(chain.with_coupled(wish), keypoints.isel(time=slice(3)), TERMS)
    with pytest.raises(kp.SolveError, match=f"{solver} did not converge") as failure:
        impossible.solve(solver=solver)
    assert failure.value.motion.converged == 0
