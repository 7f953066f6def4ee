"""What the results of a design owe to its factors: Sobol' indices, Morris' elementary effects (SALib)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr

from kinepose_ocp.designs import MORRIS_LEVELS, Design, salib, unit_problem
from kinepose_ocp.errors import KineposeError

RESAMPLES = 200  # of the bootstrap behind confidence intervals
INDICES = {  # of SALib, and what they are called here
    "sobol": {
        "S1": ("first", "part of the variance that the factor explains alone"),
        "S1_conf": ("first_confidence", "half width of the confidence interval of first"),
        "ST": ("total", "part of the variance that the factor explains alone or with others"),
        "ST_conf": ("total_confidence", "half width of the confidence interval of total"),
    },
    "morris": {
        "mu": ("mu", "mean effect of the factor over its range"),
        "mu_star": ("mu_star", "mean size of the factor's effect over its range"),
        "mu_star_conf": ("mu_star_confidence", "half width of the confidence interval of mu_star"),
        "sigma": ("sigma", "standard deviation of the effect: interactions and curvature"),
    },
}


def analyse(design: Design, output: xr.DataArray, dim: str = "case", confidence: float = 0.95) -> xr.Dataset:
    """Return what an output of a sweep owes to every factor.

    Parameters
    ----------
    output
        One number a case, or more: its other dimensions stay. A point or trajectory of the design with a
        case that is NaN is left out.
    confidence
        Of the intervals, from a bootstrap with the design's seed.

    Returns
    -------
    xarray.Dataset
        By ``factor``: Sobol' indices ``first`` and ``total`` [1], or Morris' ``mu``, ``mu_star``, ``sigma``
        [unit of the output, over the factor's range], with ``..._confidence``; NaN where the output does not
        vary. ``groups``: points or trajectories that were used.

    Raises
    ------
    KineposeError
        For another kind of design, an output of other cases, or when SALib is not installed.
    """
    if design.kind not in INDICES:
        raise KineposeError(f"a {design.kind} design has no indices; possible: {', '.join(INDICES)}")
    if dim not in output.dims or output.sizes[dim] != len(design):
        raise KineposeError(
            f"the output has dimensions {dict(output.sizes)}; the design has {len(design)} along {dim}"
        )
    ordered = output.transpose(dim, ...)
    columns = ordered.values.astype(float).reshape(len(design), -1)
    tables = [_of_column(design, column, confidence) for column in columns.T]
    shape, dims = ordered.shape[1:], ordered.dims[1:]
    found = xr.Dataset(coords={"factor": list(design.levels)})
    for i, (name, long_name) in enumerate(INDICES[design.kind].values()):
        values = np.stack([table[0][i] for table in tables], axis=-1).reshape(-1, *shape)
        units = "1" if design.kind == "sobol" else str(output.attrs.get("units", "1"))
        found[name] = (("factor", *dims), values, {"units": units, "long_name": long_name})
    used = np.array([table[1] for table in tables]).reshape(shape)
    found["groups"] = (dims, used, {"units": "1", "long_name": "points or trajectories that were used"})
    labels = {name: each for name, each in ordered.coords.items() if dim not in each.dims}
    return found.assign_coords(labels).assign_attrs(design=design.kind, confidence=confidence)


def _of_column(design: Design, output: np.ndarray, confidence: float) -> tuple[np.ndarray, int]:
    """Indices (4, factors) of one number a case, and how many groups of cases were used."""
    count = len(design.levels)
    together = count + (2 if design.kind == "sobol" else 1)  # cases of a point or trajectory
    good = np.repeat(np.isfinite(output.reshape(-1, together)).all(axis=1), together)
    used, kept = int(good.sum()) // together, output[good]
    if used < 2 or np.ptp(kept) == 0:
        return np.full((len(INDICES[design.kind]), count), np.nan), used
    options: dict[str, Any] = {"num_resamples": RESAMPLES, "conf_level": confidence, "seed": design.seed + 1}
    problem, analyze = unit_problem(design.levels), salib(f"analyze.{design.kind}").analyze
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of indices that come out as not a number
        if design.kind == "sobol":
            table = analyze(problem, kept, calc_second_order=False, **options)
        else:
            table = analyze(problem, design.unit[good], kept, num_levels=MORRIS_LEVELS, **options)
    return np.array([np.asarray(table[name], dtype=float) for name in INDICES[design.kind]]), used
