#!/usr/bin/env python3
# Writes UnicodeClasses+Tables.swift from unicode-16.0.json: for every code point one byte of class bits, in two stages
# of blocks of 128, since most blocks are alike.
#
# usage: make_unicode.py   (in this folder)
#
# unicode-16.0.json holds the general categories and White_Space of the Unicode Character Database 16.0.
import json

BITS = {"Lu": 0b101, "Lt": 0b101, "Ll": 0b110, "Lm": 0b111, "Lo": 0b111, "M": 0b011, "N": 0b1000, "White_Space": 0b10000}
BLOCK = 128

ranges = json.load(open("unicode-16.0.json"))["classes"]
classes = bytearray(0x110000)
for name, bits in BITS.items():
    for first, last in ranges[name]:
        for scalar in range(first, last + 1):
            assert classes[scalar] == 0
            classes[scalar] = bits
for end in (0x0A, 0x0D):
    classes[end] |= 0b100000

end = max(i for i in range(0x110000) if classes[i]) // BLOCK * BLOCK + BLOCK
blocks, stage1 = [], []
for start in range(0, end, BLOCK):
    block = bytes(classes[start : start + BLOCK])
    if block not in blocks:
        blocks.append(block)
    stage1.append(blocks.index(block))
assert len(blocks) <= 256


def rows(values):
    lines = []
    for start in range(0, len(values), 32):
        lines.append("        " + ", ".join("%d" % value for value in values[start : start + 32]) + ",")
    return "\n".join(lines)


open("UnicodeClasses+Tables.swift", "w").write(
    """// The character classes of Unicode 16.0, one byte of bits for each code point: written by make_unicode.py, which is what
// to change.

// swift-format-ignore-file

extension UnicodeClasses {
    /// Where the blocks end: every code point from here on has no class.
    static let end: UInt32 = %#x

    /// The block of each run of 128 code points.
    static let stage1: [UInt8] = [
%s
    ]

    /// The class bits of each block's 128 code points.
    static let stage2: [UInt8] = [
%s
    ]
}
"""
    % (end, rows(stage1), rows([bits for block in blocks for bits in block]))
)
print("%d blocks, %d bytes" % (len(blocks), len(stage1) + BLOCK * len(blocks)))
