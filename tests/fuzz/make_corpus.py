#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/fuzz/corpus/wire_message: the golden messages of tests/vectors, and hostile frames.

Inputs that the fuzzer found are added to the folder by hand, as found-WHAT; this script leaves them.
"""
import json
import pathlib

import msgpack

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "corpus/wire_message"


def request(**fields):
    return msgpack.packb({"op": "directory.create", "id": 1, "path": "/a", **fields})


def nested(opening, depth):
    return opening * depth + b"\xc0"


def changed(old, new, frame=None):
    frame = frame or request()
    assert old in frame
    return frame.replace(old, new, 1)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        if not old.name.startswith("found-"):
            old.unlink()

    frames = {}
    for path in sorted((HERE.parent / "vectors").glob("*.json")):
        vector = json.loads(path.read_text())
        for side in "request", "reply":
            if side in vector:
                frames[f"good-{path.stem}-{side}"] = bytes.fromhex(vector[side + "_hex"])

    allocate = frames["good-file.allocate-request"]
    report = {"op": "node.report", "id": 1, "node": 1}
    frames |= {
        "good-fewest-fields": msgpack.packb({"op": "lock.list", "id": 0}),
        "good-key-order-reversed": msgpack.packb({"path": "/a", "id": 1, "op": "directory.create"}),
        "good-unknown-keys": request(x=[1.5, {"y": None}], z=-1),
        "good-unknown-op": msgpack.packb({"op": "directory.explode", "id": 1}),
        "good-numbers-in-longest-form": changed(b"\xa2id\x01", b"\xa2id\xcf" + bytes(7) + b"\x01"),
        "bad-empty": b"",
        "bad-nil": b"\xc0",
        "bad-list-at-top": msgpack.packb([1, 2]),
        "bad-text-at-top": msgpack.packb("directory.create"),
        "bad-empty-map": b"\x80",
        "bad-ext": changed(b"\xa2/a", b"\xd4\x01\x00"),
        "bad-unused-tag": changed(b"\xa2/a", b"\xc1"),
        "bad-list-of-4-billion": bytes.fromhex("ddffffffff"),
        "bad-list-of-268-million": bytes.fromhex("dd10000000"),
        "bad-map-of-4-billion": bytes.fromhex("dfffffffff"),
        "bad-map-of-2-to-the-31": bytes.fromhex("df80000000"),
        "bad-map-of-65535": bytes.fromhex("deffff"),
        "bad-text-of-4-gigabytes": bytes.fromhex("dbffffffff"),
        "bad-bytes-of-4-gigabytes": bytes.fromhex("c6ffffffff"),
        "bad-text-longer-than-the-frame": changed(b"\xa2/a", b"\xd9\x20/a"),
        "bad-inner-list-of-4-billion": changed(b"\xa2/a", bytes.fromhex("ddffffffff")),
        "bad-lists-20-deep": nested(b"\x91", 20),
        "bad-lists-4000-deep": nested(b"\x91", 4000),
        "bad-maps-4000-deep": nested(b"\x81\xa1k", 4000),
        "bad-lists-of-many-lists": b"\xdc\x01\x00" + b"\xdc\x00\x01\xc0" * 256,
        "bad-cut-in-a-list": allocate[:len(allocate) // 2],
        "bad-cut-in-a-count": b"\xdd\x00\x00",
        "bad-last-byte-missing": request()[:-1],
        "bad-trailing-byte": request() + b"\xc0",
        "bad-two-objects": request() * 2,
        "bad-key-integer": changed(b"\xa4path", b"\x01"),
        "bad-key-bytes": changed(b"\xa4path", b"\xc4\x04path"),
        "bad-key-map": changed(b"\xa4path", b"\x80"),
        "bad-key-twice": changed(b"\x83", b"\x84") + b"\xa4path\xa2/b",
        "bad-op-twice": changed(b"\x83", b"\x84") + b"\xa2op\xa9file.info",
        "bad-id-twice": changed(b"\x83", b"\x84") + b"\xa2id\x02",
        "bad-op-integer": changed(b"\xb0directory.create", b"\x01"),
        "bad-op-with-nul": changed(b"directory.create", b"directory\x00create"),
        "bad-id-negative": request(id=-1),
        "bad-id-above-63-bits": request(id=2**64 - 1),
        "bad-id-text": request(id="1"),
        "bad-version-2": request(v=2),
        "bad-version-0": request(v=0),
        "bad-version-text": request(v="1"),
        "bad-client-short": request(client=b"x"),
        "bad-client-text": request(client="x" * 16),
        "bad-seen-float": request(seen=1.0),
        "bad-path-missing": msgpack.packb({"op": "directory.create", "id": 1}),
        "bad-path-empty": request(path=""),
        "bad-path-bytes": request(path=b"/a"),
        "bad-path-nil": request(path=None),
        "bad-path-4097-bytes": request(path="/" + "a" * 4096),
        "good-path-4096-bytes": request(path="/" + "a" * 4095),
        "good-path-not-utf-8": changed(b"\xa2/a", b"\xa2\xff\x00"),
        "bad-boolean-integer": request(parents=1),
        "bad-uuid-35-characters": msgpack.packb(
            {"op": "file.info", "id": 1, "file": "0" * 8 + "-0000-8000-8000-00000000000"}),
        "bad-uuid-nil": msgpack.packb(
            {"op": "file.info", "id": 1, "file": "00000000-0000-0000-0000-000000000000"}),
        "bad-list-is-a-map": msgpack.packb({**report, "changes": {}}),
        "bad-list-of-integers": msgpack.packb({**report, "changes": [1, 2]}),
        "bad-list-of-empty-maps": msgpack.packb({**report, "changes": [{}] * 2000}),
        "bad-list-of-4097": msgpack.packb({**report, "changes": [None] * 4097}),
        "bad-word": msgpack.packb({**report, "changes": [{"seq": 1, "kind": "eaten", "block": 1}]}),
        "bad-node-0": changed(b"\xa8suspects\x91\x04", b"\xa8suspects\x91\x00", allocate),
        "bad-node-of-33-bits": changed(b"\xa8suspects\x91\x04",
                                       b"\xa8suspects\x91\xcf\x00\x00\x00\x01\x00\x00\x00\x01",
                                       allocate),
        "bad-reply-without-ok": msgpack.packb({"id": 1}),
        "bad-reply-ok-integer": msgpack.packb({"id": 1, "ok": 1}),
        "bad-reply-error-without-word": msgpack.packb({"id": 1, "ok": False}),
        "good-reply-error-of-a-later-version": msgpack.packb(
            {"id": 1, "ok": False, "error": "moved_to_mars", "message": "red\x1b[31m\nline"}),
        "bad-random": bytes((i * 167 + 13) % 256 for i in range(64)),
    }
    for name, frame in frames.items():
        (OUT / name).write_bytes(frame)


main()
