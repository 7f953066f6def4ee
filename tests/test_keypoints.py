"""The keypoints Dataset: what is made, what is taken, what is refused."""

import re

import numpy as np
import pytest
import xarray as xr

from kinepose_ocp.chain_file import chain_from_data, load_chain
from kinepose_ocp.errors import DataError
from kinepose_ocp.keypoints import check_keypoints, check_size, for_chain, make_keypoints
from kinepose_ocp.layouts import Layout, load_layout

NAMES = ["hip", "knee", "ankle"]


def positions(frames=4, points=3):
    return np.random.default_rng(7).normal(size=(frames, points, 3))


def refused(message):
    return pytest.raises(DataError, match=f"^{re.escape(message)}$")


@pytest.fixture
def leg():
    """A leg that bends at rest: the knee frame is turned by 90 degrees about y."""
    return chain_from_data(
        {
            "schema": 1,
            "name": "leg",
            "source": "made for this test",
            "joints": [
                {"name": "hip", "parent": None, "offset": [0, 0, 1]},
                {
                    "name": "knee",
                    "parent": "hip",
                    "offset": [0, 0, -0.4],
                    "orientation": [0.5**0.5, 0, 0.5**0.5, 0],
                },
                {"name": "ankle", "parent": "knee", "offset": [0, 0, -0.3]},
            ],
            "keypoints": {name: {"joint": name} for name in NAMES}
            | {"toe": {"joint": "ankle", "offset": [0.2, 0, 0]}},
        },
        "leg.yaml",
    )


LEG_AT_REST = np.array([[[0, 0, 1], [0, 0, 0.6], [-0.3, 0, 0.6]]])  # by hand


# ---- making
def test_made_dataset_follows_the_schema():
    ds = make_keypoints(positions().astype("float32"), NAMES, rate=50)
    assert ds["position"].dims == ("time", "keypoint", "space")
    assert ds["confidence"].dims == ("time", "keypoint")
    assert ds["position"].dtype == ds["confidence"].dtype == ds["time"].dtype == np.float64
    np.testing.assert_array_equal(ds["time"], [0, 0.02, 0.04, 0.06])
    assert list(ds["keypoint"].values) == NAMES and list(ds["space"].values) == ["x", "y", "z"]
    assert (ds["confidence"] == 1).all()
    units = {name: ds[name].attrs["units"] for name in ("position", "confidence", "time")}
    assert units == {"position": "m", "confidence": "1", "time": "s"}


def test_missing_points_and_confidence_count_as_zero():
    position = positions()
    position[1, 2, 0] = np.nan
    ds = make_keypoints(position, NAMES, time=[1, 2, 4, 5], confidence=[[0.5, np.nan, 1]] * 4)
    np.testing.assert_array_equal(ds["confidence"], [[0.5, 0, 1], [0.5, 0, 0], [0.5, 0, 1], [0.5, 0, 1]])
    assert ds["position"][1, 2].isnull().all()  # one lost coordinate, lost point
    assert ds["position"].isnull().sum() == 3
    assert not np.isnan(position[1, 2, 1])  # the caller's array stays as it was


def test_one_frame_is_enough():
    assert make_keypoints(positions(1), NAMES, rate=50).sizes["time"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": [0, 1, 2, 3]}, "give either the sampling rate [Hz] or the times [s]"),
        ({"rate": None}, "give either the sampling rate [Hz] or the times [s]"),
        ({"rate": 0}, "a sampling rate of 0 Hz is not possible; it must be above 0"),
        ({"rate": np.inf}, "a sampling rate of inf Hz is not possible; it must be above 0"),
        ({"names": ["hip", "knee"]}, "position has shape (4, 3, 3); 2 names need (frames, 2, 3)"),
        ({"names": ["hip", "knee", "hip"]}, "keypoint names must be unique; given more than once: hip"),
        ({"position": positions()[:, :, :2]}, "position has shape (4, 3, 2); 3 names need (frames, 3, 3)"),
        ({"position": positions(0)}, "there is no frame"),
        ({"position": positions(4, 0), "names": []}, "there is no keypoint"),
        ({"position": [["a"]]}, "position must be numbers, found <U1"),
        ({"position": [[[1, 2, 3], [1, 2]]]}, "position is no regular array: its rows differ in length"),
        (
            {"position": np.full((4, 3, 3), np.nan)},
            "no usable point: every position is missing (NaN) or has confidence 0",
        ),
        ({"confidence": np.ones((4, 2))}, "confidence has shape (4, 2); position needs (4, 3)"),
        ({"confidence": np.full((4, 3), 1.5)}, "confidence 1.5 of 'hip' at 0 s is outside 0..1"),
        ({"confidence": np.full((4, 3), -0.1)}, "confidence -0.1 of 'hip' at 0 s is outside 0..1"),
        ({"rate": None, "time": [0, 1, 2]}, "time has shape (3,); position needs (4,)"),
        ({"rate": None, "time": [0, 1, 1, 2]}, "time must increase; frame 3 is at 1 s after 1 s"),
        ({"rate": None, "time": [0, np.nan, 1, 2]}, "time of frame 2 is not a finite number"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    given = {"position": positions(), "names": NAMES, "rate": 50, "place": "walk.csv"} | change
    with refused(f"walk.csv: {message}"):
        make_keypoints(given.pop("position"), given.pop("names"), **given)


def test_infinite_position_is_refused():
    position = positions()
    position[2, 1, 0] = -np.inf
    with refused("keypoints: position of 'knee' at 0.04 s is infinite; NaN means missing"):
        make_keypoints(position, NAMES, rate=50)


# ---- checking
def movement(individuals=1, plural="s", space=("x", "y", "z"), **attrs):
    """A dataset as the `movement` package makes it: float32, other order of dims, NaN confidence."""
    position = np.moveaxis(positions(), 1, 2)[:, : len(space), :, None].astype("float32")
    dims = ("time", "space", f"keypoint{plural}", f"individual{plural}")
    return xr.Dataset(
        {
            "position": (dims, np.repeat(position, individuals, axis=3)),
            "confidence": ((dims[0], *dims[2:]), np.full((4, 3, individuals), np.nan, "float32")),
        },
        {
            "time": np.arange(4) / 50,
            "space": list(space),
            dims[2]: NAMES,
            dims[3]: [f"id_{i}" for i in range(individuals)],
        },
        {"source_software": None, "ds_type": "poses", "time_unit": "seconds", "log": [{}], "fps": 50.0}
        | attrs,
    )


@pytest.mark.parametrize("plural", ["", "s"])
def test_movement_dataset_is_taken_as_it_is(plural):
    ds = check_keypoints(movement(plural=plural), "walk.nc")
    expected = make_keypoints(positions().astype("float32"), NAMES, rate=50)
    xr.testing.assert_equal(ds, expected)
    assert ds.attrs == {"ds_type": "poses", "time_unit": "seconds", "fps": 50.0}


def test_movement_individual_selected_by_the_user():
    two = movement(individuals=2)
    with refused(
        "keypoints: one individual is needed, found 2: id_0, id_1; "
        "select one, e.g. ds.sel(individuals='id_0')"
    ):
        check_keypoints(two)
    xr.testing.assert_equal(check_keypoints(two.sel(individuals="id_1")), check_keypoints(movement()))


def test_check_is_idempotent_and_sorts_space():
    ds = make_keypoints(positions(), NAMES, rate=50)
    xr.testing.assert_identical(check_keypoints(ds), ds)
    shuffled = ds.isel(space=[2, 0, 1]).transpose("space", "keypoint", "time")
    xr.testing.assert_identical(check_keypoints(shuffled), ds)


def test_confidence_defaults_to_one():
    ds = make_keypoints(positions(), NAMES, rate=50)
    xr.testing.assert_identical(check_keypoints(ds.drop_vars("confidence")), ds)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda ds: [1], "keypoints are an xarray.Dataset, found list"),
        (lambda ds: ds.rename(position="positoin"), "no variable 'position'; did you mean 'positoin'?"),
        (lambda ds: ds.isel(space=0), "position has dims time, keypoint; needed: time, keypoint, space"),
        (lambda ds: ds.drop_vars("time"), "no coordinate 'time'; possible: keypoint, space"),
        (lambda ds: ds.isel(space=[0, 1]), "space has 2 axes (x, y); needed: x, y, z"),
        (lambda ds: ds.assign(confidence=ds.confidence[0]),
         "confidence has dims keypoint; needed: time, keypoint"),
        (
            lambda ds: ds.assign_coords(time=ds.time.values.astype("M8[s]")),
            "time must be numbers, found datetime64[s]",
        ),
        (lambda ds: ds.assign_attrs(time_unit="frames"),
         "time counts frames; elapsed seconds are needed: load it with fps (Hz)"),
        (lambda ds: ds.assign(position=ds.position.assign_attrs(units="mm")),
         "position is in 'mm'; possible: 'm'"),
    ],
)  # fmt: skip
def test_other_datasets_are_refused(make, message):
    with refused(f"walk.nc: {message}"):
        check_keypoints(make(make_keypoints(positions(), NAMES, rate=50)), "walk.nc")


# ---- fitting a chain
def test_for_chain_orders_and_drops(leg):
    ds = for_chain(make_keypoints(positions(), ["ankle", "ear", "hip"], rate=50), leg)
    assert list(ds["keypoint"].values) == ["hip", "ankle"]
    np.testing.assert_array_equal(ds["position"], positions()[:, [2, 0]])
    assert ds.attrs["ignored_keypoints"] == "ear"
    assert "ignored_keypoints" not in for_chain(make_keypoints(positions(), NAMES, rate=50), leg).attrs


def test_for_chain_repeats_a_point_of_the_layout(leg):
    layout = Layout("feet", ("a", "b", "c"), {"a": ("toe", "ankle", "tail"), "b": (), "c": ("hip",)})
    ds = for_chain(make_keypoints(positions(), ["a", "b", "c"], rate=50), leg, layout)
    assert list(ds["keypoint"].values) == ["hip", "ankle", "toe"]
    np.testing.assert_array_equal(ds["position"], positions()[:, [2, 0, 0]])
    assert ds.attrs["ignored_keypoints"] == "b"


def test_for_chain_with_shipped_layout_and_chain():
    layout, chain = load_layout("h36m17"), load_chain("imvip22")
    ds = for_chain(make_keypoints(positions(2, 17), layout.points, rate=50), chain, layout)
    assert set(ds["keypoint"].values) <= set(chain.keypoints)
    right = ds["position"].sel(keypoint="knee_right")
    np.testing.assert_array_equal(right, positions(2, 17)[:, layout.points.index("right_knee")])


def test_for_chain_without_common_points(leg):
    ds = make_keypoints(positions(), ["a", "b", "c"], rate=50)
    with refused(
        "walk.csv: no point in common with chain 'leg': the points are a, b, c; "
        "the keypoints of the chain are hip, knee, ankle, toe"
    ):
        for_chain(ds, leg, place="walk.csv")
    with pytest.raises(DataError, match=r"the points, read with layout 'h36m17', are a, b, c; "):
        for_chain(ds, leg, load_layout("h36m17"))


def test_for_chain_refuses_two_points_for_one_keypoint(leg):
    layout = Layout("twice", ("a", "b"), {"a": ("hip",), "b": ("hip", "knee")})
    with refused("keypoints: points 'a' and 'b' both stand for keypoint 'hip'"):
        for_chain(make_keypoints(positions(4, 2), ["a", "b"], rate=50), leg, layout)


def test_for_chain_refuses_common_points_without_data(leg):
    position = positions(4, 2)
    position[:, 0] = np.nan
    with pytest.raises(DataError, match="no usable point"):
        for_chain(make_keypoints(position, ["hip", "ear"], rate=50), leg)


# ---- size
def at_scale(scale, names=NAMES):
    return make_keypoints(np.repeat(LEG_AT_REST * scale, 3, axis=0)[:, : len(names)], names, rate=50)


@pytest.mark.parametrize("scale", [0.21, 1, 4.9])
def test_size_of_people_is_fine(leg, scale):
    check_size(at_scale(scale), leg)


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (1000, "looks like millimetres; positions are in metres: divide by 1000 "
               "(distances between points are 1e+03 times those of chain 'leg')"),
        (60, "looks like centimetres; positions are in metres: divide by 100 "
             "(distances between points are 60 times those of chain 'leg')"),
        (0.01, "positions are in metres, but distances between points are 0.01 times those of chain 'leg'; "
               "possible: 0.2 to 5 times"),
        (10, "positions are in metres, but distances between points are 10 times those of chain 'leg'; "
             "possible: 0.2 to 5 times"),
        (0, "in every frame all points coincide; no distance between them is above 0"),
    ],
)  # fmt: skip
def test_size_in_other_units_is_refused(leg, scale, message):
    with refused(f"walk.trc: {message}"):
        check_size(at_scale(scale), leg, "walk.trc")


def test_size_needs_two_common_points_and_ignores_gaps(leg):
    check_size(at_scale(1000, ["hip"]), leg)
    check_size(at_scale(1000, ["ear", "nose", "hip"]), leg)
    ds = at_scale(1000)
    ds["position"][:, :2] = np.nan
    check_size(ds, leg)  # never two points in one frame
    gaps = at_scale(1000)
    gaps["position"][1:, 0] = np.nan
    with pytest.raises(DataError, match="millimetres"):
        check_size(gaps, leg)


def test_size_of_a_repeated_point_is_not_counted(leg):
    layout = Layout("feet", ("hip", "foot"), {"hip": ("hip",), "foot": ("ankle", "toe")})
    ds = make_keypoints(LEG_AT_REST[:, [0, 2]], ["hip", "foot"], rate=50)
    check_size(for_chain(ds, leg, layout), leg)


def test_size_of_the_shipped_chain_at_the_scale_of_a_person():
    chain = load_chain("imvip22")
    names = list(chain.keypoints)
    body = np.random.default_rng(3).normal(scale=0.3, size=(20, len(names), 3))  # m, spread of a body
    check_size(make_keypoints(body, names, rate=50), chain)
    with pytest.raises(DataError, match="millimetres"):
        check_size(make_keypoints(body * 1000, names, rate=50), chain)
