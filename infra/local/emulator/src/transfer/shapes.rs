//! The input shapes of Transfer Family's operations, as AWS's model has them.

use super::shape::{Kind, Member, Text};

const fn must(name: &'static str, kind: &'static Kind) -> Member {
    Member { name, required: true, kind }
}

const fn may(name: &'static str, kind: &'static Kind) -> Member {
    Member { name, required: false, kind }
}

const fn text(min: usize, max: usize, pattern: &'static str, holds: fn(&str) -> bool) -> Kind {
    Kind::Text(Text { min, max, pattern, holds })
}

const fn free(max: usize) -> Kind {
    text(0, max, "", |_| true)
}

fn is_id(value: &str, prefix: &str, digits: std::ops::RangeInclusive<usize>) -> bool {
    value.strip_prefix(prefix).is_some_and(|id| {
        digits.contains(&id.len()) && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_role(value: &str) -> bool {
    let name = value.strip_prefix("arn:").and_then(|rest| rest.split_once("role/"));
    name.is_some_and(|(_, name)| !name.is_empty() && !name.contains(char::is_whitespace))
}

fn is_user_name(value: &str) -> bool {
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    value.starts_with(word) && value.chars().all(|letter| word(letter) || "@.-".contains(letter))
}

static TEXT: Kind = free(usize::MAX);
static SERVER_ID: Kind = text(19, 19, "s-([0-9a-f]{17})", |value| is_id(value, "s-", 17..=17));
static ENDPOINT_ID: Kind = text(22, 22, "vpce-[0-9a-f]{17}", |value| is_id(value, "vpce-", 17..=17));
static GROUP_ID: Kind = text(11, 20, "sg-[0-9a-f]{8,17}", |value| is_id(value, "sg-", 8..=17));
static PUBLIC_KEY_ID: Kind = text(21, 21, "key-[0-9a-f]{17}", |value| is_id(value, "key-", 17..=17));
static HOST_KEY_ID: Kind = text(25, 25, "hostkey-[0-9a-f]{17}", |value| is_id(value, "hostkey-", 17..=17));
static ROLE: Kind = text(20, 2048, "arn:.*role/\\S+", is_role);
static NULLABLE_ROLE: Kind = text(0, 2048, "(|arn:.*role/\\S+)", |value| value.is_empty() || is_role(value));
static USER_NAME: Kind = text(3, 100, "[\\w][\\w@.-]{2,99}", is_user_name);
static ARN: Kind =
    text(20, 1600, "arn:\\S+", |value| value.starts_with("arn:") && !value.contains(char::is_whitespace));
static HOME: Kind = text(0, 1024, "(|/.*)", |value| value.is_empty() || value.starts_with('/'));
static MAP_PATH: Kind = text(0, 1024, "/.*", |value| value.starts_with('/'));
static BANNER: Kind = text(0, 4096, "[\\x09-\\x0D\\x20-\\x7E]*", |value| {
    value.bytes().all(|byte| matches!(byte, 0x09..=0x0d | 0x20..=0x7e))
});
static POLICY_NAME: Kind = text(0, 100, "Transfer[A-Za-z0-9]*SecurityPolicy-[A-Za-z0-9-]+", |value| {
    value.starts_with("Transfer") && value.contains("SecurityPolicy-")
});
static DESCRIPTION: Kind = text(0, 200, "[\\p{Print}]*", |value| !value.contains(char::is_control));
static CERTIFICATE: Kind = free(1600);
static HOST_KEY: Kind = free(4096);
static HOST_KEY_STORAGE: Kind = Kind::Choice(&["SERVICE_MANAGED", "SECRETS_MANAGER"]);
static KEY_BODY: Kind = free(2048);
static USER_POLICY: Kind = free(2048);
static MAX_RESULTS: Kind = Kind::Whole(1, 1000);
static NEXT_TOKEN: Kind = text(1, 6144, "", |_| true);
static POSIX_ID: Kind = Kind::Whole(0, 4_294_967_295);
static TEXTS: Kind = Kind::List(&TEXT, 0, usize::MAX);
static GROUP_IDS: Kind = Kind::List(&GROUP_ID, 0, usize::MAX);
static POSIX: Kind = Kind::Record(&[
    must("Uid", &POSIX_ID),
    must("Gid", &POSIX_ID),
    may("SecondaryGids", &Kind::List(&POSIX_ID, 0, 16)),
]);
static MAPPINGS: Kind = Kind::List(
    &Kind::Record(&[
        must("Entry", &MAP_PATH),
        must("Target", &MAP_PATH),
        may("Type", &Kind::Choice(&["FILE", "DIRECTORY"])),
    ]),
    1,
    50_000,
);
static HOME_TYPE: Kind = Kind::Choice(&["PATH", "LOGICAL"]);
static TAG_KEY: Kind = free(128);
static TAG_VALUE: Kind = free(256);
static TAG: Kind = Kind::Record(&[must("Key", &TAG_KEY), must("Value", &TAG_VALUE)]);
static TAGS: Kind = Kind::List(&TAG, 1, 50);
static ENDPOINT_DETAILS: Kind = Kind::Record(&[
    may("AddressAllocationIds", &TEXTS),
    may("SubnetIds", &TEXTS),
    may("VpcEndpointId", &ENDPOINT_ID),
    may("VpcId", &TEXT),
    may("SecurityGroupIds", &GROUP_IDS),
]);
static ENDPOINT_TYPE: Kind = Kind::Choice(&["PUBLIC", "VPC", "VPC_ENDPOINT"]);
static IDENTITY_TYPE: Kind = Kind::Choice(&["SERVICE_MANAGED", "API_GATEWAY", "AWS_DIRECTORY_SERVICE", "AWS_LAMBDA"]);
static PROTOCOLS: Kind = Kind::List(&Kind::Choice(&["SFTP", "FTP", "FTPS", "AS2"]), 1, 4);
static PROTOCOL_DETAILS: Kind = Kind::Record(&[
    may("PassiveIp", &free(15)),
    may("TlsSessionResumptionMode", &Kind::Choice(&["DISABLED", "ENABLED", "ENFORCED"])),
    may("SetStatOption", &Kind::Choice(&["DEFAULT", "ENABLE_NO_OP"])),
    may("SftpPorts", &Kind::List(&Kind::Record(&[]), 0, 3)),
    may("As2Transports", &Kind::List(&Kind::Choice(&["HTTP"]), 1, 1)),
    may("ProxyConfig", &Kind::Record(&[may("SftpMode", &Kind::Choice(&["NONE", "PROXY_PROTOCOL_V2_ENFORCED"]))])),
]);
static WORKFLOW: Kind = Kind::Record(&[must("WorkflowId", &TEXT), must("ExecutionRole", &ROLE)]);
static WORKFLOWS: Kind = Kind::Record(&[
    may("OnUpload", &Kind::List(&WORKFLOW, 0, 1)),
    may("OnPartialUpload", &Kind::List(&WORKFLOW, 0, 1)),
]);
static LOG_DESTINATIONS: Kind = Kind::List(&ARN, 0, 1);
static STORAGE: Kind = Kind::Record(&[may("DirectoryListingOptimization", &Kind::Choice(&["ENABLED", "DISABLED"]))]);
static ADDRESS_TYPE: Kind = Kind::Choice(&["IPV4", "DUALSTACK"]);
static ANY_RECORD: Kind = Kind::Record(&[]);
static DOMAIN: Kind = Kind::Choice(&["S3", "EFS"]);

static CREATE_SERVER: &[Member] = &[
    may("Certificate", &CERTIFICATE),
    may("Domain", &DOMAIN),
    may("EndpointDetails", &ENDPOINT_DETAILS),
    may("EndpointType", &ENDPOINT_TYPE),
    may("HostKey", &HOST_KEY),
    may("HostKeyStorageType", &HOST_KEY_STORAGE),
    may("IdentityProviderDetails", &ANY_RECORD),
    may("IdentityProviderType", &IDENTITY_TYPE),
    may("LoggingRole", &NULLABLE_ROLE),
    may("PostAuthenticationLoginBanner", &BANNER),
    may("PreAuthenticationLoginBanner", &BANNER),
    may("Protocols", &PROTOCOLS),
    may("ProtocolDetails", &PROTOCOL_DETAILS),
    may("SecurityPolicyName", &POLICY_NAME),
    may("Tags", &TAGS),
    may("WorkflowDetails", &WORKFLOWS),
    may("StructuredLogDestinations", &LOG_DESTINATIONS),
    may("S3StorageOptions", &STORAGE),
    may("IpAddressType", &ADDRESS_TYPE),
];

static UPDATE_SERVER: &[Member] = &[
    must("ServerId", &SERVER_ID),
    may("Certificate", &CERTIFICATE),
    may("EndpointDetails", &ENDPOINT_DETAILS),
    may("EndpointType", &ENDPOINT_TYPE),
    may("HostKey", &HOST_KEY),
    may("IdentityProviderDetails", &ANY_RECORD),
    may("IdentityProviderType", &IDENTITY_TYPE),
    may("LoggingRole", &NULLABLE_ROLE),
    may("PostAuthenticationLoginBanner", &BANNER),
    may("PreAuthenticationLoginBanner", &BANNER),
    may("Protocols", &PROTOCOLS),
    may("ProtocolDetails", &PROTOCOL_DETAILS),
    may("SecurityPolicyName", &POLICY_NAME),
    may("WorkflowDetails", &WORKFLOWS),
    may("StructuredLogDestinations", &LOG_DESTINATIONS),
    may("S3StorageOptions", &STORAGE),
    may("IpAddressType", &ADDRESS_TYPE),
];

static CREATE_USER: &[Member] = &[
    must("Role", &ROLE),
    must("ServerId", &SERVER_ID),
    must("UserName", &USER_NAME),
    may("HomeDirectory", &HOME),
    may("HomeDirectoryType", &HOME_TYPE),
    may("HomeDirectoryMappings", &MAPPINGS),
    may("Policy", &USER_POLICY),
    may("PosixProfile", &POSIX),
    may("SshPublicKeyBody", &KEY_BODY),
    may("Tags", &TAGS),
];

static UPDATE_USER: &[Member] = &[
    must("ServerId", &SERVER_ID),
    must("UserName", &USER_NAME),
    may("HomeDirectory", &HOME),
    may("HomeDirectoryType", &HOME_TYPE),
    may("HomeDirectoryMappings", &MAPPINGS),
    may("Policy", &USER_POLICY),
    may("PosixProfile", &POSIX),
    may("Role", &ROLE),
];

static SERVER: &[Member] = &[must("ServerId", &SERVER_ID)];
static USER: &[Member] = &[must("ServerId", &SERVER_ID), must("UserName", &USER_NAME)];
static PAGE: &[Member] = &[may("MaxResults", &MAX_RESULTS), may("NextToken", &NEXT_TOKEN)];
static PAGE_OF_SERVER: &[Member] =
    &[must("ServerId", &SERVER_ID), may("MaxResults", &MAX_RESULTS), may("NextToken", &NEXT_TOKEN)];
static IMPORT_PUBLIC_KEY: &[Member] =
    &[must("ServerId", &SERVER_ID), must("SshPublicKeyBody", &KEY_BODY), must("UserName", &USER_NAME)];
static DELETE_PUBLIC_KEY: &[Member] =
    &[must("ServerId", &SERVER_ID), must("SshPublicKeyId", &PUBLIC_KEY_ID), must("UserName", &USER_NAME)];
static IMPORT_HOST_KEY: &[Member] = &[
    must("ServerId", &SERVER_ID),
    must("HostKeyBody", &HOST_KEY),
    may("Description", &DESCRIPTION),
    may("Tags", &TAGS),
    may("StorageType", &HOST_KEY_STORAGE),
    may("KmsKey", &ARN),
];
static UPDATE_HOST_KEY: &[Member] = &[
    must("ServerId", &SERVER_ID),
    must("HostKeyId", &HOST_KEY_ID),
    may("Description", &DESCRIPTION),
    may("StorageType", &HOST_KEY_STORAGE),
    may("KmsKey", &ARN),
];
static HOST_KEY_OF_SERVER: &[Member] = &[must("ServerId", &SERVER_ID), must("HostKeyId", &HOST_KEY_ID)];
static TAG_RESOURCE: &[Member] = &[must("Arn", &ARN), must("Tags", &TAGS)];
static UNTAG_RESOURCE: &[Member] = &[must("Arn", &ARN), must("TagKeys", &Kind::List(&TAG_KEY, 1, 50))];
static LIST_TAGS: &[Member] = &[must("Arn", &ARN), may("MaxResults", &MAX_RESULTS), may("NextToken", &NEXT_TOKEN)];

/// The input shape of `operation`; none when this region does not have the operation.
pub(super) fn of(operation: &str) -> Option<&'static [Member]> {
    Some(match operation {
        "CreateServer" => CREATE_SERVER,
        "UpdateServer" => UPDATE_SERVER,
        "DescribeServer" | "DeleteServer" | "StartServer" | "StopServer" => SERVER,
        "ListServers" => PAGE,
        "CreateUser" => CREATE_USER,
        "UpdateUser" => UPDATE_USER,
        "DescribeUser" | "DeleteUser" => USER,
        "ListUsers" | "ListHostKeys" => PAGE_OF_SERVER,
        "ImportSshPublicKey" => IMPORT_PUBLIC_KEY,
        "DeleteSshPublicKey" => DELETE_PUBLIC_KEY,
        "ImportHostKey" => IMPORT_HOST_KEY,
        "UpdateHostKey" => UPDATE_HOST_KEY,
        "DescribeHostKey" | "DeleteHostKey" => HOST_KEY_OF_SERVER,
        "TagResource" => TAG_RESOURCE,
        "UntagResource" => UNTAG_RESOURCE,
        "ListTagsForResource" => LIST_TAGS,
        _ => return None,
    })
}
