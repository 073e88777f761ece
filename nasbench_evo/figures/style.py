"""What every figure shares: one colour per algorithm, three styles, deterministic files."""

from __future__ import annotations

import io
import textwrap
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nasbench_evo.errors import unknown
from nasbench_evo.files import replacing
from nasbench_evo.telling import tell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

RGB = tuple[float, float, float]
Colour = str | RGB | tuple[float, float, float, float]

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


class Width(NamedTuple):
    """Where a figure goes: its width in inches, and the size of its type in points."""

    inches: float
    points: float


WIDTHS = {
    "single": Width(3.5, 8.0),  # a column of a two-column page
    "double": Width(7.0, 8.0),  # both columns, or the text of a one-column page
    "slide": Width(12.0, 15.0),  # a slide of 13.3 by 7.5 inches
}
_SHADED = 3  # rows of an algorithm that dashes alone do not tell apart
_NARROWEST = 0.55  # of a panel's own width, where a width is given: then fewer stand side by side
_LABEL = 24  # letters of a line beside an axis, where a width is given
_COLUMN = 5.0  # inches: what is narrower is a column
_HANDLE = 8  # letters that the line before a name takes
_LINE, _TEXT = 3.0, 4.5  # least contrast with the ground (WCAG): of a line, of a text

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
_WIDTH: ContextVar[Width | None] = ContextVar("width", default=None)
_CAPTIONS: ContextVar[dict[str, str] | None] = ContextVar("captions", default=None)


@contextmanager
def using(
    name: str = "paper",
    *,
    notes: bool = True,
    captions: dict[str, str] | None = None,
    dpi: int | None = None,
    width: str | None = None,
) -> Iterator[None]:
    """Apply a style inside the block: no display is needed, no global setting stays changed.

    `paper` is for print, `talk` has larger type, `dark` a dark ground. `notes` says whether `note`
    writes: a page that prints captions itself has no need of them in the image, and finds them in
    `captions`, by the name that each figure was saved under. `dpi` is the resolution of PNG and of
    what vector files hold as an image; `width` one of `WIDTHS`: figures are as wide as that to the
    point, and as many panels stand side by side as it has room for. Raises InputError for another
    name.
    """
    if name not in STYLES:
        raise unknown("style", name, STYLES)
    if width is not None and width not in WIDTHS:
        raise unknown("width", width, WIDTHS)
    import matplotlib as mpl
    import seaborn as sns

    settings: Any = {**sns.axes_style("ticks"), **sns.plotting_context("paper"), **_SETTINGS}
    if name == "talk":
        # Type grows more than the figure: labels stay legible from the back of a room.
        settings |= {**_type(12), "savefig.dpi": 130, "lines.linewidth": 2.4}
    if name == "dark":
        settings |= _DARK
    place = None if width is None else WIDTHS[width]
    if place is not None:
        settings |= {**_type(place.points), "savefig.bbox": None}
    if dpi is not None:
        settings |= {"savefig.dpi": dpi}
    before, others, wide = _NOTES.set(notes), _CAPTIONS.set(captions), _WIDTH.set(place)
    taken = _TAKEN.set({})
    try:
        with mpl.rc_context(settings):
            yield
    finally:
        _TAKEN.reset(taken)
        _NOTES.reset(before)
        _CAPTIONS.reset(others)
        _WIDTH.reset(wide)


def _type(points: float) -> dict[str, float]:
    """Return the settings of a type size."""
    small = points - 1 if points > 9 else 0.92 * points
    return {
        "font.size": points,
        "axes.titlesize": points + 1,
        "axes.labelsize": points,
        "xtick.labelsize": small,
        "ytick.labelsize": small,
        "legend.fontsize": small,
        "legend.title_fontsize": points,
    }


def colour(algorithm: str) -> str:
    """Return the colour of an algorithm (or a row's label), the same in every figure of a style.

    One of other people's code has that of a place in a palette, which its name chooses; where that
    is taken by another of the same figures the next free one.
    """
    name = algorithm.partition(" (")[0]
    if name == _BASELINE:
        return foreground()
    if name in COLOURS:
        return legible(COLOURS[name])
    taken = _TAKEN.get()
    taken = {} if taken is None else taken
    if name not in taken:
        first = zlib.crc32(name.encode()) % len(_SLOTS)
        places = [*_SLOTS[first:], *_SLOTS[:first]]
        free = [colour for colour in places if colour not in taken.values()]
        taken[name] = (free or places)[0]
    return legible(taken[name])


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


def _dark() -> bool:
    return background() == _DARK["axes.facecolor"]


def legible(paint: str, *, words: bool = False) -> str:
    """Return a colour that can be seen on the ground in use: lightened or darkened as needed.

    Lines on paper stay as they are: they have a palette made for it. `words` are for text.
    """
    if not words and not _dark():
        return paint
    from matplotlib.colors import to_hex, to_rgb

    ground, ink, least = to_rgb(background()), to_rgb(foreground()), _TEXT if words else _LINE
    for share in range(0, 101, 5):
        mixed = _mixed(to_rgb(paint), ink, share / 100)
        if _contrast(mixed, ground) >= least:
            return str(to_hex(mixed)).upper()
    return foreground()


def _mixed(a: Sequence[float], b: Sequence[float], share: float) -> RGB:
    """Return a colour between a and b, `share` of it b."""
    red, green, blue = ((1 - share) * x + share * y for x, y in zip(a, b, strict=True))
    return red, green, blue


def _contrast(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the contrast of two colours by WCAG 2, 1..21."""
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(rgb: Sequence[float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def levels(n: int) -> list[Colour]:
    """Return n colours from dark to light that also differ in grey and from the ground."""
    import matplotlib as mpl

    palette = mpl.colormaps[LEVELS]
    start = 0.35 if _dark() else 0.0
    end = 1.0 if start else 0.88
    return [palette(start + (end - start) * i / max(n - 1, 1)) for i in range(n)]


def shades(paint: str, n: int) -> list[Colour]:
    """Return n shades of a colour, from dark to light; the colour itself for n of 1."""
    from matplotlib.colors import to_rgb

    own, dark, light = to_rgb(paint), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    strength = (0.2, 0.65) if _dark() else (0.55, 0.45)
    found: list[Colour] = []
    for i in range(n):
        at = 0.0 if n == 1 else 2 * i / (n - 1) - 1  # from -1 to 1
        side, most = (dark, strength[0]) if at < 0 else (light, strength[1])
        found.append(_mixed(own, side, most * abs(at)))
    return found


class Look(NamedTuple):
    """How a row is drawn, by colour and without."""

    colour: Colour
    dashes: Any
    marker: str | None

    @property
    def line(self) -> dict[str, Any]:
        """What `Axes.plot` takes."""
        return {"color": self.colour, "linestyle": self.dashes, "marker": self.marker}


def looks(rows: Sequence[tuple[str, str]]) -> dict[str, Look]:
    """Return the look of each (algorithm, label) by label: no two of them are alike.

    Rows of an algorithm share its colour and differ by dashes, from three on by shades too; where
    there is only one algorithm beside random search, by other colours. Random search is plain.
    """
    labels: dict[str, dict[str, None]] = {}
    for algorithm, label in rows:
        labels.setdefault(algorithm, {})[label] = None
    alone = len(labels.keys() - {_BASELINE}) == 1
    numbers = {label: i for i, label in enumerate(dict.fromkeys(label for _, label in rows))}
    found: dict[str, Look] = {}
    for algorithm, own in labels.items():
        n = len(own)
        paints: list[Colour] = [colour(algorithm)] * n
        if n >= _SHADED:
            paints = levels(n) if alone else shades(colour(algorithm), n)
        for i, label in enumerate(own):
            mark = MARKERS[numbers[label] % len(MARKERS)]
            plain = algorithm == _BASELINE and n == 1
            found[label] = Look(paints[i], DASHES[i % len(DASHES)], None if plain else mark)
    return found


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
    axis.set_major_formatter(lambda x, _: plain_number(x))
    axis.set_minor_formatter(NullFormatter())


def plain_number(x: float) -> str:
    """Return a number as short as it reads well: 0.05, 300, 20k, 3M."""
    if abs(x) >= 1e6:
        return f"{x / 1e6:g}M"
    return f"{x / 1e3:g}k" if abs(x) >= 1e4 else f"{x:g}"


def text(size: float) -> float:
    """Return a type size in points, larger where the style in use has larger type."""
    import matplotlib as mpl

    return size * float(mpl.rcParams["font.size"]) / float(_SETTINGS["font.size"])


def sized(width: float, height: float) -> tuple[float, float]:
    """Return a figure size in inches, larger where the style in use has larger type.

    Where a width is given it is that, and the height follows.
    """
    place = _WIDTH.get()
    if place is not None:
        return place.inches, height * place.inches / width
    return width * _growth(), height * _growth()


def _growth() -> float:
    """Return what a figure grows by with its type."""
    return max(1.0, text(0.92))


def ink_on(rgba: Iterable[float]) -> str:
    """Return the ink that can be read on a coloured field: black or white, by its luminance."""
    red, green, blue, *_ = rgba
    return "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"


def panels(
    number: int,
    panel: tuple[float, float],
    margin: tuple[float, float] = (0.0, 0.0),
    *,
    most: int = 4,
    least: float = 0.0,
    lists: bool = False,
    **shared: Any,
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `number` panels, at most `most` side by side, and its axes.

    `panel` is the size of one in inches, `margin` what is added around all, `least` the least
    width. Where a width is given, panels are narrower and fewer stand side by side; their height
    follows, but not of panels that are `lists` of lines. `shared` goes to `Figure.subplots`.
    """
    from matplotlib.figure import Figure  # imported late: the command line must start fast

    across, growth, (wide, high) = min(number, most), _growth(), panel
    place = _WIDTH.get()
    if place is None:
        width = max(wide * across + margin[0], least) * growth
        height = high * growth
    else:
        width, growth = place.inches, text(1.0)
        room = width - margin[0] * growth
        across = max(1, min(across, int(room / (_NARROWEST * wide * growth))))
        height = high * growth
        if not lists:
            height = min(height, 0.66 * room / across + 0.4 * growth)
    down = -(-number // across)
    drawing = Figure(figsize=(width, height * down + margin[1] * growth), layout="constrained")
    found = drawing.subplots(down, across, squeeze=False, **shared).ravel().tolist()
    for spare in found[number:]:
        spare.set_axis_off()
    return drawing, found[:number]


def broken(label: str) -> str:
    """Return a label in lines of a length that leaves room for the axes where a width is given."""
    return label if _WIDTH.get() is None else textwrap.fill(label, _LABEL)


def row_height(labels: Sequence[str], least: float) -> float:
    """Return the height of a row beside which such (broken) labels stand, in inches."""
    most = max((label.count("\n") + 1 for label in labels), default=1)
    return max(least, 0.15 * most + 0.06)


def narrow() -> bool:
    """Whether figures are a column wide: names on both sides of an axis have no room."""
    place = _WIDTH.get()
    return place is not None and place.inches < _COLUMN


def first_column(axes: Sequence[Axes]) -> list[Axes]:
    """Return the panels that have none at their left."""
    return [one for one in axes if (place := one.get_subplotspec()) and place.is_first_col()]


def legend(figure: Figure, *, title: str | None = None, **options: Any) -> None:
    """Name everything that the panels of a figure name, once, above them: never over a line.

    There are as many columns as the figure has room for; longer names are broken.
    """
    named = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if not named and title is None:
        return
    size = text(8)
    letters = int(figure.get_figwidth() * 72 / (0.56 * size))
    longest = max(map(len, named), default=0) + _HANDLE
    figure.legend(
        list(named.values()),
        [textwrap.fill(label, max(10, letters - _HANDLE)) for label in named],
        loc="outside upper left",
        ncols=max(1, min(len(named), letters // longest)),
        fontsize=size,
        handlelength=3.2,
        title=title,
        title_fontproperties={"weight": "bold", "size": text(9.5)},
        alignment="left",
        **options,
    )


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
