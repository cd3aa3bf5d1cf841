"""Packers of the same kind, on the same content: flavorpack's two launchers, whose format this is.

Their builder takes no directories, and their launchers no links, so the tree goes in as a `.tar.gz` with every link
replaced by a copy. Their cache lies below HOME.
"""

import json
import sys

from inputs import HTTPIE, once
from measure import BenchError, Case, call, environment, time_cases
from rows import extraction, filled
from table import compare

FLAVORPACK = "flavorpack==0.5.4"
LAUNCHERS = {"rs": "flavorpack's Rust launcher", "go": "flavorpack's Go launcher"}


def install(bench):
    """The packages of each launcher: `version` starts httpie, `nothing` a program that does nothing."""
    work = bench.work.parent / "flavorpack"

    def make(path):
        call([sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--target", path / "tools", FLAVORPACK])
        helpers = path / "tools/flavor/helpers/bin"
        builder = next(helpers.glob("flavor-rs-builder-*"))
        content = path / "content.tar.gz"
        tar = f"tar -h --hard-dereference --sort=name -C '{bench.httpie}' -cf - rt app -C '{bench.true.parent}' true"
        call(["sh", "-c", f"{tar} | gzip -9 > '{content}'"])
        for name, command in (("version", "{workenv}/rt/bin/python3 -s {workenv}/app/bin/httpie"), ("nothing", "{workenv}/true")):
            slot = {"id": "content", "source": str(content), "operations": "tgz", "purpose": "payload", "lifecycle": "cache", "target": "{workenv}"}
            manifest = {"package": {"name": name, "version": "1"}, "execution": {"command": command}, "slots": [slot]}
            (path / f"{name}.json").write_text(json.dumps(manifest))
            for kind in LAUNCHERS:
                output = path / f"{name}-{kind}.psp"
                launcher = next(helpers.glob(f"flavor-{kind}-launcher-*"))
                call([builder, "--manifest", path / f"{name}.json", "--output", output, "--launcher-bin", launcher, "--key-seed", "bench"])
                output.chmod(0o755)

    once(work, make)
    return work


def surroundings(package, home):
    """The environment for a package of theirs. It starts the interpreter under the name of the package, from which that
    cannot find its library."""
    workenv = f"{home}/.cache/flavor/workenv/{package.stem}"
    return {"HOME": home, "PYTHONHOME": f"{workenv}/rt"}


def rows(bench, place):
    """Ours against each, once it has been seen to start httpie."""
    work = install(bench)
    rounds, runs = (1, 1) if bench.quick else (10, 1)
    warm_rounds, warm_runs = (1, 10) if bench.quick else (10, 30)
    out = []
    for kind, name in LAUNCHERS.items():
        nothing, version = work / f"nothing-{kind}.psp", work / f"version-{kind}.psp"
        home = place.new()
        for _ in range(2):
            call([nothing], env=environment(HOME=home))
        said = call([version, "--version"], env=environment(**surroundings(version, place.new())))
        if said.strip() != HTTPIE.split("==")[1]:
            raise BenchError(f"{version} says {said!r}")

        direct, peer = Case("directly", [bench.true]), Case(name, [nothing], {"HOME": home})
        env = {"FLAVOR_CACHE": filled(bench, place, "httpie", {"FLAVOR_COMMAND": "nothing"}), "FLAVOR_COMMAND": "nothing"}
        ours = Case("ours", [bench.packages["httpie"]], env)
        time_cases(place, [direct, peer, ours], warm_rounds, warm_runs, warmup=2)
        above, theirs = ours.median - direct.median, peer.median - direct.median
        out.append(compare(f"{name}: warm start above starting directly", above, theirs))

        place.fresh()
        peer, ours = Case(f"extraction by {name}", [nothing], {"HOME": "{new}"}), extraction(bench, "httpie", "")
        time_cases(place, [peer, ours], rounds, runs)
        out.append(compare(f"{name}: extraction of `httpie`, all cores", ours.median, peer.median, most=0.5))
        whole = {"FLAVOR_CACHE": "{new}/cache"}
        peer = Case(f"first start with {name}", [version, "--version"], surroundings(version, "{new}"))
        ours = Case("ours", [bench.packages["httpie"], "--version"], whole)
        time_cases(place, [peer, ours], rounds, runs)
        out.append(compare(f"{name}: whole first start of `httpie`", ours.median, peer.median))
        out.append(compare(f"{name}: size of the package", bench.packages["httpie"].stat().st_size, version.stat().st_size, most=1.0, unit="MB"))
    return out
