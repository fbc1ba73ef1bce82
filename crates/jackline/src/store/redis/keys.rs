//! What stands under which name in Redis. All names of one owner, their sessions' and their index's, share a hash tag made
//! of their bucket, so that one script covers them on a single server and on a cluster. No name holds a token, an
//! owner's identifier or anything else that means something to a reader.
//!
//! | name | holds |
//! |---|---|
//! | `sess:{AbC}<digest>` | a session, as one line |
//! | `sess-owner:{AbC}<digest of the owner>` | the owner's index: a sorted set of session digests, by login |
//! | `sess-epoch:{AbC}<digest of the owner>` | the owner's revocation epoch, for an hour |
//! | `sess-trace:{AbC}<digest>` | for a minute: what became of this session |
//! | `sess-attempts:{AbC}<digest>` | a counter of attempts to log in, laid out as a session is |
//! | `sess-ping:{AAA}` | proof, for a second, that a write is taken |
//! | `sess-sids:{AbC}<digest of the owner>` | the index where sessions are shared with Express: its members are ids |
//!
//! `KEYS sess:*` shows sessions and nothing else. Every name runs out by itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::lifecycle::OwnerId;
use crate::store::CorruptRecord;
use crate::token::{Bucket, SessionKey};

/// Makes names under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Ends with a colon and holds no brace, so that the hash tag is what stands in the first pair of braces.
    prefix: String,
}

impl Names {
    /// Takes a prefix; `None` if it is not one.
    pub(super) fn new(prefix: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        let fits = prefix.len() <= 64
            && prefix.trim_end_matches(':').len() + 1 == prefix.len()
            && prefix.len() > 1
            && prefix.bytes().all(plain);
        fits.then(|| Self {
            prefix: prefix.to_owned(),
        })
    }

    pub(super) fn session(&self, key: &SessionKey) -> String {
        if key.is_attempts() {
            return self.beside("attempts", key.bucket(), &member(key));
        }
        // At every read, so in one piece of memory.
        let mut name = String::with_capacity(self.prefix.len() + "{AbC}".len() + MEMBER_CHARS);
        name.push_str(&self.prefix);
        name.push('{');
        URL_SAFE_NO_PAD.encode_string(key.bucket().number().to_be_bytes(), &mut name);
        name.push('}');
        URL_SAFE_NO_PAD.encode_string(key.digest(), &mut name);
        name
    }

    /// The session that has this name; `None` if none has.
    pub(super) fn session_key(&self, name: &[u8]) -> Option<SessionKey> {
        let rest = name.strip_prefix(self.prefix.as_bytes())?;
        let rest = rest.strip_prefix(b"{")?;
        let (tag, rest) = rest.split_at_checked(3)?;
        let (mut bucket, mut digest) = ([0; 2], [0; 32]);
        let whole = URL_SAFE_NO_PAD.decode_slice(tag, &mut bucket) == Ok(2)
            && URL_SAFE_NO_PAD.decode_slice(rest.strip_prefix(b"}")?, &mut digest) == Ok(32);
        let bucket = Bucket::from_number(u16::from_be_bytes(bucket));
        whole.then(|| SessionKey::from_parts(bucket, digest))
    }

    /// What the name of every session begins with, and of nothing else.
    #[cfg(feature = "near-cache")]
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What is left of a session.
    pub(super) fn trace(&self, key: &SessionKey) -> String {
        self.beside("trace", key.bucket(), &member(key))
    }

    /// What comes before the member in the name of every session of a bucket.
    pub(super) fn sessions_in(&self, bucket: Bucket) -> String {
        format!("{}{{{}}}", self.prefix, tag(bucket))
    }

    /// The glob that matches every session's name and no other. A prefix holds nothing that a glob would read.
    pub(super) fn all_sessions(&self) -> String {
        format!("{}*", self.prefix)
    }

    pub(super) fn index(&self, owner: &OwnerId) -> String {
        self.of_owner("owner", owner)
    }

    /// The index where sessions are shared with Express. Not the native one: both may be in one Redis while sessions are re-keyed.
    pub(super) fn sids(&self, owner: &OwnerId) -> String {
        self.of_owner("sids", owner)
    }

    pub(super) fn epoch(&self, owner: &OwnerId) -> String {
        self.of_owner("epoch", owner)
    }

    /// What a write is tried on, where the sessions of a bucket are.
    pub(super) fn ping(&self, bucket: Bucket) -> String {
        self.beside("ping", bucket, "")
    }

    /// An index and an epoch that no owner has, of a bucket.
    pub(super) fn of_nobody(&self, bucket: Bucket) -> [String; 2] {
        ["owner", "epoch"].map(|kind| self.beside(kind, bucket, ""))
    }

    /// For a minute: that a session that is shared with Express has ended.
    pub(super) fn grave(&self, key: &SessionKey) -> String {
        self.beside("ended", key.bucket(), &member(key))
    }

    /// The name of a session that is shared with Express, as connect-redis has it.
    pub(super) fn shared(&self, sid: &str) -> String {
        format!("{}{sid}", self.prefix)
    }

    fn of_owner(&self, kind: &str, owner: &OwnerId) -> String {
        format!("{}-{kind}:{}", self.stem(), owner_tag(owner))
    }

    fn beside(&self, kind: &str, bucket: Bucket, digest: &str) -> String {
        format!("{}-{kind}:{{{}}}{digest}", self.stem(), tag(bucket))
    }

    /// What all names begin with, the colon of the prefix left out.
    pub(super) fn stem(&self) -> &str {
        &self.prefix[..self.prefix.len() - 1]
    }
}

/// How the names of everything that is an owner's end.
pub(super) fn owner_tag(owner: &OwnerId) -> String {
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(owner.as_str()));
    format!("{{{}}}{digest}", tag(Bucket::of(owner)))
}

/// Characters of a [`member`].
const MEMBER_CHARS: usize = 43;

/// A session's name in its owner's index.
pub(super) fn member(key: &SessionKey) -> String {
    URL_SAFE_NO_PAD.encode(key.digest())
}

/// The session that a member of an owner's index names.
pub(super) fn from_member(owner: &OwnerId, member: &[u8]) -> Result<SessionKey, CorruptRecord> {
    let mut digest = [0; 32];
    match URL_SAFE_NO_PAD.decode_slice(member, &mut digest) {
        Ok(32) => Ok(SessionKey::from_parts(Bucket::of(owner), digest)),
        _ => Err(CorruptRecord::new(
            "an entry of an owner's index is not a key",
        )),
    }
}

/// What a cluster places a name by.
pub(super) fn tag(bucket: Bucket) -> String {
    URL_SAFE_NO_PAD.encode(bucket.number().to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> OwnerId {
        OwnerId::new("user-1001").unwrap()
    }

    #[test]
    fn everything_of_one_owner_shares_a_hash_tag_and_only_sessions_match_the_prefix() {
        let names = Names::new("sess:").unwrap();
        let key = SessionKey::from_parts(Bucket::of(&owner()), [7; 32]);
        let tag = |name: &str| {
            let (_, rest) = name.split_once('{').unwrap();
            rest.split_once('}').unwrap().0.to_owned()
        };
        let session = names.session(&key);
        let (index, epoch, trace) = (
            names.index(&owner()),
            names.epoch(&owner()),
            names.trace(&key),
        );
        assert!(session.starts_with("sess:{"), "{session}");
        assert_eq!(session.len(), "sess:{AbC}".len() + MEMBER_CHARS);
        assert_eq!(session, names.sessions_in(key.bucket()) + &member(&key));
        assert_eq!(tag(&session), tag(&index));
        assert_eq!(tag(&session), tag(&epoch));
        assert_eq!(tag(&session), tag(&trace));
        let ping = names.ping(Bucket::of(&owner()));
        assert_eq!(tag(&session), tag(&ping));
        let attempts = names.session(&SessionKey::attempts([7; 32]));
        for other in [index, epoch, trace, ping, attempts] {
            assert!(!other.starts_with("sess:"), "{other}");
            assert!(!other.contains("user-1001"), "{other}");
        }
    }

    #[test]
    fn a_member_names_the_session_that_it_was_made_of() {
        let key = SessionKey::from_parts(Bucket::of(&owner()), [0xfe; 32]);
        assert_eq!(from_member(&owner(), member(&key).as_bytes()).unwrap(), key);
        for nonsense in ["", "x", "====", &"A".repeat(44), &"!".repeat(43)] {
            assert!(from_member(&owner(), nonsense.as_bytes()).is_err());
        }
    }

    #[test]
    fn a_name_leads_back_to_its_session_and_no_other_name_to_any() {
        let names = Names::new("shop:sess:").unwrap();
        let key = SessionKey::from_parts(Bucket::of(&owner()), [0xfe; 32]);
        let name = names.session(&key);
        assert_eq!(names.session_key(name.as_bytes()), Some(key));
        let trace = names.trace(&key);
        for other in [
            "",
            "shop:sess:",
            "shop:sess:{",
            &name[1..],
            &name[..name.len() - 1],
            &trace,
        ] {
            assert_eq!(names.session_key(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_prefix_ends_with_one_colon_and_cannot_disturb_the_hash_tag() {
        for good in ["sess:", "shop:sess:", "a:", "v1.shop_a-b:"] {
            assert!(Names::new(good).is_some(), "{good}");
        }
        for bad in [
            "", ":", "sess", "sess::", "s{e}ss:", "se ss:", "sess*:", "sëss:",
        ] {
            assert!(Names::new(bad).is_none(), "{bad}");
        }
    }
}
