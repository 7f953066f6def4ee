"""An evaluation as files: ``evaluation.nc``, ``table.md``, figures, and ``report.html`` with all of it."""

from __future__ import annotations

import base64
import html
import math
from pathlib import Path

import xarray as xr

from kinepose_ocp import io
from kinepose_ocp.cases import ALWAYS
from kinepose_ocp.evaluate import METRICS, missed
from kinepose_ocp.evaluation_figures import figures
from kinepose_ocp.io.atomic import whole_file
from kinepose_ocp.plotting import save_figure

COLUMNS = {  # of the table: heading, metric, digits
    "MPJAS world": ("mpjas_global", 1),
    "own": ("mpjas_local", 1),
    "world, legs": ("mpjas_global_lower_limbs", 1),
    "own, legs": ("mpjas_local_lower_limbs", 1),
    "above hinge <10°": ("above_hinge_below_10", 1),
    "10-20°": ("above_hinge_10_to_20", 1),
    ">20°": ("above_hinge_over_20", 1),
    "shown": ("shown", 1),
    "hidden": ("hidden", 1),
    ">90° wrong [%]": ("over_90", 1),
    "over ROM": ("rom_violation", 2),
    "jitter [m/s³]": ("jitter", 0),
    "points [mm]": ("keypoint_error", 1),
    "ms/frame": ("milliseconds", 1),
}
CLIP_COLUMNS = {"full": ("mpjas_full", 1), "hinge": ("mpjas_hinge", 1), "direction": ("direction_error", 1)}
TITLES = {
    "mpjas": "Mean angular error by case",
    "flexion": "Error against the bend of the hinge below: a straight limb hides the twist above",
    "noise": "Error against measurement noise",
    "sampling_rate": "The same motion at different sampling rates: more frames average more noise",
}
STYLE = """body{font:15px/1.45 sans-serif;max-width:1250px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;font-size:12px}
td,th{padding:3px 7px;text-align:right;border-bottom:1px solid #ddd}
td:first-child,th:first-child,td.text{text-align:left}tr.missed td:first-child{color:#c31;font-weight:bold}
div.wide{overflow-x:auto}img{max-width:100%}dt{font-weight:bold}dd{margin:0 0 .3em 1.5em}"""


def write_report(result: xr.Dataset, folder: Path, command: str = "") -> None:
    """Write everything into a folder.

    Parameters
    ----------
    command
        The command line that made it, to be told.

    Raises
    ------
    DataError
        For a place that cannot be written.
    """
    result = result.assign_attrs(command=command)
    io.write(result, folder / "evaluation.nc")
    drawn = figures(result)
    for name, figure in drawn.items():
        save_figure(figure, folder / f"{name}.png", dpi=110)
    _write(folder / "table.md", markdown(result))
    pictures = {name: base64.b64encode((folder / f"{name}.png").read_bytes()).decode() for name in drawn}
    _write(folder / "report.html", page(result, pictures))


def table(result: xr.Dataset) -> list[list[str]]:
    """Rows of text, the heading first; the last column says by how much each limit is passed or missed."""
    columns = dict(COLUMNS)
    if result["value"].sel(metric=[metric for metric, _ in CLIP_COLUMNS.values()]).notnull().any():
        columns |= CLIP_COLUMNS
    rows = [["case", "frames", *columns, "converged", "limits"]]
    for name in result["case"].values:
        one = result.sel(case=name)
        value = {metric: float(one["value"].sel(metric=metric)) for metric in METRICS}
        limit = {metric: float(one["limit"].sel(metric=metric)) for metric in METRICS}
        numbers = [_number(value[metric], digits) for metric, digits in columns.values()]
        converged = "no" if value["not_converged"] else "yes"
        rows.append([str(name), str(int(one["frames"])), *numbers, converged, _verdict(value, limit)])
    return rows


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _verdict(value: dict[str, float], limit: dict[str, float]) -> str:
    """Every limit that is stated with what is left of it; those that only a fault exceeds, only then."""
    said = []
    for metric, most in limit.items():
        if math.isnan(most):
            continue
        fails = not value[metric] <= most
        if fails:
            said.append(f"MISSED {metric}: {value[metric]:.3g} > {most:g}")
        elif metric not in ALWAYS:
            said.append(
                f"{metric} {value[metric]:.1f} of {most:g} ({100 * (1 - value[metric] / most):.0f} % left)"
            )
    return "; ".join(said) or (
        "passed" if any(not math.isnan(most) for most in limit.values()) else "none stated"
    )


def markdown(result: xr.Dataset) -> str:
    """The table and what made it, as Markdown."""
    heading, *rows = table(result)
    lines = [f"# {result.attrs['title']}", "", summary_line(result), ""]
    lines += [f"| {' | '.join(heading)} |", f"|---|{'---:|' * (len(heading) - 2)}---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    lines += ["", "Angles in degree. What each case is for:", ""]
    lines += [f"* **{name}**: {text}." for name, text in _purposes(result)]
    lines += ["", *(f"* {name}: {text}" for name, text in _made_by(result))]
    return "\n".join(lines) + "\n"


def page(result: xr.Dataset, pictures: dict[str, str]) -> str:
    """The whole report as one HTML page; ``pictures`` are base64 PNGs by the names of the figures."""
    escape, (heading, *rows) = html.escape, table(result)
    cells = "".join(f"<th>{escape(text)}</th>" for text in heading)
    body = [f"<tr>{cells}</tr>"]
    lost = missed(result)
    for row in rows:
        cells = "".join(f"<td>{escape(text)}</td>" for text in row[:-1])
        kind = ' class="missed"' if row[0] in lost else ""
        body.append(f'<tr{kind}>{cells}<td class="text">{escape(row[-1])}</td></tr>')
    meanings = [(name, f"{text} [{unit}]") for name, (unit, text) in METRICS.items()]
    parts = [
        f"<h1>{escape(result.attrs['title'])}</h1><p>{escape(summary_line(result))}</p>",
        *(
            f'<h2>{escape(TITLES.get(name, name))}</h2><img alt="{name}" src="data:image/png;base64,{data}">'
            for name, data in pictures.items()
        ),
        f'<h2>All numbers</h2><p>Angles in degree.</p><div class="wide"><table>{"".join(body)}</table></div>',
        f"<h2>The cases</h2>{_definitions(_purposes(result))}",
        f"<h2>The metrics</h2>{_definitions(meanings)}",
        f"<h2>What made this</h2>{_definitions(_made_by(result))}",
    ]
    head = f'<meta charset="utf-8"><title>{escape(result.attrs["title"])}</title><style>{STYLE}</style>'
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _definitions(pairs: list[tuple[str, str]]) -> str:
    inside = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in pairs)
    return f"<dl>{inside}</dl>"


def summary_line(result: xr.Dataset) -> str:
    """One sentence: how many cases pass."""
    judged = int(result["limit"].notnull().any("metric").sum())
    lost = missed(result)
    names = f": {', '.join(lost)}" if lost else ""
    return f"{judged - len(lost)} of {judged} cases with stated limits pass; {len(lost)} do not{names}."


def _purposes(result: xr.Dataset) -> list[tuple[str, str]]:
    return [
        (str(name), str(text))
        for name, text in zip(result["case"].values, result["purpose"].values, strict=True)
    ]


def _made_by(result: xr.Dataset) -> list[tuple[str, str]]:
    """Command, versions and seeds."""
    seeds = sorted({int(seed) for seed in result["seed"].values if seed >= 0})
    told = {name: str(value) for name, value in result.attrs.items() if name != "title"}
    return [*told.items(), ("seeds", ", ".join(map(str, seeds)))]


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
