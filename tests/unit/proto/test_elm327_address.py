from agent.proto.ecus import FUNCTIONAL, is_functional, is_obd_reply, is_reply_to, is_request_id, reply_of
from agent.proto.elm327 import Reply
from agent.proto.elm327_address import Addressing
from agent.proto.elm327_lines import Status
from simulators.ecu import DidEcu
from simulators.elm327 import Elm327Chip, Traits

HEATER, HEATER_REPLY = 0x744, 0x74C
WIDE, WIDE_REPLY = 0x17FC007B, 0x17FE007B


def walk(addressing: Addressing, ecu: int, reply: int | None, **answers: Reply) -> list[str]:
    """Every command on the way to an ECU. Answered with OK, unless told otherwise."""
    sent: list[str] = []
    while (command := addressing.next(ecu, reply)) is not None:
        sent.append(command)
        default = Reply(command, Status.OK, text=("OK",))
        if command == "ATDPN":
            default = Reply(command, Status.OK, text=(next(c[4:] for c in reversed(sent) if c.startswith("ATSP")),))
        addressing.settle(command, answers.get(command, default))
        assert len(sent) < 30
    return sent


def refused(*commands: str) -> dict[str, Reply]:
    return {command: Reply(command, Status.REFUSED, text=("?",)) for command in commands}


def test_an_ecu_of_obd_needs_its_header_and_any_other_one_a_filter_and_flow_control() -> None:
    addressing = Addressing("6", wide=False)
    assert addressing.reaches(FUNCTIONAL, None)
    assert walk(addressing, 0x7E4, 0x7EC) == ["ATSH7E4"]
    assert addressing.reaches(0x7E4, 0x7EC)
    assert not addressing.reaches(FUNCTIONAL, None)
    assert walk(addressing, HEATER, HEATER_REPLY) == ["ATSH744", "ATCRA74C", "ATFCSH744", "ATFCSD300000", "ATFCSM1"]
    assert walk(addressing, HEATER, HEATER_REPLY) == []
    assert walk(addressing, 0x7B3, 0x7BB) == ["ATSH7B3", "ATCRA7BB", "ATFCSH7B3"]
    assert walk(addressing, 0x7E4, 0x7EC) == ["ATSH7E4", "ATCRA", "ATFCSM0"]
    assert walk(addressing, HEATER, HEATER_REPLY) == ["ATSH744", "ATCRA74C", "ATFCSH744", "ATFCSM1"]
    assert walk(addressing, FUNCTIONAL, None) == ["ATSH7DF", "ATCRA", "ATFCSM0"]
    assert addressing.reaches(FUNCTIONAL, None)


def test_29_bits() -> None:
    addressing = Addressing("7", wide=True)
    assert walk(addressing, 0x18DA10F1, 0x18DAF110) == ["ATSHDA10F1"]
    flow = ["ATCRA17FE007B", "ATFCSH17FC007B", "ATFCSD300000", "ATFCSM1"]
    assert walk(addressing, WIDE, WIDE_REPLY) == ["ATCP17", "ATSHFC007B", *flow]
    assert walk(addressing, FUNCTIONAL, None) == ["ATCP18", "ATSHDB33F1", "ATCRA", "ATFCSM0"]


def test_the_other_width_is_reached_by_another_protocol_that_must_be_confirmed() -> None:
    addressing = Addressing("6", wide=False)
    there = ["ATSP7", "ATCP17", "ATSHFC007B", "ATCRA17FE007B", "ATFCSH17FC007B", "ATFCSD300000", "ATFCSM1", "ATDPN"]
    assert walk(addressing, WIDE, WIDE_REPLY) == there
    assert addressing.reaches(WIDE, WIDE_REPLY)
    assert walk(addressing, FUNCTIONAL, None) == ["ATSP6", "ATSH7DF", "ATCRA", "ATFCSM0", "ATDPN"]
    stays = {"ATDPN": Reply("ATDPN", Status.OK, text=("A6",))}
    assert walk(addressing, WIDE, WIDE_REPLY, **stays).count("ATDPN") == 2
    assert not addressing.reaches(WIDE, WIDE_REPLY)
    assert walk(Addressing("", wide=False), WIDE, WIDE_REPLY) == []  # it does not say what bus it has found
    assert walk(Addressing("6", wide=False), HEATER, None) == []


def test_a_setting_refused_twice_is_not_tried_again_and_the_way_back_is_free() -> None:
    addressing = Addressing("6", wide=False)
    assert walk(addressing, HEATER, HEATER_REPLY, **refused("ATFCSH744")).count("ATFCSH744") == 2
    assert not addressing.reaches(HEATER, HEATER_REPLY)
    assert walk(addressing, HEATER, HEATER_REPLY) == []
    assert walk(addressing, FUNCTIONAL, None) == ["ATSH7DF", "ATCRA"]
    assert addressing.reaches(FUNCTIONAL, None)
    assert walk(addressing, 0x7E4, 0x7EC) == ["ATSH7E4"]
    assert not addressing.lost


def test_one_refusal_may_be_noise() -> None:
    addressing = Addressing("6", wide=False)
    addressing.settle("ATSH7E4", Reply("ATSH7E4", Status.REFUSED, text=("?",)))
    assert walk(addressing, 0x7E4, 0x7EC) == ["ATSH7E4"]


def test_where_the_way_back_is_refused_it_is_lost_and_after_a_reset_no_single_ecu_is_asked() -> None:
    addressing = Addressing("6", wide=False)
    walk(addressing, HEATER, HEATER_REPLY)
    walk(addressing, FUNCTIONAL, None, **refused("ATCRA"))
    assert addressing.lost
    assert not addressing.reaches(FUNCTIONAL, None)
    addressing.start_over()
    assert addressing.reaches(FUNCTIONAL, None)
    assert walk(addressing, HEATER, HEATER_REPLY) == []


def test_after_an_unnoticed_reset_everything_of_ours_is_said_again() -> None:
    addressing = Addressing("7", wide=True)
    walk(addressing, WIDE, WIDE_REPLY)
    addressing.forget()
    assert walk(addressing, FUNCTIONAL, None) == ["ATCP18", "ATSHDB33F1", "ATCRA", "ATFCSM0"]


def test_an_unsure_header_is_said_again_with_its_priority() -> None:
    addressing = Addressing("7", wide=True)
    walk(addressing, WIDE, WIDE_REPLY, **refused("ATCP17"))
    assert walk(addressing, FUNCTIONAL, None) == ["ATCP18", "ATSHDB33F1"]


def test_the_rules_of_identifiers() -> None:
    assert [reply_of(ecu) for ecu in (0x7E0, 0x7E7, 0x18DA10F1, WIDE)] == [0x7E8, 0x7EF, 0x18DAF110, WIDE_REPLY]
    assert [reply_of(ecu) for ecu in (FUNCTIONAL, HEATER, 0x18DB33F1, 0x7E8)] == [None] * 4
    assert [is_functional(ecu) for ecu in (FUNCTIONAL, 0x18DB33F1, 0x7E0)] == [True, True, False]
    assert all(map(is_request_id, (0x700, 0x7FF, 0x18DA00F1, 0x18DBFFF1, 0x17FC0000, 0x17FC00FF)))
    assert not any(map(is_request_id, (0x6FF, 0x800, 0x18DA0000, 0x17FC0100, 0x17FE007B, 0x18FC007B, 0x0CF00400)))
    assert not any(map(is_obd_reply, (0x7E7, 0x7F0, HEATER_REPLY, WIDE_REPLY, 0x18DB33F1)))
    assert is_reply_to(HEATER_REPLY, HEATER)
    assert not any(is_reply_to(reply, HEATER) for reply in (HEATER, FUNCTIONAL, 0x6FF, WIDE_REPLY))


def test_the_simulated_adapter_needs_each_of_these_commands() -> None:
    page = bytes(range(20))
    chip = Elm327Chip([DidEcu(HEATER, HEATER_REPLY, {0x2101: page})], Traits())
    for command in ("ATE0", "ATS0", "ATL0", "ATH1", "ATSP6"):
        chip.answer(command.encode())

    def ask(*settings: str) -> list[str]:
        for setting in settings:
            assert chip.answer(setting.encode()) == b"OK\r\r>", setting
        return chip.answer(b"222101").decode().split("\r")[:-2]

    assert ask() == ["NO DATA"]  # asked at 7DF
    assert ask("ATSH744") == ["NO DATA"]  # it answers, and the filter keeps it out
    assert ask("ATCRA74C") == ["74C1017622101000102"]  # nobody tells it to go on
    assert chip.answer(b"ATFCSM1") == b"?\r\r>"
    assert ask("ATFCSH745", "ATFCSD300000", "ATFCSM1") == ["74C1017622101000102"]
    assert len(ask("ATFCSH744")) == 4
    assert ask("ATCRA") == ["NO DATA"]
    assert len(ask("ATCRA74X")) == 4
    assert ask("ATSP7") == ["NO DATA"]
    assert chip.answer(b"ATDPN") == b"7\r\r>"
