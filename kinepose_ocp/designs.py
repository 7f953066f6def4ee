"""Designs: which values of named factors (:mod:`factors`) a study tries.

A grid, a Latin hypercube (McKay, Beckman and Conover, Technometrics 21, 1979), Saltelli's sample for
Sobol' indices (Saltelli et al., Comput. Phys. Commun. 181, 2010) or Morris' trajectories (Technometrics 33,
1991; the last two by SALib).

    design = designs.sobol({"knee_right.flexion upper": (110, 140), "noise": (0, 10)}, size=64, seed=1)
    swept = design.labelled(kp.sweep(problem, design.cases(problem)))
    indices = analyse(design, swept.joint_angle.std("time"))  # :mod:`design_indices`
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import qmc

from kinepose_ocp.chain import Chain
from kinepose_ocp.chain_file import chain_from_yaml
from kinepose_ocp.errors import KineposeError
from kinepose_ocp.factors import Factor, changed_numbers
from kinepose_ocp.problem import Problem

MORRIS_LEVELS = 4


@dataclass(frozen=True)
class Design:
    """Values of factors, one row a case.

    levels: of every factor; a grid's values, else the two ends of its range, in the factor's unit.
    """

    kind: str
    levels: Mapping[str, tuple[float, ...]]
    values: np.ndarray  # (cases, factors)
    seed: int = 0

    def __len__(self) -> int:
        return len(self.values)

    @property
    def factors(self) -> list[Factor]:
        """What varies."""
        return [Factor.of(name) for name in self.levels]

    @property
    def unit(self) -> np.ndarray:
        """(cases, factors) values in parts of the factors' ranges [1]."""
        low, high = np.array([(min(levels), max(levels)) for levels in self.levels.values()]).T
        return np.round((self.values - low) / np.where(high > low, high - low, 1.0), 12)

    def check(self, chain: Chain) -> None:
        """Refuse factors that the chain does not have, and ranges that are impossible or exclude each other.

        Raises
        ------
        KineposeError
            Names the factor, what was given and what is possible.
        """
        for factor in self.factors:
            levels = self.levels[factor.name]
            factor.check(chain, min(levels), max(levels))
        for one, other in combinations(self.factors, 2):
            if one.subject == other.subject and {one.quantity, other.quantity} == {"length", "scale"}:
                raise KineposeError(f"factors '{one.name}' and '{other.name}' are the same; give one of them")
        for dof in {factor.subject for factor in self.factors if factor.quantity in ("lower", "upper")}:
            highest = self._reach(chain, dof, "lower", max)
            lowest = self._reach(chain, dof, "upper", min)
            if highest > lowest:
                raise KineposeError(
                    f"factor '{dof}': its lower limit goes up to {highest:g}, "
                    f"its upper limit down to {lowest:g}; they must not cross"
                )

    def _reach(self, chain: Chain, dof: str, side: str, extreme: Callable[..., float]) -> float:
        """Extreme value of a limit [degree or m]."""
        own = getattr(chain.dof(dof), side)
        return extreme(self.levels.get(f"{dof} {side}", (chain.dof(dof).in_user_unit(own),)))

    def cases(self, problem: Problem) -> dict[int, dict[str, Any]]:
        """Return the cases of :func:`sweep.sweep`: number of the case to a problem's numbers.

        Raises
        ------
        KineposeError
            For factors that the problem does not have.
        """
        self.check(problem.chain)
        for factor in self.factors:
            factor.check_problem(problem)
        rows = [dict(zip(self.levels, row, strict=True)) for row in self.values.tolist()]
        return {i: changed_numbers(problem, row, self.seed) for i, row in enumerate(rows)}

    def labelled(self, swept: xr.Dataset, dim: str = "case") -> xr.Dataset:
        """Return a sweep over the cases with the factors' values as coordinates along them."""
        chain = chain_from_yaml(swept.attrs["chain_yaml"])
        coordinates = {
            factor.variable: (
                dim,
                self.values[:, i],
                {
                    "units": factor.unit(chain),
                    "long_name": factor.long_name,
                    "factor": factor.name,
                    "place": i,
                    "levels": list(self.levels[factor.name]),
                },
            )
            for i, factor in enumerate(self.factors)
        }
        return swept.assign_coords(coordinates).assign_attrs(design=self.kind, design_seed=self.seed)

    def unstacked(self, swept: xr.Dataset, dim: str = "case") -> xr.Dataset:
        """Return a sweep over a grid with one dimension a factor instead of ``dim``.

        Raises
        ------
        KineposeError
            When the design is no grid.
        """
        if self.kind != "grid":
            raise KineposeError(f"a {self.kind} design has no dimensions to unstack; possible: grid")
        labelled = self.labelled(swept, dim)
        names = [factor.variable for factor in self.factors]
        shape = [len(levels) for levels in self.levels.values()]
        unstacked = xr.Dataset(attrs=labelled.attrs)
        for name, variable in labelled.drop_vars(names).data_vars.items():
            if dim in variable.dims:
                rest = variable.transpose(dim, ...)
                whole = rest.values.reshape(*shape, *rest.shape[1:])
                unstacked[name] = ((*names, *rest.dims[1:]), whole, variable.attrs)
            else:
                unstacked[name] = variable.variable
        kept = {name: each for name, each in labelled.coords.items() if dim not in each.dims}
        axes = {
            name: (name, list(levels), labelled[name].attrs)
            for name, levels in zip(names, self.levels.values(), strict=True)
        }
        return unstacked.assign_coords(kept | axes)

    @classmethod
    def of(cls, swept: xr.Dataset, dim: str = "case") -> Design:
        """Return the design of a labelled sweep, such as one read from a file.

        Raises
        ------
        KineposeError
            When the Dataset has no factors.
        """
        found = [each for each in swept.coords.values() if each.dims == (dim,) and "factor" in each.attrs]
        if not found or "design" not in swept.attrs:
            raise KineposeError(
                "no design: a sweep that a design has labelled has its factors as coordinates"
            )
        found.sort(key=lambda each: int(each.attrs["place"]))
        levels = {each.attrs["factor"]: tuple(np.atleast_1d(each.attrs["levels"]).tolist()) for each in found}
        values = np.stack([each.values for each in found], axis=1)
        return cls(str(swept.attrs["design"]), levels, values, int(swept.attrs["design_seed"]))


# ---- making designs ------------------------------------------------------------------------------
def grid(levels: Mapping[str, Sequence[float]], seed: int = 0) -> Design:
    """Every combination of the factors' values; the last factor varies fastest. seed: of the noise factor."""
    given = {name: tuple(float(value) for value in values) for name, values in levels.items()}
    for name, values in given.items():
        Factor.of(name)
        if not values or not np.isfinite(values).all() or len(set(values)) < len(values):
            raise KineposeError(f"factor '{name}': values {list(values)} must be different finite numbers")
    _check_some(given)
    return Design("grid", given, np.array(list(product(*given.values()))), seed)


def latin_hypercube(ranges: Mapping[str, tuple[float, float]], size: int, seed: int = 0) -> Design:
    """``size`` cases; each factor has one in every of ``size`` equal parts of its range."""
    given = _checked(ranges, size)
    unit = qmc.LatinHypercube(len(given), seed=np.random.default_rng(seed)).random(size)
    return Design("latin_hypercube", given, _stretched(unit, given), seed)


def sobol(ranges: Mapping[str, tuple[float, float]], size: int, seed: int = 0) -> Design:
    """Saltelli's sample for first and total Sobol' indices: ``size`` times (factors + 2) cases.

    Raises
    ------
    KineposeError
        Also when ``size`` is no power of 2, or SALib is not installed.
    """
    given = _checked(ranges, size)
    if size & (size - 1):
        raise KineposeError(f"the size of a sobol design is a power of 2, got {size}")
    sample = salib("sample.sobol").sample
    unit = sample(unit_problem(given), size, calc_second_order=False, seed=seed + 1)  # 0 is no seed there
    return Design("sobol", given, _stretched(unit, given), seed)


def morris(ranges: Mapping[str, tuple[float, float]], size: int, seed: int = 0) -> Design:
    """Morris' ``size`` trajectories through a lattice of MORRIS_LEVELS: ``size`` times (factors + 1) cases.

    Raises
    ------
    KineposeError
        Also when SALib is not installed.
    """
    given = _checked(ranges, size)
    sample = salib("sample.morris").sample
    unit = sample(unit_problem(given), size, num_levels=MORRIS_LEVELS, seed=seed + 1)
    return Design("morris", given, _stretched(unit, given), seed)


SAMPLED: dict[str, Callable[..., Design]] = {
    "latin_hypercube": latin_hypercube,
    "sobol": sobol,
    "morris": morris,
}


def _checked(ranges: Mapping[str, tuple[float, float]], size: int) -> dict[str, tuple[float, float]]:
    _check_some(ranges)
    given = {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
    for name, (low, high) in given.items():
        Factor.of(name)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise KineposeError(
                f"factor '{name}': range [{low:g}, {high:g}] must be finite, its low end below its high one"
            )
    if size < 1:
        raise KineposeError(f"a design needs a size of at least 1, got {size}")
    return given


def _check_some(factors: Mapping[str, Any]) -> None:
    if not factors:
        raise KineposeError("a design needs at least one factor")


def _stretched(unit: np.ndarray, ranges: Mapping[str, tuple[float, float]]) -> np.ndarray:
    """Points of the unit cube in the factors' units."""
    low, high = np.array(list(ranges.values())).T
    return low + unit * (high - low)


def unit_problem(levels: Mapping[str, Any]) -> dict[str, Any]:
    """SALib's description of the unit cube."""
    return {"num_vars": len(levels), "names": list(levels), "bounds": [[0.0, 1.0]] * len(levels)}


def salib(part: str) -> Any:
    """Return a module of SALib, or say how to get it."""
    try:
        importlib.import_module("SALib")
        return importlib.import_module(f"SALib.{part}")
    except ImportError:
        raise KineposeError(
            "Sobol' and Morris designs need SALib; to get it: pip install 'kinepose_ocp[studies]'"
        ) from None
