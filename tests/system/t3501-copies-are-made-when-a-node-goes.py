# SPDX-License-Identifier: MIT
"""A data node is killed: blocks with one copy left get another one at once, the others after repair_delay, and
what is too much when the node comes back goes again."""
import os
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, run, wait_for  # noqa: E402
from replicas import info, settled, wait_copies, whole_everywhere  # noqa: E402

MIB = 1 << 20
TWO, THREE = os.urandom (12 * MIB + 5), os.urandom (6 * MIB + 7)


def _cluster (**name_settings):
    """Four data nodes, and a file of two copies and one of three."""
    c = Cluster (nodes=4, block_size=MIB, name_settings={"delete_delay": "0.2", **name_settings})
    c.litedfs ("file", "create", "-l", "-", "-r", "/two", "-R", "2", input=TWO)
    c.litedfs ("file", "create", "-l", "-", "-r", "/three", "-R", "3", input=THREE)
    settled (c, "/two", TWO, 2)
    settled (c, "/three", THREE, 3)
    return c


def _holders (c, path):
    return [sorted (block["nodes"]) for block in info (c, path)["blocks"]]


def _is_settled_again (c):
    """As many copies as wanted, each of them whole, and no bytes beside them."""
    settled (c, "/two", TWO, 2)
    settled (c, "/three", THREE, 3)
    wait_for ("what was too much is gone",
              lambda: c.block_bytes () < 2 * len (TWO) + 3 * len (THREE) + MIB)
    wait_for ("each block has as many holders as wanted", lambda: all (
        len (nodes) == count for path, count in (("/two", 2), ("/three", 3)) for nodes in _holders (c, path)))
    whole_everywhere (c, "/two", TWO)
    whole_everywhere (c, "/three", THREE)


def the_last_copy_is_copied_at_once_and_others_after_repair_delay ():
    with _cluster (repair_delay=20 * DEADLINE) as c:
        number = c.node (c.data[0])["id"]
        before = _holders (c, "/three")
        assert any (number in nodes for nodes in _holders (c, "/two") + before), "it has nothing"
        c.data[0].kill ()
        c.wait_status (c.data[0], "offline")
        wait_copies (c, "/two", 2)
        assert _holders (c, "/three") == before
        c.data[0].start ()
        c.wait_online (4)
        _is_settled_again (c)


def every_copy_of_a_node_that_stays_away_is_made_elsewhere ():
    with _cluster (repair_delay=1) as c:
        c.data[3].kill ()
        wait_copies (c, "/three", 3)
        wait_copies (c, "/two", 2)
        c.data[2].kill ()       # and another one: two nodes are left
        wait_copies (c, "/two", 2)
        wait_copies (c, "/three", 2)
        for daemon in c.data[2:]:
            daemon.start ()
        c.wait_online (4)
        _is_settled_again (c)


run (globals ())
