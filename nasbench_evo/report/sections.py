"""What a page is made of: sections of figures, and images on two grounds."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from nasbench_evo.results.ablation_text import Section

Images = Mapping[str, Mapping[str, str]]  # file -> look -> data URI
T = TypeVar("T")

_LOOKS = ("paper", "dark")


def on_both_grounds(draw: Callable[[Path, str], T]) -> tuple[Images, T]:
    """Return what `draw(folder, look)` writes as PNG on light and dark ground, and its last answer.

    The files are gone afterwards.
    """
    images: dict[str, dict[str, str]] = {}
    with TemporaryDirectory() as name:
        for look in _LOOKS:
            target = Path(name) / look
            target.mkdir()
            answer = draw(target, look)
            for path in target.glob("*.png"):
                images.setdefault(path.stem, {})[look] = _data_uri(path)
    return images, answer


def shown(sections: Sequence[Section], images: Images) -> list[dict[str, Any]]:
    """Return sections as the template shows them; those that came out empty are left out."""
    return [
        {
            "title": section.title,
            "figures": [(images[file], caption) for file, caption in section.figures],
            "said": section.said,
            "table": [[cell.replace("`", "") for cell in row] for row in section.table],
            "verdict": section.verdict,
        }
        for section in sections
        if section.figures or section.said or section.table
    ]


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
