# SPDX-License-Identifier: MIT
"""Uploads and downloads do without nodes that are stopped or killed, within pipeline_timeout and two
seconds, and forgive themselves that they were stopped."""
import json
import os
import signal
import sys
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, Upload, run, same_content, wait_for  # noqa: E402
from replicas import together  # noqa: E402

MIB = 1 << 20
BLOCK = 4 * MIB
WITHIN = (5 + 2) * DEADLINE / 30.0      # pipeline_timeout, and two seconds
# How long the disk takes is not what is measured.
UNSYNCED = {"data_settings": {"sync": "false"}, "name_settings": {"sync": "false", "delete_delay": "0.1"}}


def _within (c):
    """How long a transfer may take that meets a lost node: what a machine that is busy with other things
    needs for one that meets none is not what is measured."""
    local = c.make_file ("undisturbed", 24 * MIB)
    begun = time.monotonic ()
    c.litedfs ("file", "create", "-l", local, "-r", "/undisturbed", "-R", "3")
    return WITHIN + 4 * (time.monotonic () - begun)


def _about (c, remote):
    return json.loads (c.litedfs ("file", "info", "-r", remote, "--json"))


def _check (c, remote, content):
    got = c.litedfs_run ("file", "download", "-r", remote, "-l", "-")
    assert got.returncode == 0, got.stderr
    assert got.stdout == content, remote


def _holders (c, remote):
    """The daemons that hold the first block of a file, in the order in which they are named."""
    numbers = {c.node (d)["id"]: d for d in c.data}
    return [numbers[n] for n in _about (c, remote)["blocks"][0]["nodes"]]


def _lose (daemon, how):
    """Stop or kill a node; gives the time."""
    if how == signal.SIGKILL:
        daemon.kill ()
    else:
        daemon.signal (how)
    return time.monotonic ()


def _uploads_at_every_stage (c, replicas):
    """Uploads from pipes: one that has not begun, one in its first block, one in its second block, one
    that lacks only its end.  They are so few that the nodes have memory for them all."""
    uploads = {}
    for name, size in (("begins", 0), ("first", MIB), ("second", 6 * MIB), ("ends", 7 * MIB)):
        uploads[f"/{name}"] = upload = Upload (c, f"/{name}", "-R", str (replicas))
        if size:
            upload.send (size)
    # A chunk is sent when it is known whether it is the last one.
    wait_for ("they are under way", lambda: c.block_bytes () >= replicas * 10 * MIB)
    return uploads


def _all_end_in_time (c, uploads, begun, within):
    """Each gets its rest and its end at once: none waits for the end of another one."""
    late = {}

    def end (remote, upload):
        upload.send (MIB + 5)
        status, err = upload.end ()
        assert status == 0, (remote, err)
        took = time.monotonic () - begun
        if took > within:
            late[remote] = took
    together (*[lambda item=item: end (*item) for item in uploads.items ()])
    assert not late, (late, within)


def _uploads_without (how):
    with Cluster (nodes=3, block_size=BLOCK, **UNSYNCED) as c:
        within = _within (c)
        c.litedfs ("file", "delete", "-r", "/undisturbed")
        wait_for ("its bytes are gone", lambda: c.block_bytes () == 0)
        big = c.make_file ("big", 24 * MIB)
        uploads = _uploads_at_every_stage (c, 3)
        client = c.litedfs_start ("file", "create", "-l", big, "-r", "/big", "-R", "3")
        wait_for ("it is under way", lambda: client.poll () is not None or c.block_bytes () >= 36 * MIB)
        begun = _lose (c.data[0], how)
        _all_end_in_time (c, uploads, begun, within)
        out, err = client.communicate (timeout=DEADLINE)
        assert client.returncode == 0, err
        assert time.monotonic () - begun <= within, (time.monotonic () - begun, within)
        for remote, upload in uploads.items ():
            _check (c, remote, upload.content)
        back = c.path ("back")
        c.litedfs ("file", "download", "-r", "/big", "-l", back)
        assert same_content (big, back)
        if how == signal.SIGSTOP:
            c.data[0].signal (signal.SIGCONT)


def uploads_of_three_replicas_end_in_time_when_a_node_is_stopped ():
    _uploads_without (signal.SIGSTOP)


def uploads_of_three_replicas_end_in_time_when_a_node_is_killed ():
    _uploads_without (signal.SIGKILL)


def an_upload_of_one_replica_leaves_a_stopped_node_with_all_its_blocks_at_once ():
    with Cluster (nodes=3, block_size=MIB, **UNSYNCED) as c:
        within = _within (c)
        c.litedfs ("file", "delete", "-r", "/undisturbed")
        wait_for ("its bytes are gone", lambda: c.block_bytes () == 0)
        local = c.make_file ("f", 48 * MIB)
        client = c.litedfs_start ("file", "create", "-l", local, "-r", "/f")
        wait_for ("it is under way", lambda: client.poll () is not None or c.block_bytes () >= 5 * MIB)
        begun = _lose (c.data[1], signal.SIGSTOP)
        out, err = client.communicate (timeout=DEADLINE)
        took = time.monotonic () - begun
        c.data[1].signal (signal.SIGCONT)
        assert client.returncode == 0, err
        assert took <= within, (took, within)
        back = c.path ("back")
        c.litedfs ("file", "download", "-r", "/f", "-l", back)
        assert same_content (local, back)


def a_download_goes_on_from_other_replicas_in_time ():
    with Cluster (nodes=4, block_size=BLOCK, **UNSYNCED) as c:
        within = _within (c)
        local = c.make_file ("f", 64 * MIB)
        c.litedfs ("file", "create", "-l", local, "-r", "/f", "-R", "3")
        for lost in (((0, signal.SIGSTOP),), ((1, signal.SIGKILL),),
                     ((2, signal.SIGSTOP), (0, signal.SIGKILL))):
            client = c.litedfs_start ("file", "download", "-r", "/f", "-l", "-")
            with open (c.path ("back"), "wb") as out:
                out.write (client.stdout.read (MIB))
                begun = [_lose (c.data[n], how) for n, how in lost][0]
                for part in iter (lambda: client.stdout.read (MIB), b""):
                    out.write (part)
            took = time.monotonic () - begun
            err = client.stderr.read ().decode ()
            assert client.wait () == 0, err
            assert same_content (local, c.path ("back"))
            assert took <= within, (lost, took, within, err)
            for n, how in lost:
                if how == signal.SIGSTOP:
                    c.data[n].signal (signal.SIGCONT)
                else:
                    c.data[n].start ()
            c.wait_online (4)


def a_file_of_which_one_node_is_left_is_read_and_nobody_notices ():
    with Cluster (nodes=3, block_size=MIB) as c:
        local = c.make_file ("f", 3 * MIB + 7)
        c.litedfs ("file", "create", "-l", local, "-r", "/f", "-R", "3")
        blocks = _about (c, "/f")["blocks"]
        good, cut, gone = _holders (c, "/f")
        for block in blocks:
            below = os.path.join ("data", "blocks", block["id"][-2:], block["id"])
            os.unlink (os.path.join (gone.directory, below))
            os.chmod (os.path.join (cut.directory, below), 0o600)
            os.truncate (os.path.join (cut.directory, below), 100)
        done = c.litedfs_run ("file", "download", "-r", "/f", "-l", c.path ("back"))
        assert done.returncode == 0, done.stderr
        assert done.stdout.count (b"\n") == 1, done.stdout
        assert same_content (local, c.path ("back"))
        assert done.stderr == b"", done.stderr


def a_client_that_was_stopped_for_longer_than_all_timeouts_goes_on ():
    with Cluster (nodes=3, block_size=BLOCK, data_settings={"write_timeout": 4}) as c:
        upload = Upload (c, "/f", "-R", "2", "-L", "10")
        upload.send (6 * MIB)
        wait_for ("bytes arrive", lambda: c.block_bytes () >= 10 * MIB)
        upload.client.send_signal (signal.SIGSTOP)
        time.sleep (12) # what is tested is that so much time passes
        upload.client.send_signal (signal.SIGCONT)
        upload.send (2 * MIB + 3)
        status, err = upload.end ()
        assert status == 0, err
        assert err == "", err
        _check (c, "/f", upload.content)


def the_wanted_copies_of_a_file_may_be_changed_while_it_is_written ():
    with Cluster (nodes=3, block_size=MIB) as c:
        upload = Upload (c, "/f")
        upload.send (MIB)
        wait_for ("it is under way", lambda: "/f" in c.litedfs ("lock", "list"))
        assert c.litedfs ("file", "update", "-r", "/f", "-R", "3") == "update file[/f] success\n"
        upload.send (4 * MIB)
        status, err = upload.end ()
        assert status == 0, err
        assert _about (c, "/f")["replica"] == 3
        wait_for ("it has three copies", lambda: _about (c, "/f")["current_replica"] == 3)
        _check (c, "/f", upload.content)


def more_replicas_than_nodes_are_as_many_as_there_are ():
    with Cluster (nodes=2, block_size=MIB) as c:
        local = c.make_file ("f", 2 * MIB + 1)
        out = c.litedfs ("file", "create", "-l", local, "-r", "/f", "-R", "5")
        assert out == "create file[/f] success\n", out
        about = _about (c, "/f")
        assert (about["replica"], about["current_replica"]) == (5, 2), about
        assert c.litedfs ("file", "update", "-r", "/f", "-R", "1") == "update file[/f] success\n"
        assert _about (c, "/f")["replica"] == 1
        out = c.litedfs ("file", "create", "-l", local, "-r", "/f", "-R", "2")
        assert out == "update file[/f] success\n", out
        assert _about (c, "/f")["replica"] == 2


run (globals ())
