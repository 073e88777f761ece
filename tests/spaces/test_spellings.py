"""Spellings of other tools, and which integer means which cell."""

from __future__ import annotations

import pytest

from nasbench_evo import spaces
from nasbench_evo.errors import InputError
from nasbench_evo.spaces import spellings

SPACE = spaces.get("nasbench201")
# One cell by hand: edges (0,1) (0,2) (1,2) (0,3) (1,3) (2,3).
CELL = (4, 3, 1, 2, 0, 3)
TEXT = "|avg_pool_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|"
NESTED = (
    "((('avg_pool_3x3', 0),), (('nor_conv_3x3', 0), ('skip_connect', 1)), "
    "(('nor_conv_1x1', 0), ('none', 1), ('nor_conv_3x3', 2)))"
)
NNI = (
    "{'0_1': 'avg_pool_3x3', '0_2': 'conv_3x3', '0_3': 'conv_1x1', '1_2': 'skip_connect', "
    "'1_3': 'none', '2_3': 'conv_3x3'}"
)


def test_the_official_index_is_the_benchmarks() -> None:
    """Cells 0 and 1 of the published list, and that nearly none agree with base 5."""
    first = (
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|"
        "skip_connect~2|"
    )
    assert SPACE.format(SPACE.parse("#0")) == first
    order = spellings.official_order()
    assert sorted(order) == list(range(15_625))
    assert sum(official == base for base, official in enumerate(order)) == 1
    assert all(order[official] == base for base, official in enumerate(spellings.official_index()))


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.removesuffix("|"),
        TEXT + "|",
        f"|{TEXT}",
        TEXT.replace("+", " + "),
        f"Structure(4 nodes with {TEXT})",
        f"CellStructure(4 nodes with {TEXT})",
        NESTED,
        NESTED.replace("(", "[").replace(")", "]").replace(",]", "]"),
        NNI,
        NNI.replace("conv", "nor_conv"),
        "431203",
    ],
)
def test_unambiguous_spellings(text: str) -> None:
    assert SPACE.parse(text) == CELL


def test_naslib_has_another_order_of_operations_and_edges() -> None:
    """Identity, Zero, 3x3, 1x1, pool on the edges (0,1) (0,2) (0,3) (1,2) (1,3) (2,3)."""
    naslib = (4, 2, 3, 0, 1, 2)
    for text in (str(naslib), "423012"):
        assert spellings.parse(text, spelling="naslib") == CELL
    with pytest.raises(InputError, match=r"423012.*NASLib.*--spelling naslib"):
        SPACE.parse(str(naslib))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("4242", r"official index #4242, \|.* base-5 index, \|.* leading zeros, 004242"),
        ("97", r"official index #97"),
        ("97.0", r"official index #97"),
        ("99999", "those end at 15624"),
        (NNI.replace("'0_3': 'conv_1x1', ", ""), "expected the edges 0_1, 0_2"),
        (NNI.replace("conv_1x1", "conv_7x7"), "Unknown operation 'conv_7x7'"),
        (NESTED.replace("'none', 1", "'none', 0"), r"Node 3 .* needs the inputs \[0, 1, 2\]"),
        ("(1, 2, 3)", "Not a NAS-Bench-201 cell"),
        ("{1: 2", "Not a NAS-Bench-201 cell"),
        ("(" * 900, "Not a NAS-Bench-201 cell"),
        ("x" * 5000, "Not a NAS-Bench-201 cell"),
    ],
)
def test_refusals_name_the_difference(text: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        SPACE.parse(text)


def test_an_index_that_is_said() -> None:
    assert spellings.parse("0", index="official") == SPACE.parse("#0")
    assert spellings.parse("1", index="base5") == (0, 0, 0, 0, 0, 1)
    assert spellings.parse("4242", index="digits") == (0, 0, 4, 2, 4, 2)
    assert spellings.parse("333103.0", index="digits") == (3, 3, 3, 1, 0, 3)
    for index in ("official", "base5"):  # in a column of integers: is that index 123?
        assert spellings.parse("333103", index=index) == (3, 3, 3, 1, 0, 3)
        with pytest.raises(InputError, match=rf"may be six operation digits or the {index} index"):
            spellings.parse("000123", index=index)
    with pytest.raises(InputError, match="digits are 0-4; got 97"):
        spellings.parse("97", index="digits")
    with pytest.raises(InputError, match=r"0\.\.15624; got 15625"):
        spellings.parse("15625", index="official")


def test_a_reader_of_a_space() -> None:
    assert spellings.reader(SPACE, None, "base5")("3") == (0, 0, 0, 0, 0, 3)
    with pytest.raises(InputError, match="Did you mean 'official'"):
        spellings.reader(SPACE, None, "officiel")
    with pytest.raises(InputError, match="Unknown spelling 'nni'"):
        spellings.reader(SPACE, "nni")
    with pytest.raises(InputError, match="for nasbench201's cells"):
        spellings.reader(spaces.get("darts_cell"), None, "official")
