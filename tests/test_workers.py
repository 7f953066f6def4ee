"""Where cases run; that workers end with their parent is tested with whole sweeps (test_study_file)."""

import os
import sys
import time

import pytest

from kinepose_ocp.errors import KineposeError
from kinepose_ocp.workers import executor


def test_one_worker_is_this_process():
    with executor() as none:
        assert none is None


def test_processes_start_with_the_first_task_and_end_at_once_with_an_error():
    with pytest.raises(KeyError), executor(2) as pool:
        assert "_pool" not in vars(pool)
        there = pool.submit(os.getpid).result()
        pool.submit(time.sleep, 600)
        raise KeyError
    assert there != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(there, 0)


def test_a_scheduler_without_distributed_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(KineposeError) as refusal, executor(scheduler="tcp://127.0.0.1:1"):
        pass
    assert str(refusal.value) == (
        "a scheduler needs Dask's distributed; to get it: pip install 'kinepose_ocp[cluster]'"
    )
