//! Many uploads at once.

use futures::future::try_join_all;

use crate::support::{LocalRegion, blog, brisk, server};

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_files_in_one_burst_make_one_rollout() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("2s")).await;
    let visitors = [local.log_in().await, local.log_in().await, local.log_in().await, local.log_in().await];
    let uploads = visitors.iter().enumerate().map(|(visitor, session)| async move {
        for number in 0..125 {
            let name = format!("{visitor}-{number}.txt");
            session.put(&name, name.as_bytes()).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(uploads).await.unwrap();
    visitors[0].put("last.txt", b"the last one").await.unwrap();

    let rollouts = local.until_rolled_out("succeeded").await;

    assert_eq!(rollouts.len(), 1, "{rollouts:?}");
    assert_eq!(local.calls("ecs", "RegisterTaskDefinition"), 1);
    assert_eq!(local.calls("ecs", "UpdateService"), 1);
    assert_eq!(local.page("/last.txt").await, "the last one");
    assert_eq!(local.page("/3-124.txt").await, "3-124.txt");
    assert_eq!(rollouts[0]["cause"]["changes"], 501, "{}", rollouts[0]);
    local.close().await;
}
