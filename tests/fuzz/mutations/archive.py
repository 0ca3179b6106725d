"""Zip archives: records that are gone, twice there, renamed, or lie about their sizes."""

import io
import random
import struct
import warnings
import zipfile

from fuzz.mutations import pickles, raw

Records = list[tuple[str, bytes]]
CENTRAL = b"PK\x01\x02"
LOCAL = b"PK\x03\x04"


def records(content: bytes) -> Records:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def packed(found: Records, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as archive:
        warnings.simplefilter("ignore")  # about names that are there twice
        for name, content in found:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def _drop(rng: random.Random, found: Records) -> Records:
    del found[rng.randrange(len(found))]
    return found


def _double(rng: random.Random, found: Records) -> Records:
    name, content = rng.choice(found)
    found.append((name, raw.flip(rng, content)))
    return found


def _rename(rng: random.Random, found: Records) -> Records:
    at = rng.randrange(len(found))
    name, content = found[at]
    other = rng.choice(
        ("../" + name, "/" + name, name.upper(), name + "/", "", "x", name.split("/")[-1],
         name.replace("/", "\\"), "a/b/" + name, "é/" + name, "n" * 5000)
    )  # fmt: skip
    found[at] = (other, content)
    return found


def _exchange(rng: random.Random, found: Records) -> Records:
    a, b = rng.randrange(len(found)), rng.randrange(len(found))
    found[a], found[b] = (found[a][0], found[b][1]), (found[b][0], found[a][1])
    return found


def _damage(rng: random.Random, found: Records) -> Records:
    """The checksum is right, so what is inside gets read."""
    at = rng.randrange(len(found))
    name, content = found[at]
    found[at] = (name, raw.mutate(rng, content)[0])
    return found


def _swell(rng: random.Random, found: Records) -> Records:
    at = rng.randrange(len(found))
    found[at] = (found[at][0], found[at][1] + b"\x00" * (1 << rng.choice((12, 20, 26))))
    return found


def _add(rng: random.Random, found: Records) -> Records:
    top = found[0][0].split("/")[0]
    name = rng.choice(
        ("constants.pkl", "code/__torch__.py", "version", "byteorder", "data/0", "data/99",
         ".format_version", ".storage_alignment", "attributes.pkl")
    )  # fmt: skip
    content = rng.choice((b"", b"0\n", b"999\n", b"big", b"\x80\x02}.", b"x" * 64))
    return [*found, (f"{top}/{name}", content)]


def _pickle(rng: random.Random, found: Records) -> tuple[Records, str]:
    places = [i for i, (name, _) in enumerate(found) if name.endswith(".pkl")]
    if not places:
        return _damage(rng, found), "damage"
    at = rng.choice(places)
    made, way = pickles.mutate(rng, found[at][1])
    found[at] = (found[at][0], made)
    return found, way


def _patched(rng: random.Random, content: bytes) -> bytes:
    """A field of a header, in the directory or before a record: sizes, methods, flags, offsets."""
    signature = rng.choice((CENTRAL, CENTRAL, LOCAL))
    places = []
    at = content.find(signature)
    while at >= 0:
        places.append(at)
        at = content.find(signature, at + 1)
    fields = {
        CENTRAL: ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (38, 4), (42, 4)),
        LOCAL: ((6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    }[signature]
    offset, width = rng.choice(fields)
    limit = (1 << 8 * width) - 1
    number = rng.choice((0, 1, limit, limit - 1, limit >> 1, rng.randint(0, limit), 12, 8, 93, 99))
    at = rng.choice(places) + offset
    return content[:at] + struct.pack("<I", number & limit)[:width] + content[at + width :]


EDITS = (_drop, _double, _rename, _exchange, _damage, _damage, _swell, _add)


def mutate(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """A torch file, an .npz or a TorchScript file, changed inside its archive."""
    kind = rng.random()
    if kind < 0.15:
        return _patched(rng, content), "zip header"
    compression = zipfile.ZIP_DEFLATED if rng.random() < 0.15 else zipfile.ZIP_STORED
    found = records(content)
    if kind < 0.65:
        found, way = _pickle(rng, found)
        return packed(found, compression), f"pickle {way}"
    edit = rng.choice(EDITS)
    return packed(edit(rng, found), compression), f"zip{edit.__name__}"
