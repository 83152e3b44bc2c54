//! What the control plane uses, by count: what a bill is made of must not grow unseen.

use wharfinger_cli::bill::{self, count::Count, month::Line, prices::Item, scene::Scene};

use crate::support::program;

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_sweep_grows_by_a_known_number_of_calls_a_server_and_changes_nothing_on_aws() {
    let scene = Scene::open(program().to_owned(), &[]).await.unwrap();
    let (mut sweeps, mut looks) = (Vec::new(), Vec::new());
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
        sweeps.push(sweep.usage());
        looks.push(look.usage());
    }
    assert_upkeep(
        &scene,
        [sweeps, looks].map(|one| Line { with_one: one[0].clone(), with_many: one[1].clone(), many: 3.0 }),
    );
    scene.close().await;
}

/// The README's figure for what a server costs beside its address: one secret, and less than two dollars in all. The
/// functions' time is left out: it is a cent on Lambda, and here whatever the machine makes of it.
fn assert_upkeep(scene: &Scene, [sweep, look]: [Line; 2]) {
    let counted = bill::upkeep(scene, sweep, look, bill::secrets(scene) / 3.0).expect("it is counted");
    let month = counted.idle_month(1.0);
    assert_eq!(month.of(Item::Secret), 1.0, "a server has one secret");
    let cost = month.cost();
    assert!(month.total() - cost["Lambda"] < 1.99, "{cost:?}");
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
