"""CasADi functions called with numpy arrays, against CasADi's own matrices."""

import casadi as ca
import numpy as np
import pytest

from kinepose_ocp.numeric import Framewise, Numeric


def test_results_are_those_of_casadi():
    x, y = ca.SX.sym("x", 3, 2), ca.SX.sym("y")
    function = ca.Function("f", [x, y], [y * x.T, ca.sum1(x)])
    given = np.arange(6.0).reshape(3, 2)
    for found, expected in zip(Numeric(function)(given, 2.0), function(given, 2.0), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found, np.array(expected))


def test_a_result_survives_the_next_call():
    x = ca.SX.sym("x", 4)
    square = Numeric(ca.Function("f", [x], [x**2]))
    first = square(np.ones(4))
    square(np.full(4, 3.0))
    assert (first == 1).all()


def test_an_argument_of_the_wrong_size_is_refused():
    x = ca.SX.sym("x", 4)
    with pytest.raises(ValueError, match="broadcast"):
        Numeric(ca.Function("f", [x], [x]))(np.ones(5))


def test_sparse_results_are_refused():
    x = ca.SX.sym("x", 2)
    with pytest.raises(ValueError, match="function f has sparse"):
        Numeric(ca.Function("f", [x], [ca.diag(x)]))


@pytest.mark.parametrize("frames", [1, 4, 11])
def test_frames_are_evaluated_one_like_the_other(frames):
    x, y = ca.SX.sym("x", 3), ca.SX.sym("y", 2)
    step = Framewise(ca.Function("f", [x, y], [x * y[0], ca.dot(x, x) + y[1]]), chunk=4)
    given = np.random.default_rng(frames).normal(size=(frames, 5))
    scaled, total = step(given[:, :3], given[:, 3:])
    np.testing.assert_allclose(scaled, given[:, :3] * given[:, 3:4])
    np.testing.assert_allclose(total[:, 0], np.square(given[:, :3]).sum(axis=1) + given[:, 4])


def test_the_buffers_of_a_long_motion_are_those_of_a_chunk():
    x = ca.SX.sym("x", 1)
    square = Framewise(ca.Function("f", [x], [x**2]), chunk=4)
    for frames in (400, 403, 802):
        square(np.ones((frames, 1)))
    assert max(square._mapped) == 4
