//! What the simulation finds and the product does not mend yet. Each is left out of the usual stories by a feature of
//! its own, and a test asserts that it is still found: once it is mended, the feature joins the usual mix.

use crate::story::Feature;

/// A failure that is expected.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// What it shows.
    pub shows: &'static str,
    /// The stories that show it.
    pub feature: Feature,
    /// The rule that does not hold in them.
    pub rule: &'static str,
}

/// All of them.
pub const KNOWN: [Known; 0] = [];
