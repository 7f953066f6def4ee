"""The motion: one ``xarray.Dataset`` of joint angles, orientations and how they were found."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import casadi as ca
import numpy as np
import xarray as xr

from kinepose_ocp.chain import Chain
from kinepose_ocp.chain_file import chain_to_yaml
from kinepose_ocp.kinematics import Kinematics, PoseArrays

if TYPE_CHECKING:
    from kinepose_ocp.solvers import Solution

CONTACT = np.radians(0.01)  # rad (or m): an angle this close to a limit is at it
FREE, AT_LOWER, AT_UPPER, LOCKED = range(4)
QUATERNION = ("w", "x", "y", "z")
SPACE = ("x", "y", "z")


@dataclass(frozen=True)
class CoupledRecord:
    """What coupled limits of a chain hold in a solution, and between which numbers."""

    names: tuple[str, ...]
    value: np.ndarray  # (T, m) rad
    multiplier: np.ndarray  # (T, m) 1/rad, as CasADi defines it
    lower: np.ndarray  # (m,) rad
    upper: np.ndarray  # (m,) rad


@dataclass(frozen=True)
class SolveRecord:
    """A solution with what it cost; ``dofs`` names its coordinates."""

    solution: Solution
    dofs: tuple[str, ...]
    guess_seconds: float
    solve_seconds: float
    costs: Mapping[str, float]
    solver: str
    coupled: CoupledRecord | None = None

    def coordinates(self, chain: Chain) -> np.ndarray:
        """(T, n) coordinates [rad or m] in the order of ``chain.free_dofs``."""
        return self.solution.q[:, [self.dofs.index(name) for name in chain.free_dofs]]

    @property
    def failure(self) -> str:
        """Why there is no solution; empty when there is one."""
        if self.solution.converged:
            return ""
        return (
            f"{self.solver} did not converge: {self.solution.status} after "
            f"{self.solution.iterations} iterations"
        )


def pose_dataset(
    chain: Chain, time: np.ndarray, q: np.ndarray, shift: np.ndarray | None = None
) -> xr.Dataset:
    """Angles, positions, orientations and velocities of a motion.

    Parameters
    ----------
    time
        (T,) elapsed seconds.
    q
        (T, n) free coordinates [rad or m] in the order of ``chain.free_dofs``.
    shift
        (T, 3) [m] added to all positions: where a chain stands whose root does not translate.
    """
    rate = _rates(time, q)
    pose = Kinematics(chain)(q, rate)
    shift = np.zeros((len(time), 3)) if shift is None else shift
    position = pose.joint_position + shift[:, None]
    ds = _angle_dataset(chain, time, q, rate).assign_coords(
        joint=list(chain.joint_names),
        space=list(SPACE),
        quaternion=list(QUATERNION),
        keypoint=list(chain.keypoints),
    )
    root = chain.joint_names.index(chain.root.name)
    ds["root_position"] = _variable(("time", "space"), position[:, root], "m", "position of the root joint")
    _add_pose(ds, pose, position, pose.keypoint_position + shift[:, None])
    return ds


def _rates(time: np.ndarray, q: np.ndarray) -> np.ndarray:
    """(T, n) rates [rad/s or m/s]: central differences."""
    if len(time) < 2:
        return np.zeros_like(q)
    return np.gradient(q, time, axis=0, edge_order=2 if len(time) > 2 else 1)


def _angle_dataset(chain: Chain, time: np.ndarray, q: np.ndarray, rate: np.ndarray) -> xr.Dataset:
    """What needs no kinematics: coordinates (T, n) [rad or m], their rates, and the ROM."""
    column = {name: i for i, name in enumerate(chain.free_dofs)}
    turning = [name for name, dof in chain.dofs.items() if not dof.translates]
    moving = [name for name, dof in chain.dofs.items() if dof.translates]

    def of(values: np.ndarray, names: list[str], resting: bool) -> np.ndarray:
        table = np.array([chain.dofs[name].rest * resting for name in names]) + np.zeros((len(time), 1))
        for place, name in enumerate(names):
            if name in column:
                table[:, place] = values[:, column[name]]
        return table

    angle, velocity = np.degrees(of(q, turning, True)), np.degrees(of(rate, turning, False))
    parts = {
        "joint_angle": _variable(("time", "dof"), angle, "degree", "joint angle"),
        "joint_velocity": _variable(("time", "dof"), velocity, "degree s-1", "rate of the joint angle"),
    }
    coordinates: dict[str, Any] = {
        "time": ("time", time, {"units": "s", "long_name": "elapsed time"}),
        "dof": turning,
    }
    if moving:
        parts["joint_translation"] = _variable(
            ("time", "translation"), of(q, moving, True), "m", "translational degree of freedom"
        )
        coordinates["translation"] = moving
    for side in ("lower", "upper"):
        limit = [chain.dofs[name].in_user_unit(getattr(chain.dofs[name], side)) for name in turning]
        long_name = f"{side} limit of the range of motion"
        parts[f"rom_{side}"] = _variable(("dof",), np.array(limit), "degree", long_name)
    return xr.Dataset(parts, coordinates)


def _add_pose(ds: xr.Dataset, pose: PoseArrays, position: np.ndarray, keypoint: np.ndarray) -> None:
    joint, quaternion = ("time", "joint", "space"), ("time", "joint", "quaternion")
    ds["joint_position"] = _variable(joint, position, "m", "position of the joint centre in the world")
    ds["orientation_local"] = _variable(
        quaternion, pose.local, "1", "rotation made by the joint's own degrees of freedom"
    )
    ds["orientation_global"] = _variable(
        quaternion, pose.orientation, "1", "rotation from the joint frame to the world"
    )
    ds["angular_velocity"] = _variable(
        joint,
        np.degrees(pose.angular_velocity),
        "degree s-1",
        "angular velocity of the joint frame in the world",
    )
    ds["keypoint_position"] = _variable(
        ("time", "keypoint", "space"), keypoint, "m", "keypoint of the chain in the world"
    )


def motion_dataset(chain: Chain, keypoints: xr.Dataset, record: SolveRecord) -> xr.Dataset:
    """Return the solved motion (schema: README, "What is in the result").

    Parameters
    ----------
    chain
        As used: ROMs, locks and lengths.
    keypoints
        The measured points, under the chain's names.
    """
    time = keypoints.time.values.astype(float)
    observed = keypoints.reindex(keypoint=list(chain.keypoints))
    measured = observed.position.transpose("time", "keypoint", "space").values
    confidence = observed.confidence.fillna(0).transpose("time", "keypoint").values
    measured = np.where(confidence[..., None] > 0, measured, np.nan)
    ds = pose_dataset(chain, time, record.coordinates(chain))
    if not chain.root_translates:
        shift = _placing(ds.keypoint_position.values, measured, confidence)
        for name in ("root_position", "joint_position", "keypoint_position"):
            ds[name].values += shift.reshape(len(time), *(1,) * (ds[name].ndim - 2), 3)
    ds["keypoint_observed"] = _variable(("time", "keypoint", "space"), measured, "m", "measured keypoint")
    links = [f"{link.start}->{link.end}" for link in chain.links]
    ds["link_error"] = _variable(
        ("time", "link"), _link_error(chain, ds), "degree", "angle between model and measured link"
    )
    ds = ds.assign_coords(link=links)
    ds = _with_solution(ds, chain, record)
    return ds.assign_attrs(_attributes(chain, keypoints, record))


def solution_dataset(chain: Chain, time: np.ndarray, record: SolveRecord) -> xr.Dataset:
    """Return the part of a motion that needs no kinematics: angles, bounds, costs; what sweeps usually keep.

    Parameters
    ----------
    time
        (T,) elapsed seconds.
    """
    q, time = record.coordinates(chain), np.asarray(time, dtype=float)
    return _with_solution(_angle_dataset(chain, time, q, _rates(time, q)), chain, record)


def _with_solution(ds: xr.Dataset, chain: Chain, record: SolveRecord) -> xr.Dataset:
    """Add contact with limits, costs, and what the solver took."""
    solution, costs = record.solution, np.array(list(record.costs.values()))
    seconds = {"units": "s", "long_name": "time of the guess"}
    parts = {
        **_bounds(ds, chain, record),
        "cost": _variable(("term",), costs, "1", "cost of the term"),
        "solver_iterations": ((), np.int32(solution.iterations), {"long_name": "iterations of the solver"}),
        "guess_seconds": ((), float(record.guess_seconds), seconds),
        "solve_seconds": ((), float(record.solve_seconds), seconds | {"long_name": "time of the solver"}),
        "converged": ((), np.int8(solution.converged), {"long_name": "1 when the solver converged"}),
    }
    ds = ds.assign_coords(term=list(record.costs)).assign(parts)
    return ds if record.coupled is None else _with_coupled(ds, record.coupled)


def _placing(model: np.ndarray, measured: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Shift (T, 3) [m] that puts the model's keypoints on the measured ones, in the mean."""
    weight = np.where(np.isfinite(measured).all(axis=2), confidence, 0.0)
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
    return np.einsum("tk,tki->ti", weight, np.nan_to_num(measured - model)) / total


def _link_error(chain: Chain, ds: xr.Dataset) -> np.ndarray:
    """Angles (T, L) [degree]; NaN where an end is missing."""
    index = {name: i for i, name in enumerate(chain.keypoints)}
    start, end = ([index[getattr(link, side)] for link in chain.links] for side in ("start", "end"))
    model, seen = (
        ds[name].values[:, end] - ds[name].values[:, start]
        for name in ("keypoint_position", "keypoint_observed")
    )
    cross = np.linalg.norm(np.cross(model, seen), axis=2)
    angle = np.degrees(np.arctan2(cross, (model * seen).sum(axis=2)))
    return np.where(np.linalg.norm(seen, axis=2) > 1e-6, angle, np.nan)


def _bounds(ds: xr.Dataset, chain: Chain, record: SolveRecord) -> dict[str, tuple]:
    """Where angles touch their ROM, and what each limit costs: d(cost)/d(bound) = -multiplier."""
    state = np.full(ds.joint_angle.shape, LOCKED, dtype=np.int8)
    price = np.zeros(ds.joint_angle.shape)
    for place, name in enumerate(ds.dof.values):
        dof = chain.dofs[str(name)]
        if dof.locked:
            continue
        column = record.dofs.index(str(name))
        angle, multiplier = record.solution.q[:, column], record.solution.multiplier[:, column]
        lower, upper = angle - dof.lower < CONTACT, dof.upper - angle < CONTACT
        state[:, place] = np.where(lower, AT_LOWER, np.where(upper, AT_UPPER, FREE))
        price[:, place] = np.where(lower | upper, -np.radians(multiplier), 0.0)
    meanings = {"flag_values": np.arange(4, dtype=np.int8), "flag_meanings": "free at_lower at_upper locked"}
    dims = ("time", "dof")
    return {
        "bound_state": _variable(dims, state, "1", "contact with the range of motion", **meanings),
        "bound_multiplier": _variable(dims, price, "degree-1", "d(cost)/d(bound)"),
    }


def _with_coupled(ds: xr.Dataset, coupled: CoupledRecord) -> xr.Dataset:
    """Add what coupled ranges hold, where they are reached, and what each limit costs.

    The limit of a swing is the larger semi-angle; its multiplier is that of an ellipse growing in proportion.
    """
    at_lower, at_upper = coupled.value - coupled.lower < CONTACT, coupled.upper - coupled.value < CONTACT
    state = np.where(at_lower & at_upper, LOCKED, np.where(at_lower, AT_LOWER, AT_UPPER * at_upper))
    price = np.where(at_lower | at_upper, -np.radians(coupled.multiplier), 0.0)
    dims = ("time", "coupling")
    flags = {"flag_values": np.arange(4, dtype=np.int8), "flag_meanings": "free at_lower at_upper held"}
    for side in ("lower", "upper"):
        values = np.degrees(getattr(coupled, side))
        ds[f"coupling_{side}"] = _variable(
            ("coupling",), values, "degree", f"{side} limit of the coupled range"
        )
    value = np.degrees(coupled.value)
    ds["coupling_value"] = _variable(dims, value, "degree", "what the coupled range limits")
    ds["coupling_state"] = _variable(
        dims, state.astype(np.int8), "1", "contact with the coupled range", **flags
    )
    ds["coupling_multiplier"] = _variable(dims, price, "degree-1", "d(cost)/d(limit of the coupled range)")
    return ds.assign_coords(coupling=list(coupled.names))


def _variable(dims: tuple[str, ...], values: np.ndarray, units: str, name: str, **more: object) -> tuple:
    return dims, values, {"units": units, "long_name": name, **more}


def _attributes(chain: Chain, keypoints: xr.Dataset, record: SolveRecord) -> dict[str, str]:
    version = importlib.metadata.version("kinepose_ocp")
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "Conventions": "CF-1.11",
        "title": f"motion of chain {chain.name}",
        "source": f"kinepose_ocp {version}: whole-motion inverse kinematics",
        "history": f"{now} solved with {record.solver}",
        "chain_yaml": chain_to_yaml(chain),
        "kinepose_ocp_version": version,
        "casadi_version": ca.CasadiMeta.version(),
        "solver": record.solver,
        "solver_status": record.solution.status,
        "source_file": str(keypoints.attrs.get("source_file", "")),
        "input_sha256": str(keypoints.attrs.get("input_sha256", "")),
    }
