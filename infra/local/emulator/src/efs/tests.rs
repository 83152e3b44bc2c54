use std::fs;

use super::*;
use crate::testing;

struct Fixture {
    efs: Arc<Efs>,
    directory: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let context = Context { file_systems: Arc::new(directory.path().to_owned()), ..testing::context() };
    let ec2 = Ec2::new(context.clone(), None).unwrap();
    ec2.add_vpc("vpc-1", "10.0.0.0/16", "main");
    ec2.add_subnet("subnet-a", "vpc-1", "us-east-1a", "10.0.0.0/20");
    ec2.add_security_group("sg-1", "vpc-1", "efs", "NFS");
    let efs = Efs::new(context, None, ec2).unwrap();
    efs.add_file_system("fs-1", &json!({"CreationToken": "first"})).unwrap();
    Fixture { efs, directory }
}

#[tokio::test]
async fn a_repeated_creation_token_names_the_file_system_that_has_it() {
    let Fixture { efs, .. } = fixture();
    let error = efs.call("CreateFileSystem", json!({"CreationToken": "first"})).await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (409, "FileSystemAlreadyExists"));
    assert_eq!(error.members["FileSystemId"], "fs-1");
}

#[test]
fn a_zone_has_one_mount_target() {
    let Fixture { efs, .. } = fixture();
    efs.add_mount_target("fsmt-1", "fs-1", "subnet-a", &["sg-1".to_owned()]).unwrap();
    let again = efs.add_mount_target("fsmt-2", "fs-1", "subnet-a", &[]).unwrap_err();
    assert_eq!(again.code, "MountTargetConflict");
    let group = efs.add_mount_target("fsmt-2", "fs-1", "subnet-x", &[]).unwrap_err();
    assert_eq!(group.code, "SubnetNotFound");
}

#[tokio::test(start_paused = true)]
async fn a_directory_must_exist_unless_an_access_point_makes_it() {
    let Fixture { efs, directory } = fixture();
    assert!(matches!(efs.mount("fs-1", None, "/"), Err(MountError::NoMountTarget { .. })));
    efs.add_mount_target("fsmt-1", "fs-1", "subnet-a", &[]).unwrap();
    assert!(efs.mount("fs-1", None, "/").is_ok());
    assert!(matches!(efs.mount("fs-1", None, "/sites/blog"), Err(MountError::NoDirectory { .. })));
    let root = json!({"Path": "/made", "CreationInfo": {"OwnerUid": 1, "OwnerGid": 1, "Permissions": "0755"}});
    let input = json!({"FileSystemId": "fs-1", "ClientToken": "t", "RootDirectory": root});
    let point = efs.call("CreateAccessPoint", input).await.unwrap();
    assert!(!directory.path().join("fs-1/made").exists(), "the directory is made on the first mount");
    assert!(matches!(efs.mount("fs-1", point["AccessPointId"].as_str(), "/"), Err(MountError::Unknown { .. })));
    tokio::time::advance(efs.context.pace.storage_transition).await;
    efs.mount("fs-1", point["AccessPointId"].as_str(), "/").unwrap();
    assert!(directory.path().join("fs-1/made").is_dir());
    assert!(matches!(efs.mount("fs-2", None, "/"), Err(MountError::Unknown { .. })));
}

#[test]
fn no_mount_leaves_its_file_system() {
    let Fixture { efs, directory } = fixture();
    efs.add_mount_target("fsmt-1", "fs-1", "subnet-a", &[]).unwrap();
    fs::create_dir(directory.path().join("secret")).unwrap();
    std::os::unix::fs::symlink(directory.path().join("secret"), directory.path().join("fs-1/out")).unwrap();
    std::os::unix::fs::symlink("../secret", directory.path().join("fs-1/up")).unwrap();
    for root in ["/..", "/../secret", "/out", "/up"] {
        assert!(efs.mount("fs-1", None, root).is_err(), "{root} was mounted");
    }
}

#[tokio::test]
async fn a_file_system_with_mount_targets_is_not_deleted() {
    let Fixture { efs, directory } = fixture();
    efs.add_mount_target("fsmt-1", "fs-1", "subnet-a", &[]).unwrap();
    let input = json!({"FileSystemId": "fs-1"});
    assert_eq!(efs.call("DeleteFileSystem", input.clone()).await.unwrap_err().code, "FileSystemInUse");
    efs.call("DeleteMountTarget", json!({"MountTargetId": "fsmt-1"})).await.unwrap();
    efs.call("DeleteFileSystem", input).await.unwrap();
    assert!(!directory.path().join("fs-1").exists());
}

#[tokio::test(start_paused = true)]
async fn what_is_made_is_creating_before_it_is_available() {
    let Fixture { efs, .. } = fixture();
    let pace = efs.context.pace.storage_transition;
    let made = efs.call("CreateFileSystem", json!({"CreationToken": "second"})).await.unwrap();
    assert_eq!(made["LifeCycleState"], "creating");
    let target = json!({"FileSystemId": made["FileSystemId"], "SubnetId": "subnet-a"});
    let point = json!({"FileSystemId": made["FileSystemId"], "ClientToken": "t"});
    for (operation, input) in [("CreateMountTarget", &target), ("CreateAccessPoint", &point)] {
        let early = efs.call(operation, input.clone()).await.unwrap_err();
        assert_eq!((early.status, early.code.as_str()), (409, "IncorrectFileSystemLifeCycleState"));
    }
    tokio::time::advance(pace).await;
    for (operation, input) in [("CreateMountTarget", &target), ("CreateAccessPoint", &point)] {
        assert_eq!(efs.call(operation, input.clone()).await.unwrap()["LifeCycleState"], "creating", "{operation}");
    }
    let id = made["FileSystemId"].as_str().unwrap();
    assert!(matches!(efs.mount(id, None, "/"), Err(MountError::NoMountTarget { .. })));
    tokio::time::advance(pace).await;
    assert!(efs.mount(id, None, "/").is_ok());
    for (operation, list) in [
        ("DescribeFileSystems", "FileSystems"),
        ("DescribeMountTargets", "MountTargets"),
        ("DescribeAccessPoints", "AccessPoints"),
    ] {
        let shown = efs.call(operation, json!({"FileSystemId": id})).await.unwrap();
        assert_eq!(shown[list][0]["LifeCycleState"], "available", "{operation}");
    }
}

#[tokio::test]
async fn a_throughput_is_kept_or_refused() {
    let Fixture { efs, .. } = fixture();
    let create = async |members: Value| {
        let mut input = json!({"CreationToken": "second"});
        input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        efs.call("CreateFileSystem", input).await
    };
    for bad in [
        json!({"ThroughputMode": "fast"}),
        json!({"ThroughputMode": "provisioned"}),
        json!({"ThroughputMode": "elastic", "ProvisionedThroughputInMibps": 10.0}),
        json!({"PerformanceMode": "best"}),
        json!({"KmsKeyId": "alias/mine"}),
        json!({"AvailabilityZoneName": "us-east-1a"}),
    ] {
        assert_eq!(create(bad.clone()).await.unwrap_err().code, "BadRequest", "{bad}");
    }
    let made = create(json!({"ThroughputMode": "provisioned", "ProvisionedThroughputInMibps": 10.0})).await.unwrap();
    assert_eq!(made["ProvisionedThroughputInMibps"], 10.0);
    let target = json!({"FileSystemId": "fs-1", "SubnetId": "subnet-a", "IpAddress": "10.0.0.9"});
    assert_eq!(efs.call("CreateMountTarget", target).await.unwrap_err().code, "BadRequest");
}
