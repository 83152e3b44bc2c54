//! AWS's resource ids, validated by their form.

use crate::text::{Invalid, parsed_string};

/// `prefix` and 8 to 40 lower-case hexadecimal digits, AWS's form for most resources.
fn resource_id(text: String, prefix: &str, allowed: &str) -> Result<String, Invalid> {
    let digits = text.strip_prefix(prefix).unwrap_or_default();
    let valid = (8..=40).contains(&digits.len()) && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    if valid { Ok(text) } else { Err(Invalid::new(&text, allowed)) }
}

parsed_string! {
    /// An EFS file system: `fs-…`.
    FileSystemId,
    |text| resource_id(text, "fs-", "an EFS file system id looks like fs-0a1b2c3d4e5f60718")
}

parsed_string! {
    /// An EFS access point: `fsap-…`.
    AccessPointId,
    |text| resource_id(text, "fsap-", "an EFS access point id looks like fsap-0a1b2c3d4e5f60718")
}

parsed_string! {
    /// A VPC: `vpc-…`.
    VpcId,
    |text| resource_id(text, "vpc-", "a VPC id looks like vpc-0a1b2c3d4e5f60718")
}

parsed_string! {
    /// A subnet: `subnet-…`.
    SubnetId,
    |text| resource_id(text, "subnet-", "a subnet id looks like subnet-0a1b2c3d4e5f60718")
}

parsed_string! {
    /// A security group: `sg-…`.
    SecurityGroupId,
    |text| resource_id(text, "sg-", "a security group id looks like sg-0a1b2c3d4e5f60718")
}

parsed_string! {
    /// The allocation of an Elastic IP: `eipalloc-…`.
    AllocationId,
    |text| resource_id(text, "eipalloc-", "the allocation id of an Elastic IP looks like eipalloc-0a1b2c3d4e5f60718")
}

parsed_string! {
    /// The ARN of an IAM role.
    RoleArn, role_arn
}

parsed_string! {
    /// The name of an ECS cluster, service or container: 1 to 255 letters, digits, hyphens and underscores.
    EcsName, ecs_name
}

fn role_arn(text: String) -> Result<String, Invalid> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let valid = matches!(parts[..], ["arn", partition, "iam", "", account, role]
        if !partition.is_empty()
            && account.len() == 12
            && account.chars().all(|c| c.is_ascii_digit())
            && role.strip_prefix("role/").is_some_and(|name| !name.is_empty()));
    if valid && text.len() <= 2048 && text.is_ascii() {
        return Ok(text);
    }
    Err(Invalid::new(&text, "the ARN of a role looks like arn:aws:iam::123456789012:role/sftp-users"))
}

fn ecs_name(text: String) -> Result<String, Invalid> {
    let valid =
        (1..=255).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if valid {
        return Ok(text);
    }
    Err(Invalid::new(
        &text,
        "an ECS name has 1 to 255 letters, digits, hyphens and underscores (the name, not the ARN)",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_prefix_and_hexadecimal_digits() {
        assert!(FileSystemId::parse("fs-0a1b2c3d4e5f60718").is_ok());
        for bad in ["", "fs-", "fs-xyz45678", "fs-0A1B2C3D", "vpc-0a1b2c3d", "fs-0a1b2c3d/x"] {
            assert!(FileSystemId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_role_is_given_by_its_arn() {
        assert!(RoleArn::parse("arn:aws:iam::000000000000:role/a/b").is_ok());
        for bad in
            ["role/x", "arn:aws:iam::1:role/x", "arn:aws:iam::000000000000:user/x", "arn:aws:iam::000000000000:role/"]
        {
            assert!(RoleArn::parse(bad).is_err(), "{bad}");
        }
    }
}
