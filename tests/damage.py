"""Ways to damage an input: its bytes, its values, its numbers. Everything comes from the generator that is given."""

from __future__ import annotations

import json
import random
import re
import struct

TOKENS = [
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n\n", b"{", b"}", b"[", b"]]", b'"', b"'", b"\\u0000", b"\\ud800", b"NaN",
    b"-", b"Infinity", b"1e999", b"-0", b"9" * 40, b"\x1b[31m", b"../../", b"%n%s", b"<!ENTITY a 'b'>", b"=", b",", b"\xc3\x28",
]  # fmt: skip
VALUES = [
    None, True, False, "", " ", "0", "NaN", "é" * 300, "\0", "\ud800", 0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 0.5, -0.0,
    1e-320, 1e18, 1e308, float("nan"), float("inf"), [], {}, [[]], [None], [0], [1, 2, 3], {"a": 1}, {"": None}, [[[[[[[[]]]]]]]],
    ["x"] * 1000, list(range(2000)), {str(i): i for i in range(500)},
]  # fmt: skip


def in_bytes(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
    """A few bytes changed, put in, taken out, doubled, or from another input; or all that follows cut off."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(out) + 1)
        size = min(rng.choice((1, 1, 2, 4, 8, 64, 512)), len(out) - at)
        kind = rng.randrange(7)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(out):
            out[at] = rng.choice((0, 1, 127, 128, 255))
        elif kind == 2:
            out[at:at] = rng.choice(TOKENS)
        elif kind == 3:
            del out[at : at + size]
        elif kind == 4:
            out[at:at] = out[at : at + size] * rng.choice((1, 2, 10))
        elif kind == 5 and other:
            begin = rng.randrange(len(other))
            out[at : at + size] = other[begin : begin + size]
        elif kind == 6 and rng.random() < 0.2:
            del out[at:]
    return bytes(out)


def in_value(value, rng: random.Random):
    """A JSON value with one place in it replaced, taken out, doubled or given another name."""
    places = list(_places(value))
    if not places:
        return rng.choice(VALUES)
    holder, key = rng.choice(places)
    kind = rng.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif kind == 1:
        holder[str(key)[::-1]] = holder.pop(key)
    elif kind == 2 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
        holder[key] = rng.choice(
            (-holder[key], holder[key] * 1e6, holder[key] + 1e-7, holder[key] * 10**12, str(holder[key]))
        )
    elif kind == 3:
        holder[key] = [holder[key]]
    else:
        holder[key] = rng.choice(VALUES)
    return value


def _places(value):
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def in_json(data: bytes, rng: random.Random) -> bytes:
    """A JSON file with one to three values damaged."""
    value = json.loads(data)
    for _ in range(rng.choice((1, 1, 3))):
        value = in_value(value, rng)
    return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def in_lines(data: bytes, rng: random.Random, crowd: int = 200) -> bytes:
    """JSON lines: values damaged in some, lines doubled, taken out, put elsewhere."""
    lines = data.splitlines()
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(lines)) if lines else 0
        kind = rng.randrange(8)
        if not lines or kind == 0:
            lines.insert(
                at, rng.choice((b"", b"[]", b"null", b"1", b'"a"', b"{}", b"{" * 3000, b"[" * 200_000, rng.choice(TOKENS)))
            )
        elif kind == 1:
            lines[at:at] = [lines[at]] * rng.choice((1, 3, crowd))
        elif kind == 2:
            lines.append(lines.pop(at))
        else:
            try:
                lines[at] = in_json(lines[at], rng)
            except (ValueError, RecursionError):  # damaged before
                lines[at] = in_bytes(lines[at], rng)
    return b"\n".join(lines) + b"\n" * rng.randrange(3)


def in_words(data: bytes, rng: random.Random) -> bytes:
    """A text file (TOML, CSV, XML, lists): numbers and words replaced, lines doubled or taken out."""
    if rng.random() < 0.4:
        lines = data.splitlines(keepends=True)
        at = rng.randrange(len(lines)) if lines else 0
        lines[at : at + 1] = rng.choice(([], lines[at : at + 1] * 2, lines[at : at + 1] * 50, lines[:1]))
        return b"".join(lines)
    words = list(re.finditer(rb"[\w.+-]+", data))
    if not words:
        return in_bytes(data, rng)
    word = rng.choice(words)
    replaced = rng.choice(
        (
            b"",
            b"-1",
            b"0",
            b"1e308",
            b"9" * 30,
            b"nan",
            b"true",
            b'"x"',
            b"[]",
            b"[[1]]",
            b"{}",
            rng.choice(words)[0],
            b"x" * 5000,
        )
    )
    return data[: word.start()] + replaced + data[word.end() :]


def in_safetensors(data: bytes, rng: random.Random) -> bytes:
    """The header of a .safetensors file damaged, its length put right or not."""
    size = struct.unpack("<Q", data[:8])[0]
    if rng.random() < 0.2:
        return struct.pack("<Q", rng.choice((0, 1, size + 1, 2**40, 2**63))) + data[8:]
    header = in_json(data[8 : 8 + size], rng)
    return struct.pack("<Q", len(header)) + header + data[8 + size :]


def in_header(data: bytes, rng: random.Random) -> bytes:
    """The first and the last 2 kB of a file, where most containers keep what they hold, and now and then the rest."""
    edge = 2048
    if len(data) <= 2 * edge or rng.random() < 0.2:
        return in_bytes(data, rng)
    if rng.random() < 0.5:
        return in_bytes(data[:edge], rng) + data[edge:]
    return data[:-edge] + in_bytes(data[-edge:], rng)
