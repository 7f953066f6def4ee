"""How smooth should a motion be? Errors with smoothness set by hand, and with the automatic choice.

Motions with known truth and white noise of several sizes. By hand, one number says how strongly joint angles
may accelerate (``smoothness``, a standard deviation); too small flattens the motion, too large follows the
noise, and where the best lies depends on noise and motion. The automatic choice needs no number.
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
from kinepose_ocp.solve_motion import AUTOMATIC
from kinepose_ocp.synthetic import measure, random_motion
from kinepose_ocp.workers import mapped

SMOOTHNESS = (100, 300, 1000, 3000, 10_000, 30_000, 100_000)  # degree/s2
NOISE = (0.002, 0.005, 0.010, 0.020)  # m
SEEDS = range(2400, 2404)
RATE = 60  # Hz
COLOURS = ("#33BBEE", "#0077BB", "#EE7733", "#CC3311")


def main(
    folder: Path, frames: int = 120, smoothness=SMOOTHNESS, noise=NOISE, seeds=SEEDS, workers: int = 2
) -> xr.Dataset:
    """Solve every motion with every noise and smoothness; write figure and numbers to ``folder``."""
    jobs = [
        (frames, level, seed, value) for level, seed, value in product(noise, seeds, (*smoothness, AUTOMATIC))
    ]
    errors = mapped(error, jobs, workers)
    table = np.reshape(errors, (len(noise), len(seeds), len(smoothness) + 1))
    attributes = {"units": "degree", "long_name": "mean angle between true and found orientation (MPJAS)"}
    result = xr.Dataset(
        {
            "mpjas": (("noise", "seed", "smoothness"), table[..., :-1], attributes),
            "mpjas_automatic": (("noise", "seed"), table[..., -1], attributes),
        },
        {
            "noise": ("noise", 1000 * np.array(noise), {"units": "mm"}),
            "seed": list(seeds),
            "smoothness": ("smoothness", list(map(float, smoothness)), {"units": "degree s-2"}),
        },
        {"title": __doc__.splitlines()[0]},
    )
    kp.write(result, folder / "temporal_weight.nc")
    plotting.save_figure(figure(result), folder / "temporal_weight.png")
    report(result)
    print(f"written: {folder}/temporal_weight.nc, temporal_weight.png")
    return result


def error(frames: int, noise: float, seed: int, smoothness: float | str) -> float:
    """MPJAS [degree] of one solve; NaN where the solver did not converge."""
    chain = kp.load_chain("imvip22").with_moving_root()
    truth = random_motion(chain, frames, RATE, seed)
    keypoints = measure(truth, estimator_points(chain), noise=noise, seed=seed)
    try:
        motion = kp.solve_motion(chain, keypoints, lengths="model", smoothness=smoothness)
    except kp.SolveError:
        return float("nan")
    return metrics.mpjas(motion, truth, "global")


def report(result: xr.Dataset) -> None:
    """Print mean errors."""
    print("mean error [degree] by smoothness [degree/s2]")
    print(f"{'noise':>8s}" + "".join(f"{value:9.0f}" for value in result.smoothness.values) + "     auto")
    for level in result.noise.values:
        one = result.sel(noise=level)
        values = (*one.mpjas.mean("seed").values, float(one.mpjas_automatic.mean()))
        print(f"{level:5.0f} mm" + "".join(f"{value:9.2f}" for value in values))
    print(f"not converged: {int(result.mpjas.isnull().sum() + result.mpjas_automatic.isnull().sum())}")


def figure(result: xr.Dataset) -> plt.Figure:
    """Error against smoothness, a curve for each noise; the automatic choice as a line across."""
    drawing = plt.Figure(figsize=(8, 5), layout="constrained")
    ax = drawing.subplots()
    by_hand, automatic = result.mpjas.mean("seed"), result.mpjas_automatic.mean("seed")
    right = float(result.smoothness[-1]) * 2.5
    for level, colour in zip(result.noise.values, COLOURS, strict=False):
        curve, chosen = by_hand.sel(noise=level), float(automatic.sel(noise=level))
        ax.plot(result.smoothness, curve, "o-", color=colour, lw=1.8, ms=4)
        ax.plot([float(result.smoothness[0]), right], [chosen, chosen], color=colour, lw=0.8, ls=":")
        ax.plot(right, chosen, "D", color=colour, ms=8, clip_on=False)
        ax.annotate(f"   {level:.0f} mm noise: {chosen:.1f}°", (right, chosen), va="center", color=colour)
    ax.plot([], [], "o-", color="#444444", label="smoothness set by hand, the same for all joints")
    ax.plot([], [], "D:", color="#444444", ms=8, label="automatic choice (no number to set)")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(by_hand.smoothness.values, [f"{value:g}" for value in by_hand.smoothness.values])
    ax.set_xlim(0.8 * float(by_hand.smoothness[0]), right)
    least, largest = 0.6 * float(automatic.min()), 1.5 * float(by_hand.max())
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if least < tick < largest]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("smoothness: standard deviation of joint accelerations [°/s²] (stiff to lively)")
    ax.set_ylabel("mean angular error [°]")
    ax.legend(frameon=False, fontsize=9, loc="upper right")
    plotting.unframed(ax)
    return drawing


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/temporal_weight"))
    main(parser.parse_args().output)
