"""Lengths of segments as shares of the stature, as published of adults.

The numbers are quoted from the tables as they are commonly cited, each with its end points:

* Drillis & Contini 1966, Body Segment Parameters, as drawn in Winter, Biomechanics and Motor Control of Human
  Movement, 4th ed. 2009, fig. 4.1 (fractions of the stature);
* de Leva 1996, J Biomech 29:1223-1230, table 4 with its alternative end points: lengths between joint centres
  of 100 men (stature 1741 mm) and 15 women (1735 mm), all young.

The file imports nothing: ``models/surface/build.py`` reads it without this package.
"""

MEN, WOMEN = 1741.0, 1735.0  # mm, statures of de Leva's samples
WINTER, LEVA_MEN, LEVA_WOMEN = "Drillis & Contini 1966", "de Leva 1996, men", "de Leva 1996, women"


def _shares(men: float, women: float, winter: float | None = None) -> dict[str, float]:
    """Shares of the stature of lengths in de Leva's samples [mm], and Winter's share [1]."""
    found = {LEVA_MEN: men / MEN, LEVA_WOMEN: women / WOMEN}
    return found if winter is None else {WINTER: winter, **found}


PUBLISHED = {  # of the stature [1]
    "thigh (hip - knee)": _shares(422.2, 368.5, 0.245),
    "shank (knee - ankle)": _shares(440.3, 438.6, 0.246),
    "foot (heel - toe tip)": _shares(258.1, 228.3, 0.152),
    "upper arm (shoulder - elbow)": _shares(281.7, 275.1, 0.186),
    "forearm (elbow - wrist)": _shares(268.9, 264.3, 0.146),
    "hand (wrist - third knuckle)": _shares(86.2, 78.0),
    "trunk (middle of hips - of shoulders)": _shares(515.5, 497.9, 0.818 - 0.530),
    "head and neck (C7 - top of the head)": _shares(242.9, 243.7),
}
