# SPDX-License-Identifier: MIT
"""Inventories: what the name node thinks of a data node becomes right again, whatever was lost; blocks that
the metadata do not know are kept for a while, counted, and deleted then."""
import json
import os
import pathlib
import re
import shutil
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, program, run, run_to_end, same_content, wait_for  # noqa: E402

KIB = 1 << 10
SETTINGS = {"delete_delay": "0.2", "repair_delay": "600"}


def _upload (c, name, size, replica=1):
    local = c.make_file (name, size)
    c.litedfs ("file", "create", "-l", local, "-r", f"/{name}", "-R", str (replica))
    return local


def _download (c, name):
    back = c.path (f"{name}.back")
    c.litedfs ("file", "download", "-r", f"/{name}", "-l", back, "--force")
    return same_content (c.path (name), back)


def _compared (daemon, after=0):
    """The comparisons that a data node has logged as done: (buckets that differed, not known, not there)."""
    found = re.findall (r"inventories were compared: (\d+) of 1024 buckets differed; .* did not know (\d+) "
                        r"blocks and counted (\d+)", daemon.log ())
    return [tuple (map (int, part)) for part in found[after:]]


def _block_files (daemon):
    return sorted (p for p in pathlib.Path (daemon.directory, "data", "blocks").rglob ("*") if p.is_file ())


def _wipe_index (daemon):
    for path in pathlib.Path (daemon.directory, "data", "index").iterdir ():
        path.unlink ()


def an_index_that_was_built_anew_is_compared_and_nothing_is_sent_twice ():
    with Cluster (nodes=1, block_size=64 * KIB, name_settings=SETTINGS) as c:
        _upload (c, "f", 40 * 64 * KIB)
        _upload (c, "e", 64 * KIB)
        c.litedfs ("file", "delete", "-r", "/e")
        wait_for ("one is gone again", lambda: len (_block_files (c.data[0])) == 40)
        assert c.data[0].stop () == 0
        _wipe_index (c.data[0])
        c.start ()
        c.data[0].wait_log ("inventories are compared instead")
        assert _download (c, "f")
        # Changes go on and are known, with numbers above those of before.
        _upload (c, "g", 3 * 64 * KIB)
        wait_for ("all is reported", lambda: c.node (c.data[0])["blocks"] == 43)
        c.litedfs ("file", "delete", "-r", "/f")
        wait_for ("deletes arrive", lambda: len (_block_files (c.data[0])) == 3)
        assert _compared (c.data[0]) == [(0, 0, 0)] or _compared (c.data[0]) == []
        assert _download (c, "g")


def blocks_that_are_gone_without_a_word_are_found_missing_and_copied_again ():
    with Cluster (nodes=3, block_size=64 * KIB, name_settings=SETTINGS) as c:
        _upload (c, "f", 30 * 64 * KIB, replica=2)
        victim = max (c.data, key=lambda daemon: len (_block_files (daemon)))
        assert victim.stop () == 0
        lost = _block_files (victim)[::2]
        for path in lost:
            path.unlink ()
        _wipe_index (victim)
        c.start ()
        wait_for ("the difference is known", lambda: (0, len (lost)) in [part[1:] for part in _compared (victim)])

        def whole ():
            return sum (len (_block_files (daemon)) for daemon in c.data) == 60
        wait_for ("all copies are there again", whole)
        assert _download (c, "f")


def changes_that_were_lost_are_found ():
    """The data node's index is an old copy: the name node knows blocks that it does not, and the other way
    round."""
    with Cluster (nodes=1, block_size=64 * KIB, name_settings=SETTINGS) as c:
        node = c.data[0]
        index = pathlib.Path (node.directory, "data", "index")
        _upload (c, "f", 8 * 64 * KIB)
        _upload (c, "g", 5 * 64 * KIB)
        assert node.stop () == 0
        shutil.copytree (index, c.path ("old-index"))
        c.start ()
        _upload (c, "h", 4 * 64 * KIB)
        c.litedfs ("file", "delete", "-r", "/g")
        wait_for ("the blocks of g are gone", lambda: len (_block_files (node)) == 12)
        assert node.stop () == 0
        shutil.rmtree (index)
        shutil.copytree (c.path ("old-index"), index)
        c.start ()
        # g's blocks are dead: they are ordered away once more.  h's are not in that index: lost.
        wait_for ("the difference is known", lambda: (5, 4) in [part[1:] for part in _compared (node)])
        c.name.wait_log ("lost 4 blocks that no other node has|lost . blocks that no other node has")
        assert _download (c, "f")
        wait_for ("the name node counts what is there", lambda: c.node (node)["blocks"] == 8)


def _quarantined (c):
    nodes = [c.node (daemon) for daemon in c.data]
    return (sum (node["quarantined"]["blocks"] for node in nodes),
            sum (node["quarantined"]["bytes"] for node in nodes))


def _restore_older_metadata (c):
    """Files f, then a copy of the metadata, then g, then the copy back in place: all stopped."""
    _upload (c, "f", 6 * 64 * KIB, replica=2)
    for daemon in c.daemons ():
        assert daemon.stop () == 0
    data = os.path.join (c.name.directory, "data")
    shutil.copytree (data, c.path ("old-metadata"))
    c.start ()
    _upload (c, "g", 4 * 64 * KIB, replica=2)
    for daemon in c.daemons ():
        assert daemon.stop () == 0
    os.rename (data, c.path ("new-metadata"))
    shutil.copytree (c.path ("old-metadata"), data)


def blocks_that_restored_metadata_do_not_know_are_kept_and_counted_then_deleted ():
    with Cluster (nodes=2, block_size=64 * KIB, name_settings=SETTINGS) as c:
        _restore_older_metadata (c)
        c.start ()
        wait_for ("all are in quarantine", lambda: _quarantined (c) == (8, 8 * 64 * KIB))
        assert len (re.findall ("are in quarantine for 86400 s", c.name.log ())) == 2, "one line a node"
        assert c.node (c.data[0])["quarantined"]["since"] > 0
        assert "quarantined" in c.litedfs ("cluster", "info")
        assert "8 blocks, 524288 bytes" in c.litedfs ("cluster", "info")
        orphaned = json.loads (c.litedfs ("cluster", "check", "--json", expect=9))["states"]["orphaned"]
        assert (orphaned["blocks"], orphaned["bytes"]) == (8, 8 * 64 * KIB), orphaned
        assert orphaned["since"], orphaned
        assert sum (len (_block_files (daemon)) for daemon in c.data) == 20
        assert _download (c, "f")
        _upload (c, "new", 2 * 64 * KIB, replica=2)   # of another epoch: no id is used twice
        assert _download (c, "new")

        # The grace is over: a day in a test is a second.
        assert c.name.stop () == 0
        c.name.set (quarantine_grace=1)
        status, _, err = run_to_end (program ("litename"), "--accept-restore", "-c", c.name.config)
        assert status == 0, err
        c.start ()
        wait_for ("they are deleted", lambda: sum (len (_block_files (daemon)) for daemon in c.data) == 16)
        wait_for ("nothing is in quarantine", lambda: _quarantined (c) == (0, 0))
        c.name.wait_log ("their quarantine is over")
        assert "quarantined" not in c.litedfs ("cluster", "info")
        assert _download (c, "f") and _download (c, "new")


def metadata_that_are_put_back_in_time_find_their_blocks_again ():
    """The wrong copy was put back; the right one follows before the grace is over."""
    with Cluster (nodes=2, block_size=64 * KIB, name_settings=SETTINGS) as c:
        _restore_older_metadata (c)
        c.start ()
        wait_for ("all are in quarantine", lambda: _quarantined (c) == (8, 8 * 64 * KIB))
        for daemon in c.daemons ():
            assert daemon.stop () == 0
        data = os.path.join (c.name.directory, "data")
        shutil.rmtree (data)
        shutil.copytree (c.path ("new-metadata"), data)
        c.start ()
        assert _download (c, "f") and _download (c, "g")
        assert _quarantined (c) == (0, 0)
        _upload (c, "h", 64 * KIB, replica=2)
        assert _download (c, "h")
        assert sum (len (_block_files (daemon)) for daemon in c.data) == 22


run (globals ())
