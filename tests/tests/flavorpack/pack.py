"""Makes a package with flavorpack's Python API: pack.py SEED OUTPUT LAUNCHER OPERATIONS=SOURCE..."""

import sys
from pathlib import Path

from flavor.psp.format_2025 import BuildOptions, BuildSpec, KeyConfig, SlotMetadata, build_package

seed, output, launcher, *given = sys.argv[1:]
names = ["app", "conf", "third"]
targets = ["app", "etc/conf.txt", "third"]
slots = []
for index, slot in enumerate(given):
    operations, source = slot.split("=", 1)
    slots.append(
        SlotMetadata(
            index=index,
            id=names[index],
            source=source,
            target=targets[index],
            size=0,
            checksum="",
            operations=operations,
            permissions="0640" if index == 1 else None,
        )
    )
spec = BuildSpec(
    metadata={
        "format": "PSPF/2025",
        "package": {"name": "demo", "version": "1.0.0"},
        "execution": {"command": "/bin/sh {workenv}/bin/run.sh 'a b'"},
    },
    slots=slots,
    keys=KeyConfig(key_seed=seed),
    options=BuildOptions(launcher_bin=Path(launcher)),
)
result = build_package(spec, Path(output))
sys.exit(0 if result.success else f"{result.errors}")
