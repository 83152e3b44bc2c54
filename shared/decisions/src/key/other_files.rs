//! What people paste in place of a public key's line, told apart so that the refusal can help. Nothing of what was given
//! is repeated: it may be secret.

use crate::text::Invalid;

const LEAKED: &str =
    "this is a private key: treat it as leaked, make a new pair, and give the .pub file's line instead";

/// Beginnings of private keys without their header: OpenSSH's magic `openssh-key-v1` and DER's sequences, in base64.
const HEADERLESS: [&str; 6] = ["b3BlbnNzaC1rZXktdjE", "MII", "MIG", "MC4CAQAwBQYDK2Vw", "MHcCAQEE", "MGgCAQEE"];

/// Refuses what is recognized as something else than the line of a public key.
pub(super) fn refuse(text: &str) -> Result<(), Invalid> {
    let refused = |sentence: &str| Err(Invalid(sentence.to_owned()));
    if is_private(text) {
        return refused(LEAKED);
    }
    if text.contains("BEGIN SSH2 PUBLIC KEY") {
        return refused(
            "this is a public key in the form of RFC 4716, as PuTTYgen saves it: convert it with `ssh-keygen -i -f FILE`, and give the line that it prints",
        );
    }
    if text.contains("BEGIN PUBLIC KEY") || text.contains("BEGIN RSA PUBLIC KEY") {
        return refused(
            "this is a public key in PEM form: convert it with `ssh-keygen -i -m PKCS8 -f FILE`, and give the line that it prints",
        );
    }
    if text.lines().count() > 1 {
        return refused("a public key is one line: give each key as a string of its own");
    }
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let keys = words.windows(2).filter(|pair| is_algorithm(pair[0]) && pair[1].starts_with("AAAA"));
    if keys.count() > 1 {
        return refused("these are two keys on one line: give each key as a string of its own");
    }
    if words.first().is_some_and(|word| !is_algorithm(word)) && words.iter().any(|word| is_algorithm(word)) {
        return refused("options before the key are not taken by Transfer Family: begin with the algorithm");
    }
    Ok(())
}

fn is_private(text: &str) -> bool {
    text.contains("PRIVATE KEY")
        || text.starts_with("PuTTY-User-Key-File")
        || text.contains("Private-Lines:")
        || HEADERLESS.iter().any(|beginning| text.starts_with(beginning))
}

fn is_algorithm(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|beginning| word.starts_with(beginning))
}
