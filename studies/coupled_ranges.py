"""What a coupled range of motion adds where a straight elbow hides the twist of the upper arm.

Motions at random (chain ``fullbody``, 17 points, 5 mm of white noise, elbows held straight again and again)
in which the axial rotation of the upper arm follows its abduction: half of it, outward, give or take 15
degrees. Solved three times: with the ROMs of the chain, with those of the motion itself (a box drawn tightly
around the truth), and with that box and the coupling, -15 <= rotation + 0.5 abduction <= 15. Errors of both
upper arms. The coupling is known exactly here; a subject's is not, so this is what it can give at best.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import kinepose_ocp as kp
from kinepose_ocp import metrics, plotting
from kinepose_ocp.case_motions import angles_of, estimator_points
from kinepose_ocp.synthetic import measure, random_motion, true_motion

SIDES = ("right", "left")
SLOPE, BAND = 0.5, 15.0  # degree a degree; degree
NOISE, RATE = 0.005, 60.0  # m, Hz
EDGES = [0, 10, 30, 60, 180]  # degree
COLOURS = {
    "each angle: textbook range": "#BBBBBB",
    "each angle: the motion's own range": "#EE7733",
    "own ranges, and rotation tied to abduction": "#0077BB",
}
SEEDS = range(3000, 3006)


def main(folder: Path, frames: int = 120, seeds=SEEDS) -> xr.Dataset:
    """Solve one motion a seed in three ways; write the figure and the numbers to ``folder``."""
    result = xr.concat([compare(frames, seed) for seed in seeds], xr.Variable("seed", list(seeds)))
    result.attrs["title"] = __doc__.splitlines()[0]
    kp.write(result, folder / "coupled_ranges.nc")
    plotting.save_figure(figure(result), folder / "coupled_ranges.png")
    report(result)
    print(f"written: {folder}/coupled_ranges.nc, coupled_ranges.png")
    return result


def compare(frames: int, seed: int) -> xr.Dataset:
    """Errors of both upper arms, (way, side, time), with the flexion of the elbow."""
    chain = kp.load_chain("fullbody")
    truth = follow(chain, random_motion(chain, frames, RATE, seed, straight=True), seed)
    points = measure(truth, estimator_points(chain), noise=NOISE, seed=seed)
    arms = [f"shoulder_{side}" for side in SIDES]
    own = {}
    for name in (f"{arm}.{dof}" for arm in arms for dof in ("abduction", "flexion", "rotation")):
        angle = truth.joint_angle.sel(dof=name)
        own[name] = (float(angle.min()), float(angle.max()))
    tight = chain.with_rom(own)
    chains = dict(zip(COLOURS, (chain, tight, tight.with_coupled(*couplings())), strict=True))
    errors = []
    for one in chains.values():
        error = metrics.angular_error(kp.solve_motion(one, points), truth, "global")
        errors.append(error.sel(joint=arms).transpose("joint", "time").values)
    elbows = [f"elbow_{side}.flexion" for side in SIDES]
    return xr.Dataset(
        {
            "error": (
                ("way", "side", "time"),
                np.stack(errors),
                {"units": "degree", "long_name": "angle between true and found orientation of the upper arm"},
            ),
            "flexion": (
                ("side", "time"),
                np.abs(truth.joint_angle.sel(dof=elbows).transpose("dof", "time").values),
                {"units": "degree", "long_name": "flexion of the elbow, from straight"},
            ),
        },
        {"way": list(chains), "side": list(SIDES), "time": ("time", truth.time.values, {"units": "s"})},
    )


def follow(chain: kp.Chain, motion: xr.Dataset, seed: int) -> xr.Dataset:
    """The same motion, its upper arms rotating with their abduction."""
    angles, rng = angles_of(chain, motion), np.random.default_rng(seed)
    time = motion.time.values
    for side in SIDES:
        sway = np.sin(2 * np.pi * rng.uniform(0.3, 0.8) * time + rng.uniform(0, 2 * np.pi))
        angles[f"shoulder_{side}.rotation"] = BAND * sway - SLOPE * angles[f"shoulder_{side}.abduction"]
    return true_motion(chain, angles, RATE)


def couplings() -> list[kp.LinearCoupling]:
    """What the motions obey, as their maker knows it."""
    band = np.radians(BAND)
    return [
        kp.LinearCoupling(
            f"arm_{side}",
            {f"shoulder_{side}.rotation": 1.0, f"shoulder_{side}.abduction": SLOPE},
            -band,
            band,
            "the motions of this study are made so",
        )
        for side in SIDES
    ]


def by_flexion(result: xr.Dataset) -> xr.Dataset:
    """Root mean square error by the flexion of the elbow (bin)."""
    place = np.digitize(result.flexion.values.ravel(), EDGES[1:-1])
    names = [f"{low}-{high}" for low, high in pairwise(EDGES)]
    found = {}
    for way in result.way.values:
        squares = result.error.sel(way=way).transpose(*result.flexion.dims).values.ravel() ** 2
        bins = [squares[place == i] for i in range(len(names))]
        found[str(way)] = ("bin", [np.sqrt(part.mean()) if len(part) else np.nan for part in bins])
    return xr.Dataset(found, {"bin": names})


def report(result: xr.Dataset) -> None:
    """Print root mean square errors by flexion, and of every motion."""
    table = by_flexion(result)
    print("root mean square error of the upper arms [degree], by flexion of the elbow [degree]")
    print(f"{'':44s}" + "".join(f"{name:>9s}" for name in table.bin.values) + "      all")
    for way in table:
        values = [*table[way].values, np.sqrt((result.error.sel(way=way) ** 2).mean())]
        print(f"{way:44s}" + "".join(f"{float(value):9.1f}" for value in values))


def figure(result: xr.Dataset) -> plt.Figure:
    """Errors by flexion of the elbow, one bar a way of solving."""
    drawing = plt.Figure(figsize=(7, 3.6), layout="constrained")
    axes, table = drawing.subplots(), by_flexion(result)
    places = np.arange(table.sizes["bin"])
    for i, (way, colour) in enumerate(COLOURS.items()):
        bars = axes.bar(places + 0.27 * (i - 1), table[way].values, 0.25, color=colour, label=way)
        axes.bar_label(bars, fmt="%.1f", fontsize=8)
    axes.set_xticks(places, [f"{name}°" for name in table.bin.values])
    axes.set_xlabel("flexion of the elbow (0° = straight: the points do not show the twist of the upper arm)")
    axes.set_ylabel("RMS error of the upper arm [°]")
    axes.legend(frameon=False, fontsize=8, title="limits of the shoulder's angles", title_fontsize=8)
    plotting.unframed(axes)
    return drawing


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/coupled_ranges"))
    main(parser.parse_args().output)
