# SPDX-License-Identifier: MIT
"""litedfs(1) on a cluster: the session of the README word for word, then everything else that it
prints, refuses and leaves behind."""
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import zlib

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import (  # noqa: E402
    DEADLINE, Cluster, program, run, run_to_end, same_content, terminal, wait_for)

BLOCK = 1 << 20
ID = r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"

# What users have read for years; IDS stands for the ids, which are drawn anew.
SESSION = """\
$ litedfs localhost:9000 directory list -r /
# | id | type | size | name

$ litedfs localhost:9000 directory create -r /test
create directory[/test] success

$ litedfs localhost:9000 directory list -r /
# | id | type      | size | name
1 |    | directory | 0    | test

$ litedfs localhost:9000 file create -r /test/test.tar.gz -l ./examples.tar.gz
create file[/test/test.tar.gz] success

$ litedfs localhost:9000 directory list -r /test
# | id                                   | type | size      | name      \x20
1 | IDS | file | 110237727 | test.tar.gz

$ litedfs localhost:9000 directory create -r /test2
create directory[/test2] success

$ litedfs localhost:9000 directory list -r /
# | id | type      | size | name\x20
1 |    | directory | 0    | test\x20
2 |    | directory | 0    | test2

$ litedfs localhost:9000 file move -s /test/test.tar.gz -t /test2
move file[/test/test.tar.gz] to /test2 success

$ litedfs localhost:9000 directory list -r /test
# | id | type | size | name

$ litedfs localhost:9000 directory list -r /test2
# | id                                   | type | size      | name      \x20
1 | IDS | file | 110237727 | test.tar.gz

$ litedfs localhost:9000 file create -r /test/test.tar.gz -l ./examples.tar.gz -R 2
create file[/test/test.tar.gz] success

$ litedfs localhost:9000 file create -r /test/test.tar.gz -l ./examples.tar.gz -R 3
update file[/test/test.tar.gz] success

$ litedfs localhost:9000 file download -r /test/test.tar.gz -l ./test.tar.gz
download file[/test/test.tar.gz => ./test.tar.gz] success
"""


def _fails (c, status, *arguments, what=None, input=None, **options):
    """Run the command; it must fail with status and one line on stderr, which is returned."""
    done = c.litedfs_run (*arguments, input=input, **options)
    err = done.stderr.decode ()
    assert done.returncode == status, f"{arguments}: status {done.returncode}, not {status}: {err}"
    assert done.stdout == b"", f"{arguments}: {done.stdout}"
    assert err.startswith ("litedfs: ") and err.count ("\n") == 1 and err.endswith ("\n"), err
    if what:
        assert err.startswith (f"litedfs: {what}: "), err
    return err


def _json (c, *arguments):
    return json.loads (c.litedfs (*arguments))


def the_session_of_the_readme_word_for_word ():
    with Cluster (nodes=3, block_size=16 << 20) as c:
        c.make_file ("examples.tar.gz", 110237727)
        ids = set ()
        for step in SESSION.split ("\n\n"):
            line, _, wanted = step.rstrip ("\n").partition ("\n")
            command = line.replace ("$ litedfs localhost:9000", f"{program ('litedfs')} {c.address ()}")
            done = subprocess.run (command, shell=True, cwd=c.local, capture_output=True, text=True)
            assert done.returncode == 0 and done.stderr == "", (line, done)
            ids.update (re.findall (ID, done.stdout))
            printed = re.sub (ID, "IDS", done.stdout)
            assert printed == wanted + "\n", f"{line}\nwanted: {wanted!r}\nprinted: {printed!r}"
        assert len (ids) == 1, f"the id did not survive the move: {ids}"
        assert same_content (c.path ("examples.tar.gz"), c.path ("test.tar.gz"))
        assert _json (c, "file", "info", "-r", "/test/test.tar.gz", "--json")["replica"] == 3
        wait_for ("all three copies are there", lambda: _json (
            c, "file", "info", "-r", "/test/test.tar.gz", "--json")["current_replica"] == 3)


def every_other_change_has_its_sentence ():
    with Cluster (nodes=1, block_size=BLOCK) as c:
        c.make_file ("f", 10)
        for arguments, sentence in [
                (f"file create -r /a/b/f -l {c.path ('f')}", "create file[/a/b/f] success"),
                ("file update -r /a/b/f -R 2", "update file[/a/b/f] success"),
                ("file rename -r /a/b/f -n g", "rename file[/a/b/f] to g success"),
                ("file delete -r /a/b/g", "delete file[/a/b/g] success"),
                ("directory create -r /x/y", "create directory[/x/y] success"),
                ("directory create -r /x/y", "create directory[/x/y] success"),
                ("directory move -s /a/b -t /x/y", "move directory[/a/b] to /x/y success"),
                ("directory rename -r /x/y/b -n c", "rename directory[/x/y/b] to c success"),
                ("directory delete -r /x", "delete directory[/x] success")]:
            printed = c.litedfs (*arguments.split ())
            assert printed == sentence + "\n", printed
        listed = c.litedfs ("directory", "list", "-r", "/")
        assert listed == "# | id | type      | size | name\n1 |    | directory | 0    | a   \n", listed


def lists_have_pages_kinds_and_widths ():
    with Cluster (nodes=1, block_size=BLOCK) as c:
        c.make_file ("f", 3)
        for name in ("b", "a"):
            c.litedfs ("directory", "create", "-r", f"/{name}")
            c.litedfs ("file", "create", "-r", f"/{name}.txt", "-l", c.path ("f"))

        def names (*options):
            lines = c.litedfs ("directory", "list", "-r", "/", *options).splitlines ()
            return [(int (n), name.strip ()) for n, *_, name in (line.split (" | ") for line in lines[1:])]

        assert names () == [(1, "a"), (2, "b"), (3, "a.txt"), (4, "b.txt")]
        assert names ("-o", "1", "-l", "2") == [(2, "b"), (3, "a.txt")]
        assert names ("-o", "4") == [] and names ("-o", "99") == []
        assert names ("-l", "0") == names ()
        assert names ("-f") == [(1, "a.txt"), (2, "b.txt")]
        assert names ("-d") == [(1, "a"), (2, "b")]
        assert names ("-f", "-d") == names ()
        assert names ("-f", "-o", "1") == [(2, "b.txt")]
        printed = c.litedfs ("directory", "list", "-r", "/", "-w", "4", "-f")
        assert re.fullmatch (r"# \| id   \| type \| size \| name\n"
                             r"1 \| [0-9a-f]{4} \| file \| 3    \| a\.tx\n"
                             r"2 \| [0-9a-f]{4} \| file \| 3    \| b\.tx\n", printed), printed
        assert c.litedfs ("-w", "0", "directory", "list", "-r", "/") == c.litedfs ("directory", "list", "-r", "/")


def odd_names_are_printed_harmlessly_and_work ():
    with Cluster (nodes=1, block_size=BLOCK) as c:
        c.make_file ("f", 3)
        odd = ["new\nline", "tab\there", "esc\x1b[31m", "gr\u00fc\u00df", "\u65e5\u672c", "a b", "-r", "x" * 255, "[]", "\\n"]
        for name in odd:
            sentence = c.litedfs ("file", "create", "-r", f"/d/{name}", "-l", c.path ("f"))
            assert sentence.count ("\n") == 1 and "\x1b" not in sentence
        listed = c.litedfs ("directory", "list", "-r", "/d").splitlines ()
        assert len (listed) == len (odd) + 1, listed
        shown = [line.split (" | ")[4].rstrip () for line in listed]
        for name in ("new\\nline", "tab\\there", "esc\\x1b[31m", "gr\u00fc\u00df", "a b", "-r"):
            assert name in shown, (name, shown)
        entries = _json (c, "directory", "list", "-r", "/d", "--json")["entries"]
        assert sorted (e["name"] for e in entries) == sorted (odd)
        for name in odd:
            assert _json (c, "file", "info", "-r", f"/d/{name}", "--json")["path"] == f"/d/{name}"
        wide = [line for line in c.litedfs ("directory", "list", "-r", "/d", "-w", "3").splitlines () if "\u65e5" in line]
        assert len (wide) == 1 and wide[0].endswith (" | \u65e5 "), wide


def json_has_what_the_manual_lists ():
    with Cluster (nodes=2, block_size=BLOCK) as c:
        content = c.make_file ("f", 2 * BLOCK + 7)
        c.litedfs ("file", "create", "-r", "/d/f", "-l", content, "-R", "2")
        file = _json (c, "file", "info", "-r", "/d/f", "--json")
        assert list (file) == ["path", "id", "type", "size", "replica", "current_replica", "checksum", "ctime",
                               "mtime", "block_size", "blocks"], file
        assert file["path"] == "/d/f" and re.fullmatch (ID, file["id"]) and file["type"] == "file"
        assert file["size"] == 2 * BLOCK + 7 and file["replica"] == 2 and file["current_replica"] == 2
        assert file["block_size"] == BLOCK
        assert re.fullmatch (TIME, file["ctime"]) and re.fullmatch (TIME, file["mtime"])
        with open (content, "rb") as f:
            data = f.read ()
        assert file["checksum"] == f"crc32:{zlib.crc32 (data):08x}"
        assert len (file["blocks"]) == 3
        for i, block in enumerate (file["blocks"]):
            part = data[i * BLOCK:(i + 1) * BLOCK]
            assert list (block) == ["id", "size", "crc32", "nodes"]
            assert re.fullmatch ("[0-9a-f]{16}", block["id"])
            assert block["size"] == len (part) and block["crc32"] == zlib.crc32 (part)
            assert sorted (block["nodes"]) == [1, 2]

        path = _json (c, "path", "info", "-r", "/d/f", "--json")
        assert {k: file[k] for k in ("path", "id", "type", "size", "replica", "ctime", "mtime")} == path
        directory = _json (c, "path", "info", "-r", "/", "--json")
        assert (directory["type"], directory["size"], directory["files"], directory["directories"]) \
            == ("directory", file["size"], 1, 1), directory

        listed = _json (c, "directory", "list", "-r", "/d", "--json")
        assert (listed["path"], listed["offset"], listed["total"], len (listed["entries"])) == ("/d", 0, 1, 1)
        assert listed["entries"][0]["name"] == "f" and listed["entries"][0]["id"] == file["id"]

        def nodes (cluster):
            return cluster["number_of_nodes"], cluster["number_of_online_nodes"], cluster["number_of_offline_nodes"]

        cluster = _json (c, "cluster", "info", "--json")
        assert nodes (cluster) == (2, 2, 0) and cluster["offline_nodes"] == []
        assert nodes (_json (c, "cluster", "info", "-r")) == (2, 2, 0)
        for node, daemon in zip (cluster["online_nodes"], c.data):
            for key in ("id", "node_id", "host", "http_port", "version", "status", "storage_total", "storage_used",
                        "storage_free", "storage_full", "blocks"):
                assert key in node, (key, node)
            assert node["status"] == "online" and node["host"] == "127.0.0.1" and node["storage_full"] is False
        assert sorted (n["http_port"] for n in cluster["online_nodes"]) == sorted (d.http_port for d in c.data)
        c.data[1].stop ()
        c.wait_online (1)
        cluster = _json (c, "cluster", "info", "--json")
        assert nodes (cluster) == (2, 1, 1) and cluster["offline_nodes"][0]["status"] == "offline"
        listed = _json (c, "node", "list", "--json")["nodes"]
        assert [n["id"] for n in listed] == [1, 2] and sorted (n["status"] for n in listed) == ["offline", "online"]
        assert {tuple (n) for n in listed} == {tuple (cluster["offline_nodes"][0])}
        assert _json (c, "lock", "list", "--json") == {"locks": []}


def what_people_read_says_the_same ():
    with Cluster (nodes=2, block_size=BLOCK) as c:
        c.litedfs ("file", "create", "-r", "/d/f", "-l", c.make_file ("f", BLOCK + 7))
        file = c.litedfs ("file", "info", "-r", "/d/f")
        for line in ("path:            /d/f\n", "size:            1048583\n", "current_replica: 1\n", "blocks:          2\n"):
            assert line in file, file
        assert "# | id               | size    | crc32    | nodes\n" in file, file
        path = c.litedfs ("path", "info", "-r", "/d")
        assert "type:            directory\n" in path and "files:           1\n" in path, path
        cluster = c.litedfs ("cluster", "info")
        assert "nodes:           2 (2 online, 0 offline)\n" in cluster, cluster
        assert re.search (r"^1 \| 1  \| [0-9a-f-]{36} \| 127\.0\.0\.1 \| \d+ .*\| online ", cluster, re.M), cluster
        assert c.litedfs ("lock", "list") == "# | id | ttl | remaining | replica | path\n"
        rows = [line.split (" | ") for line in c.litedfs ("node", "list").splitlines ()]
        assert [cell.strip () for cell in rows[0]] == ["#", "id", "host", "zone", "status", "blocks", "used", "free",
                                                      "last_heartbeat"], rows
        assert sorted (row[2].strip () for row in rows[1:]) == sorted (f"127.0.0.1:{d.http_port}" for d in c.data)
        assert all (row[4].strip () == "online" and re.fullmatch (TIME, row[8].strip ()) for row in rows[1:]), rows


def creating_again_updates_replicas_only_for_the_same_content ():
    with Cluster (nodes=1, block_size=BLOCK) as c:
        def about ():
            return _json (c, "file", "info", "-r", "/f", "--json")

        same = c.make_file ("same", 2 * BLOCK)
        other = c.make_file ("other", 2 * BLOCK, seed=1)
        shorter = c.make_file ("shorter", 2 * BLOCK - 1)
        c.litedfs ("file", "create", "-r", "/f", "-l", same, "-R", "2")
        before = about ()
        for local in (other, shorter):
            err = _fails (c, 4, "file", "create", "-r", "/f", "-l", local, "-R", "3", what="file create[/f]")
            assert "other content" in err, err
        with open (same, "rb") as f:
            _fails (c, 4, "file", "create", "-r", "/f", "-l", "-", "-R", "3", what="file create[/f]", input=f.read ())
        assert about () == before
        assert c.litedfs ("file", "create", "-r", "/f", "-l", same, "-R", "3") == "update file[/f] success\n"
        after = about ()
        assert after["replica"] == 3 and after["id"] == before["id"] and after["blocks"] == before["blocks"]
        # Nobody has asked for another number of copies.
        assert c.litedfs ("file", "create", "-r", "/f", "-l", same) == "update file[/f] success\n"
        assert about ()["replica"] == 3
        assert c.litedfs ("file", "update", "-r", "/f", "-R", "1") == "update file[/f] success\n"
        assert about ()["replica"] == 1


def each_error_has_its_line_and_its_status ():
    with Cluster (nodes=1, block_size=BLOCK) as c:
        local = c.make_file ("f", 5)
        c.litedfs ("file", "create", "-r", "/d/f", "-l", local)
        c.litedfs ("directory", "create", "-r", "/d/e/g")
        _fails (c, 3, "directory", "list", "-r", "/no", what="directory list[/no]")
        _fails (c, 3, "file", "info", "-r", "/d/no", what="file info[/d/no]")
        _fails (c, 3, "file", "delete", "-r", "/d/no", what="file delete[/d/no]")
        _fails (c, 3, "file", "update", "-r", "/d/no", "-R", "2", what="file update[/d/no]")
        _fails (c, 3, "file", "move", "-s", "/d/no", "-t", "/d", what="file move[/d/no]")
        _fails (c, 3, "file", "move", "-s", "/d/f", "-t", "/no", what="file move[/d/f]")
        _fails (c, 3, "file", "rename", "-r", "/d/no", "-n", "x", what="file rename[/d/no]")
        _fails (c, 3, "file", "download", "-r", "/d/no", "-l", c.path ("no"), what="file download[/d/no]")
        _fails (c, 3, "path", "info", "-r", "/no", what="path info[/no]")
        _fails (c, 3, "directory", "delete", "-r", "/no", what="directory delete[/no]")
        _fails (c, 1, "file", "info", "-r", "/d", what="file info[/d]")
        _fails (c, 1, "file", "delete", "-r", "/d", what="file delete[/d]")
        _fails (c, 1, "directory", "list", "-r", "/d/f", what="directory list[/d/f]")
        _fails (c, 1, "directory", "delete", "-r", "/d/f", what="directory delete[/d/f]")
        _fails (c, 1, "directory", "move", "-s", "/d", "-t", "/d/e", what="directory move[/d]")
        _fails (c, 1, "file", "download", "-r", "/d", "-l", c.path ("no"), what="file download[/d]")
        _fails (c, 4, "file", "rename", "-r", "/d/f", "-n", "e", what="file rename[/d/f]")
        for path in ("relative", "/a/../b", "/" + "x" * 256, "/a//b/./c", "/" + "x/" * 2048):
            _fails (c, 1, "file", "create", "-r", path, "-l", local)
        _fails (c, 1, "directory", "create", "-r", os.fsdecode (b"/\xff"))
        _fails (c, 1, "file", "create", "-r", "", "-l", local)
        err = _fails (c, 3, "file", "info", "-r", "/new\nline\x1b")
        assert "\\n" in err and "\x1b" not in err, err
        assert os.listdir (c.local) == ["f"], os.listdir (c.local)


def a_line_names_its_subject_once ():
    with Cluster (nodes=1) as c:
        err = _fails (c, 3, "file", "info", "-r", "/no")
        assert err.count ("/no") == 1, err
        # Another subject at the same path is another matter.
        c.litedfs ("file", "create", "-r", "/f", "-l", "/dev/null")
        err = _fails (c, 1, "file", "move", "-s", "/f", "-t", "/f", what="file move[/f]")
        assert "directory[/f]" in err, err


def a_name_node_that_is_away_is_told_within_five_seconds ():
    with Cluster (nodes=0) as c:
        c.name.stop ()
        begun = time.monotonic ()
        err = _fails (c, 7, "directory", "list", "-r", "/")
        assert c.address () in err, err
        assert time.monotonic () - begun < 5 + DEADLINE / 30


def the_address_of_a_data_node_is_wrong_usage ():
    with Cluster (nodes=1) as c:
        node = c.data[0]
        for address in (f"127.0.0.1:{node.http_port}", f"tcp://127.0.0.1:{node.get ('tcp_port')}"):
            status, out, err = run_to_end (program ("litedfs"), address, "directory", "list", "-r", "/")
            assert status == 2 and out == "", (status, out)
            assert address in err and "of a LiteDFS name node" in err and err.count ("\n") == 1, err


def a_file_for_which_there_is_no_node_is_refused_with_the_reason ():
    with Cluster (nodes=1, block_size=BLOCK) as c:
        c.data[0].stop ()
        c.wait_online (0)
        err = _fails (c, 6, "file", "create", "-r", "/f", "-l", c.make_file ("f", 10), what="file create[/f]")
        assert "no data node can take this block" in err and "offline" in err, err
        _fails (c, 3, "file", "info", "-r", "/f")


def a_file_that_is_being_written_is_locked_and_listed ():
    with Cluster (nodes=1, block_size=BLOCK) as c:
        client = c.litedfs_start ("file", "create", "-r", "/d/f", "-l", "-", "-R", "2", "-L", "30", stdin=subprocess.PIPE)
        client.stdin.write (b"x" * (3 * BLOCK))
        client.stdin.flush ()
        locks = wait_for ("a lock", lambda: _json (c, "lock", "list", "--json")["locks"])
        assert len (locks) == 1 and list (locks[0]) == ["path", "id", "ttl", "remaining", "replica"], locks
        lock = locks[0]
        assert (lock["path"], lock["ttl"], lock["replica"]) == ("/d/f", 30, 2) and 0 < lock["remaining"] <= 30, lock
        listed = c.litedfs ("lock", "list")
        assert re.fullmatch (r"# \| id +\| ttl \| remaining \| replica \| path\n1 \| " + ID
                             + r" \| 30  \| \d+ +\| 2       \| /d/f\n", listed), listed
        _fails (c, 5, "file", "create", "-r", "/d/f", "-l", c.make_file ("f", 10), what="file create[/d/f]")
        out, err = client.communicate ()
        assert (client.returncode, out, err) == (0, b"create file[/d/f] success\n", b"")
        assert _json (c, "lock", "list", "--json") == {"locks": []}


def standard_input_and_output_are_files_too ():
    with Cluster (nodes=1, block_size=BLOCK) as c:
        data = os.urandom (2 * BLOCK + 11)
        assert c.litedfs ("file", "create", "-r", "/f", "-l", "-", input=data) == "create file[/f] success\n"
        done = c.litedfs_run ("file", "download", "-r", "/f", "-l", "-")
        assert (done.returncode, done.stderr, done.stdout == data) == (0, b"", True)
        done = c.litedfs_run ("file", "download", "-r", "/f", "-l", "/dev/null")
        assert (done.returncode, done.stdout) == (0, b"download file[/f => /dev/null] success\n")
        assert c.litedfs ("file", "create", "-r", "/empty", "-l", "-", input=b"") == "create file[/empty] success\n"
        # Others write before and after us into the same file, or have read its head.
        command = f"{program ('litedfs')} {c.address ()}"
        out = c.path ("out")
        subprocess.run (f"(echo head; {command} file download -r /f -l -; echo tail) >{out}", shell=True, check=True)
        with open (out, "rb") as f:
            assert f.read () == b"head\n" + data + b"tail\n"
        subprocess.run (f"{command} file download -r /f -l - >>{out}", shell=True, check=True)
        with open (out, "rb") as f:
            assert f.read () == b"head\n" + data + b"tail\n" + data
        with open (c.path ("in"), "wb") as f:
            f.write (b"head\n" + data)
        with open (c.path ("in"), "rb") as f:
            os.lseek (f.fileno (), 5, os.SEEK_SET)
            subprocess.run ([*command.split (), "file", "create", "-r", "/g", "-l", "-"], stdin=f, check=True)
        assert c.litedfs_run ("file", "download", "-r", "/g", "-l", "-").stdout == data
        done = subprocess.run (f"{command} file download -r /f -l - >/dev/full", shell=True, capture_output=True)
        assert done.returncode == 6 and b"No space left" in done.stderr, done
        done = subprocess.run (f"{command} file download -r /f -l - >&-", shell=True, capture_output=True)
        assert done.returncode == 1, done


def downloads_appear_whole_and_overwrite_only_by_force ():
    with Cluster (nodes=1, block_size=BLOCK) as c:
        local = c.make_file ("f", 2 * BLOCK)
        c.litedfs ("file", "create", "-r", "/f", "-l", local)
        with open (c.path ("old"), "w") as f:
            f.write ("old")
        os.chmod (c.path ("old"), 0o600)
        err = _fails (c, 4, "file", "download", "-r", "/f", "-l", c.path ("old"), what="file download[/f]")
        assert "--force" in err, err
        with open (c.path ("old")) as f:
            assert f.read () == "old"
        c.litedfs ("file", "download", "-r", "/f", "-l", c.path ("old"), "--force")
        assert same_content (local, c.path ("old"))
        assert os.stat (c.path ("old")).st_mode & 0o777 == 0o600
        c.data[0].stop ()
        os.unlink (c.path ("old"))
        _fails (c, 7, "file", "download", "-r", "/f", "-l", c.path ("old"), what="file download[/f]")
        assert os.listdir (c.local) == ["f"], os.listdir (c.local)


def _ended_by (client, number):
    begun = time.monotonic ()
    client.send_signal (number)
    client.wait (DEADLINE) # its stdin stays open: communicate would end the upload before the signal does
    out, err = client.communicate ()
    assert client.returncode == -number, (client.returncode, out, err)
    assert out == b"", out
    return time.monotonic () - begun


def an_interrupt_stops_an_upload_and_frees_its_name ():
    with Cluster (nodes=1, block_size=BLOCK) as c:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            client = c.litedfs_start ("file", "create", "-r", "/f", "-l", "-", stdin=subprocess.PIPE)
            client.stdin.write (b"x" * (3 * BLOCK))
            client.stdin.flush ()
            wait_for ("bytes arrive", lambda: c.block_bytes () > BLOCK)
            took = _ended_by (client, number)
            assert took < DEADLINE / 10, f"{took} s"
            assert _json (c, "lock", "list", "--json") == {"locks": []}
            _fails (c, 3, "file", "info", "-r", "/f")
        c.litedfs ("file", "create", "-r", "/f", "-l", c.make_file ("f", 10))


def an_interrupt_stops_a_download_and_leaves_nothing ():
    with Cluster (nodes=1, block_size=BLOCK) as c:
        c.litedfs ("file", "create", "-r", "/f", "-l", c.make_file ("f", 64 * BLOCK))
        os.mkdir (c.path ("d"))
        c.data[0].signal (signal.SIGSTOP) # so that it takes as long as we want
        try:
            client = c.litedfs_start ("file", "download", "-r", "/f", "-l", c.path ("d/f"))
            wait_for ("a temporary file", lambda: os.listdir (c.path ("d")))
            assert _ended_by (client, signal.SIGINT) < DEADLINE / 10
        finally:
            c.data[0].signal (signal.SIGCONT)
        assert os.listdir (c.path ("d")) == []
        # A reader that reads no more does not keep it.
        client = c.litedfs_start ("file", "download", "-r", "/f", "-l", "-")
        wait_for ("bytes come", lambda: select.select ([client.stdout], [], [], 0)[0])
        client.send_signal (signal.SIGINT)
        client.wait (DEADLINE)
        assert client.returncode == -signal.SIGINT, client.returncode
        client.stdout.close ()
        client.stderr.close ()


def a_signal_that_nohup_ignores_stays_ignored ():
    with Cluster (nodes=1, block_size=BLOCK) as c:
        client = c.litedfs_start ("file", "create", "-r", "/f", "-l", "-", stdin=subprocess.PIPE,
                                  preexec_fn=lambda: signal.signal (signal.SIGHUP, signal.SIG_IGN))
        client.stdin.write (b"x" * (3 * BLOCK))
        client.stdin.flush ()
        wait_for ("bytes arrive", lambda: c.block_bytes () > BLOCK)
        client.send_signal (signal.SIGHUP)
        out, err = client.communicate (timeout=DEADLINE)
        assert (client.returncode, out) == (0, b"create file[/f] success\n"), err


def a_long_transfer_has_a_bar_on_a_terminal_and_nowhere_else ():
    with Cluster (nodes=1, block_size=BLOCK) as c:
        def upload (stderr, **options):
            client = subprocess.Popen ([program ("litedfs"), c.address (), "file", "create", "-r", "/f", "-l", "-"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, **options)
            end = time.monotonic () + 1.6
            while time.monotonic () < end: # it lasts because its input does
                client.stdin.write (b"x" * 65536)
                client.stdin.flush ()
                select.select ([], [], [], 0.02)
            out, err = client.communicate (timeout=DEADLINE)
            assert (client.returncode, out) == (0, b"create file[/f] success\n"), err
            c.litedfs ("file", "delete", "-r", "/f")
            return err

        assert upload (subprocess.PIPE) == b""
        ours, its = terminal ()
        # Its own session, with this terminal, as a shell gives it.
        upload (its, start_new_session=True, preexec_fn=lambda: __import__ ("fcntl").ioctl (its, 0x540E, 0))
        drawn = os.read (ours, 65536).decode ()
        os.close (ours)
        os.close (its)
        assert re.search (r"\r[\d.]+ [KM]iB, [\d.]+ [KM]iB/s, 0:01", drawn), repr (drawn)
        assert re.search (r"\r +\r$", drawn), repr (drawn)


def listing_a_directory_takes_no_longer_than_a_blink ():
    if os.environ.get ("SANITIZE", "no") != "no":
        return
    with Cluster (nodes=0) as c:
        took = []
        for _ in range (20):
            begun = time.monotonic ()
            c.litedfs ("directory", "list", "-r", "/")
            took.append (time.monotonic () - begun)
        print (f"# directory list: {sorted (took)[0] * 1000:.1f} ms at best, {sorted (took)[10] * 1000:.1f} ms as a rule")
        assert min (took) < 0.1, took # the machine may be busy


run (globals ())
