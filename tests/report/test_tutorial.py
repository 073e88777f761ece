"""The tutorial does what it says: its files are written, its blocks are run, in order."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(
    r"(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL
)


class Block(NamedTuple):
    note: str
    kind: str
    text: str


def blocks(path: Path) -> list[Block]:
    found = _BLOCK.finditer(path.read_text())
    return [Block(match["note"] or "", match["kind"], match["text"]) for match in found]


def run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path) -> None:
    printed = []
    for block in blocks(DOCS / "tutorial.md"):
        if block.note.startswith("file: "):
            (tmp_path / block.note.removeprefix("file: ")).write_text(block.text)
        elif block.kind == "python":
            printed.append(run([sys.executable, "-c", block.text], tmp_path))
        elif block.kind == "sh" and not block.note.startswith("not executed"):
            for line in block.text.splitlines():
                program, *arguments = shlex.split(line)
                assert program == "nasbench-evo"
                command = [sys.executable, "-m", "nasbench_evo", *arguments]
                printed.append(run(command, tmp_path))
    text = "\n".join(printed)
    assert "regret" in text
    assert text.count("children = ") >= 4  # 2 levels beside the reference, 2 data sets
    folder = tmp_path / "results" / "climb"
    for name in ("regret.svg", "report.html", "summary.tex", "summary.md", "ablation.md"):
        assert (folder / name).stat().st_size > 500
    assert (tmp_path / "cell.png").exists()


def test_the_algorithm_is_about_twenty_lines() -> None:
    (block,) = [b for b in blocks(DOCS / "tutorial.md") if b.note == "file: hill_climber.py"]
    assert len([line for line in block.text.splitlines() if line.strip()]) <= 20


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_links_and_images_lead_somewhere(page: Path) -> None:
    if page.name not in ("tutorial.md", "gallery.md"):
        pytest.skip("its own tests hold it")
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert links
    for link in links:
        assert (page.parent / link).exists(), link
