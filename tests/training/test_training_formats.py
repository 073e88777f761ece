"""Official file formats: tiny files made here, read back, and damaged in every way."""

import gzip
import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nasbench_evo.errors import DataError, InputError
from nasbench_evo.training import load_dataset
from nasbench_evo.training.data import sources
from nasbench_evo.training.data.formats import DIGESTS, read_idx, unpickle

pytestmark = pytest.mark.torch

RNG = np.random.default_rng(0)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def pixels(n, channels, size):
    return RNG.integers(0, 256, (n, channels * size * size), dtype=np.uint8)


def write_idx(path: Path, values: np.ndarray) -> None:
    header = b"\0\0\x08" + bytes([values.ndim]) + np.array(values.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + values.tobytes()))


def cifar_files(classes):
    """Return {member: content} of a tiny CIFAR archive, pickled as Python 2 did (bytes keys)."""
    key, folder = (
        (b"labels", "cifar-10-batches-py")
        if classes == 10
        else (b"fine_labels", "cifar-100-python")
    )
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    names = names if classes == 10 else ["train", "test"]
    per_file = 2 * classes
    return {
        f"{folder}/{name}": pickle.dumps(
            {b"data": pixels(per_file, 3, 32), key: [i % classes for i in range(per_file)]},
            protocol=2,
        )
        for name in names
    }


def write_archive(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("extracted", [False, True])
def test_cifar_from_archive_and_folder(tmp_path, classes, extracted):
    members = cifar_files(classes)
    digests = {name: md5(content) for name, content in members.items()}
    if extracted:
        for name, content in members.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
    else:
        archive = tmp_path / f"cifar-{classes}-python.tar.gz"
        write_archive(archive, members)
        digests[archive.name] = md5(archive.read_bytes())
    data = load_dataset(f"cifar{classes}", root=tmp_path, valid_fraction=0.5, digests=digests)
    n_train = (5 if classes == 10 else 1) * 2 * classes
    assert (len(data.train), len(data.valid), len(data.test)) == (
        n_train // 2,
        n_train // 2,
        2 * classes,
    )
    assert data.shape == (3, 32, 32)
    test = unpickle(io.BytesIO(list(members.values())[-1]), "test")
    np.testing.assert_array_equal(data.test.images.numpy().reshape(2 * classes, -1), test["data"])


def test_cifar_of_another_md5_is_refused(tmp_path):
    write_archive(tmp_path / "cifar-10-python.tar.gz", cifar_files(10))
    with pytest.raises(DataError, match=f"MD5.*{DIGESTS['cifar-10-python.tar.gz']}"):
        load_dataset("cifar10", root=tmp_path)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("pickle-was-run",)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"data": Evil(), "labels": [0]}, protocol=protocol)
    with pytest.raises(DataError, match=r"mkdir is not allowed"):
        unpickle(io.BytesIO(content), "data_batch_1")
    assert not Path("pickle-was-run").exists()
    pickle.loads(content)  # noqa: S301  # the same bytes do run in the ordinary unpickler
    assert Path("pickle-was-run").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"not a pickle", pickle.dumps({"data": np.zeros(3)})[:-9], pickle.dumps([1]),
     b"cbuiltins\neval\n(S'1'\ntR."],
)  # fmt: skip
def test_unreadable_pickles(content):
    with pytest.raises(DataError, match="batch_7"):
        unpickle(io.BytesIO(content), "batch_7")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_every_pickle_protocol_are_read(protocol):
    values = {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "text": b"\xff", "n": [1, 2.5]}
    found = unpickle(io.BytesIO(pickle.dumps(values, protocol=protocol)), "x")
    np.testing.assert_array_equal(found["data"], values["data"])
    assert found["n"] == [1, 2.5]


def test_fashion_mnist(tmp_path, monkeypatch):
    monkeypatch.delenv("NASBENCH_EVO_DATA", raising=False)
    folder = tmp_path / "fashion-mnist"
    monkeypatch.setattr(sources, "DEBIAN_FASHION_MNIST", folder)
    with pytest.raises(DataError, match="dataset-fashion-mnist"):
        load_dataset("fashion-mnist")
    folder.mkdir()
    images = {"train": pixels(40, 1, 28).reshape(-1, 28, 28)}
    images["t10k"] = pixels(20, 1, 28).reshape(-1, 28, 28)
    for part, values in images.items():
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", values)
        labels = np.arange(len(values), dtype=np.uint8) % 10
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    data = load_dataset("fashion-mnist", valid_fraction=0.25)  # at Debian's path
    assert (len(data.train), len(data.valid), len(data.test)) == (30, 10, 20)
    np.testing.assert_array_equal(data.test.images[:, 0].numpy(), images["t10k"])
    assert load_dataset("fashion-mnist", root=tmp_path, valid_fraction=0.25).sha256 == data.sha256
    monkeypatch.setenv("NASBENCH_EVO_DATA", str(tmp_path))
    monkeypatch.setattr(sources, "DEBIAN_FASHION_MNIST", tmp_path / "nowhere")
    assert load_dataset("fashion-mnist", valid_fraction=0.25).sha256 == data.sha256
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"idx3-ubyte\.gz"):
        load_dataset("fashion-mnist")


def test_damaged_idx(tmp_path):
    path = tmp_path / "x.gz"
    write_idx(path, np.zeros((3, 4), np.uint8))
    good = gzip.decompress(path.read_bytes())
    assert read_idx(path).shape == (3, 4)
    for content in (good[:-1], good + b"x", good[:6], b"", b"\0\0\x09" + good[3:]):
        path.write_bytes(gzip.compress(content))
        with pytest.raises(DataError, match=r"x\.gz"):
            read_idx(path)
    path.write_bytes(gzip.compress(good)[:-4])
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(path)


def test_svhn(tmp_path):
    from scipy.io import savemat

    (tmp_path / "svhn").mkdir()
    written = {}
    for part, n in (("train", 20), ("test", 10), ("extra", 30)):
        x = RNG.integers(0, 256, (32, 32, 3, n), dtype=np.uint8)
        y = (np.arange(n) % 10 + 1).astype(np.uint8)[:, None]  # 1..10, where 10 is digit 0
        written[part] = x, y
        if part == "extra":
            with pytest.raises(DataError, match=r"extra_32x32\.mat"):
                load_dataset("svhn-extra", root=tmp_path)
        savemat(tmp_path / "svhn" / f"{part}_32x32.mat", {"X": x, "y": y})
    data = load_dataset("svhn", root=tmp_path, valid_fraction=0.5)
    assert (len(data.train), len(data.valid), len(data.test)) == (10, 10, 10)
    assert data.test.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    x, _ = written["test"]
    np.testing.assert_array_equal(data.test.images[3, 1].numpy(), x[:, :, 1, 3])
    assert len(load_dataset("svhn-extra", root=tmp_path, valid_fraction=0.4).train) == 30
    both = load_dataset("svhn-extra", root=tmp_path, valid_per_class=(1, 2))  # of 2 and 3 a class
    assert (len(both.train), len(both.valid), len(both.test)) == (20, 30, 10)
    official = {image.tobytes() for image in written["train"][0].transpose(3, 2, 0, 1)}
    of_train = torch.tensor([image.numpy().tobytes() in official for image in both.valid.images])
    assert torch.bincount(both.valid.labels[of_train], minlength=10).tolist() == [1] * 10
    assert torch.bincount(both.valid.labels[~of_train], minlength=10).tolist() == [2] * 10
    other = load_dataset("svhn-extra", root=tmp_path, valid_per_class=(1, 2), split_seed=1)
    assert other.sha256 != both.sha256
    for name, counts, message in (
        ("svhn-extra", (1,), "each of the 2 official parts"),
        ("svhn-extra", (2, 1), "below the 2 images"),
        ("svhn-extra", (0, 0), "no image to validate on"),
        ("svhn-extra", (-1, 1), "0 or more"),
        ("svhn", (1, 1), "each of the 1 official parts"),
    ):
        with pytest.raises(InputError, match=message):
            load_dataset(name, root=tmp_path, valid_per_class=counts)
    with pytest.raises(InputError, match="valid_source='test'"):
        load_dataset("svhn", root=tmp_path, valid_per_class=(1,), valid_source="test")
    (tmp_path / "svhn" / "test_32x32.mat").write_bytes(b"MATLAB? no")
    with pytest.raises(DataError, match=r"test_32x32\.mat"):
        load_dataset("svhn", root=tmp_path)


def test_imagenet16_keeps_the_first_120_classes(tmp_path):
    folder = tmp_path / "ImageNet16"
    folder.mkdir()
    digests = {}
    for name in [*(f"train_data_batch_{i}" for i in range(1, 11)), "val_data"]:
        labels = list(range(1, 131)) * 2
        content = pickle.dumps({"data": pixels(len(labels), 3, 16), "labels": labels})
        (folder / name).write_bytes(content)
        digests[f"ImageNet16/{name}"] = md5(content)
    data = load_dataset(
        "ImageNet16-120", root=tmp_path, valid_source="test", valid_fraction=0.5, digests=digests
    )
    assert (data.classes, data.shape) == (120, (3, 16, 16))
    assert (len(data.train), len(data.valid), len(data.test)) == (2400, 120, 120)
    assert sorted(data.test.labels.tolist()) == list(range(120))
    with pytest.raises(DataError, match="MD5"):
        load_dataset("ImageNet16-120", root=tmp_path)


def write_image(path: Path, size, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.mark.parametrize("workers", [0, 1])
def test_imagenet_folders(tmp_path, workers):
    colours = {"n01": (250, 0, 0), "n02": (0, 250, 0)}
    for part, n in (("train", 5), ("val", 2)):
        for name, colour in colours.items():
            for i in range(n):
                write_image(
                    tmp_path / "imagenet" / part / name / f"{i}.JPEG", (20 + 3 * i, 30), colour
                )
    data = load_dataset("imagenet", root=tmp_path, image_size=16, workers=workers)
    assert (len(data.train), len(data.valid), len(data.test)) == (8, 2, 4)
    for images, labels in data.test.runs(3):
        assert images.shape[1:] == (3, 16, 16)
        brightest = images.float().mean((2, 3)).argmax(1)
        assert brightest.tolist() == labels.tolist()
    assert data.mean[2] < 0.05 < data.mean[0]
    (tmp_path / "imagenet" / "val" / "n02" / "0.JPEG").write_bytes(b"no image")
    if workers == 0:
        with pytest.raises(DataError, match=r"0\.JPEG"):
            list(load_dataset("imagenet", root=tmp_path, workers=0).test.runs(9))


def test_caltech256_leaves_clutter_out(tmp_path):
    for name in ("001.ak47", "002.flag", "257.clutter"):
        for i in range(10):
            path = tmp_path / "256_ObjectCategories" / name / f"{i:04}.jpg"
            write_image(path, (10, 12), (i, 9, 9))
    data = load_dataset("caltech256", root=tmp_path, image_size=8, workers=0)
    assert data.classes == 2
    assert (len(data.train), len(data.valid), len(data.test)) == (12, 4, 4)
    names = {p for part in (data.train, data.valid, data.test) for p in part.paths}
    assert len(names) == 20


@pytest.mark.parametrize("name", sorted(set(sources.SOURCES) - {"digits", "fashion-mnist"}))
def test_missing_files_are_named(tmp_path, monkeypatch, name):
    monkeypatch.delenv("NASBENCH_EVO_DATA", raising=False)
    for root in (None, tmp_path):
        with pytest.raises(DataError, match=r"Expected: .*NASBENCH_EVO_DATA"):
            load_dataset(name, root=root)
