"""safetensors: eight bytes of length, a JSON header, the rest is data."""

import json
import random
import struct
from typing import Any

from fuzz.mutations import documents, raw


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(header: Any, body: bytes, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else documents.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def mutate(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    header, body = split(content)
    name = rng.choice([key for key in header if key != "__metadata__"])
    way = rng.choice(("offsets", "shape", "dtype", "length", "edit", "text", "bytes", "bytes"))
    if way == "offsets":
        at = rng.randrange(2)
        header[name]["data_offsets"][at] = rng.choice((0, -1, 1, len(body) + 4, 2**63, 2**64 - 1))
    elif way == "shape":
        header[name]["shape"] = rng.choice(([2**32, 2**32], [-1], [0], [1], [], [2**62, 4], [1e9]))
    elif way == "dtype":
        header[name]["dtype"] = rng.choice(("F64", "I8", "BOOL", "F8_E4M3", "C64", "X", None, 5))
    elif way == "length":
        return joined(header, body, rng.choice((0, 2, 2**31, 2**63, 2**64 - 1))), way
    elif way == "edit":
        header = documents.edited(rng, header)
    elif way == "text":
        text, kind = documents.text_of_json(rng, json.dumps(header))
        return joined(text, body), f"safetensors {kind}"
    else:
        return raw.mutate(rng, content)[0], "safetensors bytes"
    return joined(header, body), f"safetensors {way}"
