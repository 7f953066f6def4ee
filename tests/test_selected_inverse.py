"""Parts of the inverse against the inverse of the whole."""

import numpy as np
import pytest

import kinepose_ocp as kp
from kinepose_ocp.case import Case
from kinepose_ocp.newton import BandedHessian
from kinepose_ocp.selected_inverse import selected_inverse


@pytest.mark.parametrize("frames", [1, 2, 3, 6, 7])
def test_blocks_of_the_inverse(imvip22, short_motion, frames):
    terms = (kp.LinkDirection(), kp.AngularVelocity(), kp.AngularAcceleration())
    problem = kp.build_problem(imvip22, short_motion[1].isel(time=slice(frames)), terms)
    case = Case(problem, imvip22, problem.keypoints, terms)
    x = case.best_start()
    banded = BandedHessian(case.transcription)
    blocks = case.transcription.values.blocks(x, case.parameters, exact=False)
    for diagonal, (rows, columns) in zip(blocks[:1], banded.entries, strict=False):
        diagonal[rows == columns] += 1.0  # positive definite whatever the data show
    generator = np.random.default_rng(0)
    free = generator.random(x.shape) > 0.2
    found = selected_inverse(banded, blocks, free)
    size, whole = x.shape[1], np.zeros((x.size, x.size))
    for lag, (values, (rows, columns)) in enumerate(zip(blocks, banded.entries, strict=True)):
        for t in range(frames - lag):
            whole[t * size + rows, (t + lag) * size + columns] = values[:, t]
    whole += np.triu(whole, 1).T
    kept = np.flatnonzero(free)
    inverse = np.zeros_like(whole)
    inverse[np.ix_(kept, kept)] = np.linalg.inv(whole[np.ix_(kept, kept)])
    inverse = inverse.reshape(frames, size, frames, size)
    for lag, values in enumerate(found.lags):
        for t in range(frames - lag):
            assert np.allclose(values[t], inverse[t, :, t + lag], rtol=1e-8, atol=1e-12)
