"""Per-window kernels: what a few consecutive frames cost, with exact derivatives, mapped over time.

All terms of one span make one kernel, so that they share the forward kinematics. The Hessian of the whole
motion is block-banded; its blocks come sorted by lag: the block of lag k couples frame t with frame t + k.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np

from kinepose_ocp.chain import Chain
from kinepose_ocp.coupling_kernels import (
    CouplingKernel,
    coupled_values,
    coupling_kernel,
    movable,
    shape_numbers,
)
from kinepose_ocp.errors import KineposeError, ModelError
from kinepose_ocp.kinematics import Geometry, KeypointDerivatives, PoseExpression, geometry_values
from kinepose_ocp.lifting import Lift
from kinepose_ocp.numeric import Numeric
from kinepose_ocp.terms import Frame, Term


@dataclass(frozen=True)
class Block:
    """A block of a window's Hessian: its first frame, its lag, and where it is not zero."""

    first: int
    lag: int
    pattern: ca.Sparsity


@dataclass(frozen=True)
class Kernel:
    """The terms of one span as CasADi functions of (window coordinates, window data, steps, shared).

    ``cost`` gives one cost per term; ``gradient`` their sum's gradient; ``hessian`` and
    ``gauss_newton`` the non-zeros of the blocks in the order of ``blocks``.
    """

    span: int
    terms: tuple[int, ...]  # their places in the list of all terms
    uses_data: bool
    cost: ca.Function
    gradient: ca.Function
    hessian: ca.Function
    gauss_newton: ca.Function
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class _Part:
    """What a term says about a window: its cost, and residuals unless it is quadratic anyway."""

    cost: ca.SX
    residual: ca.SX
    quadratic: bool

    @classmethod
    def of(cls, term: Any, frames: Sequence[Frame]) -> _Part:
        if getattr(term, "quadratic", False):
            return cls(term.cost(*frames), ca.SX(0, 1), True)
        residual = ca.densify(ca.SX(term.residual(*frames)))
        cost = term.cost(*frames) if hasattr(term, "cost") else ca.sumsqr(residual) / 2
        return cls(cost, residual, False)


class KernelSet:
    """All kernels of a chain, a set of measured keypoints and a list of terms."""

    def __init__(self, chain: Chain, measured: Sequence[str], terms: Sequence[Term]):
        self.chain = chain
        self.measured = tuple(measured)
        self.links = tuple(
            link for link in chain.links if link.start in self.measured and link.end in self.measured
        )
        self.size = len(chain.free_dofs)  # coordinates of a frame
        self.data_size = 5 * len(self.measured)  # positions, confidences, appearances
        self._geometry = Geometry.of(chain)
        self._pose = PoseExpression(chain, self._geometry)
        self._fields = [_number_fields(term) for term in terms]
        self._symbols = [
            {name: ca.SX.sym(f"{type(term).__name__}_{name}", len(value)) for name, value in fields.items()}
            for term, fields in zip(terms, self._fields, strict=True)
        ]
        flat = [symbol for symbols in self._symbols for symbol in symbols.values()]
        self._limited = movable(chain)
        shape, limits = len(shape_numbers(chain)), 2 * len(self._limited)
        self._coupling = ca.SX.sym("coupling", shape + limits)
        self._shared = ca.vertcat(self._geometry.symbol, *flat, self._coupling)
        symbolic = [_with_symbols(term, s) for term, s in zip(terms, self._symbols, strict=True)]
        self.kernels = tuple(
            self._kernel(span, [i for i, term in enumerate(terms) if term.span == span], symbolic)
            for span in sorted({term.span for term in terms})
        )
        self._mapped: dict[tuple[str, int], Numeric] = {}
        self.patterns = []  # of each lag
        for lag in range(max(kernel.span for kernel in self.kernels)):
            blocks = [block for kernel in self.kernels for block in kernel.blocks if block.lag == lag]
            self.patterns.append(sum((block.pattern for block in blocks), ca.Sparsity(self.size, self.size)))
        self.couplings = self._couplings() if self._limited else None
        if self.couplings is not None:
            self.patterns[0] += self.couplings.pattern

    @property
    def shared_size(self) -> int:
        """Number of shared parameters: geometry [m], the terms' numbers, then those of coupled ranges."""
        return int(self._shared.numel())

    def shared_values(self, chain: Chain, terms: Sequence[Term]) -> np.ndarray:
        """Return the shared parameters for a chain of the same structure and the same kinds of terms."""
        values = [geometry_values(chain)]
        if _axes_used(chain) != _axes_used(self.chain):
            raise ModelError(
                f"chain '{chain.name}' has offsets along other axes than the problem was built with; "
                f"build it again"
            )
        for term, fields in zip(terms, self._fields, strict=True):
            now = _number_fields(term)
            if {name: len(v) for name, v in now.items()} != {name: len(v) for name, v in fields.items()}:
                raise KineposeError(
                    f"term {type(term).__name__} has other fields than the problem was built with; "
                    f"build it again"
                )
            values += list(now.values())
        return np.concatenate([*values, *self._coupling_numbers(chain)])

    def _coupling_numbers(self, chain: Chain) -> list[np.ndarray]:
        """Numbers of the coupled ranges of a chain: their shape, lower limits, upper limits."""
        if [one.structure for one in chain.coupled] != [one.structure for one in self.chain.coupled]:
            raise ModelError(
                f"chain '{chain.name}' has other coupled ranges than the problem was built with; "
                f"build it again"
            )
        limits = {limit.name: limit for one in chain.coupled for limit in one.limits}
        lower, upper = ([getattr(limits[n], side) for n in self._limited] for side in ("lower", "upper"))
        return [shape_numbers(chain), np.array(lower), np.array(upper)]

    def _couplings(self) -> CouplingKernel:
        """Make the functions of the coupled limits."""
        q = ca.SX.sym("q", self.size)
        frame = self.frame(q, ca.SX.zeros(self.data_size), ca.SX(0))
        values = coupled_values(self.chain, frame.coordinate, frame.pose.local, self._coupling)
        return coupling_kernel(q, {name: values[name] for name in self._limited}, self._shared)

    def mapped(self, function: ca.Function, count: int, same: list[int]) -> Numeric:
        """One of this set's functions for ``count`` columns, made once; ``same``: arguments in common."""
        key = (function.name(), count)
        if key not in self._mapped:
            name = f"{function.name()}_{count}"
            many = function if count == 1 else function.map(name, "serial", count, same, [])
            self._mapped[key] = Numeric(many)
        return self._mapped[key]

    @cached_property
    def points(self) -> ca.Function:
        """(coordinates of a frame, shared) -> measured keypoints [m], (3 K,)."""
        q = ca.SX.sym("q", self.size)
        frame = self.frame(q, ca.SX.zeros(self.data_size), ca.SX(0))
        positions = [frame.pose.keypoint_position[name] for name in self.measured]
        return ca.Function("points", [q, self._shared], [ca.densify(ca.vertcat(*positions))])

    @cached_property
    def points_jacobian(self) -> ca.Function:
        """(coordinates of a frame, shared) -> derivatives of the measured keypoints, (3 K, n)."""
        q = ca.SX.sym("q", self.size)
        frame = self.frame(q, ca.SX.zeros(self.data_size), ca.SX(0))
        jacobian = KeypointDerivatives(self.chain, frame.pose, self.measured).jacobian()
        return ca.Function("points_jacobian", [q, self._shared], [ca.densify(jacobian)], {"cse": True})

    def _kernel(self, span: int, places: list[int], terms: Sequence[Term]) -> Kernel:
        """Make the functions of the terms of one span. See :mod:`lifting` for the derivatives."""
        q = ca.SX.sym("q", self.size * span)
        data = ca.SX.sym("data", self.data_size * span)
        step = ca.SX.sym("step", max(span - 1, 1))
        steps = [*ca.vertsplit(step), ca.SX(ca.DM.nan())]
        windows = zip(ca.vertsplit(q, self.size), ca.vertsplit(data, self.data_size), steps, strict=False)
        lift = Lift(self.chain, self.measured, [self.frame(*window) for window in windows])
        parts = [_Part.of(terms[i], lift.frames) for i in places]
        lifted = ca.vertcat(*[part.cost for part in parts])
        costs = lift.lower(lifted)
        gradient, exact = lift.derivatives(q, ca.sum1(lifted))
        gauss_newton = lift.gauss_newton(q, ca.vertcat(*[part.residual for part in parts]))
        gauss_newton += ca.hessian(sum((part.cost for part in parts if part.quadratic), ca.SX(0)), q)[0]
        blocks: list[Block] = []
        for first, lag in ((i, k) for k in range(span) for i in range(span - k)):
            both = [_block(matrix, self.size, first, lag) for matrix in (exact, gauss_newton)]
            pattern = both[0].sparsity() + both[1].sparsity()
            if pattern.nnz() or not blocks:  # a function gives at least one output
                blocks.append(Block(first, lag, pattern))

        def function(name: str, outputs: list[ca.SX]) -> ca.Function:
            return ca.Function(f"{name}_{span}", [q, data, step, self._shared], outputs, {"cse": True})

        def nonzeros(matrix: ca.SX) -> list[ca.SX]:
            return [ca.project(_block(matrix, self.size, b.first, b.lag), b.pattern).nz[:] for b in blocks]

        return Kernel(
            span=span,
            terms=tuple(places),
            uses_data=ca.depends_on(costs, data),
            cost=function("cost", [ca.densify(costs)]),
            gradient=function("gradient", [ca.densify(costs), ca.densify(gradient)]),
            hessian=function("hessian", nonzeros(exact)),
            gauss_newton=function("gauss_newton", nonzeros(gauss_newton)),
            blocks=tuple(blocks),
        )

    def frame(self, coordinates: ca.SX, data: ca.SX, step: ca.SX) -> Frame:
        """Make the symbolic frame that a term sees."""
        parts = dict(zip(self.chain.free_dofs, ca.vertsplit(coordinates), strict=True))
        moves = {name: dof.translates for name, dof in self.chain.free_dofs.items()}
        count = len(self.measured)
        return Frame(
            joint_angle=ca.vertcat(*[value for name, value in parts.items() if not moves[name]]),
            translation=ca.vertcat(*[value for name, value in parts.items() if moves[name]]),
            coordinate=parts,
            pose=self._pose(coordinates),
            observed={name: data[3 * i : 3 * i + 3] for i, name in enumerate(self.measured)},
            confidence={name: data[3 * count + i] for i, name in enumerate(self.measured)},
            appears={name: data[4 * count + i] for i, name in enumerate(self.measured)},
            step=step,
            links=self.links,
            link_cosine={},
        )


def _axes_used(chain: Chain) -> list[tuple[bool, ...]]:
    """Which components of the offsets are not zero: the structure of the geometry."""
    offsets = [joint.offset for joint in chain.joints] + [site.offset for site in chain.keypoints.values()]
    return [tuple(value != 0 for value in offset) for offset in offsets]


def places_in(whole: ca.Sparsity, part: ca.Sparsity) -> list[int]:
    """Where the non-zeros of a pattern lie among those of one that holds it."""
    rows, columns = (np.array(indices, dtype=int) for indices in part.get_triplet())
    return list(whole.get_nz((rows + columns * whole.size1()).tolist()))


def _block(matrix: ca.SX, size: int, first: int, lag: int) -> ca.SX:
    """Block of a window's Hessian; upper triangle only on the diagonal."""
    rows = slice(first * size, (first + 1) * size)
    columns = slice((first + lag) * size, (first + lag + 1) * size)
    block = ca.sparsify(matrix[rows, columns])
    return ca.triu(block) if lag == 0 else block


def _number_fields(term: Any) -> dict[str, np.ndarray]:
    """Fields of a dataclass that hold numbers: they become parameters."""
    if not dataclasses.is_dataclass(term):
        return {}
    fields = {}
    for field in dataclasses.fields(term):
        value = getattr(term, field.name)
        if isinstance(value, bool) or not isinstance(value, (int, float, tuple, list, np.ndarray, np.number)):
            continue
        try:
            fields[field.name] = np.atleast_1d(np.asarray(value, dtype=float)).ravel()
        except (TypeError, ValueError):
            continue
    return fields


def _with_symbols(term: Term, symbols: dict[str, ca.SX]) -> Term:
    """Copy of the term whose numbers are symbols."""
    return dataclasses.replace(term, **symbols) if symbols else term  # type: ignore[type-var]
