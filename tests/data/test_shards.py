"""WebDataset shards as a data set: what is used, what is noted, what is refused."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest
import torch

from data.generated_images import MakeImage, jpeg_bytes, noise
from data.made_shards import samples, tar_bytes, write_shard
from intaglio.data.dataset import Dataset
from intaglio.data.image_samples import ImageSamples
from intaglio.data.images import batches, draw, open_dataset
from intaglio.data.labels import class_names
from intaglio.data.preprocess import Preprocess, apply
from intaglio.errors import DataError

SHAPE = (1, 3, 12, 12)


def labels(dataset: Dataset) -> list[int | None]:
    return [item.label for item in dataset.items]


def end_of(members: dict[str, bytes], name: str) -> int:
    """Return where the bytes of a member end in a shard of these."""
    with tarfile.open(fileobj=io.BytesIO(tar_bytes(members))) as archive:
        member = archive.getmember(name)
        return member.offset_data + member.size


# Values


def test_the_samples_of_a_shard_are_its_images_with_their_labels(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "train.tar", samples(0, 3))

    dataset = open_dataset(shard, need_labels=True)

    assert dataset.name == "train.tar"
    assert dataset.notes == ()
    assert [item.name for item in dataset.items] == [f"train.tar n/000{i}.jpg" for i in range(3)]
    assert labels(dataset) == [0, 1, 2]
    for number, item in enumerate(dataset.items):
        with item.source.open() as file:
            assert file.read() == jpeg_bytes(number)


def test_samples_of_shards_are_taken_in_any_order(tmp_path: Path) -> None:
    members = {f"{i}.{end}": c for i in range(4) for end, c in (("png", png(i)), ("cls", b"7"))}
    for number in range(2):
        write_shard(tmp_path / "data" / f"{number}.tar", members)
    dataset = open_dataset(tmp_path / "data")

    taken = ImageSamples(dataset, Preprocess(), SHAPE).take([7, 0, 5])

    expected = [apply(Preprocess(), noise(seed), SHAPE) for seed in (3, 0, 1)]
    assert torch.equal(taken.images, torch.stack(expected))
    assert taken.labels.tolist() == [7, 7, 7]
    (batch,) = batches(draw(dataset, 3, seed=0), Preprocess(), SHAPE, batch_size=8)
    assert len(batch.names) == 3


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    noise(seed).save(buffer, "PNG")
    return buffer.getvalue()


def test_members_of_a_sample_need_not_lie_together_and_others_are_not_looked_at(
    tmp_path: Path,
) -> None:
    members = {
        "x/b.JPG": jpeg_bytes(1),
        "y/b.jpeg": jpeg_bytes(2),
        "x/b.seg.png": b"a mask",
        "x/b.json": b"{",
        "x/._b.jpg": b"what a file system left",
        ".hidden.cls": b"no number",
        "README": b"no sample",
        "y/b.cls": b" 2\n",
        "x/b.cls": b"1",
    }

    dataset = open_dataset(write_shard(tmp_path / "a.tar", members))

    assert [item.name for item in dataset.items] == ["a.tar x/b.JPG", "a.tar y/b.jpeg"]
    assert labels(dataset) == [1, 2]
    assert dataset.notes == ()


def test_shards_without_labels_are_a_data_set_without_labels(tmp_path: Path) -> None:
    dataset = open_dataset(write_shard(tmp_path / "a.tar", {"b.webp": b"w", "a.jpg": b"j"}))

    assert labels(dataset) == [None, None]
    assert not dataset.labelled
    with pytest.raises(DataError, match=r"no labels; add a member NAME\.cls"):
        open_dataset(tmp_path, need_labels=True)


def test_images_of_the_data_pack_are_the_same_in_a_shard(tmp_path: Path, data_pack: Path) -> None:
    manifest = draw(open_dataset(data_pack / "imagenet" / "val227.csv"), 6, seed=0)
    members: dict[str, bytes] = {}
    for number, item in enumerate(manifest.items):
        with item.source.open() as file:
            members[f"{number}.jpg"] = file.read()
        members[f"{number}.cls"] = b"%d" % (item.label or 0)
    shard = open_dataset(write_shard(tmp_path / "a.tar", members))

    preprocess, shape, wanted = Preprocess(crop=224), (1, 3, 224, 224), [5, 2]
    found, expected = (
        ImageSamples(dataset, preprocess, shape).take(wanted) for dataset in (shard, manifest)
    )

    assert torch.equal(found.images, expected.images)
    assert torch.equal(found.labels, expected.labels)


# Which shards


def test_a_folder_of_shards_and_patterns_name_them_in_order(tmp_path: Path) -> None:
    for number in (2, 0, 10, 1):
        write_shard(tmp_path / f"train-{number:04d}.tar", samples(number, 1))
    (tmp_path / "sizes.json").write_text("{}")
    (tmp_path / "classes.json").write_text('["cat", "dog"]')

    assert labels(open_dataset(tmp_path)) == [0, 1, 2, 10]
    assert open_dataset(tmp_path).name == tmp_path.name
    assert class_names(tmp_path) == ["cat", "dog"]
    assert labels(open_dataset(tmp_path / "train-*.tar")) == [0, 1, 2, 10]
    assert labels(open_dataset(tmp_path / "train-{0000..0002}.tar")) == [0, 1, 2]
    assert open_dataset(str(tmp_path / "train-{0000..0002}.tar")).name == "train-{0000..0002}.tar"
    assert class_names(tmp_path / "train-{0000..0002}.tar") == ["cat", "dog"]


def test_shards_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    for folder in "ab":
        write_shard(tmp_path / folder / "x.tar", samples(0, 1))

    dataset = open_dataset(tmp_path / "{a,b}" / "x.tar")

    assert [item.name for item in dataset.items] == [
        f"{tmp_path}/{f}/x.tar n/0000.jpg" for f in "ab"
    ]


def test_a_folder_with_images_or_class_folders_is_no_folder_of_shards(
    tmp_path: Path, make_image: MakeImage
) -> None:
    write_shard(tmp_path / "data" / "cat.tar", samples(0, 3))
    make_image("data/cat/a.png")

    assert [item.name for item in open_dataset(tmp_path / "data").items] == ["cat/a.png"]


def test_a_missing_shard_is_an_error(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.tar", samples(0, 1))

    with pytest.raises(DataError, match=r"1\.tar: no such file"):
        open_dataset(tmp_path / "{0..1}.tar")


# Empty and incomplete shards


def test_an_empty_shard_is_passed_over_and_named(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.tar", samples(0, 2))
    write_shard(tmp_path / "1.tar", {})
    (tmp_path / "2.tar").touch()
    write_shard(tmp_path / "3.tar", samples(5, 1))

    dataset = open_dataset(tmp_path, need_labels=True)

    assert labels(dataset) == [0, 1, 5]
    assert dataset.notes == tuple(f"{n}.tar: empty, there is no sample in it" for n in (1, 2))
    assert draw(dataset, 2, seed=0).notes == dataset.notes


def test_a_shard_cut_anywhere_gives_its_whole_samples_and_says_how_many(tmp_path: Path) -> None:
    members = samples(0, 4)
    ends = [end_of(members, f"n/{number:04d}.jpg") for number in range(4)]
    write_shard(tmp_path / "0.tar", samples(8, 1))

    for kept in range(1, ends[-1] + 400, 331):
        write_shard(tmp_path / "1.tar", members, kept=kept)
        count = sum(end <= kept for end in ends)
        dataset = open_dataset(tmp_path, need_labels=True)
        assert labels(dataset) == [8, *range(count)]
        plural = "" if count == 1 else "s"
        assert dataset.notes == (f"1.tar: cut off after {count} sample{plural}",)


def test_where_a_shard_is_cut_between_image_and_label_the_sample_is_not_used(
    tmp_path: Path,
) -> None:
    members = {"a.jpg": b"a", "a.cls": b"1", "b.jpg": b"b", "b.cls": b"2"}
    kept = end_of(members, "b.jpg") + 700

    dataset = open_dataset(write_shard(tmp_path / "a.tar", members, kept=kept))

    assert labels(dataset) == [1]
    assert dataset.notes == ("a.tar: cut off after 1 sample",)


def test_a_damaged_shard_gives_what_lies_before_the_damage(tmp_path: Path) -> None:
    content = bytearray(tar_bytes(samples(0, 4)))
    place = content.index(b"n/0002.cls")
    content[place : place + 300] = bytes([255]) * 300
    (tmp_path / "a.tar").write_bytes(bytes(content))

    dataset = open_dataset(tmp_path)

    assert labels(dataset) == [0, 1]
    assert dataset.notes == ("a.tar: damaged after 2 samples",)


def test_samples_without_an_image_and_links_are_counted_and_named(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in {"a.npy": b"n", "b.npy": b"n", "c.jpg": b"j"}.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
        link = tarfile.TarInfo("d.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (tmp_path / "x.tar").write_bytes(buffer.getvalue())

    dataset = open_dataset(tmp_path / "x.tar")

    assert [item.name for item in dataset.items] == ["x.tar c.jpg"]
    assert len(dataset.notes) == 2
    assert dataset.notes[0].startswith("x.tar: 2 samples without an image")
    assert dataset.notes[0].endswith("the first is 'a'")
    assert dataset.notes[1] == "x.tar: 1 link not followed"


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([b""], r"0\.tar: no sample to use in 1 shard \(0\.tar: empty"),
        ([b"", bytes(1024)], r"no sample to use in 2 shards .*0\.tar: empty.*1\.tar: empty"),
        ([b"some text " * 99], r"0\.tar: damaged after 0 samples\)"),
        ([tar_bytes(samples(0, 1))[:900]], r"0\.tar: cut off after 0 samples\)"),
        ([tar_bytes({"a.npy": b"x"})], "1 sample without an image, which end with"),
    ],
)
def test_it_is_an_error_when_no_shard_has_anything_to_use(
    tmp_path: Path, contents: list[bytes], message: str
) -> None:
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.tar").write_bytes(content)

    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path if len(contents) > 1 else tmp_path / "0.tar")


# Refused


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.jpg": b"", "a.cls": b"cat"}, r"'a\.cls' holds 'cat', not a class index"),
        ({"a.jpg": b"", "a.cls": b""}, r"'a\.cls' holds '', not a class index"),
        ({"a.jpg": b"", "a.cls": b"-1"}, "holds '-1', not a class index"),
        ({"a.jpg": b"", "a.cls": b"1.0"}, "holds '1.0'"),
        ({"a.jpg": b"", "a.cls": "²".encode()}, "holds '²'"),
        ({"a.jpg": b"", "a.cls": b"%d" % 2**31}, "holds '2147483648'"),
        ({"a.jpg": b"", "a.cls": b"7" * 5000}, "holds '7{32}'"),
        ({"a.jpg": b"", "a.cls": b"1", "b.jpg": b""}, "sample 'b' has no label .* but others"),
        ({"a.jpg": b"", "a.png": b""}, r"sample 'a' has two images, 'a\.jpg' and 'a\.png'"),
    ],
)
def test_wrong_labels_and_ambiguous_samples_are_errors(
    tmp_path: Path, members: dict[str, bytes], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        open_dataset(write_shard(tmp_path / "a.tar", members))


def test_compressed_shards_are_refused_with_what_to_do(tmp_path: Path) -> None:
    content = gzip.compress(tar_bytes(samples(0, 1)))
    for name in ("a.tar.gz", "b.TGZ", "hidden.tar"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=r"compressed with gzip .*decompress it to a \.tar"):
            open_dataset(tmp_path / name)
    with pytest.raises(DataError, match="compressed with zstd"):
        open_dataset(tmp_path / "{0..9}.tar.zst")


def test_a_shard_that_became_shorter_makes_an_unreadable_image(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.tar", samples(0, 2))
    dataset = open_dataset(shard)
    shard.write_bytes(shard.read_bytes()[:1600])

    with pytest.raises(DataError, match=r"a\.tar n/0001\.jpg: .*has become shorter"):
        ImageSamples(dataset, Preprocess(), SHAPE).take([1])
    samples_left = ImageSamples(dataset, Preprocess(), SHAPE, skip_bad=True)
    samples_left.take([1])
    assert len(samples_left.skipped) == 1
