"""The gate's output formats on an outcome made by hand."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from nasbench_evo.gate import report
from nasbench_evo.gate.judgement import Outcome
from nasbench_evo.gate.layers import Cell, Order, Verdict
from nasbench_evo.gate.summary import SummaryCheck
from nasbench_evo.gate.traces import TraceCheck


def cell(label: str, verdict: Verdict, changed: int = 7) -> Cell:
    return Cell(
        label=label,
        dataset="cifar10",
        n=200,
        changed=changed,
        rescored=0,
        iqm_before=0.25,
        iqm_after=0.5,
        difference=0.25,
        upper=0.375,
        margin=0.0625,
        area_before=1.0,
        area_after=1.125,
        p_final=0.001,
        p_area=1.0,
        p_returned=1.0,
        p_seconds=1.0,
        p_changes=1.0,
        verdict=verdict,
    )


def outcome(**changes: object) -> Outcome:
    values: dict[str, object] = {
        "suite": "small",
        "seeds": 200,
        "traces": [
            TraceCheck("a (x)", "cifar10", 4, 5, "seed 3: evaluation 2 is 1 instead of 0"),
            TraceCheck("b (x)", "cifar10", 5, 5, None),
        ],
        "cells": [cell("a (x)", "inferior"), cell("b (x)", "not shown", 0)],
        "orders": [Order("a beats b", {"cifar10": 0.75}, 0.75, ">= 0.8", False)],
        "allow_changed_traces": False,
        "strict": False,
        "summary": SummaryCheck("s.json", 22, ("a cifar10 300, rank: 2 instead of 1",)),
        **changes,
    }
    return Outcome(**values)  # type: ignore[arg-type]


def failures(xml: bytes) -> dict[str, list[str]]:
    root = ElementTree.fromstring(xml)  # noqa: S314  # written by ourselves
    return {
        suite.attrib["name"]: [
            str(case.attrib["name"]) for case in suite if case.find("failure") is not None
        ]
        for suite in root
    }


def test_every_number_is_in_the_tables() -> None:
    traces, cells, orders, summary = report.sections(outcome())
    assert traces.rows[0] == ("cifar10", "a (x)", "4/5", "seed 3: evaluation 2 is 1 instead of 0")
    assert cells.rows[0] == (
        *("cifar10", "a (x)", "200", "7", "0", "0.250", "0.500", "+0.250", "+0.375", "0.062"),
        *("1.000", "1.125", "0.001", "1", "1", "1", "1", "inferior"),
    )
    assert orders.rows == [("a beats b", "cifar10 0.75", "0.75", ">= 0.8", "NO")]
    assert summary.rows == [("s.json", "22", "1", "a cifar10 300, rank: 2 instead of 1", "NO")]


def test_the_verdict_is_one_line_with_the_first_of_each_failure() -> None:
    text = outcome().verdict
    assert text.startswith("FAIL (small, 200 seeds): A traces: 9 of 10 runs equal; behaviour")
    assert "a (x) on cifar10, seed 3: evaluation 2" in text
    assert "1 of 2 cells another search, 1 changed, 1 not shown, first: a (x) on cifar10" in text
    assert "first that does not: a beats b" in text
    assert "\n" not in text


def test_markdown_has_a_line_a_layer_and_escapes_bars() -> None:
    text = report.markdown(outcome())
    assert text.startswith("## ❌ Search-quality gate\n\nFAIL")
    assert "| cifar10 | a (x) | 4/5 |" in text
    assert text.count("<details>") == text.count("</details>") == 4
    section = report.Section("t", ("a|b",), [("c|d",)], "")
    assert "| c\\|d |" in report.markdown(outcome(), [section])


@pytest.mark.parametrize(
    ("changes", "a", "b"),
    [
        ({}, ["a (x) cifar10"], ["a (x) cifar10"]),
        ({"allow_changed_traces": True}, [], ["a (x) cifar10"]),
        ({"strict": True}, ["a (x) cifar10"], ["a (x) cifar10", "b (x) cifar10"]),
    ],
)
def test_junit_fails_what_the_gate_fails(
    changes: dict[str, object], a: list[str], b: list[str]
) -> None:
    found = failures(report.junit(outcome(**changes), 1.0))
    d = {"D summary": [] if "allow_changed_traces" in changes else ["s.json"]}
    assert found == {"A traces": a, "B distribution": b, "C ordering": ["a beats b"], **d}
    root = ElementTree.fromstring(report.junit(outcome(**changes), 1.0))  # noqa: S314
    assert [suite.attrib["failures"] for suite in root] == [
        *(str(len(names)) for names in (a, b)),
        "1",
        str(len(d["D summary"])),
    ]


def test_only_what_fails_is_shown_by_default() -> None:
    bad = {section.title: section.rows for section in report.failures(outcome())}
    assert bad["A traces"] == [
        ("cifar10", "a (x)", "4/5", "seed 3: evaluation 2 is 1 instead of 0")
    ]
    assert [row[1] for row in bad["B distribution"]] == ["a (x)"]
    assert bad["C ordering"] == [("a beats b", "0.75", ">= 0.8")]
    assert bad["D summary"] == [("s.json", "a cifar10 300, rank: 2 instead of 1")]
    good = outcome(
        traces=[TraceCheck("b (x)", "cifar10", 5, 5, None)],
        cells=[cell("b (x)", "equal", 0)],
        orders=[Order("a beats b", {}, 0.9, ">= 0.8", True)],
        summary=SummaryCheck("s.json", 22, ()),
    )
    assert report.failures(good) == []
