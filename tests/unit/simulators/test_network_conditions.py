"""When bytes arrive on a road, without a road."""

from random import Random

import msgspec
import pytest

from simulators.network_conditions import CONDITIONS, OPEN, SEGMENT, Channel, Conditions, Lane, Schedule


def _lane(seed: int = 1, channel: Channel | None = None) -> Lane:
    return Lane(channel or Channel(), Random(seed))  # noqa: S311 - a simulation


def test_an_open_road_takes_no_time() -> None:
    assert _lane().arrival_s(10_000, 5.0, OPEN) == 5.0


def test_a_delay_holds_nothing_up() -> None:
    lane, late = _lane(), Conditions(delay_s=2.0)
    assert [lane.arrival_s(100, at, late) for at in (0.0, 0.5, 1.0)] == [2.0, 2.5, 3.0]


def test_9600_bits_take_a_second_and_queue_up() -> None:
    lane, slow = _lane(), Conditions(rate_bps=9600)
    assert [lane.arrival_s(1200, 0.0, slow) for _ in range(3)] == [1.0, 2.0, 3.0]
    assert lane.arrival_s(1200, 10.0, slow) == 11.0


def test_the_rate_is_shared_by_all_connections() -> None:
    channel, slow = Channel(), Conditions(rate_bps=9600)
    assert _lane(1, channel).arrival_s(1200, 0.0, slow) == 1.0
    assert _lane(2, channel).arrival_s(1200, 0.0, slow) == 2.0


def test_a_lost_segment_holds_up_what_comes_after() -> None:
    lane, lossy = _lane(3), Conditions(loss=0.2, retransmit_s=0.2)
    arrivals = [lane.arrival_s(SEGMENT, 0.001 * number, lossy) for number in range(1000)]
    assert arrivals == sorted(arrivals)
    alone = [_lane(seed).arrival_s(SEGMENT, 0.0, lossy) for seed in range(2000)]
    assert 0.18 < sum(delay > 0 for delay in alone) / len(alone) < 0.22
    assert {round(delay, 9) for delay in alone} <= {0.0, 0.2, 0.6, 1.4, 3.0, 6.2, 12.6}
    again = _lane(3)
    assert [again.arrival_s(SEGMENT, 0.001 * number, lossy) for number in range(1000)] == arrivals


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({"loss": 1.0}, "loss"),
        ({"delay_s": -1}, "delay_s"),
        ({"rate_bps": 0}, "rate_bps"),
        ({"way": "odd"}, "way"),
        ({"reset_after_bytes": [2, 1]}, "reset_after_bytes"),
        ({"dealy_s": 1}, "dealy_s"),
    ],
)
def test_impossible_conditions_are_refused_by_name(data: dict[str, object], what: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=what):
        msgspec.convert({"phases": [{"for_s": 1, "conditions": data}]}, Schedule)


def test_roads_with_a_name_are_sound() -> None:
    for conditions in CONDITIONS.values():
        assert msgspec.convert(msgspec.to_builtins(conditions), Conditions) == conditions


def test_a_handshake_takes_a_round_trip_and_longer_where_it_is_lost() -> None:
    lane, far = _lane(), Conditions(delay_s=1.0)
    lane.shake_hands(10.0, far)
    assert lane.arrival_s(100, 10.0, far) == 13.0
    assert lane.arrival_s(100, 20.0, far) == 21.0
    lossy = Conditions(loss=0.2, retransmit_s=3.0)
    opened = []
    for seed in range(2000):
        lane = _lane(seed)
        lane.shake_hands(0.0, lossy)
        opened.append(lane.arrival_s(0, 0.0, lossy))  # an empty segment, that nothing can befall
    assert 0.6 < sum(at == 0 for at in opened) / len(opened) < 0.68  # 0.8 x 0.8
    assert min(at for at in opened if at) == 1.0


def test_a_thin_stream_is_repeated_evenly_where_the_kernel_was_told_so() -> None:
    lossy = Conditions(loss=0.2, retransmit_s=3.0, backoff_up=1.0)
    alone = {Lane(Channel(), Random(seed), upward=True).arrival_s(1, 0.0, lossy) for seed in range(5000)}  # noqa: S311 - a simulation
    assert alone == {0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0} & alone
    assert {0.0, 3.0, 6.0, 9.0} <= alone
    assert 9.0 in {_lane(seed).arrival_s(1, 0.0, lossy) for seed in range(5000)}  # 3 + 6: downward as by RFC 6298
