"""The inverse kinematics of a whole motion as one nonlinear program.

    min over q(t)   1/2 sum over terms and windows of |residual|^2
    subject to      ROM lower <= q(t) <= ROM upper      for every frame and free DOF

``build_problem`` makes the symbols, ``Problem.solve`` puts numbers in. Structure is symbolic, experiments are
numbers: other ROMs, locks, lengths, keypoints, confidences, standard deviations never build anything again.
"""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from kinepose_ocp.anatomy import hidden_dofs
from kinepose_ocp.case import Case
from kinepose_ocp.chain import Chain, Vector
from kinepose_ocp.dataset import CoupledRecord, SolveRecord, motion_dataset
from kinepose_ocp.errors import DataError, KineposeError, ModelError, SolveError, possible
from kinepose_ocp.kernels import KernelSet
from kinepose_ocp.keypoints import check_keypoints, for_chain
from kinepose_ocp.posterior import coordinates
from kinepose_ocp.sensitivity import sensitivities
from kinepose_ocp.solvers import SOLVERS, Progress, Solution
from kinepose_ocp.terms import (
    AngularAcceleration,
    AngularVelocity,
    KeypointPosition,
    LinearAcceleration,
    LinearVelocity,
    LinkDirection,
    Term,
)
from kinepose_ocp.transcription import Transcription

FEWEST_KEYPOINTS = 3
RELAXATION = 0.1  # s; the velocity prior's standard deviation is this times the acceleration's


def default_terms(chain: Chain, smoothness: float = np.radians(2000.0)) -> list[Term]:
    """Terms of a problem that says nothing else.

    Keypoint positions where the root can translate, link directions where it cannot; joint angles prefer
    small accelerations and, less, small velocities.

    Parameters
    ----------
    smoothness
        Standard deviation of a joint angle's acceleration [rad/s2]; of its velocity, RELAXATION times that.
    """
    terms: list[Term] = []
    terms += [KeypointPosition()] if chain.root_translates else [LinkDirection()]
    terms += [AngularVelocity(RELAXATION * smoothness), AngularAcceleration(smoothness)]
    if chain.root_translates:
        reach = smoothness * 0.1  # m; a tenth of a metre from the axis
        terms += [LinearVelocity(10 * RELAXATION * reach), LinearAcceleration(10 * reach)]
    return terms


def build_problem(chain: Chain, keypoints: xr.Dataset, terms: Sequence[Term] | None = None) -> Problem:
    """Make the program of a motion.

    Parameters
    ----------
    chain
        Joints, ROMs and keypoints; locked DOFs are left out of the program, and so are those that no
        measured keypoint can show: they stay at rest.
    keypoints
        Measured positions under the chain's keypoint names (:func:`read_keypoints`, or any Dataset of
        that form, as the ``movement`` package makes).
    terms
        What to minimise; :func:`default_terms` when left out.

    Raises
    ------
    DataError
        When the keypoints cannot pose the chain.
    ModelError
        When a term cannot work with the chain.
    """
    check_free(chain)
    terms = default_terms(chain) if terms is None else list(terms)
    keypoints = for_chain(check_keypoints(keypoints), chain)
    seen = np.isfinite(keypoints.position).all("space") & (keypoints.confidence > 0)
    measured = [str(name) for name in keypoints.keypoint.values[seen.any("time").values]]
    _check_measured(chain, measured, keypoints)
    for term in terms:
        _check_term(term, chain, measured)
    held = tuple(hidden_dofs(chain, measured))
    kernels = KernelSet(with_held(chain, held), measured, terms)
    return Problem(chain, keypoints, tuple(terms), kernels, held)


def _check_measured(chain: Chain, measured: Sequence[str], keypoints: xr.Dataset) -> None:
    """Refuse too few keypoints; says which file, and which of its points the chain does not know."""
    if len(measured) >= FEWEST_KEYPOINTS:
        return
    found = f"{len(measured)} of its {len(chain.keypoints)} are measured ({', '.join(measured)})"
    ignored = keypoints.attrs.get("ignored_keypoints")
    unknown = f"; the chain does not have {ignored}" if ignored else ""
    raise DataError(
        f"{keypoints.attrs.get('source_file', 'keypoints')}: too few keypoints to pose chain '{chain.name}': "
        f"{found}; at least {FEWEST_KEYPOINTS} are needed{unknown}"
    )


def _check_term(term: Term, chain: Chain, measured: Sequence[str]) -> None:
    """Refuse a term that cannot work with the chain."""
    if isinstance(term, KeypointPosition) and not chain.root_translates:
        raise ModelError(
            f"chain '{chain.name}' cannot be put on keypoint positions: its root '{chain.root.name}' does "
            "not translate; use LinkDirection, or give the root translations"
        )
    if not isinstance(term, LinkDirection):
        return
    links = [link for link in chain.links if link.start in measured and link.end in measured]
    if not links:
        known = ", ".join(f"{link.start}-{link.end}" for link in chain.links) or "none"
        raise DataError(
            f"no link of chain '{chain.name}' has both its keypoints measured; measured are "
            f"{', '.join(measured)}; the links are {known}"
        )
    for link in links:
        joint, offset = _place(chain, link.start)
        if (joint, offset) == _place(chain, link.end):
            raise ModelError(
                f"chain '{chain.name}': link {link.start}-{link.end} has no direction: both keypoints are at "
                f"the same place of joint '{joint}'; remove the link, or give one of them an offset"
            )


def _place(chain: Chain, keypoint: str) -> tuple[str, Vector]:
    """Joint nearest to the root that a keypoint sits on, and where on it."""
    joints = {joint.name: joint for joint in chain.joints}
    joint, offset = joints[chain.keypoints[keypoint].joint], chain.keypoints[keypoint].offset
    while joint.parent is not None and not any(offset) and not any(dof.translates for dof in joint.dofs):
        joint, offset = joints[joint.parent], joint.offset
    return joint.name, offset


def with_held(chain: Chain, held: Sequence[str]) -> Chain:
    """Lock DOFs that the data cannot show where they are nearest to zero."""
    rest = {name: min(max(0.0, chain.dof(name).lower), chain.dof(name).upper) for name in held}
    return chain.with_locked({name: chain.dof(name).in_user_unit(value) for name, value in rest.items()})


def check_free(chain: Chain) -> None:
    """Refuse a chain whose DOFs are all locked."""
    if not chain.free_dofs:
        raise ModelError(f"chain '{chain.name}' has no free DOF: all are locked; unlock at least one")


def coupled_record(case: Case, solution: Solution) -> CoupledRecord | None:
    """What coupled ranges hold in a solution; nothing for a chain without."""
    coupled = case.coupled
    if coupled is None or solution.coupling is None:
        return None
    value = coupled.shown(solution.q)
    return CoupledRecord(coupled.kernel.names, value, solution.coupling, coupled.lower, coupled.upper)


@dataclass(frozen=True)
class Problem:
    """A built program with the numbers it was built from."""

    chain: Chain
    keypoints: xr.Dataset
    terms: tuple[Term, ...]
    kernels: KernelSet
    held: tuple[str, ...]  # DOFs that no measured keypoint shows
    start: np.ndarray | None = field(default=None, repr=False)  # (T, n) rad or m; where solving starts
    _solvers: dict[tuple[str, int], Any] = field(default_factory=dict, repr=False)
    _transcriptions: dict[int, Transcription] = field(default_factory=dict, repr=False)

    def solve(
        self,
        *,
        chain: Chain | None = None,
        keypoints: xr.Dataset | None = None,
        terms: Sequence[Term] | None = None,
        solver: str = "ipopt",
        start: np.ndarray | None = None,
        on_iteration: Progress | None = None,
    ) -> xr.Dataset:
        """Solve the motion.

        Parameters
        ----------
        chain, keypoints, terms
            Other numbers in the same structure: ROMs, more locked DOFs, lengths; positions,
            confidences, any number of frames; standard deviations.
        solver
            One of ``SOLVERS``.
        start
            (T, n) free coordinates [rad or m]; when left out the problem's own, or found from the data.
        on_iteration
            Called with (iteration, cost).

        Returns
        -------
        xarray.Dataset
            The motion.

        Raises
        ------
        SolveError
            When the solver did not converge; its ``motion`` is the last iterate.
        """
        case = self.case(chain=chain, keypoints=keypoints, terms=terms)
        return self.solve_case(case, solver, self.first(case) if start is None else start, on_iteration)

    def case(
        self,
        *,
        chain: Chain | None = None,
        keypoints: xr.Dataset | None = None,
        terms: Sequence[Term] | None = None,
    ) -> Case:
        """Return other numbers for the same structure, checked; as :meth:`solve` takes them."""
        chain = with_held(chain or self.chain, self.held)
        return Case(self, chain, self._known(keypoints), tuple(terms or self.terms))

    def first(self, case: Case) -> np.ndarray | None:
        """Return the problem's own start (T, n), if the case has as many frames."""
        return self.start if self.start is not None and len(self.start) == case.frames else None

    def sensitivities(
        self,
        motion: xr.Dataset,
        *,
        chain: Chain | None = None,
        keypoints: xr.Dataset | None = None,
        terms: Sequence[Term] | None = None,
    ) -> xr.Dataset:
        """What a solution owes to ROM limits, segment lengths and noise (:func:`sensitivity.sensitivities`).

        Parameters
        ----------
        motion
            What :meth:`solve` returned for the same chain, keypoints and terms.
        """
        case = self.case(chain=chain, keypoints=keypoints, terms=terms)
        return sensitivities(case, coordinates(self.kernels.chain, motion))

    def solve_case(
        self,
        case: Case,
        solver: str = "ipopt",
        start: np.ndarray | None = None,
        on_iteration: Progress | None = None,
    ) -> xr.Dataset:
        """Solve one set of numbers; the rest as :meth:`solve`."""
        record = self.solution(case, solver, start, on_iteration)
        motion = motion_dataset(case.chain, case.keypoints, record)
        motion.attrs["held_dofs"] = ", ".join(self.held)
        if record.failure:
            raise SolveError(record.failure, motion)
        return motion

    def solution(
        self,
        case: Case,
        solver: str = "ipopt",
        start: np.ndarray | None = None,
        on_iteration: Progress | None = None,
    ) -> SolveRecord:
        """Solve one set of numbers without making a motion of it."""
        if solver not in SOLVERS:
            raise KineposeError(f"no solver '{solver}'; {possible(solver, SOLVERS)}")
        backend = self._solver(solver, case.frames)
        began = clock.perf_counter()
        first = case.best_start() if start is None else start
        guessed = clock.perf_counter()
        solution = backend.solve(case.parameters, first, case.bounds, on_iteration)
        return SolveRecord(
            solution=solution,
            dofs=tuple(self.kernels.chain.free_dofs),
            guess_seconds=guessed - began,
            solve_seconds=clock.perf_counter() - guessed,
            costs=case.costs(solution.q),
            solver=solver,
            coupled=coupled_record(case, solution),
        )

    def transcription(self, frames: int) -> Transcription:
        """Return the program for a number of frames."""
        if frames not in self._transcriptions:
            self._transcriptions[frames] = Transcription(self.kernels, frames)
        return self._transcriptions[frames]

    def _solver(self, name: str, frames: int) -> Any:
        if (name, frames) not in self._solvers:
            self._solvers[name, frames] = SOLVERS[name](self.transcription(frames))
        return self._solvers[name, frames]

    def _known(self, keypoints: xr.Dataset | None) -> xr.Dataset:
        if keypoints is None:
            return self.keypoints
        return for_chain(check_keypoints(keypoints), self.chain)
