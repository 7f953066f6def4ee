"""One set of numbers for a problem: bounds, parameters and where to start."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import xarray as xr

from kinepose_ocp import newton
from kinepose_ocp.anatomy import Anatomy
from kinepose_ocp.augmented import Coupled
from kinepose_ocp.chain import Chain
from kinepose_ocp.errors import KineposeError, ModelError
from kinepose_ocp.guess import bridge_gaps, guesses
from kinepose_ocp.kernels import KernelSet
from kinepose_ocp.terms import Term, term_names
from kinepose_ocp.transcription import Transcription

POLISH = 10  # Newton iterations that each start gets at most before their costs are compared,
STALL = 0.03  # and less when one gains less than this part of the cost,
HOPELESS = 2.0  # or its cost is so many times that of the other


class Program(Protocol):
    """What a case needs of a built problem."""

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms it was built with."""

    @property
    def kernels(self) -> KernelSet:
        """Its kernels."""

    def transcription(self, frames: int) -> Transcription:
        """Return the program for a number of frames."""


@dataclass(frozen=True)
class Case:
    """One set of numbers for a problem: what the solvers get."""

    problem: Program
    chain: Chain
    keypoints: xr.Dataset
    terms: tuple[Term, ...]
    weights: np.ndarray | None = None  # (T, K) of the measured points, beside their confidence

    def __post_init__(self) -> None:
        built = self.problem.kernels.chain
        if list(self.chain.dofs) != list(built.dofs) or any(
            dof.locked and (not self.chain.dofs[name].locked or self.chain.dofs[name].rest != dof.rest)
            for name, dof in built.dofs.items()
        ):
            raise ModelError(
                f"chain '{self.chain.name}' has other joints or free DOFs than the problem was built with; "
                f"build it again"
            )
        if [type(term) for term in self.terms] != [type(term) for term in self.problem.terms]:
            names = ", ".join(type(term).__name__ for term in self.problem.terms)
            raise KineposeError(
                f"the problem was built with the terms {names}; give the same kinds, or build it again"
            )

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.keypoints.sizes["time"])

    def part(self, frames: slice) -> Case:
        """The same for some frames of the motion."""
        if frames == slice(0, self.frames):
            return self
        weights = None if self.weights is None else self.weights[frames]
        return replace(self, keypoints=self.keypoints.isel(time=frames), weights=weights)

    @cached_property
    def transcription(self) -> Transcription:
        """The program for this number of frames."""
        return self.problem.transcription(self.frames)

    @cached_property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Limits (n,) of the program's coordinates [rad or m]; a DOF locked after building has equal ones."""
        dofs = [self.chain.dofs[name] for name in self.problem.kernels.chain.free_dofs]
        lower = [dof.rest if dof.locked else dof.lower for dof in dofs]
        upper = [dof.rest if dof.locked else dof.upper for dof in dofs]
        return np.array(lower), np.array(upper)

    @cached_property
    def coupled(self) -> Coupled | None:
        """Coupled ranges of motion in numbers, where the chain has them."""
        kernels = self.problem.kernels
        return None if kernels.couplings is None else Coupled(kernels, self.shared)

    @cached_property
    def position(self) -> np.ndarray:
        """(T, K, 3) measured positions [m] of the problem's keypoints; NaN = missing."""
        points = self.keypoints.reindex(keypoint=list(self.problem.kernels.measured))
        trusted = (points.confidence > 0).transpose("time", "keypoint").values
        return np.where(
            trusted[..., None], points.position.transpose("time", "keypoint", "space").values, np.nan
        )

    @cached_property
    def confidence(self) -> np.ndarray:
        """(T, K) weights of the problem's keypoints; 0 = missing."""
        points = self.keypoints.reindex(keypoint=list(self.problem.kernels.measured))
        seen = np.isfinite(self.position).all(axis=2)
        confidence = np.where(seen, points.confidence.transpose("time", "keypoint").values, 0.0)
        return confidence if self.weights is None else confidence * self.weights

    @cached_property
    def data(self) -> np.ndarray:
        """(T, 5 K) positions [m], confidences, and 1 where a point is seen that was not in the frame before.

        A missing point is bridged in time and has no weight.
        """
        seen = self.confidence > 0
        appears = seen & ~np.concatenate([np.zeros_like(seen[:1]), seen[:-1]])
        position = bridge_gaps(self.position).reshape(self.frames, -1)
        return np.concatenate([position, self.confidence, appears], axis=1)

    @cached_property
    def shared(self) -> np.ndarray:
        """Numbers that all frames share: lengths and the terms' own."""
        return self.problem.kernels.shared_values(self.chain, self.terms)

    @cached_property
    def parameters(self) -> np.ndarray:
        """All numbers of the program."""
        steps = np.diff(self.keypoints.time.values)
        return self.transcription.parameters(self.data, steps, self.shared)

    @cached_property
    def anatomy(self) -> Anatomy:
        """What the measured keypoints show of the chain."""
        return Anatomy(self.problem.kernels.chain, self.problem.kernels.measured)

    def misses(self, q: np.ndarray) -> np.ndarray:
        """(T, K, 3) vectors [m] from measured keypoints to the model's at coordinates (T, n)."""
        shape = (self.frames, len(self.problem.kernels.measured), 3)
        points = self.transcription.values.points(q, self.shared)
        return points.reshape(shape) - self.data[:, : 3 * shape[1]].reshape(shape)

    def point_jacobians(self, q: np.ndarray) -> np.ndarray:
        """(T, 3 K, n) derivatives of the model's keypoints at coordinates (T, n)."""
        columns = self.transcription.values.points_jacobian(q, self.shared)
        return columns.reshape(self.frames, self.problem.kernels.size, -1).swapaxes(1, 2)

    def costs(self, q: np.ndarray) -> dict[str, float]:
        """Cost of every term at coordinates (T, n)."""
        values = self.transcription.values.costs(q, self.parameters)
        return dict(zip(term_names(self.terms), values.tolist(), strict=True))

    def best_start(self) -> np.ndarray:
        """Coordinates (T, n) of the start that costs least after a few Newton steps."""
        limits = newton.Limits(*self.bounds, iterations=POLISH, stall=STALL)
        found: list[newton.NewtonResult] = []
        for start in guesses(self.anatomy, self.position):
            rival = min((other.cost for other in found), default=np.inf)
            limits = replace(limits, hopeless=HOPELESS * rival)
            found.append(newton.minimise(self.transcription, self.parameters, start, limits))
        return min(found, key=lambda result: result.cost).x
