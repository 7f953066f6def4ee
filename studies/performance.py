"""Where does the time go? Every stage of a solve in milliseconds a frame, for two chains, short and long.

Segment lengths, the start, the choice of noise and smoothness, the solver, posterior deviations and
sensitivities: medians of several runs in processor time, which other programs hardly change, each with a new
program. A time a frame that stays as motions get longer is one that is linear in frames. Building the program
is paid once, whatever the number of frames. Ratios of one run hold on any machine.
"""

import argparse
from pathlib import Path
from time import process_time

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import kinepose_ocp as kp
from kinepose_ocp import plotting
from kinepose_ocp.anatomy import hidden_dofs
from kinepose_ocp.case import Case
from kinepose_ocp.case_motions import randomly
from kinepose_ocp.lengths import with_estimated_lengths
from kinepose_ocp.pose_prior import PoseStatistics
from kinepose_ocp.posterior import coordinates, uncertainty
from kinepose_ocp.problem import build_problem, with_held
from kinepose_ocp.sensitivity import sensitivities
from kinepose_ocp.smoothing import FIRST_NOISE, Smoothness

CHAINS = ("imvip22", "fullbody")
FRAMES = (60, 240, 960)
REPEATS = 5
SEED = 2600
STAGES = {
    "segment lengths": "#BBBBBB",
    "start": "#33BBEE",
    "choice of noise and smoothness": "#009988",
    "solver": "#0077BB",
    "posterior deviations": "#EE7733",
    "sensitivities": "#CC3311",
}
BUILDING = "building the program"


def main(folder: Path, chains=CHAINS, frames=FRAMES, repeats: int = REPEATS) -> xr.Dataset:
    """Time every stage; write the figure and the numbers to ``folder``."""
    seconds = np.array(
        [[[timed(chain, count) for _ in range(repeats)] for count in frames] for chain in chains]
    )
    result = xr.Dataset(
        {
            "seconds": (
                ("chain", "frames", "repeat", "stage"),
                seconds,
                {"units": "s", "long_name": "processor time of a stage"},
            )
        },
        {"chain": list(chains), "frames": list(frames), "stage": [*STAGES, BUILDING]},
        {"title": __doc__.splitlines()[0]},
    )
    median = result.seconds.median("repeat")
    result["per_frame"] = (1000 * median / result.frames).assign_attrs(
        units="ms", long_name="median time of a stage a frame"
    )
    parts = median.sel(stage=["posterior deviations", "sensitivities"]).sum("stage")
    result["sure_over_solve"] = (parts / median.sel(stage="solver", drop=True)).assign_attrs(
        units="1", long_name="time of deviations and sensitivities over that of the solver"
    )
    kp.write(result, folder / "performance.nc")
    plotting.save_figure(figure(result), folder / "performance.png")
    report(result)
    print(f"written: {folder}/performance.nc, performance.png")
    return result


def timed(model: str, frames: int) -> list[float]:
    """Seconds of every stage of one solve, and of building, with nothing left from an earlier one."""
    chain, keypoints, _ = randomly(model, frames, SEED)
    chain, lengths = clocked(lambda: with_estimated_lengths(chain, keypoints))
    first, building = clocked(lambda: first_case(chain, keypoints))
    _, start = clocked(first.best_start)
    problem, tuning = clocked(lambda: kp.tuned_problem(chain, keypoints, lengths="model"))
    _, with_building = clocked(problem.solve)
    motion, solver = clocked(problem.solve)

    case = Case(problem, problem.kernels.chain, problem.keypoints, problem.terms)
    q = coordinates(problem.kernels.chain, motion)
    _, deviations = clocked(lambda: uncertainty(case, q, FIRST_NOISE))
    _, derivatives = clocked(lambda: sensitivities(case, q))
    choice = max(tuning - building - start, 0.0)  # it builds and starts as above, then chooses
    building += max(with_building - solver, 0.0)
    return [lengths, start, choice, solver, deviations, derivatives, building]


def clocked(work):
    """What a function returns, and its processor time [s]."""
    began = process_time()
    made = work()
    return made, process_time() - began


def first_case(chain: kp.Chain, keypoints: xr.Dataset) -> Case:
    """What the choice of noise and smoothness begins with."""
    measured = [str(name) for name in keypoints.keypoint.values]
    moving = with_held(chain, hidden_dofs(chain, measured)).with_moving_root()
    terms = Smoothness.first(moving).terms(PoseStatistics(keypoints.time.values).step)
    problem = build_problem(moving, keypoints, terms)
    return Case(problem, problem.kernels.chain, problem.keypoints, terms)


def report(result: xr.Dataset) -> None:
    """Print medians and ratios."""
    columns = [(str(c), int(f)) for c in result.chain.values for f in result.frames.values]
    print(
        f"median ms a frame, processor{'':4s}"
        + "".join(f"{f'{chain} {count}':>15s}" for chain, count in columns)
    )
    stages = {**{stage: [stage] for stage in STAGES}, "all of these": list(STAGES)}
    for stage, members in stages.items():
        parts = result.per_frame.sel(stage=members).sum("stage")
        print(f"{stage:32s}" + "".join(f"{float(parts.sel(chain=c, frames=f)):15.2f}" for c, f in columns))
    built = [float(result.seconds.sel(chain=c, frames=f, stage=BUILDING).median()) for c, f in columns]
    print(f"{BUILDING + ', once [s]':32s}" + "".join(f"{value:15.2f}" for value in built))
    ratio = [float(result.sure_over_solve.sel(chain=c, frames=f)) for c, f in columns]
    print(f"{'deviations, sensitivities/solver':32s}" + "".join(f"{value:15.2f}" for value in ratio))
    for chain in result.chain.values:
        time = result.per_frame.sel(chain=chain, stage=list(STAGES)).sum("stage") * result.frames
        growth = np.polyfit(np.log(result.frames), np.log(time), 1)[0] if time.size > 1 else np.nan
        print(f"{chain}: time grows with frames to the power of {growth:.2f} (1 = linear)")


def figure(result: xr.Dataset) -> plt.Figure:
    """Time a frame by stage and length of the motion, one panel a chain."""
    drawing = plt.Figure(figsize=(10, 4.6), layout="constrained")
    panels = drawing.subplots(1, result.sizes["chain"], squeeze=False)[0]
    place = np.arange(result.sizes["frames"])
    for ax, chain in zip(panels, result.chain.values, strict=True):
        bottom = np.zeros(len(place))
        for stage, colour in STAGES.items():
            part = result.per_frame.sel(chain=chain, stage=stage).values
            ax.bar(place, part, bottom=bottom, color=colour, width=0.6, label=stage)
            bottom += part
        for x, total in zip(place, bottom, strict=True):
            ax.text(x, total, f"{total:.1f} ms", ha="center", va="bottom", fontsize=9)
        dofs = len(kp.load_chain(str(chain)).free_dofs)
        built = float(result.seconds.sel(chain=chain, stage=BUILDING).median())
        ax.set_title(
            f"{chain}: {dofs} free degrees of freedom\n(and {built:.1f} s once, to build the program)",
            fontsize=10,
        )
        ax.set_xticks(place, [f"{count} frames\n({count / 60:.3g} s)" for count in result.frames.values])
        ax.set_ylabel("processor time a frame [ms]")
        ax.set_ylim(0, 1.12 * float(result.per_frame.sel(stage=list(STAGES)).sum("stage").max()))
        plotting.unframed(ax)
    handles, labels = panels[0].get_legend_handles_labels()
    drawing.legend(
        handles[::-1], labels[::-1], loc="outside right center", frameon=False, fontsize=9, title="stage"
    )
    return drawing


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("out/performance"))
    parser.add_argument("--repeats", type=int, default=REPEATS)
    arguments = parser.parse_args()
    main(arguments.output, repeats=arguments.repeats)
