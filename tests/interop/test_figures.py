from tests.interop.figures import Figure, render


def test_a_table_per_data_set() -> None:
    measured = [
        Figure("nmea_logs", "fixes", 12, "all"),
        Figure("can_log_formats", "ratio", 0.123456),
        Figure("nmea_logs", "x", ""),
    ]
    assert list(render(measured)) == [
        "can_log_formats   value  bar",
        "  ratio          0.1235",
        "nmea_logs         value  bar",
        "  fixes              12  all",
        "  x",
    ]


def test_no_figures_no_table() -> None:
    assert list(render([])) == []
