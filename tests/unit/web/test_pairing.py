from agent.web.pairing import BROWSER_DAYS, BROWSERS_MAX, CODE_S, LOCK_S, TRIES_MAX, form_key
from tests.held_state import HeldState
from tests.unit.web.kit import NS, Door


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**8:08d}"


def test_a_code_pairs_one_browser_and_no_second_one() -> None:
    door = Door()
    pairing = door.pairing()
    code = door.codes[-1]
    assert len(code) == 8
    token = pairing.pair(code)
    assert token is not None
    assert pairing.knows(token)
    assert pairing.pair(code) is None
    assert not pairing.knows(token + "x")


def test_paired_browsers_outlive_a_start_and_the_store_holds_no_token() -> None:
    door = Door()
    token = door.pairing().pair(door.codes[-1])
    assert token is not None
    assert token.encode() not in door.store.state
    assert door.pairing().knows(token)


def test_wrong_codes_lock_it_for_longer_each_time_and_change_the_code() -> None:
    door = Door()
    pairing = door.pairing()
    for lock_s in (LOCK_S, 2 * LOCK_S):
        code = door.codes[-1]
        for _ in range(TRIES_MAX):
            assert pairing.pair(wrong(code)) is None
        assert pairing.locked_s() == lock_s
        assert door.codes[-1] != code
        assert pairing.pair(door.codes[-1]) is None, "nobody may try meanwhile"
        door.time.t_ns += lock_s * NS
        assert pairing.locked_s() == 0
    pairing.look()
    assert pairing.pair(door.codes[-1]) is not None


def test_an_old_code_is_replaced() -> None:
    door = Door()
    pairing = door.pairing()
    code = door.codes[-1]
    door.time.t_ns += CODE_S * NS
    pairing.look()
    assert len(door.codes) == 2
    assert pairing.pair(code) is None


def test_a_browser_is_let_in_for_so_many_days_and_where_the_time_is_unknown() -> None:
    door = Door()
    pairing = door.pairing()
    token = pairing.pair(door.codes[-1]) or ""
    door.time.t_ns = (BROWSER_DAYS * 86_400 - 1) * NS
    assert pairing.knows(token)
    door.time.wall_ns = None
    assert pairing.knows(token)
    door.time.wall_ns = 1_800_000_000 * NS
    door.time.t_ns += NS
    assert not pairing.knows(token)


def test_the_oldest_browser_makes_room_and_one_can_be_forgotten() -> None:
    door = Door()
    pairing = door.pairing()
    tokens = [pairing.pair(door.codes[-1]) or "" for _ in range(BROWSERS_MAX + 1)]
    assert [pairing.knows(token) for token in tokens] == [False] + [True] * BROWSERS_MAX
    pairing.forget(tokens[1])
    assert not pairing.knows(tokens[1])
    assert pairing.knows(tokens[2])


def test_a_damaged_store_lets_nobody_in() -> None:
    door = Door()
    token = door.pairing().pair(door.codes[-1]) or ""
    door.store = HeldState(door.store.state[:-5])
    assert not door.pairing().knows(token)


def test_a_form_key_is_of_its_browser() -> None:
    assert form_key("a") != form_key("b")


def test_days_of_a_browser_that_was_paired_before_the_clock_was_set_count_from_then() -> None:
    door = Door()
    door.time.wall_ns = None
    token = door.pairing().pair(door.codes[-1]) or ""
    pairing = door.pairing()
    assert pairing.knows(token)
    door.time.wall_ns = 1_800_000_000 * NS
    pairing.look()
    door.time.t_ns = (BROWSER_DAYS * 86_400 - 1) * NS
    assert door.pairing().knows(token)
    door.time.t_ns += NS
    assert not door.pairing().knows(token)
