use super::*;

#[tokio::test(start_paused = true)]
async fn a_host_key_moves_into_a_secret_and_back() {
    let region = Region::new();
    let (body, fingerprint) = private_key(Algorithm::Ed25519);
    let id = region.create(json!({ "HostKey": body })).await;
    let listed = region.done("ListHostKeys", json!({ "ServerId": id })).await["HostKeys"][0].clone();
    let key = json!({ "ServerId": id, "HostKeyId": listed["HostKeyId"] });
    let shown = region.done("DescribeHostKey", key.clone()).await["HostKey"].clone();
    assert_eq!(shown["HostKeyFingerprint"].as_str().unwrap().trim_end_matches('='), fingerprint);
    assert_eq!((&shown["StorageType"], shown.get("SecretId")), (&json!("SERVICE_MANAGED"), None));
    let with = |member: &str, value: Value| {
        let mut input = key.clone();
        input[member] = value;
        input
    };
    region.done("UpdateHostKey", with("StorageType", json!("SECRETS_MANAGER"))).await;
    region.done("UpdateHostKey", with("Description", json!("old"))).await;
    let shown = region.done("DescribeHostKey", key.clone()).await["HostKey"].clone();
    assert_eq!((&shown["StorageType"], &shown["Description"]), (&json!("SECRETS_MANAGER"), &json!("old")));
    let secret = json!({ "SecretId": shown["SecretId"] });
    let stored = region.secrets.call("GetSecretValue", secret.clone()).await.unwrap();
    let stored = PrivateKey::from_openssh(stored["SecretString"].as_str().unwrap()).unwrap();
    assert_eq!(stored.public_key().fingerprint(HashAlg::Sha256).to_string(), fingerprint);
    region.done("UpdateHostKey", with("StorageType", json!("SERVICE_MANAGED"))).await;
    assert_eq!(region.secrets.call("GetSecretValue", secret).await.unwrap_err().code, "ResourceNotFoundException");
    region.refused("UpdateHostKey", with("KmsKey", json!("arn:aws:kms:us-east-1:000000000000:key/1"))).await;
    region.refused("DeleteHostKey", key).await;
}

#[tokio::test(start_paused = true)]
async fn the_secret_of_a_host_key_goes_with_its_server() {
    let region = Region::new();
    let id = region.online(json!({ "HostKeyStorageType": "SECRETS_MANAGER" })).await;
    let keys = region.done("ListHostKeys", json!({ "ServerId": id })).await["HostKeys"].clone();
    let secrets: Vec<Value> =
        keys.as_array().unwrap().iter().map(|key| json!({ "SecretId": key["SecretId"] })).collect();
    for secret in &secrets {
        region.secrets.call("GetSecretValue", secret.clone()).await.unwrap();
    }
    region.done("DeleteServer", json!({ "ServerId": id })).await;
    for secret in secrets {
        let gone = region.secrets.call("GetSecretValue", secret).await.unwrap_err();
        assert_eq!(gone.code, "ResourceNotFoundException");
    }
}

#[tokio::test(start_paused = true)]
async fn the_oldest_host_key_of_each_algorithm_is_in_use_and_ten_are_the_most() {
    let region = Region::new();
    let id = region.create(json!({ "HostKey": private_key(Algorithm::Ed25519).0 })).await;
    let import = |body: String| json!({ "ServerId": id, "HostKeyBody": body });
    let in_use = || -> Vec<String> {
        let keys = region.transfer.host_keys(&id);
        keys.iter().map(|key| key.public_key().fingerprint(HashAlg::Sha256).to_string()).collect()
    };
    let first = in_use();
    let (second, newer) =
        (private_key(Algorithm::Ed25519), private_key(Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }));
    region.done("ImportHostKey", import(second.0.clone())).await;
    region.done("ImportHostKey", import(newer.0)).await;
    assert_eq!(in_use(), [first[0].clone(), newer.1.clone()]);
    let twice = region.transfer.call("ImportHostKey", import(second.0)).await.unwrap_err();
    assert_eq!(twice.code, "ResourceExistsException");
    for _ in 0..7 {
        region.done("ImportHostKey", import(private_key(Algorithm::Ed25519).0)).await;
    }
    region.refused("ImportHostKey", import(private_key(Algorithm::Ed25519).0)).await;
    let listed = region.done("ListHostKeys", json!({ "ServerId": id })).await["HostKeys"].clone();
    let shown = |key: &&Value| key["Fingerprint"].as_str().unwrap().trim_end_matches('=') == first[0];
    let oldest = listed.as_array().unwrap().iter().find(shown).unwrap();
    region.done("DeleteHostKey", json!({ "ServerId": id, "HostKeyId": oldest["HostKeyId"] })).await;
    assert_eq!(in_use(), [second.1, newer.1], "the next one is the oldest now");
    let gone =
        region.transfer.call("DescribeHostKey", json!({ "ServerId": id, "HostKeyId": oldest["HostKeyId"] })).await;
    assert_eq!(gone.unwrap_err().members["ResourceType"], "HostKey");
}
