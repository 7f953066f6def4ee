"""A regressor from what is seen of bodies to what is under their skin, learnt from pairs that the user has.

Both sides are reduced to principal components, and ridge regression leads from one to the other. Nothing is
learnt from anybody's official files here: a regressor knows just the pairs that it was given, and says which
people they were. Learnt from the skeletons of :mod:`kinepose_ocp.surface.placement` it repeats that optimiser
faster, and its error is the distance from the optimiser, not from anatomy.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from kinepose_ocp.errors import DataError
from kinepose_ocp.io.arrays import read_arrays, write_arrays

VERSION = 1  # of the file
WEIGHTS = tuple(10.0**power for power in range(-6, 5))  # of the ridge, for inputs of unit variance
NUMBERS = ("weight", "error_mm", "error_std_mm", "baseline_mm")


@dataclass(frozen=True, eq=False)
class Regressor:
    """Linear map from inputs (..., I) to points (..., N, 3) [m].

    mean_in (I,), basis_in (I, C), spread_in (C,): inputs as components of unit variance; mean_out (3 N,),
    basis_out (3 N, D): points of components; coefficients (C, D). population: who the pairs were; count: how
    many; weight: of the ridge; error_mm: mean distance to points of people left out, error_std_mm: its
    standard deviation over people, baseline_mm: the same distance when the mean of the others is the answer;
    names of the points, if any. Where count and errors are not known, they are 0 and nan.
    """

    mean_in: np.ndarray
    basis_in: np.ndarray
    spread_in: np.ndarray
    mean_out: np.ndarray
    basis_out: np.ndarray
    coefficients: np.ndarray
    population: str
    count: int
    weight: float
    error_mm: float
    error_std_mm: float
    baseline_mm: float
    names: tuple[str, ...] = ()

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Return points (..., N, 3) [m] for inputs (..., I).

        Raises
        ------
        DataError
            For another number of inputs, or values that are not finite.
        """
        given = np.asarray(inputs, dtype=float)
        if given.ndim < 1 or given.shape[-1] != len(self.mean_in) or not np.isfinite(given).all():
            raise DataError(f"inputs must be (..., {len(self.mean_in)}) finite numbers, found {given.shape}")
        components = (given - self.mean_in) @ self.basis_in / self.spread_in
        points = self.mean_out + components @ self.coefficients @ self.basis_out.T
        return points.reshape(*given.shape[:-1], -1, 3)


def fit_regressor(
    inputs: np.ndarray,
    points: np.ndarray,
    population: str,
    components: tuple[int, int] = (10, 10),
    folds: int = 10,
    names: Sequence[str] = (),
) -> Regressor:
    """Learn from pairs; the weight of the ridge is the one that predicts people left out best.

    Parameters
    ----------
    inputs
        (n, I): body shape numbers, or skin vertices (n, V, 3) [m] in one pose.
    points
        (n, N, 3) [m]: joint centres, or other points of the parts, in the same pose.
    population
        Who they are: sex, age, how many, how the points were found. Stored with the regressor.
    components
        Most principal components of inputs and of points; fewer where the pairs do not have them.
    folds
        Groups of people of which each is left out once; as many as people: leave one out.
    names
        Of the points.

    Raises
    ------
    DataError
        For arrays that do not fit, fewer than 4 pairs, or impossible numbers of components or folds.
    """
    first, second = _checked(inputs, points, population, names)
    count = len(first)
    if not (2 <= folds <= count and min(components) >= 1):
        raise DataError(
            f"{folds} folds and {components} components for {count} pairs; possible: 2 to {count}, 1 up"
        )
    left_out = np.arange(count) % folds
    left_out = np.random.default_rng(0).permutation(left_out)  # pairs may come sorted
    error, baseline = np.zeros((len(WEIGHTS), count)), np.zeros(count)
    for fold in range(folds):
        out = left_out == fold
        reduced = _Reduced.of(first[~out], second[~out], components)
        baseline[out] = _distance(second[out], reduced.mean_out)
        for row, weight in enumerate(WEIGHTS):
            error[row, out] = _distance(second[out], reduced.fitted(weight)(first[out]))
    best = int(error.mean(1).argmin())
    final = _Reduced.of(first, second, components)
    return Regressor(
        *(final.mean_in, final.basis_in, final.spread_in, final.mean_out, final.basis_out),
        coefficients=final.solved(WEIGHTS[best]),
        population=population,
        count=count,
        weight=WEIGHTS[best],
        error_mm=float(error[best].mean()),
        error_std_mm=float(error[best].std()),
        baseline_mm=float(baseline.mean()),
        names=tuple(names),
    )


@dataclass(frozen=True, eq=False)
class _Reduced:
    """Pairs as principal components of both sides."""

    mean_in: np.ndarray
    basis_in: np.ndarray
    spread_in: np.ndarray
    mean_out: np.ndarray
    basis_out: np.ndarray
    scores_in: np.ndarray  # (n, C), unit variance
    scores_out: np.ndarray  # (n, D)

    @classmethod
    def of(cls, first: np.ndarray, second: np.ndarray, components: tuple[int, int]) -> _Reduced:
        mean_in, basis_in, scores_in = _principal(first, components[0])
        mean_out, basis_out, scores_out = _principal(second, components[1])
        spread = scores_in.std(0)
        return cls(mean_in, basis_in, spread, mean_out, basis_out, scores_in / spread, scores_out)

    def solved(self, weight: float) -> np.ndarray:
        """Coefficients (C, D) of ridge regression."""
        gram = self.scores_in.T @ self.scores_in / len(self.scores_in)
        right = self.scores_in.T @ self.scores_out / len(self.scores_in)
        return np.linalg.solve(gram + weight * np.eye(len(gram)), right)

    def fitted(self, weight: float) -> Callable[[np.ndarray], np.ndarray]:
        """Prediction (n, 3 N) from inputs (n, I)."""
        coefficients = self.solved(weight) @ self.basis_out.T

        def predict(inputs: np.ndarray) -> np.ndarray:
            return self.mean_out + (inputs - self.mean_in) @ self.basis_in / self.spread_in @ coefficients

        return predict


def _principal(rows: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (I,), directions (I, C) and scores (n, C) of the components that the rows have."""
    mean = rows.mean(0)
    left, size, right = np.linalg.svd(rows - mean, full_matrices=False)
    kept = min(most, int((size > 1e-9 * max(size[0], 1e-300)).sum()))
    if not kept or size[0] == 0:
        raise DataError("all pairs are alike: there is nothing to learn from")
    return mean, right[:kept].T, left[:, :kept] * size[:kept]


def _distance(points: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Mean distance [mm] of the points of every person (n,)."""
    apart = (points - predicted).reshape(len(points), -1, 3)
    return 1000 * np.linalg.norm(apart, axis=2).mean(1)


def _checked(
    inputs: np.ndarray, points: np.ndarray, population: str, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(inputs, dtype=float), np.asarray(points, dtype=float)
    if first.ndim < 2 or second.ndim != 3 or second.shape[2] != 3 or len(first) != len(second):
        raise DataError(
            f"pairs must be inputs (n, I) and points (n, N, 3), found {first.shape} and {second.shape}"
        )
    if len(first) < 4:
        raise DataError(f"a regressor needs 4 pairs or more, found {len(first)}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise DataError("pairs have values that are not finite")
    if not population.strip():
        raise DataError("say who the pairs are: the population of a regressor must not be empty")
    if names and len(names) != second.shape[1]:
        raise DataError(f"{len(names)} names for {second.shape[1]} points")
    return first.reshape(len(first), -1), second.reshape(len(second), -1)


# ---- files ---------------------------------------------------------------------------------------
def save_regressor(regressor: Regressor, path: str | os.PathLike[str]) -> None:
    """Write a ``.npz`` of plain arrays, whole or not at all."""
    arrays = {field.name: np.asarray(getattr(regressor, field.name)) for field in fields(Regressor)}
    arrays["names"] = np.array(regressor.names, dtype=str)
    write_arrays(arrays | {"version": np.array(VERSION)}, path)


def load_regressor(path: str | os.PathLike[str]) -> Regressor:
    """Read what :func:`save_regressor` wrote; no pickled object is ever built.

    Raises
    ------
    DataError
        For a file that is missing, damaged, of another version, or whose arrays do not fit.
    """
    arrays = read_arrays(path)
    wanted = [field.name for field in fields(Regressor)]
    if missing := [name for name in ("version", *wanted) if name not in arrays]:
        raise DataError(f"{path}: not a regressor: no array '{missing[0]}'")
    if arrays["version"].shape != () or arrays["version"] != VERSION:
        raise DataError(f"{path}: regressor of version {arrays['version']}; possible: {VERSION}")
    _check_arrays(arrays, path)
    values: dict = {name: arrays[name] for name in wanted}
    values |= {name: float(arrays[name]) for name in NUMBERS}
    values |= {"population": str(arrays["population"]), "count": int(arrays["count"])}
    return Regressor(**values | {"names": tuple(arrays["names"].tolist())})


def _check_arrays(arrays: dict[str, np.ndarray], path: str | os.PathLike[str]) -> None:
    """Refuse arrays whose shapes do not fit each other, or that hold no finite numbers."""
    sizes = [np.shape(arrays[name]) for name in ("mean_in", "mean_out", "coefficients")]
    if [len(size) for size in sizes] != [1, 1, 2] or sizes[1][0] % 3:
        raise DataError(f"{path}: not a regressor: mean_in, mean_out and coefficients are {sizes}")
    (inputs,), (outputs,), (first, second) = sizes
    shapes = {"basis_in": (inputs, first), "spread_in": (first,), "basis_out": (outputs, second)}
    shapes |= {"mean_in": (inputs,), "mean_out": (outputs,), "coefficients": (first, second)}
    shapes |= {name: () for name in (*NUMBERS, "count")}
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise DataError(f"{path}: not a regressor: {name} must be finite numbers of shape {shape}")
    names = arrays["names"]
    if names.shape not in ((0,), (outputs // 3,)) or names.dtype.kind != "U":
        raise DataError(f"{path}: not a regressor: names must be {outputs // 3} texts or none")
