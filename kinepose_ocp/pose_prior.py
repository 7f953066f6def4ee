"""What a subject's poses are like: a Gaussian process for every joint, learned from the motion itself.

A joint's coordinates x(t) = q(t) - mean have a covariance C between them and a Matern-3/2 correlation of time
constant tau in time (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapter 4). Their
density is, up to a constant,

    exp(-1/2 sum_o w_o sum_t dt |D_o x|^2_{C^-1}),   w = (1, 2 tau^2, tau^4) / (4 tau),   D_o = d^o/dt^o.

The root has no mean: only white accelerations of one spectral density for its rotation and one for its
translation, so that a subject may turn and walk away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import cholesky_banded

from kinepose_ocp.chain import Chain
from kinepose_ocp.selected_inverse import SelectedInverse
from kinepose_ocp.terms import PoseAcceleration, PoseDeviation, PoseVelocity, Term

LEVER = 0.1  # m; a translation of this size counts as a rotation of 1 rad
USUAL_SPREAD = np.radians(12.0)  # rad; what covariances are drawn to, with the weight of one frame a DOF
FIRST_SPREAD = np.radians(40.0)  # rad
FIRST_TIME_CONSTANT = 0.2  # s
FIRST_DENSITY = 100.0  # rad2/s3; of the root's accelerations
LEAST_DENSITY = 1e-2  # rad2/s3
TIME_CONSTANTS = np.geomspace(0.03, 1.5, 14)  # s
BOLDEST = 16.0  # a round changes a covariance at most by the root of this more than plain EM would


def order_weights(time_constant: float) -> np.ndarray:
    """(3,) weights [1/s, s, s3] of squared deviations, velocities and accelerations."""
    return np.array([1.0, 2 * time_constant**2, time_constant**4]) / (4 * time_constant)


@dataclass(frozen=True)
class JointPrior:
    """Gaussian process of one joint: mean (k,), covariance (k, k) [rad or m], time constant [s]."""

    places: np.ndarray  # of its free coordinates
    mean: np.ndarray
    covariance: np.ndarray
    time_constant: float
    mean_covariance: np.ndarray  # (k, k) how far the mean may be from the subject's

    @property
    def precision(self) -> np.ndarray:
        """Inverse covariance."""
        return np.linalg.inv(self.covariance)

    @property
    def precisions(self) -> list[np.ndarray]:
        """Precision (k, k) of squared deviations, velocities and accelerations.

        Deviations are from a mean that is known only so well.
        """
        loose = np.linalg.inv(self.covariance + self.mean_covariance)
        return [w * part for w, part in zip(self.weights, (loose, *[self.precision] * 2), strict=True)]

    @property
    def weights(self) -> np.ndarray:
        """Weights of the three orders."""
        return order_weights(self.time_constant)

    @property
    def density(self) -> np.ndarray:
        """(k,) spectral density of the accelerations [rad2/s3 or m2/s3]."""
        return np.diag(self.covariance) / self.weights[2]


@dataclass(frozen=True)
class PosePrior:
    """Priors of all joints, and densities (r,) of the root's accelerations [rad2/s3 or m2/s3]."""

    names: tuple[str, ...]
    unit: np.ndarray  # (n,) rad or m; size of a coordinate that counts as 1 rad
    root: np.ndarray  # (r,) places of the root's coordinates
    root_density: np.ndarray
    joints: tuple[JointPrior, ...]

    @classmethod
    def first(cls, chain: Chain) -> PosePrior:
        """A loose prior for a chain's free coordinates, around the middle of what it allows."""
        dofs = chain.free_dofs
        unit = np.array([LEVER if dof.translates else 1.0 for dof in dofs.values()])
        rest = np.array([np.clip(0.0, dof.lower, dof.upper) for dof in dofs.values()])
        places: dict[str, list[int]] = {}
        for i, name in enumerate(dofs):
            places.setdefault(name.split(".")[0], []).append(i)
        root = np.array(places.pop(chain.root.name, []), dtype=int)
        joints = [
            JointPrior(
                places=np.array(own),
                mean=rest[own],
                covariance=np.diag((FIRST_SPREAD * unit[own]) ** 2),
                time_constant=FIRST_TIME_CONSTANT,
                mean_covariance=np.diag((FIRST_SPREAD * unit[own]) ** 2),
            )
            for own in places.values()
        ]
        return cls(tuple(dofs), unit, root, FIRST_DENSITY * unit[root] ** 2, tuple(joints))

    def around(self, q: np.ndarray) -> PosePrior:
        """Return the same prior around the mean of coordinates (T, n) [rad or m]."""
        mean = q.mean(axis=0)
        return replace(self, joints=tuple(replace(joint, mean=mean[joint.places]) for joint in self.joints))

    @property
    def density(self) -> np.ndarray:
        """(n,) spectral density of every coordinate's acceleration [rad2/s3 or m2/s3]."""
        density = np.empty(len(self.names))
        density[self.root] = self.root_density
        for joint in self.joints:
            density[joint.places] = joint.density
        return density

    def terms(self, step: float) -> list[Term]:
        """Cost terms at a time step [s]."""
        terms: list[Term] = []
        if self.joints:
            names = tuple(tuple(self.names[i] for i in joint.places) for joint in self.joints)
            mean = np.concatenate([joint.mean for joint in self.joints])
            parts = [
                tuple(np.concatenate([(step * joint.precisions[o]).ravel() for joint in self.joints]))
                for o in range(3)
            ]
            terms += [
                PoseDeviation(names, tuple(mean), parts[0]),
                PoseVelocity(names, parts[1]),
                PoseAcceleration(names, parts[2]),
            ]
        if len(self.root):
            alone = tuple((self.names[i],) for i in self.root)
            terms.append(PoseAcceleration(alone, tuple(step / self.root_density)))
        return terms


class PoseStatistics:
    """Sums of squared deviations, velocities and accelerations of a motion, and their expectation."""

    def __init__(self, time: np.ndarray):
        steps = np.diff(time)
        self.frames = len(time)
        self.step = float(np.median(steps)) if len(steps) else 1.0
        middle = (steps[:-1] + steps[1:]) / 2
        first, last = 1 / (steps[:-1] * middle), 1 / (steps[1:] * middle)
        self.stencils = [  # of each order: (windows, order + 1)
            np.ones((len(time), 1)),
            np.stack([-1 / steps, 1 / steps], axis=1),
            np.stack([first, -first - last, last], axis=1),
        ]

    def of_motion(self, x: np.ndarray) -> list[np.ndarray]:
        """(n, n) sum of dt (D_o x)(D_o x)' for each order, at coordinates (T, n)."""
        parts = []
        for stencil in self.stencils:
            width = stencil.shape[1]
            change = sum(stencil[:, [i]] * x[i : i + len(stencil)] for i in range(width))
            parts.append(self.step * change.T @ change)
        return parts

    def of_covariance(self, covariance: SelectedInverse) -> list[np.ndarray]:
        """(n, n) expectation of the same for coordinates of this covariance."""
        parts = []
        for stencil in self.stencils:
            total = np.zeros(covariance.lags[0].shape[1:])
            width = stencil.shape[1] if len(stencil) else 0
            for i in range(width):
                for j in range(i, width):
                    lagged = covariance.lags[j - i][i : i + len(stencil)]
                    part = np.tensordot(stencil[:, i] * stencil[:, j], lagged, axes=1)
                    total += part if i == j else part + part.T
            parts.append(self.step * total)
        return parts

    @cached_property
    def log_determinants(self) -> np.ndarray:
        """Log-determinants of the precisions in time at all TIME_CONSTANTS."""
        found = []
        for time_constant in TIME_CONSTANTS:
            banded = np.zeros((3, self.frames))  # lower
            for stencil, weight in zip(self.stencils, order_weights(time_constant), strict=True):
                width = stencil.shape[1] if len(stencil) else 0
                for i in range(width):
                    for j in range(i, width):
                        part = weight * self.step * stencil[:, i] * stencil[:, j]
                        banded[j - i, i : i + len(stencil)] += part
            found.append(2 * np.log(cholesky_banded(banded, lower=True)[0]).sum())
        return np.array(found)


@dataclass(frozen=True)
class Evidence:
    """What a motion and its posterior covariance say about the prior that made them."""

    q: np.ndarray  # (T, n) rad or m
    free: np.ndarray  # (T, n) coordinates that no bound holds
    covariance: SelectedInverse
    statistics: PoseStatistics

    @cached_property
    def _seen(self) -> list[np.ndarray]:
        return self.statistics.of_motion(self.q - self.q.mean(axis=0))

    @cached_property
    def _unsure(self) -> list[np.ndarray]:
        return self.statistics.of_covariance(self.covariance)

    def determined(self, prior: PosePrior) -> float:
        """Effective number of coordinates that the prior determines: the trace of S K."""
        total = float((np.diag(self._unsure[2])[prior.root] / prior.root_density).sum())
        for joint in prior.joints:
            total += _trace(joint, self._unsure)
        return total

    def learn(self, prior: PosePrior) -> PosePrior:
        """One round of expectation-maximisation."""
        joints = tuple(self._learn_joint(joint, prior.unit[joint.places]) for joint in prior.joints)
        return replace(prior, joints=joints, root_density=self._learn_root(prior))

    def _learn_joint(self, joint: JointPrior, unit: np.ndarray) -> JointPrior:
        size, frames, place = len(unit), self.statistics.frames, np.ix_(joint.places, joint.places)
        usual = size * np.diag((USUAL_SPREAD * unit) ** 2)
        total = [seen[place] + unsure[place] for seen, unsure in zip(self._seen, self._unsure, strict=True)]

        def covariance(time_constant: float) -> np.ndarray:
            scatter = sum(w * part for w, part in zip(order_weights(time_constant), total, strict=True))
            return (scatter + usual) / (frames + size)

        misfits = [
            (frames + size) * np.linalg.slogdet(covariance(time_constant))[1] - size * log_determinant
            for time_constant, log_determinant in zip(
                TIME_CONSTANTS, self.statistics.log_determinants, strict=True
            )
        ]
        time_constant = float(TIME_CONSTANTS[np.argmin(misfits)])
        boldness = self._boldness(joint, covariance(joint.time_constant))
        mean = self.q[:, joint.places].mean(axis=0)
        return replace(
            joint, mean=mean, covariance=boldness * covariance(time_constant), time_constant=time_constant
        )

    def _boldness(self, joint: JointPrior, covariance: np.ndarray) -> float:
        """How much further than EM the fixed-point rule of MacKay (Neural Comput. 4, 1992) would go."""
        size = len(joint.places)
        plain = np.sum(joint.precision * covariance) / size
        room = max(self.free[:, joint.places].sum() - _trace(joint, self._unsure), 1e-6)
        return float(np.sqrt(np.clip(_trace(joint, self._seen) / room / plain, 1 / BOLDEST, BOLDEST)))

    def _learn_root(self, prior: PosePrior) -> np.ndarray:
        density = prior.root_density.copy()
        if self.statistics.frames < 3:
            return density
        energy, known = (np.diag(part[2])[prior.root] / density for part in (self._seen, self._unsure))
        count = self.free[:, prior.root].sum(axis=0) - 2
        for kind in np.unique(prior.unit[prior.root]):
            own = prior.unit[prior.root] == kind
            ratio = (energy[own].sum() + 1e-9) / (np.maximum(count[own] - known[own], 0.0).sum() + 1e-6)
            density[own] = np.maximum(density[own] * np.clip(ratio, 0.02, 50.0), LEAST_DENSITY * kind**2)
        return density


def _trace(joint: JointPrior, parts: list[np.ndarray]) -> float:
    """Sum over the orders of tr(precision * part)."""
    place = np.ix_(joint.places, joint.places)
    return float(sum(np.sum(own * part[place]) for own, part in zip(joint.precisions, parts, strict=True)))
