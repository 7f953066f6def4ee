"""Pickles of foreign arrays: what is read, and that nothing in them runs."""

import pickle
import sys
import types

import numpy as np
import pytest
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix

from kinepose_ocp.errors import DataError
from kinepose_ocp.io.chumpy_pickle import read_pickled_arrays

VALUES = np.arange(12.0).reshape(4, 3)


@pytest.fixture
def chumpy(monkeypatch):
    """A stand-in for the package chumpy while a file is written; it is gone when the file is read."""
    module = types.ModuleType("chumpy.ch")

    class Ch:
        def __init__(self, **state):
            self.__dict__.update(state)

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module.Ch = Ch
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    return Ch


def written(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_arrays_sparse_matrices_and_chumpy_arrays_are_read(tmp_path, chumpy, monkeypatch, protocol):
    picked = chumpy(a=chumpy(x=VALUES), idxs=np.array([0, 1, 5, 6]), preferred_shape=(2, 2))
    content = {
        "plain": VALUES,
        "integers": np.arange(3, dtype="u4"),
        "fortran": np.asfortranarray(VALUES),
        "columns": csc_matrix(VALUES),
        "rows": csr_matrix(VALUES),
        "chumpy": chumpy(x=VALUES, _dirty_vars={"x"}),
        "picked": picked,
        "words": "no numbers",
        "nothing": None,
    }
    path = written(tmp_path / "body.pkl", content, protocol)
    monkeypatch.undo()
    assert "chumpy" not in sys.modules
    found = read_pickled_arrays(path)
    for name in ("plain", "fortran", "columns", "rows", "chumpy"):
        np.testing.assert_array_equal(found[name], VALUES)
    np.testing.assert_array_equal(found["picked"], [[0, 1], [5, 6]])
    assert found["integers"].dtype == np.uint32
    assert set(found) == set(content) - {"words", "nothing"}


def test_names_written_by_python_2_are_read(tmp_path):
    """Protocol 0, as Python 2 writes it: byte strings, and an old-style object of chumpy."""
    array = pickle.dumps(VALUES, protocol=0)[:-1]
    text = b"(dS'v'\nccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR(dS'x'\n"
    text += array + b"sbs."
    path = tmp_path / "old.pkl"
    path.write_bytes(text)
    np.testing.assert_array_equal(read_pickled_arrays(path)["v"], VALUES)


class Runs:
    """Asks, on loading, for a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def test_a_pickle_that_runs_a_command_is_refused_and_does_not_run(tmp_path):
    import os

    trap = tmp_path / "trap"
    for function, argument in ((os.system, f"touch {trap}"), (eval, f"open({str(trap)!r}, 'w')")):
        path = written(tmp_path / "evil.pkl", {"v_template": VALUES, "J": Runs(function, argument)})
        with pytest.raises(
            DataError, match=r"evil.pkl: refused, its pickle asks for \S+; allowed are arrays only"
        ):
            read_pickled_arrays(path)
        assert not trap.exists()


@pytest.mark.parametrize(
    "wanted",
    [
        b"cbuiltins\ngetattr\n",
        b"c__builtin__\neval\n",
        b"cnumpy\nload\n",
        b"cnumpy.core.multiarray\nfrombuffer\n",
        b"cnumpy.testing._private.utils\nrunstring\n",
        b"cscipy.sparse\n_sputils\n",
        b"ckinepose_ocp.io.chumpy_pickle\nos\n",
        b"cpickle\nloads\n",
        b"ccodecs\nopen\n",
    ],
)
def test_nothing_but_what_arrays_need_is_looked_up(tmp_path, wanted):
    path = tmp_path / "curious.pkl"
    path.write_bytes(wanted + b".")
    with pytest.raises(DataError, match="refused, its pickle asks for"):
        read_pickled_arrays(path)


def test_names_with_dots_reach_nothing(tmp_path):
    path = tmp_path / "dotted.pkl"
    path.write_bytes(b"\x80\x04\x8c\x05numpy\x8c\x0bndarray.dot\x93.")
    with pytest.raises(DataError, match=r"asks for numpy\.ndarray\.dot"):
        read_pickled_arrays(path)


def test_an_old_style_object_can_only_be_a_stand_in(tmp_path):
    path = tmp_path / "old.pkl"
    path.write_bytes(b"ccopy_reg\n_reconstructor\n(c__builtin__\nset\nc__builtin__\nobject\nNtR.")
    with pytest.raises(DataError, match="refused"):
        read_pickled_arrays(path)


def test_a_pickle_cannot_change_what_the_next_one_sees(tmp_path):
    """BUILD with a slot state sets attributes of whatever it is given, also of a stand-in's class."""
    path = tmp_path / "first.pkl"
    path.write_bytes(b"cchumpy.ch\nCh\n(N}(S'x'\nI1\nutb.")
    with pytest.raises(DataError, match="not a readable pickle of arrays"):
        read_pickled_arrays(path)
    path.write_bytes(b"(S'v'\ncchumpy.ch\nCh\n)\x81d.")
    assert read_pickled_arrays(path) == {}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_refused_in_one_line(tmp_path, share):
    whole = pickle.dumps({"v_template": np.ones((100, 3))}, protocol=2)
    path = tmp_path / "cut.pkl"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"cut\.pkl: not a readable pickle of arrays") as caught:
        read_pickled_arrays(path)
    assert "\n" not in str(caught.value)


def test_other_content_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"not a readable pickle of arrays [(]no dictionary but list"):
        read_pickled_arrays(written(tmp_path / "list.pkl", [1, 2]))
    assert (
        read_pickled_arrays(written(tmp_path / "objects.pkl", {"v": np.array([{}, None], dtype=object)}))
        == {}
    )
    with pytest.raises(DataError, match=r"none.pkl: no such file"):
        read_pickled_arrays(tmp_path / "none.pkl")
    with pytest.raises(DataError, match=r"asks for scipy\.sparse"):
        read_pickled_arrays(written(tmp_path / "coo.pkl", {"J": coo_matrix(VALUES)}))


def test_byte_orders_and_kinds_of_numbers_are_kept(tmp_path):
    content = {
        "big": VALUES.astype(">f8"),
        "half": VALUES.astype("f2"),
        "truth": VALUES > 3,
        "one": np.array(2.5),
    }
    found = read_pickled_arrays(written(tmp_path / "kinds.pkl", content))
    for name, values in content.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype.kind == values.dtype.kind


def test_a_sparse_matrix_cannot_point_outside_of_itself(tmp_path):
    matrix = csc_matrix(VALUES)
    matrix.indices[0] = 10**6
    with pytest.raises(DataError, match="not a readable pickle of arrays"):
        read_pickled_arrays(written(tmp_path / "far.pkl", {"J": matrix}))


def test_an_array_cannot_be_larger_than_its_bytes(tmp_path):
    whole = pickle.dumps({"v": np.zeros(4, dtype="u1")}, protocol=2)
    path = tmp_path / "short.pkl"
    path.write_bytes(whole.replace(b"K\x04\x85", b"K\x7f\x85"))
    assert path.read_bytes() != whole
    with pytest.raises(DataError, match="not a readable pickle of arrays"):
        read_pickled_arrays(path)
