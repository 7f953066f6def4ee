"""Figures and clips of a motion: Dataset -> Axes, readable without the code.

Every function is pure in its Dataset and builds :class:`matplotlib.figure.Figure` objects directly, so
that no window system and no global figure is needed. Colours tell the side (right red, left blue, middle
grey) and stay apart for colour-blind eyes (Paul Tol's "vibrant" scheme, https://personal.sron.nl/~pault).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from kinepose_ocp.chain import Chain
from kinepose_ocp.chain_file import chain_from_yaml
from kinepose_ocp.errors import DataError, possible
from kinepose_ocp.io.atomic import whole_file

SIDE_COLOURS = {"right": "#CC3311", "middle": "#444444", "left": "#0077BB"}
CURVE, ROM, LIMIT, TRUTH, MEASURED, GROUND = "#222222", "#009988", "#EE3377", "#0077BB", "#666666", "#DDDDDD"
FIGURE_ENDINGS = (".png", ".pdf", ".svg")
CLIP_ENDINGS = (".gif", ".mp4")
SIDES = (
    re.compile(r"^(?:(right|left)[_-]?|([rl])[_-])(?=.)", re.IGNORECASE),  # right_knee, LeftKnee, r_knee
    re.compile(r"(?<=.)(?:[_-]?(right|left)|[_-]([rl]))$", re.IGNORECASE),  # knee_right, kneeLeft, knee_l
)


# ---- joint angles over time ----------------------------------------------------------------------
def plot_joint_angles(
    motion: xr.Dataset,
    dofs: Sequence[str] | None = None,
    truth: xr.Dataset | None = None,
    figure: Figure | None = None,
) -> tuple[Figure, dict[str, Axes]]:
    """Draw every joint angle over time with its range of motion (ROM), a row for each joint.

    Right and left joints stand side by side. Marked frames lie at a limit of the ROM: there the limit,
    not the measurement, decides the angle. The y axis holds the curve and those limits that are near it;
    a panel that the band fills is one far from both limits.

    Parameters
    ----------
    motion
        A motion with ``joint_angle (time, dof)`` [degree; m for a translation]; ``rom_lower``,
        ``rom_upper``, ``bound_state`` and ``joint_angle_std`` are drawn where they exist.
    dofs
        Full names ``joint.dof`` to draw; by default all that are not locked.
    truth
        A motion with the same DOF names, drawn dashed over its own time.
    figure
        Where to draw (with constrained layout); a new one by default, its size scaled by the rows.

    Returns
    -------
    tuple
        The figure and ``{"joint.dof": Axes}``.

    Raises
    ------
    DataError
        When a DOF or a variable is missing, or there is nothing to draw.
    """
    chain = _chain(motion)
    known = [str(name) for name in _variable(motion, "joint_angle", ("time", "dof"))["dof"].values]
    if dofs is None:
        dofs = [name for name in known if name not in chain.dofs or not chain.dofs[name].locked]
    for name in dofs:
        if name not in known:
            raise DataError(f"motion has no degree of freedom '{name}'; {possible(name, known)}")
    if not dofs:
        raise DataError("motion has no joint angle to draw: every degree of freedom is locked")
    cells = _cells(dofs)
    rows, columns = np.max(list(cells.values()), axis=0) + 1
    if figure is None:
        width = 2.3 if columns > 3 else 3.0
        figure = Figure(figsize=(max(width * columns, 5.0), 1.5 * rows + 1.0), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    axes: dict[str, Axes] = {}
    for name, (row, column) in cells.items():
        ax = axes[name] = figure.add_subplot(grid[row, column], sharex=next(iter(axes.values()), None))
        translates = name in chain.dofs and chain.dofs[name].translates
        _draw_angle(ax, motion.sel(dof=name), _of_dof(truth, name), 0.1 if translates else 10.0)
        joint = name.rpartition(".")[0]
        ax.set_title(name, fontsize=9, color=SIDE_COLOURS[_side(joint)[1]])
        beside = [other for other, cell in cells.items() if cell == (row, column - 1)]
        if not beside or beside[0].rpartition(".")[0] != joint:
            ax.set_ylabel("position [m]" if translates else "angle [°]", fontsize=8)
        lowest = row == max(cell[0] for cell in cells.values() if cell[1] == column)
        ax.tick_params(labelsize=7, labelbottom=lowest)
        ax.set_xlabel("time [s]" if lowest else "", fontsize=8)
    handles = {line.get_label(): line for ax in axes.values() for line in ax.get_legend_handles_labels()[0]}
    place: dict[str, Any] = {"loc": "outside upper center", "ncols": min(5, int(columns) + 1)}
    figure.legend(handles=list(handles.values()), fontsize=9, frameon=False, **place)
    return figure, axes


def _cells(dofs: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return row and column of every DOF: a row for each joint, a right and its left one in the same."""
    joints: dict[tuple[str, bool], dict[str, list[str]]] = {}
    for name in dofs:
        base, side = _side(name.rpartition(".")[0])
        joints.setdefault((base, side == "middle"), {}).setdefault(side, []).append(name)
    width = min(3, max(len(names) for sides in joints.values() for names in sides.values()))
    paired = any(len(sides) > 1 for sides in joints.values())
    cells: dict[str, tuple[int, int]] = {}
    row = 0
    for sides in joints.values():
        for side, names in sides.items():
            start = width if paired and side == "left" else 0
            for i, name in enumerate(names):
                cells[name] = (row + i // width, start + i % width)
        row = max(cell[0] for cell in cells.values()) + 1
    return cells


def _draw_angle(ax: Axes, angle: xr.Dataset, truth: xr.DataArray | None, smallest: float) -> None:
    """Draw one DOF; the y axis spans at least ``smallest`` [degree or m]."""
    time, curve = angle["time"].values, angle["joint_angle"].values
    dots = "." if len(time) == 1 else ""
    std = angle["joint_angle_std"].values if "joint_angle_std" in angle else np.full_like(curve, np.nan)
    rom = [float(angle[name]) if name in angle else math.nan for name in ("rom_lower", "rom_upper")]
    drawn = [curve, curve - 2 * std, curve + 2 * std, truth.values if truth is not None else curve]
    lowest, highest = _view(np.concatenate(drawn), rom, smallest)
    ax.plot(time, curve, color=CURVE, lw=1.2, marker=dots, label="joint angle")
    if np.isfinite(rom).any():
        lower, upper = np.where(np.isnan(rom), [-np.inf, np.inf], rom)
        beyond = lowest - 1, highest + 1  # a limit out of view, or none, leaves the band open there
        band = max(lower, beyond[0]), min(upper, beyond[1])
        ax.axhspan(*band, color=ROM, alpha=0.10, lw=0, label="range of motion")
        for limit in band:
            ax.axhline(limit, color=ROM, lw=0.8)
    if np.isfinite(std).any():
        ax.fill_between(time, *drawn[1:3], color=CURVE, alpha=0.25, lw=0, label="± 2 standard deviations")
    if truth is not None:
        ax.plot(truth["time"], truth, color=TRUTH, lw=1.2, ls="--", marker=dots, label="truth")
    if "bound_state" in angle and angle["bound_state"].isin([1, 2]).any():
        held = np.where(angle["bound_state"].isin([1, 2]), curve, np.nan)
        ax.plot(time, held, color=LIMIT, lw=2.6, marker=".", ms=5, label="at a limit of the range of motion")
    ax.set_ylim(lowest, highest)
    ax.set_xlim(*((time[0], time[-1]) if len(time) > 1 else time[0] + [-0.5, 0.5]))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    unframed(ax)


def unframed(*axes: Axes) -> None:
    """Take away the upper and right edge of the axes."""
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)


def _view(values: np.ndarray, rom: Sequence[float], smallest: float) -> tuple[float, float]:
    """Return the ends of a y axis that holds the finite values and the limits near them."""
    values = values[np.isfinite(values)]
    if not len(values):
        values = np.array([limit for limit in rom if math.isfinite(limit)] or [0.0])
    lowest, highest = float(values.min()), float(values.max())
    lacking = max(smallest - (highest - lowest), 0.0) / 2
    lowest, highest = lowest - lacking, highest + lacking
    near = 0.6 * (highest - lowest)
    shown = [lowest, highest, *(limit for limit in rom if lowest - near <= limit <= highest + near)]
    margin = 0.08 * (max(shown) - min(shown))
    return min(shown) - margin, max(shown) + margin


def _of_dof(truth: xr.Dataset | None, name: str) -> xr.DataArray | None:
    """Return the true angle of a DOF over time, if it is known."""
    if truth is None or name not in _variable(truth, "joint_angle", ("time", "dof"))["dof"].values:
        return None
    return truth["joint_angle"].sel(dof=name)


# ---- stick figures -------------------------------------------------------------------------------
def plot_key_frames(motion: xr.Dataset, count: int = 6, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw the body at ``count`` equally spaced times in a row, seen from its right front.

    The view is along a fixed direction of the chain's frame. Each figure is moved to its place in the
    row; heights stay. A measured point further than one body size from the body is left out.

    Returns
    -------
    tuple
        The figure and its only Axes.

    Raises
    ------
    DataError
        When ``count`` is below 1 or the joint positions are missing.
    """
    if count < 1:
        raise DataError(f"count of key frames is {count}; possible: 1 or more")
    scene = _scene(motion)
    frames = np.unique(_nearest(scene.time, np.linspace(scene.time[0], scene.time[-1], count)))
    low, high = _box(scene.around_centre()[frames])
    wide, tall = high - low
    if ax is None:
        size = max(2.6 * len(frames) * wide / tall, 3.6), 3.3
        ax = Figure(figsize=size, layout="constrained").add_subplot()
    floor = _seen(np.array([0, 0, scene.corners[0, 2]]))[1]
    ax.axhline(floor, color=GROUND, lw=1, zorder=0)
    for i, frame in enumerate(frames):
        _Body(ax, scene).show(frame, np.array([i * wide, 0]) - scene.centre[frame])
        ax.text(i * wide, low[1], f"{scene.time[frame]:.2f} s", ha="center", va="top", fontsize=9)
    ax.set_xlim(low[0], (len(frames) - 1) * wide + high[0])
    ax.set_ylim(low[1] - 0.1 * tall, high[1])
    ax.set_aspect("equal")
    ax.set_axis_off()
    above = {"bbox_to_anchor": (0.5, 1), "ncols": 4}
    ax.legend(handles=scene.legend(), loc="lower center", fontsize=8, frameon=False, **above)
    return cast(Figure, ax.figure), ax


def animate(motion: xr.Dataset, path: str | Path, fps: float | None = None, max_frames: int = 150) -> None:
    """Write a clip of the body over its measured points, in real time.

    The view is fixed to the ground and holds the whole motion; it follows a body that travels far. Where
    ``fps`` would need more than ``max_frames`` pictures, fewer are shown a second, at the same speed.

    Parameters
    ----------
    motion
        A motion with ``joint_position`` [m] and, where they exist, keypoint positions [m].
    path
        A ``.gif``, or an ``.mp4`` where the program ffmpeg is installed.
    fps
        Pictures a second [Hz], at most 50; by default the motion's own rate, at most 25.
    max_frames
        Upper limit of the number of pictures.

    Raises
    ------
    DataError
        For another file ending, a missing ffmpeg, an unusable number or missing joint positions.
    """
    path = Path(path)
    scene = _scene(motion)
    frames, interval = _clip_frames(scene.time, fps, max_frames)
    writer = _clip_writer(path, interval)
    follows = np.linalg.norm(np.ptp(scene.corners, axis=0)[:2]) > 3.5 * scene.size
    low, high = _box(scene.around_centre() if follows else scene.points())
    middle = scene.centre if follows else np.zeros_like(scene.centre)
    figure = _clip_figure(scene, high - low)
    ax, title = figure.axes[0], figure.texts[-1]
    body = _Body(ax, scene)
    with whole_file(path) as temporary, writer.saving(figure, str(temporary), dpi=80):
        for frame in frames:
            (left, bottom), (right, top) = middle[frame] + low, middle[frame] + high
            ax.axis((left, right, bottom, top))
            title.set_text(f"{scene.time[frame]:.2f} s")
            body.show(frame)
            writer.grab_frame()


def _clip_figure(scene: _Scene, extent: np.ndarray) -> Figure:
    """Make the picture of a view of ``extent`` [m], with ground, legend and a title to fill in."""
    width, height = np.maximum(5.6 * extent / extent.max(), [3.4, 2.0])
    figure = Figure(figsize=(width, height + 0.4))
    ax = figure.add_axes((0, 0, 1, height / (height + 0.4)))
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.add_collection(LineCollection(list(scene.ground()), colors=GROUND, linewidths=0.7, zorder=0))
    figure.text(0.99, 0.01, f"grid {scene.grid:g} m", ha="right", fontsize=7, color=MEASURED)
    figure.text(0.02, 0.98, "", va="top", fontsize=11)
    spaces = {"columnspacing": 1.0, "handletextpad": 0.4, "handlelength": 1.2}
    figure.legend(handles=scene.legend(), loc="upper right", ncols=4, fontsize=7, frameon=False, **spaces)
    return figure


def _clip_frames(time: np.ndarray, fps: float | None, max_frames: int) -> tuple[np.ndarray, float]:
    """Choose the frames of a clip and the time between two of them [s], in steps of 10 ms as in GIF."""
    if max_frames < 1:
        raise DataError(f"max_frames is {max_frames}; possible: 1 or more")
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise DataError(f"fps is {fps:g} Hz; possible: a positive number")
    duration = float(time[-1] - time[0])
    own = float(np.median(np.diff(time))) if len(time) > 1 else 0.0
    interval = max(0.04, own) if fps is None else max(0.02, 1 / fps)  # browsers slow down below 20 ms
    interval = max(interval, duration / max(max_frames - 1, 1))
    interval = math.ceil(100 * interval - 1e-6) / 100
    wanted = time[0] + interval * np.arange(math.floor(duration / interval + 1e-6) + 1)
    return _nearest(time, wanted[:max_frames]), interval


def _clip_writer(path: Path, interval: float) -> AbstractMovieWriter:
    if path.suffix.lower() not in CLIP_ENDINGS:
        options = ", ".join(CLIP_ENDINGS)
        raise DataError(f"{path}: no clip has the ending '{path.suffix}'; possible: {options}")
    # the writers take fractions of a picture a second; the one of GIF truncates 1000 / fps to whole ms
    rate: Any = float(np.nextafter(1 / interval, 0))
    if path.suffix.lower() == ".gif":
        return PillowWriter(fps=rate)
    if not FFMpegWriter.isAvailable():
        missing = "an .mp4 needs the program ffmpeg, which was not found"
        raise DataError(f"{path}: {missing}; write a .gif instead")
    return FFMpegWriter(fps=rate)


# ---- what the camera sees ------------------------------------------------------------------------
@dataclass(frozen=True)
class _Scene:
    """A motion in the picture of a far camera: across, up, and towards the camera [m]; NaN = missing."""

    time: np.ndarray  # (T,) s
    joints: np.ndarray  # (T, J, 3)
    bones: np.ndarray  # (T, B, 2, 3)
    measured: np.ndarray  # (T, K, 3)
    sides: list[str]  # (B,)
    centre: np.ndarray  # (T, 2) the ground's origin moved to below the body
    corners: np.ndarray  # (2, 3) lowest and highest forward, left, up of the motion, not in the picture
    size: float  # m, diagonal of the body

    def points(self) -> np.ndarray:
        """All points in the picture: (T, P, 2)."""
        bones = self.bones.reshape(len(self.time), -1, 3)
        return np.concatenate([self.joints, bones, self.measured], axis=1)[..., :2]

    def around_centre(self) -> np.ndarray:
        """All points in the picture, relative to where the body stands: (T, P, 2)."""
        return self.points() - self.centre[:, None]

    @property
    def grid(self) -> float:
        """Distance between the lines of the ground [m]: 0.5 for a human, in tenfolds for other bodies."""
        return 0.5 * 10.0 ** round(math.log10(self.size))

    def ground(self) -> np.ndarray:
        """Lines of a square grid on the ground below the whole motion: (L, 2, 2)."""
        first = np.floor(self.corners[0] / self.grid - 0.5) * self.grid
        last = np.ceil(self.corners[1] / self.grid + 0.5) * self.grid
        floor = self.corners[0, 2]
        xs, ys = (np.arange(first[i], last[i] + self.grid / 2, self.grid) for i in (0, 1))
        along = [[(first[0], y, floor), (last[0], y, floor)] for y in ys]
        across = [[(x, first[1], floor), (x, last[1], floor)] for x in xs]
        return _seen(np.array(along + across))[..., :2]

    def legend(self) -> list[Line2D]:
        """Return the handles of what is drawn."""
        sides = [side for side in SIDE_COLOURS if side in self.sides]
        handles = [Line2D([], [], color=SIDE_COLOURS[side], lw=2.5, label=side) for side in sides]
        if np.isfinite(self.measured).any():
            handles.append(_measured_dots())
        return handles


def _measured_dots() -> Line2D:
    style: dict[str, Any] = {"linestyle": "", "marker": "o", "fillstyle": "none", "markersize": 4}
    return Line2D([], [], color=MEASURED, markeredgewidth=0.8, label="measured", zorder=4, **style)


class _Body:
    """The artists of one body, made once and moved from frame to frame."""

    def __init__(self, ax: Axes, scene: _Scene):
        self.scene = scene
        self.bones = LineCollection([], linewidths=2.5, capstyle="round", zorder=2)
        ax.add_collection(self.bones, autolim=False)
        (self.joints,) = ax.plot([], [], ls="", marker=".", ms=4, color=SIDE_COLOURS["middle"], zorder=3)
        self.measured = ax.add_line(_measured_dots())

    def show(self, frame: int, shift: np.ndarray | float = 0.0) -> None:
        """Draw a frame moved by ``shift`` [m] in the picture; near bones hide far ones."""
        bones = self.scene.bones[frame]
        order = np.argsort(bones[..., 2].mean(axis=1))
        self.bones.set_segments(list(bones[order, :, :2] + shift))
        self.bones.set_color([SIDE_COLOURS[self.scene.sides[i]] for i in order])
        self.joints.set_data(*(self.scene.joints[frame, :, :2] + shift).T)
        self.measured.set_data(*(self.scene.measured[frame, :, :2] + shift).T)


def _scene(motion: xr.Dataset) -> _Scene:
    """Gather points and bones, seen from the right front of the chain's frame."""
    chain = _chain(motion)
    _variable(motion, "joint_position", ("time", "joint", "space"))
    joints = _points(motion, "joint_position", chain.joint_names, chain)
    measured = _points(motion, "keypoint_observed", tuple(chain.keypoints), chain)
    tips = [name for name, site in chain.keypoints.items() if math.hypot(*site.offset) > 0.01]
    holders = [chain.joint_names.index(chain.keypoints[name].joint) for name in tips]
    children = [i for i, parent in enumerate(chain.parents) if parent >= 0]
    starts = joints[:, [chain.parents[i] for i in children] + holders]
    ends = np.concatenate([joints[:, children], _points(motion, "keypoint_position", tips, chain)], axis=1)
    sides = [_side(chain.joint_names[i])[1] for i in children]
    for name, holder in zip(tips, holders, strict=True):  # a toe without side has its foot's
        own = _side(name)[1]
        sides.append(_side(chain.joint_names[holder])[1] if own == "middle" else own)

    time = motion["time"].values
    body = np.concatenate([joints, ends], axis=1)
    low, high = np.fmin.reduce(body, axis=1), np.fmax.reduce(body, axis=1)
    sizes = np.linalg.norm(high - low, axis=1)
    size = float(np.median(sizes[np.isfinite(sizes)])) if np.isfinite(sizes).any() else 0.0
    middle = _filled(time, (low + high) / 2)
    measured[np.linalg.norm(measured - middle[:, None], axis=2) > (size or np.inf)] = np.nan
    return _Scene(
        time=time,
        joints=_seen(joints),
        bones=_seen(np.stack([starts, ends], axis=2)),
        measured=_seen(measured),
        sides=sides,
        centre=_seen(middle * [1, 1, 0])[:, :2],
        corners=np.nan_to_num(np.stack([np.fmin.reduce(low), np.fmax.reduce(high)])),
        size=size or 1.0,
    )


def _seen(points: np.ndarray) -> np.ndarray:
    """Turn forward, left, up into across, up, towards a camera 35° before the right side and 12° up."""
    turn, rise = math.radians(35), math.radians(12)
    across = np.array([math.cos(turn), math.sin(turn), 0])
    level = np.array([math.sin(turn), -math.cos(turn), 0])
    up = np.array([0, 0, 1])
    towards = math.cos(rise) * level + math.sin(rise) * up
    return points @ np.stack([across, math.cos(rise) * up - math.sin(rise) * level, towards], axis=1)


def _filled(time: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Interpolate (T, 3) over the frames that are missing; zero when all are."""
    known = np.isfinite(points).all(axis=1)
    if not known.any():
        return np.zeros_like(points)
    return np.stack([np.interp(time, time[known], column[known]) for column in points.T], axis=1)


def _box(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower left and upper right corner of all finite points, with a margin."""
    flat = points.reshape(-1, 2)
    low, high = (np.nan_to_num(end.reduce(flat)) for end in (np.fmin, np.fmax))
    margin = 0.05 * (max(high - low) or 1.0)
    return low - margin, high + margin


# ---- what a motion says --------------------------------------------------------------------------
def _chain(motion: xr.Dataset) -> Chain:
    """Read the chain of a motion from the text it carries."""
    if "chain_yaml" not in motion.attrs:
        raise DataError("motion has no attribute 'chain_yaml', the text of the chain it was solved with")
    return chain_from_yaml(motion.attrs["chain_yaml"], "attribute 'chain_yaml' of the motion")


def _variable(motion: xr.Dataset, name: str, dims: tuple[str, ...]) -> xr.DataArray:
    """Return a variable with just these dimensions, in this order."""
    if name not in motion:
        raise DataError(f"motion has no variable '{name}'; {possible(name, map(str, motion.data_vars))}")
    if set(motion[name].dims) != set(dims):
        found = ", ".join(map(str, motion[name].dims))
        raise DataError(f"motion: '{name}' has dims {found}; possible: {', '.join(dims)} (select one case)")
    if not motion.sizes["time"]:
        raise DataError(f"motion: '{name}' has no frames; possible: 1 or more")
    return motion[name].transpose(*dims)


def _points(motion: xr.Dataset, name: str, points: Sequence[str], chain: Chain) -> np.ndarray:
    """Forward, left, up of the named points (T, P, 3) [m]; NaN for what the motion does not have."""
    if name not in motion:
        return np.full((motion.sizes["time"], len(points), 3), np.nan)
    kind = "joint" if name.startswith("joint") else "keypoint"
    position = _variable(motion, name, ("time", kind, "space"))
    found = position.reindex({kind: list(points), "space": ["x", "y", "z"]}).values.astype(float)
    axes = [chain.frame[axis] for axis in ("forward", "left", "up")]
    signs = [-1.0 if axis.startswith("-") else 1.0 for axis in axes]
    return found[..., ["xyz".index(axis[-1]) for axis in axes]] * signs


def _side(name: str) -> tuple[str, str]:
    """Split a name into the rest and its side: right, left or middle."""
    for pattern in SIDES:
        if match := pattern.search(name):
            side = (match[1] or match[2])[0].lower()
            return name.replace(match[0], "", 1).lower(), "right" if side == "r" else "left"
    return name.lower(), "middle"


def side_of(name: str) -> str:
    """Return the side that a name tells: right, left or middle."""
    return _side(name)[1]


def _nearest(time: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Index of the frame nearest to every wanted time."""
    return np.abs(time[:, None] - wanted).argmin(axis=0)


# ---- files -----------------------------------------------------------------------------------------
def save_figure(fig: Figure, path: str | Path, dpi: float = 150) -> None:
    """Write a figure as .png, .pdf or .svg, whole or not at all; ``dpi`` [1/inch] is the .png's resolution.

    Raises
    ------
    DataError
        For another file ending, or when the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FIGURE_ENDINGS:
        options = ", ".join(FIGURE_ENDINGS)
        raise DataError(f"{path}: no figure has the ending '{path.suffix}'; possible: {options}")
    with whole_file(path) as temporary:
        fig.savefig(temporary, dpi=dpi, format=path.suffix[1:].lower())
