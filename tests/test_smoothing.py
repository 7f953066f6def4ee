"""Smoothness chosen from the data: noise found, frame rate, outliers, and an honest deviation."""

import dataclasses
import importlib

import numpy as np
import pytest
import scipy.signal

import kinepose_ocp as kp
from kinepose_ocp import metrics, posterior, smoothing
from kinepose_ocp.chain import Site
from kinepose_ocp.measurement_errors import Drift, MeasurementErrors, student_weight, usual_weight
from kinepose_ocp.pose_prior import TIME_CONSTANTS, PosePrior, PoseStatistics, order_weights
from kinepose_ocp.selected_inverse import SelectedInverse
from kinepose_ocp.synthetic import measure, random_motion


@pytest.fixture(scope="module")
def truth(imvip22):
    return random_motion(imvip22, frames=120, rate=60, seed=7, straight=True)


@pytest.fixture(scope="module")
def noisy(imvip22, truth):
    return kp.solve_motion(imvip22, measure(truth, noise=0.01, seed=1), lengths="model")


def test_noise_is_found(noisy):
    assert float(noisy.keypoint_noise) == pytest.approx(10, rel=0.05)
    assert noisy.keypoint_noise.attrs["units"] == "mm"


def test_clean_data_are_trusted(imvip22, truth):
    motion = kp.solve_motion(imvip22, measure(truth), lengths="model")
    assert float(motion.keypoint_noise) < 0.5
    assert metrics.mpjas(motion, truth, "local") < 3


def test_better_than_frame_by_frame(imvip22, truth, noisy):
    single = kp.solve_motion(
        imvip22, measure(truth, noise=0.01, seed=1), lengths="model", solver="frame:ipopt"
    )
    assert metrics.mpjas(noisy, truth, "local") < 0.6 * metrics.mpjas(single, truth, "local")


def test_outliers_cost_little(imvip22, truth, noisy):
    keypoints = measure(truth, noise=0.01, seed=1)
    generator = np.random.default_rng(3)
    hit = generator.random(keypoints.confidence.shape) < 0.02
    keypoints["position"] = keypoints.position + 0.3 * hit[..., None] * [1.0, 0.0, 0.0]
    motion = kp.solve_motion(imvip22, keypoints, lengths="model")
    assert metrics.mpjas(motion, truth, "local") < 1.3 * metrics.mpjas(noisy, truth, "local")


def test_half_the_frames_give_the_same_densities(imvip22, truth, noisy):
    """A density in time does not depend on the frame rate; a weight per frame would change eightfold."""
    half = kp.solve_motion(
        imvip22, measure(truth, noise=0.01, seed=1).isel(time=slice(None, None, 2)), lengths="model"
    )
    ratio = (half.acceleration_density / noisy.acceleration_density).median()
    assert 0.5 < float(ratio) < 2


def test_deviation_grows_where_twist_is_not_seen(truth, noisy):
    """Above a straight knee or elbow the deviation of the joint's angles is larger than above a bent one."""
    deviation = noisy.joint_angle_std
    assert (deviation >= 0).all() and np.isfinite(deviation).all()
    inside, outside = [], []
    for hinge, above in (("elbow_left", "shoulder_left"), ("elbow_right", "shoulder_right")):
        straight = truth.straight.sel(joint=hinge).values.astype(bool)
        largest = deviation.sel(dof=[f"{above}.{axis}" for axis in "xyz"]).max("dof").values
        inside.append(largest[straight])
        outside.append(largest[~straight])
    assert np.concatenate(inside).mean() > 1.3 * np.concatenate(outside).mean()


def test_root_that_cannot_translate_is_placed(imvip22, truth, noisy):
    assert "translation" not in noisy.dims
    assert list(noisy.dof.values) == list(imvip22.dofs)
    assert kp.chain_from_yaml(noisy.attrs["chain_yaml"]).root.dofs == imvip22.root.dofs
    error = np.linalg.norm(noisy.root_position - truth.root_position, axis=1)
    assert np.median(error) < 0.02


@pytest.mark.parametrize("solver", ["newton", "sqp"])
def test_solvers_agree(imvip22, truth, solver):
    keypoints = measure(truth, noise=0.01, seed=1).isel(time=slice(20))
    costs = [
        float(kp.solve_motion(imvip22, keypoints, lengths="model", solver=name).cost.sum())
        for name in ("ipopt", solver)
    ]
    assert costs[1] == pytest.approx(costs[0], rel=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_few_frames(imvip22, truth, frames):
    motion = kp.solve_motion(imvip22, measure(truth, noise=0.01).isel(time=slice(frames)), lengths="model")
    assert motion.converged == 1 and np.isfinite(motion.joint_angle).all()


def test_moments_of_a_motion_and_of_its_covariance_agree():
    """The expectation for a covariance of rank one is the value for its vector."""
    generator = np.random.default_rng(0)
    statistics = PoseStatistics(np.cumsum(generator.uniform(0.01, 0.03, 9)))
    q = generator.normal(size=(9, 4))
    lags = tuple(np.einsum("ti,tj->tij", q[: 9 - k], q[k:]) for k in range(3))
    for seen, expected in zip(
        statistics.of_motion(q), statistics.of_covariance(SelectedInverse(lags)), strict=True
    ):
        assert np.allclose(seen, expected)


def test_log_determinant_is_that_of_the_whole_matrix():
    statistics = PoseStatistics(np.arange(7) * 0.02)
    for time_constant, found in zip(TIME_CONSTANTS, statistics.log_determinants, strict=True):
        moments = statistics.of_motion(np.eye(7))
        whole = sum(w * part for w, part in zip(order_weights(time_constant), moments, strict=True))
        assert found == pytest.approx(np.linalg.slogdet(whole)[1], rel=1e-9)


def test_cost_of_the_prior_is_that_of_a_matern_process(imvip22, truth):
    """On a fine grid the prior's precision is the inverse of the Matern-3/2 covariance, but for the ends."""
    step, tau, frames = 0.005, 0.05, 241
    time = np.arange(frames) * step
    statistics = PoseStatistics(time)
    precision = sum(
        w * part for w, part in zip(order_weights(tau), statistics.of_motion(np.eye(frames)), strict=True)
    )
    variance = np.linalg.inv(precision)[frames // 2]
    lag = np.abs(time - time[frames // 2]) / tau
    near = lag < 6
    assert np.allclose(variance[near], ((1 + lag) * np.exp(-lag))[near], atol=0.03)


def test_prior_has_a_process_for_every_joint(imvip22):
    prior = PosePrior.first(imvip22.with_moving_root())
    assert len(prior.root) == 6
    assert sorted(np.concatenate([joint.places for joint in prior.joints])) == list(
        range(6, len(prior.names))
    )


def test_whitening_leaves_white_noise():
    """Errors of an Ornstein-Uhlenbeck process with white noise, filtered, have unit size and hardly memory.

    Two frames of memory are not quite enough: the filter is the best of second order.
    """
    generator, frames, step = np.random.default_rng(0), 200_000, 0.02
    errors = MeasurementErrors(0.005, Drift(0.012, 0.3))
    keep = np.exp(-step / 0.3)
    kicks = generator.normal(0, 0.012 * np.sqrt(1 - keep**2), frames)
    slow = scipy.signal.lfilter([1], [1, -keep], kicks)
    seen = slow + generator.normal(0, 0.005, frames)
    oldest, older, now = errors.whitening(step)
    left = now * seen[2:] + older * seen[1:-1] + oldest * seen[:-2]
    assert left.var() == pytest.approx(1, rel=0.02)
    assert abs((left[1:] * left[:-1]).mean()) < 0.05 < 0.1 * (seen[1:] * seen[:-1]).mean() / seen.var()
    covariances = np.array([(seen[: frames - k] * seen[k:]).mean() for k in range(3)])
    found = MeasurementErrors.of_covariances(covariances, step)
    assert found.noise == pytest.approx(0.005, rel=0.1)
    assert found.drift.spread == pytest.approx(0.012, rel=0.1)


def test_weights_leave_the_noise_of_normal_points_what_it_is():
    squares = np.random.default_rng(0).chisquare(3, 200_000)
    assert (student_weight(squares) * squares).mean() / 3 == pytest.approx(usual_weight(), rel=0.01)


def test_points_of_little_confidence_are_no_outliers(imvip22, truth):
    """Noise of three times the size with a ninth of the confidence says that the unit noise is the same."""
    keypoints = measure(truth, noise=0.005, seed=1)
    loose = keypoints.keypoint.str.startswith("wrist") | keypoints.keypoint.str.startswith("ankle")
    keypoints["position"] = keypoints.position.where(~loose, measure(truth, noise=0.015, seed=1).position)
    keypoints["confidence"] = keypoints.confidence.where(~loose, 1 / 9)
    motion = kp.solve_motion(imvip22, keypoints, lengths="model")
    assert float(motion.keypoint_noise) == pytest.approx(5, rel=0.07)


def test_slow_errors_are_found(imvip22, truth, noisy):
    """A detector that errs slowly is recognised, one that does not is left alone."""
    assert float(noisy.keypoint_drift) == 0
    keypoints = measure(truth, noise=0.005, seed=1)
    generator, keep = np.random.default_rng(2), np.exp(-1 / 60 / 0.3)
    kicks = generator.normal(0, 0.012 * np.sqrt(1 - keep**2), keypoints.position.shape)
    keypoints["position"] = keypoints.position + scipy.signal.lfilter([1], [1, -keep], kicks, axis=0)
    motion = kp.solve_motion(imvip22, keypoints, lengths="model")
    assert 6 < float(motion.keypoint_drift) < 15  # what the residuals show is the least that there is
    assert float(motion.keypoint_noise) == pytest.approx(5, rel=0.35)
    assert float(motion.keypoint_drift_time) > 0.05


def test_slow_errors_that_the_pose_follows_are_counted(imvip22, truth):
    """The residuals alone show 8.3 of the 11.5 mm an axis; the deviations need them all."""
    motion = kp.solve_motion(imvip22, measure(truth, noise=0.005, drift=0.02, seed=3), lengths="model")
    assert float(motion.keypoint_drift) == pytest.approx(20 / np.sqrt(3), rel=0.15)
    assert metrics.coverage(motion, truth)["within_2_shown"] > 84


def test_a_plain_start_twists_less_where_twist_is_hidden(imvip22, truth):
    solving = importlib.import_module("kinepose_ocp.solve_motion")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smoothing, "plain_start", lambda case, q, chosen: q)
        tuning = solving._tuned(imvip22, measure(truth, noise=0.02, seed=1))
    names = list(tuning.case.problem.kernels.chain.free_dofs)
    arms = [i for i, name in enumerate(names) if name.startswith("shoulder")]
    plain = smoothing.plain_start(tuning.case, tuning.start, tuning.chosen)
    before, after = (np.square(np.diff(q[:, arms], axis=0)).sum() for q in (tuning.start, plain))
    assert after < 0.95 * before


def test_the_tuned_problem_has_the_solution_of_solve_motion(imvip22, truth, noisy):
    problem = kp.tuned_problem(imvip22, measure(truth, noise=0.01, seed=1), lengths="model")
    motion = problem.solve()
    assert float(motion.cost.sum()) == pytest.approx(float(noisy.cost.sum()), rel=1e-9)
    assert np.allclose(motion.joint_angle.sel(dof=noisy.dof), noisy.joint_angle, atol=1e-3)


def test_long_motions_are_judged_in_parts(imvip22, truth, noisy, monkeypatch):
    for module in (smoothing, posterior):
        monkeypatch.setattr(module, "LONGEST", 80)
    motion = kp.solve_motion(imvip22, measure(truth, noise=0.01, seed=1), lengths="model")
    assert float(motion.keypoint_noise) == pytest.approx(float(noisy.keypoint_noise), rel=0.1)
    assert metrics.mpjas(motion, truth, "local") < 1.3 * metrics.mpjas(noisy, truth, "local")
    ratio = (motion.joint_angle_std / noisy.joint_angle_std).where(noisy.joint_angle_std > 0)
    assert 0.5 < float(ratio.median()) < 2


def test_options_are_checked(imvip22, truth):
    with pytest.raises(kp.KineposeError, match="smoothness must be 'auto' or a positive number"):
        kp.solve_motion(imvip22, measure(truth), smoothness=-1.0)


def test_points_without_noise_are_trusted_as_far_as_the_solution_follows(imvip22, truth, monkeypatch):
    """Three markers on every segment determine the pose; 16 points do so less, and gain less."""
    corners = 0.1 * np.eye(3)
    sites = {f"{j}_{i}": Site(j, tuple(corners[i])) for j in imvip22.joint_names for i in range(3)}
    marked = dataclasses.replace(imvip22.with_moving_root(), keypoints=sites, links=(), layouts={})
    moving = random_motion(marked, frames=60, rate=60, seed=7)
    motion = kp.solve_motion(marked, measure(moving), lengths="model")
    assert float(motion.keypoint_noise) < 0.04
    assert metrics.mpjas(motion, moving, "local") < 0.05
    few = kp.solve_motion(imvip22, measure(truth), lengths="model")
    monkeypatch.setattr(smoothing, "FINER_NOISE", ())
    pulled = kp.solve_motion(imvip22, measure(truth), lengths="model")
    assert float(few.keypoint_noise) < float(pulled.keypoint_noise) == pytest.approx(0.1)
    assert metrics.mpjas(few, truth, "local") < metrics.mpjas(pulled, truth, "local")


def test_a_solution_is_known_by_its_last_step_where_rounding_hides_it(imvip22):
    """Points trusted to 0.01 mm weigh so much that rounding alone leaves more gradient than is tolerated."""
    moving = random_motion(imvip22, frames=60, rate=60, seed=7)
    motion = kp.solve_motion(imvip22, measure(moving), lengths="model")
    assert float(motion.keypoint_noise) == pytest.approx(0.01)
    assert motion.converged == 1
