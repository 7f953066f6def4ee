"""The errors of kinepose_ocp: what was given, where, and what is possible."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr


class KineposeError(Exception):
    """Base of all errors that a user can cause and mend."""


class ModelError(KineposeError):
    """A chain or layout file, or a change asked of a chain, is not usable."""


class DataError(KineposeError):
    """A keypoint or motion file, or its content, is not usable."""


class SolveError(KineposeError):
    """The solver did not converge; ``motion`` holds its last iterate."""

    def __init__(self, message: str, motion: xr.Dataset | None = None):
        super().__init__(message)
        self.motion = motion


def possible(name: str, options: Iterable[str]) -> str:
    """Return the tail of an error message: the nearest option, or the list of all."""
    options = [str(option) for option in options]
    near = difflib.get_close_matches(str(name), options, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    shown = ", ".join(options[:30]) + (", ..." if len(options) > 30 else "")
    return f"possible: {shown}" if options else "there are none"
