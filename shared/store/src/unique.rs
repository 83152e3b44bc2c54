//! Claims to what only one resource may have: an Elastic IP, a security group's rules, a directory, a mount path.
//!
//! Reading all others and then writing is a race. So each claim is an item of its own, in the partition `UNIQUE`,
//! written in one transaction with the intent. Records of versions without such items are protected by the reading
//! alone until they are next written.

use aws_sdk_dynamodb::types::TransactWriteItem;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::table::{Guard, Key, StoreError, Table};

/// The partition of all claims.
pub const PARTITION: &str = "UNIQUE";

/// The longest sort key that DynamoDB takes, in bytes.
const LONGEST_KEY: usize = 1024;

/// Something that only one resource may have: `address#eipalloc-…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim(String);

impl Claim {
    /// The claim to `what`, of the kind `kind`, or `None` if it is too long for a key: then reading alone protects it.
    #[must_use]
    pub fn new(kind: &str, what: &[&str]) -> Option<Self> {
        let key = format!("{kind}#{}", what.join("#"));
        (key.len() <= LONGEST_KEY).then_some(Self(key))
    }

    fn key(&self) -> Key {
        Key::new(PARTITION, self.0.as_str())
    }
}

/// Who holds a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holding {
    held_by: String,
    written_by: String,
}

/// A claim as it was read, by a writer who is about to make it.
#[derive(Clone, Debug)]
pub struct Seen {
    claim: Claim,
    holding: Option<Holding>,
}

impl Seen {
    /// The sort key of the resource that holds it, unless that is `own` itself.
    #[must_use]
    pub fn other_holder(&self, own: &Key) -> Option<&str> {
        let holder = self.holding.as_ref().map(|holding| holding.held_by.as_str()).filter(|by| *by != holder(own))?;
        Some(holder.split_once('/').map_or(holder, |(_, name)| name))
    }
}

fn holder(key: &Key) -> String {
    format!("{}/{}", key.pk, key.sk)
}

impl Table {
    /// Reads `claims`. Call it before reading the resources that may hold them: if a holder that is read afterwards
    /// does not make the claim, the claim is stale and may be taken over.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn claims(&self, claims: Vec<Claim>) -> Result<Vec<Seen>, StoreError> {
        let seen = claims.into_iter().map(|claim| async move {
            let holding = self.read::<Holding>(&claim.key()).await?.and_then(Result::ok);
            Ok(Seen { claim, holding })
        });
        try_join_all(seen).await
    }

    /// The writes that give `own` what it now claims, `seen`, and free what it claimed `before` and no longer does.
    ///
    /// # Errors
    /// When DynamoDB fails, or a value can't be represented in it.
    pub async fn claiming(
        &self,
        own: &Key,
        seen: &[Seen],
        before: &[Claim],
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let given_up = before.iter().filter(|claim| !seen.iter().any(|seen| seen.claim == **claim));
        let mut writes = self.freeing(own, given_up).await?;
        for Seen { claim, holding } in seen {
            let free = match holding {
                Some(holding) if holding.held_by == holder(own) => Guard::that("held_by = :own"),
                Some(left) => Guard::that("held_by = :own OR written_by = :left").value(":left", &left.written_by)?,
                None => Guard::that("attribute_not_exists(pk) OR held_by = :own"),
            };
            let holding = Holding { held_by: holder(own), written_by: self.chance().id() };
            writes.push(self.put_in_transaction(&claim.key(), &holding, free.value(":own", holder(own))?)?);
        }
        Ok(writes)
    }

    /// The writes that free what `own` holds of `claims`. What another resource holds is left alone: a version without
    /// claims may have given it away.
    pub(crate) async fn freeing<'a>(
        &self,
        own: &Key,
        claims: impl IntoIterator<Item = &'a Claim>,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let seen = self.claims(claims.into_iter().cloned().collect()).await?;
        let held = seen.iter().filter(|seen| seen.holding.as_ref().is_some_and(|held| held.held_by == holder(own)));
        let free = |seen: &Seen| {
            let guard = Guard::that("attribute_not_exists(pk) OR held_by = :own").value(":own", holder(own))?;
            Ok(self.delete_in_transaction(&seen.claim.key(), guard))
        };
        held.map(free).collect()
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_chance::Chance;
    use wharfinger_test_cloud::{Cloud, TABLE};

    use super::*;

    async fn claim(table: &Table, own: &Key, claim: &Claim, before: &[Claim]) -> Result<(), StoreError> {
        let seen = table.claims(vec![claim.clone()]).await?;
        let writes = table.claiming(own, &seen, before).await?;
        table.transact("claim", writes).await
    }

    #[tokio::test]
    async fn what_another_holds_does_not_hold_up_who_gives_it_up() {
        let table = Table::new(aws_sdk_dynamodb::Client::new(&Cloud::new().sdk()), TABLE, Chance::seeded(1));
        let (main, other) = (Key::new("SERVERS", "main"), Key::new("SERVERS", "other"));
        let address = |id: &str| Claim::new("address", &[id]).unwrap();
        claim(&table, &main, &address("eipalloc-1"), &[]).await.unwrap();

        // A version without markers gave the address of `main` to `other`, which gives it up now.
        claim(&table, &other, &address("eipalloc-2"), &[address("eipalloc-1")]).await.unwrap();

        let seen = table.claims(vec![address("eipalloc-1"), address("eipalloc-2")]).await.unwrap();
        let holders: Vec<_> = seen.into_iter().map(|seen| seen.holding.map(|held| held.held_by)).collect();
        assert_eq!(holders, [Some("SERVERS/main".to_owned()), Some("SERVERS/other".to_owned())]);
    }

    #[tokio::test]
    async fn what_is_given_up_is_free() {
        let table = Table::new(aws_sdk_dynamodb::Client::new(&Cloud::new().sdk()), TABLE, Chance::seeded(1));
        let (main, address) = (Key::new("SERVERS", "main"), |id: &str| Claim::new("address", &[id]).unwrap());
        claim(&table, &main, &address("eipalloc-1"), &[]).await.unwrap();
        claim(&table, &main, &address("eipalloc-2"), &[address("eipalloc-1")]).await.unwrap();
        let seen = table.claims(vec![address("eipalloc-1")]).await.unwrap();
        assert!(seen[0].holding.is_none());
    }
}
