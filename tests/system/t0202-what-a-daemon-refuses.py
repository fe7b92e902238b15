# SPDX-License-Identifier: MIT
"""A start that cannot work is one clear line and a status that is not 0, and changes nothing."""
import os
import re
import shutil
import socket
import subprocess
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, Skip, free_port, http_get, run, tree, wait_for  # noqa: E402

KEYS = {"litename": ("http_port", "tcp_port"), "litedata": ("http_port", "tcp_port")}


class _Stopped (Cluster):
    """A name node and a data node that are configured and have not run."""

    def __init__ (self):
        super ().__init__ (nodes=1, start=False)

    def data_path (self, daemon):
        return os.path.join (daemon.directory, "data")


def _refused_and_nothing_changed (daemon, *parts):
    """As Daemon.refused, and what is on the disk stays as it was, but for the log."""
    before = tree (daemon.directory, skip=(daemon.name + ".log",))
    before.setdefault ("logs", None)
    line = daemon.refused (*parts)
    assert tree (daemon.directory, skip=(daemon.name + ".log",)) == before, "something was changed"
    text = line.split (": ", 1)[1].strip ()
    assert text in daemon.log (), f"the log does not say it: {text}"
    return line


def a_port_that_is_taken_is_named_with_its_key_and_nothing_is_left_running ():
    with _Stopped () as c:
        for daemon in c.daemons ():
            daemon.start ()
            assert daemon.stop () == 0  # so that its data are there
            for key in KEYS[daemon.name]:
                with socket.socket () as s:
                    s.bind (("127.0.0.1", int (daemon.get (key))))
                    s.listen ()
                    daemon.refused (daemon.get (key), "taken by another", key.split ("_")[0] + "|bind")
            daemon.start ()


def an_address_that_is_not_of_this_machine_is_named ():
    with _Stopped () as c:
        for daemon in c.daemons ():
            for key in ("http_host", "tcp_host"):
                for host in ("192.0.2.1", "nonsense..", "300.1.1.1"):
                    daemon.set (**{key: host})
                    daemon.refused (re.escape (host))
                daemon.set (**{key: "0.0.0.0"})


def a_data_path_or_log_path_below_a_file_is_named ():
    with _Stopped () as c:
        for daemon in c.daemons ():
            file = c.make_file (daemon.name, 10)
            daemon.set (data_path=os.path.join (file, "data"))
            _refused_and_nothing_changed (daemon, re.escape (file), "Not a directory", "data_path|make directory")
            daemon.set (data_path=file)
            _refused_and_nothing_changed (daemon, re.escape (file), "Not a directory|not a directory")
            daemon.set (data_path=os.path.join (daemon.directory, "data"), log_path=os.path.join (file, "logs"))
            daemon.refused (re.escape (file), "Not a directory")
            assert not os.path.exists (c.data_path (daemon))


def a_data_path_on_a_read_only_disk_is_named ():
    with _Stopped () as c:
        for daemon in c.daemons ():
            disk = c.path ("disk-" + daemon.name)
            os.mkdir (disk)
            if subprocess.run (["mount", "-t", "tmpfs", "-o", "ro,size=1m", "none", disk],
                               stderr=subprocess.DEVNULL).returncode != 0:
                raise Skip ("mounting is not permitted here")
            try:
                daemon.set (data_path=os.path.join (disk, "data"))
                daemon.refused (re.escape (disk), "Read-only file system")
            finally:
                subprocess.run (["umount", disk], check=True)


def a_data_path_that_may_not_be_written_is_named ():
    if os.geteuid () == 0:
        raise Skip ("root may write everywhere")
    with _Stopped () as c:
        for daemon in c.daemons ():
            os.mkdir (c.data_path (daemon), 0o500)
            daemon.refused (re.escape (c.data_path (daemon)), "Permission denied")


def a_data_path_with_other_things_in_it_is_left_alone ():
    with _Stopped () as c:
        for daemon in c.daemons ():
            os.mkdir (c.data_path (daemon))
            for name in ("thesis.txt", ".hidden", "blocks", "two\nlines \x1b[31m"):
                with open (os.path.join (c.data_path (daemon), name), "w") as f:
                    f.write ("mine\n")
                _refused_and_nothing_changed (daemon, re.escape (c.data_path (daemon)), "VERSION", "empty directory")
                os.unlink (os.path.join (c.data_path (daemon), name))
            daemon.start ()  # an empty one is taken


def data_of_a_newer_layout_or_of_the_other_daemon_are_left_alone ():
    with _Stopped () as c:
        c.start ()
        c.upload_and_download ("f")
        assert [daemon.stop () for daemon in c.daemons ()] == [0, 0]
        for daemon, other in ((c.name, c.data[0]), (c.data[0], c.name)):
            path = os.path.join (c.data_path (daemon), "VERSION")
            with open (path) as f:
                text = f.read ()
            with open (os.path.join (c.data_path (other), "VERSION")) as f:
                others = f.read ()
            newer, found = re.subn (r"(?m)^layout 1$", "layout 999", text)
            assert found == 1, text
            wrong = [(newer, "999.*newer|newer.*999"), (others, "node"), ("", "VERSION"), ("\0\xff" * 999, "VERSION"),
                     (text.replace ("layout 1", "layout x"), "layout"), (text[:len (text) // 3], "VERSION")]
            for content, part in wrong:
                with open (path, "w", encoding="latin-1") as f:
                    f.write (content)
                _refused_and_nothing_changed (daemon, re.escape (c.data_path (daemon)), part)
            # A layout that is to come may have other lines.
            with open (path, "w") as f:
                f.write (newer + "something new\n")
            _refused_and_nothing_changed (daemon, "999.*newer|newer.*999")
            with open (path, "w") as f:
                f.write (text)
        c.start ()
        c.litedfs ("file", "download", "-r", "/f", "-l", c.path ("again"))


def a_second_daemon_on_the_same_data_is_refused_and_the_first_goes_on ():
    with _Stopped () as c:
        c.start ()
        for daemon in c.daemons ():
            first = daemon.config
            daemon.config = os.path.join (daemon.directory, "second.yml")
            shutil.copy (first, daemon.config)
            daemon.set (http_port=free_port (), tcp_port=free_port (), log_path=c.path ("logs2"))
            if daemon.name == "litedata":
                daemon.set (chain_port=free_port ())
            daemon.refused (re.escape (c.data_path (daemon)), rf"\b{daemon.process.pid}\b")
            daemon.config = first
        c.upload_and_download ("f")


def metadata_that_are_lost_are_not_made_anew ():
    with _Stopped () as c:
        c.checked = False
        c.name.start ()
        assert c.name.stop () == 0
        shutil.rmtree (os.path.join (c.data_path (c.name), "meta"))
        c.name.refused (re.escape (c.data_path (c.name)), "lost")


def a_data_node_with_the_disk_of_another_cluster_ends_and_says_which ():
    with Cluster (nodes=1) as theirs, Cluster (nodes=0) as ours:
        theirs.upload_and_download ("f")
        node = theirs.data[0]
        assert node.stop () == 0
        before = tree (os.path.join (node.directory, "data", "blocks"))
        node.set (name_http_port=ours.name.http_port)
        line = node.refused ("cluster", re.escape (os.path.join (node.directory, "data")), theirs.info ()["cluster"],
                             ours.info ()["cluster"])
        assert line.split (": ", 1)[1].strip () in node.log ()
        assert ours.info ()["number_of_nodes"] == 0
        assert tree (os.path.join (node.directory, "data", "blocks")) == before
        node.set (name_http_port=theirs.name.http_port)
        node.start ()
        theirs.wait_online (1)
        theirs.litedfs ("file", "download", "-r", "/f", "-l", theirs.path ("again"))


def a_data_node_whose_name_node_becomes_another_one_keeps_trying_and_says_so ():
    with Cluster (nodes=1, data_settings={"retry_interval": "0.2"}) as c:
        c.data[0].wait_log ("registered with .* of cluster ")  # online is said before it has its answer
        assert c.name.stop () == 0
        os.rename (os.path.join (c.name.directory, "data"), c.path ("away"))
        c.name.start ()
        c.data[0].wait_log ("belongs to cluster .*, and this is the name node of cluster ")
        assert http_get (c.data[0].http_port)[0] == 200
        assert c.name.stop () == 0
        shutil.rmtree (os.path.join (c.name.directory, "data"))
        os.rename (c.path ("away"), os.path.join (c.name.directory, "data"))
        c.name.start ()
        c.wait_online (1)


def a_data_node_with_a_copied_disk_does_not_evict_its_twin ():
    with Cluster (nodes=1, data_settings={"retry_interval": "0.2"}) as c:
        c.upload_and_download ("f")
        node = c.data[0]
        assert node.stop () == 0
        twin = c.add_node ()
        shutil.copytree (os.path.join (node.directory, "data"), os.path.join (twin.directory, "data"))
        node.start ()
        c.wait_status (node, "online")
        twin.start ()
        twin.wait_log ("another data node with this identity is connected .*data_path of its own")
        tries = twin.log ().count ("identity")
        c.data.remove (twin)
        try:
            assert c.node (node)["status"] == "online" and c.node (twin) is None
            assert c.info ()["number_of_nodes"] == 1
            c.litedfs ("file", "download", "-r", "/f", "-l", c.path ("again"))
            assert twin.log ().count ("identity") <= tries + 1, "it fills the log"
            assert node.stop () == 0  # then the copy is as good as the original
            wait_for ("the copy takes its place", lambda: c.node (twin))
            c.litedfs ("file", "download", "-r", "/f", "-l", c.path ("from-twin"))
            assert twin.stop () == 0
        finally:
            twin.kill ()


run (globals ())
