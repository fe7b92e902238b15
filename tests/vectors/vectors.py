#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Golden messages: each file here describes one op's request and reply and has their bytes in hex.

The description, packed by python's msgpack, must give those bytes; and the codec, when it has read
them, must write them again: the order of keys, the form of numbers and every name are pinned.  Bytes
are written {"bytes": HEX}.  All fields of all messages occur, so a new one wants a new vector:
vectors.py --write puts the hex where the descriptions ask for it.  A released vector never changes.
"""
import json
import os
import pathlib
import subprocess
import sys

import msgpack

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("top_builddir", "."))
cases = 0


def verdict(rule, findings):
    global cases
    cases += 1
    print(f"{'not ok' if findings else 'ok'} {cases} - {rule}")
    for finding in findings:
        print(f"# {finding}")


def revive(value):
    """What a description stands for."""
    if isinstance(value, list):
        return [revive(element) for element in value]
    if isinstance(value, dict):
        if list(value) == ["bytes"] and isinstance(value["bytes"], str):
            return bytes.fromhex(value["bytes"])
        return {key: revive(element) for key, element in value.items()}
    return value


def pack(description):
    return msgpack.packb(revive(description), use_bin_type=True).hex()


def recode(lines):
    """What the codec makes of each line: hex, or why not."""
    program = BUILD / "tests/vectors/recode"
    result = subprocess.run([program], input="\n".join(lines) + "\n", check=True, text=True,
                            stdout=subprocess.PIPE)
    return result.stdout.splitlines()


def protocol():
    """The fields of each (op, "request" or "reply") and (record, "record"), and the lists' records."""
    result = subprocess.run([BUILD / "tests/lint/describe"], check=True, text=True,
                            stdout=subprocess.PIPE)
    fields = {}
    for row in result.stdout.splitlines():
        column = row.split("\t")
        if column[1] == "op":
            fields.setdefault((column[0], "request"), {})
            fields.setdefault((column[0], "reply"), {})
        else:
            fields.setdefault((column[0], column[1]), {})[column[2]] = column[3]
    return fields


def used(fields, key, value, found):
    """Note which fields a described map has, and which its lists' maps have."""
    for name, kind in fields[key].items():
        if name not in value:
            continue
        found.add((*key, name))
        for element in value[name] if kind.startswith("list of ") else []:
            used(fields, (kind.removeprefix("list of "), "record"), element, found)


def write(path, vector):
    for side in "request", "reply":
        if side in vector:
            vector[side + "_hex"] = pack(vector[side])
    path.write_text(json.dumps(vector, indent=1) + "\n")


def main():
    vectors = {path: json.loads(path.read_text()) for path in sorted(HERE.glob("*.json"))}
    if sys.argv[1:] == ["--write"]:
        for path, vector in vectors.items():
            write(path, vector)
        return

    fields = protocol()
    found = set()
    for path, vector in vectors.items():
        op = path.stem
        findings = []
        for side in "request", "reply":
            if side not in vector:
                continue
            expected = vector[side + "_hex"]
            if pack(vector[side]) != expected:
                findings.append(f"{side}: the description packs as {pack(vector[side])}")
            if (op, side) in fields:
                used(fields, (op, side), vector[side], found)
        sides = [side for side in ("request", "reply") if side in vector]
        lines = [f"request {vector['request_hex']}" if side == "request" else
                 f"reply {op} {vector['reply_hex']}" for side in sides]
        for side, got in zip(sides, recode(lines), strict=True):
            if got != vector[side + "_hex"]:
                findings.append(f"{side}: the codec writes {got}")
        verdict(f"{op} has the bytes that it had", findings)

    wanted = {(*key, name) for key, names in fields.items() if key[1] != "envelope"
              for name in names}
    verdict("every field of every message is in a vector",
            sorted(" ".join(row) for row in wanted - found))
    verdict("every op has a vector", sorted({key[0] for key in fields if key[1] == "request"}
                                            - {path.stem for path in vectors}))
    print(f"1..{cases}")


main()
