//! SFTP as a client sees it: who gets in, what it can do, and that nothing leads out.

#![expect(clippy::unwrap_used, reason = "a helper of tests panics as they do")]

use std::{os::unix::fs::symlink, time::Duration};

use russh::keys::{Algorithm, PrivateKey, key::safe_rng};
use russh_sftp::{
    client::{SftpSession, error::Error},
    protocol::{FileAttributes, OpenFlags, StatusCode},
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use wharfinger_emulator::service::Service;

use crate::transfer_family::{FILE_SYSTEM, TransferFamily, open_sftp, wait_for};

async fn put(sftp: &SftpSession, path: &str, content: &[u8]) {
    let mut file = sftp.create(path).await.unwrap();
    file.write_all(content).await.unwrap();
    file.shutdown().await.unwrap();
}

fn code<T>(answer: Result<T, Error>) -> StatusCode {
    match answer {
        Ok(_) => StatusCode::Ok,
        Err(Error::Status(status)) => status.status_code,
        Err(error) => panic!("not a status: {error}"),
    }
}

#[tokio::test]
async fn what_was_put_is_there_and_comes_back() {
    let region = TransferFamily::new();
    let (_, _connection, sftp) = region.session().await;
    put(&sftp, "/index.html", b"<h1>Hello</h1>").await;
    assert_eq!(std::fs::read(region.files.join("sites/blog/index.html")).unwrap(), b"<h1>Hello</h1>");
    assert_eq!(sftp.read("/index.html").await.unwrap(), b"<h1>Hello</h1>");
    let attrs = sftp.metadata("/index.html").await.unwrap();
    assert_eq!((attrs.uid, attrs.gid, attrs.size), (Some(1001), Some(1002), Some(14)));
}

#[tokio::test]
async fn several_megabytes_come_back_as_they_were() {
    let region = TransferFamily::new();
    let (_, _connection, sftp) = region.session().await;
    let content: Vec<u8> = (0..5_000_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    put(&sftp, "big", &content).await;
    assert!(sftp.read("big").await.unwrap() == content);
}

#[tokio::test]
async fn a_client_that_asks_far_ahead_gets_everything() {
    let region = TransferFamily::new();
    let (_, connection, _first) = region.session().await;
    let content = vec![7; 64_000_000];
    std::fs::write(region.files.join("sites/blog/big"), &content).unwrap();
    let channel = connection.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    let ahead = russh_sftp::client::Config { max_concurrent_reads: 300, ..Default::default() };
    let sftp = SftpSession::new_with_config(channel.into_stream(), ahead).await.unwrap();
    assert!(sftp.read("big").await.unwrap() == content);
}

#[tokio::test]
async fn only_a_key_of_the_user_opens_the_door() {
    let region = TransferFamily::new();
    let server = region.online_server().await;
    let alice = region.create_user(&server, "alice").await;
    let bob = region.create_user(&server, "bob").await;
    let stranger = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
    assert!(region.log_in(&server, "alice", &alice).await.is_some());
    for (user, key) in [("alice", &stranger), ("alice", &bob), ("nobody", &alice)] {
        assert!(region.log_in(&server, user, key).await.is_none(), "{user}");
    }
    let mut connection = region.connect(&server).await.unwrap();
    assert!(!connection.authenticate_password("alice", "secret").await.unwrap().success());
    assert!(!connection.authenticate_none("alice").await.unwrap().success());
}

#[tokio::test]
async fn a_key_that_was_deleted_opens_no_door() {
    let region = TransferFamily::new();
    let server = region.online_server().await;
    let key = region.create_user(&server, "alice").await;
    region.done("DeleteUser", json!({ "ServerId": server, "UserName": "alice" })).await;
    assert!(region.log_in(&server, "alice", &key).await.is_none());
}

#[tokio::test]
async fn a_home_on_an_unknown_file_system_refuses_the_login() {
    let region = TransferFamily::new();
    let server = region.online_server().await;
    let key = region.create_user_at(&server, "alice", json!({ "HomeDirectory": "/fs-ffffffff/home" })).await;
    assert!(region.log_in(&server, "alice", &key).await.is_none());
}

#[tokio::test]
async fn no_path_leads_out_of_a_chroot() {
    let region = TransferFamily::new();
    let (_, _connection, sftp) = region.session().await;
    std::fs::write(region.files.join("secret"), "s").unwrap();
    let blog = region.files.join("sites/blog");
    symlink("../../secret", blog.join("up")).unwrap();
    symlink("/etc", blog.join("etc")).unwrap();
    symlink("..", blog.join("parent")).unwrap();
    symlink("loop", blog.join("loop")).unwrap();
    for path in ["../../secret", "/../../secret", "up", "etc/passwd", "parent/blog/x", "parent/../secret", "loop"] {
        assert_ne!(code(sftp.open(path).await), StatusCode::Ok, "{path}");
    }
    for path in ["up", "etc/new", "parent/new"] {
        assert_ne!(code(sftp.create(path).await), StatusCode::Ok, "{path}");
    }
    assert_eq!(code(sftp.read_dir("etc").await), StatusCode::PermissionDenied);
    assert_ne!(code(sftp.rename("etc/hostname", "mine").await), StatusCode::Ok);
    assert_ne!(
        code(sftp.set_metadata("up", FileAttributes { size: Some(0), ..FileAttributes::empty() }).await),
        StatusCode::Ok
    );
    assert_eq!(std::fs::read(region.files.join("secret")).unwrap(), b"s");
    assert_eq!(sftp.canonicalize("../../..").await.unwrap(), "/");
}

#[tokio::test]
async fn a_directory_swapped_for_a_link_lets_nobody_out() {
    let region = TransferFamily::new();
    let (_, _connection, sftp) = region.session().await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("file"), "outside").unwrap();
    let blog = region.files.join("sites/blog");
    std::fs::create_dir(blog.join("real")).unwrap();
    std::fs::write(blog.join("real/file"), "inside").unwrap();
    symlink(outside.path(), blog.join("link")).unwrap();
    let swap = {
        let blog = blog.clone();
        std::thread::spawn(move || {
            for _ in 0..2000 {
                let _ = std::fs::rename(blog.join("real"), blog.join("dir"));
                let _ = std::fs::rename(blog.join("dir"), blog.join("real"));
                let _ = std::fs::rename(blog.join("link"), blog.join("dir"));
                let _ = std::fs::rename(blog.join("dir"), blog.join("link"));
            }
        })
    };
    while !swap.is_finished() {
        if let Ok(content) = sftp.read("dir/file").await {
            assert_eq!(content, b"inside");
        }
    }
}

#[tokio::test]
async fn links_inside_work_and_are_kept_relative() {
    let region = TransferFamily::new();
    let (_, _connection, sftp) = region.session().await;
    sftp.create_dir("releases").await.unwrap();
    put(&sftp, "releases/1", b"one").await;
    sftp.symlink("/releases/1", "/current").await.unwrap();
    let kept = std::fs::read_link(region.files.join("sites/blog/current")).unwrap();
    assert_eq!(kept.to_str(), Some("releases/1"));
    assert_eq!(sftp.read("current").await.unwrap(), b"one");
    assert!(sftp.symlink_metadata("current").await.unwrap().file_type().is_symlink());
}

#[tokio::test]
async fn a_path_home_sees_the_whole_file_system_and_starts_at_home() {
    let region = TransferFamily::new();
    let server = region.online_server().await;
    let home = format!("/{FILE_SYSTEM}/sites/blog");
    let key = region.create_user_at(&server, "alice", json!({ "HomeDirectory": home })).await;
    let connection = region.log_in(&server, "alice", &key).await.unwrap();
    let sftp = open_sftp(&connection).await;
    assert_eq!(sftp.canonicalize(".").await.unwrap(), home);
    put(&sftp, "a", b"a").await;
    put(&sftp, &format!("/{FILE_SYSTEM}/b"), b"b").await;
    assert!(region.files.join("sites/blog/a").exists() && region.files.join("b").exists());
    assert_eq!(code(sftp.open("/etc/passwd").await), StatusCode::NoSuchFile);
}

#[tokio::test]
async fn several_mappings_are_listed_in_the_root() {
    let region = TransferFamily::new();
    let server = region.online_server().await;
    let target = format!("/{FILE_SYSTEM}/sites/blog");
    let home = json!({ "HomeDirectoryType": "LOGICAL", "HomeDirectoryMappings": [
        { "Entry": "/blog", "Target": target }, { "Entry": "/all", "Target": format!("/{FILE_SYSTEM}") }] });
    let key = region.create_user_at(&server, "alice", home).await;
    let connection = region.log_in(&server, "alice", &key).await.unwrap();
    let sftp = open_sftp(&connection).await;
    let mut names: Vec<String> = sftp.read_dir("/").await.unwrap().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["all", "blog"]);
    put(&sftp, "/blog/x", b"x").await;
    assert_eq!(sftp.read("/all/sites/blog/x").await.unwrap(), b"x");
    assert_eq!(code(sftp.create("/x").await), StatusCode::NoSuchFile);
    assert_eq!(code(sftp.remove_dir("/blog").await), StatusCode::PermissionDenied);
}

#[tokio::test]
async fn uploads_are_resumed_appended_and_truncated() {
    let region = TransferFamily::new();
    let (_, _connection, sftp) = region.session().await;
    put(&sftp, "f", b"hello").await;
    let mut file = sftp.open_with_flags("f", OpenFlags::WRITE).await.unwrap();
    file.seek(std::io::SeekFrom::Start(5)).await.unwrap();
    file.write_all(b" world").await.unwrap();
    file.shutdown().await.unwrap();
    let mut file = sftp.open_with_flags("f", OpenFlags::WRITE | OpenFlags::APPEND).await.unwrap();
    file.write_all(b"!").await.unwrap();
    file.shutdown().await.unwrap();
    assert_eq!(sftp.read("f").await.unwrap(), b"hello world!");
    sftp.set_metadata("f", FileAttributes { size: Some(5), ..FileAttributes::empty() }).await.unwrap();
    assert_eq!(sftp.read("f").await.unwrap(), b"hello");
}

#[tokio::test]
async fn statuses_say_what_is_wrong() {
    let region = TransferFamily::new();
    let (_, _connection, sftp) = region.session().await;
    sftp.create_dir("d").await.unwrap();
    put(&sftp, "d/f", b"").await;
    assert_eq!(code(sftp.open("absent").await), StatusCode::NoSuchFile);
    assert_eq!(code(sftp.remove_file("absent").await), StatusCode::NoSuchFile);
    assert_eq!(code(sftp.create_dir("d").await), StatusCode::Failure);
    assert_eq!(code(sftp.remove_dir("d").await), StatusCode::Failure);
    assert_eq!(code(sftp.open("d").await), StatusCode::Failure);
    assert_eq!(code(sftp.remove_file("d").await), StatusCode::Failure);
    assert_eq!(code(sftp.remove_dir("/").await), StatusCode::PermissionDenied);
    put(&sftp, "g", b"g").await;
    assert_eq!(code(sftp.rename("g", "d/f").await), StatusCode::Failure, "a plain rename replaces nothing");
}

#[tokio::test]
async fn modes_and_times_are_set_on_files_and_directories() {
    let region = TransferFamily::new();
    let (_, _connection, sftp) = region.session().await;
    sftp.create_dir("d").await.unwrap();
    put(&sftp, "f", b"x").await;
    for path in ["d", "f"] {
        let attrs =
            FileAttributes { permissions: Some(0o750), atime: Some(1), mtime: Some(2), ..FileAttributes::empty() };
        sftp.set_metadata(path, attrs).await.unwrap();
        let found = sftp.metadata(path).await.unwrap();
        assert_eq!((found.permissions.unwrap() & 0o777, found.mtime), (0o750, Some(2)), "{path}");
    }
    let given_away = FileAttributes { uid: Some(0), gid: Some(0), ..FileAttributes::empty() };
    assert_eq!(code(sftp.set_metadata("f", given_away).await), StatusCode::PermissionDenied);
}

#[tokio::test]
async fn a_session_has_a_limit_of_open_files() {
    let region = TransferFamily::new();
    let (_, _connection, sftp) = region.session().await;
    put(&sftp, "f", b"x").await;
    let mut files = Vec::new();
    while files.len() < 200 {
        match sftp.open("f").await {
            Ok(file) => files.push(file),
            Err(_) => break,
        }
    }
    assert_eq!(files.len(), 100);
    files.pop().unwrap().shutdown().await.unwrap();
    assert!(sftp.open("f").await.is_ok());
}

#[tokio::test]
async fn many_sessions_work_side_by_side() {
    let region = TransferFamily::new();
    let (server, connection, first) = region.session().await;
    let key = region.create_user(&server, "bob").await;
    let other = region.log_in(&server, "bob", &key).await.unwrap();
    let (second, third) = (open_sftp(&connection).await, open_sftp(&other).await);
    tokio::join!(put(&first, "1", &[1; 300_000]), put(&second, "2", &[2; 300_000]), put(&third, "3", &[3; 300_000]));
    for (name, byte) in [("1", 1), ("2", 2), ("3", 3)] {
        assert!(first.read(name).await.unwrap() == vec![byte; 300_000]);
    }
}

#[tokio::test]
async fn nonsense_ends_its_own_session_alone() {
    let region = TransferFamily::new();
    let (_, connection, sftp) = region.session().await;
    for nonsense in
        [&[0xff_u8; 64][..], &[0, 0, 0, 0], &[0, 0, 0, 1, 3], &[0, 0, 0, 9, 3, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff]]
    {
        let channel = connection.channel_open_session().await.unwrap();
        channel.request_subsystem(true, "sftp").await.unwrap();
        let mut stream = channel.into_stream();
        stream.write_all(nonsense).await.unwrap();
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
    }
    put(&sftp, "f", b"still here").await;
}

#[tokio::test]
async fn an_upload_is_an_event_with_all_its_fields() {
    let mut region = TransferFamily::new();
    let (server, _connection, sftp) = region.session().await;
    put(&sftp, "/a.html", b"hello").await;
    let event = region.event().await;
    assert_eq!(
        (&event["source"], &event["detail-type"]),
        (&json!("aws.transfer"), &json!("SFTP Server File Upload Completed"))
    );
    assert_eq!(event["resources"], json!([format!("arn:aws:transfer:us-east-1:000000000000:server/{server}")]));
    let detail = &event["detail"];
    assert_eq!(detail["file-path"], format!("/{FILE_SYSTEM}/sites/blog/a.html"));
    assert_eq!(
        (&detail["bytes"], &detail["username"], &detail["status-code"]),
        (&json!(5), &json!("alice"), &json!("COMPLETED"))
    );
    assert_eq!((&detail["server-id"], &detail["protocol"]), (&json!(server), &json!("SFTP")));
    assert!(detail["client-ip"].is_string() && detail["session-id"].is_string());
    assert_eq!(detail["end-timestamp"].as_str().unwrap().len(), "2024-01-29T17:20:27.749749117Z".len());
}

#[tokio::test]
async fn every_kind_of_change_is_an_event() {
    let mut region = TransferFamily::new();
    let (_, _connection, sftp) = region.session().await;
    sftp.create_dir("d").await.unwrap();
    put(&sftp, "d/f", b"x").await;
    sftp.rename("d/f", "g").await.unwrap();
    sftp.read("g").await.unwrap();
    sftp.remove_file("g").await.unwrap();
    sftp.remove_dir("d").await.unwrap();
    let _ = sftp.remove_dir("d").await;
    let base = format!("/{FILE_SYSTEM}/sites/blog");
    for (kind, field, path) in [
        ("Directory Create Completed", "directory-path", "d"),
        ("File Upload Completed", "file-path", "d/f"),
        ("File Rename Completed", "renamed-file-path", "g"),
        ("File Download Completed", "file-path", "g"),
        ("File Delete Completed", "file-path", "g"),
        ("Directory Delete Completed", "directory-path", "d"),
        ("Directory Delete Failed", "directory-path", "d"),
    ] {
        let event = region.event().await;
        assert_eq!(event["detail-type"], format!("SFTP Server {kind}"));
        assert_eq!(event["detail"][field], format!("{base}/{path}"));
    }
}

#[tokio::test]
async fn a_connection_that_dies_in_mid_file_leaves_a_partial_upload() {
    let mut region = TransferFamily::new();
    let (_, connection, sftp) = region.session().await;
    let mut file = sftp.create("half").await.unwrap();
    file.write_all(&[1; 1000]).await.unwrap();
    file.flush().await.unwrap();
    std::mem::forget(file);
    connection.disconnect(russh::Disconnect::ByApplication, "", "").await.unwrap();
    let event = region.event().await;
    assert_eq!(event["detail-type"], "SFTP Server File Upload Failed");
    assert_eq!((&event["detail"]["failure-code"], &event["detail"]["bytes"]), (&json!("PARTIAL_UPLOAD"), &json!(1000)));
}

#[tokio::test]
async fn stopping_cuts_sessions_and_refuses_new_ones() {
    let mut region = TransferFamily::new();
    let (server, _connection, sftp) = region.session().await;
    let address = region.transfer.addresses(&server)[0];
    let mut file = sftp.create("half").await.unwrap();
    file.write_all(&[1; 10]).await.unwrap();
    file.flush().await.unwrap();
    region.done("StopServer", json!({ "ServerId": server })).await;
    let event = region.event().await;
    assert_eq!(event["detail"]["failure-code"], "PARTIAL_UPLOAD");
    let refused = wait_for("the door to shut", async || tokio::net::TcpStream::connect(address).await.err()).await;
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let _ =
        tokio::time::timeout(Duration::from_secs(5), sftp.metadata("/")).await.expect("cut, not hanging").unwrap_err();
}

#[tokio::test]
async fn an_open_session_is_seen_in_the_metrics_also_when_it_does_nothing() {
    let region = TransferFamily::new();
    let (server, connection, sftp) = region.session().await;
    let data = async |metric: &str| {
        let now = region.context.clock.epoch_seconds();
        let query = json!({ "StartTime": now - 600.0, "EndTime": now + 60.0, "MetricDataQueries": [{ "Id": "q",
            "MetricStat": { "Period": 1, "Stat": "Sum", "Metric": { "Namespace": "AWS/Transfer", "MetricName": metric,
                "Dimensions": [{ "Name": "ServerId", "Value": server }] } } }] });
        let answer = region.cloudwatch.call("GetMetricData", query).await.unwrap();
        answer["MetricDataResults"][0]["Values"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_f64)
            .collect::<Vec<_>>()
    };
    wait_for("zeros", async || data("BytesIn").await.contains(&0.0).then_some(())).await;
    put(&sftp, "f", &[1; 1234]).await;
    wait_for("bytes", async || (data("BytesIn").await.iter().sum::<f64>() >= 1234.0).then_some(())).await;
    assert!((data("FilesIn").await.iter().sum::<f64>() - 1.0).abs() < f64::EPSILON);
    drop((sftp, connection));
}
