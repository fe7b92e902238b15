# SPDX-License-Identifier: MIT
"""Who comes from another host is refused on every port, is told what to set, and works when it is set.

The other host is a network namespace, joined to this one by a pair of virtual interfaces."""
import json
import os
import re
import sys
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, run, same_content, wait_for  # noqa: E402
from elsewhere import Elsewhere  # noqa: E402

SOON = 5.0 * DEADLINE / 30.0


# Asks every kind of port as a ZeroMQ peer: says "silence" if nothing that was sent got an answer.
PEER = """
import sys, zmq
socket = zmq.Context.instance ().socket (getattr (zmq, sys.argv[2]))
socket.linger = 0
socket.ipv6 = True
socket.connect (sys.argv[1])
for _ in range (3):
    socket.send (b"\\x83\\xa2op\\xaedirectory.list\\xa2id\\x01\\xa4path\\xa1/")
if sys.argv[2] == "PUSH":
    print ("sent")
else:
    print ("answer" if socket.poll (1000) else "silence")
"""


def strangers_are_refused_on_every_port_and_told_what_to_set ():
    with Elsewhere () as there, Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            daemon.wait_log (r"who may connect: 127.0.0.0/8, ::1 \(allow: in .*configuration.yml\)")
            ports = daemon.ports ()
            keys = ["tcp_port"] if daemon is c.name else ["tcp_port", "chain_port"]
            assert ports == sorted ([daemon.http_port, *(int (daemon.get (key)) for key in keys)]), ports
            for path in ("/", "/cluster/info", "/cluster/endpoint", "/metrics", "/nonsense"):
                status, body = there.get (daemon.http_port, path)
                message = json.loads (body)
                assert status == 403 and message["error"] == "refused", body
                assert there.there in message["message"] and f"allow: in {daemon.config}" in message["message"], body
            status, out, err = there.run (sys.executable, "-c", PEER,
                                          f"tcp://{there.host}:{daemon.get ('tcp_port')}", "DEALER")
            assert (status, out) == (0, "silence\n"), out + err
            daemon.wait_log (f"refused {there.there}: not in allow: of {re.escape (daemon.config)}")
        status, out, err, took = there.litedfs (f"{there.host}:{c.name.http_port}", "directory", "list", "-r", "/")
        assert (status, out) == (8, "") and took < SOON, (status, out, err, took)
        assert err.count ("\n") == 1 and "allow:" in err and c.name.config in err and there.there in err, err
        for daemon in c.daemons ():
            status, out, err, took = there.litedfs (f"tcp://{there.host}:{daemon.get ('tcp_port')}", "directory",
                                                    "list", "-r", "/")
            assert (status, out) == (8, "") and took < SOON, (status, out, err, took)
            assert err.count ("\n") == 1 and "allow:" in err and there.host in err, err
        c.upload_and_download ("f")
        for daemon in c.daemons ():
            assert daemon.log ().count ("refused " + there.there) < 5, "a stranger fills the log"


def a_data_node_that_is_a_stranger_says_so_in_its_log ():
    with Elsewhere () as there, Cluster (nodes=0) as c:
        node = c.add_node ()
        for tcp_port in (0, c.name.get ("tcp_port")):  # by HTTP, and by the ROUTER alone
            node.set (name_http_host=there.here, name_tcp_port=tcp_port)
            node.start (wait=False, prefix=there.prefix ())
            try:
                began = time.monotonic ()
                node.wait_log ("WARNING uplink_ops: .*(not let|let).* in; add it to allow: in .*configuration.yml")
                assert time.monotonic () - began < SOON + 1.0
                assert c.info ()["number_of_nodes"] == 0
                assert node.stop () == 0
            finally:
                node.kill ()
            os.unlink (os.path.join (node.directory, "logs", "litedata.log"))
        c.data.clear ()


def whom_allow_names_can_do_everything ():
    for ipv6 in (False, True):
        with Elsewhere (ipv6) as there:
            every = "'::'" if ipv6 else "0.0.0.0"
            settings = {"allow": f'["{there.network}"]', "http_host": every, "tcp_host": every}
            with Cluster (nodes=2, block_size=1 << 20, name_settings=settings, data_settings=settings) as c:
                for daemon in c.daemons ():
                    daemon.wait_log (f"who may connect: 127.0.0.0/8, ::1, {re.escape (there.network)} ")
                    assert there.get (daemon.http_port)[0] == 200
                local = c.make_file ("f", 5 * (1 << 20) + 7)
                for number, address in enumerate ((f"{there.host}:{c.name.http_port}",
                                                   f"tcp://{there.host}:{c.name.get ('tcp_port')}")):
                    back = c.path (f"back{number}")
                    for arguments in (["file", "create", "-l", local, "-r", f"/f{number}"],
                                      ["file", "download", "-r", f"/f{number}", "-l", back]):
                        status, out, err, _ = there.litedfs (address, *arguments)
                        assert status == 0, err
                    assert same_content (local, back)


def a_data_node_on_another_host_works_with_clients_on_both ():
    with Elsewhere () as there:
        settings = {"allow": f"[{there.network}]"}
        with Cluster (nodes=1, block_size=1 << 20, name_settings=settings, data_settings=settings) as c:
            c.data[0].set (advertise_host=there.here)
            c.data[0].stop ()
            c.data[0].start ()
            far = c.add_node ()
            far.set (name_http_host=there.here)
            far.start (wait=False, prefix=there.prefix ())
            number = c.wait_status (far, "online")
            assert c.node (far)["host"] == there.there
            c.wait_online (2)
            local = c.make_file ("f", 6 * (1 << 20) + 7)
            c.litedfs ("file", "create", "-l", local, "-r", "/f")
            nodes = {node for block in json.loads (c.litedfs ("file", "info", "-r", "/f", "--json"))["blocks"]
                     for node in block["nodes"]}
            assert number in nodes and len (nodes) == 2, nodes
            c.litedfs ("file", "download", "-r", "/f", "-l", c.path ("here"))
            status, out, err, _ = there.litedfs (f"{there.here}:{c.name.http_port}", "file", "download", "-r", "/f",
                                                 "-l", c.path ("there"))
            assert status == 0, err
            assert same_content (local, c.path ("here")) and same_content (local, c.path ("there"))
            c.wait_online (2)


def allow_is_taken_over_at_sighup ():
    with Elsewhere () as there, Cluster (nodes=1) as c:
        assert there.get (c.name.http_port)[0] == 403
        for daemon in c.daemons ():
            daemon.set (allow=f"[{there.network}]")
            daemon.signal (1)
            wait_for ("it is let in", lambda: there.get (daemon.http_port)[0] == 200)
        status, out, err, _ = there.litedfs (f"tcp://{there.here}:{c.name.get ('tcp_port')}", "directory", "list", "-r",
                                             "/")
        assert status == 0, err


run (globals ())
