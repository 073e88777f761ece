"""`nasbench-evo rank-correlation`: how far one ranking can stand for another."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_evo.cli.console import out, say, tables
from nasbench_evo.cli.spelled import Index, Spelling

if TYPE_CHECKING:
    from nasbench_evo.analysis.rank_correlation import RankCorrelation, Threshold
    from nasbench_evo.analysis.statistics import Interval
    from nasbench_evo.results.rank_files import Joined, Values
    from nasbench_evo.spaces import Space

_TOP = (0.5, 0.1, 0.01)
_FILES = (".csv", ".json")
_CHECKPOINT = ".pt"
_CELLS = 1000
_NAMED = 10  # architectures named in a message
_LABELS = {
    "kendall_tau": "Kendall's tau-b",
    "spearman": "Spearman's rho",
    "pearson": "Pearson's r",
    "weighted_tau": "weighted tau",
    "best_predicted_truth": "true value of the predicted best",
    "best_predicted_regret": "regret of the predicted best",
    "best_predicted_percentile": "percentile of the predicted best",
}


def rank_correlation(
    predicted: Annotated[
        str, typer.Argument(help="A .csv or .json file, a table, or a supernet's .pt.")
    ],
    truth: Annotated[str, typer.Argument(help="A .csv or .json file, or a table.")],
    dataset: Annotated[str | None, typer.Option(help="Data set of the tables.")] = None,
    truth_dataset: Annotated[
        str | None, typer.Option(help="Data set of the truth, where it is another one.")
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(help="What the architectures are (default: a table's own, or nasbench201)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    top: Annotated[
        list[float] | None,
        typer.Option(help="A top fraction beside 0.5, 0.1 and 0.01; may be repeated."),
    ] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples; 0: no intervals.")] = 1000,
    seed: Annotated[
        int, typer.Option(min=0, help="Of resamples, and of what recalibrates a .pt.")
    ] = 0,
    k: Annotated[int, typer.Option("--k", min=1, help="Of the precision at k.")] = 10,
    cells: Annotated[
        int | None, typer.Option(min=3, help=f"Cells sampled for a .pt (default {_CELLS}).")
    ] = None,
    spelling: Spelling = None,
    index: Index = None,
    figure: Annotated[
        Path | None, typer.Option(help="Also draw the scatter: PATH.png and .svg, or one ending.")
    ] = None,
) -> None:
    """Compare a predicted ranking with the truth, for example shared weights with a table.

    A file has an architecture and its value in each entry, in any spelling of the space. CSV: a
    header with `arch` and `value`, or none; JSON: an object. Several values of the
    truth (value_0, value_1) are its trials: their mean is the truth, the agreement of the first two
    is the retest reference.
    """
    from nasbench_evo.analysis.rank_correlation import thresholds
    from nasbench_evo.errors import InputError
    from nasbench_evo.results import rank_files
    from nasbench_evo.spaces import spellings

    chosen = _space(space, predicted, truth)
    _check_options(predicted, truth, dataset, cells)
    if truth_dataset is not None and Path(truth).suffix.lower() in _FILES:
        raise InputError("--truth-dataset is a row of a table, and the truth is a file.")
    read = spellings.reader(chosen, spelling, index)
    x = _source(predicted, dataset, chosen, read, seed, cells=cells or _CELLS)
    y = _source(truth, truth_dataset or dataset, chosen, read, seed, cells=None)
    joined = rank_files.join(x, y)
    _say_missing(joined, x, y, chosen)
    fractions = tuple(dict.fromkeys((*_TOP, *(top or ()))))
    found, reference = _compare(joined, fractions, k, bootstrap, seed, chosen)
    cuts = thresholds(joined.predicted, joined.truth, top=fractions, k=k)
    if as_json:
        settings = {"space": chosen.name, "seed": seed, "bootstrap": bootstrap}
        ends = {
            "only_in_predicted": [chosen.format(g) for g in joined.only_predicted],
            "only_in_truth": len(joined.only_truth),
            "thresholds": [cut._asdict() for cut in cuts],
            "reference": None if reference is None else reference.to_json(),
        }
        names = {"predicted": x.source, "truth": y.source}
        out(json.dumps({**names, **settings, **found.to_json(), **ends}, indent=1))
    else:
        _print(found, reference, x, y)
        _say_ties(cuts)
    if figure is not None:
        _draw(joined, found, x, y, chosen, figure)


def _space(name: str | None, predicted: str, truth: str) -> Space:
    """Return the space that is named, or that of a table among the two sources."""
    from nasbench_evo import spaces, tables

    if name is not None:
        return spaces.get(name)
    known = tables.known()
    found = [one for one in (truth, predicted) if one.partition("@")[0] in known]
    return tables.load(found[0]).space if found else spaces.get("nasbench201")


def predict(
    checkpoint: Annotated[Path, typer.Argument(help="A supernet's .pt.")],
    out_file: Annotated[Path, typer.Option("--out", help="The .csv file to write.")],
    cells: Annotated[int, typer.Option(min=3, help="Cells to sample.")] = _CELLS,
    space: Annotated[str, typer.Option(help="What the architectures are.")] = "nasbench201",
    seed: Annotated[int, typer.Option(min=0, help="Of the images that recalibrate it.")] = 0,
) -> None:
    """Write the shared-weight accuracies of sampled cells as CSV, for `rank-correlation`."""
    from nasbench_evo import spaces
    from nasbench_evo.errors import InputError
    from nasbench_evo.files import csv_text, write_text
    from nasbench_evo.results import rank_files

    if out_file.suffix.lower() != ".csv":
        raise InputError(f"--out must end in .csv; got {out_file}.")
    chosen = spaces.get(space)
    found = rank_files.of_checkpoint(checkpoint, chosen, cells, seed)
    rows = ([chosen.format(genotype), repr(value)] for genotype, value in found.means.items())
    try:
        write_text(out_file, csv_text(["arch", "accuracy"], rows))
    except OSError as error:
        raise InputError(f"Cannot write {out_file}: {error.strerror}. Choose another.") from error
    say(f"Written: {out_file}, {len(found.means)} cells (accuracy in percent).")


def _check_options(predicted: str, truth: str, dataset: str | None, cells: int | None) -> None:
    """Refuse options that would have no effect."""
    from nasbench_evo.errors import InputError

    if Path(truth).suffix == _CHECKPOINT:
        raise InputError(f"A supernet can predict, it is not the truth: {truth}. Swap the two.")
    if dataset is not None and all(
        Path(s).suffix.lower() in (*_FILES, _CHECKPOINT) for s in (predicted, truth)
    ):
        raise InputError("--dataset is a row of a table, and neither is a table; leave it out.")
    if cells is not None and Path(predicted).suffix != _CHECKPOINT:
        raise InputError("--cells are sampled for a supernet (.pt) only; leave it out.")


def _source(
    name: str,
    dataset: str | None,
    space: Space,
    read: Callable[[str], Any],
    seed: int,
    *,
    cells: int | None,
) -> Values:
    """Return the values of a file, a supernet or a table; the truth (no `cells`) has trials."""
    from nasbench_evo import tables
    from nasbench_evo.errors import InputError
    from nasbench_evo.results import rank_files

    path = Path(name)
    if path.suffix.lower() in _FILES:
        return rank_files.read(path, read, several=cells is None)
    if path.suffix == _CHECKPOINT and cells is not None:
        return rank_files.of_checkpoint(path, space, cells, seed)
    if path.exists() and name.partition("@")[0] not in tables.known():
        raise InputError(f"{name} is neither a .csv or .json file nor a table; save it as one.")
    return rank_files.of_table(name, dataset, space)


def _say_missing(joined: Joined, x: Values, y: Values, space: Space) -> None:
    """Say how many genotypes only one side has, and which the truth lacks."""
    sides = ((x, y, joined.only_predicted, _NAMED), (y, x, joined.only_truth, 0))
    for source, other, left, most in sides:
        if left:
            named = ", ".join(space.format(g) for g in left[:most])
            more = f" and {len(left) - most} more" if most and len(left) > most else ""
            say(
                f"{len(left)} of the {len(source.means)} architectures of {source.source} are not "
                f"in {other.source} and are left out{': ' if named else ''}{named}{more}."
            )


def _compare(
    joined: Joined, top: tuple[float, ...], k: int, bootstrap: int, seed: int, space: Space
) -> tuple[RankCorrelation, RankCorrelation | None]:
    """Return the figures and their retest reference; warnings become lines."""
    from nasbench_evo.analysis.rank_correlation import rank_correlation as compare
    from nasbench_evo.randomness import stream
    from nasbench_evo.results import rank_files

    purpose = "bootstrap of the rank correlation"
    options: dict[str, Any] = {"top": top, "k": k, "bootstrap": bootstrap}
    with _warnings_as_lines(""):
        found = compare(
            joined.predicted, joined.truth, rng=stream(seed, purpose).generator, **options
        )
    with _warnings_as_lines("Retest reference: "):
        rng = stream(seed, purpose, 1).generator
        return found, rank_files.retest_reference(joined, rng=rng, space=space, **options)


@contextmanager
def _warnings_as_lines(prefix: str) -> Iterator[None]:
    from nasbench_evo.analysis.statistics import StatisticsWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", StatisticsWarning)
        yield
    for warning in caught:
        say(f"Warning: {prefix}{warning.message}")


def _print(found: RankCorrelation, reference: RankCorrelation | None, x: Values, y: Values) -> None:
    from rich.table import Table as Grid

    grid = Grid(
        title=f"{x.source} against {y.source}",
        caption="With bootstrap 95% intervals over architectures. Retest reference (no upper "
        "limit): the same figures of the second trial of the truth against its first, one cell "
        "of each class of cells that compute the same"
        + (" (none: the truth has one trial)." if reference is None else "."),
    )
    grid.add_column("figure")
    for name in ("value [95%]", "n", "retest reference [95%]", "n"):
        grid.add_column(name, justify="right", no_wrap=True)
    for name, interval in found.figures.items():
        row = [_label(name, y.unit), _cell(interval), str(found.n)]
        row += ["", ""] if reference is None else [_cell(reference[name]), str(reference.n)]
        grid.add_row(*row)
    tables().print(grid)


def _say_ties(cuts: Sequence[Threshold]) -> None:
    """Say where a threshold cuts through equal values, and what was done there."""
    for cut in cuts:
        if cut.cuts_a_tie:
            done = "all are taken" if cut.name.startswith("top") else "they share its places"
            out(
                f"{cut.name.replace('_', ' ')}: {cut.tied} architectures tie at place {cut.asked} "
                f"({cut.inside} with them); {done}."
            )


def _label(name: str, unit: str) -> str:
    """Return what a figure is, for people."""
    if name.startswith("tau_top"):
        return f"tau-b in the top {name.removeprefix('tau_top')} %"
    if name.startswith("precision"):
        return name.replace("_", " ")
    if name.endswith("percentile"):
        return f"{_LABELS[name]} (%)"
    measured = name.endswith(("truth", "regret")) and unit
    return f"{_LABELS[name]} ({unit})" if measured else _LABELS[name]


def _cell(interval: Interval) -> str:
    """Return an interval as text; a figure that is not defined is a dash."""
    estimate, low, high = interval
    if math.isnan(estimate):
        return "-"
    ends = "" if math.isnan(low) else f" [{low:z.3f}, {high:z.3f}]"
    return f"{estimate:z.3f}{ends}"  # z: no minus before a rounded zero


def _draw(
    joined: Joined, found: RankCorrelation, x: Values, y: Values, space: Space, path: Path
) -> None:
    """Write the scatter; the cells of NAS-Bench-201 are coloured by their 3x3 convolutions."""
    import numpy as np

    from nasbench_evo.errors import InputError
    from nasbench_evo.figures import rank_correlation as figures
    from nasbench_evo.figures import style
    from nasbench_evo.spaces.nasbench201 import OPERATIONS, NASBench201

    labels = [f"{side}: {Path(v.source).name}" for side, v in (("predicted", x), ("truth", y))]
    labels = [f"{t} ({v.unit})" if v.unit else t for t, v in zip(labels, (x, y), strict=True)]
    colours: dict[str, Any] = {}
    if isinstance(space, NASBench201):
        convolution = OPERATIONS.index("nor_conv_3x3")
        counts = np.array([genotype.count(convolution) for genotype in joined.genotypes])
        colours = {"counts": counts, "counted": "3x3 convolutions"}
    ending = path.suffix.lstrip(".")
    target, kinds = (path.with_suffix(""), [ending]) if ending in style.FORMATS else (path, None)
    with style.using():
        drawing = figures.scatter(
            joined.predicted, joined.truth, found, labels=(labels[0], labels[1]), **colours
        )
        try:
            paths = style.save(drawing, target, kinds or ("png", "svg"))
        except OSError as error:
            raise InputError(f"Cannot write {path}: {error.strerror}. Choose another.") from error
    for written in paths:
        say(f"Written: {written}")
