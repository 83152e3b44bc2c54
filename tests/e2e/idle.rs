//! Idleness: who is there keeps the door open, and nobody else does.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use tokio::{io::AsyncWriteExt, sync::Mutex};

use crate::support::{LocalRegion, blog, brisk, server};

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_server_is_stopped_and_started_again_as_it_was() {
    let local = LocalRegion::ready(brisk(), &server(Some("4s")), &blog("1s")).await;
    let before = local.server().await.unwrap();

    let stopped = local.until_power("stopped").await;

    let reason = stopped["status"]["wanted"]["reason"].as_str().unwrap_or_default();
    assert!(!reason.is_empty(), "{stopped}");
    local.api.post("/v1/servers/main/start").await.unwrap();
    let after = local.until_power("online").await;
    assert_eq!(after["status"]["host_key_fingerprints"], before["status"]["host_key_fingerprints"]);
    assert_eq!(after["status"]["endpoint"], before["status"]["endpoint"]);
    let alice = local.log_in().await;
    assert_eq!(Some(alice.host_key_fingerprint.as_str()), after["status"]["host_key_fingerprints"][0].as_str());
    alice.log_out().await.unwrap();
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_lasts_longer_than_idle_after_is_not_cut() {
    let local = LocalRegion::ready(brisk(), &server(Some("3s")), &blog("1s")).await;
    let stops = local.calls("transfer", "StopServer");
    let alice = local.log_in().await;
    let file = Mutex::new(alice.sftp.create("slow.bin").await.unwrap());
    // Write a little at a time until the sweep has decided well after `idle.after`.
    let long_after = Timestamp::now() + SignedDuration::from_secs(8);
    let written = AtomicU64::new(0);
    local
        .until("the sweep has kept the server for longer than idle.after", || {
            let (file, written, local) = (&file, &written, &local);
            async move {
                let mut file = file.lock().await;
                file.write_all(&[7; 1000]).await?;
                file.flush().await?;
                written.fetch_add(1000, Ordering::Relaxed);
                let idle = local.server().await?["status"]["idle"].clone();
                let at: Option<Timestamp> = idle["at"].as_str().and_then(|at| at.parse().ok());
                anyhow::ensure!(idle["action"] != "stop", "the sweep stops it: {idle}");
                Ok(at.is_some_and(|at| at > long_after).then_some(()))
            }
        })
        .await;
    file.lock().await.shutdown().await.expect("the upload ends well");

    let server = local.server().await.unwrap();
    assert_eq!(server["status"]["power"], "online", "{server}");
    assert_eq!(alice.sftp.metadata("slow.bin").await.unwrap().size, Some(written.load(Ordering::Relaxed)));
    assert_eq!(local.calls("transfer", "StopServer"), stops, "a stop was tried during the upload");
    alice.log_out().await.unwrap();
    local.until_power("stopped").await;
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_an_idle_policy_stays_online() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let stops = local.calls("transfer", "StopServer");
    // With a policy as short as those of the other stories it would be stopped by then.
    let long_after = Timestamp::now() + SignedDuration::from_secs(10);
    let kept = local
        .until("the sweep has decided again and again", || async {
            let server = local.server().await?;
            let idle = server["status"]["idle"].clone();
            anyhow::ensure!(idle["action"] != "stop", "the sweep stops it: {idle}");
            let at: Option<Timestamp> = idle["at"].as_str().and_then(|at| at.parse().ok());
            Ok(at.is_some_and(|at| at > long_after).then_some(server))
        })
        .await;
    assert_eq!(kept["status"]["power"], "online");
    assert_eq!(local.calls("transfer", "StopServer"), stops, "a stop was asked for");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_stops_and_starts_a_server() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    local.api.post("/v1/servers/main/stop").await.unwrap();
    local.until_power("stopped").await;
    let address = local.region.addresses().sftp;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "a stopped server still listens");
    local.api.post("/v1/servers/main/start").await.unwrap();
    local.until_power("online").await;
    local.log_in().await.log_out().await.unwrap();
    local.close().await;
}
