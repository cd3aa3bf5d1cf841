"""The report: a Markdown table."""

import os
import platform
import subprocess
from dataclasses import dataclass


@dataclass
class Row:
    """One line: what, ours, what it is compared with, and whether the target is met."""

    what: str
    ours: str
    other: str = ""
    ratio: str = ""
    target: str = ""
    is_met: bool | None = None


def compare(what, ours, other, most=None, least=None, unit="ms"):
    """A row for two amounts of one kind, with the target for their ratio."""
    ratio = ours / other
    target = f"at most {most}" if most else f"at least {least}" if least else ""
    is_met = ratio <= most if most else ratio >= least if least else None
    return Row(what, amount(ours, unit), amount(other, unit), f"{ratio:.2f}", target, is_met)


def amount(value, unit):
    """A number with its unit: seconds as ms or s, bytes as MB or MiB."""
    if unit == "ms":
        return f"{value * 1e3:.2f} ms" if value < 0.1 else f"{value * 1e3:.0f} ms" if value < 10 else f"{value:.1f} s"
    if unit == "MB":
        return f"{value / 1e6:.2f} MB"
    if unit == "MiB":
        return f"{value / 2**20:.1f} MiB"
    return f"{value:,.0f}"


def report(rows, options, fresh):
    """The whole text."""
    kind = "a quick run: small packages and few samples, so the figures mean nothing" if options.quick else "a full run"
    if options.only:
        kind = f"a part: {', '.join(options.only)}"
    place = (
        "First starts unpacked on a file system made for them."
        if fresh
        else "First starts unpacked into new directories of a file system in use, where ext4 is slower than on a fresh one."
    )
    lines = [
        "# Measurements",
        "",
        "Written by `scripts/bench`; its head says how each figure is got. Ratios mean something, absolute figures only beside",
        "each other.",
        "",
        f"{kind[0].upper()}{kind[1:]}. {os.cpu_count()} cores, {kernel()}; {tools()}. {place}",
        "",
        "| what | flavor | compared with | ratio | target | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        verdict = {True: "met", False: "**missed**", None: ""}[row.is_met]
        lines.append(f"| {row.what} | {row.ours} | {row.other} | {row.ratio} | {row.target} | {verdict} |")
    missed = sum(row.is_met is False for row in rows)
    lines += ["", f"{missed} of {sum(row.is_met is not None for row in rows)} targets are missed." if missed else "No target is missed."]
    return "\n".join(lines) + "\n"


def kernel():
    version = platform.release().split("-")[0]
    return f"{platform.system()} {version} {platform.machine()}"


def tools():
    def first_line(*command):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    zstd = first_line("zstd", "--version").split("v")[-1].split(",")[0]
    return f"{first_line('hyperfine', '--version')}, zstd {zstd}, {first_line('tar', '--version')}"
