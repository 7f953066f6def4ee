"""The program of a skeleton's rigid parts: points against skin, joints as constraints; built once.

Variables: rotation vector [rad] and translation [m] of every part, and the logarithms of scales if these are
free. Everything that differs between bodies and poses is a parameter. Gradient and Hessian are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from kinepose_ocp.rotations import rotation_of
from kinepose_ocp.solvers import WORDS
from kinepose_ocp.surface.articulation import Limits, Parts
from kinepose_ocp.surface.placed_skeleton import PlacedSkeleton, part_origins
from kinepose_ocp.surface.point_costs import WIDTH, PointCosts, PointTable
from kinepose_ocp.surface.skeleton import Skeleton

IPOPT_OPTIONS = {
    "print_level": 0,
    "sb": "yes",
    "max_iter": 200,
    "tol": 1e-5,
    "acceptable_tol": 1e-4,
    "acceptable_iter": 8,
    "constr_viol_tol": 1e-5,  # of gaps in mm
    "mu_init": 1e-3,
}
Symbols = Mapping[str, ca.SX]
Terms = Callable[[Parts, Symbols], tuple[ca.SX, Limits]]


@dataclass(frozen=True, eq=False)
class Solved:
    """A placed skeleton and how it was found; ``at_bound`` counts hinges at an end of their range."""

    placed: PlacedSkeleton
    converged: bool
    status: str
    iterations: int
    at_bound: int


class PartsProgram:
    """A nonlinear program for IPOPT.

    owner (N,): part number of each point. groups (P,): number of the scales that a part shares, or None where
    scales are given. parameters: shapes of the numbers that ``terms`` uses, by name.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        owner: np.ndarray,
        groups: np.ndarray | None,
        parameters: Mapping[str, tuple[int, int]],
        terms: Terms,
    ):
        self.skeleton, self.parameters = skeleton, dict(parameters)
        self.origins = part_origins(skeleton)
        self.count = len(skeleton.parts)
        motion = np.arange(6 * self.count).reshape(-1, 6)
        scales = np.full((self.count, 3), -1) if groups is None else 3 * groups[:, None] + np.arange(3)
        self.size = 6 * self.count + (0 if groups is None else int(scales.max()) + 1)
        self.groups = groups
        self.places = np.hstack([motion, scales + 6 * self.count if groups is not None else scales])
        self.points = PointCosts(owner, self.places, self.size)
        self._solver = self._built(terms)
        vector = ca.SX.sym("vector", 3)
        self._turned = ca.Function("turned", [vector], [ca.vec(rotation_of(vector))]).map(self.count)

    # ---- symbols -----------------------------------------------------------------------------------
    def _shapes(self) -> dict[str, tuple[int, int]]:
        fixed = {"numbers": (WIDTH, self.points.count), "base": (9, self.count), "scales": (3, self.count)}
        return fixed | self.parameters

    def _joints(self, terms: Terms) -> tuple[ca.Function, ca.Function, Limits]:
        """Cost and constraints of the joints; upper triangle of their Lagrangian's Hessian."""
        x, base, scale = (
            ca.SX.sym("x", self.size),
            ca.SX.sym("base", 9, self.count),
            ca.SX.sym("s", 3, self.count),
        )
        symbols = {name: ca.SX.sym(name, *shape) for name, shape in self.parameters.items()}
        names = self.skeleton.parts
        at = [x[(6 * part) : (6 * part + 6)] for part in range(self.count)]
        turns = [ca.reshape(base[:, part], 3, 3) @ rotation_of(at[part][:3]) for part in range(self.count)]
        logs = [
            scale[:, part] if self.groups is None else x[self.places[part, 6:].tolist()]
            for part in range(self.count)
        ]
        parts = Parts(
            dict(zip(names, self.origins, strict=True)),
            dict(zip(names, turns, strict=True)),
            {name: at[part][3:] for part, name in enumerate(names)},
            {name: ca.exp(logs[part]) for part, name in enumerate(names)},
        )
        cost, limits = terms(parts, symbols)
        price, prices = ca.SX.sym("price"), ca.SX.sym("prices", limits.expression.numel())
        given = [x, base, scale, *symbols.values()]
        value = ca.Function("joints", given, [cost, ca.gradient(cost, x), limits.expression])
        lagrangian = price * cost + ca.dot(prices, limits.expression)
        bend = ca.Function("joints_bend", [*given, price, prices], [ca.triu(ca.hessian(lagrangian, x)[0])])
        return value, bend, limits

    def _built(self, terms: Terms) -> ca.Function:
        joints, bend, limits = self._joints(terms)
        self._limits = limits
        x = ca.MX.sym("x", self.size)
        shapes = self._shapes()
        sizes = [int(np.prod(shape)) for shape in shapes.values()]
        p = ca.MX.sym("p", sum(sizes))
        ends = np.cumsum([0, *sizes]).tolist()
        of = {n: ca.reshape(p[ends[i] : ends[i + 1]], *shapes[n]) for i, n in enumerate(shapes)}
        points = (x, of["scales"], of["base"], of["numbers"])
        rest = (x, of["base"], of["scales"], *(of[name] for name in self.parameters))
        cost, slope, constraint = joints(*rest)
        total = cost + self.points.cost(*points)
        gradient = ca.Function(
            "nlp_grad_f",
            [x, p],
            [total, slope + self.points.gradient(*points)],
            ["x", "p"],
            ["f", "grad_f_x"],
        )
        price, prices = ca.MX.sym("lam_f"), ca.MX.sym("lam_g", constraint.numel())
        hessian = ca.Function(
            "nlp_hess_l",
            [x, p, price, prices],
            [price * self.points.hessian(*points) + bend(*rest, price, prices)],
            ["x", "p", "lam_f", "lam_g"],
            ["triu_hess_gamma_x_x"],
        )
        options: Any = {"grad_f": gradient, "hess_lag": hessian, "calc_lam_p": False, "no_nlp_grad": True}
        options |= {"print_time": False, "ipopt": IPOPT_OPTIONS}
        program: Any = {"x": x, "p": p, "f": total, "g": constraint}
        return ca.nlpsol("parts", "ipopt", program, options)

    # ---- numbers -----------------------------------------------------------------------------------
    def solve(
        self,
        start: PlacedSkeleton,
        table: PointTable,
        parameters: Mapping[str, np.ndarray],
        farthest: float = np.inf,
    ) -> Solved:
        """Solve from a placed skeleton, whose rotations are the base of the rotation vectors.

        Scales that are not free stay those of the start. farthest: bound of the numbers of a rotation vector
        [rad]; without it a step may turn a slender part over, into another minimum.
        """
        base = start.rotations.transpose(0, 2, 1).reshape(self.count, 9).T  # column by column
        logs = np.log(start.scales)
        given = {"numbers": table.rows().T, "base": base, "scales": logs.T} | dict(parameters)
        packed = [np.asarray(given[name], dtype=float).ravel(order="F") for name in self._shapes()]
        x0 = np.zeros(self.size)
        x0[self.places[:, 3:6]] = start.translations
        if self.groups is not None:
            x0[self.places[:, 6:]] = logs
        most = np.full(self.size, np.inf)
        most[self.places[:, :3]] = farthest
        limits = {"lbg": self._limits.lower, "ubg": self._limits.upper}
        result = self._solver(x0=x0, p=np.concatenate(packed), lbx=-most, ubx=most, **limits)
        return self._solved(start, result)

    def _solved(self, start: PlacedSkeleton, result: Mapping[str, ca.DM]) -> Solved:
        x, g = result["x"].full().ravel(), result["g"].full().ravel()
        stats = self._solver.stats()
        turns = self._turned(x[self.places[:, :3]].T).full().T.reshape(-1, 3, 3).transpose(0, 2, 1)
        scales = start.scales if self.groups is None else np.exp(x[self.places[:, 6:]])
        placed = PlacedSkeleton(self.skeleton, start.rotations @ turns, x[self.places[:, 3:6]], scales)
        status = WORDS.get(stats["return_status"], stats["return_status"].replace("_", " ").lower())
        reached = self._limits.reached(g)
        return Solved(placed, bool(stats["success"]), status, int(stats["iter_count"]), reached)
