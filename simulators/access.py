"""Who may publish and read what at the simulated cloud: one list for mosquitto and for the embedded broker."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

INSURER: Final = "insurer"
OPERATOR: Final = "operator"
RESERVED: Final = frozenset({INSURER, OPERATOR, "group", "broker", "ca"})  # names that no device may have


@dataclass(frozen=True, slots=True)
class Rule:
    """user None stands for every client, with %u in the topic as its own name (its certificate's common name)."""

    user: str | None
    access: Literal["read", "write"]
    topic: str


RULES: Final = (
    Rule(INSURER, "read", "outrider/v1/+/record"),
    Rule(INSURER, "write", "outrider/v1/+/receipt"),
    Rule(INSURER, "write", "outrider/v1/+/desk"),
    Rule(INSURER, "write", "outrider/v1/+/erasure"),
    Rule(OPERATOR, "write", "outrider/v1/+/config"),
    Rule(OPERATOR, "write", "outrider/v1/group/+/config"),
    Rule(None, "write", "outrider/v1/%u/record"),
    Rule(None, "read", "outrider/v1/%u/receipt"),
    Rule(None, "read", "outrider/v1/%u/desk"),
    Rule(None, "read", "outrider/v1/%u/erasure"),
    Rule(None, "read", "outrider/v1/%u/config"),
    Rule(None, "read", "outrider/v1/group/+/config"),
)


def allowed(rules: Iterable[Rule], user: str, access: Literal["read", "write"], topic: str) -> bool:
    """Whether any rule lets user do that."""
    return any(
        rule.access == access
        and rule.user in {None, user}
        and topic_matches(rule.topic.replace("%u", user) if rule.user is None else rule.topic, topic)
        for rule in rules
    )


def mosquitto_acl(rules: Iterable[Rule]) -> str:
    """The same rules as a mosquitto acl_file."""
    named: dict[str, list[str]] = {}
    patterns: list[str] = []
    for rule in rules:
        if rule.user is None:
            patterns.append(f"pattern {rule.access} {rule.topic}")
        else:
            named.setdefault(rule.user, []).append(f"topic {rule.access} {rule.topic}")
    blocks = [[f"user {user}", *lines] for user, lines in named.items()]
    return "\n\n".join("\n".join(block) for block in [*blocks, patterns]) + "\n"


def topic_matches(topic_filter: str, topic: str) -> bool:
    """MQTT 5, 4.7. Topics beginning with $ match no filter that begins with a wildcard."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(given) or level not in {"+", given[index]}:
            return False
    return len(wanted) == len(given)
