"""Smoothness chosen from the data: noise found, frame rate, outliers, and an honest deviation."""

import numpy as np
import pytest

import kinepose_ocp as kp
from kinepose_ocp import metrics, smoothing
from kinepose_ocp.smoothing import Classes, Prior
from kinepose_ocp.synthetic import measure, random_motion


@pytest.fixture(scope="module")
def truth(imvip22):
    return random_motion(imvip22, frames=120, rate=60, seed=7, straight=True)


@pytest.fixture(scope="module")
def noisy(imvip22, truth):
    return kp.solve_motion(imvip22, measure(truth, noise=0.01, seed=1), lengths="model")


def test_noise_is_found(noisy):
    assert float(noisy.keypoint_noise) == pytest.approx(10, rel=0.15)
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


def test_prior_energy_and_trace_agree(imvip22):
    """The trace of a rank-one covariance is the energy of its vector."""
    from kinepose_ocp.selected_inverse import SelectedInverse

    chain = imvip22.with_moving_root()
    generator = np.random.default_rng(0)
    time = np.cumsum(generator.uniform(0.01, 0.03, 9))
    prior = Prior(time, Classes.of_chain(chain))
    q = generator.normal(size=(9, len(chain.free_dofs)))
    lags = tuple(q[: 9 - k] * q[k:] for k in range(3))
    assert np.allclose(prior.trace(SelectedInverse(lags)), prior.energy(q))


def test_long_motions_are_judged_in_parts(imvip22, truth, noisy, monkeypatch):
    monkeypatch.setattr(smoothing, "LONGEST", 80)
    motion = kp.solve_motion(imvip22, measure(truth, noise=0.01, seed=1), lengths="model")
    assert float(motion.keypoint_noise) == pytest.approx(float(noisy.keypoint_noise), rel=0.1)
    assert metrics.mpjas(motion, truth, "local") < 1.3 * metrics.mpjas(noisy, truth, "local")
    ratio = (motion.joint_angle_std / noisy.joint_angle_std).where(noisy.joint_angle_std > 0)
    assert 0.5 < float(ratio.median()) < 2


def test_options_are_checked(imvip22, truth):
    with pytest.raises(kp.KineposeError, match="smoothness must be 'auto' or a positive number"):
        kp.solve_motion(imvip22, measure(truth), smoothness=-1.0)
