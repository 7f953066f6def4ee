"""The banded Newton method against scipy's bounded optimiser and IPOPT."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize

import kinepose_ocp as kp
from kinepose_ocp import newton
from kinepose_ocp.case import Case


@pytest.fixture(scope="module")
def case(imvip22, short_motion):
    keypoints = short_motion[1].isel(time=slice(4))
    terms = (kp.LinkDirection(), kp.AngularVelocity(), kp.AngularAcceleration())
    problem = kp.build_problem(imvip22, keypoints, terms)
    return Case(problem, imvip22, problem.keypoints, terms)


def test_same_minimum_as_scipy(case):
    start = case.best_start()
    found = newton.minimise(
        case.transcription, case.parameters, start, newton.Limits(*case.bounds, tolerance=1e-9)
    )

    def cost(x):
        return float(case.transcription.values.costs(x.reshape(case.frames, -1), case.parameters).sum())

    def slope(x):
        return case.transcription.values.gradient(x.reshape(case.frames, -1), case.parameters).ravel()

    limits = list(zip(*(np.broadcast_to(b, start.shape).ravel() for b in case.bounds), strict=True))
    peer = minimize(
        cost,
        start.ravel(),
        jac=slope,
        method="L-BFGS-B",
        bounds=limits,
        options={"maxiter": 20000, "maxfun": 50000, "ftol": 1e-15, "gtol": 1e-9},
    )
    assert found.converged
    assert found.cost <= peer.fun * (1 + 1e-6)


def test_bounds_are_exact(case):
    found = newton.minimise(
        case.transcription, case.parameters, case.best_start(), newton.Limits(*case.bounds)
    )
    assert (found.x >= case.bounds[0]).all() and (found.x <= case.bounds[1]).all()


def test_banded_matrix_is_the_hessian(case):
    x = case.best_start()
    banded = newton.BandedHessian(case.transcription)
    blocks = case.transcription.values.blocks(x, case.parameters, exact=True)
    matrix = banded.assemble(blocks, np.ones(x.shape, dtype=bool))
    import casadi as ca

    program = case.transcription
    dense = np.array(
        ca.Function("h", [program.x, program.p], [program.hessian()])(x.ravel(), case.parameters)
    )
    for row, column in zip(*np.nonzero(dense), strict=True):
        assert matrix[banded.width + row - column, column] == pytest.approx(dense[row, column])


def test_cost_never_rises(case):
    costs = []
    newton.minimise(
        case.transcription,
        case.parameters,
        case.best_start() + 0.2,
        newton.Limits(*case.bounds),
        on_iteration=lambda i, c: costs.append(c),
    )
    assert all(after <= before * (1 + 1e-12) for before, after in pairwise(costs))
