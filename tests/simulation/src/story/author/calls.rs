//! The calls of AWS that stories are hard on.

use crate::story::Strike;

/// The calls at which a death or a lost answer hurts: what was done by then must be found again.
pub(super) const CRITICAL: [(&str, &str); 22] = [
    ("transfer", "CreateServer"),
    ("transfer", "DescribeServer"),
    ("transfer", "StopServer"),
    ("transfer", "StartServer"),
    ("transfer", "UpdateServer"),
    ("transfer", "DeleteServer"),
    ("transfer", "ImportHostKey"),
    ("transfer", "CreateUser"),
    ("transfer", "DeleteUser"),
    ("transfer", "ImportSshPublicKey"),
    ("ecs", "RegisterTaskDefinition"),
    ("ecs", "UpdateService"),
    ("ec2", "AuthorizeSecurityGroupIngress"),
    ("ec2", "RevokeSecurityGroupIngress"),
    ("ec2", "DescribeAddresses"),
    ("logs", "FilterLogEvents"),
    ("secretsmanager", "GetSecretValue"),
    ("secretsmanager", "CreateSecret"),
    ("dynamodb", "TransactWriteItems"),
    ("dynamodb", "PutItem"),
    ("dynamodb", "UpdateItem"),
    ("sqs", "SendMessage"),
];

pub(super) const STRIKES: [Strike; 4] =
    [Strike::DiesBefore, Strike::DiesAfter, Strike::LosesAnswer, Strike::NeverAnswers];

/// What may be missing in a role for a while.
pub(super) const REFUSALS: [(&str, &str); 18] = [
    ("transfer", "CreateServer"),
    ("transfer", "DescribeServer"),
    ("transfer", "DeleteServer"),
    ("transfer", "ListHostKeys"),
    ("transfer", "ImportHostKey"),
    ("transfer", "CreateUser"),
    ("transfer", "ImportSshPublicKey"),
    ("transfer", "StopServer"),
    ("transfer", "StartServer"),
    ("ec2", "DescribeVpcEndpoints"),
    ("ec2", "DescribeAddresses"),
    ("ec2", "AuthorizeSecurityGroupIngress"),
    ("ec2", "RevokeSecurityGroupIngress"),
    ("ecs", "DeregisterTaskDefinition"),
    ("monitoring", "GetMetricData"),
    ("logs", "FilterLogEvents"),
    ("secretsmanager", "GetSecretValue"),
    ("secretsmanager", "CreateSecret"),
];

/// The calls that a server's sleep and wake are made of.
pub(super) const SLEEP: [(&str, &str); 14] = [
    ("transfer", "DeleteServer"),
    ("transfer", "DeleteServer"),
    ("transfer", "CreateServer"),
    ("transfer", "CreateServer"),
    ("transfer", "ImportHostKey"),
    ("transfer", "DescribeServer"),
    ("transfer", "ListServers"),
    ("transfer", "UpdateServer"),
    ("transfer", "StartServer"),
    ("transfer", "ListUsers"),
    ("ec2", "DescribeAddresses"),
    ("logs", "FilterLogEvents"),
    ("secretsmanager", "GetSecretValue"),
    ("dynamodb", "UpdateItem"),
];
