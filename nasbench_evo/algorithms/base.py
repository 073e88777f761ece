"""The base of all algorithms: hyper-parameters that check themselves, presets, registration."""

from __future__ import annotations

import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from nasbench_evo import names
from nasbench_evo.algorithms.generations import (
    Birth,
    Exchange,
    Generation,
    Generational,
    PaperFigures,
    one_a_request,
)
from nasbench_evo.algorithms.schedules import Schedule
from nasbench_evo.errors import InputError, Unsupported, unknown
from nasbench_evo.randomness import Stream, takes_generators
from nasbench_evo.requests import Search
from nasbench_evo.spaces.base import Genotype

HYPERPARAMETERS = (bool, int, float, str, tuple)  # their types
_MOST = 1_000_000  # of a hyper-parameter that states no bound: sizes and lengths end


def parameter(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
    later: bool = False,
) -> Any:
    """Return a dataclass field for a hyper-parameter with its meaning and inclusive range.

    Where a bound of a number is not given it is a million, or minus a million.
    A default of () is that of a list of texts, where "@FILE" stands for the lines of a file.
    `later` is of one that came when results were stored already: at its default it does what was
    done before, and `identity` leaves it out.
    """
    metadata = {"doc": doc, "low": low, "high": high, "choices": choices}
    if later:
        metadata["later"] = True
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Algorithm(ABC):
    """Hyper-parameters of a search method; `search` is the method itself, as a generator.

    Raises InputError on a value of the wrong type or out of range.
    """

    name: ClassVar[str]
    paper: ClassVar[str]  # citation and section
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}}
    # Rule of recommendation (see nasbench_evo.incumbents): "mean" where genotypes are asked again.
    incumbent: ClassVar[str] = "seen"
    generational: ClassVar[Generational | None] = None  # what figures by generation say of it
    # What an ablation draws as the paper does, by the hyper-parameter that varies.
    paper_figures: ClassVar[Mapping[str, PaperFigures]] = {}
    needs: ClassVar[type | None] = None  # the protocol that says what a space must be able to do

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "search" in vars(cls):
            cls.search = takes_generators(cls.search)  # type: ignore[method-assign,assignment]

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = checked(f"{self.name}.{field.name}", getattr(self, field.name), field)
            object.__setattr__(self, field.name, value)
        epochs, warmup = getattr(self, "epochs", None), getattr(self, "warmup", None)
        if epochs is not None and warmup is not None and epochs <= warmup:
            raise InputError(
                f"{self.name}: epochs={epochs} must exceed warmup={warmup}, else nothing is "
                "searched. Use more epochs or a shorter warm-up."
            )

    @abstractmethod
    def search(self, space: Any, rng: Stream) -> Search:
        """Yield requests and receive their answers; the runner ends it with the budget.

        A caller may give a NumPy Generator as `rng`; the method itself always gets a Stream.
        A method with a result of its own returns it, also when BudgetSpent is thrown into it.
        """

    def shared_settings(self, space: str) -> dict[str, Any]:
        """Return the settings of shared weights that the method asks for on a space, by name.

        What a suite or a command sets itself goes before them.
        """
        return {}

    def kept_share(self, evaluations: float | None) -> float:
        """Return the share of a budget kept for what the search does after BudgetSpent; 0: none.

        `evaluations` are the full-training equivalents of the budget, None for one in seconds.
        """
        return 0.0

    @classmethod
    def configure(cls, preset: str = "paper", overrides: Mapping[str, Any] | None = None) -> Self:
        """Return the algorithm with a preset's values, then the overrides.

        Raises InputError for an unknown preset or hyper-parameter (with its near miss).
        """
        if preset == cls.preset_name("paper"):  # also by the name that people are told
            preset = "paper"
        if preset not in cls.presets:
            raise unknown(f"{cls.name} preset", preset, cls.presets)
        if not isinstance(overrides, Mapping | None):
            raise InputError(f"Changes are {{hyper-parameter: value}}; got {overrides!r:.60}.")
        values = {**cls.presets[preset], **(overrides or {})}
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise unknown(f"{cls.name} hyper-parameter", name, known)
        return cls(**values)

    def check_space(self, space: Any) -> None:
        """Raise Unsupported if the method cannot vary the genotypes of `space`."""
        if self.needs is not None and not isinstance(self.needs, type):
            raise InputError(
                f"{self.name}.needs must be a protocol of nasbench_evo.spaces.base (Integer, "
                f"Relaxable or Duplicable); got {self.needs!r:.60}."
            )
        if self.needs is not None and not isinstance(space, self.needs):
            raise Unsupported(
                f"{self.name} needs a space that is {self.needs.__name__}; {space.name} is not. "
                "Use nasbench201, or random_search, regularized_evolution or eigen there."
            )

    def shared_only(self) -> str:
        """Return what of the method only shared weights can answer, in words; empty: nothing."""
        return ""

    @classmethod
    def preset_name(cls, preset: str) -> str:
        """Return what people are told of a preset: "default" where an own class has none."""
        ours = cls.__module__.partition(".")[0] == __name__.partition(".")[0]
        return "default" if cls.presets is Algorithm.presets and not ours else preset

    def hyperparameters(self) -> dict[str, Any]:
        """Return the values in effect, as plain JSON types, in declaration order."""
        return dataclasses.asdict(self)

    def identity(self) -> dict[str, Any]:
        """Return the hyper-parameters that keys are made of: earlier keys stay valid."""
        values = self.hyperparameters()
        for field in dataclasses.fields(self):
            if field.metadata.get("later") and values[field.name] == field.default:
                del values[field.name]
        return values

    # -- what figures and simulations may know of a method; a subclass need not say any of it --

    def schedule(self, space: Any, rng: Stream) -> Schedule | None:
        """Return the method's asynchronous form, for workers that never wait for a generation.

        None: it has none, and workers wait until a request is answered in full.
        """
        return None

    def read_generations(self, exchanges: Sequence[Exchange]) -> list[Generation[Genotype]]:
        """Return the completed generations of a run, given the requests with their answers.

        Without an override: a generation is a request; none where `generational` is None.
        """
        return one_a_request(exchanges) if self.generational is not None else []

    def measures(self, exchanges: Sequence[Exchange]) -> Mapping[str, float]:
        """Return what requests and answers of a run say of the method's parts, by name.

        The names are those of `nasbench_evo.results.measures`.
        """
        return {}

    def phase_ends(self, best: Sequence[float]) -> dict[int, str]:
        """Return the generations in which a phase of the method ended, and which.

        `best` is each generation's `best`.
        """
        return {}

    def recording(self, births: list[Birth]) -> Algorithm | None:
        """Return the same method, which also appends parents and changed children to `births`.

        None: it does not tell them.
        """
        return None


def checked(name: str, value: Any, field: dataclasses.Field[Any]) -> Any:
    """Return `value` in the type of the field's default, or raise InputError."""
    kind: Any = type(field.default)
    low, high, choices = (field.metadata.get(key) for key in ("low", "high", "choices"))
    if kind is float and type(value) is int and abs(value) < 2**1023:  # as large as floats go
        value = float(value)
    if kind is tuple:
        return _texts(name, value)
    if type(value) is not kind:
        raise InputError(f"{name} must be {kind.__name__}; got {value!r:.60}.")
    if choices is not None and value not in choices:
        raise unknown(f"value of {name}", str(value), choices)
    if kind is str:
        names.checked(name, value)
    if kind is int or kind is float:
        least, most = -_MOST if low is None else low, _MOST if high is None else high
        if not least <= value <= most:
            below = not value >= least and high is None
            bounds = f"at least {least}" if below else f"between {least} and {most}"
            raise InputError(f"{name} must be {bounds}; got {value!r:.40}.")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    """Return a list of texts: one may stand alone, and "@FILE" is that file's lines."""
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{name} must be a list of texts; got {value!r:.60}.")
    found: list[str] = []
    for text in texts:
        found += _lines(name, Path(text[1:])) if text.startswith("@") else [text]
    return tuple(found)


def _lines(name: str, file: Path) -> list[str]:
    """Return the lines of a file but for empty ones and those that begin with '#'."""
    try:
        with file.open(encoding="utf-8-sig") as opened:  # what has no end is not read to it
            text = opened.read(_MOST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{name}: cannot read {file}: {reason}.") from error
    if len(text) > _MOST:
        raise InputError(f"{name}: {file} has more than {_MOST} characters.")
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise InputError(f"{name}: {file} is empty; expected a text on each line.")
    return found


def parse_overrides(cls: type[Algorithm], assignments: list[str]) -> dict[str, Any]:
    """Return the values of `key=value` texts, read in the type of each hyper-parameter.

    Raises InputError for a text without '=', an unknown key, or a value that does not parse.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"Expected key=value; got {assignment!r}.")
        if key not in fields:
            raise unknown(f"{cls.name} hyper-parameter", key, fields)
        values[key] = _parse(f"{cls.name}.{key}", text, type(fields[key].default))
    return values


def _list(text: str) -> Any:
    """Return a JSON list of texts, or the text alone: genotypes hold all kinds of separators."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, list) else text


def _parse(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        known = {"true": True, "false": False}
        if text.lower() not in known:
            raise InputError(f"{name} must be true or false; got {text!r}.")
        return known[text.lower()]
    if kind is tuple:
        return _list(text)
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"{name} must be {kind.__name__}; got {text!a:.60}.") from None
