"""Runs the steps of a CI template as shell, as the service would.

usage: steps.py github FILE DIRECTORY NAME=INPUT...   in the directory, one after another
       steps.py gitlab FILE DIRECTORY                 each job below the directory, with the artifacts of those that it needs

Of each template the keys that this understands are all that may stand in it.
"""

import os
import re
import shutil
import subprocess
import sys

import yaml


def only(mapping, keys, where):
    unknown = set(mapping) - set(keys)
    if unknown:
        sys.exit(f"{where}: {sorted(unknown)} is not understood")


def run(script, directory, env):
    done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], cwd=directory, env=env)
    if done.returncode != 0:
        sys.exit(f"{script!r} ended with {done.returncode}")


def github(action, directory, given):
    only(action, ["name", "description", "inputs", "outputs", "runs"], "action")
    only(action["runs"], ["using", "steps"], "runs")
    assert action["runs"]["using"] == "composite"
    assert not set(given) - set(action["inputs"]), given
    inputs = {}
    for name, spec in action["inputs"].items():
        only(spec, ["description", "default"], name)
        inputs[name] = given.get(name, spec["default"])
    outputs = {}

    def value(text):
        text = re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda m: inputs[m[1]], text)
        text = re.sub(r"\$\{\{ steps\.([a-z]+)\.outputs\.([a-z-]+) \}\}", lambda m: outputs[m[1]][m[2]], text)
        assert "${{" not in text, text
        return text

    for step in action["runs"]["steps"]:
        only(step, ["name", "id", "shell", "env", "run"], step["name"])
        # Text of the person who calls the action is never pasted into a script.
        assert step["shell"] == "bash" and "${{" not in step["run"]
        said = os.path.join(directory, ".github-output")
        open(said, "w").close()
        env = {name: value(text) for name, text in step["env"].items()}
        run(step["run"], directory, {**os.environ, **env, "GITHUB_OUTPUT": said})
        with open(said, encoding="utf-8") as file:
            outputs[step.get("id")] = dict(line.rstrip("\n").split("=", 1) for line in file)
        os.remove(said)
    for name, spec in action["outputs"].items():
        print(f"{name}={value(spec['value'])}")


def gitlab(template, directory):
    jobs = {name: job for name, job in template.items() if name not in ("stages", "variables")}
    for name, job in jobs.items():
        only(job, ["stage", "needs", "variables", "script", "artifacts"], name)
        only(job["artifacts"] if "artifacts" in job else {}, ["paths"], name)
        assert job["stage"] in template["stages"]
        place = os.path.join(directory, name)
        clones = job.get("variables", {}).get("GIT_STRATEGY") != "none"
        if clones:
            shutil.copytree(os.path.join(directory, "project"), place, symlinks=True)
        else:
            os.mkdir(place)
        for needed in job.get("needs", []):
            for path in jobs[needed]["artifacts"]["paths"]:
                source, target = (os.path.join(directory, job, path) for job in (needed, name))
                if path.endswith("/"):
                    shutil.copytree(source, target, symlinks=True)
                else:
                    shutil.copy2(source, target)
        env = {**os.environ, **template["variables"], **job.get("variables", {})}
        if name != "flavor-sign":
            # A protected variable; the others would not need it.
            env.pop("FLAVOR_SIGNING_KEY", None)
        run("\n".join(job["script"]), place, env)


def main(service, path, directory, *inputs):
    with open(path, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    if service == "github":
        github(document, directory, dict(given.split("=", 1) for given in inputs))
    else:
        gitlab(document, directory)


main(*sys.argv[1:])
