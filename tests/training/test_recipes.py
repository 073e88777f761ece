"""Recipes: the papers' schedules by hand, scaling, refusal of wrong values."""

import dataclasses
import math

import pytest

from nasbench_evo.errors import InputError
from nasbench_evo.evaluators.settings import Settings
from nasbench_evo.training import RECIPES, Recipe, recipe
from nasbench_evo.training.recipes import identity

pytestmark = pytest.mark.torch


def test_eigen_drops_at_15000_and_20000_iterations():
    eigen = RECIPES["eigen"]
    assert eigen.iterations(390) == 25_000
    at = [0, 14_999, 15_000, 19_999, 20_000, 24_999]
    rates = [eigen.learning_rate_at(i, 390) for i in at]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_genetic_cnn_has_120_60_40_20_epochs():
    genetic = RECIPES["genetic_cnn"]
    epochs = [genetic.learning_rate_at(7 * epoch, 7) for epoch in range(240)]
    counts = [sum(rate == pytest.approx(r) for rate in epochs) for r in (1e-2, 1e-3, 1e-4, 1e-5)]
    assert counts == [120, 60, 40, 20]
    assert genetic.iterations(7) == 240 * 7


def test_cosine_by_hand():
    r = Recipe("x", 4, learning_rate=0.2)
    rates = [r.learning_rate_at(i, 2) for i in range(8)]
    assert rates[0] == 0.2
    assert rates[4] == pytest.approx(0.1)
    assert rates[2] == pytest.approx(0.2 * (1 + 2**-0.5) / 2)
    by_epoch = dataclasses.replace(r, update="epochs")
    assert [by_epoch.learning_rate_at(i, 2) for i in (4, 5)] == [rates[4]] * 2


def test_linear_by_hand_and_an_end_above_zero():
    r = Recipe("x", 4, learning_rate=0.4, schedule="linear", update="epochs")
    rates = [r.learning_rate_at(i, 2) for i in range(8)]
    assert rates == pytest.approx([0.4, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1])
    to = dataclasses.replace(r, final_learning_rate=0.2)
    assert [to.learning_rate_at(2 * e, 2) for e in range(4)] == pytest.approx(
        [0.4, 0.35, 0.3, 0.25]
    )
    cosine = dataclasses.replace(to, schedule="cosine")
    assert cosine.learning_rate_at(4, 2) == pytest.approx(0.3)
    imagenet = RECIPES["eg_nas_imagenet_search"]
    assert (imagenet.length, imagenet.batch_size, imagenet.weight_decay) == (50, 1024, 3e-5)
    assert imagenet.learning_rate_at(25 * 125, 125) == pytest.approx(0.25)
    assert RECIPES["darts_imagenet"].length == 250
    darts = RECIPES["darts_search"]
    assert (darts.batch_size, darts.weight_decay) == (64, 3e-4)
    assert darts.learning_rate_at(25 * 391, 391) == pytest.approx(0.013)
    assert identity(darts)["final_learning_rate"] == 0.001


def test_drop_path_grows_by_epoch():
    r = Recipe("x", 4, drop_path=0.4)
    found = [r.drop_path_at(i, 2) for i in range(8)]
    assert found == pytest.approx([0, 0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3])
    constant = dataclasses.replace(r, drop_path_schedule="constant")
    assert [constant.drop_path_at(i, 2) for i in range(8)] == [0.4] * 8
    assert RECIPES["geneticnas"].drop_path_at(0, 781) == 0.1


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_scaled_keeps_the_shape_of_the_schedule(name):
    full, short = RECIPES[name], recipe(name, 20)
    assert (short.length, short.unit) == (20, "epochs")
    per_epoch = 500
    long = full.iterations(per_epoch)
    for share in (0.1, 0.3, 0.6, 0.7, 0.9):  # where an epoch of either begins
        at = full.learning_rate_at(round(share * long), per_epoch)
        scaled = short.learning_rate_at(round(share * 20 * per_epoch), per_epoch)
        assert scaled == pytest.approx(at, rel=0.02)


def test_papers_values():
    nb201 = RECIPES["nasbench201"]
    assert (nb201.length, nb201.batch_size, nb201.learning_rate) == (200, 256, 0.1)
    assert nb201.nesterov
    assert nb201.weight_decay == 5e-4
    assert (nb201.augmentation.flip, nb201.augmentation.crop_padding) == (0.5, 4)
    rates = [nb201.learning_rate_at(i, 98) for i in (0, 97, 98, 199 * 98)]
    assert rates[:2] == [0.1, 0.1]  # the cosine is per epoch
    assert rates[2] == pytest.approx(0.05 * (1 + math.cos(math.pi / 200)))
    assert rates[3] == pytest.approx(0.05 * (1 + math.cos(math.pi * 199 / 200)))
    assert (nb201.keep_last_batch, nb201.initialisation) == (True, "torch")
    small = dataclasses.asdict(RECIPES["nasbench201_16"])
    large = dataclasses.asdict(nb201)
    assert (small.pop("name"), small["augmentation"].pop("crop_padding")) == ("nasbench201_16", 2)
    assert (large.pop("name"), large["augmentation"].pop("crop_padding")) == ("nasbench201", 4)
    assert small == large
    assert RECIPES["eg_nas_search"].update == "epochs"
    assert RECIPES["geneticnas_search"].keep_last_batch  # 391 steps an epoch of 50,000 images
    assert RECIPES["eigen"].augmentation.whitening
    assert (RECIPES["eigen"].alpha, RECIPES["eigen"].temperature) == (0.9, 5)
    darts = RECIPES["darts"]
    assert (darts.length, darts.batch_size, darts.auxiliary_weight) == (600, 96, 0.4)
    assert (darts.drop_path, darts.augmentation.cutout, darts.gradient_clip) == (0.3, 16, 5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"length": 0}, {"unit": "steps"}, {"update": "never"}, {"schedule": "sine"},
            {"final_learning_rate": -0.1}, {"learning_rate": 0.1, "final_learning_rate": 0.2},
            {"schedule": "step", "final_learning_rate": 0.01},
        {"batch_size": 0}, {"learning_rate": 0}, {"learning_rate": float("nan")}, {"gamma": 0},
        {"momentum": 1}, {"momentum": 0, "nesterov": True}, {"weight_decay": -1},
        {"label_smoothing": 1}, {"gradient_clip": -1}, {"drop_path": 1},
        {"drop_path_schedule": "cosine"}, {"initialisation": "zeros"},
        {"auxiliary_weight": -0.1}, {"alpha": 1.1}, {"temperature": 0}, {"milestones": (1,)},
        {"schedule": "step", "milestones": (3, 2)}, {"schedule": "step", "milestones": (11,)},
    ],
)  # fmt: skip
def test_wrong_values(wrong):
    with pytest.raises(InputError, match=list(wrong)[-1]):
        Recipe(**{"name": "x", "length": 10, **wrong})


def test_keys_of_recipes_that_use_nothing_new_stay_as_they_were():
    plain = identity(RECIPES["digits"])
    assert set(plain) == {
        "name", "length", "unit", "batch_size", "learning_rate", "schedule", "update",
        "milestones", "gamma", "momentum", "nesterov", "weight_decay", "label_smoothing",
        "gradient_clip", "drop_path", "auxiliary_weight", "alpha", "temperature", "augmentation",
    }  # fmt: skip
    added = set(identity(RECIPES["nasbench201"])) - set(plain)
    assert added == {"keep_last_batch", "initialisation"}
    holder = dataclasses.make_dataclass("Holder", ["recipe"])(RECIPES["geneticnas"])
    assert identity(holder)["recipe"]["drop_path_schedule"] == "constant"


@pytest.mark.parametrize(
    ("space", "dataset", "name", "valid_fraction"),
    [
        ("nasbench201", "cifar10", "nasbench201", 0.5),
        ("nasbench201", "cifar100", "nasbench201", 0.2),
        ("nasbench201", "ImageNet16-120", "nasbench201_16", 0.2),
        ("nasbench201", "digits", "digits", 0.2),
        ("micro_cell", "ImageNet16-120", "geneticnas", 0.2),
        ("darts_cell", "cifar10", "darts", 0.2),
    ],
)
def test_recipe_and_split_by_space_and_data_set(space, dataset, name, valid_fraction):
    assert Settings().recipe_name(space, dataset) == name
    assert Settings().validation_share(space, dataset) == valid_fraction
    chosen = Settings(recipe="eigen", valid_fraction=0.3)
    assert chosen.recipe_name(space, dataset) == "eigen"
    assert chosen.validation_share(space, dataset) == 0.3


def test_unknown_recipe():
    with pytest.raises(InputError, match="nasbench201"):
        recipe("nasbench210")
