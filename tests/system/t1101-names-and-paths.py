# SPDX-License-Identifier: MIT
"""The tree through the command and the raw protocol: any name that is one comes back byte for byte,
others are refused and change nothing; listings are ordered and paged; moves, renames and deletes keep
ids and totals right."""
import json
import os
import random
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, Upload, run, wait_for  # noqa: E402
from raw import Raw, Writer  # noqa: E402

MIB = 1 << 20
SOON = {"delete_delay": "0.2"}

ODD = ["new\nline", "\n", "tab\there", "\r", "esc\x1b[31mred\x1b[0m", "\x01", "\x7f", "c1\x85\x9b",
       "quote'\"`$(reboot);&&|", "\\", "back\\slash\\n", "%s%n%d%", "*", "?", "[a]", " ", " x ", "#",
       "-", "-r", "--help", "--", "...", ".hidden", "..x", "日本語", "ｗｉｄｅ", "e\u0301", "é", "\u0301",
       "👩‍👩‍👧", "🎉", "\u202eright", "\ufeff", "\u00a0", "\U0010ffff", "a" * 255, "é" * 127 + "x",
       "日" * 85, "~", "|", " | ", "null", "con:", "A", "a", "B", "Z", "z"]


def _json (c, *arguments):
    return json.loads (c.litedfs (*arguments, "--json"))


def _names (c, path, *arguments):
    return [e["name"] for e in _json (c, "directory", "list", "-r", path, *arguments)["entries"]]


def _bytewise (names):
    return sorted (names, key=lambda name: name.encode ())


def _walk (c, path="/"):
    """Everything below a path: {path: (type, id, size)}."""
    out = {}
    for entry in _json (c, "directory", "list", "-r", path)["entries"]:
        below = path.rstrip ("/") + "/" + entry["name"]
        out[below] = entry["type"], entry["id"], entry["size"]
        if entry["type"] == "directory":
            out.update (_walk (c, below))
    return out


def files_of_any_name_come_back_byte_for_byte ():
    with Cluster (nodes=1) as c:
        assert len (set (ODD)) == len (ODD)
        for number, name in enumerate (ODD):
            content = f"{number} {name}".encode ()
            said = c.litedfs ("file", "create", "-l", "-", "-r", "/odd/" + name, input=content)
            assert said.count ("\n") == 1 and said.endswith ("] success\n"), said
        assert _names (c, "/odd") == _bytewise (ODD)
        for number, name in enumerate (ODD):
            got = c.litedfs_run ("file", "download", "-r", "/odd/" + name, "-l", "-")
            assert got.stdout == f"{number} {name}".encode (), (name, got)
        c.restart ()
        assert _names (c, "/odd") == _bytewise (ODD)
        with Raw (c.name) as raw:
            for name in ODD:
                assert raw.ok ("file.info", path="/odd/" + name)["path"] == "/odd/" + name
                raw.ok ("file.delete", path="/odd/" + name)
        assert _names (c, "/odd") == []


def directories_of_any_name_hold_files_and_are_renamed_and_moved ():
    with Cluster (nodes=0) as c:
        c.litedfs ("directory", "create", "-r", "/to")
        for name in ODD:
            c.litedfs ("file", "create", "-l", "/dev/null", "-r", f"/{name}/empty")
            c.litedfs ("directory", "rename", "-r", "/" + name, "-n", name[:1] + "2")
            c.litedfs ("directory", "rename", "-r", f"/{name[:1]}2", "--new-name=" + name)
            c.litedfs ("directory", "move", "-s", "/" + name, "-t", "/to")
        assert _names (c, "/") == ["to"]
        assert _names (c, "/to") == _bytewise (ODD)
        about = _json (c, "path", "info", "-r", "/")
        assert (about["files"], about["directories"]) == (len (ODD), len (ODD) + 1), about
        c.litedfs ("directory", "delete", "-r", "/to")
        assert _names (c, "/") == []


def a_table_has_one_line_an_entry_and_nothing_in_it_drives_a_terminal ():
    with Cluster (nodes=0) as c:
        with Raw (c.name) as name:
            for odd in ODD:
                name.ok ("file.create", path="/t/" + odd, size=0)
        out = c.litedfs ("directory", "list", "-r", "/t")
        assert out.count ("\n") == len (ODD) + 1, out
        assert not any (ord (x) < 0x20 or 0x7f <= ord (x) < 0xa0 for x in out if x != "\n"), out
        assert "new\\nline" in out and "esc\\x1b[31mred\\x1b[0m" in out and "tab\\there" in out
        failed = c.litedfs_run ("file", "info", "-r", "/t/no\x1b[31m\nsuch")
        assert failed.returncode == 3 and failed.stdout == b"", failed
        assert failed.stderr.count (b"\n") == 1 and b"\x1b" not in failed.stderr, failed.stderr


def a_path_of_4096_bytes_works_and_one_byte_more_is_refused ():
    with Cluster (nodes=1) as c:
        directory = ("/" + "d" * 255) * 15
        path = directory + "/" + "f" * 255
        assert len (path) == 4096
        c.litedfs ("file", "create", "-l", "-", "-r", path, input=b"deep")
        assert c.litedfs ("file", "download", "-r", path, "-l", "-") == "deep"
        assert _json (c, "file", "info", "-r", path)["path"] == path
        assert _names (c, directory) == ["f" * 255]
        before = _walk (c)
        for longer in (directory + "/" + "f" * 254 + "/x", path + "/", "/" * 4097, "/" + "é" * 2048):
            assert len (longer.encode ()) == 4097
            for verb in ("info", "delete"):
                c.litedfs ("file", verb, "-r", longer, expect=1)
            c.litedfs ("file", "create", "-l", "/dev/null", "-r", longer, expect=1)
            c.litedfs ("directory", "create", "-r", longer, expect=1)
            with Raw (c.name) as name:
                name.refused ("invalid", "file.create", path=longer, size=0)
        # A directory may not be moved to where its own path would be too long.
        c.litedfs ("directory", "create", "-r", "/" + "m" * 255)
        c.litedfs ("directory", "move", "-s", "/" + "m" * 255, "-t", directory)
        c.litedfs ("directory", "create", "-r", "/top/" + "n" * 255)
        c.litedfs ("directory", "move", "-s", "/top", "-t", directory + "/" + "m" * 255, expect=1)
        c.litedfs ("directory", "delete", "-r", "/top")
        c.litedfs ("directory", "delete", "-r", directory + "/" + "m" * 255)
        assert _walk (c) == before


def what_is_no_name_is_refused_and_changes_nothing ():
    with Cluster (nodes=0) as c:
        c.litedfs ("directory", "create", "-r", "/d/e")
        c.litedfs ("file", "create", "-l", "/dev/null", "-r", "/d/f")
        before = _walk (c)
        bad = [".", "..", "x" * 256, "é" * 128, b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"a\x80"]
        for name in bad:
            raw = name if isinstance (name, bytes) else name.encode ()
            for path in (b"/" + raw, b"/d/" + raw + b"/x"):
                c.litedfs ("directory", "create", "-r", path, expect=1)
                c.litedfs ("file", "create", "-l", "/dev/null", "-r", path, expect=1)
                c.litedfs ("file", "info", "-r", path, expect=1)
            for noun, path in (("file", "/d/f"), ("directory", "/d/e")):
                c.litedfs (noun, "rename", "-r", path, "-n", raw, expect=1)
                c.litedfs (noun, "move", "-s", path, "-t", b"/" + raw, expect=1)
        with Raw (c.name) as name:
            for text in ("nul\0inside", "\0", *(os.fsdecode (b) for b in bad if isinstance (b, bytes))):
                name.refused ("invalid", "directory.create", path="/" + text)
                name.refused ("invalid", "file.create", path="/d/" + text, size=0)
                name.refused ("invalid", "directory.list", path="/" + text)
                name.refused ("invalid", "file.rename", path="/d/f", name=text)
            for path in ("", "d", "d/f", "./d", " /d"):
                name.refused ("invalid", "path.info", path=path)
                name.refused ("invalid", "directory.create", path=path)
            for text in ("", "a/b", "/", "/a", "a/"):
                name.refused ("invalid", "file.rename", path="/d/f", name=text)
            name.refused ("invalid", "directory.create", path=b"/bytes-are-not-text")
        assert _walk (c) == before


def slashes_that_say_nothing_do_not_count ():
    with Cluster (nodes=1) as c:
        c.litedfs ("directory", "create", "-r", "//a///b/")
        c.litedfs ("file", "create", "-l", "-", "-r", "/a//b///f", input=b"bytes")
        assert c.litedfs ("file", "download", "-r", "//a/b/f", "-l", "-") == "bytes"
        assert _names (c, "//a/b//") == ["f"]
        assert _names (c, "///") == ["a"]
        c.litedfs ("directory", "rename", "-r", "/a/b/", "-n", "c")
        c.litedfs ("file", "move", "-s", "//a/c//f", "-t", "/a/")
        assert _names (c, "/a") == ["c", "f"]
        c.litedfs ("directory", "delete", "-r", "/a//")


def a_listing_has_directories_then_files_each_bytewise ():
    with Cluster (nodes=0) as c:
        files = _bytewise (["a", "A", "é", "e\u0301", "a0", "a!", "a\u00ff", "日", "~", "\U00010000",
                            "\uffee", "0", "00", "b" * 200, "b" * 199])
        directories = [name + "-d" for name in files]
        mixed = [("file.create", {"path": "/l/" + n, "size": 0}) for n in files] + \
                [("directory.create", {"path": "/l/" + n}) for n in directories]
        random.Random (7).shuffle (mixed)
        with Raw (c.name) as name:
            assert all (r["ok"] for r in name.all_of (mixed))
        assert _names (c, "/l") == _bytewise (directories) + files
        assert _names (c, "/l", "-f") == files
        assert _names (c, "/l", "-d") == _bytewise (directories)
        assert _names (c, "/l", "-f", "-d") == _bytewise (directories) + files


def _pages (c, size, *arguments):
    out, offset = [], 0
    while True:
        listed = _json (c, "directory", "list", "-r", "/many", "-o", str (offset), "-l", str (size),
                        *arguments)
        assert listed["offset"] == offset
        if not listed["entries"]:
            return out
        out += listed["entries"]
        offset += size


def pages_of_3000_entries_make_the_whole ():
    directories = [f"d{n:05}" for n in range (1200)]
    files = [f"f{n:05}-{'x' * (n % 180)}" for n in range (1800)]
    with Cluster (nodes=0) as c:
        with Raw (c.name) as name:
            made = name.all_of ([("directory.create", {"path": "/many/" + n}) for n in directories] +
                                [("file.create", {"path": "/many/" + n, "size": 0}) for n in files])
            assert all (r["ok"] for r in made)
            whole = _json (c, "directory", "list", "-r", "/many")
            assert [e["name"] for e in whole["entries"]] == directories + files
            assert whole["total"] == 3000
            for size in (271, 1000, 2999, 3000, 5000):
                assert _pages (c, size) == whole["entries"], size
            assert [e["name"] for e in _pages (c, 700, "-f")] == files
            assert [e["name"] for e in _pages (c, 700, "-d")] == directories
            assert _names (c, "/many", "-o", "1190", "-l", "20") == directories[1190:] + files[:10]
            assert _names (c, "/many", "-f", "-o", "1799") == files[1799:]
            assert _names (c, "/many", "-o", "3000") == []

            # The table numbers by the offset; a cursor goes on where the page before ended.
            line = c.litedfs ("directory", "list", "-r", "/many", "-o", "99", "-l", "1").splitlines ()[1]
            assert line.startswith ("100 |") and "d00099" in line, line
            for limit in (0, 613):
                listed, cursor, pages = [], {}, 0
                while pages == 0 or cursor:
                    page = name.ok ("directory.list", path="/many", limit=limit, **cursor)
                    assert page["entries"], "an empty page"
                    listed += [e["name"] for e in page["entries"]]
                    cursor = {"cursor": page["cursor"]} if "cursor" in page else {}
                    pages += 1
                assert listed == directories + files, limit
                assert pages > 1
            name.refused ("invalid", "directory.list", path="/many", cursor=b"nonsense")
            # An entry that goes while one pages takes no other with it.
            page = name.ok ("directory.list", path="/many", limit=10)
            name.ok ("directory.delete", path="/many/d00009")
            name.ok ("directory.delete", path="/many/d00000")
            page = name.ok ("directory.list", path="/many", limit=1, cursor=page["cursor"])
            assert page["entries"][0]["name"] == "d00010"


def moves_that_cannot_be_are_refused_and_change_nothing ():
    with Cluster (nodes=0) as c:
        for path in ("/a/b/c", "/x/b", "/e"):
            c.litedfs ("directory", "create", "-r", path)
        for path in ("/a/f", "/e/f", "/x/a"):
            c.litedfs ("file", "create", "-l", "/dev/null", "-r", path)
        before = _walk (c)
        wrong = [
            (1, "directory", "move", "-s", "/a", "-t", "/a"),
            (1, "directory", "move", "-s", "/a", "-t", "/a/b"),
            (1, "directory", "move", "-s", "/a", "-t", "/a/b/c"),
            (1, "directory", "move", "-s", "/a", "-t", "//a//b/"),
            (4, "directory", "move", "-s", "/a/b", "-t", "/x"),     # a directory b is there
            (4, "directory", "move", "-s", "/a", "-t", "/x"),       # a file a is there
            (4, "file", "move", "-s", "/a/f", "-t", "/e"),
            (4, "file", "move", "-s", "/a/f", "-t", "/a"),
            (1, "directory", "move", "-s", "/", "-t", "/a"),
            (1, "directory", "rename", "-r", "/", "-n", "r"),
            (1, "directory", "delete", "-r", "/"),
            (1, "file", "delete", "-r", "/"),
            (1, "file", "move", "-s", "/a/b", "-t", "/e"),          # not a file
            (1, "directory", "move", "-s", "/a/f", "-t", "/x"),     # not a directory
            (1, "file", "rename", "-r", "/a/b", "-n", "y"),
            (1, "directory", "rename", "-r", "/a/f", "-n", "y"),
            (1, "file", "delete", "-r", "/a/b"),
            (1, "directory", "delete", "-r", "/a/f"),
            (1, "file", "move", "-s", "/a/f", "-t", "/e/f"),        # the target is a file
            (1, "file", "move", "-s", "/a/f/g", "-t", "/x"),        # a file in the middle
            (3, "file", "move", "-s", "/a/none", "-t", "/x"),
            (3, "file", "move", "-s", "/a/f", "-t", "/none"),
            (3, "directory", "move", "-s", "/none", "-t", "/x"),
            (3, "directory", "delete", "-r", "/none"),
            (3, "file", "delete", "-r", "/a/none"),
            (4, "file", "rename", "-r", "/a/f", "-n", "b"),
            (4, "directory", "rename", "-r", "/a/b", "-n", "f"),
            (4, "directory", "create", "-r", "/a/f"),
            (1, "directory", "create", "-r", "/a/f/below"),
            (1, "file", "create", "-l", "/dev/null", "-r", "/a/b"),
        ]
        for status, *arguments in wrong:
            done = c.litedfs_run (*arguments)
            assert done.returncode == status, (arguments, done)
            assert done.stdout == b"" and done.stderr.count (b"\n") == 1, (arguments, done)
        assert _walk (c) == before


def a_file_keeps_its_id_and_its_bytes_through_moves_and_renames ():
    with Cluster (nodes=1) as c:
        c.litedfs ("file", "create", "-l", "-", "-r", "/a/b/f", input=b"the same bytes")
        c.litedfs ("directory", "create", "-r", "/t")
        first = _json (c, "file", "info", "-r", "/a/b/f")
        c.litedfs ("file", "rename", "-r", "/a/b/f", "-n", "g")
        c.litedfs ("file", "rename", "-r", "/a/b/g", "-n", "g")
        c.litedfs ("file", "move", "-s", "/a/b/g", "-t", "/a")
        c.litedfs ("directory", "move", "-s", "/a", "-t", "/t")
        c.litedfs ("directory", "rename", "-r", "/t/a", "-n", "z")
        c.litedfs ("file", "info", "-r", "/a/b/f", expect=3)
        last = _json (c, "file", "info", "-r", "/t/z/g")
        assert last["path"] == "/t/z/g"
        for key in ("id", "size", "checksum", "ctime", "blocks"):
            assert last[key] == first[key], key
        assert c.litedfs ("file", "download", "-r", "/t/z/g", "-l", "-") == "the same bytes"
        with Raw (c.name) as name:
            assert name.ok ("file.info", file=first["id"])["path"] == "/t/z/g"
            c.litedfs ("file", "delete", "-r", "/t/z/g")
            name.refused ("not_found", "file.info", file=first["id"])
        c.litedfs ("file", "create", "-l", "-", "-r", "/a/b/f", input=b"the same bytes")
        assert _json (c, "file", "info", "-r", "/a/b/f")["id"] != first["id"]


class _Model:
    """What the tree should be: {path: size, or None for a directory}."""

    def __init__ (self):
        self.tree = {"/": None}

    def below (self, path):
        return [p for p in self.tree if p != path and (p + "/").startswith (path.rstrip ("/") + "/")]

    def parents (self, path):
        at = path
        while at != "/":
            at = os.path.dirname (at)
            yield at

    def put (self, path, size):
        """None: a directory.  Whether the cluster should take it."""
        if path in self.tree:
            return self.tree[path] is None and size is None
        if any (self.tree.get (p) is not None for p in self.parents (path)):
            return False
        for parent in self.parents (path):
            self.tree.setdefault (parent, None)
        self.tree[path] = size
        return True

    def move (self, source, target):
        if source == "/" or target in self.tree or source not in self.tree or \
                self.tree.get (os.path.dirname (target), 0) is not None or \
                (target + "/").startswith (source + "/"):
            return False
        for path in [source, *self.below (source)]:
            self.tree[target + path[len (source):]] = self.tree.pop (path)
        return True

    def delete (self, path):
        if path == "/" or path not in self.tree:
            return False
        for p in [path, *self.below (path)]:
            del self.tree[p]
        return True

    def totals (self, path):
        sizes = [self.tree[p] for p in self.below (path)]
        return {"files": sum (s is not None for s in sizes), "directories": sizes.count (None),
                "size": sum (s or 0 for s in sizes)}


def _step (dice, model, name, writer):
    """One random operation on both; they must agree on whether it can be."""
    def somewhere ():
        return "/".join (["", *(dice.choice ("abc") for _ in range (dice.randrange (1, 4)))])
    kind = dice.random ()
    at = dice.choice (sorted (model.tree))
    noun = "directory" if model.tree[at] is None else "file"
    if kind < 0.25:
        path, size = somewhere (), dice.choice ((0, 0, 1, 70000))
        can = model.put (path, size)
        if can and size:
            writer.put (path, b"x" * size)
            return
        reply = name.call ("file.create", path=path, size=0)
    elif kind < 0.45:
        path = somewhere ()
        can = model.put (path, None)
        reply = name.call ("directory.create", path=path)
    elif kind < 0.65:
        target = dice.choice ([p for p in model.tree if model.tree[p] is None])
        can = model.move (at, target.rstrip ("/") + "/" + os.path.basename (at))
        reply = name.call (noun + ".move", source=at, target=target)
    elif kind < 0.85:
        new = dice.choice ("abcd")
        same = os.path.basename (at) == new
        can = model.move (at, os.path.join (os.path.dirname (at), new)) or same
        reply = name.call (noun + ".rename", path=at, name=new)
    else:
        can = model.delete (at)
        reply = name.call (noun + ".delete", path=at)
    assert reply["ok"] == can, (kind, at, reply)


def totals_are_right_after_each_of_many_changes ():
    dice, model = random.Random (20), _Model ()
    with Cluster (nodes=1, name_settings=SOON) as c, Raw (c.name) as name, Writer (name) as writer:
        for number in range (1200):
            _step (dice, model, name, writer)
            for path in ("/", *(["/" + p for p in "abcd"] if number % 10 == 0 else [])):
                if path in model.tree and model.tree[path] is None:
                    about = name.ok ("path.info", path=path)
                    assert {k: about.get (k, 0) for k in ("files", "directories", "size")} == \
                        model.totals (path), (number, path)
            if number % 400 == 399:
                assert {p: None if kind == "directory" else size for p, (kind, _, size) in
                        _walk (c).items ()} == {p: s for p, s in model.tree.items () if p != "/"}
        info = name.ok ("cluster.info")
        assert {"files": info["files"], "directories": info["directories"], "size": info["bytes"]} == \
            model.totals ("/")


def a_tree_of_2000_entries_is_gone_when_its_delete_is_answered_and_its_bytes_soon_after ():
    with Cluster (nodes=1, name_settings=SOON) as c, Raw (c.name) as name, Writer (name) as writer:
        for number in range (60):
            writer.put (f"/tree/{number % 7}/{number}", os.urandom (70000))
        made = name.all_of ([("file.create", {"path": f"/tree/{n % 7}/sub{n % 40}/{n}", "size": 0})
                             for n in range (1660)])
        assert all (r["ok"] for r in made)
        writer.put ("/other", b"stays")
        about = name.ok ("path.info", path="/tree")
        assert about["files"] + about["directories"] >= 2000 and about["size"] == 60 * 70000, about
        assert c.block_bytes () > 60 * 70000
        name.ok ("directory.delete", path="/tree")
        root = name.ok ("path.info", path="/")
        assert (root["files"], root.get ("directories", 0), root["size"]) == (1, 0, 5), root
        name.refused ("not_found", "path.info", path="/tree/0")
        # Its name can be had again before anything was freed.
        name.ok ("file.create", path="/tree", size=0)
        wait_for ("the bytes are gone", lambda: c.block_bytes () < 70000)
        wait_for ("the node has one block", lambda: c.info ()["online_nodes"][0]["blocks"] == 1)
        assert c.litedfs ("file", "download", "-r", "/other", "-l", "-") == "stays"


def an_upload_into_a_directory_that_is_deleted_meanwhile_fails_and_leaves_nothing ():
    with Cluster (nodes=1, block_size=MIB, name_settings=SOON) as c:
        for again in (False, True):
            upload = Upload (c, "/d/e/f")
            upload.send (3 * MIB)
            wait_for ("bytes arrive", lambda: c.block_bytes () >= MIB)
            c.litedfs ("directory", "delete", "-r", "/d")
            if again:
                # One of the same name is another directory.
                c.litedfs ("directory", "create", "-r", "/d/e")
            upload.send (1000)
            status, err = upload.end ()
            assert status == 3 and err.startswith ("litedfs: file create[/d/e/f]: "), (status, err)
            assert err.count ("\n") == 1, err
            c.litedfs ("file", "info", "-r", "/d/e/f", expect=3)
            assert _json (c, "lock", "list")["locks"] == []
            wait_for ("the bytes are gone", lambda: c.block_bytes () == 0)
            assert _json (c, "path", "info", "-r", "/")["files"] == 0


def an_upload_into_a_directory_that_is_moved_meanwhile_lands_in_it ():
    with Cluster (nodes=1, block_size=MIB) as c:
        c.litedfs ("directory", "create", "-r", "/to")
        upload = Upload (c, "/d/e/f")
        upload.send (2 * MIB)
        wait_for ("bytes arrive", lambda: c.block_bytes () >= MIB)
        c.litedfs ("directory", "move", "-s", "/d", "-t", "/to")
        assert "/to/d/e/f" in c.litedfs ("lock", "list")
        status, err = upload.end ()
        assert status == 0, err
        got = c.litedfs_run ("file", "download", "-r", "/to/d/e/f", "-l", "-")
        assert got.stdout == upload.content
        about = _json (c, "path", "info", "-r", "/to")
        assert (about["files"], about["size"]) == (1, 2 * MIB), about


run (globals ())
