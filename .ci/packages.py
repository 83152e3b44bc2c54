"""Prints the size of each function's package, zipped as a deployment does it, and holds it to the budget. Fails where a
package could be given a seed, from which anybody could draw its keys."""

import pathlib
import subprocess
import sys
import tempfile
import zipfile

BUDGET = 8_000_000


def main(directory):
    packages = sorted(pathlib.Path(directory).glob("*/bootstrap"))
    assert len(packages) == 4, f"{directory} holds {len(packages)} packages instead of 4"
    over = []
    for bootstrap in packages:
        assert not is_seeded(bootstrap.parent.name), f"{bootstrap.parent.name} is built with the feature seeded"
        size = zipped(bootstrap)
        print(f"  {bootstrap.parent.name:<22} {bootstrap.stat().st_size / 1e6:5.1f} MB, {size / 1e6:4.1f} MB zipped")
        if size > BUDGET:
            over.append(bootstrap.parent.name)
    if over:
        raise SystemExit(f"over the budget of {BUDGET / 1e6:.0f} MB zipped: {', '.join(over)}")


def is_seeded(package):
    command = ["cargo", "tree", "--locked", "--package", package, "--edges", "normal,build,features"]
    return "seeded" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def zipped(file):
    with tempfile.NamedTemporaryFile() as made:
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(file, file.name)
        return pathlib.Path(made.name).stat().st_size


if __name__ == "__main__":
    main(*sys.argv[1:])
