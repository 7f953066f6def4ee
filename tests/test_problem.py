"""The whole-motion program: known truth, re-solves, what may change without building again."""

from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr

import kinepose_ocp as kp
from kinepose_ocp import kernels, metrics
from kinepose_ocp.dataset import AT_UPPER, LOCKED
from kinepose_ocp.synthetic import measure, random_motion


def test_truth_is_found_without_noise(short_problem, short_motion):
    motion = short_problem.solve(terms=[kp.LinkDirection(1e-3), kp.AngularVelocity(10.0)])
    assert metrics.mpjas(motion, short_motion[0], "local") < 0.3


def test_rom_is_never_violated(short_problem):
    motion = short_problem.solve()
    assert metrics.rom_violation(motion) <= np.degrees(1e-6)


@pytest.mark.parametrize("solver", ["sqp", "newton"])
def test_solvers_agree(short_problem, solver):
    reference = float(short_problem.solve().cost.sum())
    assert float(short_problem.solve(solver=solver).cost.sum()) == pytest.approx(reference, rel=1e-5)


def test_reference_cost_of_the_baseball_clip(imvip22, baseball):
    """Sum of squared link angles + sum of squared steps [rad2]: 128.80 is the best known."""
    problem = kp.build_problem(imvip22, baseball, [kp.LinkDirection(1.0), kp.AngularVelocity(30.0)])
    assert len(problem.kernels.links) == 25
    motion = problem.solve()
    assert 2 * float(motion.cost.sum()) == pytest.approx(128.794, rel=1e-4)
    assert metrics.rom_violation(motion) <= np.degrees(1e-6)


def test_numbers_change_without_building_again(imvip22, short_motion, monkeypatch):
    problem = kp.build_problem(imvip22, short_motion[1], [kp.LinkDirection(), kp.AngularVelocity()])
    first = problem.solve()
    monkeypatch.setattr(kernels.KernelSet, "__init__", None)  # building again would call it
    before = dict(problem._solvers)
    narrow = imvip22.with_rom(
        {"knee_right.y": (0, float(first.joint_angle.sel(dof="knee_right.y").max()) - 5)}
    )
    bounded = problem.solve(chain=narrow)
    assert (bounded.bound_state.sel(dof="knee_right.y") == AT_UPPER).any()
    assert float(bounded.cost.sum()) > float(first.cost.sum())
    locked = problem.solve(chain=imvip22.with_locked({"neck.x": 5.0}))
    assert np.allclose(locked.joint_angle.sel(dof="neck.x"), 5.0)
    assert (locked.bound_state.sel(dof="neck.x") == LOCKED).all()
    longer = imvip22.with_lengths({"knee_right": 0.5})
    assert (
        np.linalg.norm(problem.solve(chain=longer).joint_position.diff("joint"), axis=2).max() >= 0.5 - 1e-9
    )
    stiff = problem.solve(terms=[kp.LinkDirection(), kp.AngularVelocity(0.3)])
    assert metrics.jitter(stiff) < metrics.jitter(first)
    doubted = short_motion[1].copy(deep=True)
    doubted["confidence"] = xr.where(doubted.keypoint == "wrist_left", 0.0, doubted.confidence)
    assert problem.solve(keypoints=doubted).converged == 1
    assert problem._solvers.keys() == before.keys()


def test_bound_multiplier_is_the_slope_of_the_cost(imvip22, short_motion):
    """d(cost)/d(bound) against central differences of re-solves."""
    problem = kp.build_problem(imvip22, short_motion[1], [kp.LinkDirection(), kp.AngularVelocity()])
    free = problem.solve()
    limit = float(free.joint_angle.sel(dof="elbow_right.z").max()) - 10

    def solve(upper):
        return problem.solve(chain=imvip22.with_rom({"elbow_right.z": (0, upper)}))

    slope = float(solve(limit).bound_multiplier.sel(dof="elbow_right.z").sum())
    step = 0.01
    finite = (float(solve(limit + step).cost.sum()) - float(solve(limit - step).cost.sum())) / (2 * step)
    assert slope == pytest.approx(finite, rel=1e-3)
    assert slope < 0


def test_a_term_of_the_user(imvip22, short_motion):
    @dataclass(frozen=True)
    class NeutralPosture:
        std: float = 0.5
        span = 1

        def residual(self, frame):
            return frame.joint_angle / self.std

    terms = [kp.LinkDirection(), kp.AngularVelocity(), NeutralPosture()]
    problem = kp.build_problem(imvip22, short_motion[1], terms)
    weak = problem.solve()
    strong = problem.solve(terms=[*terms[:2], NeutralPosture(0.01)])
    assert list(weak.term.values) == ["LinkDirection", "AngularVelocity", "NeutralPosture"]
    assert abs(strong.joint_angle).mean() < 0.2 * abs(weak.joint_angle).mean()


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_few_frames(imvip22, short_motion, frames):
    keypoints = short_motion[1].isel(time=slice(frames))
    motion = kp.build_problem(imvip22, keypoints).solve()
    assert motion.sizes["time"] == frames and motion.converged == 1
    assert np.isfinite(motion.joint_velocity).all()


def test_missing_points_are_bridged(imvip22, short_motion):
    truth, keypoints = short_motion
    gap = keypoints.copy(deep=True)
    gap.position.loc[{"keypoint": "elbow_left", "time": gap.time[10:16]}] = np.nan
    motion = kp.build_problem(imvip22, gap).solve()
    assert np.isfinite(motion.joint_angle).all()
    error = metrics.angular_error(motion, truth, "local").sel(joint="shoulder_left")
    assert float(error.isel(time=slice(10, 16)).max()) < 15


def test_turning_subject(imvip22):
    """Three whole turns about the vertical, lying on the back: the root angles go on counting."""
    frames = 60
    angles = {"pelvis.z": np.linspace(0, 1080, frames), "pelvis.y": np.full(frames, -80.0)}
    from kinepose_ocp.synthetic import true_motion

    truth = true_motion(imvip22, angles, rate=60)
    terms = [kp.LinkDirection(), kp.AngularAcceleration()]
    motion = kp.build_problem(imvip22, measure(truth), terms).solve()
    assert metrics.mpjas(motion, truth, "global", ["pelvis"]) < 0.5
    turned = motion.joint_angle.sel(dof=["pelvis.z", "pelvis.x"]).values
    assert abs(np.diff(turned, axis=0)).max() < 90


def test_hidden_dofs_are_held(short_motion):
    chain = kp.load_chain("fullbody")
    truth = random_motion(chain, frames=5, rate=60, seed=0)
    names = [
        "pelvis",
        "hip_right",
        "knee_right",
        "ankle_right",
        "hip_left",
        "knee_left",
        "ankle_left",
        "neck",
    ]
    motion = kp.build_problem(chain, measure(truth, names)).solve()
    assert "ankle_right.dorsiflexion" in motion.attrs["held_dofs"]
    assert (motion.bound_state.sel(dof="ankle_right.dorsiflexion") == LOCKED).all()
    assert (motion.joint_angle.sel(dof="ankle_right.dorsiflexion") == 0).all()


def test_failure_keeps_the_last_iterate(short_problem, monkeypatch):
    from kinepose_ocp import solvers

    monkeypatch.setattr(solvers, "APPROACH", 1)
    monkeypatch.setattr(solvers, "WARM_OPTIONS", {"max_iter": 2})
    monkeypatch.setitem(solvers.IPOPT_OPTIONS, "max_iter", 2)
    fresh = kp.build_problem(short_problem.chain, short_problem.keypoints, short_problem.terms)
    with pytest.raises(kp.SolveError, match="stopped at the iteration limit after 3 iterations") as failure:
        fresh.solve()
    assert failure.value.motion.converged == 0
    assert np.isfinite(failure.value.motion.joint_angle).all()


def test_what_cannot_be_solved(imvip22, short_motion):
    keypoints = short_motion[1]
    with pytest.raises(kp.DataError, match="too few keypoints to pose chain 'imvip22': 2 of its 19"):
        kp.build_problem(imvip22, keypoints.isel(keypoint=slice(2)))
    with pytest.raises(kp.ModelError, match="its root 'pelvis' does not translate"):
        kp.build_problem(imvip22, keypoints, [kp.KeypointPosition()])
    with pytest.raises(kp.ModelError, match="has no free DOF"):
        kp.build_problem(imvip22.with_locked(dict.fromkeys(imvip22.free_dofs, 0.0)), keypoints)
    problem = kp.build_problem(imvip22, keypoints)
    with pytest.raises(kp.KineposeError, match="no solver 'ipop'; did you mean 'ipopt'"):
        problem.solve(solver="ipop")
    with pytest.raises(kp.ModelError, match="has other joints or free DOFs than the problem was built with"):
        problem.solve(chain=kp.load_chain("fullbody"))
    with pytest.raises(kp.KineposeError, match="built with the terms LinkDirection, AngularVelocity"):
        problem.solve(terms=[kp.LinkDirection()])
