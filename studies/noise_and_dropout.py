"""How far do noise and missing points put angles off? The true errors, and those that the answer predicts.

Motions with known truth whose limbs are not held straight (``straight_limb.py`` shows what that hides), white
noise of several sizes, and points that are missing for 0.1 to 0.5 s at a time. Beside the true error stands
the one that the answer predicts from the points alone, the root mean square of its posterior deviations:
where the two agree, the prediction is honest.
"""

import argparse
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import kinepose_ocp as kp
from kinepose_ocp import metrics, plotting
from kinepose_ocp.case_motions import estimator_points
from kinepose_ocp.synthetic import measure, random_motion
from kinepose_ocp.workers import mapped

NOISE = (0.002, 0.005, 0.010, 0.020)  # m
MISSING = (0.0, 0.1, 0.2, 0.4)  # part of the points
SEEDS = range(2500, 2504)
RATE = 60  # Hz
COLOURS = ("#0077BB", "#009988", "#EE7733", "#CC3311")


def main(
    folder: Path, frames: int = 120, noise=NOISE, missing=MISSING, seeds=SEEDS, workers: int = 2
) -> xr.Dataset:
    """Solve every motion with every noise and share of missing points; write to ``folder``."""
    jobs = [(frames, *job) for job in product(noise, missing, seeds)]
    found = mapped(errors, jobs, workers)
    table = np.reshape(found, (len(noise), len(missing), len(seeds), 2))
    dims = ("noise", "missing", "seed")
    result = xr.Dataset(
        {
            "error": (
                dims,
                table[..., 0],
                {"units": "degree", "long_name": "RMS angle between true and found orientation"},
            ),
            "predicted": (
                dims,
                table[..., 1],
                {"units": "degree", "long_name": "RMS of that angle as the answer predicts it"},
            ),
        },
        {
            "noise": ("noise", 1000 * np.array(noise), {"units": "mm"}),
            "missing": ("missing", 100 * np.array(missing), {"units": "percent"}),
            "seed": list(seeds),
        },
        {"title": __doc__.splitlines()[0]},
    )
    kp.write(result, folder / "noise_and_dropout.nc")
    plotting.save_figure(figure(result), folder / "noise_and_dropout.png")
    report(result)
    print(f"written: {folder}/noise_and_dropout.nc, noise_and_dropout.png")
    return result


def errors(frames: int, noise: float, missing: float, seed: int) -> tuple[float, float]:
    """True and predicted error [degree] of one solve, over all joints that turn and all frames."""
    chain = kp.load_chain("imvip22")
    truth = random_motion(chain, frames, RATE, seed, straight=False)
    keypoints = measure(truth, estimator_points(chain), noise=noise, missing=missing, seed=seed)
    motion = kp.solve_motion(chain, keypoints, lengths="model")
    turning = list({name.split(".")[0]: None for name in chain.free_dofs})
    angle = metrics.angular_error(motion, truth, "global").sel(joint=turning)
    told = metrics.predicted_error(motion).sel(joint=turning)
    return float(np.sqrt((angle**2).mean())), float(np.sqrt((told**2).mean()))


def report(result: xr.Dataset) -> None:
    """Print true and predicted errors, mean and spread over motions."""
    print("RMS error [degree]: true, mean (least to largest of the motions); predicted mean")
    print(f"{'noise':>8s}" + "".join(f"{share:12.0f} % missing    " for share in result.missing.values))
    for level in result.noise.values:
        cells = []
        for share in result.missing.values:
            true, told = (result[name].sel(noise=level, missing=share) for name in ("error", "predicted"))
            spread = f"({float(true.min()):.1f} to {float(true.max()):.1f})"
            cells.append(f"{float(true.mean()):7.2f} {spread:14s}{float(told.mean()):5.2f}")
        print(f"{level:5.0f} mm" + "".join(cells))
    ratio = result.error / result.predicted
    print(f"true over predicted: median {ratio.median():.2f}, {ratio.min():.2f} to {ratio.max():.2f}")


def figure(result: xr.Dataset) -> plt.Figure:
    """Errors against noise by share of missing points; true against predicted."""
    drawing = plt.Figure(figsize=(11, 5), layout="constrained")
    against, honest = drawing.subplots(1, 2)
    for i, (share, colour) in enumerate(zip(result.missing.values, COLOURS, strict=False)):
        one = result.sel(missing=share)
        label = "no points missing" if share == 0 else f"{share:.0f} % of the points missing"
        beside = result.noise.values + 0.2 * (i - 1.5)  # mm; so that bars do not hide each other
        against.plot(beside, one.error.mean("seed"), "o-", color=colour, lw=1.8, ms=4, label=label)
        against.vlines(beside, one.error.min("seed"), one.error.max("seed"), color=colour, lw=0.8)
        against.plot(beside, one.predicted.mean("seed"), "--", color=colour, lw=1.2)
        honest.plot(
            one.predicted.values.ravel(), one.error.values.ravel(), "o", color=colour, ms=4, alpha=0.7
        )
    against.plot([], [], "--", color="#444444", lw=1.2, label="predicted by the answer")
    against.plot([], [], "|", color="#444444", ms=9, label="least to largest of the motions")
    against.set_xticks(result.noise.values, [f"{level:.0f}" for level in result.noise.values])
    against.set_title("Error by noise and missing points", fontsize=10)
    against.set_xlabel("noise of a keypoint coordinate [mm]")
    against.set_ylabel("RMS angular error [°]")
    against.set_xlim(0)
    against.set_ylim(0)
    against.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.13), ncols=2)
    draw_honest(honest, result)
    plotting.unframed(against, honest)
    return drawing


def draw_honest(ax, result: xr.Dataset) -> None:
    """The lines of an honest prediction, and of half and double that."""
    ends = np.array([0.7, 1.4]) * [
        min(float(result.predicted.min()), float(result.error.min())),
        max(float(result.predicted.max()), float(result.error.max())),
    ]
    ax.plot(ends, ends, color="#222222", lw=1, label="honest: true = predicted")
    for factor in (0.5, 2):
        label = "half, double" if factor == 2 else None
        ax.plot(ends, factor * ends, color="#999999", lw=0.8, ls=":", label=label)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ticks = [
        tick
        for tick in (0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50)
        if ends[0] < tick < ends[1]
    ]
    for axis, place in ((ax.set_xticks, ax.set_xlim), (ax.set_yticks, ax.set_ylim)):
        axis(ticks, [f"{tick:g}" for tick in ticks])
        place(*ends)
    ax.minorticks_off()
    ax.set_aspect("equal")
    ax.set_title("Is the prediction honest? One dot a motion", fontsize=10)
    ax.set_xlabel("error that the answer predicts [°]")
    ax.set_ylabel("true error [°]")
    ax.legend(frameon=False, fontsize=8, loc="upper left")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/noise_and_dropout"))
    main(parser.parse_args().output)
