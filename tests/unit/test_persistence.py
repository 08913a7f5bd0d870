"""Which mount holds the spool's directory, read from what Linux tells of its mounts."""

import pytest

from ingest.spool.persistence import holder

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - overlay overlay rw,upperdir=/u
23 22 0:5 / /dev rw,nosuid shared:2 - devtmpfs devtmpfs rw
24 22 0:22 / /run rw - tmpfs tmpfs rw
25 22 254:1 / /var/lib rw,relatime shared:3 master:4 - ext4 /dev/vdb rw
26 25 0:40 / /var/lib/em\040agent rw - tmpfs none rw
27 22 254:2 / /mnt rw - ext4 /dev/vdc rw
28 27 0:41 / /mnt rw - ramfs none rw
cut off
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "overlay"),
        ("/home/em", "overlay"),
        ("/run/spool", "tmpfs"),
        ("/running", "overlay"),
        ("/var/lib", "ext4"),
        ("/var/lib/em", "ext4"),
        ("/var/lib/em agent/spool", "tmpfs"),
        ("/mnt/spool", "ramfs"),  # mounted over the disk later
    ],
)
def test_the_deepest_and_last_mount_holds_a_directory(path: str, kind: str) -> None:
    assert holder(path, MOUNTS) == kind


def test_no_mounts_say_nothing() -> None:
    assert holder("/anywhere", "") == ""
