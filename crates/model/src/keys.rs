//! Session keys, few enough to count, and sets of them.

use std::fmt;
use std::ops::{Index, IndexMut};

/// How many keys there are: two for the sessions that are there at the beginning, and one for each request.
pub const KEYS: usize = 2 + crate::world::MAX_REQUESTS;

/// A session's key; and its token, which nobody can tell from it here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u8);

impl Key {
    /// The key of the first session that is there at the beginning.
    pub const FIRST: Self = Self(0);
    /// The key of the second one.
    pub const SECOND: Self = Self(1);

    /// The fresh key of a request.
    #[must_use]
    pub fn fresh(request: usize) -> Self {
        Self(u8::try_from(2 + request).expect("there are few requests"))
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..u8::try_from(KEYS).expect("there are few keys")).map(Self)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}", self.0)
    }
}

/// One value per key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PerKey<T>([T; KEYS]);

impl<T> Index<Key> for PerKey<T> {
    type Output = T;

    fn index(&self, key: Key) -> &T {
        &self.0[usize::from(key.0)]
    }
}

impl<T> IndexMut<Key> for PerKey<T> {
    fn index_mut(&mut self, key: Key) -> &mut T {
        &mut self.0[usize::from(key.0)]
    }
}

/// A set of keys.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Keys(u8);

impl Keys {
    /// Adds a key.
    pub fn insert(&mut self, key: Key) {
        self.0 |= 1 << key.0;
    }

    /// Takes a key away.
    pub fn remove(&mut self, key: Key) {
        self.0 &= !(1 << key.0);
    }

    /// Adds the keys of another set.
    pub fn extend(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Whether a key is in it.
    #[must_use]
    pub fn contains(self, key: Key) -> bool {
        self.0 & (1 << key.0) != 0
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many are.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Its keys, in order.
    pub fn iter(self) -> impl Iterator<Item = Key> {
        Key::all().filter(move |key| self.contains(*key))
    }
}

impl FromIterator<Key> for Keys {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        let mut set = Self::default();
        for key in keys {
            set.insert(key);
        }
        set
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
