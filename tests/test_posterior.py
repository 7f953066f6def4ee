"""How sure a solution is: against dense algebra, against scatter of re-solves, against true errors."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import kinepose_ocp as kp
from kinepose_ocp.case import Case
from kinepose_ocp.case_motions import rom_at
from kinepose_ocp.dataset import pose_dataset
from kinepose_ocp.metrics import angular_error
from kinepose_ocp.posterior import coordinates, posterior, uncertainty
from kinepose_ocp.synthetic import measure, random_motion

NOISE = 0.005  # m


@pytest.fixture(scope="module")
def solved(imvip22):
    """A motion solved with terms that are known, so that nothing but noise varies."""
    chain = imvip22.with_moving_root()
    truth = random_motion(chain, frames=30, rate=60, seed=4, straight=False)
    terms = (kp.KeypointPosition(NOISE), kp.AngularAcceleration(60.0), kp.LinearAcceleration(30.0))
    keypoints = measure(truth, noise=NOISE, seed=1)
    problem = kp.build_problem(chain, keypoints, terms)
    motion = problem.solve(solver="newton")
    return truth, problem, Case(problem, problem.kernels.chain, problem.keypoints, terms), motion


def test_orientations_vary_as_their_angles_do(solved):
    """Angles drawn from the posterior of a frame, through scipy's rotations."""
    _, _, case, motion = solved
    q, frame = coordinates(case.chain, motion), 12
    covariance = posterior(case, q)[0].lags[0][frame] * 1e-4  # small, so that angles add
    draws = np.random.default_rng(0).multivariate_normal(q[frame], covariance, size=4000)
    poses = pose_dataset(case.chain, np.arange(4000.0), draws).orientation_global
    found = uncertainty(case, q, NOISE).orientations[frame] * 1e-4
    for j, name in enumerate(case.chain.joint_names):
        middle = Rotation.from_quat(
            motion.orientation_global.sel(joint=name).values[frame], scalar_first=True
        )
        turned = Rotation.from_quat(poses.sel(joint=name).values, scalar_first=True)
        drawn = np.cov((turned * middle.inv()).as_rotvec().T)
        assert np.allclose(drawn, found[j], atol=0.1 * np.trace(found[j]) + 1e-12), name


def test_deviations_are_the_scatter_of_solutions(solved):
    """The same motion measured again and again; what the prior adds is common to all."""
    truth, problem, case, motion = solved
    q = coordinates(case.chain, motion)
    expected = uncertainty(case, q, NOISE).coordinates
    found = [
        coordinates(
            case.chain, problem.solve(keypoints=measure(truth, noise=NOISE, seed=s), solver="newton", start=q)
        )
        for s in range(20, 36)
    ]
    scatter = np.std(found, axis=0, ddof=1)[8:-8]
    inner = expected[8:-8]
    ratio = scatter[inner > 0] / inner[inner > 0]
    assert 0.6 < np.median(ratio) < 1.05  # the posterior holds what smoothing takes away from the scatter


def test_errors_lie_within_the_deviations(imvip22):
    """In default settings: about 68 % within one, 95 % within two."""
    inside = []
    for seed in (5, 6):
        truth = random_motion(imvip22, frames=120, rate=60, seed=seed, straight=False)
        motion = kp.solve_motion(imvip22, measure(truth, noise=NOISE, seed=seed), lengths="model")
        wrong = (motion.joint_angle - truth.joint_angle).transpose("time", "dof").values
        wrong = (wrong + 180) % 360 - 180
        deviation = motion.joint_angle_std.transpose("time", "dof").values
        inside.append(np.abs(wrong / np.where(deviation > 0, deviation, np.nan)))
    size = np.concatenate(inside)
    size = size[np.isfinite(size)]
    assert 0.55 < (size < 1).mean() < 0.8
    assert 0.85 < (size < 2).mean() < 0.99


def test_the_angle_of_an_error_is_predicted(imvip22):
    truth = random_motion(imvip22, frames=120, rate=60, seed=7, straight=False)
    motion = kp.solve_motion(imvip22, measure(truth, noise=NOISE, seed=7), lengths="model")
    covariance = motion.orientation_covariance
    assert covariance.dims == ("time", "joint", "space", "space_other")
    assert covariance.attrs["units"] == "degree2"
    expected = np.trace(covariance.values, axis1=2, axis2=3)
    error = angular_error(motion, truth, "global")
    expected = expected[:, [list(motion.joint.values).index(name) for name in error.joint.values]]
    assert 0.5 < np.mean(error.values**2 / expected) < 1.5


@pytest.mark.parametrize("solver", ["ipopt", "newton"])
def test_an_angle_that_its_limit_holds_does_not_vary(solver):
    chain, keypoints, _ = rom_at("imvip22", 30, 7)
    motion = kp.solve_motion(chain, keypoints, solver=solver)
    held = (np.abs(motion.bound_multiplier) > 1e-3).values
    assert held.sum() > 10
    assert (motion.joint_angle_std.values[held] == 0).all()
