"""Augmentation against plain loops, and whitening against its definition."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_evo.errors import InputError
from nasbench_evo.training import Augmentation, load_dataset
from nasbench_evo.training.data.augmentation import (
    Pipeline,
    Whitening,
    contrast_normalise,
    cut_out,
    flip_and_crop,
    local_contrast,
)
from nasbench_evo.training.data.images import TensorPart

pytestmark = pytest.mark.torch


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(b, c, h, w):
    return torch.arange(1, b * c * h * w + 1).view(b, c, h, w)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 4), st.integers(0, 3))
def test_every_result_is_a_window_of_the_padded_image_or_of_its_mirror(seed, h, w, padding):
    images = numbered(4, 2, h, w)
    found = flip_and_crop(images, 0.5, padding, generator(seed))
    for image, result in zip(images, found, strict=True):
        padded = torch.nn.functional.pad(image, (padding,) * 4)
        windows = [
            source[:, y : y + h, x : x + w]
            for source in (padded, padded.flip(2))
            for y in range(2 * padding + 1)
            for x in range(2 * padding + 1)
        ]
        assert any(torch.equal(result, window) for window in windows)


def test_flip_probability_and_uniform_offsets():
    images = numbered(1, 1, 3, 3).expand(20_000, 1, 3, 3)
    flipped = flip_and_crop(images, 0.3, 0, generator())[:, 0, 0, 0] == 3
    assert flipped.double().mean().item() == pytest.approx(0.3, abs=0.015)
    cropped = flip_and_crop(images, 0.0, 1, generator())
    # The centre of the window tells its offset: each of the 9 places equally often.
    counts = torch.bincount(cropped[:, 0, 1, 1])[1:].double() / 20_000
    assert counts.tolist() == pytest.approx([1 / 9] * 9, abs=0.012)


def test_without_augmentation_nothing_moves_and_nothing_is_drawn():
    images, g = numbered(2, 1, 4, 4), generator(3)
    before = g.get_state()
    assert torch.equal(flip_and_crop(images, 0.0, 0, g), images)
    assert torch.equal(g.get_state(), before)


def test_cut_out_zeroes_one_clipped_square():
    images = torch.ones(3000, 2, 6, 6)
    found = cut_out(images, 4, generator())
    holes = found[:, 0] == 0
    assert torch.equal(found[:, 0], found[:, 1])
    for hole in holes[:50]:
        rows, columns = hole.any(1).nonzero()[:, 0], hole.any(0).nonzero()[:, 0]
        assert len(rows) * len(columns) == hole.sum()  # a full rectangle
        assert len(rows) == rows[-1] - rows[0] + 1 <= 4
    # Centre c covers c-2..c+1: mean length over c = 0..5 is (2+3+4+4+4+3)/6.
    expected = (20 / 6) ** 2
    assert holes.double().sum((1, 2)).mean().item() == pytest.approx(expected, rel=0.03)


def test_normalisation_by_hand():
    data = load_dataset()
    found = Pipeline(data, Augmentation(), torch.float64).evaluation(data.train.images)
    assert found.mean().item() == pytest.approx(0, abs=1e-12)
    assert found.std(correction=0).item() == pytest.approx(1, abs=1e-12)
    first = (data.train.images[0, 0, 3, 3].item() / 255 - data.mean[0]) / data.std[0]
    assert found[0, 0, 3, 3].item() == pytest.approx(first)


def test_contrast_normalisation_by_hand():
    images = torch.tensor([[[[0, 2], [4, 2]]], [[[7, 7], [7, 7]]]], dtype=torch.uint8)
    found = contrast_normalise(images)
    r2 = 2**0.5  # mean 2, variance 2; the second image has no contrast
    assert found.tolist() == [pytest.approx([-r2, 0, r2, 0]), [0, 0, 0, 0]]


def test_local_contrast_normalisation_by_loops():
    images = torch.randint(0, 256, (2, 3, 12, 7), generator=generator(), dtype=torch.uint8)
    images[1, :, :6] = 9  # a part without contrast

    def weight(dy, dx):
        inside = max(abs(dy), abs(dx)) <= 4
        return math.exp(-(dy * dy + dx * dx) / (2 * 2.25**2)) if inside else 0.0

    def window(maps, y, x):
        shares = [
            (weight(i - y, j - x), maps[:, i, j].mean().item()) for i in range(12) for j in range(7)
        ]
        return sum(w * v for w, v in shares) / sum(w for w, _ in shares)

    expected = torch.empty(2, 3, 12, 7, dtype=torch.float64)
    for k, image in enumerate(images.double()):
        means = torch.tensor([[window(image, y, x) for x in range(7)] for y in range(12)])
        v = image - means.double()
        deviations = torch.tensor(
            [[window(v**2, y, x) ** 0.5 for x in range(7)] for y in range(12)]
        )
        expected[k] = v / deviations.clamp_min(deviations.mean().item()).double()
    torch.testing.assert_close(
        local_contrast(images, torch.float64), expected, atol=2e-6, rtol=2e-6
    )
    flat = torch.full((1, 3, 5, 5), 200, dtype=torch.uint8)
    assert local_contrast(flat, torch.float32).abs().max() < 1e-2
    with pytest.raises(InputError, match="not both"):
        Augmentation(whitening=True, local_contrast=True)


def test_zca_whitens_and_stays_as_close_as_it_can():
    images = torch.randint(0, 256, (4000, 1, 3, 2), generator=generator(), dtype=torch.uint8)
    images[:, :, 1:] = (images[:, :, 1:] // 4 + 3 * (images[:, :, :-1] // 4)).to(torch.uint8)
    part = TensorPart(images, torch.zeros(4000, dtype=torch.int64))
    whitening = Whitening.fit(part, epsilon=1e-9)
    white = whitening(images, torch.float64).flatten(1)
    covariance = white.T @ white / len(white)
    # One direction is empty: contrast normalisation makes every image sum to 0.
    values = torch.linalg.eigvalsh(covariance)
    assert values[0].item() < 1e-3
    assert values[1:].tolist() == pytest.approx([1.0] * 5, abs=1e-3)
    assert torch.allclose(whitening.matrix, whitening.matrix.T)  # ZCA, not PCA
    raw = contrast_normalise(images).double()
    same = torch.corrcoef(torch.stack([raw[:, 2], white[:, 2]]))[0, 1]
    assert same > 0.5


def test_whitening_is_fitted_on_the_training_part_alone():
    data = load_dataset()
    whitening = Augmentation(whitening=True)
    found = Pipeline(data, whitening).evaluation(data.valid.images)
    changed = TensorPart(data.valid.images.flip(0), data.valid.labels)
    other = Pipeline(dataclasses.replace(data, valid=changed), whitening)
    assert torch.equal(other.evaluation(data.valid.images), found)
    smaller = dataclasses.replace(
        data, train=TensorPart(data.train.images[:400], data.train.labels[:400])
    )
    assert not torch.equal(Pipeline(smaller, whitening).evaluation(data.valid.images), found)


def test_whitening_is_fitted_once_a_training_part(monkeypatch):
    data, fit, calls = load_dataset(), Whitening.fit, []
    monkeypatch.setattr(Whitening, "fit", lambda part: calls.append(part) or fit(part))
    for _ in range(3):
        Pipeline(data, Augmentation(whitening=True))
    assert calls == [data.train]


def test_whitening_refuses_large_images():
    part = TensorPart(torch.zeros(1, 3, 65, 65, dtype=torch.uint8), torch.zeros(1))
    with pytest.raises(InputError, match="whitening=False"):
        Whitening.fit(part)


@pytest.mark.parametrize("first", [{}, {"whitening": True}, {"local_contrast": True}])
def test_training_pipeline_follows_its_generator(first):
    data = load_dataset()
    augmentation = Augmentation(flip=0.5, crop_padding=2, cutout=3, **first)
    pipeline, images = Pipeline(data, augmentation), data.train.images[:32]
    first = pipeline.training(images, generator(1))
    assert torch.equal(first, pipeline.training(images, generator(1)))
    assert not torch.equal(first, pipeline.training(images, generator(2)))
    assert first.shape == images.shape


def test_local_contrast_is_taken_before_pixels_move():
    data = load_dataset()
    pipeline = Pipeline(data, Augmentation(flip=1.0, local_contrast=True))
    images = data.train.images[:8]
    expected = pipeline.evaluation(images).flip(3)
    assert torch.equal(pipeline.training(images, generator()), expected)


def test_black_padding_is_black_after_normalisation():
    data = load_dataset()
    pipeline = Pipeline(data, Augmentation(crop_padding=8))
    white = torch.full((64, 1, 8, 8), 255, dtype=torch.uint8)
    black = pipeline.evaluation(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)).unique()
    assert torch.equal(pipeline.training(white, generator()).unique()[0], black[0])


@pytest.mark.parametrize("wrong", [{"flip": 1.5}, {"crop_padding": -1}, {"cutout": -2}])
def test_wrong_values(wrong):
    with pytest.raises(InputError):
        Augmentation(**wrong)
