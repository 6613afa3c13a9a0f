"""The history against a list that forgets nothing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.core.signals import Quality, Samples, SignalCatalog, SignalSpec
from agent.decode.history import History

ROW = st.tuples(st.integers(0, 40), st.integers(0, 3), st.sampled_from([0, 0, 0, 2, 3]))


@given(st.lists(st.lists(ROW, max_size=80), max_size=12), st.integers(1, 20), st.integers(1, 30))
def test_equal_to_a_list(batches: list[list[tuple[int, int, int]]], span: int, samples_max: int) -> None:
    catalog = SignalCatalog([SignalSpec(str(number), stale_after_s=5e-9) for number in range(4)])
    history = History(catalog, seconds=span * 1e-9, samples_max=samples_max)
    known: dict[int, list[tuple[int, float]]] = {number: [] for number in range(4)}
    backwards = 0
    value = 0.0
    for place, rows in enumerate(batches):
        new: dict[int, list[tuple[int, float]]] = {number: [] for number in range(4)}
        values = []
        for step, number, quality in rows:
            value += 1
            values.append(value)
            t_ns = step + place * 20
            if quality != Quality.VALID:
                continue
            if known[number] and t_ns < known[number][-1][0]:
                backwards += 1
                continue
            known[number].append((t_ns, value))
            new[number].append((t_ns, value))
        samples = Samples(
            np.array([step + place * 20 for step, _, _ in rows], np.int64),
            np.array([number for _, number, _ in rows], np.int32),
            np.array(values, np.float64),
            np.array([quality for _, _, quality in rows], np.uint8),
        )
        history.extend(samples)
        end = place * 20 + 40
        window = history.window(samples, end)
        assert history.backwards == backwards
        for number in range(4):
            series, path = known[number], str(number)
            arrived = new[number] if len(rows) > 32 else new[number][-samples_max:]
            assert list(zip(window.new(path).t_ns, window.new(path).value, strict=True)) == arrived
            recent = [row for row in series[-samples_max:] if row[0] >= max(end - 10, series[-1][0] - span)]
            got = window.recent(path, 10e-9)
            assert list(zip(got.t_ns, got.value, strict=True)) == recent
            fresh = series and end - series[-1][0] <= 5
            assert window.latest(path) == (series[-1][1] if fresh else None)
