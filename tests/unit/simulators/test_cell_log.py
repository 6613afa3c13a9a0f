import zipfile
from pathlib import Path

import numpy as np
import pytest

from agent.core import vss
from agent.core.errors import EndOfSource, InputError
from simulators.replay.cell_log import CellLog

HEADER = (
    "tboxTime,vehSpeed,BMSBatteryCurrent,vehBMSPackSOC,BMSProbeTempMax,BMSProbeTempMin,BMSWarningInformation,"
    "V_1,V_2,T_1,BMSProbeTempM"
)
ROWS = (
    "2019-04-15 17:42:30,36.3,44.3,92,29,25,0,3.967,66.535,65.0,65",
    "2019-04-15 17:43:00,62.8,-54.8,92,29,25,3,3.939,3.936,,65",
    "2019-04-15 17:42:50,62.8,54.8,92,29,25,0,3.939,3.936,67,65",
)


def _log(folder: Path, *rows: str, name: str = "car.csv") -> CellLog:
    text = "\n\n".join([HEADER, *rows]) + "\n"
    path = folder / name
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("car.csv", text)
    else:
        path.write_text(text, encoding="utf-8")
    return CellLog(path)


@pytest.mark.parametrize("name", ["car.csv", "car.zip"])
def test_a_row_is_the_whole_pack(tmp_path: Path, name: str) -> None:
    log = _log(tmp_path, *ROWS, name=name)
    (piece,) = log
    paths = [spec.path for spec in log.specs]
    values = piece.samples.value.reshape(3, -1)
    assert log.cells == 2
    assert values[0, paths.index(vss.cell_voltage(1))] == 66.535  # to tell a sentinel is the agent's business
    assert values[:, paths.index(vss.PACK_CURRENT)].tolist() == [-44.3, 54.8, -54.8]
    assert values[0, paths.index(vss.cell_temperature(0))] == 25.0
    assert np.isnan(values[1, paths.index(vss.cell_temperature(0))])
    assert piece.t_ns.tolist() == [0, 30 * 10**9, 30 * 10**9]  # time never goes back
    assert piece.bms_level.tolist() == [0, 3, 0]


def test_it_can_be_read_twice_and_says_which_row_is_wrong(tmp_path: Path) -> None:
    log = _log(tmp_path, *ROWS)
    assert len(list(log)) == len(list(log)) == 1
    with pytest.raises(InputError, match=r"car\.csv: rows up to line"):
        list(_log(tmp_path, ROWS[0].replace("36.3", "fast")))
    with pytest.raises(InputError, match="no column tboxTime"):
        CellLog(_write(tmp_path / "other.csv", "time,V_1\n"))
    with pytest.raises(InputError, match="no log"):
        CellLog(_write(tmp_path / "broken.zip", "no zip"))


async def test_it_is_a_sample_source(tmp_path: Path) -> None:
    log = _log(tmp_path, *ROWS)
    await log.open()
    assert len(await log.read_batch()) == 3 * len(log.specs)
    with pytest.raises(EndOfSource):
        await log.read_batch()
    await log.close()
    assert log.counters() == {}


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
