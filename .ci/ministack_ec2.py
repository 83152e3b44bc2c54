"""What MiniStack's EC2 can't say of a VPC endpoint: its security groups.

MiniStack takes `SecurityGroupId` in CreateVpcEndpoint and forgets it, and DescribeVpcEndpoints has no `groupSet`. This
front passes every request on as it is, remembers the groups of each endpoint, and adds them to the answer. All else is
MiniStack's.
"""

import http.server
import re
import threading
import urllib.error
import urllib.parse
import urllib.request

def start(port, behind):
    """Serves on `port`, in front of the address `behind`."""
    groups = {}

    class Front(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, answer = pass_on(behind, self.headers, body)
            if status == 200:
                remember(groups, body.decode(), answer)
            answer = with_groups(groups, answer).encode()
            self.send_response(status)
            self.send_header("content-type", "text/xml")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Front)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def pass_on(behind, headers, body):
    kept = {name: value for name, value in headers.items() if name.lower() not in ("content-length", "connection")}
    request = urllib.request.Request(behind, data=body, headers=kept, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def remember(groups, body, answer):
    asked = urllib.parse.parse_qsl(body)
    action = dict(asked).get("Action")
    if action == "CreateVpcEndpoint":
        groups[identifier(answer)] = members(asked, "SecurityGroupId")
    if action == "ModifyVpcEndpoint":
        kept = groups.setdefault(dict(asked)["VpcEndpointId"], [])
        kept += [group for group in members(asked, "AddSecurityGroupId") if group not in kept]
        for group in members(asked, "RemoveSecurityGroupId"):
            kept.remove(group)


def members(asked, name):
    return [value for key, value in asked if re.fullmatch(rf"{name}\.\d+", key)]


def identifier(xml):
    return re.search(r"<vpcEndpointId>(.*?)</vpcEndpointId>", xml).group(1)


def with_groups(groups, xml):
    def add(found):
        items = "".join(f"<item><groupId>{group}</groupId></item>" for group in groups.get(found.group(1), []))
        return f"{found.group(0)}<groupSet>{items}</groupSet>"

    return re.sub(r"<vpcEndpointId>(.*?)</vpcEndpointId>", add, xml)
