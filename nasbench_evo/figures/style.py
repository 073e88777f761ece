"""What every figure shares: one colour per algorithm, three styles, deterministic files."""

from __future__ import annotations

import io
import textwrap
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench_evo.errors import unknown
from nasbench_evo.files import replacing
from nasbench_evo.telling import tell

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito's palette: distinct for colour-blind readers. Random search has the colour of the
# text: black on paper, near white in the dark.
COLOURS = {
    "genetic_cnn": "#E69F00",
    "eigen": "#009E73",
    "genetic_nas": "#D55E00",
    "eg_nas": "#0072B2",
    "regularized_evolution": "#CC79A7",
    "local_search": "#56B4E9",
    "darts": "#882255",
    "random_search_ws": "#999933",
}
_BASELINE = "random_search"
OTHER = "#888888"
# For algorithms of other people's code: apart from those above, on light and on dark ground.
_SLOTS = (
    "#7B6BD6", "#117733", "#AA4499", "#A0522D", "#6699CC", "#BBAA33", "#44AA99", "#CC6677",
)  # fmt: skip
# Levels of one factor: a palette whose grey values fall monotonically.
LEVELS = "viridis"
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")

FORMATS = ("png", "svg", "pdf")
STYLES = ("paper", "talk", "dark")

_SETTINGS: dict[str, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs everywhere
    "font.size": 9,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "savefig.bbox": "tight",
    "savefig.dpi": 100,
    "svg.hashsalt": "nasbench_evo",  # same input, same bytes
    "text.parse_math": False,  # names are text, whatever they hold
}
_DARK = {
    "figure.facecolor": "#14171c",
    "axes.facecolor": "#14171c",
    "savefig.facecolor": "#14171c",
    "text.color": "#e8e8e8",
    "axes.labelcolor": "#e8e8e8",
    "axes.edgecolor": "#b0b0b0",
    "xtick.color": "#d0d0d0",
    "ytick.color": "#d0d0d0",
    "grid.color": "#606060",
}

_TAKEN: ContextVar[dict[str, str] | None] = ContextVar("taken", default=None)
_NOTES: ContextVar[bool] = ContextVar("notes", default=True)
_CAPTIONS: ContextVar[dict[str, str] | None] = ContextVar("captions", default=None)


@contextmanager
def using(
    name: str = "paper", *, notes: bool = True, captions: dict[str, str] | None = None
) -> Iterator[None]:
    """Apply a style inside the block: no display is needed, no global setting stays changed.

    `paper` is for print, `talk` has larger type, `dark` a dark ground. `notes` says whether `note`
    writes: a page that prints captions itself has no need of them in the image, and finds them in
    `captions`, by the name that each figure was saved under. Raises InputError for another name.
    """
    if name not in STYLES:
        raise unknown("style", name, STYLES)
    import matplotlib as mpl
    import seaborn as sns

    settings: Any = {**sns.axes_style("ticks"), **sns.plotting_context("paper"), **_SETTINGS}
    if name == "talk":
        # Type grows more than the figure: labels stay legible from the back of a room.
        settings |= {"font.size": 12, "axes.titlesize": 13, "savefig.dpi": 130}
        settings |= {"axes.labelsize": 12, "xtick.labelsize": 11, "ytick.labelsize": 11}
        settings |= {"legend.fontsize": 11, "lines.linewidth": 2.4}
    if name == "dark":
        settings |= _DARK
    before, others = _NOTES.set(notes), _CAPTIONS.set(captions)
    taken = _TAKEN.set({})
    try:
        with mpl.rc_context(settings):
            yield
    finally:
        _TAKEN.reset(taken)
        _NOTES.reset(before)
        _CAPTIONS.reset(others)


def colour(algorithm: str) -> str:
    """Return the colour of an algorithm (or a row's label), the same in every figure of a style.

    One of other people's code has that of a place in a palette, which its name chooses; where that
    is taken by another of the same figures the next free one.
    """
    name = algorithm.partition(" (")[0]
    if algorithm == _BASELINE:
        return foreground()
    if name in COLOURS:
        return COLOURS[name]
    taken = _TAKEN.get()
    taken = {} if taken is None else taken
    if name not in taken:
        first = zlib.crc32(name.encode()) % len(_SLOTS)
        places = [*_SLOTS[first:], *_SLOTS[:first]]
        free = [colour for colour in places if colour not in taken.values()]
        taken[name] = (free or places)[0]
    return taken[name]


def reserve(algorithms: Iterable[str]) -> None:
    """Give algorithms their colours, whatever figure is drawn first; inside `using`."""
    for name in sorted(set(algorithms)):
        colour(name)


def foreground() -> str:
    """Return the colour of text in the style in use."""
    import matplotlib as mpl

    return str(mpl.rcParams["text.color"])


def background() -> str:
    """Return the colour behind the axes in the style in use."""
    import matplotlib as mpl

    return str(mpl.rcParams["axes.facecolor"])


def levels(n: int) -> list[tuple[float, float, float, float]]:
    """Return n colours from dark to light that also differ in grey and from the ground."""
    import matplotlib as mpl

    palette = mpl.colormaps[LEVELS]
    start = 0.35 if background() == _DARK["axes.facecolor"] else 0.0
    end = 1.0 if start else 0.88
    return [palette(start + (end - start) * i / max(n - 1, 1)) for i in range(n)]


def describe(figure: Figure, words: str) -> None:
    """Say what a figure's marks mean: its caption where it is shown on a page."""
    figure.set_label(words)  # an artist's label is drawn only in a legend


def note(figure: Figure, words: str) -> None:
    """Write a small note under a figure: what its marks mean, so that the image stands alone."""
    describe(figure, words)
    if not _NOTES.get():
        return
    size = text(7.5)
    letters = int(figure.get_figwidth() * 17 * 7.5 / size)
    lines = "\n".join(textwrap.wrap(words, letters))
    figure.supxlabel(lines, fontsize=size, x=0.01, ha="left")


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Label a logarithmic axis with plain numbers that do not touch; low..high is its range."""
    from matplotlib.ticker import LogLocator, NullFormatter

    if high < 200 * low:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def text(size: float) -> float:
    """Return a type size in points, larger where the style in use has larger type."""
    import matplotlib as mpl

    return size * float(mpl.rcParams["font.size"]) / float(_SETTINGS["font.size"])


def sized(width: float, height: float) -> tuple[float, float]:
    """Return a figure size in inches, larger where the style in use has larger type."""
    import matplotlib as mpl

    factor = max(1.0, float(mpl.rcParams["font.size"]) / 9 * 0.92)
    return width * factor, height * factor


def save(figure: Figure, path: Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write a figure in each format beside each other; return the paths.

    The files hold no date and no version: the same figure gives the same bytes. Raises
    InputError for a format that is not known.
    """
    fixed: dict[str, dict[str, Any]] = {
        "png": {},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    }
    found = _CAPTIONS.get()
    if found is not None:
        found[path.name] = str(figure.get_label())
    written = []
    for kind in formats:
        if kind not in fixed:
            raise unknown("figure format", kind, FORMATS)
        target = path.parent / f"{path.name}.{kind}"  # names such as "xi=0.3" keep their dots
        if kind == "png":
            _save_png(figure, target)
        else:
            with replacing(target) as file:
                figure.savefig(file, format=kind, metadata=fixed[kind])
        written.append(target)
    tell(f"figure {path.name}")
    return written


def _save_png(figure: Figure, path: Path) -> None:
    """Write a PNG of 256 colours: a third of the size, so that it can lie in version control."""
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    with Image.open(drawn) as image:
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    with replacing(path) as file:
        few.save(file, format="PNG", optimize=True)
