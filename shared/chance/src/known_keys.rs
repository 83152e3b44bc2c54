//! RSA keys that everybody can make again, for tests alone. Each is searched for once in a process.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use rand::{SeedableRng as _, rngs::StdRng};
use ssh_key::private::RsaKeypair;

/// How many there are of each size.
pub(crate) const COUNT: usize = 8;

/// Those that were searched for, by number and size.
static FOUND: Mutex<BTreeMap<(usize, usize), RsaKeypair>> = Mutex::new(BTreeMap::new());

/// The key `number` of `bits` bits.
pub(crate) fn rsa_key(number: usize, bits: usize) -> ssh_key::Result<RsaKeypair> {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(key) = found.get(&(number, bits)) {
        return Ok(key.clone());
    }
    let mut generator = StdRng::seed_from_u64(u64::try_from(number).unwrap_or_default());
    let key = RsaKeypair::random(&mut generator, bits)?;
    found.insert((number, bits), key.clone());
    Ok(key)
}
