//! Kinds of resources by their ids, and how EC2 answers to an id that it does not know.

use crate::error::AwsError;

/// One kind of resource.
pub(super) struct Kind {
    prefix: &'static str,
    malformed: &'static str,
    missing: &'static str,
    noun: &'static str,
}

pub(super) const VPC: Kind =
    Kind { prefix: "vpc-", malformed: "InvalidVpcID.Malformed", missing: "InvalidVpcID.NotFound", noun: "vpc ID" };

pub(super) const SUBNET: Kind = Kind {
    prefix: "subnet-",
    malformed: "InvalidSubnetID.Malformed",
    missing: "InvalidSubnetID.NotFound",
    noun: "subnet ID",
};

pub(super) const GROUP: Kind = Kind {
    prefix: "sg-",
    malformed: "InvalidGroupId.Malformed",
    missing: "InvalidGroup.NotFound",
    noun: "security group",
};

pub(super) const RULE: Kind = Kind {
    prefix: "sgr-",
    malformed: "InvalidSecurityGroupRuleId.Malformed",
    missing: "InvalidSecurityGroupRuleId.NotFound",
    noun: "security group rule ID",
};

/// EC2 has no code for an allocation id of another form.
pub(super) const ADDRESS: Kind = Kind {
    prefix: "eipalloc-",
    malformed: "InvalidAllocationID.NotFound",
    missing: "InvalidAllocationID.NotFound",
    noun: "allocation ID",
};

pub(super) const ENDPOINT: Kind = Kind {
    prefix: "vpce-",
    malformed: "InvalidVpcEndpointId.Malformed",
    missing: "InvalidVpcEndpointId.NotFound",
    noun: "Vpc Endpoint Id",
};

pub(super) const INTERFACE: Kind = Kind {
    prefix: "eni-",
    malformed: "InvalidNetworkInterfaceId.Malformed",
    missing: "InvalidNetworkInterfaceID.NotFound",
    noun: "networkInterface ID",
};

impl Kind {
    /// EC2's answer to an id that is not there: an id of AWS's form has 8 or 17 hexadecimal digits.
    pub(super) fn unknown(&self, id: &str) -> AwsError {
        let digits = id.strip_prefix(self.prefix).unwrap_or_default();
        let formed = matches!(digits.len(), 8 | 17) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if formed || self.malformed == self.missing {
            return AwsError::client(self.missing, format!("The {} '{id}' does not exist", self.noun));
        }
        AwsError::client(self.malformed, format!("Invalid id: \"{id}\" (expecting \"{}...\")", self.prefix))
    }
}
