"""Contents of slots: the frames of SPEC.md, 4.6, and the tar profile of 4.5. Every refusal is a ValueError."""

import struct

MIB = 1 << 20
FULL = 16 * MIB
SIZE_MAX = 8 * 1024 * MIB - 1


class NotChecked(Exception):
    """The standard library has no decoder for this."""


def need(condition, detail):
    if not condition:
        raise ValueError(detail)


def check_slot(record, stored):
    operations = record["operations"]
    if operations == "tar.gz":
        raise NotChecked
    starts, content = [0], stored
    if operations in ("zstd", "tar.zst"):
        content, starts = unframe(stored, record["original_size"])
    if operations in ("tar", "tar.zst"):
        entries, end = read_tar(content, record["target"].encode())
        for start in starts:
            begins = start in entries or (not entries and start == end == 0)
            need(begins, f"a run begins at {start}, which is no entry (M62)")


# --- frames: M60-M63 ---


def unframe(stored, original_size):
    """Content of the slot, and where the runs begin in it."""
    need(len(stored) >= 17 and stored[-4:] == bytes.fromhex("b1ea928f"), "no seek table (M60)")
    need(stored[-5] == 0, "descriptor of the seek table (M60)")
    (count,) = struct.unpack("<I", stored[-9:-5])
    need(1 <= count <= 262144, "number of frames (M60)")
    size = 8 + 8 * count + 9
    need(size <= len(stored), "seek table larger than the slot (M60)")
    table = stored[-size:]
    need(table[:8] == bytes.fromhex("5e2a4d18") + struct.pack("<I", size - 8), "header of the seek table (M60)")
    frames = list(struct.iter_unpack("<II", table[8:-9]))
    need(all(stored_size and original for stored_size, original in frames), "a size is zero (M60)")
    need(all(original <= FULL for _, original in frames), "a frame of more than 16 MiB (M61)")
    need(sum(frame[0] for frame in frames) == len(stored) - size, "the frames do not fill the slot (M60)")
    need(sum(frame[1] for frame in frames) == original_size, "original_size (M60)")
    content, starts, place, continues = [], [], 0, False
    total = 0
    for stored_size, original in frames:
        if not continues:
            starts.append(total)
        content.append(decode_frame(stored[place : place + stored_size], original))
        place, total, continues = place + stored_size, total + original, original == FULL
    return b"".join(content), starts


def decode_frame(frame, original):
    """Content of a frame of raw and RLE blocks (RFC 8878, 3.1.1)."""
    need(frame[:4] == bytes.fromhex("28b52ffd") and len(frame) > 5, "no Zstandard frame (M63)")
    flags = frame[4]
    single, size_flag = flags & 0x20, flags >> 6
    need(not flags & 0x08, "reserved bit of the frame header (M63)")
    need(not flags & 0x03, "a dictionary (M63)")
    need(not flags & 0x04, "a checksum (M63)")
    place, window = 5, None
    if not single:
        base = 1 << (10 + (frame[place] >> 3))
        window = base + base // 8 * (frame[place] & 7)
        place += 1
    width = [1 if single else 0, 2, 4, 8][size_flag]
    announced = int.from_bytes(frame[place : place + width], "little") + (256 if width == 2 else 0)
    need(len(frame) >= place + width, "frame cut off (M63)")
    place += width
    need(not width or announced == original, "content size of the frame header (M63)")
    need((window or announced) <= 8 * MIB, "window of more than 8 MiB (M63)")
    blocks, total, last = [], 0, False
    while not last:
        need(len(frame) >= place + 3, "frame cut off (M63)")
        header = int.from_bytes(frame[place : place + 3], "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        place += 3
        need(kind != 3, "reserved type of block (M63)")
        if kind == 2:
            raise NotChecked
        stored = frame[place : place + (1 if kind else size)]
        need(len(stored) == (1 if kind else size), "frame cut off (M63)")
        blocks.append(stored * size if kind else stored)
        place, total = place + len(stored), total + size
        need(total <= original, "frame gives more than its size (M63)")
    need(total == original, "frame gives less than its size (M63)")
    need(place == len(frame), "bytes after the frame (M63)")
    return b"".join(blocks)


# --- tar: M50-M59 ---


def octal(field, digits):
    text = field[:digits]
    need(len(text) == digits and all(48 <= digit < 56 for digit in text), "a number is not octal (M52)")
    return int(text, 8)


def header_of(name, mode, size, mtime, kind, link):
    """The one header of an entry (M52)."""
    fields = [
        name[:100].ljust(100, b"\0"),
        b"%07o\0" % mode,
        b"0000000\0" * 2,
        b"%011o\0" % size,
        b"%011o\0" % mtime,
        b" " * 8,
        kind,
        link[:100].ljust(100, b"\0"),
        b"ustar\x0000",
    ]
    header = b"".join(fields).ljust(512, b"\0")
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def pax_record(key, value):
    """Where two lengths fit, the smaller one."""
    rest = len(key) + len(value) + 3
    length = next(length for length in range(rest + 1, rest + 30) if len(str(length)) + rest == length)
    return b"%d %s=%s\n" % (length, key, value)


def pax_of(path, link, size):
    """The records that an entry needs, in their order (M53)."""
    records = b""
    if len(link) > 100:
        records += pax_record(b"linkpath", link)
    if len(path) > 100:
        records += pax_record(b"path", path)
    if size > SIZE_MAX:
        records += pax_record(b"size", b"%d" % size)
    return records


def parse_pax(records):
    values = {}
    while records:
        length, space, _ = records.partition(b" ")
        need(space and length.isdigit() and len(length) <= 9, "length of a PAX record (M53)")
        size = int(length)
        record, records = records[len(length) + 1 : size], records[size:]
        need(size > len(length) + 1, "length of a PAX record (M53)")
        key, equals, value = record[:-1].partition(b"=")
        need(equals and record[-1:] == b"\n", "form of a PAX record (M53)")
        need(key in (b"linkpath", b"path", b"size") and key not in values, "key of a PAX record (M53)")
        values[key] = value
    return values


def padded(size):
    return -(-size // 512) * 512


def read_tar(content, target):
    """Checks a stream. Gives the offsets where entries begin, and that of the end."""
    place, starts, previous = 0, set(), None
    kinds, root = {}, b"" if target == b"." else target
    while content[place : place + 512].strip(b"\0"):
        start = place
        name, kind, mode, mtime, size, link, place = read_entry(content, place)
        path = name[:-1] if kind == b"5" else name
        check_path(path, kind, previous, kinds, root)
        check_entry(path, kind, mode, link, kinds, root)
        need(content[place + size : place + padded(size)].count(0) == padded(size) - size, "padding (M50)")
        place += padded(size)
        need(place <= len(content), "content cut off (M50)")
        kinds[path], previous = kind, path
        starts.add(start)
        need(len(kinds) <= 4194304, "too many entries (M59)")
    need(content[place:] == bytes(1024), "the end is not 1024 zeros (M50)")
    need(not root or kinds.get(root) == b"5", "no entry for the target (M56)")
    return starts, place


def read_entry(content, place):
    """Parses an entry, encodes what was understood, compares all bytes."""
    start, pax = place, {}
    header = content[place : place + 512]
    need(len(header) == 512, "header cut off (M50)")
    if header[156:157] == b"x":
        size = octal(header[124:], 11)
        need(size <= 16384, "PAX header larger than two paths (M53)")
        records = content[place + 512 : place + 512 + size]
        need(size and len(records) == size, "PAX header empty or cut off (M53)")
        pax = parse_pax(records)
        place += 512 + padded(size)
        header = content[place : place + 512]
        need(len(header) == 512, "header cut off (M50)")
    kind = header[156:157]
    need(kind in (b"0", b"1", b"2", b"5"), f"type {kind!r} (M51)")
    mode, mtime = octal(header[100:], 7), octal(header[136:], 11)
    size = octal(header[124:], 11)
    if b"size" in pax:
        text = pax[b"size"]
        need(text.isdigit() and text[:1] != b"0" and len(text) < 20, "PAX size (M53)")
        size = int(text)
    name = pax.get(b"path", header[:100].partition(b"\0")[0])
    link = pax.get(b"linkpath", header[157:257].partition(b"\0")[0])
    records = pax_of(name, link, size)
    written = b""
    if records:
        written = header_of(b"././@PaxHeader", 0o644, len(records), 0, b"x", b"")
        written += records.ljust(padded(len(records)), b"\0")
    written += header_of(name, mode, 0 if size > SIZE_MAX else size, mtime, kind, link)
    place += 512
    need(content[start:place] == written, "the headers are not those of the entry (M52, M53)")
    need(kind == b"0" or size == 0, "only files have content (M54)")
    need(kind != b"5" or name[-1:] == b"/", "a directory without its final slash (M52)")
    return name, kind, mode, mtime, size, link, place


def is_slot_path(path):
    """M40."""
    parts = path.split(b"/")
    if len(path) > 4095 or len(parts) > 128 or b"\0" in path:
        return False
    return all(part not in (b"", b".", b"..") and len(part) <= 255 for part in parts)


def check_path(path, kind, previous, kinds, root):
    need(is_slot_path(path), f"path {path!r} (M40)")
    need(previous is None or previous < path, f"{path!r} is out of order (M55)")
    if root and previous is None:
        need(path == root and kind == b"5", "the first entry is not the target (M56)")
        return
    need(not root or path.startswith(root + b"/"), f"{path!r} is outside the target (M56)")
    need(not path.startswith(b".flavor"), f"{path!r} is the launcher's (M56)")
    parent = path.rpartition(b"/")[0]
    need(not parent or kinds.get(parent) == b"5", f"no directory for {path!r} (M56)")


def check_entry(path, kind, mode, link, kinds, root):
    need(mode <= 0o777, "mode (M54)")
    need(kind != b"1" or mode == 0, "mode of a hard link (M54)")
    need(kind != b"2" or mode == 0o777, "mode of a symbolic link (M54)")
    if kind in (b"0", b"5"):
        need(not link, "a link name without a link (M52)")
    if kind == b"1":
        need(kinds.get(link) == b"0", f"hard link to {link!r} (M58)")
    if kind == b"2":
        check_symlink(path, link, root)


def check_symlink(path, link, root):
    """M57."""
    need(len(link) <= 4095 and b"\0" not in link, "link target (M57)")
    parts = link.split(b"/")
    need(b"" not in parts and b"." not in parts, f"link target {link!r} (M57)")
    ups = 0
    while parts and parts[0] == b"..":
        parts, ups = parts[1:], ups + 1
    need(b".." not in parts, f"link target {link!r} (M57)")
    depth = path[len(root) :].lstrip(b"/").count(b"/")
    need(ups <= depth, f"link target {link!r} leaves the slot (M57)")
