use super::*;

#[tokio::test(start_paused = true)]
async fn structured_logs_go_to_a_group_that_is_there() {
    let region = Region::new();
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/sftp:*";
    let logged = || server(json!({ "StructuredLogDestinations": [arn] }));
    assert!(region.refused("CreateServer", logged()).await.contains(arn));
    region.logs.call("CreateLogGroup", json!({ "logGroupName": "/sftp" })).await.unwrap();
    let id = region.done("CreateServer", logged()).await["ServerId"].clone();
    assert_eq!(region.described(id.as_str().unwrap()).await["StructuredLogDestinations"], json!([arn]));
    region.done("UpdateServer", json!({ "ServerId": id, "StructuredLogDestinations": [] })).await;
    let other =
        json!({ "ServerId": id, "StructuredLogDestinations": ["arn:aws:logs:us-east-1:000000000000:log-group:no"] });
    region.refused("UpdateServer", other).await;
}

/// A region with a log group, and a server in it for `alice`, whose key is the second.
async fn logging(files: &std::path::Path) -> (Region, String, PrivateKey) {
    std::fs::create_dir_all(files.join("fs-00000001/blog")).unwrap();
    let region = Region::on(files);
    region.logs.call("CreateLogGroup", json!({ "logGroupName": "/sftp" })).await.unwrap();
    region.ec2.add_security_group("sg-00000001", "vpc-00000001", "sftp", "SFTP");
    let permission = json!({ "IpProtocol": "-1", "IpRanges": [{ "CidrIp": "203.0.113.0/24" }] });
    let input = json!({ "GroupId": "sg-00000001", "IpPermissions": [permission] });
    region.ec2.call("AuthorizeSecurityGroupIngress", input).await.unwrap();
    let mut wanted = details(json!({ "SecurityGroupIds": ["sg-00000001"] }));
    wanted["StructuredLogDestinations"] = json!(["arn:aws:logs:us-east-1:000000000000:log-group:/sftp:*"]);
    let id = region.online(wanted).await;
    let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
    let user = json!({ "ServerId": id, "UserName": "alice", "Role": ROLE, "PosixProfile": { "Uid": 1, "Gid": 1 },
        "HomeDirectoryType": "LOGICAL", "HomeDirectoryMappings": [{ "Entry": "/", "Target": "/fs-00000001/blog" }],
        "SshPublicKeyBody": key.public_key().to_openssh().unwrap() });
    region.done("CreateUser", user).await;
    (region, id, key)
}

/// Everything that a client does, up to an upload that is still open.
fn work(visit: &mut sftp::Visit) {
    let handle = visit.begin_upload("/a").unwrap();
    visit.write(&handle, 0, b"hello").unwrap();
    visit.close(&handle).unwrap();
    let handle = visit.begin_download("/a").unwrap();
    assert_eq!(visit.read(&handle, 0, 100).unwrap(), b"hello");
    visit.close(&handle).unwrap();
    visit.make_directory("/d").unwrap();
    visit.rename("/a", "/d/b").unwrap();
    visit.remove("/d/b").unwrap();
    assert!(visit.remove("/d/b").is_err());
    let handle = visit.begin_upload("/c").unwrap();
    visit.write(&handle, 0, b"cut").unwrap();
}

/// A line's activity, path in the user's view, mode and bytes.
fn told(line: &Value) -> String {
    let members = ["activity-type", "path", "mode", "bytes-in", "bytes-out"];
    let text = |name| line[name].as_str().unwrap_or_default().replace("/fs-00000001/blog", "");
    members.map(text).join(" ").trim_end().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_session_is_told_line_by_line_and_its_end_last() {
    let files = tempfile::tempdir().unwrap();
    let (region, id, key) = logging(files.path()).await;
    let client = [203, 0, 113, 7].into();
    assert!(region.transfer.log_in(&id, "bob", key.public_key(), client).is_err());
    let mut visit = region.transfer.log_in(&id, "alice", key.public_key(), client).unwrap();
    work(&mut visit);
    assert!(region.lines("/sftp").await.is_empty(), "nothing can be read at once");
    region.done("StopServer", json!({ "ServerId": id })).await;
    assert!(visit.is_cut());
    drop(visit);
    region.settle().await;
    let lines = region.lines("/sftp").await;
    let expected = [
        "AUTH_FAILURE",
        "CONNECTED",
        "OPEN /a CREATE|TRUNCATE|WRITE",
        "CLOSE /a  5",
        "OPEN /a READ",
        "CLOSE /a   5",
        "MKDIR /d",
        "RENAME /a",
        "DELETE /d/b",
        "ERROR /d/b",
        "OPEN /c CREATE|TRUNCATE|WRITE",
        "PARTIAL_CLOSE /c  3",
        "DISCONNECTED",
    ];
    assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), expected);
    let arn = region.described(&id).await["Arn"].clone();
    assert!(lines.iter().all(|line| line["resource-arn"] == arn));
    assert!(lines[1..].iter().all(|line| line["session-id"] == lines[1]["session-id"]));
    assert_ne!(lines[0]["session-id"], lines[1]["session-id"]);
}

#[tokio::test(start_paused = true)]
async fn a_login_is_told_with_who_came_from_where() {
    let files = tempfile::tempdir().unwrap();
    let (region, id, key) = logging(files.path()).await;
    let client = [203, 0, 113, 7].into();
    assert!(region.transfer.log_in(&id, "bob", key.public_key(), client).is_err());
    let _visit = region.transfer.log_in(&id, "alice", key.public_key(), client).unwrap();
    region.settle().await;
    let lines = region.lines("/sftp").await;
    let told = |line: &Value, names: &[&str]| -> Vec<String> {
        names.iter().map(|name| line[*name].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(told(&lines[0], &["user", "method", "source-ip"]), ["bob", "publickey", "203.0.113.7"]);
    let names = ["user", "role", "home-dir", "source-ip", "ssh-public-key-type", "ssh-public-key-fingerprint"];
    let fingerprint = key.public_key().fingerprint(HashAlg::Sha256).to_string();
    assert_eq!(told(&lines[1], &names), ["alice", ROLE, "/", "203.0.113.7", "ssh-ed25519", &fingerprint]);
}
