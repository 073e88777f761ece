"""The HTML page: complete in itself, hostile names escaped, and working in a real browser."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report.browser import AVAILABLE, Browser, browser
from report.stored_suite import make

from nasbench_evo.errors import DataError
from nasbench_evo.report import page
from nasbench_evo.results.folder import Stored, read

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def written(folder: Path) -> Path:
    return page.write(folder, runs=3)


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory, written: Path) -> Iterator[Browser]:
    if not AVAILABLE:
        pytest.skip("no Chromium: install the Debian packages chromium and chromium-driver")
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        opened.open(written)
        yield opened


class Links(HTMLParser):
    """Everything that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "srcset", "href")]


def links(text: str) -> Links:
    parser = Links()
    parser.feed(text)
    return parser


def test_the_page_needs_nothing_else(written: Path) -> None:
    text = written.read_text()
    found = links(text).found
    assert sum(link.startswith("data:image/png;base64,") for link in found) >= 10
    assert all(link.startswith(("data:", "#")) for link in found)
    assert "@import" not in text
    assert "url(" not in text


def test_the_page_says_what_ran_and_how_to_repeat_it(written: Path) -> None:
    text = written.read_text()
    for part in (
        "nasbench-evo run small --seeds 12",
        "table_sha256",
        "NAS-Bench-201 (ICLR 2020)",
        "extinction reads another trial",
        "paired seeds",
        "168 finished runs",
    ):
        assert part in text


@pytest.mark.slow
def test_the_same_runs_give_the_same_page(folder: Path, written: Path) -> None:
    assert page.render(read(folder), runs=3) == written.read_text()


def test_a_run_can_be_repeated_by_its_command(written: Path) -> None:
    content = json.loads(
        re.search(r'id="data">(.*?)</script>', written.read_text(), re.DOTALL)[1]  # type: ignore[index]
    )
    unit = next(unit for unit in content["units"] if "primary_step=2" in unit["label"])
    assert unit["command"] == (
        "nasbench-evo search eigen --dataset cifar10 --set patience=1000 --set primary_step=2 "
        "--evaluations 130"
    )
    assert [run["seed"] for run in unit["runs"]] == [0, 1, 2]


def test_hostile_names_are_text_and_the_gate_is_shown(folder: Path, written: Path) -> None:
    stored = read(folder)
    unit = stored.collected[1]
    row = dataclasses.replace(unit.unit.row, algorithm=unit.unit.row.algorithm, preset=HOSTILE)
    hostile = dataclasses.replace(unit, unit=dataclasses.replace(unit.unit, row=row))
    suite = stored.suite.model_copy(update={"description": HOSTILE})
    bad = Stored(
        stored.folder,
        suite,
        [stored.collected[0], hostile, *stored.collected[2:]],
        stored.summary,
        {**stored.manifest, "commit": HOSTILE},
    )
    gate = {"passed": False, "verdict": HOSTILE, "layers": {}}
    text = page.render(bad, runs=1, gate=gate)
    before, after = links(written.read_text()).tags, links(text).tags
    assert after.count("script") == before.count("script") == 2
    assert after.count("img") == before.count("img")
    assert "<img src=x" not in text
    assert "<strong>Failed</strong>: &lt;/script&gt;&lt;script&gt;alert(1)" in text


def test_a_file_that_is_no_gate_is_refused(folder: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate.json"
    for content in ("[1]", "{", '{"verdict": "fine"}'):
        gate.write_text(content)
        with pytest.raises(DataError, match="check --json"):
            page.write(folder, gate=gate)


def column(window: Browser, index: int) -> list[str]:
    found: list[str] = window.run(
        "return [...document.querySelectorAll('#table tbody tr')].filter(r => !r.hidden)"
        f".map(r => r.cells[{index}].textContent)"
    )
    return found


def click(window: Browser, index: int) -> str:
    found: str = window.run(
        f"const h = document.querySelectorAll('#table th')[{index}];"
        "h.querySelector('button').click(); return h.getAttribute('aria-sort')"
    )
    return found


@pytest.mark.slow
def test_no_console_message(window: Browser) -> None:
    assert [entry for entry in window.log() if entry["level"] != "DEBUG"] == []


@pytest.mark.slow
def test_tables_sort_and_filter(window: Browser) -> None:
    assert set(column(window, 2)) == {"130"}
    assert click(window, 5) == "ascending"
    regrets = [float(text.split()[0]) for text in column(window, 5)]
    assert regrets == sorted(regrets)
    assert len(set(regrets)) > 5
    assert click(window, 5) == "descending"
    assert [float(t.split()[0]) for t in column(window, 5)] == sorted(regrets, reverse=True)
    assert click(window, 0) == "ascending"
    names = column(window, 0)
    assert names[0].startswith("eigen")
    assert names[-1].startswith("random_search")
    window.run(
        "const d = document.getElementById('dataset'); d.value = 'cifar100';"
        "d.dispatchEvent(new Event('change'))"
    )
    assert set(column(window, 1)) == {"cifar100"}


@pytest.mark.slow
def test_a_run_is_drawn(window: Browser) -> None:
    window.run(
        "const u = document.getElementById('unit'); u.value = '2';"
        "u.dispatchEvent(new Event('change')); const s = document.getElementById('seed');"
        "s.value = '1'; s.dispatchEvent(new Event('change'))"
    )
    again = window.run("return document.getElementById('again').textContent")
    assert again.endswith("--seed 1")
    assert "primary_step=100" in again
    assert window.run("return document.querySelectorAll('#curve path.curve').length") == 1
    assert window.run("return document.querySelectorAll('#cell circle').length") == 4
    assert "NaN" not in window.run("return document.getElementById('curve').innerHTML")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_is_readable(window: Browser, tmp_path: Path, scheme: str) -> None:
    window.scheme(scheme)
    window.width(390)
    wide = window.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1] == 390
    size = window.run("return parseFloat(getComputedStyle(document.body).fontSize)")
    assert size >= 14
    ground = window.run("return getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 28)")
    image = window.run("return document.querySelector('figure img').currentSrc.length")
    assert image > 1000
    window.screenshot(tmp_path / f"{scheme}.png")
    assert (tmp_path / f"{scheme}.png").stat().st_size > 10_000
    window.width(1200)
