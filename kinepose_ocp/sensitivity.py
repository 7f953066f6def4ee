"""What the answer owes to the numbers it was given: derivatives of all angles, from one factorisation.

At a solution the gradient g(x, p) of the free coordinates is zero; when a number p changes they follow by
dx/dp = -H^-1 dg/dp, with H the exact Hessian of the free coordinates (implicit function theorem; Fiacco,
Introduction to Sensitivity and Stability Analysis in Nonlinear Programming, 1983). A ROM limit is one number
for all frames: it takes along every coordinate that it holds. Noise, prior and weights stay as chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.linalg.blas import dsbmv
from threadpoolctl import ThreadpoolController

from kinepose_ocp.case import Case
from kinepose_ocp.chain import Chain
from kinepose_ocp.newton import AT_LIMIT, BandedHessian, held
from kinepose_ocp.terms import KeypointPosition, Term

_BLAS = ThreadpoolController()
NUDGE = 1e-4  # relative change of a number whose effect on the gradient is differenced
WEAK = 1e-6  # 1/rad, relative to 1 + cost a frame; a contact with less force may let go either way


@dataclass(frozen=True)
class _Response:
    """The solution's Hessian, factored, and which coordinates its bounds hold."""

    case: Case
    q: np.ndarray
    at_lower: np.ndarray
    at_upper: np.ndarray
    free: np.ndarray
    slope: np.ndarray
    whole: np.ndarray
    factor: np.ndarray
    width: int

    @classmethod
    def of(cls, case: Case, q: np.ndarray) -> _Response:
        values, p = case.transcription.values, case.parameters
        slope, (lower, upper) = values.gradient(q, p), case.bounds
        scale = WEAK * (1 + values.costs(q, p).sum() / case.frames)
        movable = np.broadcast_to(lower < upper, q.shape)
        at_lower, at_upper = (side & movable for side in held(q, slope, lower, upper, scale))
        free = movable & ~(at_lower | at_upper)
        banded, blocks = BandedHessian(case.transcription), values.blocks(q, p, exact=True)
        whole = banded.assemble(blocks, np.ones(q.shape, dtype=bool))
        factor = cholesky_banded(banded.assemble(blocks, free), check_finite=False)
        return cls(case, q, at_lower, at_upper, free, slope, whole, factor, banded.width)

    @property
    def weak(self) -> np.ndarray:
        """(T, n) which coordinates touch a limit with hardly any force."""
        lower, upper = self.case.bounds
        return self.free & ((self.q <= lower + AT_LIMIT) | (self.q >= upper - AT_LIMIT))

    def to_moved(self, moved: np.ndarray) -> np.ndarray:
        """Change (T, n) of all coordinates when held ones are moved by ``moved`` (T, n)."""
        pushed = dsbmv(self.width, 1.0, self.whole, moved.ravel()).reshape(moved.shape)
        return moved + self._free(pushed)

    def to_parameters(self, towards: np.ndarray, step: float) -> np.ndarray:
        """Change (T, n) a unit of a number, whose ``step`` changes the parameters by ``towards``."""
        values, p = self.case.transcription.values, self.case.parameters
        change = values.gradient(self.q, p + towards) - values.gradient(self.q, p - towards)
        return self._free(change / (2 * step))

    def _free(self, pushed: np.ndarray) -> np.ndarray:
        right = np.where(self.free, -pushed, 0.0).ravel()
        return cho_solve_banded((self.factor, False), right, check_finite=False).reshape(pushed.shape)


@_BLAS.wrap(limits=1, user_api="blas")
def sensitivities(case: Case, q: np.ndarray) -> xr.Dataset:
    """Derivatives of all joint angles at a solution.

    Parameters
    ----------
    q
        (T, n) coordinates of the solution [rad or m].

    Returns
    -------
    xarray.Dataset
        ``angle_per_bound (time, dof, bound)`` [degree/degree] and ``cost_per_bound (bound)`` [1/degree] for
        every ROM limit that holds an angle anywhere (``knee_left.flexion lower``); ``angle_per_length (time,
        dof, segment)`` [degree/mm] for every joint's offset; ``angle_per_noise (time, dof)`` [degree/mm]
        where the cost has a :class:`KeypointPosition`; ``weak_contact (time, dof)``: 1 where an angle touches
        its limit with hardly any force, so that derivatives differ to either side.

    Raises
    ------
    scipy.linalg.LinAlgError
        Where the coordinates are no minimum.
    """
    response, dofs = _Response.of(case, q), case.problem.kernels.chain.free_dofs
    turning = [i for i, dof in enumerate(dofs.values()) if not dof.translates]
    bounds, per_bound, price = _of_bounds(response, list(dofs), turning)
    segments, per_length = _of_lengths(response)
    empty = np.zeros((0, *q.shape))
    dims = ("time", "dof")
    found = xr.Dataset(
        {
            "angle_per_bound": (
                ("bound", *dims),
                np.array(per_bound or empty)[..., turning],
                {"units": "1", "long_name": "d(joint angle)/d(limit of the range of motion)"},
            ),
            "cost_per_bound": (
                "bound",
                np.array(price),
                {"units": "degree-1", "long_name": "d(cost)/d(limit)"},
            ),
            "angle_per_length": (
                ("segment", *dims),
                np.degrees(np.array(per_length or empty)[..., turning]) / 1000,
                {"units": "degree mm-1", "long_name": "d(joint angle)/d(segment length)"},
            ),
            "weak_contact": (
                dims,
                response.weak[:, turning].astype(np.int8),
                {"long_name": "1 where an angle touches its limit with hardly any force"},
            ),
        },
        {
            "time": ("time", case.keypoints.time.values, {"units": "s"}),
            "dof": np.array(list(dofs))[turning],
            "bound": np.array(bounds, dtype=str),
            "segment": np.array(segments, dtype=str),
        },
    )
    noise = _of_noise(response)
    if noise is not None:
        attributes = {"units": "degree mm-1", "long_name": "d(joint angle)/d(assumed keypoint noise)"}
        found["angle_per_noise"] = (dims, np.degrees(noise[:, turning]) / 1000, attributes)
    return found.transpose("time", "dof", "bound", "segment")


def _of_bounds(
    response: _Response, names: Sequence[str], turning: Sequence[int]
) -> tuple[list[str], list[np.ndarray], list[float]]:
    """Limits that hold an angle anywhere; change of coordinates by each; its price [1/degree]."""
    bounds, found, price = [], [], []
    for side, at_limit in (("lower", response.at_lower), ("upper", response.at_upper)):
        for i in turning:
            if at_limit[:, i].any():
                moved = np.zeros(response.q.shape)
                moved[at_limit[:, i], i] = 1.0
                bounds.append(f"{names[i]} {side}")
                found.append(response.to_moved(moved))
                price.append(float(np.radians(response.slope[at_limit[:, i], i].sum())))
    return bounds, found, price


def _of_lengths(response: _Response) -> tuple[list[str], list[np.ndarray]]:
    """Change of coordinates per metre of every joint's offset."""
    segments, found = [], []
    for joint in response.case.chain.joints:
        length = float(np.linalg.norm(joint.offset))
        if joint.parent is not None and length > 0:
            longer = response.case.chain.with_lengths({joint.name: length * (1 + NUDGE)})
            segments.append(joint.name)
            found.append(response.to_parameters(_towards(response.case, longer), length * NUDGE))
    return segments, found


def _of_noise(response: _Response) -> np.ndarray | None:
    """Change of coordinates per metre of the keypoints' standard deviation."""
    terms = response.case.terms
    place = next((i for i, term in enumerate(terms) if type(term) is KeypointPosition), None)
    if place is None:
        return None
    term = terms[place]
    step = NUDGE * float(term.std)  # type: ignore[attr-defined]
    noisier = list(terms)
    noisier[place] = replace(term, std=float(term.std) + step)  # type: ignore[attr-defined, type-var]
    return response.to_parameters(_towards(response.case, response.case.chain, noisier), step)


def _towards(case: Case, chain: Chain, terms: Sequence[Term] | None = None) -> np.ndarray:
    """Change of all parameters when the chain or the terms have these numbers."""
    kernels = case.problem.kernels
    change = kernels.shared_values(chain, terms or case.terms) - case.shared
    towards = np.zeros(len(case.parameters))
    towards[-len(change) :] = change
    return towards
