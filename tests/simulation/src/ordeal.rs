//! One call of a function that goes wrong, by its place among all of them.

use wharfinger_emulator::endpoint::wire::Call;

/// What goes wrong at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Its caller dies once it is made.
    Dies,
    /// AWS is too busy for it.
    Throttled,
    /// It is made, and its answer is lost.
    LosesAnswer,
    /// It is made, and its answer never comes.
    NeverAnswers,
}

/// Which calls count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// All.
    All,
    /// Those that change something.
    Changing,
    /// Those that only look.
    Looking,
}

/// Why the server falls asleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// A person orders it.
    Ordered,
    /// Nobody is there.
    Idle,
}

/// Which calls go wrong: of those that count the first that is not skipped, then every `step`th.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// Why the server falls asleep.
    pub because: Because,
    /// What goes wrong.
    pub mishap: Mishap,
    /// Which calls count.
    pub calls: Calls,
    /// So many are skipped.
    pub skip: usize,
    /// How far the next one is.
    pub step: usize,
}

/// A call among those that functions make while something happens: the first of its kind, or a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Who calls what.
    pub(crate) call: String,
    nth: usize,
    looks: bool,
}

/// The calls that functions make while something happens, one of which may go wrong.
#[derive(Clone, Debug)]
pub(crate) struct Ordeal {
    places: Vec<Place>,
    goes_wrong: Option<(Mishap, Place)>,
}

impl Trial {
    /// The calls that go wrong in turn, of all that are made where none does.
    pub(crate) fn of(self, places: Vec<Place>) -> Vec<Place> {
        let counts = |place: &Place| match self.calls {
            Calls::All => true,
            Calls::Changing => !place.looks,
            Calls::Looking => place.looks,
        };
        places.into_iter().filter(counts).skip(self.skip).step_by(self.step).collect()
    }
}

impl Ordeal {
    /// The call at a place goes wrong, or none.
    pub(crate) fn new(mishap: Mishap, place: Option<Place>) -> Self {
        Self { places: Vec::new(), goes_wrong: place.map(|place| (mishap, place)) }
    }

    /// What goes wrong at a call, if it is the one.
    pub(crate) fn mishap(&mut self, caller: &str, call: &Call) -> Option<Mishap> {
        let looks = ["Describe", "List", "Get", "Filter", "Query", "Scan", "BatchGet"];
        let looks = looks.iter().any(|word| call.operation.starts_with(word));
        let call = format!("{caller} calls {}:{}", call.service, call.operation);
        let nth = self.places.iter().filter(|place| place.call == call).count();
        self.places.push(Place { call, nth, looks });
        let (mishap, place) = self.goes_wrong.as_ref()?;
        (self.places.last() == Some(place)).then_some(*mishap)
    }

    /// The call that went wrong, if it came.
    pub(crate) fn struck(&self) -> Option<&Place> {
        let (_, place) = self.goes_wrong.as_ref()?;
        self.places.contains(place).then_some(place)
    }

    /// The calls that were made, in order.
    pub(crate) fn into_places(self) -> Vec<Place> {
        self.places
    }
}
