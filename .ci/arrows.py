"""Holds every `use` in the workspace to one direction: crates import only crates below them, and the top-level modules
of a crate form no circle. Fails with the imports that close one."""
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

# From the top down. A crate imports only from groups below its own; crates of one group don't know each other.
FLOORS = [
    ["bench"],
    ["wharfinger-cli", "simulation"],
    ["wharfinger-region"],
    ["wharfinger-emulator"],
    ["wharfinger-api", "wharfinger-autostop", "wharfinger-publish", "wharfinger-reconcile", "wharfinger-rollout"],
    ["wharfinger-runtime", "wharfinger-test-cloud", "wharfinger-previous"],
    ["wharfinger-store", "wharfinger-aws"],
    ["wharfinger-chance", "wharfinger-decisions"],
]


def crates():
    """The workspace's crates: name, folder of the library's sources, and the workspace's crates they depend on."""
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    packages = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["packages"]
    names = {package["name"] for package in packages}
    for package in packages:
        sources = Path(package["manifest_path"]).parent / "src"
        # What only tests use may lie anywhere.
        uses = {used["name"] for used in package["dependencies"] if used["kind"] != "dev"} & names
        yield package["name"], sources, uses


def floor_of(crate):
    return next((number for number, floor in enumerate(FLOORS) if crate in floor), None)


def imports(text):
    """The modules that a text's `crate::` paths name first, in `use` trees as elsewhere."""
    text = re.sub(r"//[^\n]*", "", text)
    for match in re.finditer(r"\bcrate::", text):
        rest = text[match.end():]
        if not rest.startswith("{"):
            yield re.match(r"\w*", rest)[0]
            continue
        depth, start = 0, True
        for token in re.finditer(r"\w+|[{},]", rest):
            word = token[0]
            if word == "{":
                depth, start = depth + 1, depth == 0
            elif word == "}":
                depth -= 1
                if depth == 0:
                    break
            elif word == ",":
                start = depth == 1
            elif start and depth == 1:
                yield word
                start = False


def modules(sources):
    """Which top-level modules each top-level module of a crate imports. Tests may look anywhere."""
    for_tests = {"tests", "tests.rs", "testing.rs"}
    files = [path for path in sources.rglob("*.rs") if not for_tests & set(path.relative_to(sources).parts)]
    names = {path.relative_to(sources).parts[0].removesuffix(".rs") for path in files} - {"lib", "main"}
    edges = defaultdict(lambda: defaultdict(set))
    for path in files:
        parts = path.relative_to(sources).parts
        module = parts[0].removesuffix(".rs")
        if module not in names:
            continue
        text = path.read_text().split("#[cfg(test)]\nmod tests {")[0]
        if len(parts) == 1 or parts[1:] == ("mod.rs",):
            # Right below the crate, `super` is the crate.
            text = re.sub(r"\bsuper::", "crate::", text)
        for found in set(imports(text)) & names - {module}:
            edges[module][found].add(path)
    return edges


def circle(edges):
    """One circle of modules, if there is any."""
    done = set()

    def walk(module, way):
        if module in way:
            return way[way.index(module):] + [module]
        if module in done:
            return None
        for following in sorted(edges[module]):
            if found := walk(following, way + [module]):
                return found
        done.add(module)
        return None

    return next(filter(None, (walk(module, []) for module in sorted(edges))), None)


def troubles():
    for crate, sources, uses in crates():
        if floor_of(crate) is None:
            yield f"{crate} has no place in FLOORS of {sys.argv[0]}"
            continue
        for used in sorted(uses):
            if floor_of(used) is None or floor_of(used) <= floor_of(crate):
                yield f"{crate} depends on {used}, which is not below it"
        edges = modules(sources)
        if found := circle(edges):
            steps = (f"{a} -> {b} ({sorted(edges[a][b])[0]})" for a, b in zip(found, found[1:]))
            yield f"{crate} has a circle of modules: " + ", ".join(steps)


found = list(troubles())
print("\n".join(found) or "every import runs down, and no modules form a circle")
sys.exit(bool(found))
