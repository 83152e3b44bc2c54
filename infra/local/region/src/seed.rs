//! What people have before they begin: a network, an empty file system, and an ECS service that mounts nothing yet.
//! The ids are fixed, so that commands can be written down.

use std::io;

use serde_json::{Value, json};
use wharfinger_emulator::{ec2::Ec2, ecs::Ecs, efs::Efs, error::AwsError, service::Service};

/// The VPC of everything.
pub const VPC: &str = "vpc-0a1b2c3d4e5f60718";
/// One subnet in each of two Availability Zones.
pub const SUBNETS: [&str; 2] = ["subnet-0a1b2c3d4e5f60718", "subnet-1a1b2c3d4e5f60718"];
/// The security group for SFTP servers, named `sftp`: it admits nobody yet.
pub const SFTP_GROUP: &str = "sg-0a1b2c3d4e5f60718";
/// The security group for the file system, named `efs`: NFS from its own members.
pub const EFS_GROUP: &str = "sg-1a1b2c3d4e5f60718";
/// The VPC's own security group, named `default`.
pub const DEFAULT_GROUP: &str = "sg-2a1b2c3d4e5f60718";
/// Two Elastic IPs.
pub const ADDRESSES: [&str; 2] = ["eipalloc-0a1b2c3d4e5f60718", "eipalloc-1a1b2c3d4e5f60718"];
/// The file system, with a mount target in each subnet.
pub const FILE_SYSTEM: &str = "fs-0a1b2c3d4e5f60718";
/// The directory that is there for a first site; it is empty.
pub const DIRECTORY: &str = "/sites/blog";
/// The ECS cluster.
pub const CLUSTER: &str = "local";
/// The ECS service, and the family of its task definition.
pub const SERVICE: &str = "web";

/// The role of the service's tasks: what they may do on the file system.
pub const TASK_ROLE: &str = "arn:aws:iam::000000000000:role/wharfinger/web-task";

/// Why a region could not be given what people have before they begin.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// A service refused its part.
    #[error("the region's {part} could not be made")]
    Refused {
        /// What was to be made.
        part: &'static str,
        /// The service's answer.
        #[source]
        source: AwsError,
    },
    /// The file system's directory could not be made.
    #[error("the directory of the file system {FILE_SYSTEM} could not be made")]
    Directory(#[source] io::Error),
}

/// Gives a new region what people have before they begin.
///
/// # Errors
/// When the file system's directory can't be made, or a service refuses its part.
pub async fn plant(ec2: &Ec2, efs: &Efs, ecs: &Ecs) -> Result<(), SeedError> {
    plant_network(ec2).await?;
    plant_file_system(efs)?;
    plant_service(ecs).await
}

async fn plant_network(ec2: &Ec2) -> Result<(), SeedError> {
    ec2.add_vpc(VPC, "10.0.0.0/16", "local");
    ec2.add_subnet(SUBNETS[0], VPC, "us-east-1a", "10.0.0.0/20");
    ec2.add_subnet(SUBNETS[1], VPC, "us-east-1b", "10.0.16.0/20");
    ec2.add_security_group(DEFAULT_GROUP, VPC, "default", "default VPC security group");
    ec2.add_security_group(SFTP_GROUP, VPC, "sftp", "SFTP from trusted addresses");
    ec2.add_security_group(EFS_GROUP, VPC, "efs", "NFS between the members of this group");
    for (group, protocol, port) in [(DEFAULT_GROUP, "-1", -1), (EFS_GROUP, "tcp", 2049)] {
        let permission = json!({
            "IpProtocol": protocol, "FromPort": port, "ToPort": port, "Groups": [{"GroupId": group}],
        });
        let input = json!({"GroupId": group, "IpPermissions": [permission]});
        call(ec2, "security group", "AuthorizeSecurityGroupIngress", input).await?;
    }
    for address in ADDRESSES {
        ec2.add_address(address);
    }
    Ok(())
}

fn plant_file_system(efs: &Efs) -> Result<(), SeedError> {
    let tags = json!([{"Key": "Name", "Value": "local"}]);
    let input = json!({"CreationToken": "local", "Encrypted": true, "ThroughputMode": "elastic", "Tags": tags});
    efs.add_file_system(FILE_SYSTEM, &input).map_err(SeedError::Directory)?;
    efs.make_directory(FILE_SYSTEM, DIRECTORY).map_err(SeedError::Directory)?;
    for (id, subnet) in ["fsmt-0a1b2c3d4e5f60718", "fsmt-1a1b2c3d4e5f60718"].into_iter().zip(SUBNETS) {
        efs.add_mount_target(id, FILE_SYSTEM, subnet, &[EFS_GROUP.to_owned()])
            .map_err(|source| SeedError::Refused { part: "mount target", source })?;
    }
    Ok(())
}

async fn plant_service(ecs: &Ecs) -> Result<(), SeedError> {
    call(ecs, "cluster", "CreateCluster", json!({"clusterName": CLUSTER})).await?;
    let container = json!({
        "name": "web", "image": "httpd:2.4", "essential": true,
        "portMappings": [{"containerPort": 80, "protocol": "tcp"}],
    });
    let definition = json!({
        "family": SERVICE, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
        "memory": "512", "taskRoleArn": TASK_ROLE, "containerDefinitions": [container],
    });
    call(ecs, "task definition", "RegisterTaskDefinition", definition).await?;
    let network = json!({"awsvpcConfiguration": {
        "subnets": SUBNETS, "securityGroups": [EFS_GROUP], "assignPublicIp": "ENABLED",
    }});
    let service = json!({
        "cluster": CLUSTER, "serviceName": SERVICE, "taskDefinition": "web:1", "desiredCount": 1,
        "launchType": "FARGATE", "networkConfiguration": network,
        "tags": [{"key": "wharfinger:allow", "value": "true"}],
        "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}},
    });
    call(ecs, "service", "CreateService", service).await
}

async fn call(service: &dyn Service, part: &'static str, operation: &str, input: Value) -> Result<(), SeedError> {
    service.call(operation, input).await.map(drop).map_err(|source| SeedError::Refused { part, source })
}
