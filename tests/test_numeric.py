"""CasADi functions called with numpy arrays, against CasADi's own matrices."""

import casadi as ca
import numpy as np
import pytest

from kinepose_ocp.numeric import Numeric


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
