# SPDX-License-Identifier: MIT
"""GET /metrics of the daemons: Prometheus can read it, and the numbers are those of what was done."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import (DEADLINE, Cluster, Skip, free_port, http_get, program, run, same_content,  # noqa: E402
                     wait_for)

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile (rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ([0-9]+(?:\.[0-9]+)?)")
HISTOGRAM = ("_bucket", "_sum", "_count")


def _parse (text):
    """Read the text format as strictly as it is written: {(name, labels as text): number}, {family: type}."""
    samples, types, family, helped = {}, {}, None, None
    assert text.endswith ("\n") and "\n\n" not in text
    for line in text.splitlines ():
        if line.startswith ("# HELP "):
            helped, words = line.split (" ", 3)[2:]
            assert helped not in types and words.strip () == words and words, line
        elif line.startswith ("# TYPE "):
            family, kind = line.split (" ")[2:]
            assert family == helped and family not in types, line
            assert kind in ("counter", "gauge", "histogram"), line
            assert family.endswith ("_total") == (kind == "counter"), line
            types[family] = kind
        else:
            match = SAMPLE.fullmatch (line)
            assert match, f"not a sample: {line!r}"
            name, labels, number = match.groups ()
            names = [family + end for end in HISTOGRAM] if types[family] == "histogram" else [family]
            assert name in names, f"{line!r} below {family}"
            assert (name, labels or "") not in samples, f"twice: {line!r}"
            samples[name, labels or ""] = float (number)
    _check_histograms (samples, types)
    return samples, types


def _check_histograms (samples, types):
    """Buckets rise, the bounds do, and the last one, +Inf, is the count."""
    for family in (family for family, kind in types.items () if kind == "histogram"):
        series = {}
        for (name, labels), number in samples.items ():
            if name == family + "_bucket":
                rest, le = re.fullmatch (r'(.*?),?le="([^"]*)"', labels).groups ()
                series.setdefault (rest, []).append ((float (le.replace ("+Inf", "inf")), number))
        assert series, family
        for rest, buckets in series.items ():
            assert buckets == sorted (buckets) and buckets[-1][0] == float ("inf"), (family, rest, buckets)
            assert [n for _, n in buckets] == sorted (n for _, n in buckets), (family, rest, buckets)
            assert samples[family + "_count", rest] == buckets[-1][1], (family, rest)
            assert (family + "_sum", rest) in samples, (family, rest)


def _scrape (port):
    status, body = http_get (port, "/metrics")
    assert status == 200, body
    return _parse (body.decode ())[0]


class Change:
    """What the numbers of a daemon became since it was made."""

    def __init__ (self, daemon):
        self.port = daemon.http_port
        self.before = _scrape (self.port)

    def look (self):
        self.after = _scrape (self.port)
        return self

    def __call__ (self, name, labels=""):
        return self.after[name, labels] - self.before.get ((name, labels), 0)


def both_daemons_say_what_prometheus_can_read ():
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            samples, types = _parse (http_get (daemon.http_port, "/metrics")[1].decode ())
            assert all (name.startswith (("litedfs_", "process_")) for name in types), types
            version = subprocess.run ([program ("litedfs"), "-v"], stdout=subprocess.PIPE, check=True).stdout
            assert samples["litedfs_build_info", f'version="{version.decode ().split ()[-1]}"'] == 1
            assert abs (samples["process_start_time_seconds", ""] - time.time ()) < 4 * DEADLINE
            assert samples["process_resident_memory_bytes", ""] > 1 << 20
            assert 5 < samples["process_open_fds", ""] < samples["process_max_fds", ""]
            assert ("litedfs_commit_duration_seconds" in types) == (daemon.name == "litename")
            assert ("litedfs_disk_duration_seconds" in types) == (daemon.name == "litedata")


def promtool_finds_nothing_to_say ():
    promtool = os.environ.get ("PROMTOOL") or shutil.which ("promtool")
    if not promtool:
        raise Skip ("no promtool: apt-get install prometheus, or say where it is in PROMTOOL")
    with Cluster (nodes=1) as c:
        c.upload_and_download ("f")
        for daemon in c.daemons ():
            done = subprocess.run ([promtool, "check", "metrics"], input=http_get (daemon.http_port, "/metrics")[1],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            assert (done.returncode, done.stdout) == (0, b""), done


def the_type_is_that_of_the_text_format_and_the_rules_of_other_paths_hold ():
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            done = subprocess.run (["curl", "-sI", f"http://127.0.0.1:{daemon.http_port}/metrics"],
                                   stdout=subprocess.PIPE) if shutil.which ("curl") else None
            if done:
                assert b"\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in done.stdout, done
            assert http_get (daemon.http_port, "/metrics", method="POST")[0] == 405
            assert http_get (daemon.http_port, "/metrics/")[0] == 404


def uploads_and_downloads_are_counted_where_they_pass ():
    size = 3 * (1 << 20) + 77
    with Cluster (nodes=2, block_size=1 << 20) as c:
        name, data = Change (c.name), [Change (node) for node in c.data]
        c.upload_and_download ("f", size)
        c.litedfs ("directory", "create", "-r", "/d")
        c.litedfs ("file", "download", "-r", "/none", "-l", c.path ("none"), expect=3)
        name.look ()
        for op in ("file.create", "file.commit", "directory.create"):
            assert name ("litedfs_requests_total", f'op="{op}",outcome="ok"') == 1, op
            assert name ("litedfs_request_duration_seconds_count", f'op="{op}"') == 1, op
            assert name ("litedfs_request_duration_seconds_sum", f'op="{op}"') > 0, op
        assert name ("litedfs_requests_total", 'op="file.info",outcome="error"') == 1
        assert name ("litedfs_errors_total", 'error="not_found"') == 1
        assert name.after["litedfs_namespace_files", ""] == 1
        assert name.after["litedfs_namespace_directories", ""] == 1
        assert name.after["litedfs_namespace_bytes", ""] == size
        assert name.after["litedfs_metastore_rows", 'table="block"'] == 4
        assert name ("litedfs_batch_requests_sum") >= 3
        assert name ("litedfs_batch_requests_count") >= 1
        assert name ("litedfs_commit_duration_seconds_count") >= 1
        assert name ("litedfs_loop_lag_seconds_count", 'loop="namenode"') > 0
        assert name ("litedfs_loop_lag_seconds_count", 'loop="writer"') > 0
        for change in data:
            change.look ()

        def total (metric, labels=""):
            return sum (change (metric, labels) for change in data)

        assert total ("litedfs_disk_written_bytes_total") == total ("litedfs_disk_read_bytes_total") == size
        assert total ("litedfs_received_bytes_total") > size and total ("litedfs_sent_bytes_total") > size
        assert total ("litedfs_requests_total", 'op="block.write",outcome="ok"') >= 4
        assert total ("litedfs_disk_duration_seconds_count", 'access="write"') >= 4
        assert total ("litedfs_disk_duration_seconds_count", 'access="sync"') >= 1
        assert total ("litedfs_storage_used_bytes") == size and total ("litedfs_blocks") == 4
        assert total ("litedfs_loop_lag_seconds_count", 'loop="datanode"') > 0


def data_nodes_are_shown_by_number_and_status ():
    with Cluster (nodes=2) as c:
        c.upload_and_download ("f", 100000)
        number = c.wait_status (c.data[1], "online")
        here = wait_for ("the heartbeats have told all", lambda: (lambda s: s if sum (
            s["litedfs_node_used_bytes", f'node="{n}"'] for n in (1, 2)) == 100000 else None) (
                _scrape (c.name.http_port)))
        assert here["litedfs_nodes", 'status="online"'] == 2
        for n in (1, 2):
            node = f'node="{n}"'
            assert here["litedfs_node_capacity_bytes", node] == \
                here["litedfs_node_used_bytes", node] + here["litedfs_node_free_bytes", node]
            assert abs (here["litedfs_node_last_heartbeat_timestamp_seconds", node] - time.time ()) < 4 * DEADLINE
        info = [labels for name, labels in here if name == "litedfs_node_info"]
        assert len (info) == 2 and any (c.node (c.data[0])["node_id"] in labels for labels in info), info
        c.data[1].kill ()
        c.wait_status (c.data[1], "offline")
        here = _scrape (c.name.http_port)
        assert (here["litedfs_nodes", 'status="online"'], here["litedfs_nodes", 'status="offline"']) == (1, 1)
        assert here["litedfs_node_status", f'node="{number}",status="offline"'] == 1
        assert here["litedfs_node_status", f'node="{number}",status="online"'] == 0


def chains_and_repair_are_counted ():
    size = 2 << 20
    with Cluster (nodes=3, block_size=1 << 20, name_settings={"delete_delay": "0.2", "repair_delay": "0"}) as c:
        name, data = Change (c.name), [Change (node) for node in c.data]
        c.litedfs ("file", "create", "-l", c.make_file ("f", size), "-r", "/f", "-R", "2")

        def passed_on ():
            for change in data:
                change.look ()
            return all (sum (change (f"litedfs_chain_{way}_bytes_total") for change in data) >= size
                        for way in ("forwarded", "received"))
        wait_for ("the bytes are passed on", passed_on)
        c.litedfs ("file", "update", "-r", "/f", "-R", "3")
        wait_for ("the third copies have arrived",
                  lambda: name.look () ("litedfs_repair_arrived_copies_total") == 2)
        assert name ("litedfs_repair_ordered_copies_total") >= 2
        assert name ("litedfs_repair_arrived_bytes_total") == size
        wait_for ("nothing is left to do", lambda: name.look ().after["litedfs_repair_copies", ""] == 0 and
                  name.after["litedfs_metastore_rows", 'table="repair"'] == 0)
        for change in data:
            change.look ()
        assert sum (change ("litedfs_copies_total", 'outcome="ok"') for change in data) >= 2
        assert sum (change ("litedfs_copies_read_bytes_total") for change in data) >= size
        c.litedfs ("file", "delete", "-r", "/f")
        wait_for ("the garbage has gone", lambda: name.look ().after["litedfs_metastore_rows", 'table="block"'] == 0
                  and name.after["litedfs_metastore_rows", 'table="garbage"'] == 0
                  and name.after["litedfs_metastore_rows", 'table="order"'] == 0)


def a_data_node_without_a_name_node_has_its_metrics ():
    with Cluster (nodes=1) as c:
        c.name.stop ()
        assert _scrape (c.data[0].http_port)["litedfs_blocks", ""] == 0


def each_daemon_of_one_process_has_its_own_numbers ():
    litecluster = os.path.join (os.path.dirname (program ("litename")), "litecluster")
    root = tempfile.mkdtemp (prefix="litedfs-test-")
    port = free_port (1, 2)
    process = subprocess.Popen ([litecluster, "-n", "2", "-p", str (port), os.path.join (root, "c")],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        wait_for ("it is ready", lambda: b"ready" in process.stdout.readline ())
        local, back = os.path.join (root, "f"), os.path.join (root, "back")
        with open (local, "wb") as f:
            f.write (os.urandom (123456))
        for arguments in (("create", "-l", local, "-r", "/f"), ("download", "-l", back, "-r", "/f")):
            subprocess.run ([program ("litedfs"), f"127.0.0.1:{port}", "file", *arguments], check=True,
                            stdout=subprocess.DEVNULL)
        assert same_content (local, back)
        name, first, second = (_scrape (port + k) for k in range (3))
        assert name["litedfs_requests_total", 'op="file.create",outcome="ok"'] == 1
        written = sorted (part["litedfs_disk_written_bytes_total", ""] for part in (first, second))
        assert written == [0, 123456], written
        assert not any (metric.startswith ("litedfs_disk") for metric, _ in name)
    finally:
        process.kill ()
        process.communicate ()
        shutil.rmtree (root, ignore_errors=True)


run (globals ())
