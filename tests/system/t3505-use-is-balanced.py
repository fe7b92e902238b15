# SPDX-License-Identifier: MIT
"""The use of data nodes is balanced: an empty node gets its share, and then all is quiet; off and on."""
import contextlib
import json
import os
import sys
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, Disk, http_get, run, wait_for  # noqa: E402
from replicas import info, settled  # noqa: E402

MIB = 1 << 20
KIB = 1 << 10

SETTINGS = {"delete_delay": "0.2", "balance_threshold": "10"}


@contextlib.contextmanager
def _cluster (size=40 * MIB):
    """Three data nodes, each with a disk of its own; the third is not started yet."""
    with Disk (size) as a, Disk (size) as b, Disk (size) as d, \
            Cluster (nodes=0, block_size=256 * KIB, name_settings=SETTINGS) as c:
        for disk in (a, b, d):
            c.add_node (data_path=disk.path, storage_preserve_space="0", heartbeat_interval="0.2")
        for node in c.data[:2]:
            node.start (wait=False)
        c.wait_online (2)
        yield c


def _balance (c, *options):
    return json.loads (c.litedfs ("cluster", "balance", "--json", *options))


def _uses (c):
    """The use of each node that is online, in percent, by number."""
    return {node["id"]: 100 * node["storage_used"] / node["storage_total"]
            for node in c.info ()["online_nodes"]}


def _spread (c):
    uses = _uses (c).values ()
    return max (uses) - min (uses)


def _fill (c):
    """Files with one copy and with two; each of the first two nodes is used by half then."""
    files = {}
    for number in range (4):
        for copies in (1, 2):
            path, content = f"/{copies}-{number}", os.urandom (3 * MIB + number)
            c.litedfs ("file", "create", "-l", "-", "-r", path, "-R", str (copies), input=content)
            files[path] = (content, copies)
    return files


def _quiet (c):
    """Nothing is under way, and nothing more begins: the nodes' blocks stay as they are."""
    def is_quiet ():
        about = _balance (c)
        return about["copies"] == 0 and about["moves"] == []
    wait_for ("nothing is to move", is_quiet)
    holders = {path: [block["nodes"] for block in info (c, path)["blocks"]] for path in ("/1-0", "/2-0")}
    deadline = time.monotonic () + 2
    while time.monotonic () < deadline:
        assert _balance (c)["moves"] == []
        time.sleep (0.1)
    assert holders == {path: [block["nodes"] for block in info (c, path)["blocks"]] for path in holders}


def an_empty_node_gets_its_share_and_then_nothing_moves ():
    with _cluster () as c:
        files = _fill (c)
        c.litedfs ("cluster", "balance", "--off")
        c.data[2].start (wait=False)
        c.wait_online (3)
        new = c.node (c.data[2])["id"]
        wait_for ("something would move", lambda: _balance (c)["moves"])
        plan = _balance (c, "--dry-run")
        assert plan["enabled"] is False and plan["threshold"] == 10, plan
        assert {move["to"] for move in plan["moves"]} == {new}, plan
        assert sum (move["bytes"] for move in plan["moves"]) > 6 * MIB, plan
        shown = c.litedfs ("cluster", "balance", "--dry-run")
        assert shown.split ()[:9] == ["#", "|", "from", "|", "to", "|", "bytes", "|", "remark"], shown
        assert len (shown.splitlines ()) == 3, shown
        assert c.block_bytes (c.data[2]) == 0
        c.name.kill ()                  # off is off after a restart, too
        c.name.start ()
        c.wait_online (3)
        assert _balance (c)["enabled"] is False

        shown = c.litedfs ("cluster", "balance", "--on")
        assert "on" in shown.splitlines ()[0], shown
        wait_for ("the uses are near each other", lambda: _spread (c) < 6)
        _quiet (c)
        assert c.litedfs ("cluster", "balance", "--dry-run") == "nothing would move\n"
        for path, (content, copies) in files.items ():
            settled (c, path, content, copies)
        metrics = http_get (c.name.http_port, "/metrics")[1].decode ()
        moved = next (line.split ()[1] for line in metrics.splitlines ()
                      if line.startswith ("litedfs_balance_moved_bytes_total "))
        assert 6 * MIB < float (moved) < 24 * MIB, moved


def an_option_at_a_time ():
    with Cluster (nodes=1, name_settings={"balance_threshold": "0"}) as c:
        c.litedfs ("cluster", "balance", "--on", "--off", expect=2)
        c.litedfs ("cluster", "balance", "--on", "--dry-run", expect=2)
        c.litedfs ("cluster", "balance", "-f", expect=2)
        shown = c.litedfs ("cluster", "balance")
        assert "nothing ever moves" in shown, shown
        assert c.litedfs ("cluster", "balance", "--dry-run") == "nothing would move\n"
        assert _balance (c) == {"enabled": True, "threshold": 0, "copies": 0, "bytes": 0, "moves": []}


run (globals ())
