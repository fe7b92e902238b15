# SPDX-License-Identifier: MIT
"""What is deleted, abandoned or left behind by a killed client is removed from the nodes' disks."""
import contextlib
import multiprocessing
import os
import pathlib
import signal
import sys
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, Upload, run, wait_for  # noqa: E402
from raw import Raw, Writer  # noqa: E402

MIB = 1 << 20
SOON = {"delete_delay": "0.2"}
SLACK = DEADLINE / 30.0     # seconds, as the next one
TTL = int (3 * SLACK)


def blocks_of_a_deleted_file_leave_the_disks ():
    with Cluster (nodes=2, block_size=MIB, name_settings=SOON) as c:
        c.litedfs ("file", "create", "-l", c.make_file ("f", 5 * MIB), "-r", "/d/f")
        c.litedfs ("file", "create", "-l", c.make_file ("g", 3 * MIB), "-r", "/g")
        assert c.block_bytes () >= 8 * MIB
        c.litedfs ("file", "delete", "-r", "/d/f")
        wait_for ("the file's bytes are gone", lambda: c.block_bytes () < 4 * MIB)
        c.litedfs ("file", "create", "-l", c.make_file ("h", MIB), "-r", "/tree/a/h")
        c.litedfs ("directory", "delete", "-r", "/tree")
        c.litedfs ("file", "delete", "-r", "/g")
        wait_for ("all bytes are gone", lambda: c.block_bytes () == 0)


def deletes_reach_a_node_that_was_away ():
    with Cluster (nodes=1, block_size=MIB, name_settings=SOON) as c:
        c.litedfs ("file", "create", "-l", c.make_file ("f", 3 * MIB), "-r", "/f")
        assert c.data[0].stop () == 0
        c.litedfs ("file", "delete", "-r", "/f")
        assert c.block_bytes () > 0
        assert c.name.stop () == 0
        c.start ()
        wait_for ("the bytes are gone", lambda: c.block_bytes () == 0)


def an_upload_whose_client_was_killed_leaves_nothing_after_its_lease ():
    with Cluster (nodes=2, block_size=MIB, name_settings=SOON) as c:
        read, write = os.pipe ()
        client = c.litedfs_start ("file", "create", "-l", "-", "-r", "/f", "-L", "1", stdin=read)
        os.close (read)
        with os.fdopen (write, "wb") as pipe:
            pipe.write (b"x" * 5 * MIB)
            pipe.flush ()
            wait_for ("bytes arrive", lambda: c.block_bytes () >= 3 * MIB)
            client.send_signal (signal.SIGKILL)
            client.wait ()
        client.stdout.close ()
        client.stderr.close ()
        c.litedfs ("file", "info", "-r", "/f", expect=3)
        wait_for ("the bytes are gone", lambda: c.block_bytes () == 0)
        c.litedfs ("file", "create", "-l", c.make_file ("g", 10), "-r", "/f")


def _each_node_has (c, count, below, least):
    """Whether each data node has so many block files with at least so many bytes: below blocks, finished;
    below writing, not."""
    def has (daemon):
        found = 0
        for file in pathlib.Path (daemon.directory, "data", below).rglob ("*"):
            with contextlib.suppress (FileNotFoundError):
                found += file.is_file () and file.stat ().st_size >= least
        return found == count
    return all (has (daemon) for daemon in c.data)


def _write_all_blocks (c, path, pipe):
    """A client in a process of its own: everything but the commit."""
    with Raw (c.name) as name, Writer (name) as writer:
        writer.begin (path, os.urandom (5 * MIB), replica=3, ttl=TTL)
        pipe.send ("written")
        pipe.poll (4 * DEADLINE)


class _Uncommitted:
    """A client that has written all blocks of a file and does nothing more."""

    def __init__ (self, c, path):
        self.begun = time.monotonic ()
        self.pipe, theirs = multiprocessing.Pipe ()
        self.process = multiprocessing.get_context ("fork").Process (
            target=_write_all_blocks, args=(c, path, theirs), daemon=True)
        self.process.start ()
        assert self.pipe.poll (DEADLINE), "its blocks are not written"

    def kill (self):
        self.process.kill ()
        self.process.join ()
        assert self.process.exitcode == -signal.SIGKILL


def _kill_uploads (c):
    """Kill clients that write three copies in blocks of 4 MiB, at different stages, all at the same time:
    (when that was, {path: the least seconds for which the name is locked after it})."""
    ttl = {"/begun": TTL, "/middle": TTL, "/written": TTL, "/forgotten": TTL * 2 // 3}
    uploads = {path: Upload (c, path, "-R", "3", "-L", str (seconds)) for path, seconds in ttl.items ()}
    uploads["/begun"].send (1)                  # nothing is sent before it is known whether it is all
    uploads["/middle"].send (5 * MIB // 2)
    wait_for ("each node has a part of a block", lambda: _each_node_has (c, 1, "writing", 2 * MIB))
    uploads["/written"].send (8 * MIB + 1)      # the last byte says that the second block is not the last one
    wait_for ("each node has two blocks", lambda: _each_node_has (c, 2, "blocks", 4 * MIB))
    uploads["/forgotten"].send (5 * MIB // 2)
    wait_for ("each node has parts of two", lambda: _each_node_has (c, 2, "writing", 2 * MIB))
    uncommitted = _Uncommitted (c, "/uncommitted")
    wait_for ("all names are locked", lambda: all (path in c.litedfs ("lock", "list") for path in uploads))
    killed = time.monotonic ()
    uncommitted.kill ()
    for upload in uploads.values ():
        assert upload.kill ()[0] == -signal.SIGKILL
    # litedfs has renewed the lease not more than a third of its ttl ago, the other one never did.
    least = {path: TTL - TTL / 3 - SLACK for path in uploads if path != "/forgotten"}
    return killed, {**least, "/uncommitted": TTL - (killed - uncommitted.begun)}


def _wait_until_free (name, paths):
    """Ask for each of the names again and again: {path: when it was got}."""
    free = {}
    while len (free) < len (paths):
        for path in paths - free.keys ():
            name.refused ("not_found", "file.info", path=path)
            reply = name.call ("file.create", path=path, size=0)
            if reply["ok"]:
                free[path] = time.monotonic ()
            else:
                assert reply["error"] == "locked", reply
        time.sleep (0.02)
    return free


def killed_uploads_of_three_copies_free_their_names_after_the_ttl_and_leave_nothing ():
    with Cluster (nodes=3, block_size=4 * MIB, name_settings=SOON) as c:
        killed, least = _kill_uploads (c)
        assert c.block_bytes () >= 3 * (2 + 8 + 2 + 5) * MIB
        with Raw (c.name) as name:
            free = _wait_until_free (name, least.keys ())
            for path, when in free.items ():
                assert least[path] <= when - killed <= TTL + 2 * SLACK, (path, when - killed, least)
            # The others were got from their owners; this one is ended by the name node.
            wait_for ("nobody writes any more", lambda: name.ok ("lock.list")["locks"] == [])
            name.refused ("not_found", "file.info", path="/forgotten")
            for path in free:
                assert name.ok ("file.info", path=path)["size"] == 0
        wait_for ("the bytes are gone", lambda: c.block_bytes () == 0)
        c.upload_and_download ("forgotten", 5 * MIB)


def an_interrupted_upload_frees_its_name_at_once ():
    with Cluster (nodes=2, block_size=MIB, name_settings=SOON) as c:
        read, write = os.pipe ()
        client = c.litedfs_start ("file", "create", "-l", "-", "-r", "/f", stdin=read)
        os.close (read)
        with os.fdopen (write, "wb") as pipe:
            pipe.write (b"x" * 3 * MIB)
            pipe.flush ()
            wait_for ("bytes arrive", lambda: c.block_bytes () >= MIB)
            assert "/f" in c.litedfs ("lock", "list")
            c.litedfs ("file", "create", "-l", c.make_file ("other", 10), "-r", "/f", expect=5)
            client.send_signal (signal.SIGINT)
            assert client.wait (10) != 0
        client.stdout.close ()
        client.stderr.close ()
        assert "/f" not in c.litedfs ("lock", "list")
        c.litedfs ("file", "create", "-l", c.path ("other"), "-r", "/f")
        wait_for ("only the other file's bytes are left", lambda: c.block_bytes () < MIB)


run (globals ())
