"""Deploys both templates on MiniStack, an AWS emulator of other people's, and tells the story there.

MiniStack reads the templates as CloudFormation would and runs the packaged functions behind its own API Gateway, SQS,
EventBridge, DynamoDB, ECS, EFS and EC2. What it does not have comes from elsewhere, each named at its place: Transfer
Family with real SFTP is ours, and what Transfer Family and ECS would send to the account (events, metrics) is carried
over.

Usage: ministack.py WHARFINGER MINISTACK, both paths of programs; the packages lie in target/lambda.
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import boto3
from awscli.customizations.cloudformation.yamlhelper import yaml_dump, yaml_parse
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

import ministack_ec2
import ministack_site
from region import wait_until

INFRA = pathlib.Path(__file__).resolve().parent.parent / "infra"
METRIC_PERIOD = 10
OVER = threading.Event()
# Only AWS itself may put events of aws.transfer and aws.ecs; both MiniStack and AWS refuse others. The deployed rules
# listen to these sources instead, and their patterns are matched in full.
SOURCES = {"aws.transfer": "carried.transfer", "aws.ecs": "carried.ecs"}


def main(wharfinger, ministack):
    ports = dict(zip(["gateway", "unused", "ec2", "transfer", "sftp"], free_ports(5)))
    with tempfile.TemporaryDirectory() as home, running_ministack(ministack, ports, home):
        home = pathlib.Path(home)
        boto3.client("s3").create_bucket(Bucket="packages")
        site = deploy_site(home)
        with running_transfer(wharfinger, site, ports, home):
            threading.Thread(target=carry_deployments, args=(site,), daemon=True).start()
            control = deploy_control_plane(ports, home)
            api = Api(control, ports)
            try:
                tell_story(api, site, ports, home)
                remove(api, control, ports)
            except BaseException:
                tell_what_is_there(api)
                raise
    print("MiniStack: all held")


# ---- The two emulators ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def running_ministack(program, ports, home):
    endpoint = f"http://127.0.0.1:{ports['gateway']}"
    os.environ.update(
        AWS_ENDPOINT_URL=endpoint,
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_PAGER="",
    )
    # Functions inherit MiniStack's environment: this is how theirs finds our Transfer Family, by the SDK's own switch.
    environment = os.environ | {
        "LAMBDA_EXECUTOR": "local",
        "GATEWAY_PORT": str(ports["gateway"]),
        "SFTP_PORT": str(ports["unused"]),
        "IOT_MTLS_ENABLED": "0",
        "AWS_ENDPOINT_URL_TRANSFER": f"http://127.0.0.1:{ports['transfer']}",
        # The log of sessions lies where Transfer Family writes it.
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": f"http://127.0.0.1:{ports['transfer']}",
        "AWS_ENDPOINT_URL_EC2": f"http://127.0.0.1:{ports['ec2']}",
    }
    ministack_ec2.start(ports["ec2"], endpoint)
    with open(f"{home}/ministack.log", "w") as log:
        process = subprocess.Popen([program], env=environment, cwd=home, stdout=log, stderr=log)
        try:
            wait_until("MiniStack answers", lambda: process.poll() is not None or answers(f"{endpoint}/_ministack/health"))
            yield
        except BaseException:
            print(pathlib.Path(log.name).read_text()[-6000:], file=sys.stderr)
            raise
        finally:
            end(process)


@contextlib.contextmanager
def running_transfer(program, site, ports, home):
    """Transfer Family beside MiniStack's network and file system. Its events and metrics are carried to MiniStack."""
    there = {
        "vpc": site["VpcId"],
        "subnets": site["SubnetIds"].split(","),
        "security_groups": [site["SecurityGroupId"]],
        "addresses": site["AllocationIds"].split(","),
        "file_systems": {site["FileSystemId"]: [site["Directory"]]},
    }
    beside = home / "beside.json"
    beside.write_text(json.dumps(there))
    addresses = ["--aws", f"127.0.0.1:{ports['transfer']}", "--sftp", f"127.0.0.1:{ports['sftp']}"]
    command = [program, "transfer", "--beside", beside, *addresses, "--metric-period", str(METRIC_PERIOD)]
    environment = os.environ | {"AWS_ENDPOINT_URL_EC2": f"http://127.0.0.1:{ports['ec2']}"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if line.startswith("Files"):
                break
        else:
            raise SystemExit("wharfinger transfer ended at its start")
        threading.Thread(target=carry_events, args=(process.stdout,), daemon=True).start()
        threading.Thread(target=carry_metrics, args=(ports,), daemon=True).start()
        yield
    finally:
        OVER.set()
        end(process)


def carry_events(lines):
    bus = boto3.client("events")
    for line in lines:
        put(bus, json.loads(line))


def carry_metrics(ports):
    """Copies each new datapoint of AWS/Transfer to MiniStack's CloudWatch."""
    ours = boto3.client("cloudwatch", endpoint_url=f"http://127.0.0.1:{ports['transfer']}")
    theirs = boto3.client("cloudwatch")
    seen = set()
    while not OVER.wait(METRIC_PERIOD / 5):
        now = time.time()
        for metric in ours.list_metrics(Namespace="AWS/Transfer")["Metrics"]:
            span = {"StartTime": now - 600, "EndTime": now, "Period": METRIC_PERIOD, "Statistics": ["Sum"]}
            for point in ours.get_metric_statistics(**metric, **span)["Datapoints"]:
                key = json.dumps([metric, str(point["Timestamp"])])
                if key not in seen:
                    seen.add(key)
                    datum = {
                        "MetricName": metric["MetricName"],
                        "Dimensions": metric["Dimensions"],
                        "Timestamp": point["Timestamp"],
                        "Value": point["Sum"],
                    }
                    theirs.put_metric_data(Namespace="AWS/Transfer", MetricData=[datum])


def carry_deployments(site):
    """MiniStack's ECS sends no events: whatever becomes of a deployment is told to the bus as ECS would."""
    ecs, bus, told = boto3.client("ecs"), boto3.client("events"), {}
    names = {"IN_PROGRESS": "SERVICE_DEPLOYMENT_IN_PROGRESS", "COMPLETED": "SERVICE_DEPLOYMENT_COMPLETED"}
    while not OVER.wait(1):
        service = ecs.describe_services(cluster=site["Cluster"], services=[site["Service"]])["services"][0]
        for deployment in service["deployments"]:
            state = deployment["rolloutState"]
            if told.get(deployment["id"]) != state and state in names:
                told[deployment["id"]] = state
                detail = {"eventType": "INFO", "eventName": names[state], "deploymentId": deployment["id"]}
                event = {"source": "aws.ecs", "detail-type": "ECS Deployment State Change"}
                put(bus, event | {"resources": [service["serviceArn"]], "detail": detail})


def put(bus, event):
    entry = {
        "Source": SOURCES[event["source"]],
        "DetailType": event["detail-type"],
        "Detail": json.dumps(event["detail"]),
        "Resources": event["resources"],
    }
    answer = bus.put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0, answer


# ---- The deployment ---------------------------------------------------------------------------------------------------


def deploy_site(home):
    template = yaml_parse(INFRA.joinpath("site.yaml").read_text())
    adjusted = ministack_site.for_ministack(template)
    ec2 = boto3.client("ec2")
    parameters = ministack_site.addresses(template, ec2)
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    parameters |= {"VpcId": vpc, "SubnetA": subnets[0]["SubnetId"], "SubnetB": subnets[1]["SubnetId"]}
    parameters |= {"AllowedCidrs": "127.0.0.0/8"}
    file = home / "site.yaml"
    file.write_text(yaml_dump(adjusted))
    return deploy("site", file, parameters)


def deploy_control_plane(ports, home):
    packaged = home / "packaged.yaml"
    words = ["--template-file", INFRA / "template.yaml", "--s3-bucket", "packages", "--output-template-file", packaged]
    aws("cloudformation", "package", *words)
    packaged.write_text(yaml_dump(without_metric_math(yaml_parse(packaged.read_text()))))
    parameters = {
        "Architecture": "x86_64",
        "SweepSchedule": "rate(1 minute)",
        "MetricPeriodSeconds": METRIC_PERIOD,
        "SftpPort": ports["sftp"],
        "TransferEventSource": SOURCES["aws.transfer"],
        "EcsEventSource": SOURCES["aws.ecs"],
        "OtherUserRoles": "site-TransferRole-*",
        "DeletionProtection": "false",
    }
    outputs = deploy("wharfinger", packaged, parameters)
    carry_log_group(ports)
    return outputs


def carry_log_group(ports):
    """Makes the log group of sessions where our Transfer Family looks for it."""
    name = "/aws/vendedlogs/wharfinger/wharfinger/sftp"
    deployed = boto3.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert [group["logGroupName"] for group in deployed] == [name], deployed
    boto3.client("logs", endpoint_url=f"http://127.0.0.1:{ports['transfer']}").create_log_group(logGroupName=name)


def without_metric_math(template):
    """MiniStack refuses alarms on metric math (`Metrics`); they watch, and nothing of the story depends on them."""
    def is_metric_math(resource):
        return resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]

    kept = {name: resource for name, resource in template["Resources"].items() if not is_metric_math(resource)}
    return {**template, "Resources": kept}


def deploy(stack, file, parameters):
    """Deploys a stack with the aws CLI and returns its outputs."""
    overrides = [f"{name}={value}" for name, value in parameters.items()]
    words = ["--stack-name", stack, "--template-file", file, "--parameter-overrides", *overrides]
    # A template of more than 51,200 bytes goes through a bucket.
    words += ["--s3-bucket", "packages", "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    aws("cloudformation", "deploy", *words)
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    assert described["StackStatus"].endswith("_COMPLETE"), described
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def remove(api, control, ports):
    """Uninstalls, as the README says: the server goes, then the stack, and the table stays."""
    api("DELETE", "/v1/servers/main?with_users=true")
    step("the server is gone", lambda: api("GET", "/v1/servers")["items"] == [])
    transfer = boto3.client("transfer", endpoint_url=f"http://127.0.0.1:{ports['transfer']}")
    assert transfer.list_servers()["Servers"] == [], "a server is left over"
    aws("cloudformation", "delete-stack", "--stack-name", "wharfinger")
    aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", "wharfinger")
    assert control["TableName"] in boto3.client("dynamodb").list_tables()["TableNames"], "the table went with the stack"
    assert boto3.client("lambda").list_functions()["Functions"] == [], "functions are left over"


def aws(*words):
    answer = subprocess.run(["aws", *map(str, words)], capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(f"aws {' '.join(map(str, words))} failed: {answer.stdout}{answer.stderr}")


# ---- The story --------------------------------------------------------------------------------------------------------


class Api:
    """The deployed HTTP API, called with signed requests."""

    def __init__(self, control, ports):
        identifier = control["ApiUrl"].removeprefix("https://").split(".")[0]
        # MiniStack answers for the API's host name on its own port.
        self.base = f"http://{identifier}.execute-api.localhost:{ports['gateway']}"
        self.host = f"{identifier}.execute-api.localhost:{ports['gateway']}"
        self.port = ports["gateway"]

    def __call__(self, method, path, body=None):
        data = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
        signed = AWSRequest(method, self.base + path, data=data, headers={"content-type": "application/json"})
        SigV4Auth(boto3.Session().get_credentials(), "execute-api", "us-east-1").add_auth(signed)
        headers = dict(signed.headers.items()) | {"host": self.host}
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path} is answered with {error.code}: {error.read().decode()}") from None


def tell_story(api, site, ports, home):
    ecs = boto3.client("ecs")
    before = service(ecs, site)["taskDefinition"]
    # Without its idle policy, so that nothing stops it before the upload.
    server = {name: value for name, value in json.loads(site["ServerBody"]).items() if name != "idle"}
    api("PUT", "/v1/servers/main", server)
    wanted = json.loads(site["SiteBody"]) | {"finish": {"quiet_period": "5s"}}
    api("PUT", "/v1/sites/blog", wanted)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / "alice"], check=True)
    user = {"public_keys": [home.joinpath("alice.pub").read_text()], "site": "blog"}
    api("PUT", "/v1/servers/main/users/alice", user | {"posix": json.loads(site["UserPosix"])})

    def ready():
        main = api("GET", "/v1/servers/main")["status"]
        alice = api("GET", "/v1/servers/main/users/alice")["status"]
        return main.get("power") == "online" and main["settled"] and alice.get("state") == "ready"

    step("the server is online and alice is ready", ready)
    upload(ports, home)

    def rolled_out():
        rollouts = api("GET", "/v1/sites/blog/rollouts")["items"]
        assert len(rollouts) <= 1, f"one upload made {len(rollouts)} rollouts"
        # ECS tells nothing here: the sweep brings the verdict.
        final = ("succeeded", "failed", "rolled_back", "superseded")
        return rollouts and rollouts[0]["state"] in final and rollouts[0]

    rollout = step("the rollout has its verdict", rolled_out)
    assert rollout["state"] == "succeeded", rollout
    look_at_service(ecs, site, before, rollout)
    api("PUT", "/v1/servers/main", server | {"idle": {"after": "1m", "action": "stop"}})
    stopped = step("the deployed schedule stops the idle server", lambda: power(api, "stopped"))
    print("   ", stopped["wanted"]["reason"])
    assert stopped["idle"]["action"] == "stop", stopped["idle"]
    api("POST", "/v1/servers/main/start")
    step("the server is started again", lambda: power(api, "online"))
    no_dead_letters()


def power(api, wanted):
    status = api("GET", "/v1/servers/main")["status"]
    return status if status.get("power") == wanted else None


def service(ecs, site):
    return ecs.describe_services(cluster=site["Cluster"], services=[site["Service"]])["services"][0]


def look_at_service(ecs, site, before, rollout):
    """The new revision runs, and mounts the file system."""
    now = service(ecs, site)
    primary = next(deployment for deployment in now["deployments"] if deployment["status"] == "PRIMARY")
    assert primary["rolloutState"] == "COMPLETED", primary
    assert primary["taskDefinition"] == rollout["task_definition"]["after"] != before, (primary, rollout)
    revision = ecs.describe_task_definition(taskDefinition=primary["taskDefinition"])["taskDefinition"]
    volumes = [volume["efsVolumeConfiguration"] for volume in revision["volumes"]]
    assert [volume["fileSystemId"] for volume in volumes] == [site["FileSystemId"]], volumes
    assert volumes[0]["transitEncryption"] == "ENABLED", volumes


def upload(ports, home):
    home.joinpath("index.html").write_text("<h1>Ahoy</h1>\n")
    known = ["-o", f"UserKnownHostsFile={home}/hosts", "-o", "StrictHostKeyChecking=accept-new"]
    known += ["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"]
    words = ["sftp", "-q", "-i", home / "alice", "-P", str(ports["sftp"]), *known, "-b", "-", "alice@127.0.0.1"]
    subprocess.run(words, input="put index.html\n", text=True, cwd=home, check=True, timeout=60)


def no_dead_letters():
    sqs = boto3.client("sqs")
    for url in sqs.list_queues()["QueueUrls"]:
        if "DeadLetters" in url:
            count = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            assert count["ApproximateNumberOfMessages"] == "0", f"{url} holds messages"


def tell_what_is_there(api):
    for path in ("/v1/servers/main", "/v1/servers/main/users", "/v1/sites/blog", "/v1/sites/blog/rollouts"):
        with contextlib.suppress(SystemExit):
            print(path, json.dumps(api("GET", path), indent=1), file=sys.stderr)


def step(what, probe):
    started = time.monotonic()
    found = wait_until(what, probe, 300)
    print(f"  {what} ({time.monotonic() - started:.0f} s)", flush=True)
    return found


def answers(url):
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(url, timeout=5).status == 200


def free_ports(count):
    """Free ports below the range that systems hand out by themselves, so that they stay free until they are used."""
    found, port = [], 21000 + os.getpid() % 8000
    while len(found) < count:
        port += 1
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


def end(process):
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
