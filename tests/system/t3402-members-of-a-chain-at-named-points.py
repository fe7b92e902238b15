# SPDX-License-Identifier: MIT
"""A member of a chain that dies, or whose disk fails, at each named point of its store, wherever it stands
(builds with --enable-fault): the write ends well with the others, and the copy is made good afterwards."""
import os
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, Skip, run, wait_for  # noqa: E402
from raw import Gone, Raw  # noqa: E402
from replicas import Chain, info, settled, together, wait_copies, whole_everywhere  # noqa: E402

MIB = 1 << 20
FAULT_EXIT = 99
SOON = {"delete_delay": "0.2"}

# In src/datanode/blockstore.h.
WRITE_POINTS = ("blockstore_after_data", "blockstore_after_trailer", "blockstore_after_file_sync",
                "blockstore_before_commit", "blockstore_after_commit", "blockstore_after_rename")
DURABLE_FROM = "blockstore_after_commit"
ERRORS = ("blockstore_pwrite_error", "blockstore_full_error", "blockstore_sync_error",
          "blockstore_finish_error")
DELETE_POINTS = ("blockstore_before_execute", "blockstore_after_execute", "blockstore_after_unlink")


def _need_faults ():
    if os.environ.get ("FAULT") != "yes":
        raise Skip ("this build has no fault points (configure --enable-fault)")


def _with_fault (c, daemon, fault):
    """Start it anew, so that the point does that."""
    assert daemon.stop () in (0, None)
    daemon.start (env={"LITEDFS_FAULT": fault})
    c.wait_online (len (c.data))


def _died (daemon):
    status = wait_for ("it dies at the point", lambda: daemon.process.poll ())
    assert status == FAULT_EXIT, f"ended with {status}"
    daemon.process = None


def _order (c, position):
    """The data nodes in the order of a chain in which the first of c.data stands there."""
    nodes = c.data[1:3]
    nodes.insert (position, c.data[0])
    return nodes


def _end_with_a_death (daemon, chain):
    """End the write as a client does while a member dies: with another block if it is the first node."""
    if chain.nodes[0] != daemon.number:
        assert chain.finish () == "durable", (chain.refusal, chain.replicas)
        _died (daemon)
        return
    chain.send_last ()
    _died (daemon)
    chain.anew ()
    assert chain.finish () == "durable", (chain.refusal, chain.replicas)


def _all_durable (chain):
    assert chain.finish () == "durable", (chain.refusal, chain.replicas)
    assert chain.commit () == chain.nodes, chain.replicas


def _forget_suspects (c):
    """A node that two uploads could not write to is left out for a minute; not after a restart."""
    assert c.name.stop () == 0
    c.name.start ()
    c.wait_online (len (c.data))


def _deaths (position):
    with Cluster (nodes=3, name_settings=SOON) as c:
        number = c.data[0].number = c.node (c.data[0])["id"]
        old = os.urandom (MIB + 5)
        with Chain (c, "/old", old, _order (c, position)) as chain:
            _all_durable (chain)
        for point in WRITE_POINTS:
            content = os.urandom (2 * MIB + 7)
            _with_fault (c, c.data[0], f"{point}=exit:1")
            with Chain (c, f"/{point}", content, _order (c, position)) as chain:
                _end_with_a_death (c.data[0], chain)
                holders = chain.commit ()
                assert len (holders) == 2 and number not in holders, (point, chain.replicas)
            about = info (c, f"/{point}")
            assert about["replica"] == 3, about
            c.data[0].start ()
            c.wait_online (3)
            settled (c, f"/{point}", content, 3)
            whole_everywhere (c, "/old", old)
            if position == 0:
                _forget_suspects (c)
        files = 1 + len (WRITE_POINTS)
        # What was given up has gone; what was durable before the death counts instead of a copy.
        wait_for ("each node has each block once", lambda: [
            node["blocks"] for node in c.info ()["online_nodes"]] == [files] * 3)


def a_write_ends_well_when_a_member_dies_at_any_point_wherever_it_stands ():
    _need_faults ()
    together (*[lambda position=position: _deaths (position) for position in range (3)])


def _failures (position):
    with Cluster (nodes=3, name_settings=SOON) as c:
        number = c.node (c.data[0])["id"]
        for point in ERRORS:
            content = os.urandom (2 * MIB + 7)
            _with_fault (c, c.data[0], f"{point}=error:1")
            with Chain (c, f"/{point}", content, _order (c, position)) as chain:
                assert chain.finish () == "durable", (point, chain.refusal, chain.replicas)
                holders = chain.commit ()
                assert len (holders) == 2 and number not in holders, (point, chain.replicas)
            assert c.data[0].process.poll () is None, point
            settled (c, f"/{point}", content, 3)


def a_write_ends_well_when_the_disk_of_a_member_fails_wherever_it_stands ():
    _need_faults ()
    together (*[lambda position=position: _failures (position) for position in range (3)])


def _copies_whose_target_dies (points):
    with Cluster (nodes=2, name_settings=SOON) as c:
        content = os.urandom (3 * MIB + 7)
        for point in points:
            with Chain (c, f"/{point}", content, [c.data[0]]) as chain:
                _all_durable (chain)
            _with_fault (c, c.data[1], f"{point}=exit:1")
            c.litedfs ("file", "update", "-r", f"/{point}", "-R", "2")
            _died (c.data[1])
            c.data[1].start ()
            settled (c, f"/{point}", content, 2)
        wait_for ("no more blocks than there should be", lambda: [
            node["blocks"] for node in c.info ()["online_nodes"]] == [len (points)] * 2)


def a_copy_by_order_is_made_when_its_target_dies_at_any_point_of_it ():
    _need_faults ()
    together (*[lambda points=WRITE_POINTS[i::3]: _copies_whose_target_dies (points) for i in range (3)])


def surplus_copies_go_when_their_node_dies_at_any_point_of_it ():
    _need_faults ()
    with Cluster (nodes=2, name_settings=SOON) as c:
        content = os.urandom (MIB + 7)
        for point in DELETE_POINTS:
            c.litedfs ("file", "create", "-l", "-", "-r", f"/{point}", "-R", "2", input=content)
            settled (c, f"/{point}", content, 2)
            for daemon in c.data:
                _with_fault (c, daemon, f"{point}=exit:1")
            c.litedfs ("file", "update", "-r", f"/{point}", "-R", "1")
            dead = wait_for ("one of them dies", lambda: [d for d in c.data if d.process.poll () is not None])
            assert len (dead) == 1, dead
            _died (dead[0])
            dead[0].start ()
            settled (c, f"/{point}", content, 1)
        wait_for ("the bytes are gone", lambda: c.block_bytes () < len (DELETE_POINTS) * (MIB + MIB // 2))


def a_copy_by_order_is_made_when_its_source_dies_before_or_after_it_took_the_order ():
    _need_faults ()
    with Cluster (nodes=2, name_settings=SOON) as c:
        content = os.urandom (3 * MIB + 7)
        for point in DELETE_POINTS[:2]:
            c.litedfs ("file", "create", "-l", "-", "-r", f"/{point}", input=content)
            holder = info (c, f"/{point}")["blocks"][0]["nodes"][0]
            source = next (daemon for daemon in c.data if c.node (daemon)["id"] == holder)
            _with_fault (c, source, f"{point}=exit:1")
            c.litedfs ("file", "update", "-r", f"/{point}", "-R", "2")
            _died (source)
            source.start ()
            settled (c, f"/{point}", content, 2)
            c.litedfs ("file", "delete", "-r", f"/{point}")
            wait_for ("the bytes are gone", lambda: c.block_bytes () == 0)


def repair_goes_on_when_the_name_node_dies_before_or_after_any_of_its_commits ():
    _need_faults ()
    with Cluster (nodes=3, block_size=MIB, name_settings=SOON) as c:
        content = os.urandom (5 * MIB + 7)
        c.litedfs ("file", "create", "-l", "-", "-r", "/f", input=content)
        hit = 0
        for passage, wanted in ((2, 3), (3, 1), (5, 3), (8, 1)):
            for point in ("metastore_before_commit", "metastore_after_commit"):
                assert c.name.stop () in (0, None)
                c.name.start (wait=False, env={"LITEDFS_FAULT": f"{point}=exit:{passage}"})
                wait_for ("it dies, or has done all", lambda: c.name.process.poll () or _ask_for (c, wanted))
                hit += c.name.process.poll () == FAULT_EXIT
                c.name.kill ()
                c.name.start ()
                c.litedfs ("file", "update", "-r", "/f", "-R", str (wanted))
                settled (c, "/f", content, wanted)
                wait_for ("surplus bytes are gone", lambda: c.block_bytes () < wanted * (5 * MIB + 7) + MIB)
        assert hit >= 4, hit


def _ask_for (c, wanted):
    """Ask for so many copies: whether there are.  False also if the name node is not there to say so."""
    try:
        with Raw (c.name, deadline=1) as name:
            name.ok ("file.update", path="/f", replica=wanted)
            return name.ok ("file.info", path="/f")["current_replica"] == wanted
    except Gone:
        return False


run (globals ())
