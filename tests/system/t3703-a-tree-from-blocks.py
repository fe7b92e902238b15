# SPDX-License-Identifier: MIT
"""All metadata are lost and there is no copy: litedata --list-blocks and litename --rebuild."""
import os
import shutil
import subprocess
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, http_get, program, run, run_to_end  # noqa: E402
from replicas import settled  # noqa: E402

MIB = 1 << 20


def _put (c, path, content, replica):
    c.litedfs ("file", "create", "-l", "-", "-r", path, "-R", str (replica), input=content)


def _list (daemon):
    """What litedata --list-blocks prints, beside the data node that runs."""
    done = subprocess.run ([program ("litedata"), "--list-blocks", "-c", daemon.config], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout, done.stderr.decode ()


def _rebuild (c, lists):
    done = subprocess.run ([program ("litename"), "--rebuild", "-c", c.name.config], input=lists,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout.decode (), done.stderr.decode ()


def a_tree_is_made_again_from_what_data_nodes_have ():
    with Cluster (nodes=3, block_size=MIB) as c:
        files = {"/a/one": (os.urandom (5), 1), "/a/b c/Ä%": (os.urandom (4 * MIB + 77), 2),
                 "/three": (os.urandom (2 * MIB), 3)}
        for path, (content, replica) in files.items ():
            _put (c, path, content, replica)
            settled (c, path, content, replica)
        data = c.name.get ("data_path")
        cluster = http_get (c.name.http_port, "/cluster/endpoint")
        lists = [_list (daemon) for daemon in c.data]
        assert all (status == 0 and err == "" for status, _, err in lists), lists
        lists = b"".join (text for _, text, _ in lists)
        status, out, err = _rebuild (c, lists)
        assert status == 1 and "move it away first" in err, out + err
        c.name.kill ()
        shutil.rmtree (data)
        status, out, err = _rebuild (c, lists[:-2])
        assert status == 1 and err.count ("\n") == 1 and not os.path.exists (data), out + err
        assert not os.path.exists (data + ".partial")

        status, out, err = _rebuild (c, lists)
        assert status == 0 and ": 3 files are there again, 0 under another name, 0 are incomplete" in out, out + err
        status, out, err = run_to_end (program ("litename"), "--check", "-c", c.name.config)
        assert status == 0, out + err
        c.name.start ()
        c.name.wait_log ("nothing is deleted on data nodes until litename --accept-restore")
        c.wait_online (3)
        assert http_get (c.name.http_port, "/cluster/endpoint") == cluster
        for path, (content, replica) in files.items ():
            settled (c, path, content, replica)
        _put (c, "/new", files["/three"][0], 2)
        settled (c, "/new", files["/three"][0], 2)


def a_file_that_is_damaged_on_a_data_node_is_said_and_the_rest_listed ():
    with Cluster (nodes=1, block_size=MIB) as c:
        _put (c, "/two", os.urandom (MIB + 5), 1)
        blocks = os.path.join (c.data[0].get ("data_path"), "blocks")
        path = [os.path.join (below, name) for below, _, names in os.walk (blocks) for name in names][0]
        with open (path, "r+b") as f:
            f.truncate (os.path.getsize (path) - 3)
        status, text, err = _list (c.data[0])
        assert status == 1 and err.count ("\n") == 1 and os.path.basename (path) in err, err
        assert text.endswith (b"end 1\n"), text
        status, text, err = run_to_end (program ("litedata"), "--list-blocks")
        assert status == 2 and "needs -c FILE" in err, err


run (globals ())
