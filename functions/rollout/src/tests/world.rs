//! Every world within small bounds: two sites on one service, an outsider who deploys it too, and one call after the other
//! gone wrong. In each of them both sites end up mounted, nobody's work is reverted, and none of our deployments breaks off
//! another of ours.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;

/// What goes wrong at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    /// The invocation dies before it.
    Dies,
    /// It is done, and its answer is lost.
    LosesAnswer,
    /// It is done, and the invocation dies.
    DiesAfter,
    /// Just before it, somebody else deploys a task definition of their own.
    Outsider,
}

/// What goes wrong, and at which call of all.
type Mishaps = Vec<(usize, Mishap)>;

/// More rounds than two sites ever need.
const MOST_ROUNDS: i64 = 60;

/// Between two rounds: longer than a lease.
const ROUND: i64 = 70;

struct World {
    stage: Stage,
    /// The function is at work: what the test itself looks at does not count.
    works: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    died: Arc<Notify>,
    broken_off: Arc<Mutex<Vec<String>>>,
}

/// The rollout that a revision was made for.
fn rollout_of(ecs: &Services, revision: &str) -> Option<String> {
    let number: usize = revision.rsplit(':').next()?.parse().ok()?;
    let tags = ecs.revisions.get(number - 1)?.as_ref()?["tags"].as_array()?.clone();
    let tag = tags.into_iter().find(|tag| tag["key"] == "wharfinger:rollout")?;
    tag["value"].as_str().map(ToOwned::to_owned)
}

impl World {
    async fn with(mishaps: &Mishaps) -> Self {
        let stage = Stage::new();
        stage.put_site("docs", 1, &[("mount_path", "/docs")], 2);
        let (calls, died) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let broken_off = Arc::new(Mutex::new(Vec::new()));
        let (ecs, seen) = (Arc::clone(&stage.ecs), Arc::clone(&broken_off));
        stage.answer_with(move |operation, input| {
            let next = input["taskDefinition"].as_str().unwrap_or_default();
            if operation == "UpdateService" {
                let ecs = ecs.lock().unwrap();
                let primary = &ecs.web["deployments"][0];
                let present = rollout_of(&ecs, primary["taskDefinition"].as_str().unwrap());
                if primary["rolloutState"] == "IN_PROGRESS" && present.is_some() && present != rollout_of(&ecs, next) {
                    seen.lock().unwrap().push(format!("{next} breaks off {primary}"));
                }
            }
            None
        });
        let (cloud, ecs, mishaps) = (stage.cloud.clone(), Arc::clone(&stage.ecs), mishaps.clone());
        let (count, dies) = (Arc::clone(&calls), Arc::clone(&died));
        let works = Arc::new(AtomicBool::new(false));
        let counts = Arc::clone(&works);
        stage.cloud.leave_unanswered(move |operation, _| {
            // Whoever dies at a read dies after the call before it.
            if !counts.load(Ordering::Relaxed) || ["GetItem", "Query"].contains(&operation) {
                return false;
            }
            let call = count.fetch_add(1, Ordering::Relaxed);
            let of = |at: usize, what: Mishap| mishaps.contains(&(at, what));
            if of(call, Mishap::Outsider) {
                let mut ecs = ecs.lock().unwrap();
                let theirs = json!({"family": "web", "containerDefinitions": [{"name": "web", "image": "httpd:2"}]});
                ecs.revisions.push(Some(theirs));
                let revision = arn(ecs.revisions.len());
                ecs.deploy(&revision);
            }
            if of(call, Mishap::LosesAnswer) || of(call, Mishap::DiesAfter) {
                cloud.lose_answer_to(Box::leak(operation.to_owned().into_boxed_str()), "");
            }
            let last = of(call, Mishap::Dies) || call > 0 && of(call - 1, Mishap::DiesAfter);
            if last {
                dies.notify_one();
            }
            last
        });
        Self { stage, works, calls, died, broken_off }
    }

    /// Sends a message until it is taken, at `now` and later.
    async fn send(&self, message: &Value, now: &mut i64) {
        for _ in 0..4 {
            self.works.store(true, Ordering::Relaxed);
            let taken = tokio::select! {
                () = self.died.notified() => false,
                failed = self.stage.send(std::slice::from_ref(message), at(*now)) => failed.is_empty(),
            };
            self.works.store(false, Ordering::Relaxed);
            if taken {
                return;
            }
            *now += ROUND;
        }
        panic!("{message} is never taken");
    }

    /// Both sites are changed and rolled out, until nothing happens any more. Returns how many calls were made.
    async fn play(&self) -> usize {
        let mut now = 0;
        self.send(&upload(1, "/sites/blog/a", at(0)), &mut now).await;
        self.send(&upload(2, "/sites/docs/a", at(0)), &mut now).await;
        let mut rests = 0;
        for round in 0..MOST_ROUNDS {
            now += ROUND;
            for site in ["blog", "docs"] {
                self.send(&json!({ "site": site }), &mut now).await;
            }
            let goes_on = self.stage.ecs.lock().unwrap().web["deployments"][0]["rolloutState"] == "IN_PROGRESS";
            if goes_on && round % 2 == 1 {
                self.stage.complete();
                self.send(&super::course::ended(), &mut now).await;
            }
            rests = if !goes_on && self.is_at_rest().await { rests + 1 } else { 0 };
            if rests == 2 {
                break;
            }
        }
        self.stage.cloud.leave_unanswered(|_, _| false);
        self.calls.load(Ordering::Relaxed)
    }

    async fn is_at_rest(&self) -> bool {
        let windows = [self.stage.window_of("blog").await, self.stage.window_of("docs").await];
        windows.iter().all(|window| window.rollout.is_none() && !window.wants())
    }

    async fn check(&self, mishaps: &Mishaps) {
        assert!(self.is_at_rest().await, "it never ends: {mishaps:?}");
        assert_eq!(*self.broken_off.lock().unwrap(), [""; 0], "{mishaps:?}");
        let mut paths: Vec<String> = self.stage.mounts().into_iter().map(|(path, _)| path).collect();
        paths.sort();
        assert_eq!(paths, ["/docs", "/srv"], "a mount is lost: {mishaps:?}");
        for site in ["blog", "docs"] {
            let rollout = self.stage.latest_of(site).await;
            assert_eq!(rollout.state, State::Succeeded, "{site}: {} {mishaps:?}", rollout.reason);
        }
        let ecs = self.stage.ecs.lock().unwrap();
        let number: usize = ecs.web["taskDefinition"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        let runs = &ecs.revisions[number - 1].as_ref().expect("what runs is not deregistered")["containerDefinitions"];
        let deployed = ecs.revisions.iter().flatten().any(|one| one["containerDefinitions"][0]["image"] == "httpd:2");
        assert_eq!(runs[0]["image"], if deployed { "httpd:2" } else { "httpd" }, "work is reverted: {mishaps:?}");
        assert!(ecs.updates <= 6, "{} deployments: {mishaps:?}", ecs.updates);
    }
}

/// Plays the world in which these go wrong, and returns how many calls were made in it.
async fn holds(mishaps: Mishaps) -> usize {
    let world = World::with(&mishaps).await;
    let calls = world.play().await;
    world.check(&mishaps).await;
    calls
}

/// Goes through the worlds in which `mishaps_at` a call go wrong, for each call.
async fn explore(mishaps_at: impl Fn(usize) -> Mishaps) {
    let calm = holds(Vec::new()).await;
    assert!(calm > 20, "only {calm} calls");
    for call in 0..calm {
        holds(mishaps_at(call)).await;
    }
    println!("{calm} worlds");
}

#[tokio::test(start_paused = true)]
async fn an_invocation_dies_before_each_call() {
    explore(|call| vec![(call, Mishap::Dies)]).await;
}

#[tokio::test(start_paused = true)]
async fn an_invocation_dies_after_each_call() {
    explore(|call| vec![(call, Mishap::DiesAfter)]).await;
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_each_call_is_lost() {
    explore(|call| vec![(call, Mishap::LosesAnswer)]).await;
}

#[tokio::test(start_paused = true)]
async fn somebody_else_deploys_before_each_call() {
    explore(|call| vec![(call, Mishap::Outsider)]).await;
}

#[tokio::test(start_paused = true)]
async fn somebody_else_deploys_before_each_call_whose_answer_is_lost() {
    explore(|call| vec![(call, Mishap::Outsider), (call, Mishap::LosesAnswer)]).await;
}

#[tokio::test(start_paused = true)]
async fn somebody_else_deploys_before_each_call_with_which_the_invocation_ends() {
    explore(|call| vec![(call, Mishap::Outsider), (call, Mishap::DiesAfter)]).await;
}
