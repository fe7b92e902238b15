# SPDX-License-Identifier: MIT
"""What is deleted, abandoned or left behind by a killed client is removed from the nodes' disks."""
import os
import signal
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, run, wait_for  # noqa: E402

SOON = {"delete_delay": "0.2"}


def blocks_of_a_deleted_file_leave_the_disks ():
    with Cluster (nodes=2, block_size=1 << 20, name_settings=SOON) as c:
        c.litedfs ("file", "create", "-l", c.make_file ("f", 5 << 20), "-r", "/d/f")
        c.litedfs ("file", "create", "-l", c.make_file ("g", 3 << 20), "-r", "/g")
        assert c.block_bytes () >= 8 << 20
        c.litedfs ("file", "delete", "-r", "/d/f")
        wait_for ("the file's bytes are gone", lambda: c.block_bytes () < 4 << 20)
        c.litedfs ("file", "create", "-l", c.make_file ("h", 1 << 20), "-r", "/tree/a/h")
        c.litedfs ("directory", "delete", "-r", "/tree")
        c.litedfs ("file", "delete", "-r", "/g")
        wait_for ("all bytes are gone", lambda: c.block_bytes () == 0)


def deletes_reach_a_node_that_was_away ():
    with Cluster (nodes=1, block_size=1 << 20, name_settings=SOON) as c:
        c.litedfs ("file", "create", "-l", c.make_file ("f", 3 << 20), "-r", "/f")
        assert c.data[0].stop () == 0
        c.litedfs ("file", "delete", "-r", "/f")
        assert c.block_bytes () > 0
        assert c.name.stop () == 0
        c.start ()
        wait_for ("the bytes are gone", lambda: c.block_bytes () == 0)


def an_upload_whose_client_was_killed_leaves_nothing_after_its_lease ():
    with Cluster (nodes=2, block_size=1 << 20, name_settings=SOON) as c:
        read, write = os.pipe ()
        client = c.litedfs_start ("file", "create", "-l", "-", "-r", "/f", "-L", "1", stdin=read)
        os.close (read)
        with os.fdopen (write, "wb") as pipe:
            pipe.write (b"x" * (5 << 20))
            pipe.flush ()
            wait_for ("bytes arrive", lambda: c.block_bytes () >= 3 << 20)
            client.send_signal (signal.SIGKILL)
            client.wait ()
        client.stdout.close ()
        client.stderr.close ()
        c.litedfs ("file", "info", "-r", "/f", expect=3)
        wait_for ("the bytes are gone", lambda: c.block_bytes () == 0)
        c.litedfs ("file", "create", "-l", c.make_file ("g", 10), "-r", "/f")


def an_interrupted_upload_frees_its_name_at_once ():
    with Cluster (nodes=2, block_size=1 << 20, name_settings=SOON) as c:
        read, write = os.pipe ()
        client = c.litedfs_start ("file", "create", "-l", "-", "-r", "/f", stdin=read)
        os.close (read)
        with os.fdopen (write, "wb") as pipe:
            pipe.write (b"x" * (3 << 20))
            pipe.flush ()
            wait_for ("bytes arrive", lambda: c.block_bytes () >= 1 << 20)
            assert "/f" in c.litedfs ("lock", "list")
            c.litedfs ("file", "create", "-l", c.make_file ("other", 10), "-r", "/f", expect=5)
            client.send_signal (signal.SIGINT)
            assert client.wait (10) != 0
        client.stdout.close ()
        client.stderr.close ()
        assert "/f" not in c.litedfs ("lock", "list")
        c.litedfs ("file", "create", "-l", c.path ("other"), "-r", "/f")
        wait_for ("only the other file's bytes are left", lambda: c.block_bytes () < 1 << 20)


run (globals ())
