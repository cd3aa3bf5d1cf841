#!/usr/bin/env python3
"""A second reader of PSPF/2025 strict packages, written from format-spec/SPEC.md alone.

It exists to test the specification: where this file and the Rust verifier disagree about a vector, one of them read a
sentence that can be read in two ways. It needs Python 3.11 and nothing else, is slow, and keeps files in memory.

    pspf_reader.py FILE|DIRECTORY...

prints one JSON object a line: "file", "valid", and "layer" and "detail" of the refusal, or "contents": "checked", or
"not checked" where a slot needs a decoder that the standard library does not have (compressed Zstandard blocks, gzip).
"""

import hashlib
import json
import os
import re
import struct
import sys
import zlib

from ed25519 import SignatureError, verify as verify_signature
from slots import NotChecked, check_slot

HEAD, TAIL = bytes.fromhex("f09f93a6"), bytes.fromhex("f09faa84")
INDEX_SIZE, TRAILER_SIZE = 8192, 8200
MIB = 1 << 20

# Section 2: name, offset, size. What is not here is zero in every strict package.
FIELDS = {
    "format_version": (0, 4),
    "index_checksum": (4, 4),
    "package_size": (8, 8),
    "launcher_size": (16, 8),
    "metadata_offset": (24, 8),
    "metadata_size": (32, 8),
    "slot_table_offset": (40, 8),
    "slot_table_size": (48, 8),
    "slot_count": (56, 4),
    "public_key": (64, 32),
    "metadata_checksum": (96, 32),
    "signature": (128, 512),
    "page_size": (644, 4),
    "build_timestamp": (704, 8),
    "capabilities": (832, 8),
    "compatibility": (856, 4),
    "protocol_version": (860, 4),
    "attestation_key_fp": (1376, 64),
    "attestation_sbom_digest": (1440, 64),
    "attestation_policy_hash": (1504, 64),
    "signed_by_count": (1568, 4),
    "signed_by": (1576, 1536),
}


class Refused(Exception):
    """A requirement is broken."""

    def __init__(self, layer, detail):
        super().__init__(f"{layer}: {detail}")
        self.layer, self.detail = layer, detail


def require(condition, layer, detail):
    if not condition:
        raise Refused(layer, detail)


def read(data):
    """Checks a package. Answers whether all contents could be checked."""
    index, start = check_container(data)
    member = data[start : start + number(index, "metadata_size")]
    text = check_member(index, member)
    check_key(index, text)
    check_records(index, text)
    metadata = parse(text)
    check_metadata(metadata)
    slots = check_layout(data, index, metadata, member)
    digest = "sha256:" + hashlib.sha256(data[: metadata["launcher"]["size"]]).hexdigest()
    require(digest == metadata["launcher"]["checksum"], "launcher", "launcher.checksum (M26)")
    for record, stored in slots:
        digest = "sha256:" + hashlib.sha256(stored).hexdigest()
        require(digest == record["checksum"], "slot", f"checksum of {record['id']!r} (M31)")
    checked = True
    for record, stored in slots:
        try:
            check_slot(record, stored)
        except NotChecked:
            checked = False
        except ValueError as error:
            raise Refused("contents", f"{record['id']!r}: {error}") from error
    return checked


# --- container: M1, M4, the header of the index, M20, M21 ---


def field(index, name):
    offset, size = FIELDS[name]
    return index[offset : offset + size]


def number(index, name):
    return int.from_bytes(field(index, name), "little")


def adler_of(index):
    return zlib.adler32(index[:4] + bytes(4) + index[8:])


def check_container(data):
    trailer = data[-TRAILER_SIZE:]
    require(len(trailer) == TRAILER_SIZE, "container", "too short for a trailer (M1)")
    require(trailer[:4] == HEAD and trailer[-4:] == TAIL, "container", "no trailer at the end (M1)")
    index = trailer[4:-4]
    require(number(index, "format_version") == 0x20250001, "container", "format_version")
    require(number(index, "index_checksum") == adler_of(index), "container", "index_checksum")
    require(number(index, "package_size") == len(data), "container", "package_size (M4)")
    room = len(data) - TRAILER_SIZE
    for what in ("metadata", "slot_table"):
        end = number(index, f"{what}_offset") + number(index, f"{what}_size")
        require(end <= room, "container", f"{what} reaches beyond the trailer")
    return index, number(index, "metadata_offset")


def member_of(text):
    """The one gzip member of a text (section 3)."""
    member = bytes.fromhex("1f8b08000000000000ff")
    for start in range(0, len(text), 65535):
        block = text[start : start + 65535]
        last = start + 65535 >= len(text)
        member += struct.pack("<BHH", last, len(block), 65535 - len(block)) + block
    return member + struct.pack("<II", zlib.crc32(text), len(text))


def check_member(index, member):
    require(hashlib.sha256(member).digest() == field(index, "metadata_checksum"), "container", "metadata_checksum")
    # The member of 1 MiB is the largest: 18 bytes around it and 5 for each block.
    require(len(member) <= MIB + 18 + 5 * 17, "container", "metadata over 1 MiB (M21)")
    text, rest = b"", member[10:]
    while rest:
        require(len(rest) > 5, "container", "block cut off (M20)")
        last, size, _ = struct.unpack("<BHH", rest[:5])
        text, rest = text + rest[5 : 5 + size], rest[5 + size :]
        if last:
            break
    require(0 < len(text) <= MIB, "container", "size of the metadata (M21)")
    require(member_of(text) == member, "container", "not the member of its text (M20)")
    return text


def check_key(index, text):
    try:
        verify_signature(field(index, "public_key"), field(index, "signature")[:64], text)
    except SignatureError as error:
        raise Refused("signature", f"{error} (M22)") from error


# --- signed-by records: M11-M13 ---


def records_of(index):
    """Key and signature of each record that is counted."""
    count, area = number(index, "signed_by_count"), field(index, "signed_by")
    require(count <= 16, "signature", "more than 16 signed-by records (M11)")
    records = [area[start : start + 96] for start in range(0, 96 * count, 96)]
    return [(record[:32], record[32:]) for record in records]


def check_records(index, text):
    records = records_of(index)
    keys = [key for key, _ in records]
    require(keys == sorted(set(keys)), "signature", "keys of signed-by records do not ascend (M12)")
    require(field(index, "public_key") not in keys, "signature", "the first signer in a signed-by record (M12)")
    for key, signature in records:
        try:
            verify_signature(key, signature, text)
        except SignatureError as error:
            raise Refused("signature", f"signed-by record: {error} (M13)") from error


# --- metadata: M23-M26, M36 ---


def unique(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError("duplicate key")
    return dict(pairs)


def no_number(text):
    raise ValueError(f"number {text}")


def parse(text):
    try:
        value = json.loads(
            text.decode("utf-8"), object_pairs_hook=unique, parse_float=no_number, parse_constant=no_number
        )
        same = canonical(value) == text
    except (ValueError, RecursionError) as error:
        raise Refused("layout", f"metadata: {error} (M23)") from error
    require(same, "layout", "metadata is not canonical (M23)")
    return value


ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def canonical(value):
    if isinstance(value, dict):
        items = sorted((key.encode(), item) for key, item in value.items())
        return b"{" + b",".join(canonical(key.decode()) + b":" + canonical(item) for key, item in items) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    if isinstance(value, str):
        escape = lambda char: ESCAPES.get(char) or (f"\\u{ord(char):04x}" if char < " " else char)
        return ('"' + "".join(map(escape, value)) + '"').encode()
    if value is None or isinstance(value, bool):
        return {None: b"null", True: b"true", False: b"false"}[value]
    return str(value).encode()


def string(value):
    return isinstance(value, str)


def integer(value):
    return type(value) is int and 0 <= value < 1 << 64


def boolean(value):
    return isinstance(value, bool)


def matching(pattern):
    return lambda value: string(value) and re.fullmatch(pattern, value) is not None


def one_of(*values):
    return lambda value: string(value) and value in values


def strings(value):
    return isinstance(value, list) and all(map(string, value))


def string_map(value):
    return isinstance(value, dict) and all(map(string, value.values()))


def some(check):
    """Absent keys are never written as something empty."""
    return lambda value: check(value) and value not in ([], {})


def without_nul(value):
    return string(value) and "\0" not in value


def variable(value):
    return without_nul(value) and value != "" and "=" not in value


def variables(value):
    return string_map(value) and all(map(variable, value)) and all(map(without_nul, value.values()))


def renamings(value):
    return string_map(value) and all(map(variable, [*value, *value.values()]))


def argv(value):
    if not strings(value) or not value or not all(map(without_nul, value)):
        return False
    return value[0].startswith("/") or value[0].startswith("{workenv}/")


def record_of(required, optional):
    def check(value):
        if not isinstance(value, dict) or not set(required) <= set(value) <= set(required) | set(optional):
            return False
        return all((required.get(key) or optional[key])(item) for key, item in value.items())

    return check


def list_of(check):
    return lambda value: isinstance(value, list) and all(map(check, value))


def map_of(name, check):
    return lambda value: isinstance(value, dict) and all(map(name, value)) and all(map(check, value.values()))


HEX_DIGEST = matching(r"sha256:[0-9a-f]{64}")
LIFECYCLES = {
    "init": 0, "startup": 1, "volatile": 1, "runtime": 2, "cached": 4, "temporary": 5, "lazy": 6, "dev": 8,
    "config": 9, "platform": 10, "attestation": 11,
}
PURPOSES = {"payload": 0, "data": 0, "runtime": 1, "code": 1, "tool": 2, "config": 2, "media": 3}
OPERATIONS = {"none": 0, "zstd": 0x1B, "tar": 0x01, "tar.zst": 0x1B01, "tar.gz": 0x1001}
TARGETS = [f"{system}_{arch}" for system in ("linux", "darwin", "windows") for arch in ("amd64", "arm64")]
NAME = matching(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
PATTERNS = some(list_of(variable))
RULES = {"unset": PATTERNS, "pass": PATTERNS, "map": some(renamings), "set": some(variables)}
PLACE = {"cwd": without_nul, "env": some(variables)}
COMMAND = record_of({"argv": argv}, PLACE)
POLICY = {
    "max_age_days": integer,
    "platforms": list_of(one_of(*TARGETS)),
    "refuse_root": boolean,
    "require_env": list_of(matching(r"[!-<>-~]+")),
}
SLOT = record_of(
    {
        "checksum": HEX_DIGEST,
        "id": NAME,
        "lifecycle": one_of(*LIFECYCLES),
        "mode": lambda value: integer(value) and value <= 0o777,
        "offset": integer,
        "operations": one_of(*OPERATIONS),
        "operations_code": integer,
        "original_size": integer,
        "purpose": one_of(*PURPOSES),
        "size": integer,
        "slot": integer,
        "source": one_of(""),
        "target": string,
    },
    {"mutable": lambda value: value is True},
)
DOCUMENT = record_of(
    {
        "build": record_of(
            {
                "platform": record_of({"arch": string, "os": string}, {}),
                "timestamp": string,
                "tool": string,
                "tool_version": string,
            },
            {},
        ),
        "execution": record_of({"argv": argv, "command": matching(r"(?s).+")}, PLACE),
        "format": one_of("PSPF/2025"),
        "launcher": record_of(
            {
                "capabilities": lambda value: value == [],
                "checksum": HEX_DIGEST,
                "size": lambda value: integer(value) and value > 0,
                "target": one_of(*TARGETS),
                "tool": string,
                "tool_version": string,
            },
            {},
        ),
        "package": record_of(
            {
                "name": matching(r"[a-z0-9][a-z0-9_-]{0,63}"),
                "version": matching(r"[0-9A-Za-z][0-9A-Za-z.+_~-]{0,63}"),
            },
            {"authors": some(strings), "description": string, "homepage": string, "license": string},
        ),
        "profile": one_of("strict/1"),
        "slots": list_of(SLOT),
    },
    {
        "commands": some(map_of(NAME, COMMAND)),
        "desktop": record_of({"terminal": boolean}, {"icon": string}),
        "policy": record_of(POLICY, {}),
        "runtime": some(record_of({}, {"env": some(record_of({}, RULES))})),
        "setup": some(list_of(COMMAND)),
    },
)


def check_metadata(metadata):
    require(DOCUMENT(metadata), "layout", "a key is missing, unknown or has a wrong value (M23, M24, M26, M36)")
    platform = metadata["build"]["platform"]
    target = f"{platform['os']}_{platform['arch']}"
    require(target == metadata["launcher"]["target"], "layout", "build.platform (M25)")
    slots = metadata["slots"]
    icon = metadata.get("desktop", {}).get("icon")
    require(icon is None or icon in [slot["id"] for slot in slots], "layout", "desktop.icon (M26)")
    require(len(slots) <= 4096, "layout", "too many slots (M33)")
    for slot in slots:
        check_record(slot)
    for name in ("id", "target"):
        values = [slot[name] for slot in slots]
        require(len(set(values)) == len(values), "layout", f"two slots with the same {name} (M34, M36)")
    numbers = [slot["slot"] for slot in slots]
    require(numbers == sorted(set(numbers)), "layout", "slot numbers do not ascend (M36)")
    require(sum(slot["lifecycle"] == "attestation" for slot in slots) <= 1, "layout", "two attestations (M33)")


def check_record(slot):
    require(OPERATIONS[slot["operations"]] == slot["operations_code"], "layout", "operations_code (M35)")
    is_tar = slot["operations"].startswith("tar")
    target = slot["target"].encode()
    require(is_slot_path(target) or (is_tar and target == b"."), "layout", f"target {target!r} (M40)")
    require(not target.startswith(b".flavor"), "layout", f"target {target!r} (M41)")
    require(not is_tar or slot["mode"] == 0o755, "layout", "mode of a tar slot (M36)")
    if slot["operations"] in ("none", "tar"):
        require(slot["original_size"] == slot["size"], "layout", "original_size (M36)")


def is_slot_path(path):
    """M40."""
    parts = path.split(b"/")
    if len(path) > 4095 or len(parts) > 128 or b"\0" in path:
        return False
    return all(part not in (b"", b".", b"..") and len(part) <= 255 for part in parts)


def unix_seconds(text):
    """M25."""
    match = re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z", text)
    require(match, "layout", "form of build.timestamp (M25)")
    year, month, day, hour, minute, second = map(int, match.groups())
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    months = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    real = 1970 <= year and 1 <= month <= 12 and 1 <= day <= months[month - 1]
    require(real and hour < 24 and minute < 60 and second < 60, "layout", "build.timestamp is no instant (M25)")
    earlier = year - 1
    days = 365 * earlier + earlier // 4 - earlier // 100 + earlier // 400 - 719162 + sum(months[: month - 1]) + day - 1
    return ((days * 24 + hour) * 60 + minute) * 60 + second


# --- layout: M2, M3, M10, M30 ---


def align8(offset):
    return -(-offset // 8) * 8


def check_layout(data, index, metadata, member):
    """Computes every offset from the signed metadata, compares, and gives the slots with their bytes."""
    launcher = metadata["launcher"]["size"]
    end = launcher + len(member)
    table = align8(end)
    slots, paddings = [], [(end, table)]
    end = table + 64 * len(metadata["slots"])
    for slot in metadata["slots"]:
        start = align8(end)
        require(slot["offset"] == start, "layout", f"offset of {slot['id']!r} (M2)")
        paddings.append((end, start))
        end = start + slot["size"]
        slots.append((slot, data[start:end]))
    paddings.append((end, align8(end)))
    require(align8(end) + TRAILER_SIZE == len(data), "layout", "the regions do not fill the file (M2)")
    expected = index_of(metadata, launcher, member, table, len(data), index)
    if expected != index:
        offset = next(at for at in range(INDEX_SIZE) if expected[at] != index[at])
        raise Refused("layout", f"index at {offset} (M10)")
    require(data[launcher : launcher + len(member)] == member, "layout", "metadata is elsewhere (M2)")
    for place, slot in enumerate(metadata["slots"]):
        found = data[table + 64 * place : table + 64 * place + 64]
        require(found == descriptor_of(slot), "layout", f"descriptor {place} (M30)")
    for start, end in paddings:
        require(not any(data[start:end]), "layout", f"padding at {start} (M3)")
    return slots


def index_of(metadata, launcher, member, table, size, found):
    """M10. Keys and signatures are taken from the index that was found: they have been verified."""
    slots = metadata["slots"]
    key = field(found, "public_key")
    values = {
        "format_version": 0x20250001,
        "package_size": size,
        "launcher_size": launcher,
        "metadata_offset": launcher,
        "metadata_size": len(member),
        "slot_table_offset": table,
        "slot_table_size": 64 * len(slots),
        "slot_count": len(slots),
        "page_size": 4096,
        "build_timestamp": unix_seconds(metadata["build"]["timestamp"]),
        "capabilities": 129,
        "compatibility": 0x20250001,
        "protocol_version": 1,
        "public_key": key,
        "metadata_checksum": hashlib.sha256(member).digest(),
        "signature": field(found, "signature")[:64],
        "attestation_key_fp": hashlib.sha256(key).hexdigest().encode(),
        "signed_by_count": number(found, "signed_by_count"),
        "signed_by": b"".join(key + signature for key, signature in records_of(found)),
    }
    for slot in slots:
        if slot["lifecycle"] == "attestation":
            values["attestation_sbom_digest"] = slot["checksum"].removeprefix("sha256:").encode()
    if "policy" in metadata:
        policy = canonical(metadata["policy"])
        values["attestation_policy_hash"] = hashlib.sha256(policy).hexdigest().encode()
    index = bytearray(INDEX_SIZE)
    for name, value in values.items():
        offset, size = FIELDS[name]
        value = value.to_bytes(size, "little") if isinstance(value, int) else value
        index[offset : offset + len(value)] = value
    index[4:8] = adler_of(bytes(index)).to_bytes(4, "little")
    return bytes(index)


def descriptor_of(slot):
    name = hashlib.sha256(slot["id"].encode()).digest()[:8]
    numbers = [slot[key] for key in ("offset", "size", "original_size", "operations_code")]
    return (
        slot["slot"].to_bytes(8, "little")
        + name
        + struct.pack("<4Q", *numbers)
        + bytes.fromhex(slot["checksum"].removeprefix("sha256:"))[:8]
        + bytes([PURPOSES[slot["purpose"]], LIFECYCLES[slot["lifecycle"]], 1, 0, 0, 0])
        + slot["mode"].to_bytes(2, "little")
    )


def files_of(arguments):
    files = []
    for argument in arguments:
        if os.path.isdir(argument):
            files += sorted(os.path.join(argument, name) for name in os.listdir(argument))
        else:
            files.append(argument)
    return files


def main(arguments):
    for path in files_of(arguments):
        with open(path, "rb") as file:
            data = file.read()
        try:
            checked = read(data)
            answer = {"valid": True, "contents": "checked" if checked else "not checked"}
        except Refused as refused:
            answer = {"valid": False, "layer": refused.layer, "detail": refused.detail}
        print(json.dumps({"file": os.path.basename(path), **answer}))


if __name__ == "__main__":
    main(sys.argv[1:])
