"""CasADi functions called with numpy arrays, without CasADi's own matrices in between.

Converting a ``DM`` to numpy and back takes longer than many an evaluation.
"""

from __future__ import annotations

from typing import Any

import casadi as ca
import numpy as np


class Numeric:
    """A CasADi function of dense arguments; gives one array, or a tuple of arrays.

    Arguments are flat or shaped as CasADi has them (column by column); a scalar fills its argument.
    """

    def __init__(self, function: ca.Function):
        buffer: Any
        buffer, self._run = function.buffer()
        self._buffer = buffer
        self._given = [np.zeros(function.numel_in(i)) for i in range(function.n_in())]
        self._made = [np.zeros(function.numel_out(i)) for i in range(function.n_out())]
        self._shapes = [function.size_out(i) for i in range(function.n_out())]
        dense = [function.sparsity_in(i) for i in range(function.n_in())]
        dense += [function.sparsity_out(i) for i in range(function.n_out())]
        if not all(sparsity.is_dense() for sparsity in dense):
            raise ValueError(f"function {function.name()} has sparse arguments or results")
        for i, array in enumerate(self._given):
            self._buffer.set_arg(i, array.data)
        for i, array in enumerate(self._made):
            self._buffer.set_res(i, array.data)

    def __call__(self, *arguments: np.ndarray) -> np.ndarray | tuple[np.ndarray, ...]:
        """Evaluate; every result is a new array of CasADi's shape."""
        for array, argument in zip(self._given, arguments, strict=True):
            array[:] = np.asarray(argument, dtype=float).ravel(order="F")
        self._run()
        if self._buffer.ret():
            raise FloatingPointError("a CasADi function could not be evaluated")
        made = tuple(
            array.reshape(shape, order="F").copy(order="F")
            for array, shape in zip(self._made, self._shapes, strict=True)
        )
        return made if len(made) > 1 else made[0]


class Framewise:
    """A CasADi function of one frame for many frames: a chunk at a time, with the memory of one chunk."""

    def __init__(self, function: ca.Function, chunk: int = 256):
        self._function, self._chunk = function, chunk
        self._mapped: dict[int, Numeric] = {}  # by number of frames: a whole chunk, and the last ones

    def __call__(self, *arguments: np.ndarray) -> tuple[np.ndarray, ...]:
        """Evaluate for arguments (T, m); every result is (T, k)."""
        found = []
        for start in range(0, len(arguments[0]), self._chunk):
            parts = [argument[start : start + self._chunk] for argument in arguments]
            count = len(parts[0])
            if count not in self._mapped:
                self._mapped[count] = Numeric(self._function.map(count))
            made = self._mapped[count](*[part.T for part in parts])
            found.append(made if isinstance(made, tuple) else (made,))
        return tuple(np.concatenate([part.T for part in parts]) for parts in zip(*found, strict=True))
