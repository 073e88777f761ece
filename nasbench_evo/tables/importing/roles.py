"""Which split a search may see and which one only a report reads, per data set.

The benchmark trains on four sets. For cifar10 a search sees the validation half of the training
called cifar10-valid, and the test accuracy is that of the training called cifar10 (on both
halves). On cifar100 and ImageNet16-120 x-valid and x-test are halves of the original test set:
`ori-test` is their union, so that it is neither a validation nor a test accuracy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from nasbench_evo.errors import DataError

VALID = ("x-valid", "valid")
TEST = ("x-test", "test")
ORIGINAL = "ori-test"
TRAIN = "train"
SPLITS = (TRAIN, *VALID, *TEST, ORIGINAL)
OWN_VALIDATION = ("cifar10",)  # validation images from the training set: ori-test is apart
_HALF = "-valid"  # a training on a part of the data, e.g. cifar10-valid


class Role(NamedTuple):
    """What a data set's numbers are: the trainings and splits behind them.

    `valid` is None where only a test accuracy is there: reports can read it, searches cannot.
    """

    dataset: str
    training: str
    valid: str | None
    test_training: str
    test: str | None


def roles(splits: Mapping[str, Collection[str]]) -> list[Role]:
    """Return the role of each data set with a validation or a test split, given splits by training.

    Raises DataError where a training and the one on a part of its data both have one.
    """
    found = []
    for training, known in splits.items():
        valid = next((split for split in VALID if split in known), None)
        if valid is None:
            continue
        if any(split in splits.get(training + _HALF, ()) for split in VALID):
            raise DataError(
                f"{training} and {training}{_HALF} both have validation accuracies: two trainings "
                "are not one data set. Give one of them another name, or leave it out."
            )
        dataset = training.removesuffix(_HALF)
        whole = dataset if dataset != training and dataset in splits else training
        # x-valid beside ori-test means that ori-test holds the validation images, unless the
        # validation images come from the training set, as in cifar10-valid.
        apart = dataset in OWN_VALIDATION or dataset != training or whole != training
        found.append(Role(dataset, training, valid, whole, _test(splits[whole], apart=apart)))
    there = {role.dataset for role in found}
    for training, known in splits.items():
        test = _test(known, apart=training in OWN_VALIDATION)
        if training not in there and not training.endswith(_HALF) and test is not None:
            found.append(Role(training, training, None, training, test))
    return found


def _test(known: Collection[str], *, apart: bool) -> str | None:
    """Return the test split among those of a training; ori-test where it is `apart`."""
    test = next((split for split in TEST if split in known), None)
    return ORIGINAL if test is None and apart and ORIGINAL in known else test
