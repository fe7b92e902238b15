# SPDX-License-Identifier: MIT
"""Block files that somebody has changed, cut or removed where there is no other copy, and an index that is
gone: a read gives the bytes that were written or an error that says what is wrong, never others."""
import json
import os
import shutil
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, run, same_content, wait_for  # noqa: E402

MIB = 1 << 20
SIZE = 3 * MIB + 70001


def _block_files (c, node, remote):
    """The files of a remote file's blocks, by index."""
    about = json.loads (c.litedfs ("file", "info", "-r", remote, "--json"))
    return [os.path.join (node.directory, "data", "blocks", b["id"][-2:], b["id"])
            for b in about["blocks"]]


def _flip (path, offset):
    """Change one bit; a negative offset counts from the end."""
    os.chmod (path, 0o600)
    with open (path, "r+b") as f:
        f.seek (offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
        byte = f.read (1)
        f.seek (-1, os.SEEK_CUR)
        f.write (bytes ([byte[0] ^ 0x10]))


def _refused (c, remote, content, *parts):
    """Downloads of it fail, with one line that has the parts; what reached stdout before is right, and
    no file is left or touched."""
    for target in ("new", "old"):
        local = c.path (target)
        if target == "old":
            with open (local, "w") as f:
                f.write ("was here")
        before = sorted (os.listdir (c.local))
        done = c.litedfs_run ("file", "download", "-r", remote, "-l", local, "--force")
        err = done.stderr.decode ()
        assert done.returncode == 1 and done.stdout == b"", done
        assert err.startswith (f"litedfs: file download[{remote}]: ") and err.count ("\n") == 1, err
        for part in parts:
            assert part in err, (part, err)
        assert sorted (os.listdir (c.local)) == before
    with open (c.path ("old")) as f:
        assert f.read () == "was here"
    os.unlink (c.path ("old"))
    done = c.litedfs_run ("file", "download", "-r", remote, "-l", "-")
    assert done.returncode == 1 and done.stderr.count (b"\n") == 1, done.stderr
    assert len (done.stdout) < len (content) and content.startswith (done.stdout), "wrong bytes"


def _check (c, remote, local):
    back = c.path ("back")
    c.litedfs ("file", "download", "-r", remote, "-l", back, "--force")
    assert same_content (local, back), remote
    os.unlink (back)


class _Files:
    """A cluster of one node with files to be damaged and one that is left alone."""

    def __init__ (self):
        self.cluster = Cluster (nodes=1, block_size=MIB)

    def __enter__ (self):
        c = self.cluster.__enter__ ()
        self.local, self.other = c.make_file ("f", SIZE), c.make_file ("other", SIZE, seed=1)
        c.litedfs ("file", "create", "-l", self.local, "-r", "/f")
        c.litedfs ("file", "create", "-l", self.other, "-r", "/other")
        with open (self.local, "rb") as f:
            self.content = f.read ()
        return self

    def __exit__ (self, *failure):
        return self.cluster.__exit__ (*failure)

    def anew (self):
        """/f again, with new blocks: the files of these.  What was damaged is never served again."""
        self.cluster.litedfs ("file", "delete", "-r", "/f")
        self.cluster.litedfs ("file", "create", "-l", self.local, "-r", "/f")
        return _block_files (self.cluster, self.cluster.data[0], "/f")

    def restart (self):
        """A node that has no file open."""
        assert self.cluster.data[0].stop () == 0
        self.cluster.data[0].start ()
        self.cluster.wait_online (1)


def a_flipped_bit_anywhere_in_a_block_is_an_error_and_never_a_wrong_byte ():
    with _Files () as x:
        c, node = x.cluster, x.cluster.data[0]
        for index, offset in ((0, 0), (1, 65535), (1, 65536), (2, MIB - 1), (3, 70000)):
            blocks = x.anew ()
            assert len (blocks) == 4
            _flip (blocks[index], offset)
            _refused (c, "/f", x.content, f"block {index} of the file cannot be read", "node 1")
            _check (c, "/other", x.other)
            x.restart ()
            _refused (c, "/f", x.content, f"block {index} of the file cannot be read", "node 1")
            name = os.path.basename (blocks[index])
            assert node.log ().count (f"block {name} is damaged and set aside") == 1, node.log ()


def a_damaged_trailer_is_an_error_and_never_a_wrong_byte ():
    with _Files () as x:
        c = x.cluster
        size = os.path.getsize (_block_files (c, c.data[0], "/f")[1])
        for offset in (MIB, MIB + 5, size - 40, size - 8, size - 1):
            block = x.anew ()[1]
            _flip (block, offset)
            x.restart ()
            _refused (c, "/f", x.content, "block 1 of the file cannot be read", "node 1")
            _check (c, "/other", x.other)


def a_block_file_that_is_cut_empty_or_gone_is_an_error_that_names_it ():
    with _Files () as x:
        c = x.cluster
        for size in (1 - MIB, MIB, 65536, 100, 0, None):
            for restart in (False, True):
                block = x.anew ()[2]
                if size is None:
                    os.unlink (block)
                else:
                    os.chmod (block, 0o600)
                    os.truncate (block, size if size >= 0 else os.path.getsize (block) - 1)
                if restart:
                    x.restart ()
                    _refused (c, "/f", x.content, "block 2 of the file cannot be read", "node 1")
                else:       # it may still have the file open, or its checksums
                    done = c.litedfs_run ("file", "download", "-r", "/f", "-l", "-")
                    assert done.returncode == 0 and done.stdout == x.content or \
                        done.returncode == 1 and x.content.startswith (done.stdout), done.stderr
                _check (c, "/other", x.other)


def two_blocks_files_that_were_swapped_are_an_error ():
    with _Files () as x:
        c, node = x.cluster, x.cluster.data[0]
        first, second = _block_files (c, node, "/f")[:2]
        assert node.stop () == 0
        os.rename (first, first + ".x")
        os.rename (second, first)
        os.rename (first + ".x", second)
        node.start ()
        c.wait_online (1)
        _refused (c, "/f", x.content)
        _check (c, "/other", x.other)


def an_index_that_is_gone_or_damaged_is_built_anew_and_all_files_are_there ():
    with _Files () as x:
        c, node = x.cluster, x.cluster.data[0]
        index = os.path.join (node.directory, "data", "index")

        def overwrite (what):
            for name in os.listdir (index):
                if name.startswith ("data"):
                    with open (os.path.join (index, name), "r+b") as f:
                        f.write (what)

        for harm in (lambda: shutil.rmtree (index), lambda: overwrite (os.urandom (16384)),
                     lambda: overwrite (bytes (16384)),
                     lambda: os.truncate (os.path.join (index, "data.mdb"), 0)):
            for stop in (node.stop, node.kill):
                stop ()
                harm ()
                node.start ()
                c.wait_online (1)
                _check (c, "/f", x.local)
                _check (c, "/other", x.other)
                wait_for ("it counts its blocks", lambda: c.info ()["online_nodes"][0]["blocks"] == 8)
        c.upload_and_download ("new", 2 * MIB)


def a_rebuild_leaves_out_what_is_damaged_and_keeps_it_for_people ():
    with _Files () as x:
        c, node = x.cluster, x.cluster.data[0]
        block = _block_files (c, node, "/f")[1]
        assert node.stop () == 0
        shutil.rmtree (os.path.join (node.directory, "data", "index"))
        _flip (block, -1)
        node.start ()
        c.wait_online (1)
        _check (c, "/other", x.other)
        _refused (c, "/f", x.content)
        damaged = os.path.join (node.directory, "data", "damaged", os.path.basename (block))
        assert os.path.exists (damaged) and not os.path.exists (block)
        node.wait_log ("1 damaged")


run (globals ())
