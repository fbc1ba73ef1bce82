//! In the place of `announce`, where there is no near-cache that anything could be announced to.

use crate::token::SessionKey;

pub(super) enum Announcer {}

impl Announcer {
    pub(super) fn overtaken(&self, _: &SessionKey) {
        match *self {}
    }
}
