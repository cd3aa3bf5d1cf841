"""What is packed, and the packages: made once, below target/bench, and kept for the next run."""

import random
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from measure import BenchError, call, environment

WORDS = "the of and to in is that for it as was with be by on not he this are or his from at which but have an had they".split()

NOTHING = """
[[slot]]
id = "nothing"
source = "{nothing}"
target = "nothing"

[commands.nothing]
exec = "{{workenv}}/nothing/true"
"""
TRUE = """[package]
name = "{name}"
version = "1"

[command]
exec = "{{workenv}}/nothing/true"

[[slot]]
id = "nothing"
source = "{nothing}"
target = "nothing"
"""
# What the recipe of the demonstration comes to, with an application that can be exchanged.
HTTPIE = """[package]
name = "httpie"
version = "3.2.4"

[[slot]]
id = "rt"
source = "{directory}/rt"
target = "rt"
purpose = "runtime"

[[slot]]
id = "app"
source = "{directory}/{app}"
target = "app"
purpose = "code"

[command]
exec = "{{workenv}}/rt/bin/python3"
args = ["-s", "{{workenv}}/app/bin/httpie"]

[env]
unset = ["PYTHON*"]
"""
DATA = """
[[slot]]
id = "data"
source = "{data}"
target = "data"
purpose = "data"
"""


@dataclass
class Bench:
    """Where everything is."""

    work: Path
    flavor: Path
    quick: bool
    big: bool
    level: int
    httpie: Path  # a directory with rt/ and app/
    true: Path
    packages: dict
    contents: dict

    def pack_command(self, name, output, level, cached=False):
        """The command that packs `name` from its manifest, without the frames of earlier builds unless `cached`."""
        manifest = self.work / f"{name}.toml"
        cache = [] if cached else ["--no-cache"]
        return [self.flavor, "pack", "--manifest", manifest, "--key-seed", "bench", "--level", str(level), *cache, "--output", output]


def prepare(root, options, names):
    """Builds flavor and everything that the groups `names` need."""
    work = root / "target/bench" / ("quick" if options.quick else "full")
    work.mkdir(parents=True, exist_ok=True)
    say("Building the launcher and flavor")
    call([root / "scripts/stubs"])
    call(["cargo", "build", "--release", "--locked", "-p", "flavor"], cwd=root)
    target = Path(environment().get("CARGO_TARGET_DIR", "target"))
    bench = Bench(
        work=work,
        flavor=root / target / "release/flavor",
        quick=options.quick,
        big=options.big,
        level=3 if options.quick else 19,
        httpie=root / "target/bench/httpie",
        true=work / "nothing/true",
        packages={},
        contents={},
    )
    make_true(bench)
    make_httpie(root, bench)
    make_manifests(bench)
    for name, level in (("true", 3), ("httpie", bench.level), ("httpie-2", bench.level)):
        pack(bench, name, level)
    if {"memory", "growth"} & set(names):
        make_data(work / "data", count=20 if bench.quick else 200, size=(1 if bench.quick else 5) << 20)
        make_files(work / "files", directories=40 if bench.quick else 2000)
        pack(bench, "data", 3)
        pack(bench, "files", 3)
    if bench.big:
        make_big(work / "big", megabytes=5 if bench.quick else 5120)
        pack(bench, "big", 1)
    return bench


def say(what):
    print(f"== {what}", file=sys.stderr, flush=True)


def once(path, make):
    """Makes a directory unless it is complete."""
    done = path.with_name(path.name + ".done")
    if done.exists() and path.exists():
        return
    say(f"Making {path.name}")
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    make(path)
    done.touch()


def make_true(bench):
    """A static program that does nothing."""
    def make(path):
        source = path.with_suffix(".c")
        source.write_text("int main(void) { return 0; }\n")
        call(["cc", "-Os", "-static", "-s", "-o", path / "true", source])
    once(bench.true.parent, make)


def make_httpie(root, bench):
    """The application of the README, unpacked, and an upgrade of it."""
    def make(path):
        package = path.with_suffix(".psp")
        manifest = root / "scripts/demo-app/flavor.toml"
        call([bench.flavor, "pack", "--manifest", manifest, "--key-seed", "bench", "--no-cache", "--level", "1", "--output", package])
        call([bench.flavor, "extract-all", package, path, "--force"])
        shutil.copytree(path / "app", path / "app2", symlinks=True)
        (path / "app2/lib/new.py").write_text("# an upgrade\n")
    once(bench.httpie, make)


def make_manifests(bench):
    nothing = bench.true.parent
    for name, app in (("httpie", "app"), ("httpie-2", "app2")):
        text = HTTPIE.format(directory=bench.httpie, app=app)
        write(bench.work / f"{name}.toml", text + NOTHING.format(nothing=nothing))
        bench.contents[name] = [bench.httpie / "rt", bench.httpie / app, nothing]
    for name in ("true", "data", "files", "big"):
        text = TRUE.format(name=name, nothing=nothing)
        if name != "true":
            text += DATA.format(data=bench.work / name)
        write(bench.work / f"{name}.toml", text)
        bench.contents[name] = [nothing] if name == "true" else [bench.work / name]


def write(path, text):
    """Leaves a file alone that has this text: what is newer than a package makes it stale."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def pack(bench, name, level):
    """Packs, unless the package is there and newer than flavor and its manifest."""
    package = bench.work / f"{name}.psp"
    bench.packages[name] = package
    newest = max(path.stat().st_mtime for path in (bench.flavor, bench.work / f"{name}.toml"))
    if package.exists() and package.stat().st_mtime > newest:
        return
    say(f"Packing {name}")
    call(bench.pack_command(name, package, level))


def make_data(directory, count, size):
    """Files of `size` bytes, every second of them incompressible."""
    def make(path):
        source = random.Random(1)
        # Sixteen texts, dealt out anew for each file: compressible, and not the same everywhere.
        texts = [" ".join(source.choices(WORDS, k=14_000)).encode()[:65536] for _ in range(16)]
        for nth in range(count):
            text = b"".join(source.choice(texts) for _ in range(size // 65536))
            (path / f"{nth:03}").write_bytes(source.randbytes(size) if nth % 2 else text)
    once(directory, make)


def make_files(directory, directories):
    """Fifty files of 0 to 8 KB in each of `directories` directories."""
    def make(path):
        source = random.Random(2)
        for nth in range(directories):
            (path / f"d{nth:04}").mkdir()
            for file in range(50):
                (path / f"d{nth:04}" / f"f{file:02}").write_bytes(source.randbytes(source.randrange(8192) // 2) * 2)
    once(directory, make)


def make_big(directory, megabytes):
    """One file, half of it noise."""
    def make(path):
        noise = random.Random(3).randbytes(1 << 20)
        with open(path / "big", "wb") as file:
            for nth in range(megabytes // 2):
                file.write(nth.to_bytes(8, "little") + noise[8:])
                file.write(b"x" * (1 << 20))
    once(directory, make)
