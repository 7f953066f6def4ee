"""The sampling rate: what a file says of it, and what the user says."""

from __future__ import annotations

import numpy as np

from kinepose_ocp.errors import DataError
from kinepose_ocp.keypoints import check_rate

_TOLERANCE = 0.01  # 59.94 and 60 Hz agree; 50 and 60 Hz do not


def sampling_rate(in_file: float | None, given: float | None, place: str) -> float:
    """Return the sampling rate [Hz]: the file's where it has one, else the one given.

    Raises
    ------
    DataError
        When there is none, it is not possible, or the two differ by more than 1 %.
    """
    if in_file is None:
        if given is None:
            raise DataError(f"{place}: has no sampling rate; give it with --rate (Hz)")
        return check_rate(given, place)
    check_rate(in_file, place)
    if given is not None and abs(given / in_file - 1) > _TOLERANCE:
        raise _contradiction(in_file, given, place)
    return in_file


def check_given_rate(time: np.ndarray, given: float | None, place: str) -> None:
    """Refuse a given rate [Hz] that contradicts the times [s] of a file.

    Either the mean or the median step may agree: rounded times spoil the median, left out frames the mean.
    """
    if given is not None and not agree(time, given):
        raise _contradiction((len(time) - 1) / (time[-1] - time[0]), given, place)


def agree(time: np.ndarray, rate: float) -> bool:
    """Whether times [s] run at this rate [Hz]; a single frame, or times that do not increase, cannot tell."""
    steps = np.diff(time)
    if not (steps.size and (steps > 0).all()):
        return True
    return any(abs(step * rate - 1) <= _TOLERANCE for step in (np.mean(steps), np.median(steps)))


def _contradiction(in_file: float, given: float, place: str) -> DataError:
    return DataError(f"{place}: the file is sampled at {in_file:g} Hz, but the rate given is {given:g} Hz")
