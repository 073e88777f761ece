"""The data set interface: splits, statistics, hashes, on scikit-learn's digits."""

import numpy as np
import pytest
import torch

from nasbench_evo.errors import DataError, InputError
from nasbench_evo.training import load_dataset

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def digits():
    return load_dataset()


def rows(part):
    return {bytes(image.numpy().tobytes()) for image in part.images}


def test_digits_by_hand(digits):
    from sklearn.datasets import load_digits

    bunch = load_digits()
    assert (digits.name, digits.classes, digits.shape) == ("digits", 10, (1, 8, 8))
    assert len(digits.train) + len(digits.valid) + len(digits.test) == 1797
    assert digits.train.images.dtype == torch.uint8
    assert digits.train.labels.dtype == torch.int64
    expected = {
        np.round(image * 255 / 16).astype(np.uint8).tobytes() for image in bunch.images
    }  # 16 grey levels are 255
    assert rows(digits.train) | rows(digits.valid) | rows(digits.test) == expected


def test_parts_are_disjoint_and_balanced(digits):
    train, valid, test = map(rows, (digits.train, digits.valid, digits.test))
    for one, other in ((train, valid), (train, test), (valid, test)):
        assert one.isdisjoint(other)
    shares = [
        torch.bincount(part.labels).double() / len(part)
        for part in (digits.train, digits.valid, digits.test)
    ]
    assert max((shares[0] - share).abs().max() for share in shares) < 0.01


def test_statistics_are_those_of_the_training_part(digits):
    pixels = digits.train.images.double() / 255
    assert digits.mean[0] == pytest.approx(pixels.mean().item(), rel=1e-12)
    assert digits.std[0] == pytest.approx(pixels.std(correction=0).item(), rel=1e-12)


def test_the_split_follows_its_seed_and_test_never_moves(digits):
    again, other = load_dataset(), load_dataset(split_seed=1)
    assert again.sha256 == digits.sha256 != other.sha256
    assert rows(other.test) == rows(digits.test)
    assert rows(other.train) != rows(digits.train)


def test_validation_from_the_test_part(digits):
    data = load_dataset(valid_source="test", valid_fraction=0.5)
    assert rows(data.valid) | rows(data.test) == rows(digits.test)
    assert rows(data.train) == rows(digits.train) | rows(digits.valid)


def test_without_validation_all_training_images_train(digits):
    data = load_dataset(valid_fraction=0)
    assert len(data.valid) == 0
    assert data.valid.shape == digits.shape
    assert rows(data.train) == rows(digits.train) | rows(digits.valid)
    assert rows(data.test) == rows(digits.test)
    assert data.sha256 != digits.sha256
    with pytest.raises(InputError, match="where validation images come from; got none"):
        load_dataset(valid_fraction=0, valid_source="test")


def test_train_size(digits):
    data = load_dataset(train_size=100)
    assert len(data.train) == 100
    assert rows(data.train) < rows(digits.train)
    assert rows(data.valid) == rows(digits.valid)
    with pytest.raises(InputError, match="at most"):
        load_dataset(train_size=10_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"valid_fraction": -0.1},
        {"valid_fraction": 1.0},
        {"valid_source": "both"},
        {"train_size": 0},
        {"image_size": 0},
        {"workers": -1},
        {"name": "cifar"},
    ],
)
def test_wrong_options(wrong):
    with pytest.raises(InputError):
        load_dataset(**wrong)


def test_a_fraction_that_leaves_nothing():
    with pytest.raises(DataError, match="too few"):
        load_dataset(valid_fraction=1e-6)
