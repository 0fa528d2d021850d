#!/usr/bin/env python3
# Packs a published vocabulary into the file that Weir maps: the bytes of every token and the two tokens that each is
# merged from, so that loading needs no merging. Refuses a vocabulary for which the engine's reasoning does not hold.
#
# usage: make_vocabulary.py NAME FILE.tiktoken OUTPUT.vocabulary
#
# FILE is https://openaipublic.blob.core.windows.net/encodings/NAME.tiktoken; the digests below pin it.
#
# Layout, little endian:   magic 8 │ format u32 │ CRC-32C of all that follows u32
#                        │ tokens n u32 │ longest token u32 │ blob bytes u32 │ name 16, zero padded
#                        │ lengths n × u8 (0: no such id) │ left n × u24 │ right n × u24 (0xFFFFFF: not from a merge) │ blob
import base64, hashlib, struct, sys

DIGESTS = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "p50k_base": "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
    "r50k_base": "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
}
NONE = 0xFFFFFF


def crc32c(data):
    table = []
    for i in range(256):
        for _ in range(8):
            i = (i >> 1) ^ 0x82F63B78 if i & 1 else i >> 1
        table.append(i)
    value = 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 255] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def split(token, ranks):
    """The last merge that makes a token out of its bytes; None if its bytes never become one token."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        best, place = None, -1
        for i in range(len(parts) - 1):
            rank = ranks.get(parts[i] + parts[i + 1])
            if rank is not None and (best is None or rank < best):
                best, place = rank, i
        if best is None or best >= ranks[token]:
            return None
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts


def main():
    name, source, output = sys.argv[1:]
    text = open(source, "rb").read()
    if hashlib.sha256(text).hexdigest() != DIGESTS[name]:
        sys.exit("%s is not the published %s" % (source, name))
    ranks = {}
    for line in text.splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    count = max(ranks.values()) + 1
    by_id = [b""] * count
    for token, rank in ranks.items():
        by_id[rank] = token

    # What the engine takes for granted: the 256 bytes have the lowest ids, and a token's parts have lower ids than it.
    assert sorted(by_id[:256]) == [bytes([i]) for i in range(256)]
    assert all(len(token) != 1 for token in by_id[256:])
    lefts, rights, unreachable = [NONE] * count, [NONE] * count, 0
    for rank, token in enumerate(by_id):
        if len(token) < 2:
            continue
        parts = split(token, ranks)
        if parts is None:
            unreachable += 1
            continue
        lefts[rank], rights[rank] = ranks[parts[0]], ranks[parts[1]]
        assert lefts[rank] < rank and rights[rank] < rank

    longest = max(map(len, by_id))
    assert longest < 256 and count < NONE
    blob = b"".join(by_id)
    u24 = lambda values: b"".join(struct.pack("<I", value)[:3] for value in values)
    body = struct.pack("<III16s", count, longest, len(blob), name.encode())
    body += bytes(map(len, by_id)) + u24(lefts) + u24(rights) + blob
    with open(output, "wb") as file:
        file.write(b"WEIRBPE\0" + struct.pack("<II", 1, crc32c(body)) + body)
    print("%s: %d ids, longest %d bytes, %d not from merges" % (name, count, longest, unreachable))


main()
