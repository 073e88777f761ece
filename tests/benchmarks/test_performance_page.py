"""docs/performance.md shows every benchmark there is, and what its file of figures says."""

from __future__ import annotations

import json

import pytest
from performance_page import (
    BEGIN,
    END,
    FIGURES,
    PAGE,
    existing,
    function,
    main,
    merged,
    page,
    rows,
    seconds,
    table,
    text,
)

REPORT = {
    "machine_info": {"cpu": {"brand_raw": "A CPU"}, "machine": "x", "python_version": "3.11.7"},
    "datetime": "2026-01-02T03:04:05+00:00",
    "benchmarks": [
        {
            "fullname": "tests/benchmarks/test_suite_speed.py::test_store_read",
            "name": "test_store_read",
            "stats": {"median": 0.0125},
            "extra_info": {"rows/s": 120345, "a-b": 1.5},
        }
    ],
}


def test_every_benchmark_has_a_row() -> None:
    shown = {function(name) for name in json.loads(FIGURES.read_text(encoding="utf-8"))}
    assert existing() == shown, "run tox -e bench"


def test_the_page_shows_the_figures() -> None:
    old = PAGE.read_text(encoding="utf-8")
    every = json.loads(FIGURES.read_text(encoding="utf-8"))
    assert page(old, every) == old, "run tests/benchmarks/performance_page.py"


def test_what_times_something_is_found() -> None:
    assert {"test_suite_speed::test_store_read", "test_peer_speed::test_beside_a_peer"} < existing()
    assert not any("performance_page" in name for name in existing())


def test_a_report_becomes_rows_and_a_table() -> None:
    every = rows(REPORT)
    assert every == {
        "test_suite_speed::test_store_read": {
            "median_seconds": 0.0125,
            "figures": {"rows/s": 120345, "a-b": 1.5},
            "measured": "A CPU, Python 3.11.7, 2026-01-02",
        }
    }
    assert table("test_suite_speed::test_store_read", every) == [
        "### test_suite_speed: test_store_read",
        "",
        "| median | rows/s | a-b |",
        "|---|---|---|",
        "| 12.5 ms | 120,345 | 1.5 |",
        "",
        "(A CPU, Python 3.11.7, 2026-01-02)",
        "",
    ]


def test_new_rows_replace_a_functions_old_ones() -> None:
    read = rows(REPORT)["test_suite_speed::test_store_read"]
    old = {
        "test_suite_speed::test_store_read[gone]": read,
        "test_suite_speed::test_store_write": read,
        "test_of_yesterday::test_that_is_gone": read,
    }
    assert list(merged(old, rows(REPORT))) == [
        "test_suite_speed::test_store_read",
        "test_suite_speed::test_store_write",
    ]


def test_figures_for_people() -> None:
    assert [seconds(v) for v in (2.5, 0.0421, 1.5e-6, 2e-8)] == [
        "2.5 s",
        "42.1 ms",
        "1.5 µs",
        "0.02 µs",
    ]
    assert [text(v) for v in (1234.5, 0.25, 7, "a|b")] == ["1,234", "0.25", "7", "a\\|b"]


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(SystemExit, match="begin"):
        page(END + BEGIN, {})


def test_the_page_is_written(tmp_path, monkeypatch, capsys) -> None:
    """From no figures to a page; what stands around the markers stays."""
    for name in ("PAGE", "FIGURES"):
        monkeypatch.setattr(f"performance_page.{name}", tmp_path / name)
    (tmp_path / "PAGE").write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    (tmp_path / "BENCH.json").write_text(json.dumps(REPORT))
    main([str(tmp_path / "BENCH.json")])
    written = (tmp_path / "PAGE").read_text()
    assert written.startswith("before\n")
    assert written.endswith(f"{END}\nafter\n")
    assert "old" not in written
    assert "120,345" in written
    assert capsys.readouterr().out.startswith("1 rows. Benchmarks without one: ")
