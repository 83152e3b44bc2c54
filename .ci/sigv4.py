"""Signs requests to a local region started with --auth iam: with curl, by the README's line, and with botocore.

Where a curl signs otherwise than AWS asks (old ones do for `%` in a path and for a query out of order), the region must
refuse it, as AWS would: botocore says for each request which signature is the right one.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "us-east-1"
FREE = [word for option in ("--api", "--aws", "--sftp", "--site") for word in (option, "127.0.0.1:0")]
TEXT = pathlib.Path(__file__).resolve().parent.parent.joinpath("README.md").read_text()
# The README's line for a deployed API.
README = re.search(r"^curl -sS --aws-sigv4 .*$", TEXT, re.M).group(0)
FORBIDDEN = {"message": "Forbidden"}


def main(program):
    with region(program) as (url, told):
        paste_what_is_told(url, told)
    lasting, temporary = Credentials("AKIALASTING", "a/b+c="), Credentials("ASIATEMPORARY", "d/e+f=", "token==")
    given = ["--access-key", "AKIALASTING:a/b+c=", "--access-key", "ASIATEMPORARY:d/e+f=:token=="]
    with region(program, *given) as (url, _):
        for key in (lasting, temporary):
            use_curl(url, key)
            use_botocore(url, key)
    print(f"signed requests: all held, with {curl_version()}")


@contextlib.contextmanager
def region(program, *options):
    """A region that asks for signed requests: the URL of its API, and all that it says at its start."""
    log = subprocess.DEVNULL
    process = subprocess.Popen([program, "--auth", "iam", *FREE, *options], stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        told = ""
        for line in process.stdout:
            told += line
            if line.startswith("Ctrl-C"):
                break
        yield re.search(r"HTTP API\s+(http://[0-9.:]+)", told).group(1), told
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)


def shell(script, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(["bash", "-e", "-c", script], env={**clean, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def paste_what_is_told(url, told):
    """The lines of the welcome, as a person pastes them."""
    block = re.search(r"(  export AWS_REGION=.*?\n\n)", told, re.S).group(1)
    steps = re.search(r"(  api=http.*?-d '\{.*?\n)", told, re.S).group(1)
    assert shell(f"{block}\n{README}", URL=url)["items"] == [], "the README's line"
    assert shell(f"{block}\n{steps}")["spec"]["file_system_id"], "the first step of the welcome"
    assert [item["name"] for item in shell(f"{block}\n{README}", URL=url)["items"]] == ["main"]
    assert shell(f"{block}\nAWS_SECRET_ACCESS_KEY=wrong\n{README}", URL=url) == FORBIDDEN
    assert shell(f"{block}\nAWS_SESSION_TOKEN=wrong\n{README}", URL=url) == FORBIDDEN
    assert shell(f"{block}\nunset AWS_SESSION_TOKEN\n{README}", URL=url) == FORBIDDEN
    assert shell(f"{block}\nAWS_REGION=eu-central-1\n{README}", URL=url) == FORBIDDEN
    assert shell("curl -sS \"$URL/v1/servers\"", URL=url) == FORBIDDEN, "unsigned"


SITE = json.dumps({
    "file_system_id": "fs-0a1b2c3d4e5f60718", "directory": "/sites/blog", "cluster": "local", "service": "web",
    "container": "web", "mount_path": "/usr/local/apache2/htdocs", "finish": {"quiet_period": "5s"},
})
# What any curl signs rightly, and what curl 7.88 for one does not.
PLAIN = [
    ("GET", "/v1/servers", None),
    ("GET", "/v1/sites/a-b.c_d~e", None),
    ("GET", "/v1/servers?cursor=x&limit=1", None),
    ("PUT", "/v1/sites/blog", SITE),
    ("PUT", "/v1/sites/blog?dry_run=true", SITE),
    ("POST", "/v1/servers/nobody/start", None),
    ("DELETE", "/v1/sites/nothing", None),
]
ODD = [
    ("GET", "/v1/servers?limit=1&cursor=x", None),
    ("GET", "/v1/servers?cursor=a%20b%2Fc&limit=1", None),
    ("GET", "/v1/servers?cursor=%2A%27%28%29~&limit=", None),
    ("GET", "/v1/sites/a%20b@c,d%2Fe", None),
    ("GET", "/v1/sites/%C3%A4", None),
    ("GET", "/v1//sites/./x", None),
]


def use_curl(url, key):
    for method, path, body in PLAIN + ODD:
        status, right = curl(url, key, method, path, body)
        assert (status != 403) == right, f"curl {method} {path}: {status}, botocore signs {'the same' if right else 'otherwise'}"
        assert right or (method, path, body) in ODD, f"curl {method} {path} was not signed rightly"
    wrong = Credentials(key.access_key, "wrong", key.token)
    assert curl(url, wrong, "GET", "/v1/servers", None)[0] == 403
    unknown = Credentials("AKIAUNKNOWN", key.secret_key, key.token)
    assert curl(url, unknown, "GET", "/v1/servers", None)[0] == 403


def curl(url, key, method, path, body):
    """The status of the answer, and whether curl's signature is the one that botocore makes."""
    words = ["curl", "-sS", "-v", "--path-as-is", "-X", method, "--aws-sigv4", f"aws:amz:{REGION}:execute-api",
             "--user", f"{key.access_key}:{key.secret_key}", url + path]
    words += ["-H", f"x-amz-security-token: {key.token}"] if key.token else []
    words += ["-d", body] if body else []
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    sent = {name.lower(): value for name, value in re.findall(r"^> ([\w-]+): (.*?)\r?$", done.stderr, re.M)}
    status = int(re.search(r"^< HTTP/1.1 (\d+)", done.stderr, re.M).group(1))
    named = re.search(r"SignedHeaders=([^,]*)", sent["authorization"]).group(1).split(";")
    signer = SigV4Auth(key, "execute-api", REGION)
    request = AWSRequest(method, url + path, headers={name: sent[name] for name in named}, data=body or "")
    request.context["timestamp"] = sent["x-amz-date"]
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return status, sent["authorization"].endswith(f"Signature={expected}")


def use_botocore(url, key):
    for method, path, body in PLAIN + ODD:
        for signer in (SigV4Auth(key, "execute-api", REGION), SigV4QueryAuth(key, "execute-api", REGION, expires=60)):
            request = AWSRequest(method, url + path, data=(body or "").encode())
            signer.add_auth(request)
            assert send(request) != 403, f"botocore {type(signer).__name__} {method} {path}"
            assert send(request, b"tampered") == 403, f"a changed body: {method} {path}"
            request.url = request.url.replace("/v1", "/v1/x", 1)
            assert send(request) == 403, f"a changed path: {method} {path}"


def send(request, body=None):
    data = body if body is not None else request.data or None
    # Not urllib's own type, which would be another change than the one that is tried.
    headers = {"Content-Type": "application/json", **dict(request.headers)}
    sent = urllib.request.Request(request.url, method=request.method, headers=headers, data=data)
    try:
        with urllib.request.urlopen(sent) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        return refusal.code


def curl_version():
    return subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout.split(" (")[0]


if __name__ == "__main__":
    main(sys.argv[1])
