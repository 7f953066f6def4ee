"""Factors: numbers of a problem that studies vary, by name.

    knee_right.flexion upper    upper limit of a DOF's range of motion [degree, or m]; lower: the other one
    knee_right.flexion lock     1: held at rest (the value nearest to zero that its ROM allows); 0: free
    knee_right length           distance of a joint from its parent, or of a keypoint from its joint [m]
    knee_right scale            the same, relative to the problem's [1]
    KeypointPosition std        standard deviation of a cost term [its own unit: m, rad, rad/s ...]
    PoseVelocity weight         what a term's cost is multiplied by [1]
    noise                       standard deviation of white noise added to the keypoints [mm]

All of them are numbers of a built problem: nothing is built again. Terms are named as in a motion's ``cost``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kinepose_ocp.chain import Chain, Dof
from kinepose_ocp.errors import KineposeError, possible
from kinepose_ocp.problem import Problem
from kinepose_ocp.terms import Term, term_names

NOISE = "noise"
LOCKED_FROM = 0.5  # a lock of this and more, in designs of numbers between 0 and 1
LIMITS = ("lower", "upper")
LENGTHS = ("length", "scale")
OF_DOFS, OF_TERMS = (*LIMITS, "lock"), ("std", "weight")
QUANTITIES = (*OF_DOFS, *LENGTHS, *OF_TERMS)
WEIGHTED = {"std": -0.5, "precision": 1.0, "whitening": 0.5}  # power of a weight that a term's field takes
LEAST = {"lock": 0.0, NOISE: 0.0}  # smallest values; of lengths, deviations and weights more than 0
LONG_NAMES = {
    "lower": "lower limit of the range of motion",
    "upper": "upper limit of the range of motion",
    "lock": f"held at rest from {LOCKED_FROM:g} up",
    "length": "segment length",
    "scale": "segment length, relative to the problem's",
    "std": "standard deviation of the cost term",
    "weight": "weight of the cost term, relative to the problem's",
    NOISE: "standard deviation of white noise added to the keypoints",
}


@dataclass(frozen=True)
class Factor:
    """A number that varies: ``subject`` and ``quantity`` are what its name consists of."""

    name: str
    subject: str
    quantity: str

    @classmethod
    def of(cls, name: str) -> Factor:
        """Read a factor's name.

        Raises
        ------
        KineposeError
            For a name without subject, or an unknown quantity.
        """
        if name == NOISE:
            return cls(name, "", NOISE)
        subject, _, quantity = name.rpartition(" ")
        if not subject:
            raise KineposeError(
                f"factor '{name}': a factor is '{NOISE}', or a name and one of {', '.join(QUANTITIES)}, "
                "such as 'knee_right.flexion upper'"
            )
        if quantity not in QUANTITIES:
            raise KineposeError(
                f"factor '{name}': no quantity '{quantity}'; {possible(quantity, QUANTITIES)}"
            )
        return cls(name, subject.strip(), quantity)

    @property
    def variable(self) -> str:
        """Its name in a Dataset, without spaces: what NetCDF can hold as a coordinate."""
        return self.name.replace(" ", "_")

    @property
    def long_name(self) -> str:
        """What it is."""
        return f"{self.subject}: {LONG_NAMES[self.quantity]}".removeprefix(": ")

    def unit(self, chain: Chain) -> str:
        """Its unit."""
        if self.quantity in LIMITS:
            return "m" if chain.dof(self.subject).translates else "degree"
        return {"length": "m", "std": "unit of the term", NOISE: "mm"}.get(self.quantity, "1")

    def check(self, chain: Chain, low: float, high: float) -> None:
        """Refuse what the chain does not have, and values that are impossible from ``low`` to ``high``.

        Raises
        ------
        KineposeError
            Names the factor, what was given and what is possible.
        """
        try:
            if self.quantity in OF_DOFS:
                chain.dof(self.subject)
            if self.quantity in LENGTHS:
                _with_length(chain, self.subject, 1.0)
        except KineposeError as error:
            raise KineposeError(f"factor '{self.name}': {error}") from None
        least = LEAST.get(self.quantity, 0.0)
        if self.quantity not in LIMITS and (low < least or (low == least and self.quantity not in LEAST)):
            allowed = f"{least:g} or more" if self.quantity in LEAST else "above 0"
            raise KineposeError(f"factor '{self.name}': {low:g} is too small; possible: {allowed}")
        if self.quantity == "lock" and high > 1:
            raise KineposeError(f"factor '{self.name}': {high:g} is too large; possible: 0 to 1")

    def check_problem(self, problem: Problem) -> None:
        """Refuse what would change nothing in this problem, or cannot be changed.

        Raises
        ------
        KineposeError
            For a DOF that is locked or that no measured point shows, or a term that it does not have.
        """
        if self.quantity in OF_DOFS and self.subject not in problem.kernels.chain.free_dofs:
            raise KineposeError(
                f"factor '{self.name}': '{self.subject}' is not free in the problem: it is locked in the "
                "chain, or no measured point shows it"
            )
        if self.quantity in OF_TERMS:
            self._term(problem)

    def _term(self, problem: Problem) -> int:
        """Place of its term, which has the numbers that the quantity needs."""
        names = term_names(problem.terms)
        if self.subject not in names:
            raise KineposeError(
                f"factor '{self.name}': the problem has no term '{self.subject}'; "
                f"{possible(self.subject, names)}"
            )
        place = names.index(self.subject)
        fields = ("std",) if self.quantity == "std" else tuple(WEIGHTED)
        if not any(hasattr(problem.terms[place], field) for field in fields):
            kind = type(problem.terms[place]).__name__
            raise KineposeError(f"factor '{self.name}': {kind} has no number {' or '.join(fields)}")
        return place


def changed_numbers(problem: Problem, values: Mapping[str, float], seed: int = 0) -> dict[str, Any]:
    """Return a problem's numbers with other values of some factors, as :meth:`Problem.solve` takes them.

    Parameters
    ----------
    values
        ``{factor: value}`` in the factors' units.
    seed
        Of the white noise: every noise level scales the same errors.

    Raises
    ------
    KineposeError
        For factors that the problem does not have, or values that exclude each other.
    """
    factors = {Factor.of(name): value for name, value in values.items()}
    for factor, value in factors.items():
        factor.check(problem.chain, value, value)
        factor.check_problem(problem)
    numbers: dict[str, Any] = {}
    if any(factor.quantity in OF_DOFS + LENGTHS for factor in factors):
        numbers["chain"] = _changed_chain(problem.chain, factors)
    if any(factor.quantity in OF_TERMS for factor in factors):
        numbers["terms"] = _changed_terms(problem, factors)
    for factor, value in factors.items():
        if factor.quantity == NOISE:
            position = problem.keypoints.position
            errors = np.random.default_rng(seed).standard_normal(position.shape)
            numbers["keypoints"] = problem.keypoints.assign(position=position + value / 1000 * errors)
    return numbers


def _changed_chain(chain: Chain, factors: Mapping[Factor, float]) -> Chain:
    """The chain with other ROMs, then locks, then lengths."""
    ranges: dict[str, dict[str, float]] = {}
    locks: list[str] = []
    for factor, value in factors.items():
        if factor.quantity in LIMITS:
            ranges.setdefault(factor.subject, {})[factor.quantity] = value
        elif factor.quantity == "lock" and value >= LOCKED_FROM:
            locks.append(factor.subject)
    rom = {}
    for name, given in ranges.items():
        dof = chain.dof(name)
        now = {side: dof.in_user_unit(getattr(dof, side)) for side in LIMITS}
        rom[name] = ((now | given)["lower"], (now | given)["upper"])
    changed = chain.with_rom(rom)
    changed = changed.with_locked({name: _rest(changed.dof(name)) for name in locks})
    for factor, value in factors.items():
        if factor.quantity in LENGTHS:
            scale = 1.0 if factor.quantity == "length" else _length(chain, factor.subject)
            changed = _with_length(changed, factor.subject, scale * value)
    return changed


def _rest(dof: Dof) -> float:
    """Value [degree or m] nearest to zero that a DOF's ROM allows."""
    return dof.in_user_unit(min(max(0.0, dof.lower), dof.upper))


def _is_joint(chain: Chain, name: str) -> bool:
    """Whether a length is that of a joint from its parent; else of a keypoint from its joint."""
    own = [joint for joint in chain.joints if joint.name == name]
    return bool(own) and (any(own[0].offset) or name not in chain.keypoints)


def _length(chain: Chain, name: str) -> float:
    """Length of a segment [m]."""
    if _is_joint(chain, name):
        return math.hypot(*chain.joints[chain.joint_names.index(name)].offset)
    return math.hypot(*chain.keypoints[name].offset)


def _with_length(chain: Chain, name: str, length: float) -> Chain:
    known = [*chain.joint_names, *(point for point in chain.keypoints if point not in chain.joint_names)]
    if name not in known:
        raise KineposeError(f"no joint or keypoint '{name}' in chain '{chain.name}'; {possible(name, known)}")
    if _is_joint(chain, name):
        return chain.with_lengths({name: length})
    return chain.with_lengths({}, {name: length})


def _changed_terms(problem: Problem, factors: Mapping[Factor, float]) -> tuple[Term, ...]:
    """The terms with other deviations and weights."""
    terms: list[Any] = list(problem.terms)
    for factor, value in sorted(factors.items(), key=lambda item: item[0].quantity):  # std, then weight
        if factor.quantity not in OF_TERMS:
            continue
        place = factor._term(problem)
        if factor.quantity == "std":
            terms[place] = replace(terms[place], std=value)
            continue
        for field, power in WEIGHTED.items():
            if hasattr(terms[place], field):
                scaled = np.asarray(getattr(terms[place], field), dtype=float) * value**power
                changed = float(scaled) if scaled.ndim == 0 else tuple(scaled.tolist())
                terms[place] = replace(terms[place], **{field: changed})
    return tuple(terms)
