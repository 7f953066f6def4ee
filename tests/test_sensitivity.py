"""What an answer owes to the numbers it was given, against solving again with other numbers."""

import numpy as np
import pytest

import kinepose_ocp as kp
from kinepose_ocp import newton
from kinepose_ocp.case import Case
from kinepose_ocp.posterior import coordinates
from kinepose_ocp.sensitivity import sensitivities
from kinepose_ocp.synthetic import measure, random_motion

STD = 0.005  # m
TERMS = (kp.KeypointPosition(STD), kp.AngularAcceleration(60.0), kp.LinearAcceleration(30.0))
STEP = 1e-3  # degree or mm


@pytest.fixture(scope="module", params=[1, 2, 3])
def solved(request, imvip22):
    """A motion that needs more than narrow ROMs allow, so that many limits hold."""
    chain = imvip22.with_moving_root()
    truth = random_motion(chain, frames=25, rate=60, seed=request.param, straight=False)
    angle = truth.joint_angle
    narrow = {}
    for name in ("elbow_right.z", "shoulder_left.x", "hip_right.y", "hip_left.x", "knee_left.x"):
        if name in chain.free_dofs:
            low, high = (float(angle.sel(dof=name).quantile(part)) for part in (0.2, 0.8))
            if high - low > 2:
                narrow[name] = (low, high)
    chain = chain.with_rom(narrow)
    problem = kp.build_problem(chain, measure(truth, noise=STD, seed=1), TERMS)
    motion = problem.solve(solver="newton")
    return chain, problem, motion, problem.sensitivities(motion)


def solve(problem, motion, **numbers):
    """Angles (T, dof) [degree] and cost with other numbers, to rounding: soft modes need that."""
    case = Case(problem, numbers.get("chain", problem.chain), problem.keypoints, numbers.get("terms", TERMS))
    start = coordinates(problem.kernels.chain, motion)
    limits = newton.Limits(*case.bounds, iterations=12, tolerance=1e-14)
    found = newton.minimise(case.transcription, case.parameters, start, limits)
    turning = [i for i, dof in enumerate(case.chain.free_dofs.values()) if not dof.translates]
    return np.degrees(found.x[:, turning]), found.cost


def slope(problem, motion, step, *numbers):
    """Central difference of angles and cost between two sets of numbers, ``step`` apart on either side."""
    (low, cheap), (high, dear) = (solve(problem, motion, **given) for given in numbers)
    return (high - low) / (2 * step), (dear - cheap) / (2 * step)


def moved(chain, bound, by):
    name, side = bound.split(" ")
    dof = chain.dofs[name]
    lower, upper = dof.in_user_unit(dof.lower), dof.in_user_unit(dof.upper)
    return chain.with_rom({name: (lower + by, upper) if side == "lower" else (lower, upper + by)})


def test_limits_against_solving_again(solved):
    chain, problem, motion, owed = solved
    assert owed.sizes["bound"] >= 6
    for bound in owed.bound.values[:8]:
        chains = ({"chain": moved(chain, str(bound), by)} for by in (-STEP, STEP))
        angles, cost = slope(problem, motion, STEP, *chains)
        assert float(owed.cost_per_bound.sel(bound=bound)) == pytest.approx(cost, rel=1e-5), bound
        found = owed.angle_per_bound.sel(bound=bound).values
        assert np.linalg.norm(found - angles) < 1e-3 * np.linalg.norm(angles), bound


def test_prices_are_sums_of_multipliers(solved):
    _, _, motion, owed = solved
    for bound in owed.bound.values:
        name, side = str(bound).split(" ")
        state = {"lower": 1, "upper": 2}[side]
        price = motion.bound_multiplier.sel(dof=name).where(motion.bound_state.sel(dof=name) == state).sum()
        assert float(owed.cost_per_bound.sel(bound=bound)) == pytest.approx(float(price), rel=1e-6)


def test_a_rounding_off_a_limit_is_at_it(solved):
    """Angles of a file were degrees: radians again, they may lie a rounding inside their limits."""
    chain, problem, motion, owed = solved
    case, q = Case(problem, chain, problem.keypoints, TERMS), coordinates(chain, motion)
    lower, upper = case.bounds
    for towards in (-np.inf, np.inf):
        rounded = np.where((q <= lower) | (q >= upper), np.nextafter(q, towards), q)
        found = sensitivities(case, rounded)
        assert list(found.bound.values) == list(owed.bound.values)
        assert np.allclose(found.angle_per_bound, owed.angle_per_bound, atol=1e-6)


def test_lengths_against_solving_again(solved):
    chain, problem, motion, owed = solved
    lengths = {joint.name: float(np.linalg.norm(joint.offset)) for joint in chain.joints}
    for segment in ("knee_right", "elbow_left"):
        chains = (
            {"chain": chain.with_lengths({segment: lengths[segment] + by / 1000})} for by in (-STEP, STEP)
        )
        angles, _ = slope(problem, motion, STEP, *chains)
        found = owed.angle_per_length.sel(segment=segment).values
        assert np.linalg.norm(found - angles) < 1e-3 * np.linalg.norm(angles), segment


def test_noise_against_solving_again(solved):
    _, problem, motion, owed = solved
    terms = ({"terms": (kp.KeypointPosition(STD + by / 1000), *TERMS[1:])} for by in (-STEP, STEP))
    angles, _ = slope(problem, motion, STEP, *terms)
    found = owed.angle_per_noise.values
    assert np.linalg.norm(found - angles) < 1e-3 * np.linalg.norm(angles)


def test_with_automatic_smoothness(imvip22):
    truth = random_motion(imvip22, frames=20, rate=60, seed=3, straight=False)
    motion = kp.solve_motion(imvip22, measure(truth, noise=STD), with_sensitivities=True)
    assert motion.angle_per_bound.dims == ("time", "dof", "bound")
    assert np.isfinite(motion.angle_per_length).all()
    with pytest.raises(kp.KineposeError, match="automatic smoothness"):
        kp.solve_motion(imvip22, measure(truth), smoothness=100.0, with_sensitivities=True)


def test_dofs_locked_after_building_stay(solved):
    """Their columns are zero; the others are those of a chain that is locked from the start."""
    chain, problem, _, _ = solved
    locked = chain.with_locked({"spine_lower.x": 0.0})
    owed = problem.sensitivities(problem.solve(chain=locked, solver="newton"), chain=locked)
    assert "spine_lower.x" in owed.dof and (owed.angle_per_noise.sel(dof="spine_lower.x") == 0).all()
    anew = kp.build_problem(locked, problem.keypoints, TERMS)
    other = anew.sensitivities(anew.solve(solver="newton"))
    assert np.allclose(owed.angle_per_noise.sel(dof=other.dof), other.angle_per_noise, atol=1e-3)
