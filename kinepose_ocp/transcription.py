"""The whole motion as one program: kernels mapped over time, in symbols for solvers and in numbers.

Decision vector: the free coordinates of frame 0, then of frame 1, ... [rad or m]. Parameters: measured
positions and confidences frame by frame, time steps, then the numbers that all frames share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import casadi as ca
import numpy as np

from kinepose_ocp.kernels import Kernel, KernelSet, places_in
from kinepose_ocp.motion_values import MotionValues


@dataclass(frozen=True)
class Transcription:
    """Cost, gradient and Hessian of a motion of ``frames`` frames."""

    kernels: KernelSet
    frames: int

    @cached_property
    def x(self) -> ca.MX:
        """All coordinates [rad or m]."""
        return ca.MX.sym("x", self.kernels.size * self.frames)

    @cached_property
    def p(self) -> ca.MX:
        """All parameters."""
        return ca.MX.sym(
            "p", self.kernels.data_size * self.frames + self.frames - 1 + self.kernels.shared_size
        )

    def parameters(self, data: np.ndarray, steps: np.ndarray, shared: np.ndarray) -> np.ndarray:
        """Pack data (T, d), steps (T-1,) [s] and shared numbers into one vector."""
        return np.concatenate([data.ravel(), steps.ravel(), shared])

    # ---- symbols -----------------------------------------------------------------------------
    @cached_property
    def _active(self) -> list[Kernel]:
        return [kernel for kernel in self.kernels.kernels if kernel.span <= self.frames]

    def _mapped(self, kernel: Kernel, function: ca.Function) -> list[ca.MX]:
        """Outputs of a kernel for all its windows, one column each."""
        size, data_size, count = self.kernels.size, self.kernels.data_size, self.frames
        windows = count - kernel.span + 1
        q = ca.reshape(self.x, size, count)
        data = ca.reshape(self.p[: data_size * count], data_size, count)
        step = ca.reshape(self.p[data_size * count : data_size * count + count - 1], 1, count - 1)
        shared = self.p[data_size * count + count - 1 :]

        def slide(matrix: ca.MX, span: int) -> ca.MX:
            return ca.vertcat(*[matrix[:, i : i + windows] for i in range(span)])

        window_data = (
            slide(data, kernel.span) if kernel.uses_data else ca.DM.zeros(data_size * kernel.span, 1)
        )
        window_step = slide(step, kernel.span - 1) if kernel.span > 1 else ca.DM.ones(1, 1)
        fixed = [3] if kernel.uses_data else [1, 3]
        if kernel.span == 1:
            fixed.insert(-1, 2)
        if windows == 1:
            outputs = function(slide(q, kernel.span), window_data, window_step, shared)
        else:
            mapped = function.map(f"{function.name()}_{windows}", "serial", windows, fixed, [])
            outputs = mapped(slide(q, kernel.span), window_data, window_step, shared)
        return list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]

    @cached_property
    def costs(self) -> ca.MX:
        """Cost of every term, summed over the motion [1]."""
        costs = [ca.MX(0)] * (1 + max(place for kernel in self.kernels.kernels for place in kernel.terms))
        for kernel in self._active:
            sums = ca.sum2(self._mapped(kernel, kernel.cost)[0])
            for i, place in enumerate(kernel.terms):
                costs[place] = sums[i]
        return ca.vertcat(*costs)

    @cached_property
    def gradient(self) -> ca.MX:
        """Gradient of the total cost, like ``x``."""
        size, count = self.kernels.size, self.frames
        total = ca.MX.zeros(size, count)
        for kernel in self._active:
            windows = self._mapped(kernel, kernel.gradient)[1]
            for i in range(kernel.span):
                total += _padded(windows[i * size : (i + 1) * size, :], i, count)
        return ca.vec(total)

    def blocks(self, exact: bool) -> list[ca.MX]:
        """Non-zeros of the Hessian's blocks by lag: (nnz, T - lag), column t couples t with t + lag."""
        parts: list[list[tuple[ca.Sparsity, ca.MX]]] = [[] for _ in self.patterns]
        for kernel in self._active:
            outputs = self._mapped(kernel, kernel.hessian if exact else kernel.gauss_newton)
            for block, output in zip(kernel.blocks, outputs, strict=True):
                padded = _padded(output, block.first, self.frames - block.lag)
                parts[block.lag].append((block.pattern, padded))
        return [
            _gathered(pattern, of_lag, self.frames - lag)
            for lag, (pattern, of_lag) in enumerate(zip(self.patterns, parts, strict=True))
        ]

    @property
    def patterns(self) -> list[ca.Sparsity]:
        """Sparsity of the blocks of each lag that the motion is long enough for."""
        return self.kernels.patterns[: self.frames]

    def hessian(self, exact: bool = True) -> ca.MX:
        """Upper triangle of the Hessian as one sparse matrix."""
        blocks, deepest = self.blocks(exact), len(self.patterns) - 1
        values = []
        for frame in range(deepest):
            stack = ca.vertcat(*[blocks[lag][:, frame - lag] for lag in range(frame, -1, -1)])
            values.append(stack[self._column_order(frame).tolist()])
        rest = self.frames - deepest
        stack = ca.vertcat(*[blocks[lag][:, deepest - lag :] for lag in range(deepest, -1, -1)])
        column = ca.MX.sym("column", stack.shape[0])
        order = ca.Function("order", [column], [column[self._column_order(deepest).tolist()]])
        values.append(ca.vec(order.map(rest)(stack)))
        return ca.MX(self.sparsity, ca.vertcat(*values))

    # ---- coupled ranges of motion ------------------------------------------------------------
    @cached_property
    def coupled(self) -> ca.MX:
        """Numbers that coupled limits hold [rad], frame by frame."""
        return ca.vec(self._of_frames("value"))

    @cached_property
    def coupled_jacobian(self) -> ca.MX:
        """Their derivatives with respect to ``x``."""
        assert self.kernels.couplings is not None
        pattern = ca.diagcat(*[self.kernels.couplings.slope_pattern] * self.frames)
        return ca.MX(pattern, ca.vec(self._of_frames("slopes")))

    def coupled_hessian(self, multiplier: ca.MX) -> ca.MX:
        """Upper triangle of the second derivatives of multipliers (frame by frame) times numbers."""
        assert self.kernels.couplings is not None
        pull = ca.reshape(multiplier, self.kernels.couplings.size, self.frames)
        pattern = ca.diagcat(*[self.kernels.couplings.pattern] * self.frames)
        return ca.MX(pattern, ca.vec(self._of_frames("hessian", pull, ca.MX.zeros(*pull.shape))))

    def _of_frames(self, name: str, *more: ca.MX) -> ca.MX:
        """Output of one of the coupling kernel's functions, one column a frame."""
        function, columns = getattr(self.kernels.couplings, name), 1 + len(more)
        if self.frames > 1:
            mapped = f"{function.name()}_all_{self.frames}"
            function = function.map(mapped, "serial", self.frames, [columns], [])
        shared = self.p[self.p.numel() - self.kernels.shared_size :]
        return function(ca.reshape(self.x, self.kernels.size, self.frames), *more, shared)

    def _entries(self, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """Row (relative to the frame's first) and column of the stacked non-zeros of a frame's columns."""
        rows, columns = [], []
        for lag in range(depth, -1, -1):
            row, column = (np.array(part, dtype=int) for part in self.patterns[lag].get_triplet())
            rows.append(row - lag * self.kernels.size)
            columns.append(column)
        return np.concatenate(rows), np.concatenate(columns)

    def _column_order(self, depth: int) -> np.ndarray:
        rows, columns = self._entries(depth)
        return np.lexsort((rows, columns))

    @cached_property
    def sparsity(self) -> ca.Sparsity:
        """Pattern of the Hessian's upper triangle."""
        size, count, deepest = self.kernels.size, self.frames, len(self.patterns) - 1
        all_rows, counts = [], []
        for depth in range(deepest + 1):
            rows, columns = self._entries(depth)
            order = np.lexsort((rows, columns))
            frames = np.arange(depth, depth + 1) if depth < deepest else np.arange(deepest, count)
            all_rows.append((rows[order][None, :] + frames[:, None] * size).ravel())
            counts.append(np.tile(np.bincount(columns, minlength=size), len(frames)))
        starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
        return ca.Sparsity(size * count, size * count, starts.tolist(), np.concatenate(all_rows).tolist())

    @cached_property
    def values(self) -> MotionValues:
        """The same in numbers."""
        return MotionValues(self.kernels)


def _padded(matrix: ca.MX, first: int, width: int) -> ca.MX:
    """Put a matrix at column ``first`` of a wider one of zeros."""
    rows, columns = matrix.shape
    parts = [matrix]
    if first:
        parts.insert(0, ca.MX.zeros(rows, first))
    if width - first - columns:
        parts.append(ca.MX.zeros(rows, width - first - columns))
    return ca.horzcat(*parts)


def _gathered(pattern: ca.Sparsity, parts: list[tuple[ca.Sparsity, ca.MX]], width: int) -> ca.MX:
    """Sum of blocks (nnz of their own, width) as non-zeros of one common pattern (nnz, width)."""
    parts = [(own, part) for own, part in parts if own.nnz()]
    if not parts:
        return ca.MX.zeros(pattern.nnz(), width)
    column = ca.SX.sym("column", sum(own.nnz() for own, _ in parts))
    total, used = ca.SX.zeros(pattern.nnz()), 0
    for own, _ in parts:
        places = places_in(pattern, own)
        total[places] += column[used : used + len(places)]
        used += len(places)
    gather = ca.Function("gather", [column], [total])
    return gather.map(width)(ca.vertcat(*[part for _, part in parts]))
