"""How two that are each so sure of one thing are joined: the rules and a model."""

import math
from typing import Final

_SURE: Final = 0.99  # nobody is surer than this in a sum of odds


def join_confidence(rules: float, model: float) -> float:
    """Mean of the log-odds of both, each held within 0.01 to 0.99: the geometric mean of their odds.

    It lies between the two, so a model that is wrong takes back half of what the rules are sure of, and no more.
    """
    odds = [math.log(p / (1 - p)) for p in (min(max(p, 1 - _SURE), _SURE) for p in (rules, model))]
    return 1 / (1 + math.exp(-sum(odds) / 2))
