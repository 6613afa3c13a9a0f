from agent.core.events import RoadImpact
from agent.voice.prompts import Prompt
from agent.voice.waiting import Item, Waiting


def item(key: str, urgency: int, since_s: float = 0.0) -> Item:
    prompt = Prompt(key=key, text=key, language="en", urgency=urgency, cooldown_s=0, stale_after_s=10, question=None)
    return Item(prompt, RoadImpact(t_ns=0, peak_mps2=1), round(since_s * 1e9))


def keys(waiting: Waiting, now_s: float = 0.0) -> list[str]:
    found = []
    while ready := waiting.ready(round(now_s * 1e9)):
        found.append(ready[0].prompt.key)
        waiting.remove(ready[0])
    return found


def test_the_most_urgent_goes_first_and_equals_in_order() -> None:
    waiting = Waiting(9)
    for key, urgency in (("a", 2), ("b", 1), ("c", 2), ("d", 0)):
        waiting.put(item(key, urgency))
    assert keys(waiting) == ["d", "b", "a", "c"]


def test_a_full_queue_drops_the_least_urgent_and_counts() -> None:
    waiting = Waiting(2)
    for key, urgency in (("a", 2), ("b", 2), ("crash", 0), ("late", 3)):
        waiting.put(item(key, urgency))
    assert waiting.dropped == 2
    assert keys(waiting) == ["crash", "b"]


def test_only_the_newest_of_a_key_waits() -> None:
    waiting = Waiting(9)
    waiting.put(item("a", 2, since_s=0))
    newer = item("a", 2, since_s=3)
    waiting.put(newer)
    assert waiting.ready(0) == [newer]
    assert (len(waiting), waiting.replaced, waiting.dropped) == (1, 1, 0)


def test_what_waited_too_long_is_not_said() -> None:
    waiting = Waiting(9)
    waiting.put(item("old", 1, since_s=0))
    waiting.put(item("new", 2, since_s=8))
    assert keys(waiting, now_s=11) == ["new"]
    assert waiting.stale == 1


def test_what_was_interrupted_goes_before_its_equals_but_after_the_urgent() -> None:
    waiting = Waiting(9)
    waiting.put(item("b", 2))
    waiting.put(item("crash", 0))
    waiting.put_back(item("a", 2))
    assert keys(waiting) == ["crash", "a", "b"]
    waiting.put(item("a", 2, since_s=5))
    waiting.put_back(item("a", 2, since_s=1))
    assert waiting.ready(0) == [item("a", 2, since_s=5)]
