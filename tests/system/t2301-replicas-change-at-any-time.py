# SPDX-License-Identifier: MIT
"""Replica counts: as many copies as were wanted, on different nodes, each of them whole; up and down at any
time; the rest when nodes come."""
import json
import os
import re
import sys
import zlib

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, Upload, run, same_content, wait_for  # noqa: E402
from raw import Raw  # noqa: E402

MIB = 1 << 20
SOON = {"delete_delay": "0.2"}


def _info (c, path):
    return json.loads (c.litedfs ("file", "info", "-r", path, "--json"))


def _wait_copies (c, path, count, deadline=DEADLINE):
    return wait_for (f"{path} has {count} copies", lambda: _info (c, path)["current_replica"] == count, deadline)


def _whole_at_each_holder (c, path, content):
    """Read every block from every node that is said to hold it."""
    with Raw (c.name) as name:
        info = name.ok ("file.info", path=path)
    ports = {endpoint["node"]: endpoint["tcp_port"] for endpoint in info["nodes"]}
    nodes = {number: Raw (port, client=b"") for number, port in ports.items ()}
    at = 0
    for block in info["blocks"]:
        assert len (set (block["nodes"])) == len (block["nodes"]), block
        for number in block["nodes"]:
            got = b""
            while len (got) < block["size"]:
                reply = nodes[number].ok ("block.read", block=block["id"], node=number, offset=len (got),
                                          size=min (MIB, block["size"] - len (got)))
                got += reply["payload"]
            assert got == content[at:at + block["size"]] and zlib.crc32 (got) == block["crc32"], (block, number)
        at += block["size"]
    assert at == len (content)
    for node in nodes.values ():
        node.close ()


def each_copy_is_whole_and_on_a_node_of_its_own ():
    with Cluster (nodes=3, block_size=4 * MIB) as c:
        for replicas in (1, 2, 3):
            content = os.urandom (9 * MIB + 12345)
            c.litedfs ("file", "create", "-l", "-", "-r", f"/f{replicas}", "-R", str (replicas), input=content)
            info = _info (c, f"/f{replicas}")
            assert (info["replica"], info["current_replica"]) == (replicas, replicas), info
            assert all (len (block["nodes"]) == replicas for block in info["blocks"]), info
            _whole_at_each_holder (c, f"/f{replicas}", content)


def replicas_go_up_and_down_and_bytes_with_them ():
    with Cluster (nodes=3, block_size=4 * MIB, name_settings=SOON) as c:
        local = c.make_file ("f", 10 * MIB)
        with open (local, "rb") as f:
            content = f.read ()
        c.litedfs ("file", "create", "-l", local, "-r", "/f")
        for wanted in (3, 1, 2, 3, 2):
            said = c.litedfs ("file", "update", "-r", "/f", "-R", str (wanted))
            assert re.search (r"update file\[/f\] success", said), said
            assert _info (c, "/f")["replica"] == wanted
            _wait_copies (c, "/f", wanted)
            wait_for ("bytes are as many", lambda: wanted * 10 * MIB <= c.block_bytes () < wanted * 10 * MIB + MIB)
            _whole_at_each_holder (c, "/f", content)
        # The same content again is an update, too.
        c.litedfs ("file", "create", "-l", local, "-r", "/f", "-R", "3")
        _wait_copies (c, "/f", 3)


def up_again_before_the_surplus_is_gone_needs_no_copy ():
    with Cluster (nodes=3, name_settings={"delete_delay": "600"}) as c:
        c.litedfs ("file", "create", "-l", c.make_file ("f", 2 * MIB), "-r", "/f", "-R", "3")
        c.litedfs ("file", "update", "-r", "/f", "-R", "1")
        _wait_copies (c, "/f", 1)
        assert c.block_bytes () >= 6 * MIB
        c.litedfs ("file", "update", "-r", "/f", "-R", "3")
        _wait_copies (c, "/f", 3)
        assert c.block_bytes () < 7 * MIB


def a_file_that_is_being_written_gets_the_replicas_that_were_wanted_last ():
    with Cluster (nodes=3, block_size=MIB, name_settings=SOON) as c:
        upload = Upload (c, "/f")
        upload.send (3 * MIB)
        wait_for ("some of it is there", lambda: c.block_bytes () >= 2 * MIB)
        c.litedfs ("file", "update", "-r", "/f", "-R", "3")
        upload.send (2 * MIB)
        status, err = upload.end ()
        assert status == 0, err
        assert _info (c, "/f")["replica"] == 3
        _wait_copies (c, "/f", 3)
        _whole_at_each_holder (c, "/f", upload.content)


def a_file_is_read_while_its_replicas_change ():
    with Cluster (nodes=3, block_size=4 * MIB, name_settings=SOON) as c:
        local = c.make_file ("f", 40 * MIB)
        c.litedfs ("file", "create", "-l", local, "-r", "/f", "-R", "3")
        for turn, wanted in enumerate ((1, 3, 1, 2)):
            reader = c.litedfs_start ("file", "download", "-r", "/f", "-l", c.path (f"back{turn}"))
            c.litedfs ("file", "update", "-r", "/f", "-R", str (wanted))
            _wait_copies (c, "/f", wanted)
            err = reader.communicate ()[1]
            assert reader.returncode == 0, err
            assert same_content (local, c.path (f"back{turn}"))


def fewer_nodes_than_wanted_is_fewer_copies_now_and_the_rest_when_nodes_come ():
    with Cluster (nodes=1, block_size=4 * MIB) as c:
        content = os.urandom (6 * MIB)
        c.litedfs ("file", "create", "-l", "-", "-r", "/f", "-R", "3", input=content)
        info = _info (c, "/f")
        assert (info["replica"], info["current_replica"]) == (3, 1), info
        for count in (2, 3):
            c.add_node ()
            c.start ()
            _wait_copies (c, "/f", count)
        _whole_at_each_holder (c, "/f", content)
        # It tells the truth when a node is away, too.
        c.data[2].kill ()
        _wait_copies (c, "/f", 2)
        c.data[2].start ()
        _wait_copies (c, "/f", 3)


def a_copy_outlives_restarts_of_those_who_make_it ():
    with Cluster (nodes=3, block_size=4 * MIB) as c:
        content = os.urandom (48 * MIB)
        c.litedfs ("file", "create", "-l", "-", "-r", "/f", input=content)
        c.litedfs ("file", "update", "-r", "/f", "-R", "3")
        for daemon in (c.name, c.data[0], c.data[1]):
            daemon.kill ()
            daemon.start (wait=False)
        c.start ()
        # A copy that its source forgot is ordered again when its time, a minute, is over.
        _wait_copies (c, "/f", 3, 90 + DEADLINE)
        _whole_at_each_holder (c, "/f", content)


run (globals ())
