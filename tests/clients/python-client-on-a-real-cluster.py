# SPDX-License-Identifier: MIT
"""The Python client that was written from litedfs-protocol(7) works on a real cluster, and its retries
have no second effect."""
import os
import random
import sys
import threading

TOP = os.environ.get ("top_srcdir", ".")
sys.path[:0] = [os.path.join (TOP, "tests", "lib"), os.path.join (TOP, "tests", "clients")]
from cluster import Cluster, run, wait_for  # noqa: E402
from litedfs_client import Client, Error  # noqa: E402

BLOCK = 1 << 20


def _content (size, seed=0):
    return random.Random (seed).randbytes (size)


def _refused (word, call, *arguments, **fields):
    try:
        call (*arguments, **fields)
    except Error as error:
        assert error.word == word, error
    else:
        raise AssertionError (f"not refused as {word}")


def a_file_of_two_blocks_with_two_replicas ():
    content = _content (BLOCK + 300001)
    with Cluster (nodes=2, block_size=BLOCK) as c:
        files = Client (c.address ())
        assert files.make_directory ("/python/a") is True
        assert files.make_directory ("/python/a") is False
        id = files.write ("/python/a/two", content, replica=2)

        assert files.read ("/python/a/two") == content
        assert files.read ("/python/a/two", 5, 10) == content[5:15]
        assert files.read ("/python/a/two", BLOCK - 7, 20) == content[BLOCK - 7:BLOCK + 13]
        assert files.read ("/python/a/two", len (content) - 3, 10) == content[-3:]
        info = files.blocks (path="/python/a/two")
        assert [sorted (block["nodes"]) for block in info["blocks"]] == [[1, 2], [1, 2]]
        assert info["replica"] == info["current_replica"] == 2

        files.write ("/python/a/empty", b"")
        assert [(entry["name"], entry.get ("size", 0)) for entry in files.list ("/python/a")] == \
            [("empty", 0), ("two", len (content))]
        about = files.stat ("/python/a/two")
        assert (about["kind"], about["size"], about["file"]) == ("file", len (content), id)

        c.litedfs ("file", "download", "-r", "/python/a/two", "-l", c.path ("two"))
        with open (c.path ("two"), "rb") as f:
            assert f.read () == content
        c.litedfs ("file", "create", "-r", "/python/shell", "-l", c.path ("two"))
        assert files.read ("/python/shell") == content

        files.delete ("/python/a/two")
        _refused ("not_found", files.stat, "/python/a/two")
        _refused ("not_found", files.delete, "/python/a/two")


def a_long_list_comes_in_pages ():
    with Cluster (nodes=1) as c:
        files = Client (c.address ())
        names = [f"{number:04}" + "x" * 200 for number in range (2000)]
        for name in names:
            files.make_directory (f"/{name}")
        assert [entry["name"] for entry in files.list ("/")] == names


def a_request_that_is_sent_again_after_a_kill_of_the_name_node_has_its_first_answer ():
    with Cluster (nodes=1) as c:
        files = Client (c.address ())
        sent = []
        send = files.name.send
        files.name.send = lambda frames: sent.append (frames) or send (frames)
        files.make_directory ("/a")
        files.write ("/a/f", b"content")
        files.delete ("/a/f")
        c.name.kill ()
        c.name.start ()
        # Each has a second effect if it is carried out again: the directory is there, the file is not.
        assert send (sent[-1])[0]["ok"]
        _refused ("not_found", files.delete, "/a/f")
        # Told that it was answered, the name node has forgotten it, and says so instead of doing it.
        _refused ("stale", send, sent[0])


def requests_through_restarts_of_the_name_node_are_carried_out_once ():
    with Cluster (nodes=2, block_size=BLOCK) as c:
        files = Client (c.address ())
        done = threading.Event ()
        failed = []

        def work ():
            try:
                for number in range (100000):
                    if done.is_set () and number > 100:
                        break
                    path = f"/d{number}"
                    assert files.make_directory (path) is True, path
                    if number % 10 == 0:
                        files.write (f"{path}/f", _content (5000, number), replica=2)
                        assert files.read (f"{path}/f") == _content (5000, number)
                        files.delete (f"{path}/f")
                    made.append (path[1:])
            except BaseException as error:      # for the thread that waits
                failed.append (error)

        made = []
        worker = threading.Thread (target=work)
        worker.start ()
        for restart in range (3):
            before = len (made)
            wait_for ("requests are carried out", lambda: len (made) > before + 20 or failed)
            c.name.kill ()
            c.name.start ()
        done.set ()
        worker.join ()
        assert not failed, failed
        c.wait_online (2)
        assert sorted (entry["name"] for entry in files.list ("/")) == sorted (made)


def a_data_node_that_dies_is_written_and_read_round ():
    content = _content (20 * BLOCK)
    with Cluster (nodes=3, block_size=BLOCK) as c:
        files = Client (c.address ())
        killer = threading.Thread (target=lambda: (
            wait_for ("bytes arrive", lambda: c.block_bytes () > 5 * BLOCK), c.data[1].kill ()))
        killer.start ()
        files.write ("/f", content, replica=2)
        killer.join ()
        assert files.read ("/f") == content


run (globals ())
