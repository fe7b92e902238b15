# SPDX-License-Identifier: MIT
"""How many copies are made when data nodes die, come back, or when the name node itself did not run: as many as
are needed, and none for those who come back in time."""
import collections
import os
import re
import signal
import sys
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, read_file, run, wait_for  # noqa: E402
from nodedisk import disks_as_known  # noqa: E402
from raw import Raw  # noqa: E402
from replicas import info, settled, wait_copies, whole_everywhere  # noqa: E402

MIB = 1 << 20
THREE, TWO, PROBE = os.urandom (12 * MIB + 7), os.urandom (7 * MIB + 5), os.urandom (3 * MIB)
LONG = 20 * DEADLINE        # seconds that do not pass in a test


def _cluster (nodes, data_settings=None, **name_settings):
    """A file of three copies, one of two, and one of one copy."""
    c = Cluster (nodes=nodes, block_size=MIB, name_settings={"delete_delay": "0.2", **name_settings},
                 data_settings=data_settings)
    for path, content, copies in (("/three", THREE, 3), ("/two", TWO, 2), ("/probe", PROBE, 1)):
        c.litedfs ("file", "create", "-l", "-", "-r", path, "-R", str (copies), input=content)
        settled (c, path, content, copies)
    return c


def _copies (c):
    """The blocks that data nodes have copied so far, once for each copy."""
    return [block for d in c.data for block in re.findall (r"block ([0-9a-f]{16}) is copied to node", d.log ())]


def _holders (c, path):
    """{block: [nodes]}."""
    return {block["id"]: sorted (block["nodes"]) for block in info (c, path)["blocks"]}


def _held_by (c, path, *daemons):
    """{block: how many of these data nodes hold it}."""
    numbers = {c.node (d)["id"] for d in daemons}
    return {block: len (numbers & set (nodes)) for block, nodes in _holders (c, path).items ()}


def _online (c, path):
    """{block: how many of its holders are online}."""
    there = {node["id"] for node in c.info ()["online_nodes"]}
    return {block: len (there & set (nodes)) for block, nodes in _holders (c, path).items ()}


def _is_settled (c):
    settled (c, "/three", THREE, 3)
    settled (c, "/two", TWO, 2)
    with Raw (c.name) as name:
        disks_as_known (c, name, ["/three", "/two", "/probe"])
    whole_everywhere (c, "/three", THREE)
    whole_everywhere (c, "/two", TWO)


def _nothing_but_the_probe_is_copied (c, before):
    """What was to be copied at all would have been ordered before this."""
    c.litedfs ("file", "update", "-r", "/probe", "-R", "2")
    wait_copies (c, "/probe", 2)
    more = collections.Counter (_copies (c)) - collections.Counter ([*before, *_holders (c, "/probe")])
    assert not more, f"copied besides: {more}"


def of_three_copies_two_may_die_in_a_row ():
    """Blocks that are left with one copy get a second one at once, and no more before the delay is over."""
    with _cluster (5, repair_delay=LONG) as c:
        left = {block: 3 - n for block, n in _held_by (c, "/three", *c.data[:2]).items ()}
        left.update ({block: 2 - n for block, n in _held_by (c, "/two", *c.data[:2]).items ()})
        single = sorted (block for block, n in left.items () if n == 1)
        assert any (left[block] == 1 for block in _holders (c, "/three")), "no block is in danger"
        lost = [block for block, n in left.items () if n == 0]
        for daemon in c.data[:2]:
            daemon.kill ()
        for daemon in c.data[:2]:
            c.wait_status (daemon, "offline")
        wait_for ("no block has one copy only", lambda: all (
            n >= 2 for path in ("/three", "/two") for block, n in _online (c, path).items () if block not in lost))
        c.litedfs ("file", "download", "-r", "/three", "-l", c.path ("back"))
        assert read_file (c.path ("back")) == THREE
        wait_for ("the copies are made", lambda: sorted (_copies (c)) == single)
        for daemon in c.data[:2]:
            daemon.start ()
        c.wait_online (5)
        _is_settled (c)
        _nothing_but_the_probe_is_copied (c, _copies (c))


def a_second_death_in_the_middle_of_the_repair_of_the_first_is_repaired_too ():
    with _cluster (5, repair_delay=0) as c:
        c.data[0].kill ()
        c.wait_status (c.data[0], "offline")
        c.data[1].kill ()
        wait_copies (c, "/three", 3, 2 * DEADLINE)
        c.litedfs ("file", "download", "-r", "/three", "-l", c.path ("back"))
        assert read_file (c.path ("back")) == THREE
        for daemon in c.data[:2]:
            daemon.start ()
        c.wait_online (5)
        _is_settled (c)


def a_node_that_is_back_within_the_delay_costs_no_copy ():
    with _cluster (4, repair_delay=LONG) as c:
        c.litedfs ("file", "update", "-r", "/two", "-R", "3")   # so that no block is left with one copy
        wait_copies (c, "/two", 3)
        before, holders = _copies (c), (_holders (c, "/three"), _holders (c, "/two"))
        for away in (c.data[0].kill, c.data[1].stop, c.data[1].kill):
            away ()
            gone = next (d for d in c.data if d.process is None)
            c.wait_status (gone, "offline")
            gone.start ()
            c.wait_online (4)
        _nothing_but_the_probe_is_copied (c, before)
        assert (_holders (c, "/three"), _holders (c, "/two")) == holders


def a_node_that_stays_away_costs_what_it_held_and_nothing_more_when_it_is_back ():
    with _cluster (4, repair_delay=1) as c:
        held = [block for path in ("/three", "/two") for block, n in _held_by (c, path, c.data[0]).items () if n]
        assert held, "it has nothing"
        before = _copies (c)
        c.data[0].kill ()
        c.wait_status (c.data[0], "offline")
        wait_copies (c, "/three", 3)
        wait_copies (c, "/two", 2)
        c.data[0].start ()
        c.wait_online (4)
        _is_settled (c)
        _nothing_but_the_probe_is_copied (c, before + held)


def a_name_node_that_did_not_run_declares_nobody_dead_and_orders_nothing ():
    timeout = 1.5
    with _cluster (4, {"heartbeat_interval": "0.3", "heartbeat_timeout": timeout}, repair_delay=0) as c:
        before, holders = _copies (c), (_holders (c, "/three"), _holders (c, "/two"))
        for _ in range (2):
            said = len (c.name.log ())
            c.name.signal (signal.SIGSTOP)
            time.sleep (3 * timeout)    # this is what happens
            c.name.signal (signal.SIGCONT)
            c.wait_online (4)
            assert " is offline" not in c.name.log ()[said:], "somebody was declared dead"
        _nothing_but_the_probe_is_copied (c, before)
        assert (_holders (c, "/three"), _holders (c, "/two")) == holders


def a_name_node_that_was_restarted_orders_nothing_before_the_nodes_are_back ():
    with _cluster (4, repair_delay=LONG) as c:
        before, holders = _copies (c), (_holders (c, "/three"), _holders (c, "/two"))
        for daemon in c.daemons ():
            daemon.kill ()
        for daemon in c.daemons ()[:4]:
            daemon.start ()
        c.wait_online (3)       # and what the fourth one has too often is not copied, though it is missing now
        c.data[3].start ()
        c.wait_online (4)
        _nothing_but_the_probe_is_copied (c, before)
        assert (_holders (c, "/three"), _holders (c, "/two")) == holders


run (globals ())
