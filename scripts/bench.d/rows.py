"""The measurements: each function is a group and gives its rows."""

import shutil
import statistics
from pathlib import Path

from measure import Case, calls_before_exec, call, environment, instructions, peak_memory, time_cases, tree_size
from table import Row, amount, compare

MIB = 2**20


def direct(bench):
    """How httpie is started without a package."""
    return [bench.httpie / "rt/bin/python3", "-s", bench.httpie / "app/bin/httpie", "--version"], {}


def filled(bench, place, name, env=None):
    """A cache in which a package is ready."""
    cache = place.new()
    env = {"FLAVOR_CACHE": cache} | (env or {})
    for _ in range(2):
        call([bench.packages[name], "--version"], env=environment(**env))
    check_bytecode(cache)
    return cache


def check_bytecode(cache):
    """No start may have written byte code: then what was packed was stale, and every figure is another one's."""
    for pyc in Path(cache).rglob("*.pyc"):
        if pyc.stat().st_mtime > Path(cache).stat().st_ctime:
            raise SystemExit(f"error: {pyc} was written by the start")


def warm(bench, place):
    """A start that finds everything ready, above starting the program directly."""
    rounds, runs = (2, 20) if bench.quick else (10, 100)
    command, env = direct(bench)
    cases = [("true", [bench.true], {}, [])]
    if bench.big:
        cases.append(("big", [bench.true], {}, []))
    cases.append(("httpie", command, env, ["--version"]))
    rows = []
    for name, plain, env, args in cases:
        if name == "httpie":
            rounds, runs = (1, 3) if bench.quick else (10, 5)
        cache = filled(bench, place, name)
        start = Case(f"start of {name}", [bench.packages[name], *args], {"FLAVOR_CACHE": cache})
        before, after = Case(f"{name} directly", plain, env), Case(f"{name} directly, again", plain, env)
        time_cases(place, [before, start, after], rounds, runs, warmup=2)
        both = statistics.median(before.times + after.times)
        above = start.median - both
        drift = abs(after.median - before.median)
        is_target = name != "httpie"
        rows.append(
            Row(
                f"warm start of `{name}` above starting it directly",
                f"{above * 1e3:+.2f} ms",
                f"{both * 1e3:.2f} ms (its two ends differ by {drift * 1e3:.2f} ms)",
                f"{start.median / both:.2f}",
                "at most +0.3 ms" if is_target else "",
                above <= 0.0003 if is_target else None,
            )
        )
    return rows


def content_tar(bench, name):
    """The content of a package in one `.tar.zst`, at the level of the package."""
    path = bench.work / f"{name}.tar.zst"
    if not path.exists():
        paths = " ".join(f"-C '{content.parent}' '{content.name}'" for content in bench.contents[name])
        level = bench.level if name == "httpie" else 3
        call(["sh", "-c", f"tar --sort=name -cf - {paths} | zstd -q -{level} -T0 -o '{path}.new' && mv '{path}.new' '{path}'"])
    return path


def unpacking(bench, name, cpus):
    tar = content_tar(bench, name)
    return Case(f"zstd | tar of {name}", ["sh", "-c", f"zstd -dcq '{tar}' | tar xf - -C {{new}}"], cpus=cpus)


def extraction(bench, name, cpus):
    """A first start of a package whose command does nothing."""
    env = {"FLAVOR_CACHE": "{new}/cache", "FLAVOR_COMMAND": "nothing"}
    if not name.startswith("httpie"):
        del env["FLAVOR_COMMAND"]
    return Case(f"extraction of {name}, {'one core' if cpus else 'all cores'}", [bench.packages[name]], env, cpus)


def first_start(bench, place):
    """Extraction against zstd and tar, and the whole first start."""
    rounds, runs = (2, 1) if bench.quick else (15, 2)
    place.fresh()
    reference, one, every = unpacking(bench, "httpie", "0"), extraction(bench, "httpie", "0"), extraction(bench, "httpie", "")
    time_cases(place, [reference, one, every], rounds, runs)
    rows = [
        compare("extraction of `httpie` on one core, against `zstd -d \\| tar x`", one.median, reference.median, most=0.9),
        compare("the same in processor time", one.cpu_median, reference.cpu_median),
        compare("extraction of `httpie` on all cores, against `zstd -d \\| tar x` on one", every.median, reference.median),
    ]
    place.fresh()
    command, env = direct(bench)
    plain = Case("httpie directly", command, env)
    whole = Case("first start of httpie", [bench.packages["httpie"], "--version"], {"FLAVOR_CACHE": "{new}/cache"})
    time_cases(place, [plain, whole], rounds, runs)
    rows.append(compare("whole first start of `httpie`, against starting it directly", whole.median, plain.median))
    return rows


def upgrade(bench, place):
    """A first start when the store has the runtime slot already."""
    rounds, runs = (2, 1) if bench.quick else (10, 1)
    place.fresh()
    full = Case("first start of httpie", [bench.packages["httpie"], "--version"], {"FLAVOR_CACHE": "{new}/cache"})
    new = Case("first start of the upgrade", [bench.packages["httpie-2"], "--version"], {"FLAVOR_CACHE": "{new}/cache"})
    # The same state of the package cache and of the processor for both.
    full.prepare = f"FLAVOR_CACHE=$PWD/other '{bench.packages['httpie']}' --version >/dev/null"
    new.prepare = f"FLAVOR_CACHE=$PWD/cache '{bench.packages['httpie']}' --version >/dev/null"
    time_cases(place, [full, new], rounds, runs)
    return [compare("first start when only the application is new, against a full one", new.median, full.median, most=0.5)]


def size(bench, _place):
    """The package against the same content in one compressed archive, with the launcher."""
    stub = (Path("target/stubs/linux_amd64/psp-stub")).stat().st_size
    package = bench.packages["httpie"].stat().st_size
    archive = content_tar(bench, "httpie").stat().st_size
    rows = [
        Row("launcher", f"{stub:,} bytes", "", "", "at most 300 KB", stub <= 300 * 1024),
        compare(f"package of `httpie`, against `tar \\| zstd -{bench.level}` and the launcher", package, archive + stub, most=1.03, unit="MB"),
    ]
    return rows


def pack(bench, place):
    """Packing against tar and zstd on all cores, and packing again."""
    rounds = 1 if bench.quick else 3
    paths = " ".join(f"-C '{content.parent}' '{content.name}'" for content in bench.contents["httpie"])
    ours = Case("pack", bench.pack_command("httpie", "{new}/out.psp", bench.level))
    zstd = Case("tar | zstd", ["sh", "-c", f"tar -cf - {paths} | zstd -q -{bench.level} -T0 -o {{new}}/out"])
    # One file of the application is another one; the frames of everything else are there. Each run gets a cache that has
    # never seen the change.
    warm = place.new()
    first = bench.pack_command("httpie", warm / "out.psp", bench.level, cached=True)
    call(first, env=environment(FLAVOR_CACHE=warm))
    again = Case("pack again", bench.pack_command("httpie-2", "{new}/out.psp", bench.level, cached=True), {"FLAVOR_CACHE": "{new}/cache"})
    again.prepare = f"mkdir cache && cp -a '{warm}/build' cache/"
    time_cases(place, [ours, zstd, again], rounds, 1)
    name = f"`tar \\| zstd -{bench.level} -T0`"
    return [
        compare("`pack` of `httpie` with one file more than the last time, against a full `pack`", again.median, ours.median, most=0.1),
        compare(f"`pack` of `httpie`, against {name}", ours.median, zstd.median, most=1.05),
        compare("the same in processor time", ours.cpu_median, zstd.cpu_median),
    ]


def verify(bench, place):
    """Verifying against a digest of the same file, on one core."""
    rounds, runs = (2, 2) if bench.quick else (10, 3)
    package = bench.packages["httpie"]
    ours = Case("verify", [bench.flavor, "verify", package], cpus="0")
    # Not coreutils' sha256sum, which in many builds does without the processor's instructions.
    openssl = Case("openssl dgst -sha256", ["openssl", "dgst", "-sha256", package], cpus="0")
    coreutils = Case("sha256sum", ["sha256sum", package], cpus="0")
    time_cases(place, [ours, openssl, coreutils], rounds, runs, warmup=1)
    rows = []
    for other in (openssl, coreutils):
        ratio = other.median / ours.median
        is_target = other is openssl
        rows.append(
            Row(
                f"rate of `verify`, which decodes, too, against `{other.name}`",
                f"{package.stat().st_size / 1e6 / ours.median:,.0f} MB/s",
                f"{package.stat().st_size / 1e6 / other.median:,.0f} MB/s",
                f"{ratio:.2f}",
                "at least 0.9" if is_target else "",
                ratio >= 0.9 if is_target else None,
            )
        )
    return rows


def names_of(bench):
    return ["httpie", "data", "files"] + (["big"] if bench.big else [])


def memory(bench, place):
    """The largest resident set of a first start and of packing."""
    rows = []
    place.fresh()
    for name in names_of(bench):
        case = extraction(bench, name, "")
        env = environment(**{key: str(value).replace("{new}", str(place.new())) for key, value in case.env.items()})
        peak = peak_memory(case.command, env)
        rows.append(Row(f"memory of a first start of `{name}`", amount(peak, "MiB"), "", "", "at most 64 MiB", peak <= 64 * MIB))
    for name in names_of(bench):
        level = bench.level if name == "httpie" else 1
        peak = peak_memory(bench.pack_command(name, place.new() / "out.psp", level), environment())
        rows.append(
            Row(f"memory of `pack` of `{name}` at level {level}", amount(peak, "MiB"), "", "", "at most 512 MiB", peak <= 512 * MIB)
        )
    return rows


def growth(bench, place):
    """Extraction by bytes and by files: the same rate from small to large."""
    rows, rates = [], {}
    for name in names_of(bench):
        place.fresh()
        rounds = 1 if bench.quick else 5 if name == "httpie" else 3
        case = extraction(bench, name, "0")
        other = unpacking(bench, name, "0")
        # zstd and tar beside it: what the file system itself does as trees grow.
        time_cases(place, [case, other], rounds, 1)
        sizes = [tree_size(path) for path in bench.contents[name]]
        content, files = sum(size for size, _ in sizes), sum(count for _, count in sizes)
        rates[name] = case.median / other.median
        per_file = f", {case.median / files * 1e6:.0f} us for each of {files:,} files" if files > 1000 else ""
        rows.append(
            Row(
                f"extraction of `{name}`, {content / 1e6:,.0f} MB, on one core, against `zstd -d \\| tar x`",
                f"{amount(case.median, 'ms')}, {content / 1e6 / case.median:,.0f} MB/s{per_file}",
                amount(other.median, "ms"),
                f"{rates[name]:.2f}",
            )
        )
    for name in names_of(bench)[1:]:
        ratio = rates[name] / rates["httpie"]
        rows.append(Row(f"that ratio for `{name}`, against that of `httpie`", "", "", f"{ratio:.2f}", "at most 1.1", ratio <= 1.1))
    return rows


def counts(bench, place):
    """What repeats exactly."""
    cache = filled(bench, place, "true")
    env = environment(FLAVOR_CACHE=cache)
    work = bench.work / "counts"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    package = bench.packages["true"]
    calls = calls_before_exec(package, env, work)
    rows = [Row("system calls of a warm start before `execve`", f"{calls}", "", "", "at most 25", calls <= 25)]
    if bench.big:
        calls = calls_before_exec(bench.packages["big"], environment(FLAVOR_CACHE=filled(bench, place, "big")), work)
        rows.append(Row("the same for `big`", f"{calls}", "", "", "at most 25", calls <= 25))
    count = instructions(package, env, work)
    rows.append(Row("instructions of a warm start, digests in software", f"{count:,}"))
    return rows


def delta(bench, place):
    """A patch for one file more in `httpie`: what zstd makes of the same two packages stands beside it."""
    rounds, runs = (1, 1) if bench.quick else (5, 2)
    old, new, made = bench.packages["httpie"], bench.packages["httpie-2"], place.new()
    patch, other = made / "flavor.patch", made / "zstd.patch"

    def make(to):
        return [bench.flavor, "delta", old, new, "--output", to]

    def apply(to):
        return [bench.flavor, "apply", old, patch, "--output", to]

    def zstd_make(to):
        return ["zstd", "-q", f"--patch-from={old}", new, "-o", to]

    def zstd_apply(to):
        return ["zstd", "-q", "-d", f"--patch-from={old}", other, "-o", to]

    for command in (make(patch), zstd_make(other), apply(made / "new.psp"), zstd_apply(made / "zstd.psp")):
        call(command)
    for result in (made / "new.psp", made / "zstd.psp"):
        if result.read_bytes() != new.read_bytes():
            raise SystemExit(f"error: {result} is not {new}")
    ours, theirs, whole = (path.stat().st_size for path in (patch, other, new))
    name = "`zstd --patch-from`"
    rows = [
        Row(
            f"patch of `delta` for one file more in `httpie` at level {bench.level}, against the package",
            f"{ours:,} bytes",
            f"{whole:,} bytes",
            f"{ours / whole:.5f}",
            "at most 0.03",
            ours / whole <= 0.03,
        ),
        Row(f"the same, against {name}", f"{ours:,} bytes", f"{theirs:,} bytes", f"{ours / theirs:.5f}"),
    ]
    # Both packages are verified by `delta`, the new one by `apply`, which compresses a frame: zstd does neither.
    for what, first, second in (("delta", make, zstd_make), ("apply", apply, zstd_apply)):
        case, beside = Case(what, first("{new}/out")), Case(f"zstd {what}", second("{new}/out"))
        time_cases(place, [case, beside], rounds, runs)
        rows.append(compare(f"time of `{what}`, which verifies, against {name}", case.median, beside.median))
    for what, first, second in (("delta", make, zstd_make), ("apply", apply, zstd_apply)):
        peaks = [peak_memory(command(place.new() / "out"), environment()) for command in (first, second)]
        rows.append(
            Row(
                f"memory of `{what}`, against {name}",
                *(amount(peak, "MiB") for peak in peaks),
                f"{peaks[0] / peaks[1]:.2f}",
                "at most 200 MiB",
                peaks[0] <= 200 * MIB,
            )
        )
    return rows
