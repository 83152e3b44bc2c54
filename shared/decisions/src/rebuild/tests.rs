use proptest::prelude::*;

use super::*;

fn address(n: u8) -> AllocationId {
    AllocationId::parse(format!("eipalloc-0000000{n}")).unwrap()
}

fn host_key(n: u8) -> HostKey {
    HostKey { id: format!("hostkey-{n}"), algorithm: "ssh-ed25519".into(), fingerprint: format!("SHA256:{n}") }
}

fn version(label: &str) -> SecretVersion {
    SecretVersion { secret: "main/host-key".into(), label: label.into() }
}

fn kept(n: u8) -> (SecretVersion, Result<Kept, Unanswered>) {
    (version(&format!("label-{n}")), Ok(Kept::Key(format!("SHA256:{n}"))))
}

fn unanswered(temporary: bool) -> Unanswered {
    Unanswered { error: "list host keys: Rate exceeded".into(), temporary }
}

/// A server that can be rebuilt.
fn whole() -> Facts {
    Facts {
        host_keys: Ok(vec![host_key(1), host_key(2)]),
        secrets: vec![kept(1), kept(2), kept(3)],
        made_here: Ok(["SHA256:1", "SHA256:2", "SHA256:3"].map(str::to_owned).into()),
        attached: [address(1)].into(),
        wanted: [address(1)].into(),
        is_left: false,
        accounts: Ok(Accounts::default()),
        lost: Vec::new(),
        roles: vec![("LoggingRole".into(), "arn:aws:iam::1:role/ours".into())],
        may_pass: ["arn:aws:iam::1:role/ours".to_owned()].into(),
    }
}

#[test]
fn a_server_of_which_all_is_ours_lacks_nothing() {
    assert_eq!(lacks(&whole()), []);
    assert_eq!(condition(&[], Timestamp::UNIX_EPOCH), None);
}

#[test]
fn each_thing_that_is_not_ours_is_a_lack() {
    let unknown = Lost::Unknown { member: "QuantumMode".into() };
    let role = ("LoggingRole".to_owned(), "arn:aws:iam::1:role/theirs".to_owned());
    let no_site = ("the site blog does not exist".to_owned(), vec!["alice".to_owned(), "bob".to_owned()]);
    let cases = [
        (Facts { host_keys: Ok(vec![host_key(1), host_key(9)]), ..whole() }, Lack::HostKey(host_key(9))),
        (Facts { secrets: vec![kept(1)], ..whole() }, Lack::HostKey(host_key(2))),
        (
            Facts { secrets: vec![kept(1), kept(2), (version("bad"), Ok(Kept::Unreadable))], ..whole() },
            Lack::Secret(version("bad")),
        ),
        (Facts { attached: [].into(), wanted: [].into(), ..whole() }, Lack::Address),
        (Facts { attached: [address(1), address(2)].into(), ..whole() }, Lack::AddressUnwanted(address(2))),
        (Facts { wanted: [address(1), address(2)].into(), ..whole() }, Lack::AddressDetached(address(2))),
        (Facts { wanted: [address(1), address(2)].into(), is_left: true, ..whole() }, Lack::AddressLeft(address(2))),
        (
            Facts { secrets: vec![kept(1), kept(2), kept(4)], ..whole() },
            Lack::HostKeyFound(FoundHostKey { version: version("label-4"), fingerprint: "SHA256:4".into() }),
        ),
        (Facts { made_here: Err(unanswered(true)), ..whole() }, Lack::Unknown(unanswered(true))),
        (
            Facts { accounts: Ok(Accounts { unrecorded: vec!["mallory".into()], ..Accounts::default() }), ..whole() },
            Lack::Accounts(vec!["mallory".into()]),
        ),
        (
            Facts { accounts: Ok(Accounts { incomplete: [no_site.clone()].into(), ..Accounts::default() }), ..whole() },
            Lack::Incomplete { accounts: no_site.1, reason: no_site.0 },
        ),
        (Facts { lost: vec![unknown.clone()], ..whole() }, Lack::Setting(unknown)),
        (Facts { roles: vec![role.clone()], ..whole() }, Lack::Role { member: role.0, role: role.1 }),
    ];
    for (facts, lack) in cases {
        assert_eq!(lacks(&facts), [lack]);
    }
}

#[test]
fn a_key_that_the_server_does_not_have_yet_is_no_lack() {
    let secrets = vec![kept(1), kept(2), (version("none"), Ok(Kept::Nothing))];
    assert_eq!(lacks(&Facts { host_keys: Ok(vec![host_key(1)]), secrets, ..whole() }), []);
}

#[test]
fn what_was_not_answered_is_a_lack_that_may_pass() {
    for temporary in [true, false] {
        let missing = || unanswered(temporary);
        for facts in [
            Facts { host_keys: Err(missing()), ..whole() },
            Facts { secrets: vec![(version("s"), Err(missing()))], ..whole() },
            Facts { accounts: Err(missing()), ..whole() },
        ] {
            let found = lacks(&facts);
            assert_eq!(found, [Lack::Unknown(missing())]);
            let condition = condition(&found, Timestamp::UNIX_EPOCH).unwrap();
            let severity = if temporary { Severity::Warning } else { Severity::Error };
            assert_eq!((condition.severity, condition.remedy.is_empty()), (severity, temporary));
        }
    }
}

#[test]
fn the_condition_tells_every_lack_and_each_remedy_once() {
    let lacks = [Lack::HostKey(host_key(9)), Lack::Accounts((0..7).map(|n| format!("user{n}")).collect())];
    let twice = [lacks[1].clone(), Lack::Address, lacks[1].clone()];
    let told = condition(&lacks, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!((told.code.as_ref(), told.severity), (NOT_REBUILDABLE, Severity::Error));
    for part in ["hostkey-9", "SHA256:9", "user4 and 2 more"] {
        assert!(told.message.contains(part), "{part}: {}", told.message);
    }
    assert!(!told.message.contains("user5") && told.remedy.contains("SECRETS_MANAGER"), "{told:?}");
    let remedy = condition(&twice, Timestamp::UNIX_EPOCH).unwrap().remedy;
    assert_eq!(remedy.matches("record these users").count(), 1, "{remedy}");
}

#[test]
fn a_person_is_told_which_version_to_put_a_key_into_and_never_to_delete_the_secret_of_the_others() {
    let told = condition(&[Lack::Secret(version("rsa"))], Timestamp::UNIX_EPOCH).unwrap();
    assert!(told.message.contains("the version rsa of the secret main/host-key"), "{}", told.message);
    assert!(told.remedy.contains("--secret-id main/host-key --version-stages rsa "), "{}", told.remedy);
    assert!(!told.remedy.contains("delete"), "{}", told.remedy);
}

/// Facts of any kind over a small world, so that they often meet.
fn facts() -> impl Strategy<Value = Facts> {
    let keys = prop::collection::vec(0..4_u8, 0..4);
    let answer = prop_oneof![3 => Just(None), 1 => any::<bool>().prop_map(Some)];
    let set = || prop::collection::btree_set((0..3_u8).prop_map(address), 0..3);
    (keys.clone(), keys, answer.clone(), answer.clone(), answer, set(), set()).prop_map(
        |(on_aws, ours, keys, secret, accounts, attached, wanted)| Facts {
            host_keys: keys.map_or_else(|| Ok(on_aws.into_iter().map(host_key).collect()), |it| Err(unanswered(it))),
            secrets: ours
                .into_iter()
                .map(kept)
                .chain(secret.map(|temporary| (version("s"), Err(unanswered(temporary)))))
                .collect(),
            attached,
            wanted,
            accounts: accounts.map_or_else(|| Ok(Accounts::default()), |it| Err(unanswered(it))),
            ..whole()
        },
    )
}

/// The plain meaning: all was answered, each key on AWS is in a secret and each in a secret is there or ours, and the addresses are those of the spec.
fn is_whole(facts: &Facts) -> bool {
    let Ok(keys) = &facts.host_keys else { return false };
    let in_secret =
        |key: &HostKey| facts.secrets.iter().any(|(_, kept)| *kept == Ok(Kept::Key(key.fingerprint.clone())));
    let ours = |kept: &Kept| match kept {
        Kept::Key(fingerprint) => {
            facts.made_here.as_ref().is_ok_and(|made| made.contains(fingerprint))
                || keys.iter().any(|key| key.fingerprint == *fingerprint)
        }
        _ => true,
    };
    facts.secrets.iter().all(|(_, kept)| kept.as_ref().is_ok_and(ours))
        && facts.accounts.is_ok()
        && keys.iter().all(in_secret)
        && facts.attached == facts.wanted
        && !facts.wanted.is_empty()
}

proptest! {
    #[test]
    fn only_what_can_be_rebuilt_lacks_nothing(facts in facts()) {
        prop_assert_eq!(lacks(&facts).is_empty(), is_whole(&facts));
    }

    #[test]
    fn a_further_strange_key_never_makes_a_server_whole(facts in facts()) {
        let mut more = facts.clone();
        if let Ok(keys) = &mut more.host_keys {
            keys.push(host_key(9));
        }
        prop_assert!(!lacks(&more).is_empty());
        prop_assert!(lacks(&more).len() >= lacks(&facts).len());
    }

    #[test]
    fn a_condition_is_there_with_the_first_lack_and_passes_only_if_all_do(facts in facts()) {
        let found = lacks(&facts);
        let condition = condition(&found, Timestamp::UNIX_EPOCH);
        prop_assert_eq!(condition.is_some(), !found.is_empty());
        if let Some(condition) = condition {
            prop_assert_eq!(condition.severity == Severity::Warning, found.iter().all(Lack::passes_by_itself));
        }
    }
}

#[test]
fn lacks_pass_by_themselves_only_if_each_of_them_does() {
    let (passes, lasts) = (Lack::AddressDetached(address(1)), Lack::AddressLeft(address(2)));
    assert!(pass(&[]) && pass(std::slice::from_ref(&passes)) && !pass(&[passes.clone(), lasts.clone()]));
    assert_eq!(foremost(&[passes.clone(), lasts.clone()]), Some(&lasts));
    assert_eq!(foremost(std::slice::from_ref(&passes)), Some(&passes));
}
