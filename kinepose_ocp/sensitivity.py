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
from kinepose_ocp.contact import Contact, contact
from kinepose_ocp.newton import AT_LIMIT, BandedHessian
from kinepose_ocp.terms import KeypointPosition, Term

_BLAS = ThreadpoolController()
NUDGE = 1e-4  # relative change of a number whose effect on the gradient is differenced
REFINEMENTS = 4  # of a solution whose coupled limits are stiff rows
WEAK = 1e-6  # 1/rad, relative to 1 + cost a frame; a contact with less force may let go either way


@dataclass(frozen=True)
class _Response:
    """The solution's Hessian, factored, and which coordinates its bounds hold."""

    case: Case
    q: np.ndarray
    touched: Contact
    at_lower: np.ndarray
    at_upper: np.ndarray
    free: np.ndarray
    whole: np.ndarray  # Hessian of the cost and of what coupled limits add to it
    factor: np.ndarray  # of the same with coupled limits as stiff rows, of free coordinates
    width: int
    stiff: np.ndarray  # (T, m)
    slopes: np.ndarray  # (T, m, n) of coupled limits

    @classmethod
    def of(cls, case: Case, q: np.ndarray) -> _Response:
        values, p = case.transcription.values, case.parameters
        lower, upper = case.bounds
        touched = contact(case, q, WEAK * (1 + values.costs(q, p).sum() / case.frames))
        movable = np.broadcast_to(lower < upper, q.shape)
        at_lower, at_upper = touched.at_lower & movable, touched.at_upper & movable
        free = movable & ~(at_lower | at_upper)
        banded, blocks = BandedHessian(case.transcription), values.blocks(q, p, exact=True)
        blocks = touched.curved(case, q, blocks)
        stiff, slopes = np.zeros((len(q), 0)), np.zeros((len(q), 0, q.shape[1]))
        if case.coupled is not None:
            stiff, slopes = touched.weight(case, blocks), case.coupled.slopes(q)
        whole = banded.assemble(blocks, np.ones(q.shape, dtype=bool))
        stiffened = banded.assemble(touched.stiffened(case, q, blocks), free)
        factor = cholesky_banded(stiffened, check_finite=False)
        return cls(case, q, touched, at_lower, at_upper, free, whole, factor, banded.width, stiff, slopes)

    @property
    def weak(self) -> np.ndarray:
        """(T, n) which coordinates touch a limit with hardly any force."""
        lower, upper = self.case.bounds
        return self.free & ((self.q <= lower + AT_LIMIT) | (self.q >= upper - AT_LIMIT))

    def to_moved(self, moved: np.ndarray) -> np.ndarray:
        """Change (T, n) of all coordinates when held ones are moved by ``moved`` (T, n)."""
        pushed = dsbmv(self.width, 1.0, self.whole, moved.ravel()).reshape(moved.shape)
        return moved + self._free(pushed, -self._across(moved))

    def to_coupled(self, moved: np.ndarray) -> np.ndarray:
        """Change (T, n) of all coordinates when coupled limits that hold are moved by ``moved`` (T, m)."""
        return self._free(np.zeros(self.q.shape), moved)

    def to_parameters(self, towards: np.ndarray, step: float) -> np.ndarray:
        """Change (T, n) a unit of a number, whose ``step`` changes the parameters by ``towards``."""
        values, p = self.case.transcription.values, self.case.parameters
        change = values.gradient(self.q, p + towards) - values.gradient(self.q, p - towards)
        return self._free(change / (2 * step), np.zeros(self.stiff.shape))

    def _across(self, change: np.ndarray) -> np.ndarray:
        """(T, m) change of coupled numbers with coordinates (T, n)."""
        return np.einsum("tmn,tn->tm", self.slopes, change)

    def _free(self, pushed: np.ndarray, across: np.ndarray) -> np.ndarray:
        """Change (T, n) of free coordinates that are pushed, held coupled numbers changing by ``across``.

        Stiff rows, and multipliers of what they leave (the method of multipliers on a quadratic program).
        """
        found, pull = np.zeros(pushed.shape), np.zeros(self.stiff.shape)
        for _ in range(REFINEMENTS if self.stiff.any() else 1):
            towards = np.einsum("tmn,tm->tn", self.slopes, self.stiff * across - pull)
            right = np.where(self.free, towards - pushed, 0.0).ravel()
            found = cho_solve_banded((self.factor, False), right, check_finite=False).reshape(pushed.shape)
            pull = pull + self.stiff * (self._across(found) - across)
        return found


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
        every ROM limit that holds an angle anywhere (``knee_left.flexion lower``) and every coupled limit
        that does (``arm.swing upper``; ``both`` where the two are equal); ``angle_per_length (time, dof,
        segment)`` [degree/mm] for every joint's offset; ``angle_per_noise (time, dof)`` [degree/mm] where the
        cost has a :class:`KeypointPosition`; ``weak_contact (time, dof)``: 1 where an angle touches
        its limit with hardly any force, so that derivatives differ to either side.

    Raises
    ------
    scipy.linalg.LinAlgError
        Where the coordinates are no minimum.
    """
    response, dofs = _Response.of(case, q), case.problem.kernels.chain.free_dofs
    turning = [i for i, dof in enumerate(dofs.values()) if not dof.translates]
    single, coupled = _of_bounds(response, list(dofs), turning), _of_coupled(response)
    bounds, per_bound, price = single[0] + coupled[0], single[1] + coupled[1], single[2] + coupled[2]
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
                price.append(float(np.radians(response.touched.slope[at_limit[:, i], i].sum())))
    return bounds, found, price


def _of_coupled(response: _Response) -> tuple[list[str], list[np.ndarray], list[float]]:
    """The same for coupled limits; ``both`` where the two are equal."""
    bounds: list[str] = []
    found: list[np.ndarray] = []
    price: list[float] = []
    coupled, pull = response.case.coupled, response.touched.pull
    if coupled is None or pull is None:
        return bounds, found, price
    equal = coupled.lower == coupled.upper
    sides = {"lower": (pull < 0) & ~equal, "upper": (pull > 0) & ~equal, "both": (pull != 0) & equal}
    for side, holds in sides.items():
        for i in np.flatnonzero(holds.any(axis=0)):
            moved = np.zeros(pull.shape)
            moved[holds[:, i], i] = 1.0
            bounds.append(f"{coupled.kernel.names[i]} {side}")
            found.append(response.to_coupled(moved))
            price.append(float(-np.radians(pull[holds[:, i], i].sum())))
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
    new = kernels.shared_values(chain, terms or case.terms)
    change = np.subtract(new, case.shared, where=new != case.shared, out=np.zeros(len(new)))  # some infinite
    towards = np.zeros(len(case.parameters))
    towards[-len(change) :] = change
    return towards
