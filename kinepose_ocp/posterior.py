"""How sure a solved motion is: the posterior covariance of its coordinates and orientations.

Laplace approximation: the inverse of the Gauss-Newton Hessian at the solution, with the noise and the prior
that were chosen taken as known. Coordinates that a bound holds do not vary, nor does a pose across a coupled
limit that holds it (curvature of the limit is left out, as that of residuals is).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from kinepose_ocp.case import Case
from kinepose_ocp.chain import Chain
from kinepose_ocp.contact import contact
from kinepose_ocp.kinematics import Kinematics
from kinepose_ocp.newton import BandedHessian
from kinepose_ocp.observability import observability
from kinepose_ocp.selected_inverse import SelectedInverse, selected_inverse

LONGEST = 3000  # frames that are inverted at once
OVERLAP = 60  # frames; further off, a frame hardly changes a deviation


@dataclass(frozen=True)
class Uncertainty:
    """How sure every frame of a motion is."""

    coordinates: np.ndarray  # (T, n) rad or m; standard deviation
    orientations: np.ndarray  # (T, J, 3, 3) rad2; covariance of the rotation vector in the world
    observability: np.ndarray  # (T, J) 1


def uncertainty(case: Case, q: np.ndarray, spread: float) -> Uncertainty:
    """How sure coordinates (T, n) [rad or m] of a solved motion are; memory is bounded for any length.

    Parameters
    ----------
    spread
        Standard deviation of a measured coordinate [m].
    """
    found = []
    for start in range(0, case.frames, LONGEST):
        end = min(start + LONGEST, case.frames)
        first, last = max(start - OVERLAP, 0), min(end + OVERLAP, case.frames)
        part = _judged(case.part(slice(first, last)), q[first:last], spread)
        found.append([values[start - first : end - first] for values in part])
    return Uncertainty(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _judged(case: Case, q: np.ndarray, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    covariance = posterior(case, q)[0].lags[0]
    deviation = np.sqrt(np.maximum(np.einsum("tii->ti", covariance), 0.0))
    return deviation, _of_orientations(case, q, covariance), observability(case, q, spread)


def _of_orientations(case: Case, q: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """(T, J, 3, 3) covariance [rad2] of the rotation vectors, in the world, of all joints' orientations."""
    chain = case.problem.kernels.chain
    axes, names = Kinematics(chain)(q).dof_axis, chain.joint_names
    owner = [names.index(name.split(".")[0]) for name in chain.free_dofs]
    turns = np.array([not dof.translates for dof in chain.free_dofs.values()])
    found = np.zeros((len(q), len(names), 3, 3))
    for j in range(len(names)):
        above = np.flatnonzero(turns & np.isin(owner, list(chain.ancestors(j))))
        found[:, j] = axes[:, above].swapaxes(1, 2) @ covariance[:, above[:, None], above] @ axes[:, above]
    return found


def posterior(case: Case, q: np.ndarray) -> tuple[SelectedInverse, np.ndarray]:
    """Covariance of the coordinates around a solution, and which of them (T, n) are free of their bounds."""
    touched = contact(case, q)
    free = ~(touched.at_lower | touched.at_upper)
    banded = BandedHessian(case.transcription)
    blocks = case.transcription.values.blocks(q, case.parameters, exact=False)
    return selected_inverse(banded, touched.stiffened(case, q, blocks), free), free


def coordinates(chain: Chain, motion: xr.Dataset) -> np.ndarray:
    """Free coordinates (T, n) [rad or m] of a motion of this chain."""
    columns = []
    for name, dof in chain.free_dofs.items():
        source = motion.joint_translation if dof.translates else np.radians(motion.joint_angle)
        columns.append(source.sel({"translation" if dof.translates else "dof": name}).values)
    return np.stack(columns, axis=1)
