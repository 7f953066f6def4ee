"""How the motions of the boundary cases are made: seed -> chain, measured points, truth.

All come from :mod:`kinepose_ocp.synthetic`, measured at the 17 points that pose estimators give.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter1d

from kinepose_ocp.chain import Chain
from kinepose_ocp.chain_file import load_chain
from kinepose_ocp.keypoints import make_keypoints
from kinepose_ocp.layouts import load_layout
from kinepose_ocp.synthetic import limb_hinges, measure, random_motion, true_motion
from kinepose_ocp.walk_throw import walk_throw

RATE = 60.0  # Hz
NOISE = 0.005  # m; white noise per axis where a case says nothing else


class Sample(NamedTuple):
    """What a case makes: the chain that solves, the points it gets, and the motion they come from."""

    chain: Chain
    keypoints: xr.Dataset
    truth: xr.Dataset


# ---- pieces ------------------------------------------------------------------------------------------
def estimator_points(chain: Chain) -> list[str]:
    """The keypoints of a chain that the layout Human3.6M-17 measures: as few as users have."""
    targets = load_layout("h36m17", chain).targets.values()
    return [name for names in targets for name in names if name in chain.keypoints]


def _measured(chain: Chain, truth: xr.Dataset, seed: int, **errors: float) -> Sample:
    errors = {"noise": NOISE} | errors
    return Sample(chain, measure(truth, estimator_points(chain), seed=seed, **errors), truth)


def angles_of(chain: Chain, motion: xr.Dataset) -> dict[str, np.ndarray]:
    """Free coordinates of a motion by DOF [degree or m], to change and give to :func:`true_motion`."""
    moved = motion["joint_translation"].rename(translation="dof") if "joint_translation" in motion else None
    values = motion["joint_angle"] if moved is None else xr.concat([motion["joint_angle"], moved], "dof")
    return {name: values.sel(dof=name).values for name in chain.free_dofs}


def _widened(chain: Chain, names: list[str], degrees: float) -> Chain:
    """The chain with wider ROMs: to make truth that leaves those of the chain that solves."""
    user = {
        name: (dof.in_user_unit(dof.lower), dof.in_user_unit(dof.upper)) for name, dof in chain.dofs.items()
    }
    return chain.with_rom({name: (user[name][0] - degrees, user[name][1] + degrees) for name in names})


def _limited(chain: Chain) -> list[str]:
    """Free rotations that have a ROM on both sides."""
    return [
        name
        for name, dof in chain.free_dofs.items()
        if not dof.translates and np.isfinite([dof.lower, dof.upper]).all()
    ]


def _gentle(chain: Chain, frames: int, seed: int, part: float = 0.3) -> dict[str, np.ndarray]:
    """Angles of a random motion, its excursions from the mean reduced to a part and smoothed."""
    moving = angles_of(chain, random_motion(chain, frames, RATE, seed, straight=False))
    return {
        name: gaussian_filter1d(values.mean() + part * (values - values.mean()), 4)
        for name, values in moving.items()
    }


# ---- what makes the motions --------------------------------------------------------------------------
def randomly(model: str, frames: int, seed: int, straight: bool = False, **errors: float) -> Sample:
    """All DOFs at random; other errors of the measurement as in :func:`measure`."""
    chain = load_chain(model)
    return _measured(chain, random_motion(chain, frames, RATE, seed, straight), seed, **errors)


def rom_at(model: str, frames: int, seed: int) -> Sample:
    """Every other limited DOF at one of its limits throughout."""
    chain = load_chain(model)
    angles, generator = _gentle(chain, frames, seed), np.random.default_rng(seed)
    for name in _limited(chain)[::2]:
        dof = chain.dofs[name]
        angles[name] = np.full(frames, dof.in_user_unit(generator.choice([dof.lower, dof.upper])))
    return _measured(chain, true_motion(chain, angles, RATE), seed)


def rom_along(model: str, frames: int, seed: int) -> Sample:
    """Angles that reach a limit, stay on it while others move, and leave it."""
    chain = load_chain(model)
    wide = _widened(chain, _limited(chain), 25.0)
    angles = angles_of(wide, random_motion(wide, frames, RATE, seed, straight=False))
    for name in _limited(chain):
        dof = chain.dofs[name]
        angles[name] = np.clip(angles[name], dof.in_user_unit(dof.lower), dof.in_user_unit(dof.upper))
    return _measured(chain, true_motion(chain, angles, RATE), seed)


def rom_beyond(model: str, frames: int, seed: int) -> Sample:
    """ROMs left by up to 10 degrees."""
    chain = load_chain(model)
    wide = _widened(chain, _limited(chain), 10.0)
    return _measured(chain, random_motion(wide, frames, RATE, seed, straight=False), seed)


def hyperextended(model: str, frames: int, seed: int) -> Sample:
    """Knees and elbows bent backwards by up to 15 degrees, as detectors give them."""
    chain = load_chain(model)
    hinges = limb_hinges(chain)
    wide = _widened(chain, [hinge.dof for hinge in hinges], 20.0)
    angles, swing = _gentle(chain, frames, seed, 0.6), np.sin(np.linspace(0, 2 * np.pi, frames))
    for hinge in hinges:
        dof = chain.dofs[hinge.dof]
        backwards = -1 if abs(dof.lower) < abs(dof.upper) else 1
        limit = dof.in_user_unit(dof.lower if backwards < 0 else dof.upper)
        angles[hinge.dof] = limit + backwards * (5 + 10 * swing)
    return _measured(chain, true_motion(wide, angles, RATE), seed)


def passing(model: str, frames: int, seed: int, ramps: Mapping[str, tuple[float, ...]]) -> Sample:
    """Gentle motion while some angles follow ramps [degree] through equally spaced times."""
    chain = load_chain(model)
    angles, time = _gentle(chain, frames, seed), np.linspace(0, 1, frames)
    for name, values in ramps.items():
        angles[name] = gaussian_filter1d(np.interp(time, np.linspace(0, 1, len(values)), values), 3)
    return _measured(chain, true_motion(chain, angles, RATE), seed)


def throw(frames: int, seed: int) -> Sample:
    """The frames about the release of a throw."""
    chain = load_chain("fullbody")
    truth, release = walk_throw(chain), 188
    truth = truth.isel(time=slice(release - frames // 2, release + frames // 2))
    return _measured(chain, truth.assign_coords(time=truth["time"] - truth["time"][0]), seed)


def slowly(model: str, frames: int, seed: int) -> Sample:
    """A tenth of a second of a motion, shown over two."""
    chain = load_chain(model)
    fast = random_motion(chain, frames, 20 * RATE, seed, straight=False)
    return _measured(chain, true_motion(chain, angles_of(chain, fast), RATE), seed)


def sampled(model: str, seconds: float, seed: int, rate: float) -> Sample:
    """The same random motion at any rate [Hz]."""
    chain = load_chain(model)
    return _measured(chain, random_motion(chain, int(seconds * rate) + 1, rate, seed, straight=False), seed)


def only_root(model: str, frames: int, seed: int) -> Sample:
    """All DOFs but the root's locked."""
    chain = load_chain(model)
    root = f"{chain.root.name}."
    rest = {n: d.in_user_unit(d.rest) for n, d in chain.free_dofs.items() if not n.startswith(root)}
    rigid = chain.with_locked(rest)
    return _measured(rigid, random_motion(rigid, frames, RATE, seed), seed)


def outliers(model: str, frames: int, seed: int) -> Sample:
    """2 % of the points moved by 0.3 m."""
    chain, keypoints, truth = randomly(model, frames, seed)
    generator, position = np.random.default_rng(seed), keypoints["position"].values
    moved = generator.random(position.shape[:2]) < 0.02
    shift = generator.normal(size=(moved.sum(), 3))
    position[moved] += 0.3 * shift / np.linalg.norm(shift, axis=1, keepdims=True)
    return Sample(chain, keypoints, truth)


def limb_gone(model: str, frames: int, seed: int) -> Sample:
    """Elbow and wrist of one arm missing for a second."""
    chain, keypoints, truth = randomly(model, frames, seed)
    away = keypoints["keypoint"].isin(["elbow_right", "wrist_right"])
    start = (frames - int(RATE)) // 2
    seen = ~(away & (abs(keypoints["time"] - (start + RATE / 2) / RATE) < 0.5))
    keypoints["position"] = keypoints["position"].where(seen)
    keypoints["confidence"] = keypoints["confidence"].where(seen, 0.0)
    return Sample(chain, keypoints, truth)


def wrong_lengths(model: str, frames: int, seed: int) -> Sample:
    """Every segment of the solving chain 10 % too long or too short."""
    chain, keypoints, truth = randomly(model, frames, seed)
    generator = np.random.default_rng(seed)
    lengths = {joint.name: float(np.linalg.norm(joint.offset)) for joint in chain.joints if any(joint.offset)}
    scaled = {name: length * generator.choice([0.9, 1.1]) for name, length in lengths.items()}
    return Sample(chain.with_lengths(scaled), keypoints, truth)


def swapped(model: str, frames: int, seed: int) -> Sample:
    """Every left point called right, and the reverse."""
    chain, keypoints, truth = randomly(model, frames, seed)
    swap = {"left": "right", "right": "left"}
    names = [
        "_".join(swap.get(part, part) for part in str(n).split("_")) for n in keypoints["keypoint"].values
    ]
    return Sample(chain, make_keypoints(keypoints["position"].values, names, rate=RATE), truth)


def first_frames(model: str, frames: int, seed: int) -> Sample:
    """The first frames of a random motion."""
    chain, keypoints, truth = randomly(model, 30, seed)
    return Sample(chain, keypoints.isel(time=slice(frames)), truth.isel(time=slice(frames)))
