//! How long sessions last and how many a user has. Once built, `idle ≤ absolute`, `admin_absolute ≤ absolute`,
//! `renewal_step < idle` and `step_up_age ≤ absolute` hold, and every length is more than zero: the fields are private so that they
//! stay so. Defaults shrink with what is set: `JACKLINE_ABSOLUTE_TIMEOUT=2s` alone is no contradiction, two settings that disagree are.

use std::num::NonZeroU32;
use std::time::Duration;

use super::deployment::Deployment;
use super::duration::{self, Bounds, DAY, HOUR, MINUTE, SECOND, show};
use super::names::Setting;
use super::source::Reader;

/// The clocks of a session and the cap per user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    idle: Duration,
    absolute: Duration,
    admin_absolute: Duration,
    renewal_step: Duration,
    step_up_age: Duration,
    max_sessions: NonZeroU32,
}

impl SessionLimits {
    /// How long a session outlives its last use. Default 30 minutes (OWASP: 15 to 30 for low-risk applications).
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// How long a session outlives its login, however busy. Default 8 hours, a working day.
    pub fn absolute(&self) -> Duration {
        self.absolute
    }

    /// The same for administrators. Default 1 hour.
    pub fn admin_absolute(&self) -> Duration {
        self.admin_absolute
    }

    /// How stale "last seen" may become before a request writes it anew. Default 1 minute, and never more than a thirtieth of a
    /// short idle limit: each step spares writes and costs that much precision.
    pub fn renewal_step(&self) -> Duration {
        self.renewal_step
    }

    /// How fresh an authentication must be for sensitive actions. Default 5 minutes.
    pub fn step_up_age(&self) -> Duration {
        self.step_up_age
    }

    /// How many sessions a user may have at once. Default 10.
    pub fn max_sessions(&self) -> NonZeroU32 {
        self.max_sessions
    }
}

const DEFAULT_MAX_SESSIONS: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");
const MOST_SESSIONS: u32 = 10_000;

const DEFAULT_LOGIN_ATTEMPTS: NonZeroU32 = NonZeroU32::new(5).expect("five is not zero");
/// As many in a row as NIST allows at all (SP 800-63B-4, section 3.2.2).
const MOST_LOGIN_ATTEMPTS: u32 = 100;

const LONGEST_SESSION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(crate) fn read(reader: &mut Reader) -> SessionLimits {
    let absolute = read_absolute(reader).unwrap_or(8 * HOUR);
    let idle = read_within(
        reader,
        Setting::IDLE_TIMEOUT,
        &Bounds {
            least: SECOND,
            most: LONGEST_SESSION,
            why: "a session that nobody uses for long is one that somebody left open",
            example: "30m",
        },
        absolute,
        "the session would end before it could be idle, and the setting would mean nothing",
    )
    .unwrap_or((30 * MINUTE).min(absolute));
    let admin_absolute = read_within(
        reader,
        Setting::ADMIN_ABSOLUTE_TIMEOUT,
        &Bounds {
            least: SECOND,
            most: LONGEST_SESSION,
            why: "an administrator's session is the one most worth stealing, so it must end soon",
            example: "1h",
        },
        absolute,
        "administrators would stay logged in longer than everyone else",
    )
    .unwrap_or(HOUR.min(absolute));
    let step_up_age = read_within(
        reader,
        Setting::STEP_UP_AGE,
        &Bounds {
            least: SECOND,
            most: DAY,
            why: "sensitive actions ask for a password that was given a moment ago",
            example: "5m",
        },
        absolute,
        "every login would count as fresh for as long as it lasts",
    )
    .unwrap_or((5 * MINUTE).min(absolute));

    SessionLimits {
        idle,
        absolute,
        admin_absolute,
        renewal_step: read_renewal_step(reader, idle),
        step_up_age,
        max_sessions: read_max_sessions(reader),
    }
}

fn read_absolute(reader: &mut Reader) -> Option<Duration> {
    let text = reader.one(Setting::ABSOLUTE_TIMEOUT)?;
    let lower = text.to_ascii_lowercase();
    let endless = matches!(
        lower.as_str(),
        "0" | "-1"
            | "none"
            | "never"
            | "off"
            | "no"
            | "false"
            | "infinite"
            | "infinity"
            | "unlimited"
    ) || humantime::parse_duration(text).is_ok_and(|length| length.is_zero());
    if endless {
        let what = format!("it is {}: no limit at all", reader.quote(text));
        reader.report(
            Setting::ABSOLUTE_TIMEOUT,
            what,
            "a stolen session that is kept busy would never end (P7)",
            "write a length up to 30days, such as `8h`",
        );
        return None;
    }
    duration::read(
        reader,
        Setting::ABSOLUTE_TIMEOUT,
        &Bounds {
            least: SECOND,
            most: LONGEST_SESSION,
            why: "however active it is, a session must end one day, or a stolen one never does (P7)",
            example: "8h",
        },
    )
}

/// Reads a length that may not exceed the absolute limit.
fn read_within(
    reader: &mut Reader,
    setting: Setting,
    bounds: &Bounds,
    absolute: Duration,
    why_not_longer: &str,
) -> Option<Duration> {
    let length = duration::read(reader, setting, bounds)?;
    if length <= absolute {
        return Some(length);
    }
    let origin = if reader.is_given(Setting::ABSOLUTE_TIMEOUT) {
        ""
    } else {
        ", the default"
    };
    reader.report(
        setting,
        format!(
            "it is {}, longer than JACKLINE_ABSOLUTE_TIMEOUT ({}{origin})",
            show(length),
            show(absolute)
        ),
        why_not_longer,
        "make it shorter, or JACKLINE_ABSOLUTE_TIMEOUT longer",
    );
    None
}

fn read_renewal_step(reader: &mut Reader, idle: Duration) -> Duration {
    let default = MINUTE.min(idle / 30);
    let Some(step) = duration::read(
        reader,
        Setting::RENEWAL_STEP,
        &Bounds {
            least: Duration::from_millis(1),
            most: DAY,
            why: "a session's last use is written once per step",
            example: "1m",
        },
    ) else {
        return default;
    };
    if step < idle {
        return step;
    }
    reader.report(
        Setting::RENEWAL_STEP,
        format!(
            "it is {}, not shorter than JACKLINE_IDLE_TIMEOUT ({})",
            show(step),
            show(idle)
        ),
        "a session in use would be taken for an idle one and end",
        "make it a small part of JACKLINE_IDLE_TIMEOUT, or leave it out",
    );
    default
}

fn read_max_sessions(reader: &mut Reader) -> NonZeroU32 {
    read_number(
        reader,
        Setting::MAX_SESSIONS,
        MOST_SESSIONS,
        "with none nobody can log in, and without a cap one stolen password opens sessions without end",
        DEFAULT_MAX_SESSIONS,
    )
}

/// Reads how many logins may fail in a row before the next has to wait.
pub(crate) fn read_login_attempts(reader: &mut Reader, deployment: Deployment) -> NonZeroU32 {
    let most = match deployment {
        Deployment::Production => MOST_LOGIN_ATTEMPTS,
        Deployment::Development => 1_000_000,
    };
    read_number(
        reader,
        Setting::LOGIN_ATTEMPTS,
        most,
        "with none nobody can log in, and with many a weak password is guessed (NIST SP 800-63B-4, section 3.2.2)",
        DEFAULT_LOGIN_ATTEMPTS,
    )
}

fn read_number(
    reader: &mut Reader,
    setting: Setting,
    most: u32,
    why: &str,
    default: NonZeroU32,
) -> NonZeroU32 {
    let Some(text) = reader.one(setting) else {
        return default;
    };
    let number = text.parse::<NonZeroU32>().ok();
    if let Some(number) = number.filter(|number| number.get() <= most) {
        return number;
    }
    let what = format!("it is {}", reader.quote(text));
    let fix = format!("write a whole number from 1 to {most}, such as {default}");
    reader.report(setting, what, why, fix);
    default
}
