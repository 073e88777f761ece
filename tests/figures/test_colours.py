"""Colours of algorithms: those of the package are fixed, others have a place of their own."""

from __future__ import annotations

from nasbench_evo.figures import style
from nasbench_evo.names import in_files


def test_an_outside_algorithm_has_a_colour_of_its_own() -> None:
    names = [f"own{i}" for i in range(len(style._SLOTS))]
    with style.using():
        alone = {name: style.colour(name) for name in names[:1]}
        assert style.colour("own0 (default)") == alone["own0"]
    with style.using():
        style.reserve(names)
        found = [style.colour(name) for name in names]
        assert len(set(found)) == len(names)
        assert not set(found) & {*style.COLOURS.values(), style.OTHER}
    with style.using():
        style.reserve(reversed(names))
        assert [style.colour(name) for name in names] == found
    assert style.colour("own0") == alone["own0"]  # also where nothing is reserved


def test_names_are_safe_in_the_names_of_files() -> None:
    assert in_files("hill:Climber") == "hill_Climber"
    assert in_files("ImageNet16-120") == "ImageNet16-120"
    assert in_files("../a b/c") == ".._a_b_c"
