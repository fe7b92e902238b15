# SPDX-License-Identifier: MIT
"""litename --check: beside a name node that serves, on damage, and what it refuses.  (What it finds is shown by
its unit test; and every other system test ends with it.)"""
import os
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, program, read_file, run, run_to_end, tree  # noqa: E402


def _check (*arguments):
    return run_to_end (program ("litename"), "--check", *arguments)


def _is_one_line (outcome, status, part):
    assert outcome[0] == status and outcome[1] == "", outcome
    assert outcome[2].endswith ("\n") and outcome[2].count ("\n") == 1 and part in outcome[2], outcome


def all_is_well_while_files_come_and_go ():
    with Cluster (nodes=2, block_size=1 << 16) as c:
        c.litedfs ("directory", "create", "-r", "/a/b")
        c.upload_and_download ("x", 300000)
        writer = c.litedfs_start ("file", "create", "-l", c.make_file ("big", 30 << 20), "-r", "/big", "-R", "2")
        looks = 0
        while writer.poll () is None or looks < 3:
            status, out, err = _check ("-c", c.name.config)
            assert (status, err) == (0, "") and out.endswith (": 0 findings\n") and out.count ("\n") == 1, (out, err)
            looks += 1
        assert writer.wait () == 0
        c.litedfs ("file", "delete", "-r", "/big")
        status, out, err = _check ("-c", c.name.config)
        assert status == 0 and " 1 files, 3 directories" in out, out


def a_row_that_is_damaged_is_named_and_the_status_is_1_and_nothing_is_written ():
    with Cluster (nodes=1) as c:
        c.litedfs ("directory", "create", "-r", "/marked-so-that-it-is-found")
        c.name.stop ()
        path = os.path.join (c.name.get ("data_path"), "meta", "data.mdb")
        content = read_file (path)
        with open (path, "wb") as f:        # the name in the inode's row, and the keys of the entries
            f.write (content.replace (b"marked-so", b"marred-so"))
        before = tree (c.name.get ("data_path"), skip=("lock.mdb",))
        status, out, err = _check ("--data-path", c.name.get ("data_path"))
        lines = out.splitlines ()
        assert status == 1 and err == "", (status, out, err)
        assert any (line.startswith ("metadata row[inode 0000000000000002]: it cannot be read") for line in lines), out
        assert any (line.startswith ("metadata row[dirent ") for line in lines), out
        assert lines[-1].endswith (f": {len (lines) - 1} findings"), out
        assert tree (c.name.get ("data_path"), skip=("lock.mdb",)) == before
        c.checked = False


def what_is_no_name_nodes_data_is_refused_in_one_line ():
    with Cluster (nodes=1) as c:
        data = c.name.get ("data_path")
        _is_one_line (_check (), 2, "say either -c FILE or --data-path DIR")
        _is_one_line (_check ("-c", c.name.config, "--data-path", data), 2, "say either -c FILE or --data-path DIR")
        _is_one_line (_check ("-c", c.name.config, "--http-port", "1"), 2, "--http-port does not go with --check")
        _is_one_line (run_to_end (program ("litename"), "-c", c.name.config, "--data-path", data), 2,
                      "--data-path goes with --check")
        _is_one_line (_check ("--data-path", c.local), 1, "has no VERSION")
        _is_one_line (_check ("--data-path", c.path ("missing")), 1, "has no VERSION")
        assert os.listdir (c.local) == []
        _is_one_line (_check ("--data-path", c.data[0].get ("data_path")), 1, "not that of a name node")


run (globals ())
