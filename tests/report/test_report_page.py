"""The HTML page: complete in itself, hostile names escaped, and working in a real browser."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shlex
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report.browser import AVAILABLE, Browser, browser
from report.stored_suite import make, run
from typer.testing import CliRunner

from nasbench_evo import execution, store, tables
from nasbench_evo import suite as suites
from nasbench_evo.cli import app
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.report import page, page_space, reproduce, sections, watch
from nasbench_evo.results.ablation_text import Section
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


def data_of(text: str) -> Any:
    """Return the runs of a page, which must be strict JSON: a browser reads no NaN."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    found = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1], parse_constant=refuse)


def test_the_page_needs_nothing_else(written: Path) -> None:
    text = written.read_text()
    assert len(text) < 2_000_000
    found = links(text).found
    assert sum(link.startswith("data:image/png;base64,") for link in found) >= 8
    assert all(link.startswith(("data:", "#")) for link in found)
    assert "@import" not in text
    assert "url(" not in text
    assert "Permission is hereby granted" in text  # uPlot's licence goes where uPlot goes


def test_the_library_is_the_packaged_one() -> None:
    here = resources.files("nasbench_evo.report") / "uplot"
    sums = {
        "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    }
    for name, expected in sums.items():
        assert hashlib.sha256((here / name).read_bytes()).hexdigest() == expected, name


def test_the_page_says_what_ran(written: Path) -> None:
    text = written.read_text()
    for part in (
        "table_sha256",
        "NAS-Bench-201 (ICLR 2020)",
        "extinction reads another trial",
        "paired seeds",
        "168 finished runs",
    ):
        assert part in text


def test_the_first_screen_says_who_won_and_by_how_much(folder: Path, written: Path) -> None:
    text, stored = written.read_text(), read(folder)
    top = text[text.index('class="answers"') : text.index('id="results"')]
    for sheet in stored.kind.sheets(stored.found):
        assert stored.kind.verdict(stored.found, sheet) in top
        for row in sheet.rows:
            assert f'<span class="value">{row.mean_regret:.3f}</span>' in top
    assert top.count('<span class="badge">best</span>') == 2
    assert ":</strong>:" not in top
    ablation = text[text.index('id="figures"') :]
    for section in re.findall(r"<section>(.*?)</section>", ablation, re.DOTALL):
        if "patience=1000" in section:  # verdict, then table, then figures, then sentences
            marks = ('class="verdict"', "<table", "<figure", "In sentences")
            places = [section.index(mark) for mark in marks]
            assert places == sorted(places)
            break
    else:
        pytest.fail("no section of the factor primary_step")


def test_the_same_runs_give_the_same_page(folder: Path) -> None:
    assert page.render(read(folder), live=True) == page.render(read(folder), live=True)


def test_a_run_can_be_repeated_by_its_command(written: Path) -> None:
    content = data_of(written.read_text())
    unit = next(unit for unit in content["units"] if "primary_step=2" in unit["label"])
    assert unit["command"] == (
        "nasbench-evo search eigen --dataset cifar10 --set patience=1000 --set primary_step=2 "
        "--evaluations 130"
    )
    assert [run["seed"] for run in unit["runs"]] == [0, 1, 2]


def unpacked(packed: dict[str, Any]) -> np.ndarray:
    import base64

    steps = np.frombuffer(base64.b64decode(packed["data"]), f"<u{packed['bytes']}")
    return packed["low"] + packed["step"] * steps if "step" in packed else steps


def test_curves_and_courses_are_those_of_the_runs(folder: Path, written: Path) -> None:
    content, table = data_of(written.read_text()), tables.load()
    quality = table.quality[table.row("cifar10")]
    stored = read(folder)
    ends = {row.label: row for row in stored.found.rows if row.evaluations == 130}
    chart = next(chart for chart in content["charts"] if chart["dataset"] == "cifar100")
    by_evaluations, by_time = chart["by"]
    assert len(by_evaluations["points"]) < 100
    for label, line, timed in zip(
        chart["rows"], by_evaluations["lines"], by_time["lines"], strict=True
    ):
        row = next(r for r in stored.found.rows if (r.label, r.dataset) == (label, "cifar100"))
        assert label in ends
        last = [r for r in stored.found.rows if r.label == row.label and r.dataset == "cifar100"]
        assert line["mean"][-1] == pytest.approx(last[-1].mean_regret, rel=1e-3)
        assert timed["mean"][-1] == pytest.approx(last[-1].mean_regret, rel=1e-3)
        assert timed["n"] == line["n"] == 12
    drawn = unpacked(content["space"]["datasets"]["cifar10"]["accuracy"])
    assert drawn.shape == (15625,)
    np.testing.assert_allclose(drawn, quality, atol=0.001)
    unit = next(unit for unit in content["units"] if "primary_step=2" in unit["label"])
    for one in unit["runs"]:
        answers, spent = unpacked(one["answers"]), unpacked(one["spent"]) / 100
        assert spent[-1] == pytest.approx(130, abs=1)
        for at, regret, which in one["curve"]:
            index = content["genotypes"][which]["index"]
            assert regret == pytest.approx(quality.max() - quality[index], abs=1e-3)
            assert index in answers[spent <= at + 0.02]


def test_no_scatter_where_the_table_lacks_cells(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_space, "MOST", 15_624)
    assert page_space.scatter(read(folder)) is None
    text = page.render(read(folder), live=True)
    assert 'id="space"' not in text


def test_hostile_names_are_text_and_the_gate_is_shown(
    folder: Path, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = Section(HOSTILE, (), (HOSTILE,), ((HOSTILE,), (HOSTILE,)), HOSTILE)
    shown = sections.shown([section], {})
    monkeypatch.setattr(page, "_figures", lambda stored, repeated: shown)
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
    assert after.count("script") == before.count("script") == 3
    assert "img" not in after
    assert "<img src=x" not in text
    assert "<strong>Failed</strong>: &lt;/script&gt;&lt;script&gt;alert(1)" in text


def test_a_file_that_is_no_gate_is_refused(folder: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate.json"
    for content in ("[1]", "{", '{"verdict": "fine"}'):
        gate.write_text(content)
        with pytest.raises(DataError, match="check --json"):
            page.write(folder, gate=gate)


OWN = """
name = "own"
description = "A suite of its own, with \\"quotes\\" and a \\\\ backslash."
datasets = ["cifar100"]
seeds = 2
first_seed = 7
evaluations = 12
checkpoints = [5, 12]
[[rows]]
algorithm = "regularized_evolution"
set = { sample_size = 2 }
incumbent = "mean"
[[rows]]
algorithm = "eigen"
[rows.grid]
extinction = [true, false]
"""


def test_the_commands_of_a_page_make_its_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_figures", lambda stored, repeated: [])
    (tmp_path / "elsewhere.toml").write_text(OWN)
    first = run(suites.load(tmp_path / "elsewhere.toml"), tmp_path / "results-of-it")
    text = page.write(first).read_text()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    parser = Blocks()
    parser.feed(text)
    Path("own.toml").write_text(parser.blocks["toml"])
    assert (
        suites.load(Path("own.toml")).description
        == 'A suite of its own, with "quotes" and a \\ backslash.'
    )
    commands = parser.blocks["commands"].splitlines()
    assert len(commands) == 2
    for command in commands:
        done = CliRunner().invoke(app, shlex.split(command)[1:], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    (again,) = Path.cwd().glob("*/report.html")
    traces = [
        [run.trace_sha256 for runs in read(where).collected for run in runs.records]
        for where in (first, again.parent)
    ]
    assert traces[0] == traces[1]
    assert len(traces[0]) == 6


class Blocks(HTMLParser):
    """The texts of the blocks that have an id."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: dict[str, str] = {}
        self._open = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = dict(attrs).get("id") or "" if tag == "pre" else self._open

    def handle_endtag(self, tag: str) -> None:
        self._open = "" if tag == "pre" else self._open

    def handle_data(self, data: str) -> None:
        if self._open:
            self.blocks[self._open] = self.blocks.get(self._open, "") + data


def test_a_bundled_suite_is_repeated_by_its_name() -> None:
    suite = suites.load(suites.bundled()["nb201"]).model_copy(update={"seeds": 5})
    again = reproduce.again(suite, devices=False)
    assert again.commands[0] == "nasbench-evo run nb201 --seeds 5 --out nb201-again"
    assert again.file == again.toml == ""
    changed = suite.model_copy(update={"evaluations": 299, "checkpoints": []})
    assert reproduce.again(changed, devices=False).file == "nb201.toml"


@pytest.mark.parametrize(
    "name",
    [
        "ablation_eigen_extinction",
        "nb201_transfer",
        pytest.param("training_digits", marks=pytest.mark.torch),
        pytest.param("weight_sharing", marks=pytest.mark.torch),
    ],
)
def test_suites_survive_being_written_as_toml(name: str, tmp_path: Path) -> None:
    suite = suites.load(suites.bundled()[name])
    (tmp_path / "again.toml").write_text(suites.to_toml(suite))
    again = suites.load(tmp_path / "again.toml")
    assert (suites.identity(again), again.seeds) == (suites.identity(suite), suite.seeds)
    assert again.description == suite.description


# ---- The live view


def asked(address: str, path: str = "", host: str | None = None) -> Any:
    headers = {"Host": host} if host else {}
    request = urllib.request.Request(address + path, headers=headers)  # noqa: S310
    return urllib.request.urlopen(request, timeout=60)  # noqa: S310


def test_a_live_page_follows_the_runs_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN)
    suite, folder = suites.load(tmp_path / "own.toml"), tmp_path / "results"
    folder.mkdir()
    server = watch.server(watch.Live(folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/"
    try:
        assert server.server_address[0] == "127.0.0.1"
        assert "Waiting for the first run" in asked(address).read().decode()
        assert json.load(asked(address, "state")) == {"done": 0, "total": 0, "wait": 2.0}
        assert list(folder.iterdir()) == []  # whoever runs the suite makes its store
        with execution.opened(suite, folder) as opened:
            work = execution.plan(suite, opened)
            half = dataclasses.replace(work, tasks=work.tasks[:1])
            execution.execute(half, opened, engine="serial", workers=1, progress=lambda n: None)
            state = json.load(asked(address, "state"))
            assert (state["done"], state["total"]) == (2, 6)
            answer = asked(address)
            text = answer.read().decode()
            assert 'data-shown="2"' in text
            assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]
            rest = execution.plan(suite, opened)
            assert rest.done == 2
            execution.execute(rest, opened, engine="serial", workers=1, progress=lambda n: None)
        assert 'data-shown="6"' in asked(address).read().decode()
        for path, name, code in (("runs.sqlite", None, 404), ("", "evil.example", 403)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                asked(address, path, name)
            assert refused.value.code == code
            refused.value.close()
        assert not (folder / page.FILE).exists()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_ctrl_c_ends_a_live_view(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Any, poll_interval: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("socketserver.BaseServer.serve_forever", interrupted)
    done = CliRunner().invoke(app, ["report", str(folder), "--watch"], catch_exceptions=False)
    assert done.exit_code == 0
    assert re.match(r"Live at http://127\.0\.0\.1:\d+/ ", done.output)
    missing = CliRunner().invoke(app, ["report", str(tmp_path / "no"), "--watch"])
    assert isinstance(missing.exception, InputError)
    both = CliRunner().invoke(app, ["report", str(folder), "--watch", "--gate", "gate.json"])
    assert isinstance(both.exception, InputError)


def test_progress_is_read_without_touching_the_store(tmp_path: Path) -> None:
    assert store.progress(tmp_path) == (0, 0)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / store.FILE).write_bytes(b"no database at all, but some text" * 200)
    assert store.progress(tmp_path) == (0, 0)


# ---- In a browser


def rows_of(window: Browser) -> list[list[str]]:
    """Return the cells of the first table that is shown."""
    found: list[list[str]] = window.run(
        "const t = [...document.querySelectorAll('section.sheet')].find(s => !s.hidden);"
        "return [...t.querySelectorAll('tr')].map(r => [...r.cells].filter(c => !c.hidden)"
        ".map(c => c.innerText.trim()))"
    )
    return found


def click(window: Browser, name: str) -> str:
    """Sort the first table that is shown by a column."""
    found: str = window.run(
        "const t = [...document.querySelectorAll('section.sheet')].find(s => !s.hidden);"
        "const h = [...t.querySelectorAll('th')]"
        f".find(h => h.innerText.trim().startsWith('{name}'));"
        "h.querySelector('button').click(); return h.getAttribute('aria-sort')"
    )
    return found


def change(window: Browser, name: str, value: str) -> None:
    window.run(
        f"const c = document.getElementById('{name}'); if (c.type === 'checkbox') c.checked = "
        f"{json.dumps(value)} === 'on'; else c.value = {json.dumps(value)};"
        "c.dispatchEvent(new Event(c.type === 'range' ? 'input' : 'change'))"
    )


def painted(window: Browser, name: str) -> int:
    """Return how many pixels of a chart are not transparent."""
    found: int = window.run(
        f"let n = 0; for (const c of document.querySelectorAll('#{name} canvas')) {{"
        "if (!c.width) continue;"
        "const copy = new OffscreenCanvas(c.width, c.height);"
        "const context = copy.getContext('2d', { willReadFrequently: true });"
        "context.drawImage(c, 0, 0);"
        "const d = context.getImageData(0, 0, c.width, c.height).data;"
        "for (let i = 3; i < d.length; i += 4) n += d[i] > 0; } return n"
    )
    return found


def settled(window: Browser) -> None:
    """Wait until the page has drawn: charts are drawn in a task of their own."""
    window.post(
        "execute/async",
        {"script": "requestAnimationFrame(() => setTimeout(arguments[0], 120))", "args": []},
    )


@pytest.mark.slow
def test_a_page_in_a_browser(window: Browser, written: Path) -> None:
    content = data_of(written.read_text())

    # Tables: one a data set; they sort, and one checkpoint is shown.
    head, *rows = rows_of(window)
    regret = head.index("regret (points)")
    assert rows[0][0].endswith("best")
    assert click(window, "regret") == "ascending"
    assert click(window, "regret") == "descending"
    turned = [float(row[regret].split()[0]) for row in rows_of(window)[1:]]
    assert turned == sorted(turned, reverse=True)
    change(window, "choice", "30")
    assert rows_of(window)[1:] != rows

    chosen = int(window.run("return document.getElementById('unit').value"))
    assert rows[0][0].startswith(content["units"][chosen]["label"])  # the best is shown first

    # Curves: a row can be hidden, and the keyboard reads values.
    before = painted(window, "chart")
    window.run("document.querySelector('#legend button').click()")
    settled(window)
    assert window.run("return document.querySelector('#legend button').ariaPressed") == "false"
    assert 1000 < painted(window, "chart") < before
    for name, value in (("chart-by", "1"), ("log-x", "off"), ("log-y", "off"), ("chart-of", "1")):
        change(window, name, value)
    window.run(
        "const c = document.getElementById('chart'); c.focus(); for (const key of ['Home', "
        "'ArrowRight', 'End']) c.dispatchEvent(new KeyboardEvent('keydown', {key}))"
    )
    settled(window)
    tip = window.run("return document.querySelector('#chart .tip').innerText")
    assert "simulated seconds" in tip
    assert len(tip.splitlines()) == 7  # a head, and all rows but the hidden one

    # One run: what it found, its course over the search space, the command.
    change(window, "unit", "2")
    change(window, "seed", "1")
    settled(window)
    unit = content["units"][2]
    one = unit["runs"][1]
    again = window.run("return document.getElementById('again').textContent")
    assert again == f"{unit['command']} --seed 1"
    assert window.run("return document.querySelectorAll('#cell circle').length") == 4
    assert window.run("return document.querySelectorAll('#steps tbody tr').length") == len(
        one["curve"]
    )
    assert painted(window, "curve") > 500
    change(window, "at", "0")
    few = painted(window, "space")
    change(window, "at", "100000")
    assert painted(window, "space") > few > 1000
    said = window.run("return document.getElementById('said').textContent")
    assert f"answer {len(unpacked(one['answers']))} of" in said
    best = 91.607 - one["curve"][-1][1]
    assert f"incumbent {best:.2f} %" in said

    # Everything that does something can be reached by the keyboard, and has a name.
    nameless = window.run(
        "return [...document.querySelectorAll('button, select, input, a, [tabindex]')].filter(e => "
        "e.tabIndex < 0 || !(e.ariaLabel || e.innerText || e.labels?.length || "
        "e.getAttribute('aria-describedby'))).map(e => e.outerHTML)"
    )
    assert nameless == []
    assert [entry for entry in window.log() if entry["level"] != "DEBUG"] == []


@pytest.mark.slow
def test_every_width_and_ground(window: Browser, tmp_path: Path) -> None:
    hidden = []
    change(window, "choice", "130")
    for scheme, ground in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 28)")):
        window.scheme(scheme)
        for width in (400, 1000, 1400):
            window.width(width)
            settled(window)
            clipped = window.run(
                "return [...document.querySelectorAll('.scroll')].filter(s => "
                "!s.closest('[hidden]') && s.scrollWidth > s.clientWidth + 1)"
                ".map(s => s.innerText.slice(0, 80))"
            )
            assert clipped == [], (width, clipped)
            assert window.run("return document.documentElement.scrollWidth <= innerWidth")
            hidden.append(len(rows_of(window)[0]))
        assert window.run("return getComputedStyle(document.body).backgroundColor") == ground
        image = window.run("return document.querySelector('figure img').currentSrc")
        source = window.run("return document.querySelector('figure source').srcset")
        assert (image == source) == (scheme == "dark")
        window.screenshot(tmp_path / f"{scheme}.png")
        assert (tmp_path / f"{scheme}.png").stat().st_size > 10_000
    assert hidden[0] < hidden[1] < hidden[2]
    window.width(400)
    change(window, "columns", "on")  # all columns: the first stays in sight
    stays = window.run(
        "const t = [...document.querySelectorAll('section.sheet')].find(s => !s.hidden);"
        "const f = t.querySelector('.scroll'); f.scrollLeft = 300;"
        "return t.querySelector('tbody th').getBoundingClientRect().left"
        " - f.getBoundingClientRect().left"
    )
    assert 0 <= stays <= 2
    change(window, "columns", "off")
    window.width(1200)
    assert [entry for entry in window.log() if entry["level"] != "DEBUG"] == []
