import logging
import threading
from pathlib import Path

import pytest

from agent.core.errors import InputError
from agent.privacy.door import Door, Grant, Request, Revoke, ask


class Agent:
    """Does what it is asked, but for claims."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[Request] = []
        self.door = Door(folder, self.carry_out)

    async def carry_out(self, request: Request) -> str:
        self.asked.append(request)
        if isinstance(request, Grant) and request.purpose == "claims":
            raise InputError("claims: not possible")
        return "done"


async def test_a_request_left_while_the_agent_is_off_is_done_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has the agent run here yet"):
        ask(tmp_path, Revoke(purposes=["claims"]), wait_s=0)
    agent = Agent(tmp_path)
    agent.door.open()
    assert ask(tmp_path, Revoke(purposes=["claims"]), wait_s=0) is None
    assert await agent.door.look() == 1
    assert await agent.door.look() == 0
    assert agent.asked == [Revoke(purposes=["claims"])]


async def test_bad_requests_are_answered_and_hold_up_nobody(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    agent.door.open()
    folder = tmp_path / "requests"
    (folder / f"{'0' * 16}.request").write_bytes(b"{" * 10_000)
    (folder / f"{'1' * 16}.request").write_bytes(b'{"type":"revoke","purposes":["everything"]}')
    (folder / f"{'2' * 16}.request").write_bytes(b'{"type":"grant","purpose":"claims","notice":1}')
    (folder / "passwd.request").write_bytes(b"?")
    assert ask(tmp_path, Revoke(purposes=["safety"]), wait_s=0) is None
    assert await agent.door.look() == 4
    assert len(agent.asked) == 2
    assert Grant(purpose="claims", notice=1) in agent.asked
    assert Revoke(purposes=["safety"]) in agent.asked
    assert {path.suffix for path in folder.iterdir() if path.stem != "passwd"} == {".answer"}
    assert b"claims: not possible" in (folder / f"{'2' * 16}.answer").read_bytes()


async def test_who_asks_gets_the_answer(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    agent.door.open()
    answers: list[str | None] = []
    asking = threading.Thread(target=lambda: answers.append(ask(tmp_path, Revoke(purposes=["safety"]), wait_s=5)))
    asking.start()
    while not await agent.door.look():
        pass
    asking.join()
    assert answers == ["done"]
    assert list((tmp_path / "requests").iterdir()) == []


@pytest.mark.parametrize("refused", ["unlink", "write_bytes"])
async def test_a_request_that_the_disk_does_not_let_go_of_is_done_and_told_once(
    tmp_path: Path, refused: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    agent = Agent(tmp_path)
    agent.door.open()
    ask(tmp_path, Revoke(purposes=["safety"]), wait_s=0)
    with monkeypatch.context() as disk:
        disk.setattr(Path, refused, lambda *_: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
        assert await agent.door.look() == 1
        assert await agent.door.look() == 0
    (record,) = caplog.records
    assert "is done, but stays where it lies" in record.message
    assert "Read-only file system" in record.message
    assert await agent.door.look() == 0
    assert len(agent.asked) == 1
    assert {path.suffix for path in (tmp_path / "requests").iterdir()} == {".answer"}


async def test_a_request_that_cannot_be_read_is_told_once_and_holds_up_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    agent = Agent(tmp_path)
    agent.door.open()
    (tmp_path / "requests" / f"{'0' * 16}.request").mkdir()
    ask(tmp_path, Revoke(purposes=["safety"]), wait_s=0)
    assert [await agent.door.look() for _ in range(3)] == [1, 0, 0]
    (record,) = caplog.records
    assert "cannot be read, and stays" in record.message
