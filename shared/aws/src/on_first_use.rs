//! SDK clients that are made when they are first used: to make one takes a good part of a start, as each reads its own
//! table of AWS's partitions, and few invocations call every service.

use std::{
    ops::Deref,
    sync::{Arc, LazyLock},
};

use aws_types::SdkConfig;

/// A client that is made when it is first used. Clones share it.
#[derive(Clone, Debug)]
pub struct OnFirstUse<C>(Arc<LazyLock<C, Box<dyn FnOnce() -> C + Send>>>);

impl<C: 'static> OnFirstUse<C> {
    /// The client that `make` will make from `sdk`.
    #[must_use]
    pub fn new(sdk: &SdkConfig, make: fn(&SdkConfig) -> C) -> Self {
        let sdk = sdk.clone();
        Self(Arc::new(LazyLock::new(Box::new(move || make(&sdk)))))
    }
}

impl<C> Deref for OnFirstUse<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    static MADE: AtomicU32 = AtomicU32::new(0);

    fn make(_: &SdkConfig) -> u32 {
        MADE.fetch_add(1, Ordering::Relaxed)
    }

    #[test]
    fn a_client_is_made_once_and_only_when_it_is_used() {
        let client = OnFirstUse::new(&SdkConfig::builder().build(), make);
        let clone = client.clone();
        assert_eq!(MADE.load(Ordering::Relaxed), 0);
        assert_eq!((*client, *clone, *client), (0, 0, 0));
        assert_eq!(MADE.load(Ordering::Relaxed), 1);
    }
}
