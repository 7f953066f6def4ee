"""KinePose text files: frames * points rows of x, y, z [m]; no names, no sampling rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from kinepose_ocp.errors import DataError
from kinepose_ocp.io.sampling import sampling_rate
from kinepose_ocp.io.text import numbers, read_text
from kinepose_ocp.keypoints import make_keypoints
from kinepose_ocp.layouts import Layout, load_layout

LAYOUT = "h36m17"  # what KinePose itself reads


def read(path: Path, layout: Layout | None, rate: float | None) -> xr.Dataset:
    """Read a text file; ``layout`` (default h36m17) gives the number of points and their names.

    Raises
    ------
    DataError
        For rows that are not three numbers, a number of rows that the points of the layout do not divide,
        or no ``rate`` [Hz].
    """
    layout = layout or load_layout(LAYOUT)
    rows = []
    for line, text in enumerate(read_text(path).splitlines(), start=1):
        cells = text.split()
        if not cells or cells[0].startswith("#"):
            continue
        if len(cells) != 3:
            raise DataError(f"{path}: line {line}: expected 3 numbers (x y z), found {len(cells)} values")
        rows.append(numbers(cells, path, line))
    count = len(layout.points)
    if len(rows) % count:
        raise DataError(
            f"{path}: {len(rows)} rows are not a multiple of the {count} points of layout '{layout.name}'"
        )
    position = np.array(rows).reshape(-1, count, 3)
    return make_keypoints(position, layout.points, rate=sampling_rate(None, rate, str(path)), place=str(path))
