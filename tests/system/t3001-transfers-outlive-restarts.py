# SPDX-License-Identifier: MIT
"""Transfers under way go on through a restart of the name node or a data node, or end with an error
that says why; nothing in between is ever seen."""
import os
import signal
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, Upload, run, same_content, wait_for  # noqa: E402
from replicas import settled  # noqa: E402

MIB = 1 << 20


def _check (c, remote, content):
    got = c.litedfs_run ("file", "download", "-r", remote, "-l", "-")
    assert got.returncode == 0, got.stderr
    assert got.stdout == content


def an_upload_goes_on_after_a_kill_of_the_name_node ():
    with Cluster (nodes=2, block_size=MIB) as c:
        upload = Upload (c, "/f")
        upload.send (5 * MIB)
        wait_for ("bytes arrive", lambda: c.block_bytes () >= 3 * MIB)
        c.name.kill ()
        c.name.start (wait=False)       # the pipe may be full until it is back
        upload.send (4 * MIB + 5)
        status, err = upload.end ()
        assert status == 0, err
        _check (c, "/f", upload.content)


def an_upload_of_three_copies_goes_on_after_a_kill_of_the_name_node ():
    with Cluster (nodes=3, block_size=MIB) as c:
        upload = Upload (c, "/f", "-R", "3")
        upload.send (5 * MIB)
        wait_for ("bytes arrive", lambda: c.block_bytes () >= 9 * MIB)
        c.name.kill ()
        c.name.start (wait=False)       # the pipe may be full until it is back
        upload.send (4 * MIB + 5)
        status, err = upload.end ()
        assert (status, err) == (0, "")
        settled (c, "/f", upload.content, 3)


def an_upload_goes_on_after_a_restart_of_the_only_data_node ():
    with Cluster (nodes=1, block_size=16 * MIB) as c:
        upload = Upload (c, "/f")
        upload.send (5 * MIB)
        wait_for ("bytes arrive", lambda: c.block_bytes () >= 3 * MIB)
        c.data[0].kill ()
        c.data[0].start ()
        upload.send (14 * MIB)
        status, err = upload.end ()
        assert status == 0, err
        _check (c, "/f", upload.content)


def blocks_of_a_node_that_dies_are_written_to_another ():
    with Cluster (nodes=2, block_size=16 * MIB) as c:
        upload = Upload (c, "/f")
        upload.send (5 * MIB)
        wait_for ("bytes arrive", lambda: c.block_bytes () >= 3 * MIB)
        busy = [d for d in c.data
                if any (os.scandir (os.path.join (d.directory, "data", "writing")))]
        assert len (busy) == 1
        busy[0].kill ()
        upload.send (3 * MIB)
        status, err = upload.end ()
        assert status == 0, err
        _check (c, "/f", upload.content)


def blocks_of_a_node_that_stands_still_are_written_to_another ():
    with Cluster (nodes=2, block_size=16 * MIB) as c:
        upload = Upload (c, "/f")
        upload.send (5 * MIB)
        wait_for ("bytes arrive", lambda: c.block_bytes () >= 3 * MIB)
        busy = [d for d in c.data
                if any (os.scandir (os.path.join (d.directory, "data", "writing")))]
        busy[0].signal (signal.SIGSTOP)
        upload.send (MIB)
        status, err = upload.end ()
        busy[0].signal (signal.SIGCONT)
        assert status == 0, err
        _check (c, "/f", upload.content)


def an_upload_without_any_node_left_fails_says_so_and_leaves_nothing ():
    with Cluster (nodes=1, block_size=16 * MIB) as c:
        upload = Upload (c, "/f")
        upload.send (5 * MIB)
        wait_for ("bytes arrive", lambda: c.block_bytes () >= 3 * MIB)
        c.data[0].kill ()
        status, err = upload.end ()
        assert status == 6, (status, err)
        assert err.startswith ("litedfs: file create[/f]: ") and err.count ("\n") == 1, err
        c.litedfs ("file", "info", "-r", "/f", expect=3)
        assert "/f" not in c.litedfs ("lock", "list")


def a_download_goes_on_after_a_restart_of_its_node ():
    with Cluster (nodes=1, block_size=16 * MIB) as c:
        local = c.make_file ("f", 64 * MIB)
        c.litedfs ("file", "create", "-l", local, "-r", "/f")
        back = c.path ("back")
        read, write = os.pipe ()
        client = c.litedfs_start ("file", "download", "-r", "/f", "-l", "-")
        with open (back, "wb") as out:
            out.write (client.stdout.read (MIB))
            c.data[0].kill ()
            c.data[0].start ()
            for part in iter (lambda: client.stdout.read (MIB), b""):
                out.write (part)
        os.close (read)
        os.close (write)
        err = client.stderr.read ()
        assert client.wait () == 0, err
        assert same_content (local, back)


def a_name_node_that_is_away_is_an_error_within_five_seconds ():
    with Cluster (nodes=0) as c:
        assert c.name.stop () == 0
        done = c.litedfs_run ("directory", "list", "-r", "/", timeout=20)
        assert done.returncode == 7, done
        assert done.stdout == b"" and c.address ().encode () in done.stderr, done.stderr
        c.name.start ()


run (globals ())
