# SPDX-License-Identifier: MIT
"""litename --backup makes a copy of the metadata while they are served; with it a name node whose data are lost
goes on: what the copy knows is read, what it does not know is left alone, and nothing is deleted until told."""
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, Disk, program, run, run_to_end, wait_for  # noqa: E402
from raw import Raw  # noqa: E402
from replicas import settled  # noqa: E402

MIB = 1 << 20


def _litename (*arguments):
    return run_to_end (program ("litename"), *arguments)


def _backup (c, target):
    status, out, err = _litename ("--backup", target, "-c", c.name.config)
    assert (status, err) == (0, "") and out.count ("\n") == 1, (status, out, err)
    status, out, err = _litename ("--check", "--data-path", target)
    assert status == 0, out + err


def _is_refused (outcome, part, status=1):
    assert outcome[0] == status and outcome[1] == "", outcome
    assert outcome[2].count ("\n") == 1 and part in outcome[2], outcome


def _put (c, path, content, replica=2):
    c.litedfs ("file", "create", "-l", "-", "-r", path, "-R", str (replica), input=content)


def _get (c, path):
    done = c.litedfs_run ("file", "download", "-r", path, "-l", "-")
    return done.stdout if done.returncode == 0 else None


def _names (c, path):
    return [line.split ()[-1] for line in c.litedfs ("directory", "list", "-r", path).splitlines ()]


class _Load:
    """A client that uploads one file after the other; content is that of those that were acknowledged."""

    def __init__ (self, c):
        self.c, self.content, self.stopped = c, {}, False
        self.thread = threading.Thread (target=self._run)

    def _run (self):
        while not self.stopped:
            path, content = f"/load/{len (self.content)}", os.urandom (100000)
            _put (self.c, path, content)
            self.content[path] = content

    def __enter__ (self):
        self.thread.start ()
        return self

    def __exit__ (self, *_):
        self.stopped = True
        self.thread.join ()


def _lose_and_restore (c, copy, **settings):
    """The name node dies and its data are gone; it is started on the copy."""
    data = c.name.get ("data_path")
    c.name.kill ()
    shutil.rmtree (data)
    shutil.copytree (copy, data)
    c.name.set (**settings)
    c.name.start ()
    c.wait_online (len (c.data))
    return data


def _epochs (c, path):
    with Raw (c.name) as name:
        return {block["id"] >> 40 for block in name.ok ("file.info", path=path)["blocks"]}


def a_name_node_that_lost_its_data_goes_on_with_a_copy ():
    with Cluster (nodes=3, block_size=MIB) as c:
        copy = os.path.join (c.root, "copies", "monday")
        before = {f"/before/{i}": os.urandom (MIB * i + 1000) for i in range (4)}
        for path, content in before.items ():
            _put (c, path, content)
            settled (c, path, content, 2)
        with _Load (c) as load:
            wait_for ("some files", lambda: len (load.content) > 2)
            loaded = dict (load.content)
            _backup (c, copy)
            count = len (load.content)
            wait_for ("some more files", lambda: len (load.content) > count + 2)
        after = os.urandom (3 * MIB)
        _put (c, "/after", after, 3)
        settled (c, "/after", after, 3)
        c.litedfs ("file", "delete", "-r", "/before/3")
        c.litedfs ("file", "move", "-s", "/before/2", "-t", "/")
        stored = c.block_bytes ()

        data = _lose_and_restore (c, copy, delete_delay="0.1")
        c.name.wait_log ("was put back from a copy: new blocks are of epoch 1,")
        assert not os.path.exists (os.path.join (data, "COPY"))
        assert _names (c, "/before") and _get (c, "/after") is None
        for path, content in {**before, **loaded}.items ():
            assert _get (c, path) == content, path
        for path, content in load.content.items ():
            assert _get (c, path) in (None, content), path
        c.name.wait_log ("that these metadata do not know")

        c.litedfs ("file", "delete", "-r", "/before/1")     # due after 0.1 s, and waits for the acceptance
        deleted = time.monotonic ()
        new = os.urandom (2 * MIB + 5)
        _put (c, "/new", new)
        while time.monotonic () < deleted + 2:              # ten times as long as it would take
            assert _get (c, "/new") == new
        settled (c, "/new", new, 2)
        assert _epochs (c, "/new") == {1} and _epochs (c, "/before/2") == {0}
        assert c.block_bytes () >= stored + 2 * len (new), "something was deleted"

        _is_refused (_litename ("--accept-restore", "-c", c.name.config), "uses it")
        c.name.stop ()
        status, out, err = _litename ("--accept-restore", "-c", c.name.config)
        assert status == 0 and "from the next start on" in out, (out, err)
        c.name.start ()
        c.wait_online (3)
        wait_for ("what was deleted goes", lambda: c.block_bytes () <
                  stored + 2 * len (new) - 2 * len (before["/before/1"]) + MIB)
        _put (c, "/newer", new)
        assert _epochs (c, "/newer") == {1}, "the epoch rose again"
        for path, content in {**before, **loaded, "/new": new}.items ():
            assert path == "/before/1" or _get (c, path) == content, path
        assert c.block_bytes () >= 3 * len (after), "blocks that the copy does not know were deleted"
        c.name.stop ()
        status, out, _ = _litename ("--accept-restore", "-c", c.name.config)
        assert status == 0 and "nothing was changed" in out, out


def a_copy_that_was_put_back_by_hand_is_noticed_when_data_nodes_register ():
    with Cluster (nodes=2, block_size=MIB) as c:
        content = os.urandom (MIB + 7)
        _put (c, "/kept", content)
        settled (c, "/kept", content, 2)
        copy = os.path.join (c.root, "copy")
        _backup (c, copy)
        os.unlink (os.path.join (copy, "COPY"))
        _put (c, "/later", content)
        settled (c, "/later", content, 2)
        _lose_and_restore (c, copy, delete_delay="0")
        c.name.wait_log ("metadata were restored from a copy; new blocks are of epoch 1")
        assert _get (c, "/kept") == content
        _put (c, "/later", content)
        assert _epochs (c, "/later") == {1}
        settled (c, "/later", content, 2)
        wait_for ("each node has all", lambda: c.block_bytes () >= 6 * len (content))
        c.name.stop ()
        assert _litename ("--accept-restore", "-c", c.name.config)[0] == 0


def copies_are_made_by_themselves_and_the_last_ones_kept ():
    with Cluster (nodes=1, name_settings={"backup_interval": "1", "backup_keep": "2"}) as c:
        c.upload_and_download ("x")
        copies = os.path.join (c.name.get ("data_path"), "backup")
        first = wait_for ("a copy", lambda: os.path.isdir (copies) and
                          [name for name in os.listdir (copies) if "." not in name])[0]
        wait_for ("the first one goes", lambda: not os.path.exists (os.path.join (copies, first)))
        c.name.wait_log (r"metadata copied: .*/backup/[0-9]{8}-[0-9]{6}: a copy of ")
        c.name.set (backup_interval="0")
        assert c.name.stop () == 0
        names = os.listdir (copies)
        assert 2 <= len (names) <= 3 and not [name for name in names if "." in name], names
        for name in names:
            status, out, err = _litename ("--check", "--data-path", os.path.join (copies, name))
            assert status == 0 and " 1 files" in out, out + err
        c.name.start ()         # with copies in it
        c.wait_online (1)
        c.upload_and_download ("y")


def what_cannot_be_copied_is_said_in_one_line_and_nothing_is_left ():
    with Disk ("64k") as small, Cluster (nodes=1) as c:
        target = os.path.join (c.root, "copy")
        _is_refused (_litename ("--backup", os.path.join (small.path, "copy"), "-c", c.name.config), "no room for it")
        assert os.listdir (small.path) == []
        _is_refused (_litename ("--backup", c.name.get ("data_path"), "-c", c.name.config), "not empty")
        _is_refused (_litename ("--backup", target), "say either -c FILE or --data-path DIR", 2)
        _is_refused (_litename ("--backup", target, "--data-path", c.local), "has no VERSION")
        c.name.set (backup_bandwidth="64K")
        copying = subprocess.Popen ([program ("litename"), "--backup", target, "-c", c.name.config],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_for ("it copies", lambda: os.path.exists (target + ".partial/meta/data.mdb"))
        _is_refused (_litename ("--backup", target, "-c", c.name.config), "uses it")
        copying.send_signal (signal.SIGTERM)
        out, err = copying.communicate ()
        _is_refused ((copying.returncode, out.decode (), err.decode ()), "it was given up")
        assert not [name for name in os.listdir (c.root) if name.startswith ("copy")]
        copying = subprocess.Popen ([program ("litename"), "--backup", target, "-c", c.name.config],
                                    stdout=subprocess.DEVNULL)
        wait_for ("it copies", lambda: os.path.exists (target + ".partial/meta/data.mdb"))
        copying.kill ()
        copying.wait ()
        _backup (c, target)


run (globals ())
