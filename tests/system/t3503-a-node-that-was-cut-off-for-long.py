# SPDX-License-Identifier: MIT
"""A data node in a network namespace is cut off, so that nobody closes a connection and nothing gets through,
while files are deleted, replaced, changed and made.  It comes back with its old blocks: nothing of them is seen
again, what is too much goes, what is still good is used, and it is a node like the others."""
import os
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, run, wait_for  # noqa: E402
from elsewhere import Elsewhere  # noqa: E402
from nodedisk import disks_as_known, files_of  # noqa: E402
from raw import Raw, Writer  # noqa: E402
from replicas import info, namespace, settled, wait_copies  # noqa: E402

MIB = 1 << 20
BLOCK = 256 << 10
SETTINGS = {"heartbeat_interval": "0.3", "heartbeat_timeout": 2, "retry_interval": "0.5", "pipeline_timeout": 1}


def _cluster (there, **name_settings):
    """Three data nodes here, the last one of four there; it has blocks of each file, if any has."""
    settings = {"allow": f"[{there.network}]"}
    c = Cluster (nodes=0, block_size=BLOCK, start=False,
                 name_settings={"delete_delay": "0.2", **settings, **name_settings},
                 data_settings={**settings, **SETTINGS})
    try:
        c.name.start ()
        for _ in range (3):
            c.add_node (advertise_host=there.here).start ()
        far = c.add_node ()
        far.set (name_http_host=there.here)
        far.start (wait=False, prefix=there.prefix ())
        c.wait_online (4)
    except BaseException as error:
        c.__exit__ (type (error), error, None)
        raise
    return c


def _put (c, path, size, copies, **fields):
    content = os.urandom (size)
    with Raw (c.name) as name, Writer (name) as writer:
        writer.put (path, content, replica=copies, **fields)
    return content


def _blocks_on (c, path, number):
    return {int (block["id"], 16) for block in info (c, path)["blocks"] if number in block["nodes"]}


def _all_is_right (c, files):
    """files: {path: (content, copies)}, all that there are."""
    for path, (content, copies) in files.items ():
        settled (c, path, content, copies)
    with Raw (c.name) as name:
        assert set (namespace (name)[0]) == set (files)
        disks_as_known (c, name, files)
    for path, (content, copies) in files.items ():
        settled (c, path, content, copies)


def it_comes_back_with_old_blocks_and_none_of_them_is_seen_again ():
    with Elsewhere () as there, _cluster (there, repair_delay=1) as c:
        far = c.data[3]
        number = c.node (far)["id"]
        files = {path: (_put (c, path, size, copies), copies) for path, size, copies in (
            ("/kept", 3 * MIB + 5, 2), ("/deleted", 2 * MIB, 2), ("/replaced", 2 * MIB + 1, 3),
            ("/fewer", 2 * MIB, 3), ("/more", MIB, 1), ("/moved", MIB + 7, 3), ("/d/in-a-tree", 2 * MIB, 3))}
        _all_is_right (c, files)
        old = {path: _blocks_on (c, path, number) for path in files}
        assert all (old[path] for path in ("/kept", "/deleted", "/replaced", "/fewer", "/d/in-a-tree")), old

        there.cut ()
        c.wait_status (far, "offline")
        c.name.wait_log (f"node {number} is offline: silent for")
        for path in ("/kept", "/replaced", "/fewer"):   # it is repaired without it
            wait_copies (c, path, files[path][1])
        c.litedfs ("file", "delete", "-r", "/deleted")
        c.litedfs ("directory", "delete", "-r", "/d")
        c.litedfs ("file", "rename", "-r", "/moved", "-n", "renamed")
        c.litedfs ("file", "update", "-r", "/fewer", "-R", "1")
        content = _put (c, "/replaced", MIB + 9, 3, replace=True)
        c.name.kill ()          # and the name node has a new life in between
        c.name.start ()
        c.wait_online (3)
        files.update ({"/replaced": (content, 3), "/renamed": (files["/moved"][0], 3),
                       "/fewer": (files["/fewer"][0], 1), "/new": (_put (c, "/new", MIB, 3), 3)})
        for path in ("/deleted", "/d/in-a-tree", "/moved"):
            del files[path]
        here = files_of (os.path.join (far.directory, "data"))[0]
        assert old["/deleted"] <= set (here) and old["/replaced"] <= set (here), "it was not cut off"

        there.join ()
        c.wait_online (4)
        _all_is_right (c, files)
        gone = set (files_of (os.path.join (far.directory, "data"))[0])
        assert not gone & (old["/deleted"] | old["/replaced"] | old["/d/in-a-tree"]), "old blocks are still there"
        assert far.process.poll () is None
        c.litedfs ("file", "update", "-r", "/more", "-R", "3")
        files["/more"] = (files["/more"][0], 3)
        _all_is_right (c, files)


def one_that_was_cut_off_in_mid_upload_costs_nobody_more_than_its_silence ():
    """Neither end is told; what was acknowledged meanwhile has its copies without it."""
    with Elsewhere () as there, _cluster (there, repair_delay=1) as c:
        files = {}
        there.cut ()
        for number in range (4):        # some of them have it in the chain, until it is known to be away
            local = c.make_file (f"f{number}", 2 * MIB + number)
            c.litedfs ("file", "create", "-l", local, "-r", f"/f{number}", "-R", "3")
            with open (local, "rb") as f:
                files[f"/f{number}"] = (f.read (), 3)
        c.wait_status (c.data[3], "offline")
        for path in files:
            wait_copies (c, path, 3, 2 * DEADLINE)
        there.join ()
        c.wait_online (4)
        wait_for ("it has no unfinished block",
                  lambda: not files_of (os.path.join (c.data[3].directory, "data"))[1])
        _all_is_right (c, files)


run (globals ())
