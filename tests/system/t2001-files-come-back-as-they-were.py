# SPDX-License-Identifier: MIT
"""Bytes in, bytes out: sizes at every edge, over several blocks and nodes, from stdin and to stdout."""
import json
import os
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, run, same_content  # noqa: E402

CHUNK = 1 << 20
UNIT = 65536
BLOCK = 4 << 20


def _round_trip (c, name, size):
    local = c.make_file (name, size)
    back = c.path (name + ".back")
    c.litedfs ("file", "create", "-l", local, "-r", f"/sizes/{name}")
    c.litedfs ("file", "download", "-r", f"/sizes/{name}", "-l", back)
    assert same_content (local, back), f"{size} bytes came back as others"
    os.unlink (back)


def files_of_every_edge_size_come_back_equal ():
    edges = {0, 1, 2, UNIT - 1, UNIT, UNIT + 1, CHUNK - 1, CHUNK, CHUNK + 1, BLOCK - 1, BLOCK, BLOCK + 1,
             2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1, 3 * BLOCK + UNIT + 7}
    with Cluster (nodes=3, block_size=BLOCK) as c:
        for size in sorted (edges):
            _round_trip (c, f"f{size}", size)
        listed = c.litedfs ("directory", "list", "-r", "/sizes").splitlines ()
        assert len (listed) == 1 + len (edges), listed


def a_110_mb_file_lies_in_seven_blocks_on_three_nodes_and_survives_restarts ():
    with Cluster (nodes=3, block_size=16 << 20) as c:
        local = c.make_file ("big", 110237727)
        c.litedfs ("file", "create", "-l", local, "-r", "/a/big")
        about = json.loads (c.litedfs ("file", "info", "-r", "/a/big", "--json"))
        assert about["size"] == 110237727
        assert len (about["blocks"]) == 7, about["blocks"]
        holders = sorted (n for b in about["blocks"] for n in b["nodes"])
        assert len (holders) == 7 and set (holders) == {1, 2, 3}, holders
        assert max (holders.count (n) for n in (1, 2, 3)) <= 3, about["blocks"]
        c.restart ()
        c.litedfs ("file", "download", "-r", "/a/big", "-l", c.path ("back"))
        assert same_content (local, c.path ("back"))
        assert json.loads (c.litedfs ("file", "info", "-r", "/a/big", "--json")) == about


def a_300_mb_file_comes_back_equal_with_blocks_of_64_mib ():
    with Cluster (nodes=3) as c:
        _round_trip (c, "large", 300 * 1000 * 1000 + 1)


def a_restart_of_each_daemon_alone_loses_nothing ():
    with Cluster (nodes=2, block_size=1 << 20) as c:
        local = c.make_file ("f", 5 * (1 << 20) + 3)
        c.litedfs ("file", "create", "-l", local, "-r", "/f")
        for number, daemon in enumerate (c.daemons ()):
            assert daemon.stop () == 0
            daemon.start ()
            c.wait_online (2)
            back = c.path (f"back{number}")
            c.litedfs ("file", "download", "-r", "/f", "-l", back)
            assert same_content (local, back), daemon.directory


def a_kill_of_all_daemons_loses_nothing_acknowledged ():
    with Cluster (nodes=2, block_size=1 << 20) as c:
        local = c.make_file ("f", 3 * (1 << 20) + 3)
        c.litedfs ("file", "create", "-l", local, "-r", "/f")
        for daemon in c.daemons ():
            daemon.kill ()
        c.start ()
        c.litedfs ("file", "download", "-r", "/f", "-l", c.path ("back"))
        assert same_content (local, c.path ("back"))


def stdin_is_uploaded_whatever_its_size_and_stdout_gets_the_bytes_in_order ():
    with Cluster (nodes=3, block_size=BLOCK) as c:
        for size in (0, 1, UNIT, CHUNK, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 5):
            local = c.make_file (f"s{size}", size)
            with open (local, "rb") as f:
                content = f.read ()
            c.litedfs ("file", "create", "-l", "-", "-r", f"/s{size}", input=content)
            got = c.litedfs_run ("file", "download", "-r", f"/s{size}", "-l", "-")
            assert got.returncode == 0, got.stderr
            assert got.stdout == content, f"{size} bytes"


run (globals ())
