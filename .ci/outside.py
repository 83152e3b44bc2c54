"""Drives a local region with clients that know nothing of it: boto3, the aws CLI and OpenSSH's sftp.

boto3 and the CLI read every answer by AWS's own models, so a wrong shape shows here.
"""

import json
import os
import subprocess
import sys
import tempfile

import boto3
from botocore.exceptions import ClientError

from region import region, wait_until

FILE_SYSTEM = "fs-0a1b2c3d4e5f60718"
VPC = "vpc-0a1b2c3d4e5f60718"
SUBNET = "subnet-0a1b2c3d4e5f60718"
GROUP = "sg-0a1b2c3d4e5f60718"
ADDRESS = "eipalloc-0a1b2c3d4e5f60718"
ROLE = "arn:aws:iam::000000000000:role/sftp-users"


def main(program):
    with region(program, *free_ports()) as addresses, tempfile.TemporaryDirectory() as home:
        os.environ.update(
            AWS_ENDPOINT_URL=f"http://{addresses['aws']}",
            AWS_DEFAULT_REGION="us-east-1",
            AWS_ACCESS_KEY_ID="outside",
            AWS_SECRET_ACCESS_KEY="outside",
            AWS_PAGER="",
        )
        transfer = boto3.client("transfer")
        look_around(transfer)
        server = make_server(transfer)
        key = make_user(transfer, server, home)
        use_sftp(addresses["sftp"], key, home)
        wrong_calls(transfer, server)
        stop_and_start(transfer, server, addresses["sftp"], key, home)
        clean_up(transfer, server)
    print("outside clients: all held")


def free_ports():
    return [word for option in ("--api", "--aws", "--sftp", "--site") for word in (option, "127.0.0.1:0")]


def aws(*words):
    answer = subprocess.run(["aws", *words, "--output", "json"], capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(f"aws {' '.join(words)} failed: {answer.stderr}")
    return json.loads(answer.stdout or "null")


def look_around(transfer):
    """What people have before they begin, by the CLI and boto3."""
    assert aws("sts", "get-caller-identity")["Account"] == "000000000000"
    assert transfer.list_servers()["Servers"] == []
    assert aws("efs", "describe-file-systems")["FileSystems"][0]["FileSystemId"] == FILE_SYSTEM
    targets = aws("efs", "describe-mount-targets", "--file-system-id", FILE_SYSTEM)
    assert len(targets["MountTargets"]) == 2
    assert {a["AllocationId"] for a in aws("ec2", "describe-addresses")["Addresses"]} >= {ADDRESS}
    groups = aws("ec2", "describe-security-groups", "--group-ids", GROUP)["SecurityGroups"]
    assert groups[0]["VpcId"] == VPC
    service = aws("ecs", "describe-services", "--cluster", "local", "--services", "web")["services"][0]
    assert service["status"] == "ACTIVE" and service["deployments"][0]["status"] == "PRIMARY"
    task = aws("ecs", "describe-task-definition", "--task-definition", "web")["taskDefinition"]
    assert task["containerDefinitions"][0]["name"] == "web" and not task.get("volumes")
    follow_deployment()
    cloudwatch = boto3.client("cloudwatch")
    assert cloudwatch.list_metrics(Namespace="AWS/Transfer")["Metrics"] == []
    tables = boto3.client("dynamodb").list_tables()["TableNames"]
    assert len(tables) == 1, tables
    queues = boto3.client("sqs").list_queues()["QueueUrls"]
    assert len(queues) == 7, queues


def follow_deployment():
    """A blue/green deployment that pauses, by its service deployment."""
    ecs, of = boto3.client("ecs"), {"cluster": "local", "service": "web"}
    hook = {"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}
    strategy = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, "lifecycleHooks": [hook]}
    updated = ecs.update_service(**of, forceNewDeployment=True, deploymentConfiguration=strategy)["service"]
    brief = ecs.list_service_deployments(**of)["serviceDeployments"][0]
    number = updated["deployments"][0]["id"].removeprefix("ecs-svc/")
    assert brief["targetServiceRevisionArn"].endswith(f"/{number}"), brief
    arn = brief["serviceDeploymentArn"]

    def described():
        return ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]

    wait_until("the deployment pauses", lambda: described().get("lifecycleHookDetails"))
    assert described()["lifecycleStage"] == "POST_SCALE_UP" and described()["status"] == "IN_PROGRESS"
    ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=described()["lifecycleHookDetails"][0]["hookId"])
    wait_until("the deployment is successful", lambda: described()["status"] == "SUCCESSFUL")
    revisions = ecs.describe_service_revisions(serviceRevisionArns=[brief["targetServiceRevisionArn"]])
    assert revisions["serviceRevisions"][0]["taskDefinition"] == updated["taskDefinition"]
    ecs.update_service(**of, deploymentConfiguration={"strategy": "ROLLING", "lifecycleHooks": []})


def make_server(transfer):
    boto3.client("ec2").authorize_security_group_ingress(
        GroupId=GROUP,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 65535, "IpRanges": [{"CidrIp": "127.0.0.0/8"}]}
        ],
    )
    server = transfer.create_server(
        Domain="EFS",
        EndpointType="VPC",
        EndpointDetails={"VpcId": VPC, "SubnetIds": [SUBNET], "SecurityGroupIds": [GROUP]},
        Tags=[{"Key": "made-by", "Value": "boto3"}],
    )["ServerId"]
    wait_state(transfer, server, "ONLINE")
    stop(transfer, server)
    transfer.update_server(ServerId=server, EndpointDetails={"AddressAllocationIds": [ADDRESS], "SubnetIds": [SUBNET]})
    transfer.start_server(ServerId=server)
    wait_state(transfer, server, "ONLINE")
    described = aws("transfer", "describe-server", "--server-id", server)["Server"]
    assert described["EndpointDetails"]["AddressAllocationIds"] == [ADDRESS]
    assert described["HostKeyFingerprint"].startswith("SHA256:")
    assert aws("transfer", "list-tags-for-resource", "--arn", described["Arn"])["Tags"][0]["Value"] == "boto3"
    assert [s["ServerId"] for s in aws("transfer", "list-servers")["Servers"]] == [server]
    return server


def state(transfer, server):
    return transfer.describe_server(ServerId=server)["Server"]["State"]


def wait_state(transfer, server, wanted):
    wait_until(f"{server} is {wanted}", lambda: state(transfer, server) == wanted)


def stop(transfer, server):
    """Stops the server; right after it came online its endpoint conflicts for a while, as on AWS."""

    def stopped():
        try:
            transfer.stop_server(ServerId=server)
            return True
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConflictException":
                raise
            return False

    wait_until("the endpoint is ready to be stopped", stopped)
    wait_state(transfer, server, "OFFLINE")


def make_user(transfer, server, home):
    key = os.path.join(home, "key")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with open(key + ".pub") as public:
        line = public.read().strip()
    transfer.create_user(
        ServerId=server,
        UserName="alice",
        Role=ROLE,
        HomeDirectoryType="LOGICAL",
        HomeDirectoryMappings=[{"Entry": "/", "Target": f"/{FILE_SYSTEM}/sites/blog"}],
        PosixProfile={"Uid": 1000, "Gid": 1000},
    )
    imported = transfer.import_ssh_public_key(ServerId=server, UserName="alice", SshPublicKeyBody=line)
    user = aws("transfer", "describe-user", "--server-id", server, "--user-name", "alice")["User"]
    assert [k["SshPublicKeyId"] for k in user["SshPublicKeys"]] == [imported["SshPublicKeyId"]]
    assert [u["UserName"] for u in transfer.list_users(ServerId=server)["Users"]] == ["alice"]
    return key


def sftp(address, key, home, script, check=True):
    host, port = address.split(":")
    command = ["sftp", "-b", "-", "-i", key, "-P", port, "-o", "StrictHostKeyChecking=accept-new",
               "-o", f"UserKnownHostsFile={home}/known_hosts", "-o", "IdentitiesOnly=yes", f"alice@{host}"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, cwd=home)
    if check and done.returncode:
        raise SystemExit(f"sftp failed: {done.stdout}{done.stderr}")
    return done


def use_sftp(address, key, home):
    with open(os.path.join(home, "up.bin"), "wb") as file:
        file.write(os.urandom(3_000_000))
    script = "\n".join([
        "put up.bin", "get up.bin down.bin", "mkdir d", "rename up.bin d/moved.bin", "ls -l d", "chmod 600 d/moved.bin",
        "cd d", "rm moved.bin", "cd ..", "rmdir d", "pwd",
    ])
    done = sftp(address, key, home, script)
    assert "moved.bin" in done.stdout
    with open(f"{home}/up.bin", "rb") as up, open(f"{home}/down.bin", "rb") as down:
        assert up.read() == down.read()
    outside = sftp(address, key, home, "ls /../../../../../etc\nget /etc/passwd stolen\n", check=False)
    assert not os.path.exists(f"{home}/stolen") and "passwd" not in outside.stdout.replace("get /etc/passwd", "")


def wrong_calls(transfer, server):
    for code, call in [
        ("ResourceNotFoundException", lambda: transfer.describe_server(ServerId="s-00000000000000000")),
        ("ResourceNotFoundException", lambda: transfer.describe_user(ServerId=server, UserName="nobody")),
        ("InvalidRequestException", lambda: transfer.update_server(
            ServerId=server, EndpointDetails={"AddressAllocationIds": [ADDRESS], "SubnetIds": [SUBNET]})),
        ("ResourceExistsException", lambda: transfer.create_user(ServerId=server, UserName="alice", Role=ROLE,
            HomeDirectory=f"/{FILE_SYSTEM}", PosixProfile={"Uid": 1000, "Gid": 1000})),
        ("ClusterNotFoundException", lambda: boto3.client("ecs").describe_services(cluster="none", services=["web"])),
        ("ServiceDeploymentNotFoundException", lambda: boto3.client("ecs").stop_service_deployment(
            serviceDeploymentArn="arn:aws:ecs:us-east-1:000000000000:service-deployment/local/web/none")),
        ("InvalidGroup.NotFound", lambda: boto3.client("ec2").describe_security_groups(GroupIds=["sg-00000000"])),
        ("FileSystemNotFound", lambda: boto3.client("efs").describe_file_systems(FileSystemId="fs-00000000")),
    ]:
        try:
            call()
        except ClientError as error:
            assert error.response["Error"]["Code"] == code, error
        else:
            raise SystemExit(f"{code} was expected, but the call went through")


def stop_and_start(transfer, server, address, key, home):
    stop(transfer, server)
    assert sftp(address, key, home, "pwd", check=False).returncode != 0, "a stopped server let somebody in"
    aws("transfer", "start-server", "--server-id", server)
    wait_state(transfer, server, "ONLINE")
    sftp(address, key, home, "pwd")


def clean_up(transfer, server):
    def deleted():
        try:
            transfer.delete_server(ServerId=server)
            return True
        except ClientError as error:
            # What AWS says while the endpoint of a server that has just come online is not ready.
            if error.response["Error"]["Message"] != "Unable to delete VPC endpoint":
                raise
            return False

    wait_until("the server can be deleted", deleted)
    wait_until("the server is gone", lambda: transfer.list_servers()["Servers"] == [])


if __name__ == "__main__":
    main(sys.argv[1])
