"""The queue hands out every micro-batch, and again what was lost before it was settled."""

from services.training.engine.ps.tasks import Task, TaskQueue


def drained(queue, worker):
    taken = []
    while (task := queue.take(worker)) is not None:
        taken.append(task)
    return taken


def test_tasks_come_in_order_and_no_further_ahead_than_allowed():
    queue = TaskQueue(parts=2, steps=3, ahead=1)
    assert drained(queue, "a") == [Task(0, 0), Task(0, 1), Task(1, 0), Task(1, 1)]
    queue.settle(1)
    assert drained(queue, "a") == [Task(2, 0), Task(2, 1)]
    queue.settle(3)
    assert drained(queue, "a") == []


def test_a_lost_workers_tasks_go_to_others_before_new_ones():
    queue = TaskQueue(parts=2, steps=9, ahead=1)
    first, second = queue.take("a"), queue.take("b")
    queue.finish(first)
    queue.give_back("a")
    assert queue.take("b") == first, "done, yet not settled: what it sent may be lost"
    assert queue.take("b") == Task(1, 0)
    assert second == Task(0, 1)


def test_what_is_settled_is_never_computed_again():
    queue = TaskQueue(parts=1, steps=9, ahead=1)
    assert drained(queue, "a") == [Task(0, 0), Task(1, 0)]
    queue.settle(1)
    queue.give_back("a")
    assert drained(queue, "b") == [Task(1, 0), Task(2, 0)]


def test_a_server_that_lost_its_sums_has_all_that_is_not_settled_computed_again():
    queue = TaskQueue(parts=2, steps=1, ahead=0)
    taken = [queue.take("a"), queue.take("b")]
    for task in taken:
        queue.finish(task)
    queue.give_back_all()
    assert drained(queue, "b") == taken


def test_a_task_that_could_not_be_computed_is_handed_out_again():
    queue = TaskQueue(parts=1, steps=2, ahead=1)
    task = queue.take("a")
    queue.give_back_task("a", task)
    assert queue.take("b") == task
    queue.settle(1)
    queue.give_back_task("a", task)
    assert queue.take("b") == Task(1, 0)


def test_load_counts_what_a_worker_has_and_has_not_done():
    queue = TaskQueue(parts=1, steps=5, ahead=3)
    first = queue.take("a")
    queue.take("a")
    queue.take("b")
    assert (queue.load("a"), queue.load("b")) == (2, 1)
    queue.finish(first)
    assert queue.load("a") == 1
