# SPDX-License-Identifier: MIT
"""Whatever comes in on a port, the daemons are alive and well after it, and have not grown."""
import os
import random
import re
import socket
import struct
import sys
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, http_get, run, wait_for  # noqa: E402

try:
    import msgpack
    import zmq
except ImportError:
    print ("1..0 # SKIP python has no zmq or no msgpack")
    sys.exit (0)

MIB = 1 << 20
GREETING = (b"\xff\0\0\0\0\0\0\0\0\x7f\3\1NULL" + bytes (16) + b"\0" + bytes (31))  # ZMTP 3.1
assert len (GREETING) == 64


def _ready (socket_type, **more):
    out = b"\5READY"
    for name, value in {"Socket-Type": socket_type, "Identity": b"", **more}.items ():
        out += bytes ([len (name)]) + name.encode () + struct.pack (">I", len (value)) + value
    return bytes ([4, len (out)]) + out if len (out) < 256 else b"\6" + struct.pack (">Q", len (out)) + out


def _long (flags, size):
    return bytes ([flags | 2]) + struct.pack (">Q", size)


class _Target (Cluster):
    """A small cluster that works before and must after; .ports is all there is to throw at."""

    def __init__ (self):
        super ().__init__ (nodes=1, block_size=MIB, name_settings={"log_level": "INFO"},
                           data_settings={"log_level": "INFO"})
        self.round = 0

    def __enter__ (self):
        self.upload_and_download ("before", 3 * MIB + 1)
        self.rss = {daemon: daemon.rss () for daemon in self.daemons ()}
        self.peers = {port: daemon.connections (port) for daemon, port in self.all_ports ()}
        return self

    def all_ports (self):
        return [(daemon, port) for daemon in self.daemons () for port in daemon.ports ()]

    def routers (self):
        return [int (daemon.get ("tcp_port")) for daemon in self.daemons ()]

    def is_well (self):
        self.round += 1
        for daemon in self.daemons ():
            assert daemon.process.poll () is None, f"{daemon.name} has ended: {daemon.process.returncode}"
            assert http_get (daemon.http_port, timeout=5.0 * DEADLINE / 30.0)[0] == 200
            if os.environ.get ("SANITIZE", "no") == "no":
                grown = (daemon.rss () - self.rss[daemon]) / MIB
                print (f"# {daemon.name}: {self.rss[daemon] / MIB:.1f} MiB, grown by {grown:.1f}")
                assert grown < 64, f"{daemon.name} has grown by {grown:.1f} MiB"
        assert self.info ()["number_of_online_nodes"] == 1, self.info ()
        assert self.info ()["number_of_nodes"] == 1, self.info ()
        self.upload_and_download (f"after{self.round}", MIB + 1)

    def forgets (self):
        """Connections that have ended are closed, those of HTTP at the latest when others want their
        place."""
        for daemon, port in self.all_ports ():
            spare = 260 if port == daemon.http_port else 2
            wait_for (f"{daemon.name} has closed what was opened",
                      lambda: daemon.connections (port) <= self.peers[port] + spare)


def _throw (port, data, read=False):
    """Send bytes to a port and close; what comes back at once, if wanted."""
    out = b""
    with socket.create_connection (("127.0.0.1", port), 5.0) as s:
        try:
            s.sendall (data)
            if read:
                out = s.recv (4096)
        except (ConnectionResetError, BrokenPipeError, TimeoutError):
            pass
    return out


def _dealer (context, port, **options):
    out = context.socket (zmq.DEALER)
    out.linger = 0
    for name, value in options.items ():
        setattr (out, name, value)
    out.connect (f"tcp://127.0.0.1:{port}")
    return out


def _answered (s, expect=None):
    """A whole and right request is answered on this socket, after whatever else comes."""
    s.send (msgpack.packb ({"op": "node.list" if expect is None else expect, "id": 1 << 40, "seen": 1 << 39}))
    end = time.monotonic () + DEADLINE
    while time.monotonic () < end and s.poll (1000 * DEADLINE):
        reply = s.recv_multipart ()
        try:
            if msgpack.unpackb (reply[0], strict_map_key=False).get ("id") == 1 << 40:
                return
        except Exception:
            pass
    raise AssertionError ("no answer")


def random_bytes_do_nothing ():
    source = random.Random (7)
    with _Target () as c:
        for _, port in c.all_ports ():
            for size in (1, 2, 10, 63, 64, 65, 100, 1000, 100000, 3 * MIB):
                _throw (port, source.randbytes (size))
                _throw (port, b"\xff" * size)
                _throw (port, bytes (size))
                _throw (port, GREETING + source.randbytes (size))
                _throw (port, GREETING + _ready (b"DEALER") + source.randbytes (size))
        c.is_well ()
        c.forgets ()


def a_greeting_that_is_cut_or_changed_at_any_byte_does_nothing ():
    hello = GREETING + _ready (b"DEALER")
    with _Target () as c:
        for port in c.routers ():
            for at in range (len (hello)):
                _throw (port, hello[:at])
                _throw (port, hello[:at] + bytes ([hello[at] ^ 0xff]) + hello[at + 1:])
            for kind in (b"ROUTER", b"REQ", b"SUB", b"PAIR", b"", b"NONSENSE", b"x" * 1000, bytes (70000)):
                _throw (port, GREETING + _ready (kind))
                _throw (port, GREETING + _ready (b"DEALER", Identity=kind))
            _throw (port, GREETING.replace (b"NULL\0", b"CURVE") + b"\4\xffHELLO" + bytes (300))
            _throw (port, GREETING.replace (b"NULL\0", b"PLAIN") + b"\4\x10\5HELLO\1a\1b")
            for version in range (5):
                _throw (port, GREETING[:10] + bytes ([version]) + GREETING[11:])
        c.is_well ()
        c.forgets ()


def what_is_no_HTTP_is_refused_or_closed ():
    source = random.Random (8)
    texts = [b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
             b"get / http/1.1\r\nhost: x\r\n\r\n", b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
             b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
             b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
             b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
             b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
             b"5\r\nhello\r\n0\r\n\r\n",
             b"POST /cluster/info HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
             b"GET /" + b"%" * 3000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
             b"GET / HTTP/1.1\r\n" + b"Host: x\r\n" * 300 + b"\r\n",
             b"GET / HTTP/1.1\r\nCookie: " + b"a=b;" * 2000 + b"\r\n\r\n",
             b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes (500)]
    with _Target () as c:
        for daemon in c.daemons ():
            for text in texts:
                _throw (daemon.http_port, text)
                answer = _throw (daemon.http_port, text.rstrip (b"\r\n") + b"\r\nConnection: close\r\n\r\n", read=True)
                assert answer == b"" or answer.startswith (b"HTTP/1."), answer
            good = b"GET /cluster/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            for _ in range (200):
                at = source.randrange (len (good))
                _throw (daemon.http_port, good[:at] + source.randbytes (source.randrange (4)) + good[at + 1:])
                _throw (daemon.http_port, good[:at])
        c.is_well ()
        c.forgets ()


def huge_frames_are_not_waited_for ():
    hello = GREETING + _ready (b"DEALER")
    with _Target () as c:
        for port in c.routers ():
            for size in (5 * MIB, 1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1):
                for flags in (0, 1):
                    _throw (port, hello + _long (flags, size) + b"x" * 1000)
                    with socket.create_connection (("127.0.0.1", port), 5.0) as s:
                        s.sendall (hello)
                        s.sendall (_long (flags, size))
                        end = time.monotonic () + 5.0 * DEADLINE / 30.0
                        try:
                            while s.recv (4096):
                                assert time.monotonic () < end, "it still listens"
                        except ConnectionResetError:
                            pass
        context = zmq.Context ()
        for port in c.routers ():
            with _dealer (context, port) as s:
                for _ in range (20):
                    s.send (bytes (5 * MIB))
        context.destroy (0)
        c.is_well ()
        c.forgets ()


def messages_that_are_no_requests_are_answered_or_dropped ():
    bombs = [b"", b"\xc1", b"\x80", b"\x91" * 500000, b"\x81\xa1a" * 200000, b"\xdd\xff\xff\xff\xff",
             b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\0",
             b"\xdc\xff\xff" + b"\x90" * 65535, b"\xde\xff\xff" + b"\xa1a\xc0" * 65535, b"\xc0", b"\xc3", b"\x01",
             b"\x81\xa2op", b"\x81\xa2op\xa1", b"\x82\xa2op\xa1x\xa2op\xa1y",
             b"\x83\xa2op\xa9node.list\xa2id\x01\xa2id\x02", b"\xa2op", b"\x92\xa2op\xa9node.list",
             b"\x82\xa2op\xda\xff\xff" + b"x" * 65535 + b"\xa2id\x01", b"\x00" * 1000, bytes (range (256)) * 100]
    with _Target () as c:
        context = zmq.Context ()
        for port in c.routers ():
            for bomb in bombs:
                with _dealer (context, port) as s:
                    s.send (bomb)
                    s.send_multipart ([b"", bomb])
                    s.send_multipart ([bomb, bomb])
                    _answered (s)
            for count in (3, 8, 9, 10, 1000):
                with _dealer (context, port) as s:
                    s.send_multipart ([b"x"] * count)
                    s.send_multipart ([b""] * count)
                    s.send_multipart ([msgpack.packb ({"op": "node.list", "id": 1})] + [b""] * count)
                    s.send_multipart ([msgpack.packb ({"op": "node.list", "id": 1})] +
                                      [bytes (100000)] * min (count, 99))
                    _answered (s)
            for identity in (b"x", b"y" * 32, b"z" * 33, b"w" * 255):
                with _dealer (context, port, routing_id=identity) as s, \
                        _dealer (context, port, routing_id=identity) as t:
                    for one in (s, t):
                        one.send (b"\xc1")
                    wait_for ("one of the two is answered", lambda: s.poll (10) or t.poll (10))
        context.destroy (0)
        c.is_well ()
        c.forgets ()


def _ops ():
    """Every op of the protocol, from its table."""
    with open (os.path.join (os.environ.get ("top_srcdir", "."), "src", "wire", "messages.def")) as f:
        ops = sorted (set (re.findall (r'"([a-z]+\.[a-z_]+)"', f.read ())))
    assert "file.create" in ops and "block.write" in ops and "node.report" in ops, ops
    return ops


def requests_with_every_kind_of_wrong_field_are_answered ():
    fields = ["path", "node", "block", "file", "index", "offset", "size", "data", "crc32", "replica", "ttl", "lease",
              "target", "name", "cursor", "limit", "uuid", "cluster", "epoch", "after", "changes", "blocks", "chain",
              "host", "zone", "seen", "client", "version"]
    values = [None, -1, 0, (1 << 64) - 1, 1 << 63, True, 1.5, float ("nan"), "", "x" * 70000, b"", b"\xff" * 16, [], {},
              [[]] * 100, [{}] * 100, {"a": {"a": {"a": []}}}, "/", "../..", "\0", msgpack.ExtType (5, b"x" * 100)]
    source = random.Random (9)
    with _Target () as c:
        context = zmq.Context ()
        for port in c.routers ():
            with _dealer (context, port, sndhwm=0, rcvhwm=0) as s:
                number = 0
                for op in _ops () + ["", "x", "x" * 60000, "file", "file.", ".", "node.register\0"]:
                    for value in values:
                        number += 1
                        message = {"op": op, "id": number}
                        message.update ({field: value for field in source.sample (fields, 6)})
                        s.send_multipart ([msgpack.packb (message)] + [b"x" * 10] * (number % 2))
                for strange in (None, -1, "1", 1 << 63, [], {}, 1.5):
                    s.send (msgpack.packb ({"op": "node.list", "id": strange}))
                    s.send (msgpack.packb ({"op": strange, "id": 1}))
                _answered (s)
        context.destroy (0)
        c.is_well ()
        c.forgets ()


def who_asks_and_never_reads_is_not_remembered_for_ever ():
    with _Target () as c:
        context = zmq.Context ()
        silent = [_dealer (context, port, sndhwm=0, rcvhwm=1, rcvbuf=4096) for port in c.routers ()]
        for s in silent:
            request = msgpack.packb ({"op": "node.list", "id": 1, "client": b"x" * 16})
            unknown = msgpack.packb ({"op": "x" * 60, "id": 1})
            for _ in range (5000):
                s.send (request)
                s.send (unknown)
        c.is_well ()
        context.destroy (0)
        c.is_well ()
        c.forgets ()


def what_a_connection_left_behind_costs_no_other_its_answers ():
    """Messages of a connection that has ended are still queued when its descriptor is another's."""
    with Cluster (nodes=1) as c:  # it logs at DEBUG, so that the queue lasts a while
        context = zmq.Context ()
        for number in range (4):
            for daemon in c.daemons ():
                with _dealer (context, int (daemon.get ("tcp_port")), sndhwm=0, rcvhwm=1, rcvbuf=4096) as s:
                    for _ in range (5000):
                        s.send (msgpack.packb ({"op": "node.list", "id": 1}))
                        s.send (msgpack.packb ({"op": "x" * 60, "id": 1}))
            began = time.monotonic ()
            c.litedfs ("directory", "list", "-r", "/")
            c.litedfs ("file", "create", "-l", c.make_file (f"f{number}", MIB), "-r", f"/f{number}")
            assert time.monotonic () - began < 4.0 * DEADLINE / 30.0, "an answer was lost and asked for again"
        assert "offline" not in c.name.log ()
        context.destroy (0)


def a_flood_of_payload_for_nobody_is_dropped ():
    with _Target () as c:
        context = zmq.Context ()
        port = int (c.data[0].get ("tcp_port"))
        with _dealer (context, port, sndhwm=8) as s:
            header = msgpack.packb ({"op": "block.write", "id": 1, "node": 99, "block": 1, "offset": 0, "crc32": 0,
                                     "last": False, "chain": []})
            for number in range (100):
                s.send_multipart ([header if number % 2 else b"\xc1", bytes (4 * MIB)])
            _answered (s)
        context.destroy (0)
        c.is_well ()


def connections_that_are_held_open_and_say_nothing_hold_nobody ():
    hello = GREETING + _ready (b"DEALER")
    with _Target () as c:
        held = []
        try:
            for daemon, port in c.all_ports ():
                for number in range (100):
                    s = socket.create_connection (("127.0.0.1", port), 5.0)
                    s.sendall ((b"", GREETING[:11], GREETING, hello, hello + b"\0", hello + _long (0, 100000) + b"x")
                               [number % 6] if port != daemon.http_port else (b"", b"GET / HTT")[number % 2])
                    held.append (s)
            c.is_well ()
            for s in held[::2]:
                s.shutdown (socket.SHUT_WR)
            c.is_well ()
        finally:
            for s in held:
                s.close ()
        c.forgets ()


run (globals ())
