# SPDX-License-Identifier: MIT
"""What peers of the name node may say and do without harm to others: data nodes that lie about who they
are, many that come at once, clients that ask without end and read nothing."""
import os
import sys
import time
import uuid

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, http_get, run, wait_for  # noqa: E402
from raw import Raw, pack  # noqa: E402

MIB = 1 << 20
FLOOD_S = 4.0


def _identity (**fields):
    """The fields of a node.register."""
    return {"uuid": str (uuid.uuid4 ()), "incarnation": 1, "version": "1", "host": "", "http_port": 1,
            "tcp_port": 7, "heartbeat_interval": 60000, "heartbeat_timeout": 600000, "seq": 0,
            "storage_total": 1 << 40, "storage_used": 0, "storage_free": 1 << 39, "storage_full": False,
            "blocks": 0, **fields}


def nobody_takes_the_last_node_number_away_from_all_others ():
    with Cluster (nodes=0) as c, Raw (c.name) as liar, Raw (c.name) as node, Raw (c.name) as client:
        liar.ok ("node.register", **_identity (node=(1 << 32) - 1))
        assert node.ok ("node.register", **_identity ())["node"] < 100
        client.ok ("file.create", path="/f", size=0)
        assert "ballast" not in c.name.log ()


def a_session_is_one_node_and_what_it_says_besides_leaves_no_trace ():
    with Cluster (nodes=0) as c:
        with Raw (c.name) as node:
            node.ok ("node.register", **_identity ())
            node.refused ("invalid", "node.register", **_identity ())
            for _ in range (2):
                node.send ("node.register", **_identity ())
            assert not node.receive ()[0]["ok"] and not node.receive ()[0]["ok"]
        with Raw (c.name) as node:
            for _ in range (2):
                node.send ("node.register", **_identity ())
            assert sorted (node.receive ()[0]["ok"] for _ in range (2)) == [False, True]
        c.restart ()
        assert c.info ()["number_of_nodes"] == 2


def of_twins_that_come_together_one_is_taken_with_its_own_address ():
    with Cluster (nodes=0) as c:
        for _ in range (30):
            identity = str (uuid.uuid4 ())
            twins = [Raw (c.name), Raw (c.name)]
            for twin in twins:
                twin.ok ("path.info", path="/")
            for port, twin in enumerate (twins, 1000):
                twin.send ("node.register", **_identity (uuid=identity, tcp_port=port))
            replies = [twin.receive ()[0] for twin in twins]
            taken = [i for i, reply in enumerate (replies) if reply["ok"]]
            assert len (taken) == 1 and replies[1 - taken[0]]["error"] == "node_exists", replies
            number = replies[taken[0]]["node"]
            endpoint = twins[0].ok ("node.list", cursor=number - 1)["nodes"][0]
            assert endpoint["tcp_port"] == 1000 + taken[0], (endpoint, replies)
            for twin in twins:
                twin.close ()


def many_nodes_that_come_at_once_are_all_taken ():
    with Cluster (nodes=0) as c:
        for _ in range (4):
            nodes = [Raw (c.name) for _ in range (150)]
            for node in nodes:
                node.ok ("path.info", path="/")
            for node in nodes:
                node.send ("node.register", **_identity ())
                time.sleep (0.0005)
            for node in nodes:
                reply = node.receive ()[0]
                assert reply["ok"], reply
                node.close ()


def _make_slow_directory (c):
    """A directory whose end takes milliseconds to be listed; the fields of such a request."""
    with Raw (c.name, client=b"") as client:
        client.ok ("directory.create", path="/d")
        client.all_of ([("file.create", {"path": f"/d/{i}", "size": 0}) for i in range (20000)], 500)
    return {"path": "/d", "offset": 19999}


def a_silent_node_is_offline_soon_after_a_flood_however_long_it_was ():
    with Cluster (nodes=0, name_settings={"sync": "false"}) as c, Raw (c.name) as node:
        slow = _make_slow_directory (c)
        node.ok ("node.register", **_identity (heartbeat_interval=100, heartbeat_timeout=1500))
        floods = [Raw (c.name, client=b"") for _ in range (4)]
        end = time.monotonic () + FLOOD_S
        while time.monotonic () < end:
            for flood in floods:
                while flood.socket.poll (0):
                    flood.receive ()
                while len (flood.waiting) < 200:
                    flood.send ("directory.list", **slow)
            time.sleep (0.01)
        for flood in floods:
            flood.close ()
        wait_for ("the silent node offline", lambda: c.info ()["number_of_online_nodes"] == 0)
        assert c.name.log ().count ("did not run") < 2


def requests_that_take_long_do_not_hold_up_other_clients ():
    with Cluster (nodes=0, name_settings={"sync": "false"}) as c, Raw (c.name, client=b"") as client:
        listing = _make_slow_directory (c)
        with Raw (c.name) as slow:
            for number in range (1, 1001):
                slow.send_frames (pack ({"op": "directory.list", "id": number, "seen": 0, **listing}))
            slow.receive ()
            began = time.monotonic ()
            client.ok ("directory.create", path="/other")
            waited = time.monotonic () - began
            replies = 1
            while slow.socket.poll (0):
                slow.receive ()
                replies += 1
            assert replies < 200, f"{replies} listings were answered before one change, in {waited} s"


def locks_that_nobody_reads_take_no_memory ():
    with Cluster (nodes=0) as c, Raw (c.name) as node, Raw (c.name) as client, Raw (c.name) as greedy:
        node.ok ("node.register", **_identity ())
        deep = "/" + "/".join (["x" * 255] * 15)
        for i in range (24):
            client.ok ("file.create", path=f"{deep}/{'y' * 200}{i}", ttl=3600)
        for number in range (1, 1501):
            greedy.send_frames (pack ({"op": "lock.list", "id": number, "seen": 0}))
        replies = [greedy.receive ()[0] for _ in range (1500)]
        given = sum (reply["ok"] for reply in replies)
        assert 0 < given < 200, given
        assert all (reply["ok"] or reply["error"] == "busy" for reply in replies)
        client.ok ("lock.list")


def a_lock_too_deep_to_be_written_out_does_not_hide_the_others ():
    with Cluster (nodes=0) as c, Raw (c.name) as node, Raw (c.name) as client:
        node.ok ("node.register", **_identity ())
        below = "/".join (["p" * 250] * 14)
        client.ok ("file.create", path=f"/a/{below}/deep", ttl=3600)
        client.ok ("file.create", path="/flat", ttl=3600)
        client.ok ("directory.create", path=f"/b/{below}")
        client.ok ("directory.create", path=f"/c/{below}")
        client.ok ("directory.move", source="/a", target=f"/b/{below}")
        client.ok ("directory.move", source="/b", target=f"/c/{below}")
        assert sorted (lock["path"] for lock in client.ok ("lock.list")["locks"]) == ["/flat", "deep"]


def a_page_of_orders_is_short_and_all_of_them_come ():
    with Cluster (nodes=0, name_settings={"delete_delay": "0.1"}) as c, Raw (c.name) as node, \
         Raw (c.name) as client:
        number = node.ok ("node.register", **_identity ())["node"]
        lease = client.ok ("file.create", path="/f", ttl=3600)
        show = {"file": lease["file"], "lease": lease["lease"]}
        client.all_of ([("file.allocate", {**show, "index": i, "count": 8}) for i in range (0, 2000, 8)])
        client.ok ("file.abandon", **show)
        after, blocks = 0, set ()
        while len (blocks) < 2000:
            orders = node.ok ("node.orders", node=number, epoch=0, after=after, deadline=60)["orders"]
            assert len (orders) <= 512 and all (order["number"] > after for order in orders)
            after = max ([after] + [order["number"] for order in orders])
            blocks |= {order["block"] for order in orders}
        assert http_get (c.name.http_port)[0] == 200


run (globals ())
