"""Sobol' indices and Morris' effects against functions for which they are known."""

import numpy as np
import pytest
import xarray as xr

import kinepose_ocp as kp
from kinepose_ocp import designs

pytest.importorskip("SALib")
NAMES = ("a.x upper", "b.x upper", "noise")


def test_sobol_indices_of_the_ishigami_function():
    """sin a + 7 sin(b)^2 + 0.1 c^4 sin a (Ishigami and Homma, 1990): known in closed form."""
    turn = (-np.pi, np.pi)
    design = designs.sobol({NAMES[0]: turn, NAMES[1]: turn, "c.x upper": turn}, 2048, seed=2)
    a, b, c = design.values.T
    output = xr.DataArray(np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a), dims="case")
    found = kp.analyse(design, output)
    alone_a, alone_b = 0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2, 7**2 / 8
    both = 0.1**2 * np.pi**8 * (1 / 18 - 1 / 50)
    whole = alone_a + alone_b + both
    assert np.allclose(found["first"], np.array([alone_a, alone_b, 0]) / whole, atol=0.03)
    assert np.allclose(found["total"], np.array([alone_a + both, alone_b, both]) / whole, atol=0.03)
    assert (found.first_confidence < 0.1).all() and int(found.groups) == 2048


def test_sobol_indices_of_a_sum_by_output():
    """Indices of a sum are shares of the variance: (range x slope)^2. An output without variance has none."""
    ranges = dict(zip(NAMES, [(100, 110), (0, 1), (0, 4)], strict=True))
    design = designs.sobol(ranges, 256, seed=1)
    slopes = np.array([[0.1, 2, 0.5], [0, 3, 0], [0, 0, 0]])
    values = design.values @ slopes.T + 500
    output = xr.DataArray(values, {"dof": ["one", "two", "none"]}, ("case", "dof"))
    found = kp.analyse(design, output)
    share = (slopes * [10, 1, 4]) ** 2
    expected = share[:2] / share[:2].sum(axis=1, keepdims=True)
    assert found["first"].dims == ("factor", "dof")
    for name in ("first", "total"):
        assert np.allclose(found[name].isel(dof=slice(2)).T, expected, atol=0.02)
        assert found[name].sel(dof="none").isnull().all()
    again = kp.analyse(design, output)
    xr.testing.assert_identical(again, found)


def test_morris_effects_of_a_plane_are_its_slopes():
    ranges = dict(zip(NAMES, [(100, 150), (-1, 1), (0, 4)], strict=True))
    design = designs.morris(ranges, 10, seed=3)
    output = xr.DataArray(design.values @ [0.2, -3.0, 0.0], dims="case", attrs={"units": "degree"})
    found = kp.analyse(design, output)
    assert found.mu.values == pytest.approx([10, -6, 0]) and found.mu_star.values == pytest.approx([10, 6, 0])
    assert np.allclose(found.sigma, 0, atol=1e-9) and found.mu_star.attrs["units"] == "degree"


@pytest.mark.parametrize(("make", "together"), [(designs.sobol, 5), (designs.morris, 4)])
def test_failed_cases_take_their_group_with_them(make, together):
    ranges = dict(zip(NAMES, [(0, 1)] * 3, strict=True))
    design = make(ranges, 64, seed=3)
    values = design.values @ [1.0, 2.0, 0.0]
    values[[0, 1, together]] = np.nan
    found = kp.analyse(design, xr.DataArray(values, dims="case"))
    assert int(found.groups) == 62
    if make is designs.sobol:
        assert np.allclose(found["total"], [0.2, 0.8, 0], atol=0.1)
    else:
        assert found.mu.values == pytest.approx([1, 2, 0])


def test_what_cannot_be_analysed_is_refused():
    hypercube = designs.latin_hypercube({"noise": (0, 1)}, 4)
    with pytest.raises(
        kp.KineposeError, match="latin_hypercube design has no indices; possible: sobol, morris"
    ):
        kp.analyse(hypercube, xr.DataArray(np.zeros(4), dims="case"))
    design = designs.morris({"noise": (0, 1)}, 4)
    with pytest.raises(kp.KineposeError, match="the design has 8 along case"):
        kp.analyse(design, xr.DataArray(np.zeros(4), dims="case"))
