"""The pages do what they say: files are written, blocks are run in order, the site builds."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from support import blocks

from nasbench_evo import cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
TOP = sorted(ROOT.glob("*.md"))
EXECUTED = ("quickstart", "own_table", "objectives", "suites", "coming_from")
_NOT = "not executed: "  # and why


def run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def execute(page: Path, folder: Path) -> list[str]:
    """Run what a page says is run, in order, in a folder; return what was printed."""
    printed = []
    for block in blocks(page):
        if block.note.startswith("file: "):
            path = folder / block.note.removeprefix("file: ")
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)
        elif block.note.startswith(_NOT):
            continue
        elif block.kind == "python":
            printed.append(run([sys.executable, "-c", block.text], folder))
        elif block.kind == "sh":
            for line in block.text.splitlines():
                program, *arguments = shlex.split(line, comments=True)
                if program == "pip":  # it is installed
                    continue
                assert program == "nasbench-evo"
                printed.append(run([sys.executable, "-m", "nasbench_evo", *arguments], folder))
    return printed


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path) -> None:
    text = "\n".join(execute(DOCS / "tutorial.md", tmp_path))
    assert "regret" in text
    assert text.count("children = ") >= 4  # 2 levels beside the reference, 2 data sets
    folder = tmp_path / "results" / "climb"
    for name in ("regret.svg", "report.html", "summary.tex", "summary.md", "ablation.md"):
        assert (folder / name).stat().st_size > 500
    assert (tmp_path / "cell.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", EXECUTED)
def test_the_page_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))
    assert execute(DOCS / f"{name}.md", tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_each_block_is_run_or_says_why_not(page: Path) -> None:
    for block in blocks(page):
        if page.stem not in ("tutorial", *EXECUTED) and block.kind in (
            "python",
            "sh",
            "toml",
            "yaml",
        ):
            assert block.note.startswith(_NOT), block.text


def commands(text: str) -> list[list[str]]:
    """Return the words of each nasbench-evo command in a block."""
    lines = text.replace("\\\n", " ").splitlines()
    return [
        shlex.split(part, comments=True)[1:]
        for line in lines
        for part in line.split("; ")
        if part.strip().startswith("nasbench-evo ") and "[" not in part
    ]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda path: path.name)
def test_each_command_has_the_options_that_it_is_given(page: Path) -> None:
    for words in (words for block in blocks(page) for words in commands(block.text)):
        command: Any = typer.main.get_command(cli.app)
        rest = list(words)
        while rest and hasattr(command, "commands"):
            name = rest.pop(0)
            assert name in command.commands, words
            command = command.commands[name]
        known = {
            option for param in command.params for option in (*param.opts, *param.secondary_opts)
        } | {"--help"}
        given = {word.split("=")[0] for word in rest if word.startswith("--")}
        assert given <= known, (words, given - known)


def test_the_site_has_every_page() -> None:
    index = (DOCS / "index.md").read_text()
    listed = {line for line in index.splitlines() if (DOCS / f"{line}.md").exists()}
    assert listed | {"index"} == {page.stem for page in PAGES}


def test_the_algorithm_is_about_twenty_lines() -> None:
    (block,) = [b for b in blocks(DOCS / "tutorial.md") if b.note == "file: hill_climber.py"]
    assert len([line for line in block.text.splitlines() if line.strip()]) <= 20


@pytest.mark.parametrize("page", [*PAGES, *TOP], ids=lambda path: path.name)
def test_links_and_images_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert link.startswith("https://") or (page.parent / link).exists(), link
