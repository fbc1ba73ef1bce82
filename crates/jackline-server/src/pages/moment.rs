//! A time as a page shows it.

use jackline::lifecycle::UnixMs;
use jiff::Timestamp;

/// A moment: for machines as RFC 3339, for people in words. In UTC, and it says so: a page without scripts does not know the reader's zone.
#[derive(Debug)]
pub struct Moment {
    iso: String,
    text: String,
}

impl Moment {
    /// The moment with its date.
    pub fn of(at: UnixMs) -> Self {
        Self {
            iso: crate::routes::sessions::rfc3339(at),
            text: timestamp(at).strftime("%-d %B %Y, %H:%M UTC").to_string(),
        }
    }

    /// The same of milliseconds since 1970, as users have them.
    pub fn of_ms(at: i64) -> Self {
        Self::of(UnixMs::from_millis(u64::try_from(at).unwrap_or_default()))
    }

    /// The time of the day, to the second.
    pub fn clock(at: UnixMs) -> Self {
        Self {
            text: timestamp(at).strftime("%H:%M:%S").to_string(),
            ..Self::of(at)
        }
    }

    /// How long before `now` it was.
    pub fn before(at: UnixMs, now: UnixMs) -> Self {
        let text = match now.since(at).as_secs() / 60 {
            0 => "just now".to_owned(),
            1 => "a minute ago".to_owned(),
            minutes @ 2..60 => format!("{minutes} minutes ago"),
            60..120 => "an hour ago".to_owned(),
            minutes @ 120..2880 => format!("{} hours ago", minutes / 60),
            minutes => format!("{} days ago", minutes / 1440),
        };
        Self {
            text,
            ..Self::of(at)
        }
    }

    pub(crate) fn iso(&self) -> &str {
        &self.iso
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

fn timestamp(at: UnixMs) -> Timestamp {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_words() {
        let at = UnixMs::from_millis(1_795_714_263_000);
        assert_eq!(Moment::of(at).text(), "26 November 2026, 17:31 UTC");
        assert_eq!(Moment::of(at).iso(), "2026-11-26T17:31:03.000Z");
        let before = |minutes: u64| {
            let now = UnixMs::from_millis(at.as_millis() + minutes * 60_000);
            Moment::before(at, now).text().to_owned()
        };
        assert_eq!(before(0), "just now");
        assert_eq!(before(1), "a minute ago");
        assert_eq!(before(59), "59 minutes ago");
        assert_eq!(before(61), "an hour ago");
        assert_eq!(before(120), "2 hours ago");
        assert_eq!(before(2880), "2 days ago");
    }
}
