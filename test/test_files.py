"""What is written is there whole, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from clip2scene_ros.files import whole_file


def test_a_file_appears_with_all_its_bytes_where_no_folder_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    with whole_file(path) as stream:
        stream.write(b"half, ")
        assert not path.exists()
        stream.write(b"whole")
    assert path.read_bytes() == b"half, whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_says_for_what(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with pytest.raises(OSError, match="No space left") as caught, whole_file(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(path)
    with pytest.raises(OSError, match=r"^of one's own words$"), whole_file(path):
        raise OSError("of one's own words")
    with pytest.raises(FileNotFoundError) as other, whole_file(path):
        (tmp_path / "gone").read_bytes()
    assert other.value.filename == str(tmp_path / "gone")


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_error_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def write_half() -> None:
        with whole_file(path) as stream:
            stream.write(b"new")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_reach_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (steps.append("replace"), replace(*paths)))
    with whole_file(tmp_path / "a.bin") as stream:
        stream.write(b"new")
    assert steps == ["fsync", "replace", "fsync"]
