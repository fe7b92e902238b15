# SPDX-License-Identifier: MIT
"""cluster check says how all blocks are, and file why what is being done about those that are not as wanted; file
update changes a whole tree and waits; cluster info shows what there is to repair and whom a name node awaits."""
import fcntl
import json
import os
import re
import signal
import subprocess
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, program, run, terminal, wait_for  # noqa: E402
from replicas import info, wait_copies  # noqa: E402

MIB = 1 << 20
UNHEALTHY = 9


def _put (c, path, replica, size=MIB):
    c.litedfs ("file", "create", "-l", "-", "-r", path, "-R", str (replica), input=os.urandom (size))


def _check (c, *options):
    """The document of cluster check, which has to agree with its exit status."""
    done = c.litedfs_run ("cluster", "check", "--json", *options)
    found = json.loads (done.stdout)
    assert done.returncode == (0 if found["healthy"] else UNHEALTHY), (done.returncode, found)
    return found


def _counts (found):
    """{state: (files, blocks)} of the states that there are."""
    return {state: (tally["files"], tally["blocks"]) for state, tally in found["states"].items ()
            if tally["files"] or tally["blocks"]}


def _why (c, path):
    return json.loads (c.litedfs ("file", "why", "-r", path, "--json"))


def _repair (c):
    return json.loads (c.litedfs ("cluster", "info", "--json"))["repair"]


def a_check_tells_what_is_healthy_and_what_is_not ():
    with Cluster (nodes=3, block_size=MIB, name_settings={"repair_delay": 20 * DEADLINE}) as c:
        assert _counts (_check (c)) == {}
        _put (c, "/d/two", 2, 3 * MIB)
        _put (c, "/d/three", 3)
        _put (c, "/one", 1)
        c.litedfs ("cluster", "check", "--wait", "--timeout", str (int (DEADLINE)))
        assert _counts (_check (c)) == {"healthy": (3, 5)}
        assert _check (c, "--files")["files"] == []
        assert "all as wanted" in c.litedfs ("file", "why", "-r", "/d/two")

        c.litedfs ("file", "update", "-r", "/d/three", "-R", "5")
        found = _check (c, "--files")
        assert _counts (found) == {"healthy": (2, 4), "under_replicated": (1, 1)}, found
        (file,) = found["files"]
        assert (file["path"], file["replica"], file["current_replica"]) == ("/d/three", 5, 3), file
        table = c.litedfs ("cluster", "check", "--files", expect=UNHEALTHY)
        assert re.search (r"under_replicated *\| 1 ", table) and "/d/three" in table, table
        (block,) = _why (c, "/d/three")["blocks"]
        assert block["awaits"] == "node" and len (block["holders"]) == 3, block
        assert {holder["standing"] for holder in block["holders"]} == {"live"}, block
        assert {holder["http_port"] for holder in block["holders"]} == {d.http_port for d in c.data}

        # Waiting for what will not be ends in time.
        c.litedfs ("cluster", "check", "--wait", "--timeout", "1", expect=UNHEALTHY)
        c.litedfs ("file", "update", "-r", "/d/three", "-R", "5", "--wait", "--timeout", "1", expect=7)


def it_tells_of_nodes_that_are_away_and_of_what_is_lost ():
    with Cluster (nodes=3, block_size=MIB, name_settings={"repair_delay": 3 * DEADLINE}) as c:
        _put (c, "/three", 3)
        _put (c, "/one", 1)
        c.litedfs ("cluster", "check", "--wait", "--timeout", str (int (DEADLINE)))
        (number,) = info (c, "/one")["blocks"][0]["nodes"]
        lost = next (daemon for daemon in c.data if c.node (daemon)["id"] == number)
        lost.kill ()
        c.wait_status (lost, "offline")
        found = _check (c, "--files")
        assert _counts (found) == {"healthy": (1, 1), "away": (1, 1)}, found
        assert found["states"]["away"]["since"] is not None
        assert [(file["path"], file["state"]) for file in found["files"]] == [("/one", "away")]
        (block,) = _why (c, "/one")["blocks"]
        assert block["awaits"] == "source" and 0 < block["seconds_left"] <= 3 * DEADLINE, block
        (block,) = _why (c, "/three")["blocks"]
        assert block["awaits"] == "return" and 0 < block["seconds_left"] <= 3 * DEADLINE, block
        assert sorted (holder["standing"] for holder in block["holders"]) == ["away", "live", "live"], block
        assert "s left" in c.litedfs ("file", "why", "-r", "/three")
        lost.start ()
        c.wait_online (3)
        assert _counts (_check (c)) == {"healthy": (2, 2)}


def what_is_lost_for_long_is_missing_and_counted ():
    with Cluster (nodes=2, block_size=MIB, name_settings={"repair_delay": 1}) as c:
        _put (c, "/two", 2)
        _put (c, "/one", 1)
        c.litedfs ("cluster", "check", "--wait", "--timeout", str (int (DEADLINE)))
        (number,) = info (c, "/one")["blocks"][0]["nodes"]
        lost = next (daemon for daemon in c.data if c.node (daemon)["id"] == number)
        lost.kill ()
        wait_for ("what nobody has is missing", lambda: "missing" in _counts (_check (c)))
        assert _counts (_check (c)) == {"missing": (1, 1), "under_replicated": (1, 1)}
        (block,) = _why (c, "/one")["blocks"]
        assert block["awaits"] == "nothing" and block["holders"][0]["standing"] == "gone", block
        repair = wait_for ("all is counted", lambda: _repair (c)["missing_blocks"] and _repair (c))
        repair = wait_for ("all is counted", lambda: _repair (c)["last_copy_blocks"] and _repair (c))
        assert repair["bytes"] == MIB and repair["under_replicated_blocks"] == 0, repair
        assert "1 missing" in c.litedfs ("cluster", "info")
        lost.start ()
        c.litedfs ("cluster", "check", "--wait", "--timeout", str (int (DEADLINE)))
        wait_for ("there is nothing to repair", lambda: _repair (c)["counted"] and not _repair (c)["bytes"])


def an_update_of_a_tree_changes_every_file_and_waits ():
    with Cluster (nodes=3, block_size=MIB) as c:
        paths = [f"/tree/{name}" for name in ("a", "b", "below/c", "below/deeper/d", "below/deeper/e")]
        for path in paths:
            _put (c, path, 1, 2 * MIB)
        _put (c, "/beside", 1)
        c.litedfs ("file", "create", "-l", "-", "-r", "/tree/empty", input=b"")
        done = c.litedfs_run ("file", "update", "-r", "/tree", "-R", "2", "--recursive", "--wait", "--timeout",
                              str (int (2 * DEADLINE)))
        assert (done.returncode, done.stdout, done.stderr) == (0, b"update 6 files[/tree] success\n", b""), done
        for path in paths:
            about = info (c, path)
            assert about["replica"] == about["current_replica"] == 2, about
        assert info (c, "/beside")["replica"] == 1
        c.litedfs ("file", "update", "-r", "/beside", "-R", "3", "--wait", "--timeout", str (int (2 * DEADLINE)))
        assert info (c, "/beside")["current_replica"] == 3
        assert _counts (_check (c)) == {"healthy": (6, 11)}

        c.litedfs ("file", "update", "-r", "/beside", "-R", "2", "--recursive", expect=1)       # not a directory
        c.litedfs ("file", "update", "-r", "/none", "-R", "2", "--recursive", expect=3)
        c.litedfs ("file", "update", "-r", "/tree/", "-R", "1", "--recursive")
        assert {info (c, path)["replica"] for path in paths} == {1}


def waiting_shows_a_bar_on_a_terminal ():
    with Cluster (nodes=1) as c:
        _put (c, "/f", 1)
        c.litedfs ("file", "update", "-r", "/f", "-R", "2")
        ours, its = terminal ()
        # Its own session, with this terminal, as a shell gives it.
        job = subprocess.Popen ([program ("litedfs"), c.address (), "cluster", "check", "--wait"], stderr=its,
                                stdout=subprocess.DEVNULL, start_new_session=True,
                                preexec_fn=lambda: fcntl.ioctl (its, 0x540E, 0))
        drawn = b""
        while b"0 of 1 blocks, 0 blocks/s" not in drawn:
            drawn += os.read (ours, 4096)
        c.litedfs ("file", "update", "-r", "/f", "-R", "1")
        assert job.wait (DEADLINE) == 0, job.returncode
        os.close (ours)
        os.close (its)


def a_name_node_that_has_just_started_says_whom_it_awaits ():
    with Cluster (nodes=2) as c:
        _put (c, "/f", 2)
        c.litedfs ("cluster", "check", "--wait", "--timeout", str (int (DEADLINE)))
        away = c.node (c.data[1])["id"]
        c.data[1].kill ()
        c.name.kill ()
        c.name.start ()
        c.wait_online (1)
        repair = _repair (c)
        assert repair["awaited_nodes"] == [away] and repair["settling_seconds_left"] > 0, repair
        assert f"nodes {away}, " in c.litedfs ("cluster", "info")
        found = _check (c)
        assert found["settling"] and not found["healthy"], found
        (block,) = _why (c, "/f")["blocks"]
        assert block["awaits"] == "settling", block
        c.data[1].start ()
        c.litedfs ("cluster", "check", "--wait", "--timeout", str (int (DEADLINE)))
        wait_for ("nobody is awaited", lambda: _repair (c)["awaited_nodes"] == [])


def copies_that_are_under_way_are_told ():
    with Cluster (nodes=3, block_size=MIB) as c:
        _put (c, "/f", 1, 4 * MIB)
        c.litedfs ("cluster", "check", "--wait", "--timeout", str (int (DEADLINE)))
        held = info (c, "/f")["blocks"][0]["nodes"]
        stopped = [daemon for daemon in c.data if c.node (daemon)["id"] not in held]
        for daemon in stopped:
            daemon.signal (signal.SIGSTOP)      # whoever shall take a copy does not
        try:
            c.litedfs ("file", "update", "-r", "/f", "-R", "2")
            block = wait_for ("a copy is under way", lambda: next (
                (b for b in _why (c, "/f")["blocks"] if b["copies"]), None))
            assert block["awaits"] == "copy" and block["copies"][0]["seconds_left"] > 0, block
            assert block["copies"][0]["source"] in [holder["id"] for holder in block["holders"]], block
            assert " -> " in c.litedfs ("file", "why", "-r", "/f")
            wait_for ("it is shown", lambda: _repair (c)["copies"] > 0)
        finally:
            for daemon in stopped:
                daemon.signal (signal.SIGCONT)
        wait_copies (c, "/f", 2)
        wait_for ("no copy is left", lambda: _repair (c)["copies"] == 0)


run (globals ())
