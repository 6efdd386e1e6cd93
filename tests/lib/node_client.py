#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Plays a node that connects to a job's coordinator, in good faith or not (docs/protocol.md, section 5). For tests/integ/identity.sh.

    node_client.py MODE ADDRESS KEY MUNGE_SOCKET_OR_SECRET [ARGUMENT]

Prints one word: welcome, refused (and the reason), closed, or open when the coordinator has done nothing within 30 s.
"""
import hashlib
import hmac
import os
import random
import socket
import struct
import subprocess
import sys
import time

MAGIC, VERSION = 0x4E43524F, 2
NO_NODE, TOOL = 0xFFFFFFFF, 0xFFFFFFFE
RANK_UP, FROM_AGENT = 2, 4
CHALLENGE, PROOF, WELCOME, REFUSED, REDIRECT, BATCH = 13, 14, 15, 16, 17, 18
FRAME = struct.Struct("<IIIIiIIIQ")


def frame(kind, payload=b"", magic=MAGIC, version=VERSION, size=None, rank=-1, type_=0, proc=0):
    return FRAME.pack(magic, version, kind, 0, rank, type_, 0, len(payload) if size is None else size, proc) + payload


def receive(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise ConnectionError
        data += piece
    return data


def message(sock):
    head = FRAME.unpack(receive(sock, FRAME.size))
    return head[2], receive(sock, head[7])


class Node:
    def __init__(self, address, key, credentials):
        host, port = address.rsplit(":", 1)
        self.key, self.credentials = key, credentials
        self.instance = random.getrandbits(64)
        self.name, self.nonce, self.number = "n1", os.urandom(32), NO_NODE
        self.sock = socket.create_connection((host, int(port)), timeout=20)
        kind, challenge = message(self.sock)
        assert kind == CHALLENGE
        self.method, self.challenge = struct.unpack_from("<I", challenge)[0], challenge[8:40]

    def text(self, challenge=None):
        return "ompi-cr 2 node %s %s %s %016x %08x %s %s" % (
            self.key, (challenge or self.challenge).hex(), self.nonce.hex(), self.instance, self.number, self.name, "")

    def proof(self, text=None, ttl=None):
        text = text or self.text()
        if self.method == 2:
            return hmac.new(open(self.credentials, "rb").read(), text.encode(), hashlib.sha256).hexdigest().encode()
        words = ["munge", "--socket", self.credentials, "--string", text]
        if ttl:
            words += ["--ttl", str(ttl)]
        return subprocess.run(words, check=True, capture_output=True).stdout.strip()

    def payload(self, credential):
        return self.nonce + struct.pack("<QII", self.instance, self.number, 0) + self.name.encode().ljust(256, b"\0") + bytes(1024) + credential.ljust(4096, b"\0")

    def send(self, data):
        self.sock.sendall(data)

    def outcome(self):
        self.sock.settimeout(30)
        try:
            kind, payload = message(self.sock)
        except (ConnectionError, OSError) as e:
            return "open" if isinstance(e, TimeoutError) else "closed"
        if kind == WELCOME:
            return "welcome"
        return "refused: " + payload.split(b"\0")[0].decode() if kind == REFUSED else "message %d" % kind

    def join(self):
        self.send(frame(PROOF, self.payload(self.proof())))
        return self.outcome()


def until_closed(node):
    """What the coordinator does with what was sent after the welcome."""
    node.sock.settimeout(60)
    try:
        while True:
            message(node.sock)
    except TimeoutError:
        return "open"
    except (ConnectionError, OSError):
        return "closed"


def flood(address, count):
    """Connections that say nothing, and such that say nonsense; then one that waits to see that it is thrown out."""
    host, port = address.rsplit(":", 1)
    socks = []
    for i in range(count):
        s = socket.create_connection((host, int(port)), timeout=20)
        if i % 2:
            try:
                s.sendall(os.urandom(100))
            except OSError:
                pass
        socks.append(s)
    oldest = socks[0]
    oldest.settimeout(90)
    try:
        while oldest.recv(4096):
            pass
        return "closed"
    except TimeoutError:
        return "open"
    except OSError:
        return "closed"


def main(mode, address, key, credentials, argument=""):
    if mode == "flood":
        return flood(address, int(argument))
    node = Node(address, key, credentials)
    if mode == "good":
        return node.join()
    if mode == "tool":
        # docs/protocol.md, "Tool and coordinator": the first word of the answer to a line
        node.number = TOOL
        outcome = node.join()
        if outcome != "welcome":
            return outcome
        node.sock.settimeout(20)
        node.send((argument or "status version=1").encode() + b"\n")
        return "welcome, " + node.sock.makefile().readline().split(" ")[0].strip()
    if mode == "tool-by-node":
        credential = node.proof()
        node.number = TOOL
        node.send(frame(PROOF, node.payload(credential)))
        return node.outcome()
    if mode == "replay":
        # what somebody has listened to: the proof of one connection on the next one
        payload = node.payload(node.proof())
        node.send(frame(PROOF, payload))
        first = node.outcome()
        again = Node(address, key, credentials)
        again.send(frame(PROOF, payload))
        return first + ", " + again.outcome()
    if mode == "expired":
        credential = node.proof(ttl=1)
        time.sleep(2.5)
        node = Node(address, key, credentials)
        node.send(frame(PROOF, node.payload(credential)))
        return node.outcome()
    if mode == "truncated":
        node.send(frame(PROOF, node.payload(node.proof()[:-20])))
        return node.outcome()
    if mode == "forged":
        credential = bytearray(node.proof())
        at = len(credential) // 2
        credential[at] = ord("A") if credential[at] != ord("A") else ord("B")
        node.send(frame(PROOF, node.payload(bytes(credential))))
        return node.outcome()
    if mode == "wrong-key":
        node.key = "0" * 32
        return node.join()
    if mode == "wrong-host":
        credential = node.proof()
        node.name = "n2"
        node.send(frame(PROOF, node.payload(credential)))
        return node.outcome()
    if mode == "guess":
        node.send(frame(PROOF, node.payload(b"0" * 64)))
        return node.outcome()
    if mode == "oversized":
        node.send(frame(PROOF, size=1 << 30))
        return node.outcome()
    if mode == "magic":
        node.send(frame(PROOF, node.payload(node.proof()), magic=0x20544547))
        return node.outcome()
    if mode == "version":
        node.send(frame(PROOF, node.payload(node.proof()), version=99))
        return node.outcome()
    if mode == "early":
        node.send(frame(RANK_UP, b"\0" * 1064, rank=0))
        return node.outcome()
    if mode == "unended":
        node.send(frame(PROOF, b"x" * (32 + 16 + 256 + 1024 + 4096)))
        return node.outcome()
    # an owner's node that has gone mad
    first = node.join()
    if mode == "mad-rank":
        node.send(frame(RANK_UP, b"\xff" * 1064, rank=0))
    elif mode == "mad-type":
        node.send(frame(FROM_AGENT, b"\0" * 8, rank=0, type_=9999))
    elif mode == "mad-size":
        node.send(frame(FROM_AGENT, size=(1 << 20) + 1, rank=0, type_=4))
    elif mode == "mad-kind":
        node.send(frame(77))
    elif mode == "mad-batch":
        node.send(frame(BATCH, struct.pack("<IIIIiIQ", FROM_AGENT, 0, 0, 4, 0, 1 << 20, 0) + bytes(64)))
    elif mode == "mad-nest":
        node.send(frame(BATCH, struct.pack("<IIIIiIQ", BATCH, 0, 0, 0, 0, 32, 0) + bytes(32)))
    else:
        raise SystemExit("no such mode: " + mode)
    return first + ", " + until_closed(node)


if __name__ == "__main__":
    print(main(*sys.argv[1:]), flush=True)
