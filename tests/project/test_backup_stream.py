"""The data of a stack on its way from one host to another: passed on unchanged, and checked like a backup."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from kamal_dev.errors import DevError
from kamal_dev.project import backup_stream
from tests.project.test_backup_file import GOOD, entry, tar


def test_what_arrives_is_what_was_sent_and_is_counted() -> None:
    sent, counts = gzip.compress(tar(*GOOD)), []
    passed = b"".join(backup_stream.counted(backup_stream.checked(io.BytesIO(sent)), counts.append))
    assert passed == sent
    assert counts[-1] == len(sent) > 0 and counts == sorted(counts)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (gzip.compress(tar(*GOOD))[:-100], "not all of the data was received"),
        (gzip.compress(tar(entry("volumes/data/../../etc/passwd", b"x"))), "points outside its folder"),
        (gzip.compress(tar(entry("workspace/disk", kind=tarfile.BLKTYPE, device=(8, 0)))), "device"),
        (b"no archive", "damaged"),
    ],
)
def test_what_is_cut_off_or_harmful_never_ends_well(sent: bytes, message: str) -> None:
    with pytest.raises(DevError, match=message):
        list(backup_stream.checked(io.BytesIO(sent)))


def test_a_tar_of_a_move_may_have_the_files_that_were_moved_out_of_the_workspace() -> None:
    assert list(backup_stream.checked(io.BytesIO(gzip.compress(tar(entry("backups/1/file", b"x"))))))
