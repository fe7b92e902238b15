# SPDX-License-Identifier: MIT
"""HTTP of both daemons: the greetings byte for byte, JSON for everything, and nobody who holds it."""
import http.client
import json
import os
import re
import select
import socket
import sys
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, http_get, run, wait_for  # noqa: E402

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
GREETINGS = {"litename": b'{"message": "LiteDFS name service"}', "litedata": b'{"message": "LiteDFS data service"}'}


def _ask (daemon, text, timeout=5.0 * DEADLINE / 30.0):
    """Send bytes; all that comes back until the other side closes or is silent."""
    with socket.create_connection (("127.0.0.1", daemon.http_port), timeout) as s:
        s.sendall (text)
        out = b""
        try:
            while part := s.recv (65536):
                out += part
        except (TimeoutError, ConnectionResetError):
            pass
        return out


def _connect (daemon):
    return socket.create_connection (("127.0.0.1", daemon.http_port), 5.0 * DEADLINE / 30.0)


_started = None


def connections_without_a_request_are_left_open_for_a_while ():
    """What becomes of them is looked at at the end, when their time is over."""
    global _started
    c = Cluster (nodes=1)
    idle = [_connect (daemon) for daemon in c.daemons () for _ in range (3)]
    for s in idle[::3]:
        s.sendall (b"GET / HTTP/1.1\r\nHo")
    for s in idle[1::3]:
        s.sendall (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv (1000).startswith (b"HTTP/1.1 200 ")
    _started = (c, idle, time.monotonic ())
    assert select.select (idle, [], [], 0)[0] == []


def the_greetings_are_those_of_the_original_byte_for_byte ():
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            connection = http.client.HTTPConnection ("127.0.0.1", daemon.http_port, timeout=5)
            connection.request ("GET", "/")
            answer = connection.getresponse ()
            assert (answer.status, answer.read ()) == (200, GREETINGS[daemon.name])
            assert answer.getheader ("Content-Type").startswith ("application/json")
            connection.close ()
            assert _ask (daemon, b"GET / HTTP/1.0\r\n\r\n").endswith (b"\r\n\r\n" + GREETINGS[daemon.name])
            assert http_get (daemon.http_port, "/?x=1") == (200, GREETINGS[daemon.name])


def the_endpoint_has_host_port_cluster_and_versions ():
    with Cluster (nodes=1) as c:
        status, body = http_get (c.name.http_port, "/cluster/endpoint")
        endpoint = json.loads (body)
        assert status == 200 and list (endpoint) == ["host", "port", "cluster", "versions"], body
        assert endpoint["host"] == "" and endpoint["port"] == int (c.name.get ("tcp_port"))
        assert re.fullmatch (UUID, endpoint["cluster"])
        low, high = endpoint["versions"]
        assert 1 <= low <= high
        assert endpoint["cluster"] == c.info ()["cluster"]


def cluster_info_counts_and_lists_the_nodes ():
    with Cluster (nodes=2) as c:
        c.litedfs ("file", "create", "-l", c.make_file ("f", 100), "-r", "/d/f")
        c.data[1].kill ()
        c.wait_online (1)
        info = c.info ()
        assert [info[f"number_of_{kind}nodes"] for kind in ("", "online_", "offline_")] == [2, 1, 1], info
        online, offline = info["online_nodes"][0], info["offline_nodes"][0]
        assert (online["status"], offline["status"]) == ("online", "offline")
        assert {online["http_port"], offline["http_port"]} == {node.http_port for node in c.data}
        for node in (online, offline):
            assert re.fullmatch (UUID, node["node_id"]) and node["id"] in (1, 2)
            for key in ("host", "version"):
                assert isinstance (node[key], str), node
            for key in ("storage_total", "storage_used", "storage_free", "blocks"):
                assert isinstance (node[key], int), node
            assert isinstance (node["storage_full"], bool)
        assert info["files"] == 1 and info["bytes"] == 100 and info["directories"] >= 1, info


def other_paths_are_404_and_other_methods_405_in_json ():
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            paths = ["/x", "//", "/cluster", "/cluster/", "/cluster/info/", "/../etc/passwd", "/%00", "/%2e%2e",
                     "/" + "x" * 4000, "/Cluster/Info", "/index.html", "/favicon.ico"]
            if daemon.name == "litedata":
                paths += ["/cluster/info", "/cluster/endpoint"]
            for path in paths:
                status, body = http_get (daemon.http_port, path)
                assert status == 404 and json.loads (body)["error"] == "not_found", (path, status, body)
            for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "NONSENSE"):
                for path in ("/", "/cluster/info", "/x"):
                    status, body = http_get (daemon.http_port, path, method=method)
                    assert status == 405 and "error" in json.loads (body), (method, path, status, body)
            answer = _ask (daemon, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
            assert answer.startswith (b"HTTP/1.1 405 ") and b"\r\nAllow: GET, HEAD\r\n" in answer, answer


def HEAD_is_GET_without_the_body ():
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            for path in ("/", "/x", "/cluster/info"):
                heads = []
                for method in ("GET", "HEAD"):
                    request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                    answer = _ask (daemon, request.encode ())
                    head, body = answer.split (b"\r\n\r\n", 1)
                    assert (body == b"") == (method == "HEAD"), answer
                    heads.append (re.sub (rb"\r\n(Date|Content-Length): [^\r]*", b"", head))
                assert heads[0] == heads[1], heads


def several_requests_go_over_one_connection_and_in_a_row ():
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            connection = http.client.HTTPConnection ("127.0.0.1", daemon.http_port, timeout=5)
            for path in ("/", "/x", "/", "/cluster/info", "/") * 10:
                connection.request ("GET", path)
                socket_before = connection.sock
                answer = connection.getresponse ()
                answer.read ()
                assert answer.status == (200 if path == "/" or daemon.name == "litename" and path != "/x" else 404)
                assert connection.sock is socket_before, "the connection was closed"
            connection.close ()
            request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
            last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            assert _ask (daemon, 9 * request + last).count (GREETINGS[daemon.name]) == 10


def idle_connections_hold_nobody_out ():
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            idle = [_connect (daemon) for _ in range (300)]
            try:
                for _ in range (20):
                    assert http_get (daemon.http_port) == (200, GREETINGS[daemon.name])
                assert daemon.descriptors () < 300 + 100
            finally:
                for s in idle:
                    s.close ()
        c.upload_and_download ("f")


def slow_clients_hold_nobody_out ():
    """Heads that never end, some with a byte more now and then; answers that nobody reads."""
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            slow = []
            try:
                for number in range (300):
                    s = _connect (daemon)
                    s.sendall ((b"GET / HTTP/1.1\r\nHost: x\r\nX-", b"G",
                               b"GET /cluster/info HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
                                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx")[number % 4])
                    slow.append (s)
                for number in range (20):
                    for s in slow[number::20]:
                        try:
                            s.send (b"a")
                        except OSError:
                            pass  # it was closed: that is allowed
                    assert http_get (daemon.http_port) == (200, GREETINGS[daemon.name])
            finally:
                for s in slow:
                    s.close ()
        c.upload_and_download ("f")


def a_connection_that_works_stays_when_many_idle_ones_come ():
    with Cluster (nodes=0) as c:
        working = http.client.HTTPConnection ("127.0.0.1", c.name.http_port, timeout=5)
        idle = []
        try:
            for _ in range (30):
                working.request ("GET", "/cluster/info")
                answer = working.getresponse ()
                assert answer.status == 200 and answer.read ()
                idle += [_connect (c.name) for _ in range (20)]
                assert working.sock is not None
        finally:
            working.close ()
            for s in idle:
                s.close ()


def a_HEAD_of_endless_lines_ends_with_an_answer ():
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            for text in (b"GET / HTTP/1.1\r\n" + b"X-Y: z\r\n" * 100000, b"GET /" + b"x" * 1000000,
                         b"GET / HTTP/1.1\r\nX: " + b"y" * 1000000):
                with _connect (daemon) as s:
                    try:
                        s.sendall (text)
                        answer = s.recv (1000)
                    except (ConnectionResetError, BrokenPipeError):
                        answer = b""
                    assert answer == b"" or re.match (rb"HTTP/1\.[01] 4", answer), answer
            assert http_get (daemon.http_port)[0] == 200


def status_is_answered_while_the_cluster_works_hard ():
    with Cluster (nodes=1, block_size=1 << 20) as c:
        client = c.litedfs_start ("file", "create", "-l", c.make_file ("big", 50 << 20), "-r", "/big")
        slowest = 0.0

        def ended ():
            nonlocal slowest
            began = time.monotonic ()
            for daemon in c.daemons ():
                assert http_get (daemon.http_port)[0] == 200
            assert c.info ()["number_of_online_nodes"] == 1
            slowest = max (slowest, time.monotonic () - began)
            return client.poll () is not None

        wait_for ("the upload ends", ended)
        assert client.returncode == 0, client.communicate ()[1]
        client.communicate ()
        assert slowest < 2.0 * DEADLINE / 30.0, slowest


def idle_connections_are_closed_after_a_while ():
    """Those that the first case has opened."""
    c, idle, began = _started
    with c:
        while idle:
            ready, _, _ = select.select (idle, [], [], 25.0 * DEADLINE / 30.0)
            assert ready, f"{len (idle)} connections are still open"
            assert time.monotonic () - began > 5.0, "that was soon"
            for s in ready:
                s.recv (1000)  # libmicrohttpd may say 408 first
                if s.recv (1000) == b"":
                    s.close ()
                    idle.remove (s)


run (globals ())
