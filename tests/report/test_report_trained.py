"""The page of suites that train: complete, escaped, right, working in a real browser."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from report.browser import AVAILABLE, Browser, browser
from report.stored_training import STANDALONE, SUPERNET, make
from report.test_report_page import HOSTILE, change, data_of, links, painted, settled
from typer.testing import CliRunner

from nasbench_evo import execution
from nasbench_evo import suite as suites
from nasbench_evo.cli import app
from nasbench_evo.errors import Unsupported
from nasbench_evo.report import page
from nasbench_evo.results import manifest, supernet
from nasbench_evo.results.folder import Stored, read
from nasbench_evo.store import Store

pytestmark = pytest.mark.torch

KINDS = ["standalone", "supernet"]
COSTLY = ["standalone", pytest.param("supernet", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        "standalone": make(tmp_path_factory.mktemp("standalone"), STANDALONE),
        "supernet": make(tmp_path_factory.mktemp("supernet"), SUPERNET),
    }


@pytest.fixture(scope="module")
def pages(folders: dict[str, Path]) -> dict[str, Path]:
    return {kind: page.write(folder) for kind, folder in folders.items()}


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not AVAILABLE:
        pytest.skip("no Chromium: install the Debian packages chromium and chromium-driver")
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def no_figures(stored: Stored, repeated: object) -> list[object]:
    return []  # what is drawn is the concern of other tests


def cells_of(text: str) -> list[dict[str, str]]:
    """Return the rows of all result tables by column."""
    rows: list[dict[str, str]] = []
    for table in re.findall(r'<table class="results">(.*?)</table>', text, re.DOTALL):
        head = re.findall(r"<button[^>]*>(.*?)</button>", table)
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", table[table.index("<tbody>") :], re.DOTALL):
            cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
            rows.append(dict(zip(head, cells, strict=True)))
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_needs_nothing_else(pages: dict[str, Path], kind: str) -> None:
    text = pages[kind].read_text()
    found = links(text).found
    assert sum(link.startswith("data:image/png;base64,") for link in found) >= 2
    assert all(link.startswith(("data:", "#")) for link in found)
    assert "@import" not in text
    assert "url(" not in text


def test_a_page_of_trainings_says_what_ran_and_how_to_repeat_it(pages: dict[str, Path]) -> None:
    text = pages["standalone"].read_text()
    for part in (
        "Four trainings a run.",
        "4 finished runs",
        "space nasbench201, trained on cpu",
        "nasbench-evo run tiny_trainings.toml --seeds 2 --devices cpu --out tiny_trainings-again",
        "nasbench-evo[train]",
        "eigen: patience=2, population_size=2 throughout.",
        "torch",
    ):
        assert part in text, part
    for other in ("Search-quality gate", 'id="published"', "a CUDA GPU"):
        assert other not in text


def test_a_page_of_shared_weights_says_how_they_rank(pages: dict[str, Path]) -> None:
    text = pages["supernet"].read_text()
    for part in (
        "share the weights of a supernet",
        "Judged by the table nasbench201",
        "Ranking with shared weights",
        "the retest reference, no upper limit",
        "genotypes of",  # the sentence of the pair
        "Wilcoxon signed-rank",
    ):
        assert part in text, part


def test_the_table_has_the_numbers_of_the_summary(
    folders: dict[str, Path], pages: dict[str, Path]
) -> None:
    stored = read(folders["standalone"])
    found = cells_of(pages["standalone"].read_text())
    for row, cells in zip(stored.found.rows, found, strict=True):
        assert cells["seen (%)"].startswith(f"{row.seen_mean:.2f} [")
        assert cells.get("final test (%)", "").partition(" ")[0] == (
            "" if row.final_test is None else f"{row.final_test:.2f}"
        )
    assert [cells.get("trainings", "") for cells in found] == ["", "", "4", "4"]


def test_a_column_in_which_no_row_has_anything_is_left_out(
    folders: dict[str, Path], pages: dict[str, Path]
) -> None:
    found = cells_of(pages["supernet"].read_text())
    assert not any("standalone test (%)" in cells for cells in found)  # the table has none
    stored = read(folders["supernet"])
    told = [cells["regret (points)"] for cells in found]
    assert told == [f"{row.regret:.2f}" for row in stored.found.rows]


@pytest.mark.parametrize(("kind", "place"), [("standalone", 1), ("supernet", 0), ("supernet", 1)])
def test_a_run_is_repeated_by_its_command(pages: dict[str, Path], kind: str, place: int) -> None:
    unit = data_of(pages[kind].read_text())["units"][place]
    run = unit["runs"][1]
    words = shlex.split(f"{unit['command']} --seed {run['seed']} --json")
    done = CliRunner().invoke(app, words[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["trace_sha256"] == dict(run["facts"])["trace SHA-256"]


@pytest.mark.parametrize("kind", COSTLY)
def test_the_same_runs_give_the_same_page(
    folders: dict[str, Path], pages: dict[str, Path], kind: str
) -> None:
    assert page.render(read(folders[kind])) == pages[kind].read_text()


@pytest.mark.parametrize("kind", COSTLY)
def test_hostile_names_are_text(
    folders: dict[str, Path], pages: dict[str, Path], kind: str
) -> None:
    stored = read(folders[kind])
    unit = stored.collected[0].unit
    row = dataclasses.replace(unit.row, preset=HOSTILE)
    runs = dataclasses.replace(stored.collected[0], unit=dataclasses.replace(unit, row=row))
    bad = Stored(
        stored.folder,
        stored.suite.model_copy(update={"description": HOSTILE, "devices": [HOSTILE]}),
        [runs, *stored.collected[1:]],
        stored.summary,
        {**stored.manifest, "devices": [HOSTILE]},
    )
    text = page.render(bad)
    before, after = links(pages[kind].read_text()).tags, links(text).tags
    assert after.count("script") == before.count("script") == 3
    assert after.count("img") == before.count("img")
    assert "<img src=x" not in text
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in text


def test_a_gate_is_of_tables(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "gate.json").write_text('{"passed": true}')
    with pytest.raises(Unsupported, match="reads no table"):
        page.write(folders["standalone"], gate=tmp_path / "gate.json")


def test_cells_that_the_truth_lacks_leave_a_page(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_figures", no_figures)
    monkeypatch.setattr(supernet, "_truth_of", lambda suite, unit, point: math.nan)
    units = data_of(page.render(read(folders["supernet"])))["units"]
    assert [bool(run["curve"]) for unit in units for run in unit["runs"]] == [
        True, True, False, False, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_runs_of_a_gpu_are_read_without_one(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(page, "_figures", no_figures)
    stored = read(folders[kind])
    suite = stored.suite.model_copy(update={"devices": ["cuda:0"]})
    with Store(folders[kind]) as old:
        kept = [old.runs(runs.records[0].unit) for runs in stored.collected]
    with execution.opened(suite, tmp_path / "gpu") as store:
        for unit, records in zip(suites.units(suite), kept, strict=True):
            store.add_units({unit.key(): unit.describe()})
            store.add([record._replace(unit=unit.key()) for record in records])
    manifest.write_manifest(tmp_path / "gpu", {**stored.manifest, "devices": ["cuda:0"]})
    text = page.write(tmp_path / "gpu").read_text()
    assert f"--seeds {suite.seeds} --devices cuda:0" in text
    assert "These ran on cuda:0: a CUDA GPU is needed." in text


@pytest.mark.slow
def test_pages_of_trainings_in_a_browser(window: Browser, pages: dict[str, Path]) -> None:
    for kind, unit in (("standalone", 1), ("supernet", 0), ("supernet", 1)):
        window.open(pages[kind])
        settled(window)
        content = data_of(pages[kind].read_text())
        assert (content["space"] is None) == (kind == "standalone")  # no table: no scatter
        assert painted(window, "chart") > 500
        change(window, "unit", str(unit))
        change(window, "seed", "1")
        settled(window)
        expected = content["units"][unit]
        run = expected["runs"][1]
        again = window.run("return document.getElementById('again').textContent")
        assert again == f"{expected['command']} --seed 1"
        assert painted(window, "curve") > 300
        assert window.run("return document.querySelectorAll('#cell circle').length") == 4
        printed = window.run("return document.getElementById('architecture').textContent")
        assert printed == run["architecture"]
        terms = window.run(
            "return [...document.querySelectorAll('#facts dt')].map(term => term.textContent)"
        )
        assert terms == [name for name, _ in run["facts"]]
        for width in (400, 1400):
            window.width(width)
            settled(window)
            assert window.run("return document.documentElement.scrollWidth <= innerWidth")
        assert [entry for entry in window.log() if entry["level"] != "DEBUG"] == []
