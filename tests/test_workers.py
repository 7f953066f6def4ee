"""Where cases run; that workers end with their parent is tested with whole sweeps (test_study_file)."""

import multiprocessing
import os
import sys
import time

import pytest

from kinepose_ocp.errors import KineposeError
from kinepose_ocp.workers import executor, mapped


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


def test_processes_of_the_user_stay():
    own = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    own.start()
    try:
        with pytest.raises(KeyError), executor(2) as pool:
            pool.submit(os.getpid).result()
            raise KeyError
        assert own.is_alive()
    finally:
        own.terminate()
        own.join()


def test_results_come_in_the_order_of_their_jobs():
    jobs = [(base, power) for base in (2, 3) for power in (5, 1)]
    assert mapped(pow, jobs) == mapped(pow, jobs, workers=2) == [32, 2, 243, 3]


def test_a_scheduler_without_distributed_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(KineposeError) as refusal, executor(scheduler="tcp://127.0.0.1:1"):
        pass
    assert str(refusal.value) == (
        "a scheduler needs Dask's distributed; to get it: pip install 'kinepose_ocp[cluster]'"
    )
