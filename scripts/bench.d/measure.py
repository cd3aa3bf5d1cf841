"""Running things and looking at what they took."""

import json
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

APT = {
    "hyperfine": "hyperfine",
    "strace": "strace",
    "valgrind": "valgrind",
    "zstd": "zstd",
    "openssl": "openssl",
    "taskset": "util-linux",
    "cc": "gcc",
}


class BenchError(Exception):
    """What stands in the way, with the remedy."""


def check_tools(names):
    """Fails with the command that installs what is missing."""
    wanted = set(APT) - (set() if "counts" in names else {"strace", "valgrind"})
    missing = sorted(APT[tool] for tool in wanted if not shutil.which(tool))
    if missing:
        raise BenchError(f"missing tools\nhelp: apt-get install --no-install-recommends {' '.join(missing)}")


def environment(**more):
    """The environment of everything that is measured: nothing that changes what Python or a package does."""
    taken = ("PYTHON", "FLAVOR_", "XDG_", "CACHE_DIRECTORY", "SOURCE_DATE_EPOCH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(taken)}
    return kept | {name: str(value) for name, value in more.items()}


def call(command, cwd=None, env=None):
    """Runs a command that must succeed and gives its output, which is shown when it does not.

    It has a process group of its own: when this program is interrupted, everything that it started ends with it.
    """
    command = [str(part) for part in command]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=env or environment(), start_new_session=True
    )
    try:
        output, errors = running.communicate()
    except BaseException:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        raise
    if running.returncode:
        raise BenchError(f"{shlex.join(command)}: status {running.returncode}\n{output[-2000:]}{errors[-2000:]}")
    return output


class Place:
    """Where first starts unpack: new directories, on a file system that was just made where that is possible.

    `fresh` makes a new file system; until then nothing is deleted.
    """

    def __init__(self, work):
        self.image, self.mounted = work / "ext4.img", work / "new"
        self.is_fresh, self.count = False, 0

    def __enter__(self):
        self.mounted.mkdir(parents=True, exist_ok=True)
        self.unmount()  # left by a run that was killed
        self.fresh()
        return self

    def __exit__(self, *_):
        self.unmount()
        shutil.rmtree(self.mounted, ignore_errors=True)

    def unmount(self):
        # What was just killed may hold a file open for a moment.
        for _ in range(50):
            if not os.path.ismount(self.mounted) or not subprocess.run(["umount", str(self.mounted)], check=False).returncode:
                break
            time.sleep(0.1)
        self.image.unlink(missing_ok=True)

    def fresh(self):
        if os.geteuid() or not (shutil.which("mkfs.ext4") and shutil.which("mount")):
            return
        self.unmount()
        self.image.touch()
        os.truncate(self.image, 60 << 30)
        quick = "lazy_itable_init=1,lazy_journal_init=1"
        made = subprocess.run(["mkfs.ext4", "-q", "-F", "-E", quick, str(self.image)], capture_output=True, check=False)
        mounted = made.returncode == 0 and subprocess.run(
            ["mount", "-o", "loop", str(self.image), str(self.mounted)], capture_output=True, check=False
        )
        self.is_fresh = bool(mounted) and mounted.returncode == 0
        if not self.is_fresh:
            self.image.unlink(missing_ok=True)

    def new(self):
        """A new, empty directory."""
        self.count += 1
        path = self.mounted / f"{os.getpid()}-{self.count}"
        path.mkdir()
        return path


@dataclass
class Case:
    """A command to be timed."""

    name: str
    command: list
    env: dict = field(default_factory=dict)
    cpus: str = ""  # a list for taskset; empty for all
    # Run before each sample, not timed. Gets a new directory as `$1`; the command finds it at {new}.
    prepare: str = ""
    times: list = field(default_factory=list)
    cpu: list = field(default_factory=list)

    @property
    def median(self):
        """Median of the wall times in seconds."""
        return statistics.median(self.times)

    @property
    def cpu_median(self):
        """Median over the rounds of the mean processor time, user and system, in seconds."""
        return statistics.median(self.cpu)


def time_cases(place, cases, rounds, runs, warmup=0):
    """Times the cases in turn, `rounds` times, with `runs` samples each time."""
    for _ in range(rounds):
        for case in cases:
            time_once(place, case, runs, warmup)
    for case in cases:
        print(f"   {case.name}: {case.median * 1e3:.2f} ms, processor {case.cpu_median * 1e3:.2f} ms", file=sys.stderr, flush=True)
    return cases


# A sample that needs a new directory finds it under a fixed name, because hyperfine's command is fixed. The directory of
# the sample before is moved away, not deleted.
NEXT = 'set -e; mkdir -p "$0/old"; [ ! -e "$0/now" ] || mv "$0/now" "$0/old/$$"; mkdir "$0/now"; cd "$0/now"; '


def time_once(place, case, runs, warmup):
    base = place.new()
    here = str(base / "now")
    command = [str(part).replace("{new}", here) for part in case.command]
    env = environment(**{name: str(value).replace("{new}", here) for name, value in case.env.items()})
    report = base / "times.json"
    hyperfine = ["hyperfine", "-N", "--style", "none", "--warmup", str(warmup), "--runs", str(runs), "--export-json", str(report)]
    hyperfine += ["--prepare", shlex.join(["sh", "-c", NEXT + case.prepare, str(base)])]
    pin = ["taskset", "-c", case.cpus] if case.cpus else []
    call([*pin, *hyperfine, shlex.join(command)], env=env)
    result = json.loads(report.read_text())["results"][0]
    case.times += result["times"]
    case.cpu.append(result["user"] + result["system"])


def peak_memory(command, env):
    """Largest resident set of a command and its children in bytes, and its wall time is not looked at."""
    program = (
        "import os, resource, sys\n"
        "pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)])\n"
        "_, status, usage = os.wait4(pid, 0)\n"
        "print(usage.ru_maxrss)\n"
        "sys.exit(os.waitstatus_to_exitcode(status))\n"
    )
    command = [shutil.which(str(command[0])), *command[1:]]
    return int(call([sys.executable, "-c", program, *command], env=env)) * 1024


def calls_before_exec(package, env, work):
    """The system calls of a start, from the one after its own execve to the one before the program's."""
    trace = work / "trace"
    call(["strace", "-f", "-qq", "-o", trace, package], env=env)
    lines = trace.read_text().splitlines()
    execs = [nth for nth, line in enumerate(lines) if re.search(r"^\d+ +execve\(", line)]
    return execs[1] - execs[0] - 1


def instructions(package, env, work):
    """Instructions of a start in user space until it executes the program, to a thousand basic blocks.

    The profile is written every so often, because nothing is written when the process is replaced. Valgrind's processor
    has no SHA instructions, so digests count as software.
    """
    profile = work / "callgrind"
    for old in work.glob("callgrind.*"):
        old.unlink()
    call(["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", "--dump-every-bb=1000", package], env=env)
    # The last file, the one without a number, is the program's own, where it was followed at all.
    found = [re.search(r"^summary: (\d+)", part.read_text(), re.M) for part in work.glob("callgrind.*")]
    return sum(int(summary[1]) for summary in found if summary)


def tree_size(path):
    """Bytes of content of a file or of all files below a directory, and their number."""
    path = Path(path)
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file() and not p.is_symlink()]
    return sum(file.stat().st_size for file in files), len(files)
