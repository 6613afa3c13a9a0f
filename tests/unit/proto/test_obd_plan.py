from collections.abc import Callable, Collection, Sequence

from agent.proto.obd_plan import PollPlan

PIDS = [0x0C, 0x0D, 0x11, 0x05, 0x0F, 0x2F, 0x33, 0x42, 0x46, 0x5C]
FAST = {0x0C, 0x0D, 0x11}

Car = Callable[[Sequence[int]], Collection[int]]


def drive(plan: PollPlan, car: Car, rounds: int) -> list[tuple[int, ...]]:
    asked: list[tuple[int, ...]] = []
    for _ in range(rounds):
        requests = plan.next_round()
        asked += requests
        for request in requests:
            plan.settle(request, car(request))
    return asked


def test_fast_pids_come_every_round_and_the_others_take_turns() -> None:
    plan = PollPlan(PIDS, fast=FAST)
    asked = drive(plan, lambda request: request, 4)
    fast, first, second = (0x0C, 0x0D, 0x11), (0x05, 0x0F, 0x2F, 0x33, 0x42, 0x46), (0x5C,)
    assert asked == [fast, first, fast, second, fast, first, fast, second]


def test_turns_take_as_many_rounds_without_packing() -> None:
    plan = PollPlan(PIDS, fast=FAST, pack_max=1)
    asked = drive(plan, lambda request: request, 2)
    assert asked[:9] == [(0x0C,), (0x0D,), (0x11,), (0x05,), (0x0F,), (0x2F,), (0x33,), (0x42,), (0x46,)]
    assert asked[9:] == [(0x0C,), (0x0D,), (0x11,), (0x5C,)]


def test_a_car_that_answers_only_the_first_pid_gets_single_requests_and_loses_none() -> None:
    plan = PollPlan(PIDS, fast=FAST)
    drive(plan, lambda request: request[:1], 20)
    assert plan.pack_max == 1
    assert plan.pids == set(PIDS)
    assert plan.dropped == []


def test_an_adapter_that_takes_three_at_most_keeps_three() -> None:
    plan = PollPlan(PIDS, fast=FAST)
    drive(plan, lambda request: request if len(request) <= 3 else (), 20)
    assert plan.pack_max == 3
    assert plan.pids == set(PIDS)


def test_a_pid_that_never_answers_is_dropped_and_packing_goes_on() -> None:
    plan = PollPlan(PIDS, fast=FAST)
    drive(plan, lambda request: [pid for pid in request if pid != 0x2F], 10)
    assert plan.dropped == [0x2F]
    assert plan.pack_max == 6
    assert 0x2F not in plan.pids


def test_one_empty_answer_is_no_reason_to_suspect() -> None:
    plan = PollPlan(PIDS, fast=FAST)
    plan.settle(plan.next_round()[0], ())
    assert drive(plan, lambda request: request, 1)[0] == (0x0C, 0x0D, 0x11)
    assert plan.pack_max == 6


def test_a_car_that_went_to_sleep_is_asked_no_more() -> None:
    plan = PollPlan(PIDS, fast=FAST)
    asked = drive(plan, lambda _: (), 20)
    assert plan.next_round() == []
    assert len(asked) < 60
