"""The gate's findings as tables, Markdown and JUnit XML; an accepted baseline beside the old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from nasbench_evo.analysis import statistics
from nasbench_evo.gate import layers
from nasbench_evo.gate.baseline import Baseline, Entry
from nasbench_evo.gate.judgement import Outcome
from nasbench_evo.gate.layers import FAILING, Cell, Order
from nasbench_evo.gate.measured import MEASURES, Scale
from nasbench_evo.gate.traces import TraceCheck

_NAMED = 10  # figures of a summary that differ and are named


@dataclass(frozen=True)
class Section:
    """A table: its title, its columns, its rows as text, and what must be known to read it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, ...]]
    note: str


def sections(outcome: Outcome) -> list[Section]:
    """Return one table a layer, with every number that the verdicts rest on."""
    return [
        Section(
            "A traces",
            ("data set", "algorithm (preset)", "equal", "first difference"),
            [(t.dataset, t.label, f"{t.equal}/{t.of}", t.difference or "") for t in outcome.traces],
            "Genotypes, accuracies and fractions of every run. Any difference is a change of "
            "behaviour; an intended one needs --allow-changed-traces here, and --accept once its "
            "quality is accepted.",
        ),
        Section(
            "B distribution",
            (
                *("data set", "algorithm (preset)", "n", "changed", "rescored"),
                *("IQM before", "IQM now", "difference", "upper", "margin"),
                *("area before", "area now"),
                *(f"p {measure}" for measure in MEASURES),
                "verdict",
            ),
            [_cell_row(cell) for cell in outcome.cells],
            "Regret in percentage points over paired seeds. IQM: of the final regret; upper: "
            f"one-sided {layers.CONFIDENCE:.0%} bootstrap bound of the difference; margin: "
            f"{layers.MARGIN:.0%} of the gap between random search and regularized evolution; "
            "area: mean regret over the search; returned: regret of what the algorithm ended with; "
            "seconds: simulated; changes: of the incumbent; p: two-sided Mann-Whitney, Holm over "
            f"all cells and measures. A p below {layers.ALPHA} is inferior, better, or different "
            "(no measure of quality); rescored: other figures of the same traces; all four fail. "
            "Non-inferior: upper below margin. Not shown: neither; more seeds would tell (fails "
            "only with --strict).",
        ),
        Section(
            "C ordering",
            ("requirement", "each data set", "judged", "bound", "holds"),
            [_order_row(order) for order in outcome.orders],
            "P: probability that a run's final regret is lower than one of random search; p: its "
            "one-sided Mann-Whitney over all data sets (Stouffer), Holm over the presets. Searches "
            "stopped at their initial population must be found by layer B, or it has no power.",
        ),
        Section(
            "D summary",
            ("file", "figures", "differ", "first", "holds"),
            [_summary_row(outcome)],
            "The summary of these runs beside the file that people read.",
        ),
    ]


def failures(outcome: Outcome) -> list[Section]:
    """Return a narrow table for each layer that fails, of the rows that make it fail."""
    judged = outcome.layers
    traces = [t for t in outcome.traces if t.difference]
    found: dict[str, tuple[Sequence[str], Sequence[tuple[str, ...]]]] = {
        "A traces": (
            ("data set", "algorithm (preset)", "equal", "first difference"),
            [(t.dataset, t.label, f"{t.equal}/{t.of}", t.difference or "") for t in traces],
        ),
        "B distribution": (
            ("data set", "algorithm (preset)", "changed", "difference", "margin", "verdict"),
            [
                (
                    *(c.dataset, c.label, f"{c.changed}/{c.n}"),
                    *(f"{c.difference:+.3f}", f"{c.margin:.3f}", c.verdict),
                )
                for c in outcome.failing_cells
            ],
        ),
        "C ordering": (
            ("requirement", "judged", "bound"),
            [(o.requirement, f"{o.value:.3g}", o.bound) for o in outcome.orders if not o.passed],
        ),
        "D summary": (
            ("file", "differs"),
            [(outcome.summary.file, text) for text in outcome.summary.differences[:_NAMED]],
        ),
    }
    return [
        Section(name, columns, rows, "")
        for name, (columns, rows) in found.items()
        if not judged[name][0]
    ]


def _cell_row(c: Cell) -> tuple[str, ...]:
    return (
        *(c.dataset, c.label, str(c.n), str(c.changed), str(c.rescored)),
        *(f"{v:.3f}" for v in (c.iqm_before, c.iqm_after)),
        *(f"{v:+.3f}" for v in (c.difference, c.upper)),
        *(f"{v:.3f}" for v in (c.margin, c.area_before, c.area_after)),
        *(f"{v:.2g}" for v in c.p.values()),
        c.verdict,
    )


def _summary_row(outcome: Outcome) -> tuple[str, ...]:
    found = outcome.summary
    passed, _ = outcome.layers["D summary"]
    first = found.skipped or next(iter(found.differences), "")
    counts = ("", "") if found.skipped else (str(found.figures), str(len(found.differences)))
    return found.file, *counts, first, "yes" if passed else "NO"


def _order_row(o: Order) -> tuple[str, ...]:
    figures = ", ".join(f"{dataset} {value:.3g}" for dataset, value in o.figures.items())
    return o.requirement, figures, f"{o.value:.3g}", o.bound, "yes" if o.passed else "NO"


def markdown(outcome: Outcome, extra: Sequence[Section] = ()) -> str:
    """Return the findings for a CI summary: the verdict, a line a layer, the tables folded."""
    lines = [f"## {'✅' if outcome.passed else '❌'} Search-quality gate", "", outcome.verdict, ""]
    for name, (passed, text) in outcome.layers.items():
        lines.append(f"- {'✅' if passed else '❌'} **{name}**: {text}")
    for section in [*sections(outcome), *extra]:
        lines += ["", f"<details><summary>{section.title}</summary>", ""]
        lines += [*_markdown_table(section), "", section.note, "", "</details>"]
    return "\n".join(lines) + "\n"


def _markdown_table(section: Section) -> list[str]:
    rows = [section.columns, ["---"] * len(section.columns), *section.rows]
    return ["| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in rows]


def junit(outcome: Outcome, seconds: float) -> bytes:
    """Return JUnit XML: a suite a layer, a case a unit or requirement."""
    root = ElementTree.Element("testsuites", name=f"gate {outcome.suite}", time=f"{seconds:.1f}")
    allowed = outcome.allow_changed_traces
    cases = {
        "A traces": [_trace_case(t, allowed) for t in outcome.traces],
        "B distribution": [_cell_case(c, outcome) for c in outcome.cells],
        "C ordering": [
            (o.requirement, "", None if o.passed else f"{o.value:.3g} is not {o.bound}")
            for o in outcome.orders
        ],
        "D summary": [_summary_case(outcome)],
    }
    for layer, found in cases.items():
        failures = sum(failure is not None for _, _, failure in found)
        suite = ElementTree.SubElement(
            root, "testsuite", name=layer, tests=str(len(found)), failures=str(failures)
        )
        for name, group, failure in found:
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"gate.{layer[2:]}", name=f"{name} {group}".strip()
            )
            if failure is not None:
                ElementTree.SubElement(case, "failure", message=failure)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


Case = tuple[str, str, str | None]  # name, data set, failure


def _trace_case(t: TraceCheck, allowed: bool) -> Case:
    return t.label, t.dataset, None if allowed else t.difference


def _cell_case(c: Cell, outcome: Outcome) -> Case:
    failed = c.verdict in FAILING or (outcome.strict and c.verdict == "not shown")
    failed = failed or bool(c.changed and not outcome.allow_changed_traces)
    text = (
        f"{c.verdict}: IQM regret {c.iqm_before:.3f} -> {c.iqm_after:.3f}, upper {c.upper:+.3f}, "
        f"margin {c.margin:.3f}, {c.changed} changed, p "
    )
    text += ", ".join(f"{measure} {value:.2g}" for measure, value in c.p.items())
    return c.label, c.dataset, text if failed else None


def _summary_case(outcome: Outcome) -> Case:
    passed, text = outcome.layers["D summary"]
    return outcome.summary.file, "", None if passed else text


def side_by_side(old: Baseline | None, new: Baseline, regrets: Mapping[str, Scale]) -> Section:
    """Return what --accept replaces by what: IQM final regret and the golden traces that differ."""
    rows = []
    for key in dict.fromkeys([*(old.entries if old else ()), *new.entries]):
        label, dataset = key
        before = old.entries.get(key) if old else None
        after = new.entries.get(key)
        texts = [_quality(entry, regrets.get(dataset)) for entry in (before, after)]
        same = "" if before is None or after is None else _same(before.hashes, after.hashes)
        rows.append((dataset, label, *texts, same))
    columns = ("data set", "algorithm (preset)", "IQM regret old", "IQM regret new", "same traces")
    return Section("Baseline", columns, rows, "Empty: not in that baseline.")


def _quality(entry: Entry | None, regret: Scale | None) -> str:
    if entry is None or regret is None:
        return ""
    values = regret.counts[entry.sample.final] * regret.unit
    return f"{statistics.iqm(values):.3f} (n={len(values)})"


def _same(before: Sequence[object], after: Sequence[object]) -> str:
    return f"{sum(a == b for a, b in zip(before, after, strict=False))}/{len(after)}"
