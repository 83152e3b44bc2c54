//! A site: a directory on EFS, and the ECS service and container that mount it.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::{
    directory::{Directory, MountPath},
    duration::HumanDuration,
    freeze::{Freeze, ZoneName, leave_time},
    ids::{AccessPointId, EcsName, FileSystemId},
    pattern::Pattern,
    text::{Misfit, all_fit},
};

/// The most entries of `finish.ignore` and of `finish.freeze`.
const MOST_RULES: usize = 20;

/// What a person wants of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteSpec {
    /// The file system that holds it.
    pub file_system_id: FileSystemId,
    /// Its directory there. It must exist before a user can log in to it or a container can mount it.
    pub directory: Directory,
    /// An access point to mount through; its root is then what the container sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_point_id: Option<AccessPointId>,
    /// The ECS cluster of the service.
    pub cluster: EcsName,
    /// The ECS service that is rolled out.
    pub service: EcsName,
    /// The container that mounts the directory: with `mount_path` the short form of one of `mounts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<EcsName>,
    /// Where the container mounts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<MountPath>,
    /// Where it is mounted, in the long form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// When uploads count as finished.
    #[serde(default)]
    pub finish: Finish,
    /// How many of its task-definition revisions are kept for rollbacks: 2 to 100.
    #[serde(default = "default_keep_revisions")]
    pub keep_revisions: u32,
    /// What is done when somebody else's deployment leaves the mounts out.
    #[serde(default, skip_serializing_if = "Drift::is_default")]
    pub drift: Drift,
    /// How long ECS may take over a deployment before the rollout has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict_after: Option<HumanDuration>,
    /// Whether a finished window waits until a person asks for its rollout.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
}

/// A place in the service's containers where the directory is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The container.
    pub container: EcsName,
    /// The path in it.
    pub path: MountPath,
    /// Whether it can't be written there. Absent: as the task definition has it, and writable where it has no mount yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

/// What is done about a service that lost the mounts of a site that was rolled out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// They are rolled out again.
    #[default]
    Repair,
    /// It is told, and left for a person or the next upload.
    Report,
}

impl Drift {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Mount {
    /// Whether both are the same place.
    #[must_use]
    pub fn is_at(&self, other: &Self) -> bool {
        (&self.container, &self.path) == (&other.container, &other.path)
    }
}

/// The most places of a site.
pub const MOST_MOUNTS: usize = 20;

/// How long ECS may take where the site does not say. Without the circuit breaker it never gives up, and a site whose
/// rollout never ends would never have another.
pub const VERDICT_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// The bounds of `verdict_after`.
const VERDICTS: (SignedDuration, SignedDuration) = (SignedDuration::from_mins(1), SignedDuration::from_hours(30 * 24));

fn default_keep_revisions() -> u32 {
    10
}

/// When a burst of uploads counts as finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Finish {
    /// How long nothing must have changed.
    pub quiet_period: HumanDuration,
    /// How long after the first change a rollout starts at the latest.
    pub max_wait: HumanDuration,
    /// The name of a file whose upload finishes the window at once.
    pub marker: Option<String>,
    /// How long a partial upload holds the window back.
    pub hold_partial_for: HumanDuration,
    /// How much time passes between the beginnings of two rollouts at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_interval: Option<HumanDuration>,
    /// Files and directories that no rollout is for, at most 20 patterns of names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<Pattern>,
    /// Parts of the week in which no rollout starts by itself, at most 20.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<Freeze>,
    /// The time zone of `freeze`; `None`: UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<ZoneName>,
}

impl Default for Finish {
    fn default() -> Self {
        Self {
            quiet_period: HumanDuration::from_secs(60),
            max_wait: HumanDuration::from_secs(15 * 60),
            marker: None,
            hold_partial_for: HumanDuration::from_secs(30 * 60),
            min_interval: None,
            ignore: Vec::new(),
            freeze: Vec::new(),
            time_zone: None,
        }
    }
}

impl Finish {
    /// Whether no rollout is for `file`, a path below the site's directory.
    #[must_use]
    pub fn ignores(&self, file: &str) -> bool {
        self.ignore.iter().any(|pattern| pattern.is_in(file))
    }

    fn check(&self) -> [Option<Misfit>; 6] {
        let is_name = |marker: &str| {
            !marker.is_empty() && !marker.contains('/') && !matches!(marker, "." | "..") && marker.len() <= 255
        };
        let too_short = || {
            let sentence = format!("{} is shorter than quiet_period, {}", self.max_wait, self.quiet_period);
            Misfit::new("/finish/max_wait", sentence)
        };
        let no_name =
            || Misfit::new("/finish/marker", "a marker is the name of a file, such as .deploy, without a slash");
        let marker = self.marker.as_deref();
        let too_many = |field, of: &str| Misfit::new(field, format!("give {MOST_RULES} {of} at most"));
        [
            (self.max_wait < self.quiet_period).then(too_short),
            marker.is_some_and(|marker| !is_name(marker)).then(no_name),
            marker.is_some_and(|marker| self.ignores(marker)).then(|| {
                Misfit::new("/finish/ignore", "the marker is among what is ignored: choose another name or pattern")
            }),
            (self.ignore.len() > MOST_RULES).then(|| too_many("/finish/ignore", "patterns")),
            (self.freeze.len() > MOST_RULES).then(|| too_many("/finish/freeze", "freezes")),
            (!leave_time(&self.freeze)).then(|| {
                let sentence = "the freezes leave no minute of the week for a rollout: shorten one, or use approval";
                Misfit::new("/finish/freeze", sentence)
            }),
        ]
    }
}

impl SiteSpec {
    /// Checks what concerns several fields.
    ///
    /// # Errors
    /// All violations.
    pub fn check(&self) -> Result<(), Vec<Misfit>> {
        let own = [
            (!(2..=100).contains(&self.keep_revisions))
                .then(|| Misfit::new("/keep_revisions", "keep 2 to 100 revisions")),
            self.misfit_of_mounts(),
            self.verdict_after
                .is_some_and(|after| !(VERDICTS.0..=VERDICTS.1).contains(&after.get()))
                .then(|| Misfit::new("/verdict_after", "give ECS one minute to 30 days")),
        ];
        all_fit(self.finish.check().into_iter().chain(own))
    }

    fn misfit_of_mounts(&self) -> Option<Misfit> {
        let short = (self.container.is_some(), self.mount_path.is_some());
        let (at, sentence) = match (short, self.mounts.len()) {
            ((true, true), 0) => return None,
            ((false, false), 0) => ("/mounts", "name the container and its mount_path, or a list of mounts".to_owned()),
            ((true, false), 0) => {
                ("/mount_path", "give the path at which the container mounts the directory".to_owned())
            }
            ((false, true), 0) => ("/container", "name the container that mounts the directory".to_owned()),
            ((false, false), many) if many > MOST_MOUNTS => {
                ("/mounts", format!("mount it in {MOST_MOUNTS} places at most"))
            }
            ((false, false), _) => {
                let mounts = self.mounts.iter().enumerate();
                let mut twice = mounts.filter(|(place, mount)| self.mounts[..*place].iter().any(|it| it.is_at(mount)));
                let (_, mount) = twice.next()?;
                ("/mounts", format!("{} of {} is there twice", mount.path, mount.container))
            }
            _ => ("/mounts", "give either container and mount_path, or mounts".to_owned()),
        };
        Some(Misfit::new(at, sentence))
    }

    /// Where the directory is mounted.
    #[must_use]
    pub fn places(&self) -> Vec<Mount> {
        match (&self.container, &self.mount_path) {
            (Some(container), Some(path)) => {
                vec![Mount { container: container.clone(), path: path.clone(), read_only: None }]
            }
            _ => self.mounts.clone(),
        }
    }

    /// How long ECS may take over a deployment before the rollout has failed.
    #[must_use]
    pub fn patience(&self) -> SignedDuration {
        self.verdict_after.map_or(VERDICT_AFTER, HumanDuration::get)
    }

    /// The same site with a patience of `most` at most.
    #[must_use]
    pub fn with_patience_of(&self, most: SignedDuration) -> Self {
        let seconds = u32::try_from(most.as_secs()).ok().filter(|_| self.patience() > most);
        Self { verdict_after: seconds.map(HumanDuration::from_secs).or(self.verdict_after), ..self.clone() }
    }

    /// Whether both sites would roll out the same service: two sites may, if they mount at different paths.
    #[must_use]
    pub fn shares_service_with(&self, other: &Self) -> bool {
        self.cluster == other.cluster && self.service == other.service
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn with(fields: &Value) -> SiteSpec {
        let mut spec = json!({"file_system_id": "fs-0a1b2c3d4e5f60718", "directory": "/sites/blog", "cluster": "local",
            "service": "web"});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn the_short_form_is_a_mount_whose_writability_is_the_owners() {
        let spec = with(&json!({"container": "web", "mount_path": "/srv"}));
        assert!(spec.check().is_ok());
        let places = serde_json::to_value(spec.places()).unwrap();
        assert_eq!(places, json!([{"container": "web", "path": "/srv"}]));
        let written = serde_json::to_value(&spec).unwrap();
        assert!(written.get("mounts").is_none() && written.get("drift").is_none(), "as earlier versions wrote it");
    }

    #[test]
    fn mounts_are_given_in_one_form_and_each_place_once() {
        let place = json!({"container": "web", "path": "/srv", "read_only": true});
        let other = json!({"container": "side", "path": "/srv"});
        assert!(with(&json!({"mounts": [place, other]})).check().is_ok());
        for (fields, at) in [
            (json!({}), "/mounts"),
            (json!({"container": "web"}), "/mount_path"),
            (json!({"mount_path": "/srv"}), "/container"),
            (json!({"container": "web", "mount_path": "/srv", "mounts": [place]}), "/mounts"),
            (json!({"container": "web", "mounts": [place]}), "/mounts"),
            (json!({"mounts": [place, {"container": "web", "path": "/srv"}]}), "/mounts"),
            (json!({"mounts": [place], "verdict_after": "59s"}), "/verdict_after"),
        ] {
            let misfits = with(&fields).check().unwrap_err();
            assert_eq!(misfits.iter().map(|misfit| misfit.field).collect::<Vec<_>>(), [at], "{fields}");
        }
    }

    fn refused(finish: &Value) -> Vec<String> {
        let finish: Finish = serde_json::from_value(finish.clone()).unwrap();
        finish.check().into_iter().flatten().map(|misfit| misfit.to_string()).collect()
    }

    #[test]
    fn what_does_not_fit_together_is_refused_with_a_sentence() {
        assert!(
            refused(&json!({"marker": ".deploy", "ignore": ["*.tmp"], "freeze": ["Fri 16:00 - Mon 08:00"]})).is_empty()
        );
        let ignored = refused(&json!({"marker": ".deploy", "ignore": [".*"]}));
        assert!(ignored.len() == 1 && ignored[0].starts_with("/finish/ignore: the marker is among"), "{ignored:?}");
        let always = refused(&json!({"freeze": ["Mon 00:00 - Thu 00:00", "Thu 00:00 - Mon 00:00"]}));
        assert!(
            always.len() == 1 && always[0].starts_with("/finish/freeze: the freezes leave no minute"),
            "{always:?}"
        );
        assert_eq!(refused(&json!({"ignore": vec!["*.tmp"; 21]})), ["/finish/ignore: give 20 patterns at most"]);
    }

    #[test]
    fn what_is_not_asked_for_is_not_written() {
        let written = serde_json::to_value(Finish::default()).unwrap();
        assert_eq!(
            written,
            json!({"quiet_period": "1m", "max_wait": "15m", "marker": null, "hold_partial_for": "30m"})
        );
    }
}
