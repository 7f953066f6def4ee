"""Frame-by-frame inverse kinematics as published with KinePose: a yardstick, not a way to solve.

Per frame, the sum of squared angles between model and measured links is minimised inside the ROMs by
sequential least squares programming with finite differences, from the solution of the frame before
(K. Gildea et al., KinePose, IMVIP 2022, who use ``scipy.optimize.minimize(method="SLSQP")``). Nothing ties
frames together but that start. Written from the paper's description; the forward kinematics is the project's.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable

import numpy as np
import xarray as xr
from scipy.optimize import minimize

from kinepose_ocp.chain import Chain
from kinepose_ocp.chain_file import chain_to_yaml
from kinepose_ocp.dataset import pose_dataset
from kinepose_ocp.errors import DataError
from kinepose_ocp.keypoints import for_chain
from kinepose_ocp.kinematics import Kinematics


def solve_slsqp(chain: Chain, keypoints: xr.Dataset) -> xr.Dataset:
    """Solve every frame on its own by link angles.

    Parameters
    ----------
    keypoints
        Measured positions [m] under the chain's keypoint names.

    Returns
    -------
    xarray.Dataset
        A motion with ``solve_seconds`` [s] and ``converged``; a root that translates stays where it is.

    Raises
    ------
    DataError
        When no link of the chain has both its points measured.
    """
    keypoints = for_chain(keypoints, chain)
    names = [str(name) for name in keypoints["keypoint"].values]
    links = [link for link in chain.links if link.start in names and link.end in names]
    if not links:
        raise DataError(f"no link of chain '{chain.name}' has both its keypoints measured")
    position = keypoints["position"].transpose("time", "keypoint", "space").values
    ends = [[names.index(link.start) for link in links], [names.index(link.end) for link in links]]
    measured = position[:, ends[1]] - position[:, ends[0]]
    cost, bounds = _link_cost(chain, links), [(dof.lower, dof.upper) for dof in chain.free_dofs.values()]
    q, found, converged = np.array([dof.rest for dof in chain.free_dofs.values()]), [], True
    began = clock.perf_counter()
    for seen in measured:
        result = minimize(cost, q, args=(seen,), method="SLSQP", bounds=bounds)
        q = np.clip(result.x, *np.transpose(bounds))
        found.append(q)
        converged &= bool(result.success)
    seconds = clock.perf_counter() - began
    motion = pose_dataset(chain, keypoints["time"].values, np.array(found))
    motion["solve_seconds"], motion["converged"] = ((), seconds, {"units": "s"}), ((), np.int8(converged))
    return motion.assign_attrs(chain_yaml=chain_to_yaml(chain), solver="SLSQP, frame by frame")


def _link_cost(chain: Chain, links: list) -> Callable[[np.ndarray, np.ndarray], float]:
    """Sum of weighted squared angles [rad2] between model and measured links; missing ones count nothing."""
    kinematics, order = Kinematics(chain), list(chain.keypoints)
    start, end = ([order.index(getattr(link, side)) for link in links] for side in ("start", "end"))
    weight = np.array([link.weight for link in links])

    def cost(q: np.ndarray, seen: np.ndarray) -> float:
        points = kinematics(q).keypoint_position[0]
        model = points[end] - points[start]
        angle = np.arctan2(np.linalg.norm(np.cross(model, seen), axis=1), (model * seen).sum(axis=1))
        return float(np.nansum(weight * angle**2))

    return cost
