# SPDX-License-Identifier: MIT
"""Daemons start in any order, data nodes keep their numbers and come back, and the name node knows at
once who is gone, and of nobody who is not."""
import os
import re
import signal
import sys
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, http_get, run, wait_for  # noqa: E402

SLOW = DEADLINE / 30.0  # how much slower this build is
QUICK = {"retry_interval": "0.3", "heartbeat_interval": "0.1", "heartbeat_timeout": str (1.5 * SLOW)}


def _numbers (c):
    return {node["http_port"]: node["id"] for node in c.info ()["online_nodes"]}


def _log_since (daemon, start):
    return daemon.log ()[start:]


def data_nodes_that_were_first_find_the_name_node_that_comes_later ():
    with Cluster (nodes=2, start=False, data_settings=QUICK) as c:
        for node in c.data:
            node.start ()
            node.wait_log ("trying again every 0.3 s")
        c.name.start ()
        came = time.monotonic ()
        c.wait_online (2)
        assert time.monotonic () - came < (0.3 + 2.0) * SLOW, "later than retry_interval"
        c.upload_and_download ("f")


def all_started_at_once_find_each_other ():
    with Cluster (nodes=3, start=False, data_settings=QUICK) as c:
        for daemon in reversed (c.daemons ()):
            daemon.start (wait=False)
        c.start ()
        assert sorted (_numbers (c).values ()) == [1, 2, 3]


def the_address_of_the_ROUTER_may_be_given_so_that_HTTP_is_not_needed ():
    with Cluster (nodes=1, start=False, data_settings=QUICK) as c:
        c.data[0].set (name_http_port=1, name_tcp_port=c.name.get ("tcp_port"))
        c.start ()
        c.upload_and_download ("f")


def ports_of_0_are_chosen_once_and_kept ():
    with Cluster (nodes=1, start=False, data_settings=QUICK) as c:
        for daemon in c.daemons ():
            daemon.set (tcp_port=0)
        c.start ()
        c.upload_and_download ("f")
        before = [daemon.ports () for daemon in c.daemons ()]
        assert all (20000 <= port < 30000 for ports in before for port in ports), before
        c.restart ()
        assert [daemon.ports () for daemon in c.daemons ()] == before


def each_data_node_keeps_its_number_whoever_restarts ():
    with Cluster (nodes=3, data_settings=QUICK) as c:
        numbers = _numbers (c)
        assert sorted (numbers.values ()) == [1, 2, 3]
        for node in c.data:
            assert node.stop () == 0
            c.wait_status (node, "offline")
            node.start ()
            c.wait_online (3)
            assert _numbers (c) == numbers
        for _ in range (2):
            assert c.name.stop () == 0
            c.name.start ()
            c.wait_online (3)
            assert _numbers (c) == numbers
            c.name.kill ()
            c.name.start ()
            c.wait_online (3)
            assert _numbers (c) == numbers
        for daemon in c.daemons ():
            daemon.kill ()
        c.start ()
        assert _numbers (c) == numbers
        c.upload_and_download ("f")


def a_data_node_that_moved_to_other_ports_keeps_its_number_and_its_files ():
    with Cluster (nodes=1, data_settings=QUICK) as c:
        c.upload_and_download ("f")
        node = c.data[0]
        assert node.stop () == 0
        http_port, tcp_port = node.http_port, node.get ("tcp_port")
        other = c.add_node ()
        node.http_port = other.http_port
        node.set (http_port=other.http_port, tcp_port=other.get ("tcp_port"),
                  chain_port=other.get ("chain_port"))
        c.data.pop ()
        node.start ()
        assert c.wait_status (node, "online") == 1
        assert http_port != node.http_port and tcp_port != node.get ("tcp_port")
        c.litedfs ("file", "download", "-r", "/f", "-l", c.path ("again"))


def data_nodes_are_back_within_retry_interval_after_the_name_node_is ():
    with Cluster (nodes=2, data_settings=QUICK) as c:
        for end in (c.name.stop, c.name.kill):
            end ()
            for node in c.data:
                wait_for ("the loss is logged", lambda: "lost the name node" in node.log () or "away" in node.log ())
                assert http_get (node.http_port)[0] == 200
            c.name.start ()
            came = time.monotonic ()
            c.wait_online (2)
            assert time.monotonic () - came < (0.3 + 2.0) * SLOW, "later than retry_interval"


def a_killed_data_node_is_offline_at_once_and_online_when_it_is_back ():
    with Cluster (nodes=2) as c:  # heartbeat_timeout is 30 s
        node = c.data[0]
        number = c.wait_status (node, "online")
        node.kill ()
        c.wait_status (node, "offline", 2.0 * SLOW)
        assert c.info ()["number_of_offline_nodes"] == 1
        c.name.wait_log (rf"node {number} is offline: its connection has ended")
        c.litedfs ("file", "create", "-l", c.make_file ("f", 1000), "-r", "/f")
        node.start ()
        assert c.wait_status (node, "online") == number
        assert node.stop () == 0
        c.wait_status (node, "offline", 2.0 * SLOW)


def a_silent_data_node_is_offline_after_heartbeat_timeout_and_online_when_it_speaks ():
    with Cluster (nodes=2, data_settings=QUICK) as c:
        node = c.data[0]
        number = c.wait_status (node, "online")
        node.signal (signal.SIGSTOP)
        stopped = time.monotonic ()
        try:
            c.wait_status (node, "offline")
            silent = time.monotonic () - stopped
            assert 1.4 * SLOW < silent < (1.5 + 2.0) * SLOW, f"after {silent:.1f} s"
            assert re.search (rf"node {number} is offline: silent for {1.5 * SLOW:.0f}?", c.name.log ())
        finally:
            node.signal (signal.SIGCONT)
        assert c.wait_status (node, "online", 3.0 * SLOW) == number
        c.upload_and_download ("f")


def _statuses_while (c, condition):
    """The numbers of online nodes that were seen until condition () holds."""
    seen = set ()

    def look ():
        seen.add (c.info ()["number_of_online_nodes"])
        return condition ()
    wait_for ("the name node is itself again", look)
    return seen


def a_name_node_that_was_stopped_declares_nobody_dead ():
    with Cluster (nodes=2, data_settings=QUICK) as c:
        start = len (c.name.log ())
        c.name.signal (signal.SIGSTOP)
        stopped = time.monotonic ()
        try:
            wait_for ("the timeout is over", lambda: time.monotonic () - stopped > 2.5 * SLOW)
        finally:
            c.name.signal (signal.SIGCONT)
        c.name.wait_log (r"this name node did not run for \d")
        beats = time.monotonic ()
        seen = _statuses_while (c, lambda: time.monotonic () - beats > 1.0 * SLOW)
        assert seen == {2}, f"numbers of online nodes: {seen}"
        assert "offline" not in _log_since (c.name, start), _log_since (c.name, start)
        c.upload_and_download ("f")


run (globals ())
