//! A region that keeps its data finds everything again.

use wharfinger_region::options::Options;

use crate::support::{LocalRegion, blog, brisk, server, steady_port};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_finds_servers_users_files_and_revisions_again() {
    let directory = tempfile::tempdir().unwrap();
    let kept = |options: Options| Options { data: Some(directory.path().to_owned()), ..options };
    let sftp = steady_port();
    let local = LocalRegion::ready(kept(Options { sftp, ..brisk() }), &server(None), &blog("1s")).await;
    let alice = local.log_in().await;
    alice.put("index.html", b"kept").await.unwrap();
    alice.log_out().await.unwrap();
    local.until_rolled_out("succeeded").await;
    let fingerprints = local.server().await.unwrap()["status"]["host_key_fingerprints"].clone();
    let key = local.key.clone();
    local.close().await;

    let mut local = LocalRegion::open(kept(Options { sftp, ..brisk() })).await;
    local.key = key;

    let online = local.until_power("online").await;
    assert_eq!(online["status"]["host_key_fingerprints"], fingerprints);
    local.until("the site serves again", || async { Ok((local.page("/").await == "kept").then_some(())) }).await;
    assert_eq!(local.rollouts().await.unwrap().len(), 1);
    let alice = local
        .until("alice can log in again", || async {
            let address = local.region.addresses().sftp;
            Ok(wharfinger_cli::client::sftp::Visitor::log_in(address, "alice", &local.key).await.ok())
        })
        .await;
    assert_eq!(alice.get("index.html").await.unwrap(), b"kept");
    alice.log_out().await.unwrap();
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_regions_do_not_share_a_data_directory() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(directory.path().to_owned()), ..brisk() };
    let local = LocalRegion::open(options()).await;
    let second = wharfinger_region::region::Region::start(options(), crate::support::program().to_owned()).await;
    let refusal = format!("{:#}", second.err().expect("the second region is refused"));
    assert!(refusal.contains("in use") || refusal.contains("another"), "{refusal}");
    local.close().await;
}
