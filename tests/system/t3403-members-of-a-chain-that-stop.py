# SPDX-License-Identifier: MIT
"""SIGSTOP of each member of a chain at each stage of a write, and members that are only slow: the write ends
within pipeline_timeout and two seconds without the one that stands still, and nobody else counts as dead."""
import itertools
import os
import re
import signal
import sys
import threading
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, Skip, Upload, is_stopped, run, sockets_of, wait_for  # noqa: E402
from replicas import Chain, info, settled, together, whole_everywhere  # noqa: E402

MIB = 1 << 20
WITHIN = (5 + 2) * DEADLINE / 30.0      # pipeline_timeout, and two seconds


def _need_faults ():
    if os.environ.get ("FAULT") != "yes":
        raise Skip ("this build has no fault points (configure --enable-fault)")


def _nobody_was_dropped (daemons, but=0):
    """None of them has passed another node over in a block, but for the one that stood still."""
    for daemon in daemons:
        for line in daemon.log ().splitlines ():
            passed = re.search (r"node (\d+) is passed over", line)
            assert not passed or int (passed.group (1)) == but, line


def _ends_without (c, chain, stopped, begun):
    """The chain's write ends in time, without the node that stands still and with the others."""
    state = chain.finish ()
    took = time.monotonic () - begun
    assert state == "durable", (chain.path, chain.refusal, chain.replicas)
    assert took <= WITHIN, (chain.path, took, chain.replicas)
    holders = chain.commit ()
    assert set (holders) == set (chain.nodes) - {stopped}, (chain.path, stopped, chain.replicas)


def _stopping_in_its_sync (c, daemon):
    """Start it anew, so that it stops by itself where it would sync the first block that it finishes."""
    assert daemon.stop () == 0
    daemon.start (env={"LITEDFS_FAULT": "blockstore_after_trailer=stop:1"})
    c.wait_online (len (c.data))


def _a_stop_at_every_stage (position):
    """A node that stands at this position of the chains stops in the sync of one of them; of the others it
    has nothing yet, has the middle, or lacks the end only."""
    with Cluster (nodes=3) as c:
        _stopping_in_its_sync (c, c.data[0])
        nodes = [c.data[1], c.data[2]]
        nodes.insert (position, c.data[0])
        number = c.node (c.data[0])["id"]
        chains = [Chain (c, f"/{name}", os.urandom (3 * MIB + 7), nodes)
                  for name in ("begins", "middle", "end", "sync")]
        for chain, size in zip (chains, (0, MIB, 3 * MIB, 3 * MIB)):
            if size:
                chain.send (until=size)
        chains[3].send_last ()
        wait_for ("it stops", lambda: is_stopped (c.data[0].process.pid))
        begun = time.monotonic ()
        together (*[lambda chain=chain: _ends_without (c, chain, number, begun) for chain in chains])
        c.data[0].signal (signal.SIGCONT)
        for chain in chains:
            settled (c, chain.path, chain.content, 3)
            chain.close ()


def a_write_ends_in_time_when_the_second_or_the_last_of_three_stops_at_any_stage ():
    _need_faults ()
    together (lambda: _a_stop_at_every_stage (1), lambda: _a_stop_at_every_stage (2))


def _first_node (c, upload):
    """The data node that a client sends its bytes to; None: none yet."""
    remotes = {remote for _, remote, _ in sockets_of (upload.client.pid)}
    return next ((daemon for daemon in c.data if int (daemon.get ("tcp_port")) in remotes), None)


def _upload_by (c, daemon, size):
    """An upload that has sent so much, and has this data node as the first of its first block."""
    for number in itertools.count ():
        upload = Upload (c, f"/{size}.{number}", "-R", "3")
        upload.path = f"/{size}.{number}"
        upload.send (size)
        if wait_for ("it has a first node", lambda upload=upload: _first_node (c, upload)) is daemon:
            return upload
        assert upload.end () == (0, ""), number
        assert number < 100, "never the first node"


def a_first_node_that_stops_at_any_stage_is_left_for_another_block_in_time ():
    with Cluster (nodes=4, block_size=4 * MIB) as c:
        stopped = c.data[0]
        uploads = [_upload_by (c, stopped, size) for size in (MIB + 1, 3 * MIB, 4 * MIB - 1)]
        for number in range (4):     # who will be first is not known before the first byte
            uploads.append (Upload (c, f"/{number}", "-R", "3"))
            uploads[-1].path = f"/{number}"
        stopped.signal (signal.SIGSTOP)
        begun = time.monotonic ()
        goes_on_without = f"node {c.node (stopped)['id']} "

        def end (number):
            upload = uploads[number]
            upload.send (5 * MIB)
            status, err = upload.end ()
            assert status == 0, (number, err)
            assert time.monotonic () - begun <= WITHIN, (number, time.monotonic () - begun)
            assert number >= 3 or goes_on_without in err, (number, err)
        together (*[lambda number=number: end (number) for number in range (len (uploads))])
        stopped.signal (signal.SIGCONT)
        for upload in uploads:
            settled (c, upload.path, upload.content, 3)
        _nobody_was_dropped (c.data[1:], but=c.node (stopped)["id"])


def two_seconds_of_silence_are_enough_where_it_is_set_so ():
    with Cluster (nodes=3, data_settings={"pipeline_timeout": 2}) as c:
        content = os.urandom (2 * MIB)
        with Chain (c, "/f", content, [c.data[0], c.data[1], c.data[2]]) as chain:
            chain.send (until=MIB)
            c.data[2].signal (signal.SIGSTOP)
            begun = time.monotonic ()
            assert chain.finish () == "durable", chain.refusal
            assert time.monotonic () - begun <= 4 * DEADLINE / 30.0, time.monotonic () - begun
            assert chain.commit () == chain.nodes[:2]
        c.data[2].signal (signal.SIGCONT)
        settled (c, "/f", content, 3)


def _slow_sync (position):
    """A healthy node whose sync takes 20 s is waited for, wherever it stands."""
    with Cluster (nodes=3) as c:
        assert c.data[0].stop () == 0
        c.data[0].start (env={"LITEDFS_FAULT": "blockstore_after_trailer=delay=20000:1"})
        c.wait_online (3)
        nodes = [c.data[1], c.data[2]]
        nodes.insert (position, c.data[0])
        content = os.urandom (2 * MIB + 5)
        begun = time.monotonic ()
        with Chain (c, "/f", content, nodes) as chain:
            assert chain.finish (deadline=60) == "durable", (chain.refusal, chain.replicas)
            took = time.monotonic () - begun
            assert 19 < took < 25 * DEADLINE / 30.0, took
            assert chain.states () == ["durable"] * 3, chain.replicas
            assert chain.commit () == chain.nodes
        assert info (c, "/f")["current_replica"] == 3
        whole_everywhere (c, "/f", content)
        _nobody_was_dropped (c.data)


def a_healthy_node_whose_sync_takes_20_s_is_not_dropped_wherever_it_stands ():
    _need_faults ()
    together (*[lambda position=position: _slow_sync (position) for position in range (3)])


def _pause_of (member, replicas):
    """SIGSTOP of the name node, or of the clients, for 20 s and of nobody else, with uploads that begin, are
    in the middle, and have their end to come only."""
    with Cluster (nodes=3, block_size=4 * MIB) as c:
        uploads = [Upload (c, f"/{number}", "-R", str (replicas), "-L", "60") for number in range (3)]
        for upload, size in zip (uploads, (0, 6 * MIB, 7 * MIB)):
            if size:
                upload.send (size)
        wait_for ("bytes arrive", lambda: c.block_bytes () >= 2 * 5 * replicas * MIB)
        processes = [c.name.process] if member == "name" else [upload.client for upload in uploads]
        for process in processes:
            process.send_signal (signal.SIGSTOP)
        feeders = [threading.Thread (target=upload.send, args=(7 * MIB - len (upload.content),))
                   for upload in uploads[:2]]       # a pipe may be full
        for feeder in feeders:
            feeder.start ()
        time.sleep (20) # what is tested is that so much time passes
        for process in processes:
            process.send_signal (signal.SIGCONT)
        for feeder in feeders:
            feeder.join ()
        for number, upload in enumerate (uploads):
            assert upload.end () == (0, ""), (member, number)
            about = info (c, f"/{number}")
            assert about["current_replica"] == replicas, about
            assert all (len (block["nodes"]) == replicas for block in about["blocks"]), about
            whole_everywhere (c, f"/{number}", upload.content)
        assert c.info ()["number_of_online_nodes"] == 3
        _nobody_was_dropped (c.data)


def uploads_go_on_after_20_s_without_their_name_node_or_their_client_and_nobody_is_dropped ():
    together (lambda: _pause_of ("name", 2), lambda: _pause_of ("client", 3))


run (globals ())
