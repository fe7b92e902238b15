# SPDX-License-Identifier: MIT
"""Who writes a name now, and what a request that was sent twice does: leases, replace, stored replies,
and that a reply of a change means that the change is on the disk."""
import json
import os
import signal
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, Upload, run, wait_for  # noqa: E402
from raw import Raw, Writer, pack  # noqa: E402

MIB = 1 << 20
SOON = {"delete_delay": "0.2"}


def _locks (c):
    return json.loads (c.litedfs ("lock", "list", "--json"))["locks"]


def _content (c, path):
    got = c.litedfs_run ("file", "download", "-r", path, "-l", "-")
    assert got.returncode == 0, got.stderr
    return got.stdout


def a_name_that_is_being_written_is_locked_for_everybody_else ():
    with Cluster (nodes=1, block_size=MIB) as c:
        other = c.make_file ("other", 10)
        c.litedfs ("file", "create", "-l", other, "-r", "/g")
        c.litedfs ("file", "create", "-l", other, "-r", "/sub/f")
        c.litedfs ("directory", "create", "-r", "/dir/f")
        upload = Upload (c, "/f", "-L", "30", "-R", "2")
        upload.send (3 * MIB)
        locked = wait_for ("the lock", lambda: _locks (c))
        assert len (locked) == 1 and locked[0]["path"] == "/f", locked
        assert locked[0]["ttl"] == 30 and 0 < locked[0]["remaining"] <= 30, locked
        assert locked[0]["replica"] == 2, locked
        for arguments in (("file", "create", "-l", other, "-r", "/f"),
                          ("file", "create", "-l", "/dev/null", "-r", "/f"),
                          ("directory", "create", "-r", "/f"),
                          ("directory", "create", "-r", "/f/below"),
                          ("file", "rename", "-r", "/g", "-n", "f"),
                          ("file", "move", "-s", "/sub/f", "-t", "/"),
                          ("directory", "move", "-s", "/dir/f", "-t", "/"),
                          ("directory", "rename", "-r", "/dir", "-n", "f")):
            done = c.litedfs_run (*arguments)
            assert done.returncode == 5 and done.stdout == b"", (arguments, done)
            assert done.stderr.count (b"\n") == 1, done.stderr
        # It is not there for readers, and what was refused has changed nothing.
        c.litedfs ("file", "info", "-r", "/f", expect=3)
        c.litedfs ("file", "delete", "-r", "/f", expect=3)
        assert _content (c, "/g") == _content (c, "/sub/f")
        status, err = upload.end ()
        assert status == 0, err
        assert _content (c, "/f") == upload.content
        assert _locks (c) == []


def a_second_upload_of_the_same_name_fails_and_the_first_is_not_harmed ():
    with Cluster (nodes=2, block_size=MIB, name_settings=SOON) as c:
        first = Upload (c, "/d/f")
        first.send (2 * MIB)
        wait_for ("the lock", lambda: _locks (c))
        second = Upload (c, "/d/f")
        second.send (10)
        status, err = second.end ()
        assert status == 5 and err.startswith ("litedfs: file create[/d/f]: "), (status, err)
        first.send (MIB + 1)
        status, err = first.end ()
        assert status == 0, err
        assert _content (c, "/d/f") == first.content


def a_killed_clients_name_is_free_after_its_ttl_and_its_bytes_go ():
    with Cluster (nodes=1, block_size=MIB, name_settings=SOON) as c:
        upload = Upload (c, "/f", "-L", "3")
        upload.send (3 * MIB)
        wait_for ("bytes arrive", lambda: c.block_bytes () >= 2 * MIB)
        assert upload.kill ()[0] == -signal.SIGKILL
        other = c.make_file ("other", 1000)
        c.litedfs ("file", "create", "-l", other, "-r", "/f", expect=5)
        wait_for ("the name is free",
                  lambda: c.litedfs_run ("file", "create", "-l", other, "-r", "/f").returncode == 0)
        assert _locks (c) == []
        wait_for ("only the other's bytes are left", lambda: c.block_bytes () < MIB)
        with open (other, "rb") as f:
            assert _content (c, "/f") == f.read ()


def a_lock_lives_for_as_long_as_its_client_whatever_its_ttl ():
    with Cluster (nodes=1, block_size=MIB) as c:
        upload = Upload (c, "/f", "-L", "2")
        upload.send (MIB)
        wait_for ("the lock", lambda: _locks (c))
        # Another lease of the same ttl that nobody renews ends in the meantime.
        with Raw (c.name) as name:
            name.ok ("file.create", path="/dead", ttl=2)
            wait_for ("the other has ended",
                      lambda: name.call ("directory.create", path="/dead")["ok"])
            wait_for ("and is forgotten", lambda: [x["path"] for x in _locks (c)] == ["/f"])
        c.litedfs ("file", "create", "-l", "/dev/null", "-r", "/f", expect=5)
        status, err = upload.end ()
        assert status == 0, err
        assert _content (c, "/f") == upload.content


def a_lease_needs_its_token_and_outlives_a_kill_of_the_name_node ():
    with Cluster (nodes=1) as c, Raw (c.name) as name, Writer (name) as writer:
        commit = writer.begin ("/f", b"leased", ttl=600)
        forged = {**commit, "lease": b"\0" * 16}
        c.name.kill ()
        c.name.start ()
        c.wait_online (1)
        name.refused ("lease_lost", "file.commit", **forged)
        name.refused ("lease_lost", "file.renew", file=commit["file"], lease=b"\1" * 16)
        name.refused ("lease_lost", "file.allocate", file=commit["file"], lease=b"\1" * 16, index=0)
        name.refused ("locked", "file.create", path="/f", size=1)
        assert name.ok ("file.renew", file=commit["file"], lease=commit["lease"])["ttl"] == 600
        name.ok ("file.commit", **commit)
        name.ok ("file.commit", **commit)     # idempotent
        assert _content (c, "/f") == b"leased"
        name.refused ("lease_lost", "file.renew", file=commit["file"], lease=commit["lease"])


def an_abandoned_upload_can_be_abandoned_again_but_not_committed ():
    with Cluster (nodes=1, name_settings=SOON) as c, Raw (c.name) as name, Writer (name) as writer:
        commit = writer.begin ("/f", b"bytes" * 1000)
        shown = {"file": commit["file"], "lease": commit["lease"]}
        name.ok ("file.abandon", **shown)
        name.ok ("file.abandon", **shown)
        name.refused ("lease_lost", "file.commit", **commit)
        name.refused ("not_found", "file.info", path="/f")
        wait_for ("the bytes are gone", lambda: c.block_bytes () == 0)


def a_commit_that_does_not_match_what_was_written_is_refused ():
    with Cluster (nodes=1) as c, Raw (c.name) as name, Writer (name) as writer:
        commit = writer.begin ("/f", b"x" * 100)
        done = commit["done"][0]
        for change in ({"size": 99}, {"size": 101}, {"count": 2}, {"done": []},
                       {"done": [{**done, "size": 99}]}, {"done": [{**done, "block": done["block"] + 1}]},
                       {"done": [{**done, "nodes": [7]}]}, {"done": [{**done, "index": 1}]}):
            name.refused ("invalid", "file.commit", **{**commit, **change})
            name.refused ("not_found", "file.info", path="/f")
        name.ok ("file.commit", **commit)
        assert _content (c, "/f") == b"x" * 100


def replace_swaps_at_the_commit_and_not_before ():
    with Cluster (nodes=1, name_settings=SOON) as c, Raw (c.name) as name, Writer (name) as writer:
        old, new = os.urandom (50000), os.urandom (70000)
        writer.put ("/d/f", old)
        first = name.ok ("file.info", path="/d/f")
        name.refused ("exists", "file.create", path="/d/f", size=len (new))
        commit = writer.begin ("/d/f", new, replace=True)
        assert _content (c, "/d/f") == old
        assert name.ok ("path.info", path="/d")["size"] == len (old)
        assert [lock["path"] for lock in _locks (c)] == ["/d/f"]
        name.refused ("locked", "file.rename", path="/d/f", name="g")
        name.ok ("file.commit", **commit)
        assert _content (c, "/d/f") == new
        assert name.ok ("file.info", path="/d/f")["file"] != first["file"]
        about = name.ok ("path.info", path="/d")
        assert (about["files"], about["size"]) == (1, len (new)), about
        wait_for ("the old bytes are gone", lambda: 70000 <= c.block_bytes () < 120000)
        # One that is given up changes nothing; an empty one swaps at once; a directory stays.
        commit = writer.begin ("/d/f", old, replace=True)
        name.ok ("file.abandon", file=commit["file"], lease=commit["lease"])
        assert _content (c, "/d/f") == new
        name.ok ("file.create", path="/d/f", size=0, replace=True)
        assert _content (c, "/d/f") == b""
        assert name.ok ("path.info", path="/d").get ("size", 0) == 0
        name.refused ("is_directory", "file.create", path="/d", size=0, replace=True)


def _restart_hard (c):
    c.name.kill ()
    c.name.start ()


def a_request_that_is_sent_again_after_a_kill_gets_its_first_reply_and_no_second_effect ():
    with Cluster (nodes=0) as c, Raw (c.name) as name:
        name.ok ("directory.create", path="/to")
        name.ok ("directory.create", path="/a/b")
        # None of these would give the same answer if it were done twice.
        changes = [("file.create", {"path": "/a/f", "size": 0}), ("directory.create", {"path": "/new"}),
                   ("file.rename", {"path": "/a/f", "name": "g"}), ("file.move", {"source": "/a/g", "target": "/to"}),
                   ("directory.move", {"source": "/a/b", "target": "/to"}),
                   ("directory.rename", {"path": "/new", "name": "newer"}),
                   ("directory.delete", {"path": "/a"}), ("file.create", {"path": "/l", "ttl": 600})]
        name.waiting.add (name.next_id)     # so that `seen` stays below all of these
        name.next_id += 1
        sent, replies = [], []
        for op, fields in changes:
            sent.append (name.send (op, **fields))
            reply, _ = name.receive ()
            assert reply["ok"], (op, fields, reply)
            replies.append (reply)
        before = name.ok ("path.info", path="/"), c.litedfs ("directory", "list", "-r", "/to")
        _restart_hard (c)
        for frame, first in zip (sent, replies):
            for _ in range (2):
                name.send_frames (frame)
                assert name.receive ()[0] == first
        assert len (_locks (c)) == 1
        after = name.ok ("path.info", path="/"), c.litedfs ("directory", "list", "-r", "/to")
        for reply in (before[0], after[0]):
            del reply["id"]
        assert after == before
        # Another client's request with the same id is another request.
        with Raw (c.name) as other:
            other.next_id = name.next_id - 2
            other.refused ("not_found", "directory.delete", path="/a")


def a_client_that_lost_its_reply_gets_it_from_another_connection ():
    with Cluster (nodes=0) as c:
        with Raw (c.name) as lost:
            frame = lost.send ("file.create", path="/f", size=0)
            wait_for ("it is done", lambda: c.litedfs_run ("file", "info", "-r", "/f").returncode == 0)
        _restart_hard (c)
        with Raw (c.name, client=lost.client) as again:
            again.send_frames (frame)
            reply, _ = again.receive ()
            assert reply["ok"] and reply["file"], reply
            again.next_id = 10
            assert again.ok ("file.info", path="/f")["file"] == reply["file"]


def an_id_is_used_for_one_request_and_is_stale_when_it_was_seen ():
    with Cluster (nodes=0) as c, Raw (c.name) as name:
        base = {"client": name.client, "seen": 0}
        def send (**fields):
            name.send_frames (pack ({**base, **fields}))
            return name.receive ()[0]
        assert send (op="directory.create", id=5, path="/a")["ok"]
        reply = send (op="directory.create", id=5, path="/b")
        assert reply["error"] == "id_reused", reply
        assert send (op="file.create", id=5, path="/a", size=0)["error"] == "id_reused"
        _restart_hard (c)
        assert send (op="directory.create", id=5, path="/b")["error"] == "id_reused"
        assert send (op="directory.create", id=6, path="/c", seen=5)["ok"]
        assert send (op="directory.create", id=5, path="/a")["error"] == "stale"
        assert send (op="directory.create", id=3, path="/d")["error"] == "stale"
        assert send (op="directory.create", id=7, path="/d", seen=7)["error"] == "stale"
        name.refused ("not_found", "path.info", path="/b")
        name.refused ("not_found", "path.info", path="/d")
        # A refusal is not stored: the same request may succeed later.
        assert send (op="directory.delete", id=8, path="/e", seen=5)["error"] == "not_found"
        assert send (op="directory.create", id=9, path="/e", seen=5)["ok"]
        assert send (op="directory.delete", id=8, path="/e", seen=5)["ok"]


def all_of_300_pipelined_creates_are_there_after_a_kill_right_after_the_last_reply ():
    with Cluster (nodes=0) as c, Raw (c.name) as name:
        name.ok ("directory.create", path="/many")
        for turn in range (3):
            wanted = [f"{turn}-{n:03}" for n in range (300)]
            for text in wanted:
                name.send ("file.create", path="/many/" + text, size=0)
            replies = [name.receive ()[0] for _ in wanted]
            c.name.process.kill ()
            assert all (r["ok"] for r in replies), [r for r in replies if not r["ok"]][:3]
            assert len ({r["id"] for r in replies}) == 300
            c.name.kill ()
            c.name.start ()
            listed = json.loads (c.litedfs ("directory", "list", "-r", "/many", "--json"))["entries"]
            assert {e["name"] for e in listed} >= set (wanted)
            assert len (listed) == 300 * (turn + 1)
            assert {e["id"] for e in listed} >= {r["file"] for r in replies}
            assert name.ok ("path.info", path="/many")["files"] == 300 * (turn + 1)


run (globals ())
