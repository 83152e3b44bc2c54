"""What MiniStack can't take of infra/site.yaml, and the smallest way around each: always on a copy, never in the file.

`for_ministack` takes the template as awscli's `yaml_parse` reads it and returns the copy to deploy. `addresses` makes the
Elastic IPs that the copy then expects as parameters.
"""

import copy

ALONE = {"AWS::EC2::SecurityGroupIngress": "SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress": "SecurityGroupEgress"}


def for_ministack(template):
    """The copy that MiniStack deploys. Each change has its reason."""
    adjusted = copy.deepcopy(template)
    give_addresses_as_parameters(adjusted)
    move_rules_into_groups(adjusted)
    leave_out_the_mount(adjusted)
    write_numbers_out(adjusted)
    return adjusted


def addresses(template, ec2):
    """Allocates an Elastic IP for each one in the template: the parameters that the copy expects."""
    parameters = {}
    for name in of_type(template, "AWS::EC2::EIP"):
        made = ec2.allocate_address(Domain="vpc")
        parameters |= {f"{name}Allocation": made["AllocationId"], f"{name}Ip": made["PublicIp"]}
    return parameters


def give_addresses_as_parameters(template):
    """Reason: no AWS::EC2::EIP ("Unrecognized resource types"), though AllocateAddress is there."""
    for name in of_type(template, "AWS::EC2::EIP"):
        del template["Resources"][name]
        template["Parameters"] |= {f"{name}Allocation": {"Type": "String"}, f"{name}Ip": {"Type": "String"}}
        replace(template, {"Fn::GetAtt": [name, "AllocationId"]}, {"Ref": f"{name}Allocation"})
        replace(template, {"Ref": name}, {"Ref": f"{name}Ip"})
        replace_text(template, "${%s.AllocationId}" % name, "${%sAllocation}" % name)


def move_rules_into_groups(template):
    """Reason: no AWS::EC2::SecurityGroupIngress and …Egress. A rule goes into its group, unless that makes a cycle."""
    resources, gone = template["Resources"], []
    for kind, field in ALONE.items():
        for name in of_type(template, kind):
            rule = dict(resources.pop(name)["Properties"])
            group = rule.pop("GroupId")["Fn::GetAtt"][0]
            gone.append(name)
            # The two groups name each other: one direction is enough for an emulator that filters no packets.
            if kind.endswith("Ingress"):
                resources[group]["Properties"].setdefault(field, []).append(rule)
    for resource in resources.values():
        if isinstance(resource.get("DependsOn"), list):
            resource["DependsOn"] = [other for other in resource["DependsOn"] if other not in gone]


def leave_out_the_mount(template):
    """Reason: DescribeTaskDefinition answers volumes of a template with CloudFormation's names (`Name`,
    `EFSVolumeConfiguration`, `FilesystemId`) in place of the API's. The first rollout then adds the mount by itself."""
    for name in of_type(template, "AWS::ECS::TaskDefinition"):
        properties = template["Resources"][name]["Properties"]
        properties.pop("Volumes", None)
        for container in properties["ContainerDefinitions"]:
            container.pop("MountPoints", None)


def write_numbers_out(template):
    """Reason: a Ref to a Number stays text, and the service fails on it: "unsupported operand type(s) for -: 'str' and
    'int'". CloudFormation passes what the property's schema asks for. The default stands in, so don't override one."""
    for name, parameter in template["Parameters"].items():
        if parameter["Type"] == "Number":
            replace(template["Resources"], {"Ref": name}, int(parameter["Default"]))
    for name in of_type(template, "AWS::ECS::TaskDefinition"):
        properties = template["Resources"][name]["Properties"]
        # These two are text in ECS's API.
        properties |= {"Cpu": str(properties["Cpu"]), "Memory": str(properties["Memory"])}


def of_type(template, kind):
    return [name for name, resource in template["Resources"].items() if resource["Type"] == kind]


def replace(node, old, new):
    """Replaces each value that equals `old` below `node`."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if value == old:
            node[key] = new
        elif isinstance(value, (dict, list)):
            replace(value, old, new)


def replace_text(node, old, new):
    """Replaces `old` in each string below `node`."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if isinstance(value, str):
            node[key] = value.replace(old, new)
        elif isinstance(value, (dict, list)):
            replace_text(value, old, new)
