# SPDX-License-Identifier: MIT
"""An upload whose source pauses, or whose only node is being restarted, goes on."""
import os
import sys
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, Upload, run, wait_for  # noqa: E402

MIB = 1 << 20


def _ends_well (c, upload):
    status, err = upload.end ()
    assert status == 0, err
    got = c.litedfs_run ("file", "download", "-r", "/f", "-l", "-")
    assert got.returncode == 0, got.stderr
    assert got.stdout == upload.content


def a_source_may_pause_for_longer_than_write_timeout ():
    with Cluster (nodes=1, block_size=16 * MIB, data_settings={"write_timeout": 8}) as c:
        upload = Upload (c, "/f")
        upload.send (5 * MIB)
        wait_for ("bytes arrive", lambda: c.block_bytes () >= 4 * MIB)
        time.sleep (10) # what is tested is that so much time passes
        upload.send (3 * MIB)
        _ends_well (c, upload)
        assert "given up" not in c.data[0].log ()


def the_only_node_may_be_restarted_when_a_new_block_is_wanted ():
    with Cluster (nodes=1, block_size=MIB) as c:
        upload = Upload (c, "/f")
        upload.send (3 * MIB)
        wait_for ("its blocks are finished", lambda: c.info ()["online_nodes"][0]["blocks"] >= 2)
        c.data[0].kill ()
        c.wait_status (c.data[0], "offline")
        upload.send (MIB + 1) # blocks that nobody can take now
        time.sleep (1)
        assert upload.client.poll () is None, upload.client.communicate ()[1]
        c.data[0].start ()
        upload.send (3 * MIB)
        _ends_well (c, upload)


run (globals ())
