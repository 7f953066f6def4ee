"""What all figures share: colours of the sides, edges of the axes, files.

Colours tell the side (right red, left blue, middle grey) and stay apart for colour-blind eyes (Paul Tol's
"vibrant" scheme, https://personal.sron.nl/~pault).
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kinepose_ocp.errors import DataError
from kinepose_ocp.io.atomic import whole_file

SIDE_COLOURS = {"right": "#CC3311", "middle": "#444444", "left": "#0077BB"}
FIGURE_ENDINGS = (".png", ".pdf", ".svg")


def unframed(*axes: Axes) -> None:
    """Take away the upper and right edge of the axes."""
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)


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
