"""The page of suites that train: complete, escaped, right, working in a real browser."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report.browser import AVAILABLE, Browser, browser
from report.stored_training import STANDALONE, SUPERNET, make
from report.test_report_page import HOSTILE, click, column, links
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


def no_figures(stored: Stored) -> list[object]:
    return []  # what is drawn is the concern of other tests


def data_of(text: str) -> Any:
    """Return the runs of a page, which must be strict JSON: a browser reads no NaN."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    found = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1], parse_constant=refuse)


def cells_of(text: str) -> list[list[str]]:
    """Return the texts of the result table, the head first."""
    table = text[text.index('<table id="table">') :]
    table = table[: table.index("</table>")]
    head = re.findall(r"<button[^>]*>(.*?)</button>", table)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr data-")[1:]]
    return [head, *rows]


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_needs_nothing_else(pages: dict[str, Path], kind: str) -> None:
    text = pages[kind].read_text()
    found = links(text).found
    assert sum(link.startswith("data:image/png;base64,") for link in found) >= 4
    assert all(link.startswith(("data:", "#")) for link in found)
    assert "@import" not in text
    assert "url(" not in text


def test_a_page_of_trainings_says_what_ran_and_how_to_repeat_it(pages: dict[str, Path]) -> None:
    text = pages["standalone"].read_text()
    for part in (
        "Four trainings a run.",
        "4 finished runs",
        "space nasbench201, trained on cpu",
        "nasbench-evo run tiny_trainings --seeds 2 --devices cpu",
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
        "the noise ceiling",
        "genotypes of",  # the sentence of the pair
        "Wilcoxon signed-rank",
    ):
        assert part in text, part


def test_the_table_has_the_numbers_of_the_summary(
    folders: dict[str, Path], pages: dict[str, Path]
) -> None:
    stored = read(folders["standalone"])
    rows = stored.found.rows
    head, *found = cells_of(pages["standalone"].read_text())
    seen, tests = head.index("seen (%)"), head.index("final test (%)")
    assert len(found) == len(rows)
    for row, cells in zip(rows, found, strict=True):
        assert cells[seen].startswith(f"{row.seen_mean:.2f} [")
        assert cells[tests].partition(" ")[0] == (
            "" if row.final_test is None else f"{row.final_test:.2f}"
        )
    assert {cells[head.index("trainings")] for cells in found} == {"", "4"}


def test_a_column_in_which_no_row_has_anything_is_left_out(
    folders: dict[str, Path], pages: dict[str, Path]
) -> None:
    head, *found = cells_of(pages["supernet"].read_text())
    assert "standalone test (%)" not in head  # the table has no test accuracies
    assert {len(cells) for cells in found} == {len(head)}
    stored = read(folders["supernet"])
    place = head.index("regret (points)")
    assert [cells[place] for cells in found] == [f"{r.regret:.2f}" for r in stored.found.rows]


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
    assert after.count("script") == before.count("script") == 2
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
@pytest.mark.parametrize("kind", KINDS)
def test_no_console_message(window: Browser, pages: dict[str, Path], kind: str) -> None:
    window.open(pages[kind])
    assert [entry for entry in window.log() if entry["level"] != "DEBUG"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"),
    [("standalone", "seen (%)"), ("supernet", "regret (points)")],
)
def test_tables_sort_and_filter(
    window: Browser, pages: dict[str, Path], kind: str, name: str
) -> None:
    window.open(pages[kind])
    head = cells_of(pages[kind].read_text())[0]
    place = head.index(name)
    few = len(column(window, place))
    assert click(window, place) == "ascending"
    window.run(
        "const c = document.getElementById('choice'); c.value = '';"
        "c.dispatchEvent(new Event('change'))"
    )
    values = [float(text.partition(" ")[0]) for text in column(window, place)]
    assert len(values) > few
    assert values == sorted(values)
    assert click(window, place) == "descending"
    again = [float(text.partition(" ")[0]) for text in column(window, place)]
    assert again == sorted(values, reverse=True)
    assert again != values


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "unit"), [("standalone", 1), ("supernet", 0), ("supernet", 1)])
def test_a_run_is_drawn(window: Browser, pages: dict[str, Path], kind: str, unit: int) -> None:
    window.open(pages[kind])
    window.run(
        f"const u = document.getElementById('unit'); u.value = '{unit}';"
        "u.dispatchEvent(new Event('change')); const s = document.getElementById('seed');"
        "s.value = '1'; s.dispatchEvent(new Event('change'))"
    )
    expected = data_of(pages[kind].read_text())["units"][unit]
    run = expected["runs"][1]
    again = window.run("return document.getElementById('again').textContent")
    assert again == f"{expected['command']} --seed 1"
    assert window.run("return document.querySelectorAll('#curve path.curve').length") == 1
    assert "NaN" not in window.run("return document.getElementById('curve').innerHTML")
    assert window.run("return document.querySelectorAll('#cell circle').length") == 4
    printed = window.run("return document.getElementById('architecture').textContent")
    assert printed == run["architecture"]
    terms = window.run(
        "return [...document.querySelectorAll('#facts dt')].map(term => term.textContent)"
    )
    assert terms == [name for name, _ in run["facts"]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_is_readable(
    window: Browser, pages: dict[str, Path], kind: str, scheme: str
) -> None:
    window.scheme(scheme)
    window.width(390)
    window.open(pages[kind])
    wide = window.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1] == 390
    size = window.run("return parseFloat(getComputedStyle(document.body).fontSize)")
    assert size >= 14
    image = window.run("return document.querySelector('figure img').currentSrc")
    source = window.run("return document.querySelector('figure source').srcset")
    assert (image == source) == (scheme == "dark")
    window.width(1200)
