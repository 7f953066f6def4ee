"""Costs of single points of rigid parts: one small CasADi kernel, mapped over all points.

A point X of a part goes to y = R0 exp(w) (s * X) + t, with X from the part's origin. Against a piece of skin
q of outward normal n, with e = y - q and the height h = n.e above it, it costs

    tie |e|^2 + level (h + depth)^2 + inside max(h + margin, 0)^2 + spring (|e| - length)^2

with weights tie, level, inside and spring [1/m^2]. All of these numbers are parameters: nearest skin, weights
and bodies change without building anything again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import casadi as ca
import numpy as np

from kinepose_ocp.rotations import rotation_of

ROUNDING = 1e-4  # m; lengths of springs are rounded off below this, so that they have derivatives at zero
MOTION = 9  # rotation vector, translation, logarithms of the scales of a part
FIELDS = {
    "point": 3,
    "skin": 3,
    "normal": 3,
    "tie": 1,
    "level": 1,
    "depth": 1,
    "inside": 1,
    "margin": 1,
    "spring": 1,
    "length": 1,
}
WIDTH = sum(FIELDS.values())


@dataclass(frozen=True, eq=False)
class PointTable:
    """Numbers of N points: arrays of :data:`FIELDS` (N,) or (N, 3), in metres and 1/m^2; zero if left out."""

    count: int
    values: dict[str, np.ndarray]

    def rows(self) -> np.ndarray:
        """All numbers (N, WIDTH)."""
        columns = [
            np.broadcast_to(np.asarray(self.values.get(name, 0.0), dtype=float), (self.count, width))
            if width == 3
            else np.broadcast_to(np.asarray(self.values.get(name, 0.0), dtype=float), (self.count,))[:, None]
            for name, width in FIELDS.items()
        ]
        return np.hstack(columns)


def point_kernel(free: int) -> ca.Function:
    """Cost, gradient (free,) and Hessian (free * free,) of one point for the first ``free`` motion numbers.

    Inputs: motion (9,), base rotation (9,) column by column, numbers of the point (WIDTH,).
    """
    motion, base, numbers = ca.SX.sym("motion", MOTION), ca.SX.sym("base", 9), ca.SX.sym("numbers", WIDTH)
    ends = np.cumsum([0, *FIELDS.values()]).tolist()
    of = {name: numbers[ends[i] : ends[i + 1]] for i, name in enumerate(FIELDS)}
    scaled = ca.exp(motion[6:]) * of["point"]
    offset = ca.reshape(base, 3, 3) @ (rotation_of(motion[:3]) @ scaled) + motion[3:6] - of["skin"]
    height = ca.dot(of["normal"], offset)
    stretch = ca.sqrt(ca.sumsqr(offset) + ROUNDING**2) - of["length"]
    cost = (
        of["tie"] * ca.sumsqr(offset)
        + of["level"] * (height + of["depth"]) ** 2
        + of["inside"] * ca.fmax(height + of["margin"], 0) ** 2
        + of["spring"] * stretch**2
    )
    hessian, gradient = ca.hessian(cost, motion)
    outputs = [cost, gradient[:free], ca.vec(ca.densify(hessian[:free, :free]))]
    return ca.Function(
        f"point_{free}",
        [motion, base, numbers],
        outputs,
        ["motion", "base", "numbers"],
        ["cost", "slope", "bend"],
    )


class PointCosts:
    """Summed cost of N points for a vector of decision variables.

    owner (N,): part of each point. places (P, 9): which variable each motion number of a part is, -1 for one
    that is a parameter; the free ones come first.
    """

    def __init__(self, owner: np.ndarray, places: np.ndarray, size: int):
        self.owner, self.places, self.size = np.asarray(owner), places, size
        self.parts, self.count = len(places), len(owner)
        self.free = int((places >= 0).all(0).sum())
        self._kernel = point_kernel(self.free)
        self._spread = ca.DM(
            ca.Sparsity.triplet(self.parts, self.count, self.owner.tolist(), list(range(self.count)))
        )
        self._spread = ca.DM(self._spread.sparsity(), 1.0)

    def motion(self, x: ca.MX, fixed: ca.MX) -> ca.MX:
        """Motion numbers (9, P): free ones of the decision vector, the others (9 - free, P) of ``fixed``."""
        free = ca.reshape(x[self.places[:, : self.free].ravel().tolist()], self.free, self.parts)
        return free if self.free == MOTION else ca.vertcat(free, fixed)

    def _mapped(self, x: ca.MX, fixed: ca.MX, base: ca.MX, numbers: ca.MX, output: str) -> ca.MX:
        inputs = ["motion", "base", "numbers"]
        slim = self._kernel.factory(f"{self._kernel.name()}_{output}", inputs, [output])
        at = self.motion(x, fixed) @ self._spread
        return slim.map(self.count)(at, base @ self._spread, numbers)

    def cost(self, x: ca.MX, fixed: ca.MX, base: ca.MX, numbers: ca.MX) -> ca.MX:
        """Total cost."""
        return ca.sum2(self._mapped(x, fixed, base, numbers, "cost"))

    def gradient(self, x: ca.MX, fixed: ca.MX, base: ca.MX, numbers: ca.MX) -> ca.MX:
        """Gradient (size,)."""
        of_parts = self._mapped(x, fixed, base, numbers, "slope") @ self._spread.T
        columns = self.places[:, : self.free].ravel()
        rows = np.arange(len(columns))
        gather = ca.DM(ca.Sparsity.triplet(self.size, len(columns), columns.tolist(), rows.tolist()), 1.0)
        return gather @ ca.vec(of_parts)

    @cached_property
    def _entries(self) -> tuple[ca.Sparsity, ca.DM]:
        """Upper triangle's pattern, and what sums the parts' blocks (free^2 * P,) into its non-zeros."""
        free = self.places[:, : self.free]
        columns = np.repeat(free, self.free, axis=1).ravel()  # blocks are column by column
        rows = np.tile(free, (1, self.free)).ravel()
        upper = np.flatnonzero(rows <= columns)
        unique, target = np.unique(columns[upper] * self.size + rows[upper], return_inverse=True)
        pattern = ca.Sparsity.triplet(
            self.size, self.size, (unique % self.size).tolist(), (unique // self.size).tolist()
        )
        gather = ca.Sparsity.triplet(len(unique), len(rows), target.tolist(), upper.tolist())
        return pattern, ca.DM(gather, 1.0)

    def hessian(self, x: ca.MX, fixed: ca.MX, base: ca.MX, numbers: ca.MX) -> ca.MX:
        """Upper triangle of the Hessian (size, size)."""
        blocks = self._mapped(x, fixed, base, numbers, "bend") @ self._spread.T
        pattern, gather = self._entries
        return ca.MX(pattern, gather @ ca.vec(blocks))
