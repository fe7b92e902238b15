# SPDX-License-Identifier: MIT
"""A daemon that dies, or whose disk fails, at each named point of its store (builds with --enable-fault):
transfers go on after its restart or fail and say why, what was acknowledged is there, nothing is left."""
import json
import os
import shutil
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, Skip, run, same_content, wait_for  # noqa: E402
from raw import Raw, Writer  # noqa: E402

MIB = 1 << 20
FAULT_EXIT = 99
SOON = {"delete_delay": "0.2"}

# In src/datanode/blockstore.h.
WRITE_POINTS = ("blockstore_after_data", "blockstore_after_trailer", "blockstore_after_file_sync",
                "blockstore_before_commit", "blockstore_after_commit", "blockstore_after_rename")
SHARED_POINTS = WRITE_POINTS[2:5]
DELETE_POINTS = ("blockstore_before_execute", "blockstore_after_execute", "blockstore_after_unlink")
ERRORS = ("blockstore_pwrite_error", "blockstore_full_error", "blockstore_sync_error",
          "blockstore_commit_error")
NAME_POINTS = ("metastore_before_commit", "metastore_after_commit")


def _need_faults ():
    if os.environ.get ("FAULT") != "yes":
        raise Skip ("this build has no fault points (configure --enable-fault)")


def _with_fault (daemon, fault, wait=True):
    assert daemon.stop () in (0, None)
    daemon.start (wait=wait, env={"LITEDFS_FAULT": fault})


def _armed (daemon, point, action):
    """Start it so that the first passage of the point after its start does it: the start has some of
    its own."""
    assert daemon.stop () in (0, None)
    for passage in range (1, 10):
        daemon.start (wait=False, env={"LITEDFS_FAULT": f"{point}={action}:{passage}"})
        if wait_for ("it answers or dies", lambda: daemon.process.poll () or _answers (daemon)) is True:
            return
        daemon.kill ()
    raise AssertionError (f"{daemon.name} dies at each passage of {point}")


def _answers (daemon):
    try:
        return daemon.answers ()
    except AssertionError:
        return daemon.process.poll ()


def _died (daemon):
    """Wait for its end at the point."""
    status = wait_for ("it dies at the point", lambda: daemon.process.poll ())
    assert status == FAULT_EXIT, f"ended with {status}"
    daemon.process = None


def _check (c, remote, local):
    back = c.path ("back")
    c.litedfs ("file", "download", "-r", remote, "-l", back, "--force")
    assert same_content (local, back), remote


def _blocks (c):
    return sum (n["blocks"] for n in c.info ()["online_nodes"])


def uploads_go_on_when_their_data_node_dies_at_any_point_and_is_started_again ():
    _need_faults ()
    with Cluster (nodes=1, block_size=MIB, name_settings=SOON) as c:
        node = c.data[0]
        old = c.make_file ("old", 3 * MIB + 5)
        c.litedfs ("file", "create", "-l", old, "-r", "/old")
        local = c.make_file ("f", 5 * MIB + 7)
        for number, point in enumerate (WRITE_POINTS):
            # Blocks that end at about the same time pass the points of sync and commit together.
            passage = 1 if point in SHARED_POINTS else 1 + number % 3
            _with_fault (node, f"{point}=exit:{passage}")
            c.wait_online (1)
            client = c.litedfs_start ("file", "create", "-l", local, "-r", f"/{point}")
            _died (node)
            node.start ()
            err = client.communicate (timeout=60)[1].decode ()
            assert client.returncode == 0, (point, err)
            _check (c, f"/{point}", local)
            _check (c, "/old", old)
        wait_for ("the node has these blocks and no others",
                  lambda: _blocks (c) == 4 + 6 * len (WRITE_POINTS))
        for point in WRITE_POINTS:
            c.litedfs ("file", "delete", "-r", f"/{point}")
        wait_for ("only the old file's bytes are left", lambda: 3 * MIB < c.block_bytes () < 4 * MIB)
        _check (c, "/old", old)


def deletes_are_carried_out_when_the_node_dies_at_any_point_of_them ():
    _need_faults ()
    with Cluster (nodes=1, block_size=MIB, name_settings=SOON) as c:
        node = c.data[0]
        old = c.make_file ("old", 2 * MIB + 5)
        c.litedfs ("file", "create", "-l", old, "-r", "/old")
        for point in DELETE_POINTS:
            c.litedfs ("file", "create", "-l", c.make_file ("f", 3 * MIB), "-r", "/f")
            _with_fault (node, f"{point}=exit:1")
            c.wait_online (1)
            c.litedfs ("file", "delete", "-r", "/f")
            _died (node)
            node.start ()
            c.wait_online (1)
            wait_for (f"{point}: the bytes are gone", lambda: c.block_bytes () < 3 * MIB)
            wait_for ("and counted so", lambda: _blocks (c) == 3)
            _check (c, "/old", old)


def a_node_that_dies_in_its_first_start_or_while_it_rebuilds_its_index_starts_again ():
    _need_faults ()
    with Cluster (nodes=0, block_size=MIB) as c:
        node = c.add_node ()
        node.start (wait=False, env={"LITEDFS_FAULT": "blockstore_after_version=exit"})
        _died (node)
        node.start ()
        c.wait_online (1)
        old = c.make_file ("old", 5 * MIB + 5)
        c.litedfs ("file", "create", "-l", old, "-r", "/old")
        assert node.stop () == 0
        shutil.rmtree (os.path.join (node.directory, "data", "index"))
        for _ in range (2):
            node.start (wait=False, env={"LITEDFS_FAULT": "blockstore_in_rebuild=exit"})
            _died (node)
        node.start ()
        c.wait_online (1)
        _check (c, "/old", old)


def a_node_whose_number_is_not_on_its_disk_yet_is_busy_and_clients_wait_for_it ():
    _need_faults ()
    with Cluster (nodes=0) as c, Raw (c.name) as name, Writer (name) as writer:
        node = c.add_node ()
        node.start (env={"LITEDFS_FAULT": "blockstore_before_join=delay=1500"})
        c.wait_online (1)
        with Raw (node) as raw:
            raw.refused ("busy", "block.stat", block=1, node=1)
        local = c.make_file ("f", 1000)
        client = c.litedfs_start ("file", "create", "-l", local, "-r", "/f")
        writer.put ("/g", b"bytes")
        err = client.communicate (timeout=60)[1].decode ()
        assert client.returncode == 0, err
        _check (c, "/f", local)


def a_node_that_dies_before_its_number_is_on_its_disk_gets_the_same_again ():
    _need_faults ()
    with Cluster (nodes=0) as c:
        node = c.add_node ()
        node.start (wait=False, env={"LITEDFS_FAULT": "blockstore_before_join=exit"})
        _died (node)
        node.start ()
        assert c.wait_status (node, "online") == 1
        c.upload_and_download ("f")


def a_disk_error_of_the_only_node_is_a_refusal_that_says_so_and_leaves_nothing ():
    _need_faults ()
    with Cluster (nodes=1, block_size=MIB, name_settings=SOON) as c:
        node = c.data[0]
        old = c.make_file ("old", 2 * MIB + 5)
        c.litedfs ("file", "create", "-l", old, "-r", "/old")
        local = c.make_file ("f", 3 * MIB)
        for point in ERRORS[2:]:        # the client waits some seconds for another node
            _with_fault (node, f"{point}=error")
            c.wait_online (1)
            done = c.litedfs_run ("file", "create", "-l", local, "-r", "/f", "-L", "5")
            err = done.stderr.decode ()
            assert done.returncode == 6 and done.stdout == b"", (point, done)
            assert err.startswith ("litedfs: file create[/f]: ") and err.count ("\n") == 1, err
            assert "node 1" in err or "disk" in err, err
            c.litedfs ("file", "info", "-r", "/f", expect=3)
            assert json.loads (c.litedfs ("lock", "list", "--json"))["locks"] == []
            assert node.process.poll () is None, point
            _check (c, "/old", old)
            _with_fault (node, "")
            c.wait_online (1)
            wait_for (f"{point}: the bytes are gone", lambda: c.block_bytes () < 3 * MIB)
        c.litedfs ("file", "create", "-l", local, "-r", "/f")
        _check (c, "/f", local)


def a_disk_error_of_one_node_is_made_good_on_another ():
    _need_faults ()
    with Cluster (nodes=2, block_size=MIB, name_settings=SOON) as c:
        local = c.make_file ("f", 6 * MIB)
        for point in ERRORS:
            _with_fault (c.data[0], f"{point}=error")
            c.wait_online (2)
            c.litedfs ("file", "create", "-l", local, "-r", f"/{point}")
            number = c.node (c.data[1])["id"]
            about = json.loads (c.litedfs ("file", "info", "-r", f"/{point}", "--json"))
            assert {n for b in about["blocks"] for n in b["nodes"]} == {number}, about
            _check (c, f"/{point}", local)


def uploads_go_on_when_the_name_node_dies_before_or_after_any_of_its_commits ():
    _need_faults ()
    with Cluster (nodes=1, block_size=MIB, name_settings=SOON) as c:
        local = c.make_file ("f", 5 * MIB + 7)
        hit = 0
        for point in NAME_POINTS:
            for passage in (2, 3, 4, 5, 7):
                assert c.name.stop () in (0, None)
                c.name.start (wait=False, env={"LITEDFS_FAULT": f"{point}=exit:{passage}"})
                wait_for ("it answers or dies", lambda: c.name.process.poll () or _answers (c.name))
                client = c.litedfs_start ("file", "create", "-l", local, "-r", f"/{point}/{passage}")
                wait_for ("either ends", lambda: client.poll () is not None or c.name.process.poll ())
                if c.name.process.poll () is not None:
                    _died (c.name)
                    c.name.start ()
                    hit += 1
                err = client.communicate (timeout=60)[1].decode ()
                if client.returncode == 7:      # it died before the first contact
                    c.litedfs ("file", "create", "-l", local, "-r", f"/{point}/{passage}")
                else:
                    assert client.returncode == 0, (point, passage, err)
                _check (c, f"/{point}/{passage}", local)
        assert hit >= 6, hit
        about = json.loads (c.litedfs ("path", "info", "-r", "/", "--json"))
        assert (about["files"], about["directories"], about["size"]) == (10, 2, 10 * (5 * MIB + 7)), about
        assert json.loads (c.litedfs ("lock", "list", "--json"))["locks"] == []
        # What was allocated and not used, if anything, has gone.
        wait_for ("the node has these blocks and no others", lambda: _blocks (c) == 10 * 6)


def a_change_is_done_once_when_the_name_node_dies_before_or_after_its_commit ():
    _need_faults ()
    with Cluster (nodes=0) as c, Raw (c.name) as name:
        name.ok ("file.create", path="/a", size=0)
        for point, old, new, there in ((NAME_POINTS[0], "a", "b", "a"), (NAME_POINTS[1], "b", "c", "c")):
            _armed (c.name, point, "exit")
            frame = name.send ("file.rename", path="/" + old, name=new)
            _died (c.name)
            c.name.start ()
            assert f"| {there}" in c.litedfs ("directory", "list", "-r", "/"), point
            for _ in range (2):
                name.send_frames (frame)
                reply, _ = name.receive ()
                assert reply["ok"] and reply["path"] == "/" + new, reply
            name.ok ("file.info", path="/" + new)


def a_name_node_whose_disk_fails_ends_and_acknowledges_nothing ():
    _need_faults ()
    with Cluster (nodes=0) as c, Raw (c.name) as name:
        name.ok ("directory.create", path="/before")
        _armed (c.name, "metastore_commit", "error")
        frame = name.send ("directory.create", path="/a")
        status = wait_for ("it ends", lambda: c.name.process.poll ())
        assert status > 0 and status != FAULT_EXIT, status
        c.name.process = None
        c.name.wait_log ("CRITICAL.*cannot be written")
        assert not name.socket.poll (0), "a reply"
        c.name.start ()
        assert "before" in c.litedfs ("directory", "list", "-r", "/")
        name.send_frames (frame)
        assert name.receive ()[0]["ok"]


run (globals ())
