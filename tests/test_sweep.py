"""One problem with many numbers, against solving each on its own."""

import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from importlib import import_module
from multiprocessing import get_context

import numpy as np
import pytest
import xarray as xr

import kinepose_ocp as kp
from kinepose_ocp.posterior import coordinates
from kinepose_ocp.synthetic import measure, random_motion

TERMS = (kp.KeypointPosition(0.005), kp.AngularAcceleration(60.0), kp.LinearAcceleration(30.0))
DOF = "elbow_right.z"
LEAN = ("joint_angle", "joint_velocity", "rom_lower", "rom_upper", "bound_state", "bound_multiplier", "cost")


@pytest.fixture(scope="module")
def problem(imvip22):
    chain = imvip22.with_moving_root()
    truth = random_motion(chain, frames=20, rate=60, seed=3, straight=False)
    return kp.build_problem(chain, measure(truth, noise=0.005, seed=1), TERMS)


@pytest.fixture(scope="module")
def cases(problem):
    top = float(problem.solve().joint_angle.sel(dof=DOF).max())
    return {limit: {"chain": problem.chain.with_rom({DOF: (0, top + limit)})} for limit in (-15.0, -5.0, 5.0)}


@pytest.fixture(scope="module")
def swept(problem, cases):
    return kp.sweep(problem, cases, dim="limit")


def test_every_case_is_what_solving_it_alone_gives(problem, cases, swept):
    assert swept.joint_angle.dims == ("limit", "time", "dof")
    assert (swept.error == "").all() and (swept.converged == 1).all()
    assert "kinepose_ocp_version" in swept.attrs
    for limit, numbers in cases.items():
        alone = problem.solve(**numbers)
        assert np.allclose(swept.joint_angle.sel(limit=limit), alone.joint_angle, atol=1e-3)
        assert float(swept.cost.sel(limit=limit).sum()) == pytest.approx(float(alone.cost.sum()), rel=1e-7)


def assert_same_up_to_rounding(there, swept):
    """Other threads of BLAS change the last digits; iterations that end a little elsewhere more."""
    assert there.error.values.tolist() == swept.error.values.tolist()
    numbers = [name for name in swept.data_vars if name not in ("error", "bound_multiplier")]
    xr.testing.assert_allclose(there[numbers], swept[numbers], rtol=1e-6, atol=1e-5)
    largest = float(np.abs(swept.bound_multiplier).max())
    assert largest > 0
    assert float(np.abs(there.bound_multiplier - swept.bound_multiplier).max()) < 1e-4 * largest


def test_processes_give_the_same(problem, cases, swept):
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        there = kp.sweep(problem, cases, dim="limit", executor=pool)
    assert_same_up_to_rounding(there, swept)


def test_threads_take_turns(problem, cases, swept):
    """A problem's buffers serve one thread at a time; nothing may mix."""
    with ThreadPoolExecutor(3) as pool:
        there = kp.sweep(problem, cases, dim="limit", executor=pool)
    xr.testing.assert_identical(there, swept)


@pytest.mark.parametrize("given", ["client", "executor"])
def test_a_dask_cluster_gives_the_same(given, problem, cases, swept, cluster, monkeypatch):
    """And it gets what the cases share once."""
    sent, submit = [], type(cluster).submit

    def counted(self, function, *arguments, **options):
        sent.extend(type(argument).__name__ for argument in arguments)
        return submit(self, function, *arguments, **options)

    monkeypatch.setattr(type(cluster), "submit", counted)
    executor = cluster if given == "client" else cluster.get_executor()
    there = kp.sweep(problem, cases, dim="limit", executor=executor)
    assert sent.count("_Shared") == 1 and sent.count("Future") == len(cases)
    assert_same_up_to_rounding(there, swept)


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield client


def test_only_what_is_kept_is_made(problem, cases, monkeypatch):
    """Kinematics where a kept variable needs them; and the values of a whole motion either way."""
    start = coordinates(problem.kernels.chain, problem.solve())
    whole = problem.solve(**cases[-5.0], start=start)
    one = {-5.0: cases[-5.0]}
    placed = kp.sweep(problem, one, kept=["joint_position", "joint_angle"])
    monkeypatch.setattr(import_module("kinepose_ocp.sweep"), "motion_dataset", None)
    lean = kp.sweep(problem, one, kept=LEAN)
    for found in (placed, lean):
        for name in found.data_vars.keys() - {"error"}:
            xr.testing.assert_identical(found[name].isel(case=0, drop=True), whole[name])


def test_progress_is_told(problem, cases, tmp_path):
    told = []
    kp.sweep(problem, cases, folder=tmp_path, on_case=lambda *counts: told.append(counts))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    told.clear()
    kp.sweep(problem, cases, folder=tmp_path, on_case=lambda *counts: told.append(counts))
    assert told == [(3, 3)]


def test_a_process_that_ends_is_named(problem, cases):
    """Its cases are lost; those in a folder are not."""
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=os._exit, initargs=(1,)) as pool:
        with pytest.raises(kp.KineposeError, match="a process of the sweep ended"):
            kp.sweep(problem, cases, executor=pool)


def test_a_failure_is_recorded(problem, cases):
    never = problem.keypoints.assign(position=problem.keypoints.position.where(False))
    mixed = {"good": cases[5.0], "bad": {"keypoints": never}}
    found = kp.sweep(problem, mixed)
    assert found.error.values[0] == "" and found.error.values[1] != ""
    assert found.joint_angle.sel(case="bad").isnull().all()
    assert found.converged.values.tolist() == [1, 0]


def test_a_sweep_is_resumed(problem, cases, swept, tmp_path, monkeypatch):
    """The first two cases are there; only the third is solved, and nothing differs."""
    kp.sweep(problem, dict(list(cases.items())[:2]), dim="limit", folder=tmp_path)
    sweeps = import_module("kinepose_ocp.sweep")
    done, solved = [], sweeps._case
    monkeypatch.setattr(sweeps, "_case", lambda *task: done.append(task) or solved(*task))
    whole = kp.sweep(problem, cases, dim="limit", folder=tmp_path)
    assert len(done) == 1
    xr.testing.assert_identical(whole, swept)
    assert len(list(tmp_path.iterdir())) == 3


def test_numbers_are_checked(problem, cases):
    with pytest.raises(
        kp.KineposeError, match="case 1: noise cannot vary; possible: chain, keypoints, terms"
    ):
        kp.sweep(problem, {1: {"noise": 3}})
    with pytest.raises(kp.KineposeError, match="at least one case"):
        kp.sweep(problem, {})
    with pytest.raises(kp.KineposeError, match="a motion has no angle"):
        kp.sweep(problem, cases, kept=["angle"])
