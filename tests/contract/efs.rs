//! EFS: file systems, mount targets and access points.

use aws_sdk_efs::{
    Client,
    operation::create_access_point::CreateAccessPointError,
    types::{CreationInfo, LifeCycleState, PosixUser, RootDirectory},
};
use wharfinger_region::seed;

use crate::emulated_region::EmulatedRegion;

async fn client(region: &EmulatedRegion) -> Client {
    Client::new(&region.config().await)
}

#[tokio::test]
async fn the_file_system_that_people_have_is_there() {
    let region = EmulatedRegion::new().await;
    let efs = client(&region).await;
    let described = efs.describe_file_systems().file_system_id(seed::FILE_SYSTEM).send().await.unwrap();
    let file_system = &described.file_systems()[0];
    assert_eq!(file_system.number_of_mount_targets(), 2);
    assert_eq!(file_system.name(), Some("local"));
    let targets = efs.describe_mount_targets().file_system_id(seed::FILE_SYSTEM).send().await.unwrap();
    assert_eq!(targets.mount_targets()[0].vpc_id(), Some(seed::VPC));
    let zones: Vec<_> = targets
        .mount_targets()
        .iter()
        .map(|target| (target.availability_zone_name(), target.availability_zone_id(), target.life_cycle_state()))
        .collect();
    let available = &LifeCycleState::Available;
    let expected =
        [(Some("us-east-1a"), Some("use1-az1"), available), (Some("us-east-1b"), Some("use1-az2"), available)];
    assert_eq!(zones, expected);
    let target = targets.mount_targets()[0].mount_target_id();
    let groups = efs.describe_mount_target_security_groups().mount_target_id(target).send().await.unwrap();
    assert_eq!(groups.security_groups(), [seed::EFS_GROUP]);
    let unknown = efs.describe_file_systems().file_system_id("fs-0").send().await.unwrap_err();
    assert!(unknown.into_service_error().is_file_system_not_found());
}

#[tokio::test]
async fn an_access_point_is_made_once_for_its_token() {
    let region = EmulatedRegion::new().await;
    let efs = client(&region).await;
    let info = CreationInfo::builder().owner_uid(1000).owner_gid(1000).permissions("0755").build().unwrap();
    let root = RootDirectory::builder().path("/sites/shop").creation_info(info).build();
    let user = PosixUser::builder().uid(1000).gid(1000).build().unwrap();
    let create = || {
        let create = efs.create_access_point().file_system_id(seed::FILE_SYSTEM).client_token("shop");
        create.root_directory(root.clone()).posix_user(user.clone()).send()
    };
    let made = create().await.unwrap();
    assert_eq!(made.posix_user().unwrap().uid(), 1000);
    let again = create().await.unwrap_err().into_service_error();
    let CreateAccessPointError::AccessPointAlreadyExists(known) = again else { panic!("{again:?}") };
    assert_eq!(Some(known.access_point_id()), made.access_point_id());
    efs.delete_access_point().access_point_id(known.access_point_id()).send().await.unwrap();
    let listed = efs.describe_access_points().file_system_id(seed::FILE_SYSTEM).send().await.unwrap();
    assert_eq!(listed.access_points().len(), 0);
}
