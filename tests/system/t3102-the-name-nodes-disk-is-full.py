# SPDX-License-Identifier: MIT
"""The name node's disk is full: changes are refused and say so, reads and deletes work, a restart works,
and with room again everything does; down to the very last byte."""
import json
import os
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, Disk, Upload, run, same_content, wait_for  # noqa: E402
from raw import Raw  # noqa: E402

MIB = 1 << 20


class _Full:
    """A cluster whose name node has a disk of its own, with some files in it."""

    def __init__ (self, **settings):
        self.disk = Disk (32 * MIB)
        self.settings = {"delete_delay": "0.2", "data_path": self.disk.path, "ballast_size": "2M",
                         "storage_preserve_space": "4M", **settings}

    def __enter__ (self):
        self.disk.__enter__ ()
        self.cluster = Cluster (nodes=1, block_size=MIB, name_settings=self.settings)
        c = self.cluster
        c.litedfs ("file", "create", "-l", c.make_file ("f", 2 * MIB + 5), "-r", "/d/f")
        with Raw (c.name) as name:
            made = name.all_of ([("file.create", {"path": f"/many/{n}", "size": 0}) for n in range (500)])
            assert all (r["ok"] for r in made)
        return self.disk, c

    def __exit__ (self, *failure):
        try:
            self.cluster.__exit__ (*failure)
        finally:
            self.disk.__exit__ ()


def _all_but_deletes_are_refused (c):
    local = c.make_file ("g", 1000)
    for arguments in (("file", "create", "-l", local, "-r", "/g"),
                      ("file", "create", "-l", "/dev/null", "-r", "/g"),
                      ("directory", "create", "-r", "/e"),
                      ("directory", "move", "-s", "/many", "-t", "/d"),
                      ("directory", "rename", "-r", "/many", "-n", "more"),
                      ("file", "move", "-s", "/d/f", "-t", "/many"),
                      ("file", "rename", "-r", "/d/f", "-n", "g"),
                      ("file", "update", "-r", "/d/f", "-R", "3")):
        done = c.litedfs_run (*arguments)
        err = done.stderr.decode ()
        assert done.returncode == 6 and done.stdout == b"", (arguments, done)
        assert err.count ("\n") == 1 and "disk is full" in err, err


def _reads_work (c):
    back = c.path ("back")
    c.litedfs ("file", "download", "-r", "/d/f", "-l", back, "--force")
    assert same_content (c.path ("f"), back)
    assert len (json.loads (c.litedfs ("directory", "list", "-r", "/many", "--json"))["entries"]) > 300
    assert json.loads (c.litedfs ("path", "info", "-r", "/", "--json"))["directories"] == 2
    c.litedfs ("lock", "list")
    c.litedfs ("cluster", "info")


def _deletes_work (c, names):
    for name in names:
        c.litedfs ("file", "delete", "-r", f"/many/{name}")
        c.litedfs ("file", "info", "-r", f"/many/{name}", expect=3)


def a_disk_below_its_reserve_takes_only_deletes_until_it_has_room ():
    with _Full () as (disk, c):
        disk.fill (leave=3 * MIB)
        _all_but_deletes_are_refused (c)
        _reads_work (c)
        _deletes_work (c, range (20))
        for daemon in c.daemons ():
            daemon.kill ()
        c.start ()
        _all_but_deletes_are_refused (c)
        _reads_work (c)
        _deletes_work (c, range (20, 40))
        assert os.path.getsize (os.path.join (disk.path, "ballast")) == 2 * MIB
        disk.empty ()
        c.litedfs ("directory", "rename", "-r", "/many", "-n", "more")
        c.upload_and_download ("h", MIB + 1)


def an_upload_under_way_when_the_disk_fills_up_is_committed ():
    with _Full () as (disk, c):
        upload = Upload (c, "/under-way")
        upload.send (MIB // 2)
        wait_for ("the lock", lambda: "under-way" in c.litedfs ("lock", "list"))
        disk.fill (leave=3 * MIB)
        status, err = upload.end ()
        assert status == 0, err
        got = c.litedfs_run ("file", "download", "-r", "/under-way", "-l", "-")
        assert got.stdout == upload.content


def deletes_work_on_a_disk_that_is_full_to_its_last_byte ():
    with _Full () as (disk, c):
        disk.fill ()
        assert disk.free () == 0
        _reads_work (c)
        _deletes_work (c, range (5))
        _all_but_deletes_are_refused (c)
        _deletes_work (c, range (5, 40))
        c.litedfs ("directory", "delete", "-r", "/d")
        wait_for ("the bytes of its file are gone", lambda: c.block_bytes () == 0)
        c.restart ()
        _deletes_work (c, range (40, 60))
        disk.empty ()
        c.upload_and_download ("h", MIB + 1)


def a_name_node_starts_on_a_disk_that_is_full_to_its_last_byte ():
    with _Full () as (disk, c):
        disk.fill ()
        for stop in ("stop", "kill"):
            for daemon in c.daemons ():
                getattr (daemon, stop) ()
            c.start ()
            disk.fill ()
            _reads_work (c)
        _all_but_deletes_are_refused (c)
        _deletes_work (c, range (5))


def without_any_ballast_everything_but_reads_is_refused_until_there_is_room ():
    with _Full (ballast_size=0) as (disk, c):
        disk.fill ()
        _all_but_deletes_are_refused (c)
        _reads_work (c)
        c.name.kill ()
        c.name.start ()
        c.wait_online (1)
        _all_but_deletes_are_refused (c)
        _reads_work (c)
        assert c.name.process.poll () is None
        disk.empty ()
        _deletes_work (c, range (5))
        c.upload_and_download ("h", MIB + 1)


def creates_that_fill_the_disk_leave_the_ballast_to_deletes ():
    with _Full (storage_preserve_space=0) as (disk, c), Raw (c.name) as name:
        disk.fill (leave=256 << 10)
        path = "/n" + "x" * 200
        made = name.all_of ([("file.create", {"path": f"{path}/{n}", "size": 0}) for n in range (8000)],
                            window=500)
        done = {str (n) for n, r in enumerate (made) if r["ok"]}
        refused = [r for r in made if not r["ok"]]
        assert done and refused, (len (done), len (refused))
        for reply in refused:
            assert reply["error"] == "no_space" and "full" in reply["message"], reply
        c.name.wait_log ("the ballast of 2097152 bytes is given up")
        assert disk.free () > MIB, disk.free ()
        c.name.kill ()
        c.name.start ()
        c.wait_online (1)
        listed = json.loads (c.litedfs ("directory", "list", "-r", path, "--json"))["entries"]
        assert {e["name"] for e in listed} == done
        _deletes_work (c, range (40))
        name.ok ("directory.delete", path=path)
        disk.empty ()
        c.upload_and_download ("h", MIB + 1)
        # The ballast comes back when there is room for it, at the latest with a start.
        c.restart ()
        assert os.path.getsize (os.path.join (disk.path, "ballast")) == 2 * MIB


run (globals ())
