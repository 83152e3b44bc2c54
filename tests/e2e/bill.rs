//! What the control plane uses, by count: what a bill is made of must not grow unseen.

use wharfinger_cli::bill::{count::Count, prices::Item, scene::Scene};

use crate::support::program;

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_sweep_grows_by_a_known_number_of_calls_a_server_and_changes_nothing_on_aws() {
    let scene = Scene::open(program().to_owned(), &[]).await.unwrap();
    for servers in [1, 3] {
        scene.grow_to(servers).await.unwrap();
        let sweep = scene.sweep().await.unwrap();
        let n = u64::try_from(servers).unwrap();
        assert_eq!(sweep.invocations.values().sum::<u64>(), 1, "{sweep:?}");
        for (service, operation, calls) in [
            // Servers, sites, and what lies where release 0.1 kept their windows.
            ("dynamodb", "Query", 3),
            // The server's last event, and its site's window.
            ("dynamodb", "GetItem", 2 * n),
            ("dynamodb", "UpdateItem", n),
            ("monitoring", "GetMetricData", 1),
        ] {
            assert_eq!(sweep.calls_of(service, operation), calls, "{operation} with {servers}: {sweep:?}");
        }
        assert_eq!(sweep.calls.values().sum::<u64>(), 4 + 3 * n, "it calls something else too: {sweep:?}");
        assert_eq!(sweep.usage().of(Item::QueueRequest), 0.0, "nobody needs to be woken: {sweep:?}");

        let look = scene.look().await.unwrap();
        assert_eq!(changes(&look), Vec::<String>::new(), "a look at what is as wanted changes something");
    }
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_uploads_in_one_burst_cost_few_writes_and_one_rollout() {
    let scene = Scene::open(program().to_owned(), &[]).await.unwrap();
    scene.grow_to(1).await.unwrap();
    let burst = scene.upload(100).await.unwrap();
    let writes: u64 =
        ["PutItem", "UpdateItem", "TransactWriteItems"].map(|one| burst.calls_of("dynamodb", one)).iter().sum();
    assert!(writes <= 60, "{writes} writes for 100 uploads: {burst:?}");
    assert_eq!(burst.calls_of("ecs", "RegisterTaskDefinition"), 1);
    assert_eq!(burst.calls_of("ecs", "UpdateService"), 1);
    // Each upload is sent to the queue and deleted from it; what is received comes one to ten at a time.
    let requests = burst.usage().of(Item::QueueRequest);
    assert!((200.0..400.0).contains(&requests), "{requests}: {burst:?}");
    scene.close().await;
}

/// The calls that are not mere questions, the table's apart.
fn changes(count: &Count) -> Vec<String> {
    let asks = |operation: &str| ["Describe", "List", "Get"].iter().any(|verb| operation.starts_with(verb));
    let changing = count.calls.keys().filter(|kind| kind.service != "dynamodb" && !asks(&kind.operation));
    changing.map(|kind| format!("{} {}", kind.service, kind.operation)).collect()
}
