"""Does the answer depend on the frame rate? The same motions at several rates, with equal noise a second.

A motion sampled at half the rate holds half the points; with white noise of sigma * sqrt(rate / 50 Hz) every
second of data says as much at any rate. Nothing is set by hand, so the errors should agree.
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

RATES = (25, 50, 100, 200)  # Hz
FASTEST = 200  # Hz
NOISE = 0.010  # m, at 50 Hz
SEEDS = range(2010, 2022)


def main(folder: Path, seconds: float = 4.0, rates=RATES, seeds=SEEDS, workers: int = 2) -> xr.Dataset:
    """Solve every motion at every rate; write the figure and the numbers to ``folder``."""
    jobs = [(seconds, rate, seed) for rate, seed in product(rates, seeds)]
    errors = mapped(error, jobs, workers)
    attributes = {"units": "degree", "long_name": "mean angle between true and found orientation (MPJAS)"}
    result = xr.Dataset(
        {"mpjas": (("rate", "seed"), np.reshape(errors, (len(rates), len(seeds))), attributes)},
        {"rate": ("rate", list(rates), {"units": "Hz"}), "seed": list(seeds)},
        {"title": __doc__.splitlines()[0]},
    )
    kp.write(result, folder / "frame_rate.nc")
    plotting.save_figure(figure(result), folder / "frame_rate.png")
    mean = result.mpjas.mean("seed")
    for rate in rates:
        print(f"{rate:5d} Hz: mean error {float(mean.sel(rate=rate)):.2f} degree")
    print(f"spread over rates: {100 * spread(mean):.0f} % of the mean")
    print(f"written: {folder}/frame_rate.nc, frame_rate.png")
    return result


def error(seconds: float, rate: int, seed: int) -> float:
    """MPJAS [degree] of one motion at one rate, judged at instants that all rates share."""
    chain = kp.load_chain("imvip22")
    fine = random_motion(chain, round(seconds * FASTEST) + 1, FASTEST, seed)
    truth = fine.isel(time=slice(None, None, FASTEST // rate))
    noise = NOISE * np.sqrt(rate / 50)
    motion = kp.solve_motion(
        chain, measure(truth, estimator_points(chain), noise=noise, seed=seed), lengths="model"
    )
    shared = slice(None, None, rate // min(RATES))
    return float(metrics.mpjas(motion.isel(time=shared), truth.isel(time=shared), "global"))


def spread(mean: xr.DataArray) -> float:
    """Largest less smallest error, over their mean [1]."""
    return float((mean.max() - mean.min()) / mean.mean())


def figure(result: xr.Dataset) -> plt.Figure:
    """Errors of all motions against the rate, and their mean."""
    drawing = plt.Figure(figsize=(6, 3.6), layout="constrained")
    ax = drawing.subplots()
    for i, seed in enumerate(result.seed.values):
        label = "one motion" if i == 0 else None
        ax.plot(result.rate, result.mpjas.sel(seed=seed), "o-", color="#BBBBBB", lw=0.8, ms=3, label=label)
    ax.plot(result.rate, result.mpjas.mean("seed"), "o-", color="#0077BB", lw=2, label="mean")
    ax.set_xscale("log")
    ax.set_xticks(result.rate.values, [str(rate) for rate in result.rate.values])
    ax.minorticks_off()
    ax.set_xlabel("sampling rate [Hz]")
    ax.set_ylabel("mean angular error [°]")
    ax.set_ylim(0)
    ax.legend(frameon=False, fontsize=8)
    plotting.unframed(ax)
    return drawing


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/frame_rate"))
    main(parser.parse_args().output)
