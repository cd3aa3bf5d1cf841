"""Real applications, packed by their recipes: their start against that of the same tree without a package."""

import shutil
import statistics
from pathlib import Path

from measure import Case, call, environment, time_cases
from table import Row

PYTHON = "{tree}/rt/bin/python3"
APPS = Path("tests/apps")
# Name, command of the package, its arguments, and what that is without a package.
CASES = [
    ("httpie", None, ["--version"], [PYTHON, "-s", "{tree}/app/bin/httpie", "--version"]),
    ("node-server", "node-sum", ["1", "2"], ["{tree}/rt/bin/node", "{tree}/app/sum.js", "1", "2"]),
    ("black", None, ["--version"], [PYTHON, "-s", "{tree}/app/bin/black", "--version"]),
    ("numpy", None, [], [PYTHON, "-s", "{tree}/solve.py"]),
    ("flask-hello", "python", ["-c", "import flask_hello"], [PYTHON, "-c", "import flask_hello"]),
    ("terraform-provider", "pyvider", ["--help"], [PYTHON, "-s", "-m", "pyvider", "--help"]),
    ("jq", None, ["--version"], ["{tree}/native/bin/jq", "--version"]),
]
QUICK = {"httpie", "jq"}
JQ = """[package]
name = "jq"
version = "1"

[native]
binary = "/usr/bin/jq"
bundle-libraries = true
"""


def rows(bench, place):
    """Each start is compared with the ones before and behind it, as these programs vary by more than the difference; and
    at several places, as where the files of each happen to lie in memory makes some milliseconds, every time."""
    places, rounds = (1, 3) if bench.quick else (6, 6)
    out = []
    for name, command, args, plain in CASES:
        if bench.quick and name not in QUICK:
            continue
        package = packed(bench, name)
        aboves, drifts, all_plain, all_packed = [], [], [], []
        for _ in range(places):
            # On the file system of the cache: another one may be faster or slower.
            tree = place.new() / "tree"
            call([bench.flavor, "extract-all", package, tree])
            env = {"FLAVOR_CACHE": place.new()} | ({"FLAVOR_COMMAND": command} if command else {})
            direct = [part.replace("{tree}", str(tree)) for part in plain]
            expected = call(direct, env=environment())
            for _ in range(2):
                if call([package, *args], env=environment(**env)) != expected:
                    raise SystemExit(f"error: {name} says something else when it is packed")
            start = Case(f"start of {name}", [package, *args], env)
            before, after = Case(f"{name} directly", direct), Case(f"{name} directly, again", direct)
            time_cases(place, [before, start, after], rounds, 1, warmup=1)
            triples = list(zip(before.times, start.times, after.times, strict=True))
            aboves.append(statistics.median(packed - (one + two) / 2 for one, packed, two in triples))
            drifts += [abs(two - one) for one, _, two in triples]
            all_plain += before.times + after.times
            all_packed += start.times
        above, both = statistics.median(aboves), statistics.median(all_plain)
        drift = statistics.median(drifts)
        out.append(
            Row(
                f"warm start of `{name}`, packed by its recipe, above starting it directly",
                f"{above * 1e3:+.2f} ms ({min(aboves) * 1e3:+.2f} to {max(aboves) * 1e3:+.2f} at {places} places)",
                f"{both * 1e3:.2f} ms (neighbours differ by {drift * 1e3:.2f} ms)",
                f"{statistics.median(all_packed) / both:.2f}",
                "at most +2 ms",
                above <= 0.002,
            )
        )
    return out


def packed(bench, name):
    """The package. A project is copied, as tests do."""
    work = bench.work.parent / "apps" / name
    package = work / f"{name}.psp"
    if not package.exists() or package.stat().st_mtime < bench.flavor.stat().st_mtime:
        shutil.rmtree(work, ignore_errors=True)
        project = work / "project"
        if name == "jq":
            project.mkdir(parents=True)
            (project / "flavor.toml").write_text(JQ)
        else:
            shutil.copytree(APPS / name, project)
        pack = ["pack", "--manifest", project / "flavor.toml", "--key-seed", "bench", "--level", "1", "--no-cache", "--output", package]
        call([bench.flavor, *pack])
    return package
