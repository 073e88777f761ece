"""Published claims: the page is what the committed results give, and verdicts follow intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report.stored_suite import make
from scipy.stats import ttest_rel
from support import cli

from nasbench_evo.errors import DataError
from nasbench_evo.results import claims, measures
from nasbench_evo.results.claims import Claim, Expectation, Verdict
from nasbench_evo.results.folder import read
from nasbench_evo.results.measures import Measured

ROOT = Path(__file__).parents[2]
NOISE = np.random.default_rng(0).normal(0, 0.1, 30)


def rows(**means: float) -> list[Measured]:
    """Rows of 30 runs whose regrets lie around a mean, each with noise of its own order."""
    return [
        Measured(name, "d", 5, {"regret": (mean + np.roll(NOISE, i)).tolist()})
        for i, (name, mean) in enumerate(means.items())
    ]


def verdict(*tests: Expectation, known: list[Measured], cannot: str = "") -> Verdict:
    claim = Claim(paper="P", where="Fig. 1", says="so", test=list(tests), cannot=cannot)
    (found,) = claims.judge([claim], Path("nowhere"), {"r": known})
    return found


def a_test(**changes: object) -> Expectation:
    content = {"results": "r", "measure": "regret", "arm": "a", "against": ["b"]}
    return Expectation.model_validate({**content, "expect": "lower", **changes})


def test_the_page_is_what_the_committed_results_give() -> None:
    written = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    found = claims.judge(claims.load(), ROOT / "results")
    assert written == claims.page(found), "run: nasbench-evo claims --out docs/claims.md"


@pytest.mark.parametrize(
    ("b", "expect", "judgement"),
    [
        (2.0, "lower", "reproduced"),
        (2.0, "higher", "not reproduced"),
        (1.0, "lower", "not reproduced"),  # no difference
    ],
)
def test_verdicts_follow_the_interval(b: float, expect: str, judgement: str) -> None:
    found = verdict(a_test(expect=expect), known=rows(a=1.0, b=b))
    assert found.judgement == judgement
    (one,) = found.seen
    assert one.n == 30
    assert one.difference.low <= one.difference.estimate <= one.difference.high


def test_a_claim_may_hold_in_part_and_the_interval_covers_all_comparisons() -> None:
    both = verdict(a_test(against=["b", "c"]), known=rows(a=1.0, b=2.0, c=1.0))
    assert both.judgement == "reproduced in part"
    assert "of 2 comparisons 1 as claimed, 1 no difference shown" in both.reason
    alone = verdict(a_test(), known=rows(a=1.0, b=2.0))
    wide, narrow = both.seen[0].difference, alone.seen[0].difference
    assert wide.high - wide.low > narrow.high - narrow.low


def test_equality_needs_a_margin_and_a_small_effect_may_be_undecided() -> None:
    same = verdict(a_test(expect="same", margin=0.5), known=rows(a=1.0, b=1.0))
    assert same.judgement == "reproduced"
    assert (
        verdict(a_test(expect="same", margin=0.5), known=rows(a=1.0, b=2.0)).judgement
        == "not reproduced"
    )
    narrow = verdict(a_test(expect="same", margin=0.001), known=rows(a=1.0, b=1.0))
    assert narrow.judged[0].shown == "undecided"
    unclear = verdict(a_test(smallest=0.001), known=rows(a=1.0, b=1.0))
    assert unclear.judgement == "cannot be tested here"
    assert "no difference and one that would matter" in unclear.reason


def test_of_few_seeds_the_interval_is_students_and_holds_the_truth_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(1), 0
    for _ in range(400):
        a, b = rng.normal(1.0, 1.0, (2, 4))
        known = [Measured(n, "d", 0, {"regret": v.tolist()}) for n, v in (("a", a), ("b", b))]
        (one,) = verdict(a_test(), known=known).seen
        held += one.difference.low < 0 < one.difference.high  # the true difference is 0
    assert one.difference.estimate == pytest.approx(np.mean(a - b))
    assert one.difference[1:] == pytest.approx(tuple(ttest_rel(a, b).confidence_interval()))
    assert 370 <= held <= 390  # of 400; 380 are expected, a bootstrap holds 317


def test_a_number_and_another_measure_of_the_same_row_can_be_compared_with() -> None:
    many = {"parents": [0.28, 0.3, 0.32], "x@0": [1, 1, 2], "x@9": [5, 6, 7]}
    known = [Measured("a", "d", 0, many)]
    above = a_test(measure="parents", against=[], than=0.0, expect="higher")
    grows = a_test(measure="x@9", against=[], against_measure="x@0", expect="higher")
    assert verdict(above, grows, known=known).judgement == "reproduced"


def test_what_is_missing_or_cannot_be_tested_says_why() -> None:
    lacking = verdict(a_test(against=["b", "gone"]), known=rows(a=1.0, b=2.0))
    assert lacking.judgement == "cannot be tested here"
    assert "gone" in lacking.reason
    assert "keeps no single runs" in verdict(a_test(), known=[]).reason
    shown = verdict(a_test(), known=rows(a=1.0, b=2.0), cannot="it needs a GPU.")
    assert (shown.judgement, shown.reason) == ("cannot be tested here", "it needs a GPU.")
    assert shown.seen  # and what is seen stands there all the same
    unjudged = verdict(a_test(expect=None), a_test(), known=rows(a=1.0, b=2.0))
    assert unjudged.judgement == "reproduced"


def test_a_wrong_file_is_an_error_that_names_the_place(tmp_path: Path) -> None:
    file = tmp_path / "claims.toml"
    head = '[[claim]]\npaper = "P"\nwhere = "w"\nsays = "s"\n'
    for text, told in (
        (head, "a test or `cannot`"),
        (head + 'canot = "x"', "canot"),
        (head + '[[claim.test]]\nresults = "r"\nmeasure = "m"\narm = "a"', "against"),
        ("[[claim", "TOML"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=told):
            claims.load(file)
    file.write_text('{"rows": [{"row": 1}]}')
    file.rename(tmp_path / measures.FILE)
    with pytest.raises(DataError, match="Run the suite again"):
        measures.read(tmp_path)


def test_runs_json_holds_every_run_and_the_report_its_claims(tmp_path: Path) -> None:
    stored = read(make(tmp_path))
    found = stored.kind.measures(stored.found)
    path = measures.write(tmp_path / measures.FILE, stored.suite.name, found)
    again = {(one.row, one.dataset): one for one in measures.read(path.parent)}
    row = next(one for one in stored.found.rows if one.evaluations == 130)
    regret = again[row.label, row.dataset].by_seed("regret")
    assert len(regret) == row.n == 12
    assert np.mean(list(regret.values())) == pytest.approx(row.mean_regret, rel=1e-5)
    earlier = next(one for one in stored.found.rows if one.evaluations == 30)
    before = again[earlier.label, earlier.dataset].by_seed("regret@30")
    assert np.mean(list(before.values())) == pytest.approx(earlier.mean_regret, rel=1e-5)
    sections = claims.of_suite("ablation_eigen_secondary", tmp_path / "none", [])
    assert [section.title for section in sections] == ["EIGEN (CVPR 2019), Fig. 4 and Table 2"]
    assert sections[0].verdict.startswith("Cannot be tested here, because results/")


def test_the_command_prints_each_verdict_and_refuses_what_is_no_folder(tmp_path: Path) -> None:
    done = cli("claims", "--results", str(tmp_path), "--out", str(tmp_path / "page.md"))
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len(claims.load())
    assert (tmp_path / "page.md").read_text().startswith("# What the papers claim")
    assert cli("claims", "--results", str(tmp_path / "no")).returncode == 2
