# SPDX-License-Identifier: MIT
"""A data node whose disk is full: uploads are refused with each node's reason and leave nothing, reads
and deletes go on, and with room again uploads do too."""
import os
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, Disk, run, same_content, wait_for  # noqa: E402

MIB = 1 << 20
SOON = {"delete_delay": "0.2", "balance_threshold": "0"}


def _fill (c):
    """Upload files of 3 MiB until one is refused; gives how many went in and the refusal."""
    for number in range (40):
        local = c.make_file (f"f{number}", 3 * MIB, seed=number)
        done = c.litedfs_run ("file", "create", "-l", local, "-r", f"/f{number}")
        if done.returncode != 0:
            return number, done
    raise AssertionError ("a disk of 24 MiB took 120 MiB")


def _check (c, count, path="/f"):
    for number in range (count):
        back = c.path ("back")
        c.litedfs ("file", "download", "-r", f"{path}{number}", "-l", back, "--force")
        assert same_content (c.path (f"f{number}"), back), number


def a_full_node_refuses_with_its_reason_and_takes_bytes_again_when_it_has_room ():
    with Disk (24 * MIB) as disk, Cluster (nodes=0, block_size=MIB, name_settings=SOON) as c:
        node = c.add_node (data_path=disk.path)
        c.start ()
        count, refused = _fill (c)
        assert count >= 4, refused
        err = refused.stderr.decode ()
        assert refused.returncode == 6 and refused.stdout == b"", refused
        assert err.startswith (f"litedfs: file create[/f{count}]: ") and err.count ("\n") == 1, err
        assert "no data node can take this block" in err and "node 1" in err, err
        c.litedfs ("file", "info", "-r", f"/f{count}", expect=3)
        assert f"/f{count}" not in c.litedfs ("lock", "list")
        _check (c, count)

        # At once full when the last byte goes to somebody else.
        disk.fill ()
        wait_for ("the name node knows", lambda: c.info ()["online_nodes"][0]["storage_full"])
        done = c.litedfs_run ("file", "create", "-l", c.path ("f0"), "-r", "/one-more")
        err = done.stderr.decode ()
        assert done.returncode == 6 and "node 1" in err and "full" in err, err
        c.litedfs ("file", "create", "-l", "/dev/null", "-r", "/empty")    # takes no block
        _check (c, count)
        c.litedfs ("file", "delete", "-r", "/f0")
        wait_for ("its bytes are gone", lambda: disk.used_by ("data") <= (3 * count - 3) * MIB + MIB // 2)
        disk.empty ()
        assert node.process.poll () is None
        c.litedfs ("file", "delete", "-r", "/f1")
        wait_for ("there is room", lambda: c.info ()["online_nodes"][0]["storage_free"] >= 5 * MIB)
        c.litedfs ("file", "create", "-l", c.path ("f0"), "-r", "/f0")
        c.litedfs ("file", "create", "-l", c.path ("f1"), "-r", "/f1")
        _check (c, count)


def a_node_that_fills_up_in_mid_upload_ends_it_and_nothing_is_left ():
    with Disk (24 * MIB) as disk, Cluster (nodes=0, block_size=MIB, name_settings=SOON) as c:
        node = c.add_node (data_path=disk.path)
        c.start ()
        local = c.make_file ("big", 40 * MIB)
        with open (local, "rb") as stream:
            done = c.litedfs_run ("file", "create", "-l", "-", "-r", "/d/big", input=stream.read ())
        err = done.stderr.decode ()
        assert done.returncode == 6, (done.returncode, err)
        assert err.startswith ("litedfs: file create[/d/big]: ") and err.count ("\n") == 1, err
        c.litedfs ("file", "info", "-r", "/d/big", expect=3)
        assert "/d/big" not in c.litedfs ("lock", "list")
        wait_for ("the bytes are gone", lambda: disk.used_by ("data") == 0)
        assert node.process.poll () is None
        wait_for ("there is room", lambda: c.info ()["online_nodes"][0]["storage_free"] >= 4 * MIB)
        c.upload_and_download ("small", 2 * MIB)


def a_full_node_starts_and_serves ():
    with Disk (24 * MIB) as disk, Cluster (nodes=0, block_size=MIB, name_settings=SOON) as c:
        node = c.add_node (data_path=disk.path)
        c.start ()
        count, _ = _fill (c)
        disk.fill ()
        for stop in (node.stop, node.kill):
            stop ()
            node.start ()
            c.wait_online (1)
            _check (c, count)
        for number in range (count):
            c.litedfs ("file", "delete", "-r", f"/f{number}")
        wait_for ("the bytes are gone", lambda: disk.used_by ("data") == 0)
        disk.empty ()
        wait_for ("there is room", lambda: c.info ()["online_nodes"][0]["storage_free"] >= 4 * MIB)
        c.upload_and_download ("again", 2 * MIB)


def blocks_go_to_the_node_that_has_room ():
    with Disk (24 * MIB) as disk, Cluster (nodes=0, block_size=MIB, name_settings=SOON) as c:
        c.add_node (data_path=disk.path)
        c.add_node ()
        c.start ()
        local = c.make_file ("big", 60 * MIB + 17)
        c.litedfs ("file", "create", "-l", local, "-r", "/big")
        c.litedfs ("file", "download", "-r", "/big", "-l", c.path ("back"))
        assert same_content (local, c.path ("back"))
        # One that is full without the name node's knowledge: the block is written elsewhere.
        disk.fill ()
        c.upload_and_download ("more", 9 * MIB)
        wait_for ("the name node knows", lambda: c.node (c.data[0])["storage_full"])
        c.upload_and_download ("most", 9 * MIB)


run (globals ())
