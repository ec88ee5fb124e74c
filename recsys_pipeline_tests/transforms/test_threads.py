from __future__ import annotations

import multiprocessing
import time

import pytest

from recsys_pipeline.transforms.threads import two_at_a_time


def test_results_come_in_order_and_two_are_worked_on_at_most():
    begun = []

    def work(number):
        begun.append(number)
        time.sleep(0.01 if number % 2 else 0.03)
        return number * number

    found = []
    for result in two_at_a_time(work, range(7)):
        found.append(result)
        assert len(begun) <= len(found) + 2
    assert found == [n * n for n in range(7)]


def test_a_failure_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(two_at_a_time(lambda n: 1 // n, [1, 0, 2]))


def _in_child(queue):
    queue.put(list(two_at_a_time(str, [1, 2, 3])))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that it is multi-threaded
def test_a_forked_process_has_threads_of_its_own():
    assert list(two_at_a_time(str, [1])) == ["1"]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=30) == ["1", "2", "3"]
    child.join()
