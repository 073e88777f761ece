"""What searches and comparisons give: to print, to frame, to plot, to show in a notebook."""

from __future__ import annotations

import html
import importlib
import io
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_evo.api.arguments import counted, path_of
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.files import write_text
from nasbench_evo.requests import Evaluation
from nasbench_evo.results import answer as answers
from nasbench_evo.results import kinds, manifest
from nasbench_evo.results.answer import Answer
from nasbench_evo.results.columns import ResultRow, Sheet
from nasbench_evo.results.folder import Stored
from nasbench_evo.results.kinds import Findings
from nasbench_evo.results.rows import BASELINE
from nasbench_evo.spaces import Genotype

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 100  # characters of a printed line where there is no terminal


@dataclass(frozen=True)
class Plot:
    """A figure that a notebook shows; `figure` is matplotlib's, `paths` where it was written."""

    figure: Figure
    paths: tuple[Path, ...] = ()

    def _repr_png_(self) -> bytes:
        from nasbench_evo.figures import style

        image = io.BytesIO()
        with style.using():
            self.figure.savefig(image, format="png")
        return image.getvalue()


@dataclass(frozen=True)
class Result(Answer):
    """One finished search: what it found, and its course.

    Accuracies in percent and regret in percentage points are of what was found; `history` is every
    answer as the search saw it, in order.
    """

    history: Sequence[Evaluation] = field(default=(), repr=False)
    _course: Sequence[tuple[float, Genotype, float]] = field(default=(), repr=False)
    _judge: Callable[[Genotype], float | None] = field(default=lambda _: None, repr=False)
    _format: Callable[[Genotype], str] = field(default=str, repr=False)

    @property
    def accuracy(self) -> float | None:
        """Of what was found, percent: on validation data, or on test data where only that is known.

        None where nothing but what the search saw is known: see `history`.
        """
        return self.test_accuracy if self.valid_accuracy is None else self.valid_accuracy

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row for each answer; Unsupported without pandas.

        Columns: evaluations and simulated_seconds spent, arch, genotype, valid_accuracy as the
        search saw it, fraction of a full training, and the regret of that genotype (None without a
        table).
        """
        rows = [
            {
                "evaluations": round(spent, 9),
                "simulated_seconds": seconds,
                "arch": self._format(one.genotype),
                "genotype": one.genotype,
                "valid_accuracy": one.valid_accuracy,
                "fraction": one.fraction,
                "regret": self._judge(one.genotype),
            }
            for one, spent, seconds in zip(self.history, self._spent, self._seconds, strict=True)
        ]
        return _pandas().DataFrame(rows)

    @property
    def _spent(self) -> list[float]:
        return list(accumulate(one.cost for one in self.history))

    @property
    def _seconds(self) -> list[float]:
        return list(accumulate(one.cost_seconds for one in self.history))

    def plot(self, path: Path | str | None = None) -> Plot:
        """Return the course of the search: regret of every answer and of the incumbent.

        Without a table: the accuracy as the search saw it. With a `path` it is written there too,
        as PNG and SVG.
        """
        from nasbench_evo.figures import search as drawings

        known = self.regret is not None
        if known:
            values: list[Any] = [self._judge(one.genotype) for one in self.history]
            held: list[Any] = [(spent, self._judge(cell)) for spent, cell, _ in self._course]
        else:
            values = [one.valid_accuracy for one in self.history]
            held = [(spent, accuracy) for spent, _, accuracy in self._course]

        def draw() -> Figure:
            return drawings.figure(
                f"{self.algorithm} ({self.preset}), {self.dataset}, seed {self.seed}",
                self._spent,
                values,
                held,
                "regret (percentage points)" if known else "accuracy as seen (%)",
                algorithm=self.algorithm,
                logarithmic=known,
            )

        return _plot(draw, path)

    @property
    def _told(self) -> list[tuple[str, str]]:
        return [("found", self.arch), *answers.lines(self)]

    def __str__(self) -> str:
        return "\n".join([answers.title(self), *answers.block(self._told)])

    def _repr_html_(self) -> str:
        """Return the answer for a notebook."""
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(label)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for label, text in self._told
        )
        return f"<p>{html.escape(answers.title(self))}</p><table>{rows}</table>"


@dataclass(frozen=True)
class Comparison:
    """Algorithms side by side on one data set, each with the same seeds; print it.

    `rows` are those of the result table, the best first, as in summary.json; `tests` compare each
    algorithm with random search.
    """

    found: Findings
    call: str = ""  # the Python that made it, for its report

    @property
    def rows(self) -> Sequence[ResultRow]:
        """The rows of the result table, the best first."""
        return self.found.rows

    @property
    def sheet(self) -> Sheet:
        """The result table."""
        (table,) = kinds.of(self.found.suite).sheets(self.found)
        return table

    @property
    def verdict(self) -> str:
        """Who won and by how much, in a sentence."""
        return kinds.of(self.found.suite).verdict(self.found, self.sheet)

    @property
    def tests(self) -> dict[str, dict[str, Any]]:
        """Each algorithm against random search, by label.

        `p_better` is the probability that a run is better than one of random search, `p_value`
        that of a two-sided Mann-Whitney test, Holm-corrected over the algorithms, `best` says
        whether the algorithm is the "best" or "tied" with it (the same test, 5%).
        """
        keys = ("p_better", "p_value", "best")
        return {
            row.label: {key: row[key] for key in keys}
            for row in self.rows
            if row.algorithm != BASELINE
        }

    def to_frame(self) -> Any:
        """Return the rows as a pandas DataFrame; raises Unsupported without pandas."""
        return _pandas().DataFrame([dict(row.values) for row in self.rows])

    def plot(self, path: Path | str | None = None) -> Plot:
        """Return the mean regret (of an own objective: accuracy) against evaluations.

        With a `path` it is written there too, as PNG and SVG.
        """
        from nasbench_evo.figures.suites import overview

        def draw() -> Figure:
            _, made = next(iter(overview.drawings(self.found)))
            return made()

        return _plot(draw, path)

    def report(self, path: Path | str = "report.html", *, runs: int = 50) -> Path:
        """Write one self-contained HTML page and return its path.

        It holds tables, figures, and up to `runs` single runs of each algorithm to look into.
        """
        from nasbench_evo.report import page

        target = path_of(path)
        if target.suffix != ".html":
            raise InputError(f"A report ends with .html; got {target}.")
        one, found = self.found.suite, self.found
        summary = kinds.of(one).summary(found)
        provenance = manifest.manifest(one, runs=found.runs, failed=0, seconds=0.0)
        stored = Stored(
            target.parent, one, list(found.collected), summary, provenance, call=self.call
        )
        text = page.render(stored, runs=counted("runs", runs, 10**9))
        try:
            return write_text(target, text)
        except OSError as error:
            raise InputError(f"Cannot write {target}: {error.strerror}. Choose another.") from error

    def __str__(self) -> str:
        shown = self.sheet.fitted(shutil.get_terminal_size((_WIDTH, 24)).columns)
        head, lines = shown.head, shown.lines
        widths = [max(map(len, cells)) for cells in zip(head, *lines, strict=True)]
        rows = [
            "  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip()
            for line in (head, *lines)
        ]
        return "\n".join([*rows, "", self.verdict])

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.sheet.head)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>"
            for line in self.sheet.lines
        )
        said = html.escape(self.verdict)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{said}</p>"


def _plot(draw: Callable[[], Figure], path: Path | str | None) -> Plot:
    """Return what is drawn, and write it where there is a path, without its ending."""
    from nasbench_evo.figures import style

    with style.using():
        figure = draw()
        if path is None:
            return Plot(figure)
        target = path_of(path)
        if target.suffix[1:] in style.FORMATS:
            wanted: Sequence[str] = (target.suffix[1:],)
            target = target.with_suffix("")
        else:
            wanted = ("png", "svg")
        try:
            return Plot(figure, tuple(style.save(figure, target, wanted)))
        except OSError as error:
            raise InputError(f"Cannot write {target}: {error.strerror}. Choose another.") from error


def _pandas() -> Any:
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise Unsupported(f"A frame needs pandas ({error}). Run: pip install pandas") from error
