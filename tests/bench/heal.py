# SPDX-License-Identifier: MIT
"""What the death of a data node costs: how soon it is noticed, how long it takes until every block has its
copies again, and what a reader feels of it meanwhile."""

import os
import threading
import time

from cluster import Cluster, wait_for
from raw import Raw

SETTINGS = {"log_level": "INFO", "delete_delay": 0, "repair_delay": 0}
LOOK_S = 0.002          # between two looks at the cluster
SLACK_S = 0.5           # what a repair may take besides the time for its bytes
FACTOR = 1.5            # how much longer than cp the bytes may take


def _until (what, is_so):
    """The moment at which it is so."""
    deadline = time.monotonic () + 300
    while not is_so ():
        assert time.monotonic () < deadline, f"{what}: not within 300 s"
        time.sleep (LOOK_S)
    return time.monotonic ()


def _held (name, path, number):
    """The bytes of the file that the node has, and whether each block has both its copies."""
    about = name.ok ("file.info", path=path)
    return sum (block["size"] for block in about["blocks"] if number in block["nodes"]), \
        about["current_replica"] == 2


def _copy_on_disk (bench, size):
    """The seconds that cp takes for so many bytes, from the disk to the disk."""
    source = bench.new_path ()
    os.system (f"head -c {size} {bench.source} > {source}")
    os.sync ()
    seconds = bench.cp (bench.new_path (), source)
    os.unlink (source)
    return seconds


def _download (bench, c, back):
    return bench.client (c, "litedfs, download, repairing", "file", "download", "-r", "/f", "-l", back)


def heal (bench, mib, settle, reading):
    """A cluster of its own, of four nodes and a file of two copies; one node is killed, while somebody reads
    or nobody does."""
    with Cluster (nodes=4, name_settings=SETTINGS, data_settings={"log_level": "INFO"}) as c, \
         Raw (c.name) as name:
        c.litedfs ("file", "create", "-l", bench.source, "-r", "/f", "-R", "2")
        victim = c.node (c.data[0])["id"]
        size, _ = _held (name, "/f", victim)
        wait_for ("both copies of each block", lambda: _held (name, "/f", victim)[1])
        settle ()
        if reading:
            bench.table.add ("a node dies: download before", "MiB/s", mib / _download (bench, c, bench.back))
            os.unlink (bench.back)
        copy = _copy_on_disk (bench, size)
        settle ()
        reader = threading.Thread (target=lambda: bench.table.add (
            "a node dies: download meanwhile", "MiB/s", mib / _download (bench, c, bench.back),
            beside=("a node dies: download before",)))
        died = time.monotonic ()
        c.data[0].kill ()
        noticed = _until ("the death is noticed", lambda: any (
            node["id"] == victim and node["status"] == "offline" for node in name.ok ("cluster.info")["nodes"]))
        bench.table.add ("a node dies: until it is noticed", "ms", 1000 * (noticed - died))
        if reading:
            reader.start ()
        whole = _until ("every block has its copies", lambda: _held (name, "/f", victim)[1])
        if reading:
            reader.join ()
            os.unlink (bench.back)
        else:
            bench.table.add ("a node dies: until every block has its copies", "s", whole - noticed)
            bench.table.add (f"a node dies: the same, of {FACTOR} x cp + {SLACK_S} s", "",
                             (whole - noticed) / (FACTOR * copy + SLACK_S))
