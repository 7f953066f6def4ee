"""Costs of single points of rigid parts: one small CasADi kernel, mapped over all points.

A point X of a part goes to y = R0 exp(w) (s * X) + t, with X from the part's origin. Against a piece of skin
q of outward normal n, with e = y - q and the height h = n.e above it, it costs

    tie |e|^2 + level (h + depth)^2 + inside max(h + margin, 0)^2 + spring (|e| - length)^2

with weights tie, level, inside and spring [1/m^2]. All of these numbers are parameters: nearest skin, weights
and bodies change without building anything again. Derivatives are summed over the points of a part by its
affine motion, y = B X + t, in which points are linear; the chain rule to the motion follows once a part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import casadi as ca
import numpy as np

from kinepose_ocp.rotations import rotation_of

ROUNDING = 1e-4  # m; lengths of springs are rounded off below this, so that they have derivatives at zero
MOTION = 9  # rotation vector, translation, logarithms of the scales of a part
AFFINE = 12  # matrix and translation of a part
PAIRS_3, PAIRS_4 = (
    [(i, j) for i in range(n) for j in range(i, n)] for n in (3, 4)
)  # of an upper triangle, row by row
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


def point_kernel() -> ca.Function:
    """Cost of one point, and its derivatives by the affine motion y = B X + t of its part.

    Inputs: B column by column and t (12,), numbers of the point (WIDTH,). Outputs: cost; slope (12,); bend
    (6, 10), the Hessian as the outer product of the upper triangles, row by row, of the Hessian by y and of
    [X, 1] [X, 1]': see :func:`unfolded`.
    """
    affine, numbers = ca.SX.sym("affine", AFFINE), ca.SX.sym("numbers", WIDTH)
    ends = np.cumsum([0, *FIELDS.values()]).tolist()
    of = {name: numbers[ends[i] : ends[i + 1]] for i, name in enumerate(FIELDS)}
    offset = ca.SX.sym("offset", 3)
    height = ca.dot(of["normal"], offset)
    stretch = ca.sqrt(ca.sumsqr(offset) + ROUNDING**2) - of["length"]
    cost = (
        of["tie"] * ca.sumsqr(offset)
        + of["level"] * (height + of["depth"]) ** 2
        + of["inside"] * ca.fmax(height + of["margin"], 0) ** 2
        + of["spring"] * stretch**2
    )
    by_offset, slope = ca.hessian(cost, offset)
    at = ca.vertcat(of["point"], 1)
    bend = (
        ca.vertcat(*(by_offset[i, j] for i, j in PAIRS_3))
        @ ca.vertcat(*(at[i] * at[j] for i, j in PAIRS_4)).T
    )
    moved = ca.reshape(affine, 3, 4) @ at - of["skin"]
    outputs = ca.substitute([cost, ca.vec(slope @ at.T), ca.vec(bend)], [offset], [moved])
    return ca.Function("point", [affine, numbers], outputs, ["affine", "numbers"], ["cost", "slope", "bend"])


def unfolded(bend: ca.SX) -> ca.SX:
    """Hessian (12, 12) by an affine motion, of sums (60,) of the point kernel's ``bend``."""
    folded = ca.reshape(bend, len(PAIRS_3), len(PAIRS_4))
    three, four = ({pair: n for n, pair in enumerate(pairs)} for pairs in (PAIRS_3, PAIRS_4))
    hessian = ca.SX(AFFINE, AFFINE)
    for row in range(AFFINE):
        for column in range(AFFINE):
            (k, i), (m, j) = divmod(row, 3), divmod(column, 3)
            hessian[row, column] = folded[three[min(i, j), max(i, j)], four[min(k, m), max(k, m)]]
    return hessian


def part_kernels(free: int) -> tuple[ca.Function, ca.Function, ca.Function]:
    """Functions of a part's motion (9,) and base rotation (9,), column by column.

    Its affine motion (12,); from the gradient (12,) by that motion, the one (free,) by the first ``free``
    motion numbers; from that gradient and the sum (60,) of ``bend``, the Hessian (free * free,) by these.
    """
    motion, base = ca.SX.sym("motion", MOTION), ca.SX.sym("base", 9)
    slope, bend = ca.SX.sym("slope", AFFINE), ca.SX.sym("bend", len(PAIRS_3) * len(PAIRS_4))
    turned = ca.reshape(base, 3, 3) @ rotation_of(motion[:3])
    affine = ca.vertcat(ca.vec(turned @ ca.diag(ca.exp(motion[6:]))), motion[3:6])
    along = ca.jacobian(affine, motion)
    curved = ca.hessian(ca.dot(slope, affine), motion)[0] + along.T @ unfolded(bend) @ along
    return (
        ca.Function("affine", [motion, base], [affine]),
        ca.Function("part_slope", [motion, base, slope], [(along.T @ slope)[:free]]),
        ca.Function("part_bend", [motion, base, slope, bend], [ca.vec(ca.densify(curved[:free, :free]))]),
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
        self._kernel = point_kernel()
        self._affine, self._slope, self._bend = (each.map(self.parts) for each in part_kernels(self.free))
        places_of = ca.Sparsity.triplet(self.parts, self.count, self.owner.tolist(), list(range(self.count)))
        self._spread = ca.DM(places_of, 1.0)

    def motion(self, x: ca.MX, fixed: ca.MX) -> ca.MX:
        """Motion numbers (9, P): free ones of the decision vector, the others (9 - free, P) of ``fixed``."""
        free = ca.reshape(x[self.places[:, : self.free].ravel().tolist()], self.free, self.parts)
        return free if self.free == MOTION else ca.vertcat(free, fixed)

    def _of_points(self, motion: ca.MX, base: ca.MX, numbers: ca.MX, outputs: list[str]) -> list[ca.MX]:
        """Some results of the point kernel, summed over the points of each part (n, P)."""
        slim = self._kernel.factory("point_" + "_".join(outputs), ["affine", "numbers"], outputs)
        found = slim.map(self.count)(self._affine(motion, base) @ self._spread, numbers)
        return [each @ self._spread.T for each in (found if len(outputs) > 1 else [found])]

    def cost(self, x: ca.MX, fixed: ca.MX, base: ca.MX, numbers: ca.MX) -> ca.MX:
        """Total cost."""
        return ca.sum2(self._of_points(self.motion(x, fixed), base, numbers, ["cost"])[0])

    def gradient(self, x: ca.MX, fixed: ca.MX, base: ca.MX, numbers: ca.MX) -> ca.MX:
        """Gradient (size,)."""
        motion = self.motion(x, fixed)
        of_parts = self._slope(motion, base, *self._of_points(motion, base, numbers, ["slope"]))
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
        motion = self.motion(x, fixed)
        blocks = self._bend(motion, base, *self._of_points(motion, base, numbers, ["slope", "bend"]))
        pattern, gather = self._entries
        return ca.MX(pattern, gather @ ca.vec(blocks))
