"""Pastes the README's walk-through, block by block, as a reader would, and looks at what must come of it."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

from region import region, wait_until

API = "http://127.0.0.1:9000"
SITE = "http://127.0.0.1:8080/"


def main(program):
    start, server, site_and_user, upload, wake, aws = blocks()
    options = re.search(r"cargo run -- (.*)", start).group(1)
    words = subprocess.run(["bash", "-c", f"printf '%s\\n' {options}"], capture_output=True, text=True, check=True)
    with region(program, *words.stdout.splitlines()), tempfile.TemporaryDirectory() as home:
        paste(server, home)
        paste(site_and_user, home)
        wait_until("the server is online and alice is ready", lambda: power() == "online" and user_ready())
        paste(upload, home)
        rollouts = wait_until("the rollout has succeeded", succeeded)
        assert len(rollouts) == 1, f"one upload made {len(rollouts)} rollouts"
        assert "Ahoy" in read(SITE), "the site does not serve the upload"
        wait_until("the idle server is asleep", lambda: power() == "asleep", 240)
        paste(wake, home)
        wait_until("the server is online again, and alice is ready", lambda: power() == "online" and user_ready())
        # With the host key that `hosts` knows.
        strict = upload.replace("StrictHostKeyChecking=accept-new", "StrictHostKeyChecking=yes")
        assert strict != upload, "the README no longer says how the host key is checked"
        paste(strict, home)
        assert "arn:aws:ecs" in paste(aws, home)
    print("walk-through: all held")


def blocks():
    readme = pathlib.Path(__file__).parent.parent.joinpath("README.md").read_text()
    section = readme.split("## Walk through it", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)```", section, re.S)


def paste(block, home):
    done = subprocess.run(["bash", "-e", "-c", block], cwd=home, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"a block of the walk-through failed:\n{block}\n{done.stdout}\n{done.stderr}")
    assert '"status":4' not in done.stdout.replace(" ", ""), f"the API refused:\n{block}\n{done.stdout}"
    return done.stdout


def read(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()


def power():
    return json.loads(read(f"{API}/v1/servers/main"))["status"]["power"]


def user_ready():
    status = json.loads(read(f"{API}/v1/servers/main/users/alice"))["status"]
    return status["state"] == "ready" and status["settled"]


def succeeded():
    items = json.loads(read(f"{API}/v1/sites/blog/rollouts"))["items"]
    return items if items and all(item["state"] == "succeeded" for item in items) else None


if __name__ == "__main__":
    main(sys.argv[1])
