"""Cost, gradient and Hessian of a motion in numbers: kernels over a few hundred windows at a time.

The working memory of CasADi's functions is that of one chunk, however long the motion is.
"""

from __future__ import annotations

from collections.abc import Iterator

import casadi as ca
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kinepose_ocp.kernels import Kernel, KernelSet, places_in

CHUNK = 256  # windows


class MotionValues:
    """Numeric functions of a problem; x: (T, n) coordinates [rad or m], p: all parameters."""

    def __init__(self, kernels: KernelSet):
        self.kernels = kernels

    def costs(self, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Cost of every term."""
        costs = np.zeros(1 + max(place for kernel in self.kernels.kernels for place in kernel.terms))
        for kernel in self._active(x):
            for _, values in self._windows(kernel, "cost", x, p):
                costs[list(kernel.terms)] += values[0].sum(axis=1)
        return costs

    def gradient(self, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        """(T, n) gradient of the total cost."""
        return self.cost_and_gradient(x, p)[1]

    def cost_and_gradient(self, x: np.ndarray, p: np.ndarray) -> tuple[float, np.ndarray]:
        """Total cost and its gradient (T, n), which share most of their operations."""
        cost, total, size = 0.0, np.zeros(x.shape), self.kernels.size
        for kernel in self._active(x):
            for windows, (costs, slopes) in self._windows(kernel, "gradient", x, p):
                cost += float(costs.sum())
                for i in range(kernel.span):
                    rows = slice(windows.start + i, windows.stop + i)
                    total[rows] += slopes[i * size : (i + 1) * size].T
        return cost, total

    def blocks(self, x: np.ndarray, p: np.ndarray, exact: bool) -> list[np.ndarray]:
        """Non-zeros of the Hessian's blocks by lag: (nnz, T - lag), column t couples t with t + lag."""
        patterns = self.kernels.patterns[: len(x)]
        totals = [np.zeros((len(x) - lag, pattern.nnz())) for lag, pattern in enumerate(patterns)]
        for kernel in self._active(x):
            places = [places_in(self.kernels.patterns[block.lag], block.pattern) for block in kernel.blocks]
            for windows, values in self._windows(kernel, "hessian" if exact else "gauss_newton", x, p):
                for block, place, value in zip(kernel.blocks, places, values, strict=True):
                    rows = slice(windows.start + block.first, windows.stop + block.first)
                    totals[block.lag][rows, place] += value.T
        return [total.T for total in totals]

    def points(self, x: np.ndarray, shared: np.ndarray) -> np.ndarray:
        """(T, 3 K) measured keypoints of the model [m]."""
        return self._of_frames(self.kernels.points, x, shared)

    def points_jacobian(self, x: np.ndarray, shared: np.ndarray) -> np.ndarray:
        """(T, 3 K n) derivatives of the measured keypoints [m/rad or 1], coordinate by coordinate."""
        return self._of_frames(self.kernels.points_jacobian, x, shared)

    def _active(self, x: np.ndarray) -> list[Kernel]:
        return [kernel for kernel in self.kernels.kernels if kernel.span <= len(x)]

    def _windows(
        self, kernel: Kernel, name: str, x: np.ndarray, p: np.ndarray
    ) -> Iterator[tuple[slice, tuple[np.ndarray, ...]]]:
        """Yield, a chunk at a time, its windows and what a kernel's function gives for each, in columns."""
        frames, size, data_size, span = len(x), self.kernels.size, self.kernels.data_size, kernel.span
        data, steps, shared = np.split(p, [data_size * frames, data_size * frames + frames - 1])
        q = sliding_window_view(np.ascontiguousarray(x).ravel(), span * size)[::size]
        seen = sliding_window_view(data, span * data_size)[::data_size] if kernel.uses_data else None
        lasting = sliding_window_view(steps, span - 1) if span > 1 else None
        same = [i for i, one in ((1, seen is None), (2, lasting is None), (3, True)) if one]
        for start in range(0, len(q), CHUNK):
            windows = slice(start, min(start + CHUNK, len(q)))
            function = self.kernels.mapped(getattr(kernel, name), windows.stop - windows.start, same)
            values = function(
                q[windows].T,
                np.zeros(span * data_size) if seen is None else seen[windows].T,
                np.ones(1) if lasting is None else lasting[windows].T,
                shared,
            )
            yield windows, values if isinstance(values, tuple) else (values,)

    def _of_frames(self, function: ca.Function, x: np.ndarray, shared: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, len(x), CHUNK):
            part = x[start : start + CHUNK]
            values = self.kernels.mapped(function, len(part), [1])(part.T, shared)
            found.append(np.asarray(values).reshape(-1, len(part), order="F").T)
        return np.concatenate(found)
