"""Named solvers for the whole-motion program, and their statuses in our words.

Each one takes the same program, start and bounds and returns a :class:`Solution` that says how good it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import casadi as ca
import numpy as np

from kinepose_ocp import newton
from kinepose_ocp.transcription import Transcription

Progress = Callable[[int, float], None]  # iteration, cost

IPOPT_OPTIONS = {"print_level": 0, "sb": "yes", "tol": 1e-7, "bound_relax_factor": 0.0, "max_iter": 1000}
WARM_OPTIONS = {  # for a start with multipliers, at or near the solution
    "warm_start_init_point": "yes",
    "mu_init": 1e-8,
    "warm_start_bound_push": 1e-10,
    "warm_start_bound_frac": 1e-10,
    "warm_start_mult_bound_push": 1e-10,
    "max_iter": 200,
}
SLACK_OPTIONS = {"warm_start_slack_bound_push": 1e-10, "warm_start_slack_bound_frac": 1e-10}  # coupled ranges
UNIMPROVED = "converged: optimal for Newton's method, and the solver could not improve it"
SHORT = 1e-6  # rad or m; interior-point methods stop this short of a limit that they push against
APPROACH = 60  # Newton iterations before the solver takes over
FINISH = 20  # iterations that a solver gets to improve what Newton's method found optimal
KEPT = 1e-6  # rad; a coupled range may be exceeded so far
COUPLED_APPROACH = 200  # the same with coupled ranges, whose slacks cost a solver more iterations
SQP_OPTIONS = {"max_iter": 200, "tol_du": 1e-5, "tol_pr": 1e-8, "min_step_size": 1e-12}
WORDS = {
    "Solve_Succeeded": "converged",
    "Solved_To_Acceptable_Level": "converged to a looser tolerance",
    "Maximum_Iterations_Exceeded": "stopped at the iteration limit",
    "Search_Direction_Becomes_Too_Small": "stopped: steps became too small",
    "Restoration_Failed": "stopped: restoration failed",
    "Invalid_Number_Detected": "stopped: a number was not finite",
    "User_Requested_Stop": "stopped by the user",
}


@dataclass(frozen=True)
class Solution:
    """Coordinates of a motion and how they were reached.

    ``multiplier`` is the multiplier of the bounds as CasADi defines it: d(cost)/d(bound) = -multiplier;
    ``coupling`` that of coupled limits, where the chain has them.
    """

    q: np.ndarray  # (T, n) rad or m
    multiplier: np.ndarray  # (T, n) 1/rad or 1/m
    iterations: int
    converged: bool
    status: str
    coupling: np.ndarray | None = None  # (T, m) 1/rad


@dataclass(frozen=True)
class Multipliers:
    """Where a solver starts from: multipliers (T, n) of bounds and (T, m) of coupled limits."""

    bounds: np.ndarray
    coupling: np.ndarray | None


class CasadiSolver:
    """A CasADi ``nlpsol`` of a motion, built once and used for any numbers."""

    def __init__(self, transcription: Transcription, plugin: str, options: dict[str, Any]):
        self.transcription = transcription
        self._progress = _Iterations(transcription)
        nlp = {"x": transcription.x, "p": transcription.p, "f": ca.sum1(transcription.costs)}
        if transcription.kernels.couplings is not None:
            nlp["g"] = transcription.coupled
        self._solver = ca.nlpsol(plugin, plugin, nlp, options | {"iteration_callback": self._progress})

    def solve(
        self,
        parameters: np.ndarray,
        start: np.ndarray,
        bounds: tuple[np.ndarray, np.ndarray],
        on_iteration: Progress | None = None,
        multipliers: Multipliers | None = None,
        most: int | None = None,
    ) -> Solution:
        """Solve from ``start`` (T, n) and multipliers inside bounds (n,) [rad or m]; ``most``: iterations."""
        self._progress.listen(on_iteration, most)
        lower, upper = (np.broadcast_to(bound, start.shape) for bound in bounds)
        result = self._solver(
            x0=np.clip(start, lower, upper).ravel(),
            p=parameters,
            lbx=lower.ravel(),
            ubx=upper.ravel(),
            lam_x0=0 if multipliers is None else multipliers.bounds.ravel(),
            **self._coupled(parameters, len(start), multipliers),
        )
        stats = self._solver.stats()
        q, multiplier = (np.array(result[name]).reshape(start.shape) for name in ("x", "lam_x"))
        q = np.where((multiplier < 0) & (q - lower < SHORT), lower, q)
        q = np.where((multiplier > 0) & (upper - q < SHORT), upper, q)
        return Solution(
            q=np.clip(q, lower, upper),
            multiplier=multiplier,
            iterations=int(stats["iter_count"]),
            converged=bool(stats["success"]) and self._keeps(parameters, result),
            status=WORDS.get(stats["return_status"], stats["return_status"].replace("_", " ").lower()),
            coupling=self._pulls(result, len(start)),
        )

    def _coupled(
        self, parameters: np.ndarray, frames: int, multipliers: Multipliers | None
    ) -> dict[str, np.ndarray]:
        """Coupled limits of all frames, and multipliers to start from."""
        kernels = self.transcription.kernels
        if kernels.couplings is None:
            return {}
        lower, upper = kernels.couplings.limits(parameters)
        given = {"lbg": np.tile(lower, frames), "ubg": np.tile(upper, frames)}
        if multipliers is not None and multipliers.coupling is not None:
            given["lam_g0"] = multipliers.coupling.ravel()
        return given

    def _keeps(self, parameters: np.ndarray, result: dict[str, ca.DM]) -> bool:
        """Whether coupled ranges are kept: a solver may call a looser solution acceptable."""
        couplings = self.transcription.kernels.couplings
        if couplings is None:
            return True
        value = np.array(result["g"]).reshape(-1, couplings.size)
        lower, upper = couplings.limits(parameters)
        return bool(np.maximum(lower - value, value - upper).max() <= KEPT)

    def _pulls(self, result: dict[str, ca.DM], frames: int) -> np.ndarray | None:
        couplings = self.transcription.kernels.couplings
        return None if couplings is None else np.array(result["lam_g"]).reshape(frames, couplings.size)


class FinishingSolver:
    """A CasADi solver started at what the banded Newton method reaches: it finishes and certifies.

    From here the solver needs a few iterations, where it is not lost in a valley. Where it cannot
    improve a point that Newton's method found optimal (rounding), that point stands; where that was not
    optimal either, a cold start follows.
    """

    def __init__(self, transcription: Transcription, plugin: str, cold: dict[str, Any], warm: dict[str, Any]):
        self.transcription, self._plugin, self._cold = transcription, plugin, cold
        self._warm = CasadiSolver(transcription, plugin, warm)

    def solve(
        self,
        parameters: np.ndarray,
        start: np.ndarray,
        bounds: tuple[np.ndarray, np.ndarray],
        on_iteration: Progress | None = None,
    ) -> Solution:
        """Solve from ``start`` (T, n) inside bounds (n,) [rad or m]."""
        coupled = self.transcription.kernels.couplings is not None
        limits = newton.Limits(*bounds, iterations=COUPLED_APPROACH if coupled else APPROACH)
        near = newton.minimise(self.transcription, parameters, start, limits, on_iteration)
        pulls = Multipliers(_multiplier(near, limits), near.coupling)
        most = FINISH if near.converged else None
        solution = self._warm.solve(parameters, near.x, bounds, on_iteration, pulls, most)
        if not solution.converged and near.converged:
            solution = Solution(
                near.x,
                pulls.bounds,
                solution.iterations,
                converged=True,
                status=UNIMPROVED,
                coupling=pulls.coupling,
            )
        elif not solution.converged:
            cold = CasadiSolver(self.transcription, self._plugin, self._cold)
            solution = cold.solve(parameters, near.x, bounds, on_iteration)
        return replace(solution, iterations=near.iterations + solution.iterations)


class NewtonSolver:
    """The banded Newton method of :mod:`newton` alone."""

    def __init__(self, transcription: Transcription):
        self.transcription = transcription

    def solve(
        self,
        parameters: np.ndarray,
        start: np.ndarray,
        bounds: tuple[np.ndarray, np.ndarray],
        on_iteration: Progress | None = None,
    ) -> Solution:
        """Solve from ``start`` (T, n) inside bounds (n,) [rad or m]."""
        limits = newton.Limits(*bounds)
        result = newton.minimise(self.transcription, parameters, start, limits, on_iteration)
        return Solution(
            q=result.x,
            multiplier=_multiplier(result, limits),
            iterations=result.iterations,
            converged=result.converged,
            status=_ending(result, limits),
            coupling=result.coupling,
        )


def _ending(result: newton.NewtonResult, limits: newton.Limits) -> str:
    if result.converged:
        return "converged"
    if result.iterations < limits.iterations:
        return "stopped: no step lowers the cost, yet its gradient is above the tolerance"
    return "stopped at the iteration limit"


def ipopt(transcription: Transcription) -> FinishingSolver:
    """IPOPT with our derivatives (Waechter and Biegler, Math. Program. 106, 2006)."""
    options = ipopt_options(transcription)
    start = WARM_OPTIONS | (SLACK_OPTIONS if _count(transcription) else {})
    cold, warm = options | {"ipopt": IPOPT_OPTIONS}, options | {"ipopt": IPOPT_OPTIONS | start}
    return FinishingSolver(transcription, "ipopt", cold, warm)


def sqp(transcription: Transcription) -> FinishingSolver:
    """CasADi's sequential quadratic programming, with the QP solver PIQP."""
    options = sqp_options(transcription)
    return FinishingSolver(transcription, "sqpmethod", options, options)


SOLVERS: dict[str, Callable[[Transcription], Any]] = {"ipopt": ipopt, "sqp": sqp, "newton": NewtonSolver}


def _multiplier(result: newton.NewtonResult, limits: newton.Limits) -> np.ndarray:
    """Bound multipliers (T, n) of an unconstrained gradient: its opposite where a bound holds."""
    at_bound = (result.x <= limits.lower) | (result.x >= limits.upper)
    return np.where(at_bound, -result.gradient, 0.0)


def _count(transcription: Transcription) -> int:
    """Number of coupled limits of the whole motion."""
    couplings = transcription.kernels.couplings
    return 0 if couplings is None else couplings.size * transcription.frames


def ipopt_options(transcription: Transcription) -> dict[str, Any]:
    """Own gradient and exact banded Hessian; mu strategy and scaling are best left alone."""
    x, p, cost = transcription.x, transcription.p, ca.sum1(transcription.costs)
    gradient = ca.Function(
        "nlp_grad_f", [x, p], [cost, transcription.gradient], ["x", "p"], ["f", "grad_f_x"]
    )
    lam_f, lam_g = ca.MX.sym("lam_f"), ca.MX.sym("lam_g", _count(transcription))
    curvature = lam_f * transcription.hessian()
    options: dict[str, Any] = {}
    if lam_g.numel():
        curvature += transcription.coupled_hessian(lam_g)
        values = [transcription.coupled, transcription.coupled_jacobian]
        options["jac_g"] = ca.Function("nlp_jac_g", [x, p], values, ["x", "p"], ["g", "jac_g_x"])
    hessian = ca.Function(
        "nlp_hess_l",
        [x, p, lam_f, lam_g],
        [curvature],
        ["x", "p", "lam_f", "lam_g"],
        ["triu_hess_gamma_x_x"],
    )
    return options | {
        "grad_f": gradient,
        "hess_lag": hessian,
        "calc_lam_p": False,
        "no_nlp_grad": True,
        "print_time": False,
    }


def sqp_options(transcription: Transcription) -> dict[str, Any]:
    """Gauss-Newton Hessian, so that every quadratic program is convex."""
    x, p, cost = transcription.x, transcription.p, ca.sum1(transcription.costs)
    lam_f, lam_g = ca.MX.sym("lam_f"), ca.MX.sym("lam_g", _count(transcription))
    coupled = [ca.MX(0, 1), ca.MX(0, x.numel())]
    if lam_g.numel():
        coupled = [transcription.coupled, transcription.coupled_jacobian]
    hessian = ca.Function(
        "nlp_hess_l",
        [x, p, lam_f, lam_g],
        [lam_f * ca.triu2symm(transcription.hessian(exact=False))],
        ["x", "p", "lam_f", "lam_g"],
        ["hess_gamma_x_x"],
    )
    slope = ca.Function(
        "nlp_jac_fg",
        [x, p],
        [cost, transcription.gradient, *coupled],
        ["x", "p"],
        ["f", "grad_f_x", "g", "jac_g_x"],
    )
    return {
        "hess_lag": hessian,
        "jac_fg": slope,
        "calc_lam_p": False,
        "no_nlp_grad": True,
        "print_time": False,
        "print_header": False,
        "print_iteration": False,
        "print_status": False,
        "error_on_fail": False,
        "qpsol": "piqp",
        "qpsol_options": {"print_time": False, "error_on_fail": False},
        **SQP_OPTIONS,
    }


class _Iterations(ca.Callback):
    """Tells a listener about every iteration of a CasADi solver, and ends it after the most it may take."""

    def __init__(self, transcription: Transcription):
        ca.Callback.__init__(self)
        self.listener: Progress | None = None
        self._sizes = {
            "x": transcription.x.numel(),
            "lam_x": transcription.x.numel(),
            "p": transcription.p.numel(),
            "lam_p": transcription.p.numel(),
            "f": 1,
            "g": _count(transcription),
            "lam_g": _count(transcription),
        }
        self._count, self._most = 0, np.inf
        self.construct("iterations")

    def listen(self, listener: Progress | None, most: int | None = None) -> None:
        """Count from zero for a listener."""
        self.listener, self._count, self._most = listener, 0, np.inf if most is None else most

    def get_n_in(self) -> int:
        return ca.nlpsol_n_out()

    def get_n_out(self) -> int:
        return 1

    def get_name_in(self, i: int) -> str:
        return ca.nlpsol_out(i)

    def get_name_out(self, i: int) -> str:
        return "stop"

    def get_sparsity_in(self, i: int) -> ca.Sparsity:
        return ca.Sparsity.dense(self._sizes[ca.nlpsol_out(i)], 1)

    def eval(self, arg: Sequence[ca.DM]) -> list[int]:
        self._count += 1
        if self.listener is not None:
            self.listener(self._count, float(arg[1]))
        return [int(self._count > self._most)]
