"""Which split a search may see and which one only a report reads, per data set.

The benchmark trains on four sets. For cifar10 a search sees the validation half of the training
called cifar10-valid, and the test accuracy is that of the training called cifar10 (on both
halves). On cifar100 and ImageNet16-120 x-valid and x-test are halves of the original test set:
`ori-test` is their union, so that it is neither a validation nor a test accuracy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

VALID = ("x-valid", "valid")
TEST = ("x-test", "test")
ORIGINAL = "ori-test"
TRAIN = "train"
SPLITS = (TRAIN, *VALID, *TEST, ORIGINAL)
_HALF = "-valid"  # a training on a part of the data, e.g. cifar10-valid


class Role(NamedTuple):
    """What a data set's numbers are: the trainings and splits behind them."""

    dataset: str
    training: str
    valid: str
    test_training: str
    test: str | None


def roles(splits: Mapping[str, Collection[str]]) -> list[Role]:
    """Return the role of each data set that has a validation split, given splits by training."""
    found = []
    for training, known in splits.items():
        valid = next((split for split in VALID if split in known), None)
        if valid is None or training + _HALF in splits:
            continue
        dataset = training.removesuffix(_HALF)
        whole = dataset if dataset != training and dataset in splits else training
        test = next((split for split in TEST if split in splits[whole]), None)
        # x-valid beside ori-test means that ori-test holds the validation images, unless the
        # validation images come from the training set, as in cifar10-valid.
        apart = dataset != training or whole != training
        if test is None and apart and ORIGINAL in splits[whole]:
            test = ORIGINAL
        found.append(Role(dataset, training, valid, whole, test))
    return found
