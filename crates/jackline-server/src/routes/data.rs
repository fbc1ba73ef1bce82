//! `GET|PATCH /session/data`: the session's own map. A patch is a JSON Merge Patch (RFC 7396): `null` removes a member. Requests
//! that patch different members at once all count; what they do not name stays the bytes it was.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use indexmap::IndexMap;
use jackline::Session;
use serde_json::value::{RawValue, to_raw_value};

use crate::body::JsonBody;
use crate::error::ApiError;

/// A map as JSON text, order and all.
type Members = IndexMap<String, Box<RawValue>>;

/// The session's map.
///
/// # Errors
/// `401` if the session has just run out, `503` if the store is away.
pub async fn show(session: Session) -> Result<Response, ApiError> {
    session.refuse_expired()?;
    shown(&session)
}

/// Merges the patch, and answers with the map as it is then.
///
/// # Errors
/// `400` for a patch that is no object, nests too deeply or names a reserved member, `413` if the map grows too large, `415` if
/// it does not say that it is JSON, `503` if the store is away.
pub async fn merge(session: Session, patch: MergePatch) -> Result<Response, ApiError> {
    session.refuse_expired()?;
    let MergePatch(patch) = patch;
    if patch.keys().any(|name| is_reserved(name)) {
        return Err(ApiError::BadRequest("Reserved member"));
    }
    // Together: a patch may name thousands.
    let removed = patch.iter().filter(|(_, change)| is_null(change));
    session.remove_all(removed.map(|(name, _)| name.as_str()))?;
    for (name, change) in patch.iter().filter(|(_, change)| !is_null(change)) {
        let current = session.get::<Box<RawValue>>(name)?;
        let merged = merged(current.as_deref(), change, MAX_DEPTH)?;
        session.insert(name, &merged)?;
    }
    shown(&session)
}

/// The map without what the server keeps in it for itself.
fn shown(session: &Session) -> Result<Response, ApiError> {
    let text = session.data_json();
    if !text.contains(OURS) {
        return Ok(as_json(text));
    }
    let mut members: Members =
        serde_json::from_str(&text).map_err(|error| ApiError::Internal(error.into()))?;
    members.retain(|name, _| !name.starts_with(OURS));
    let text = serde_json::to_string(&members).map_err(|error| ApiError::Internal(error.into()))?;
    Ok(as_json(text))
}

fn is_reserved(name: &str) -> bool {
    name.starts_with(OURS) || RESERVED.contains(&name)
}

/// How the names of members begin that are the server's own: what says that data is encrypted, which alone would make a session
/// unreadable, and what a passkey was asked.
const OURS: &str = "jackline:";

/// A body of `application/json` or `application/merge-patch+json`.
#[derive(Debug)]
pub struct MergePatch(Members);

impl<S: Send + Sync> FromRequest<S> for MergePatch {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        // `application/merge-patch+json` counts as JSON there too.
        let JsonBody(members) = JsonBody::<Members>::from_request(request, state).await?;
        Ok(Self(members))
    }
}

/// What no patch may set: the identity's names in the worlds that sessions are shared with, what JavaScript's session
/// objects, or any object, have themselves.
const RESERVED: &[&str] = &[
    "userId",
    "username",
    "loginAt",
    "role",
    "cookie",
    "csrfToken",
    "id",
    "req",
    "save",
    "reload",
    "destroy",
    "regenerate",
    "touch",
    "resetMaxAge",
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "__proto__",
];

/// How deeply objects of a patch may nest.
const MAX_DEPTH: u32 = 32;

/// RFC 7396, section 2, for a change that is not `null`.
fn merged(
    current: Option<&RawValue>,
    change: &RawValue,
    depth: u32,
) -> Result<Box<RawValue>, ApiError> {
    if !change.get().starts_with('{') {
        return Ok(change.to_owned());
    }
    if depth == 0 {
        return Err(ApiError::BadRequest("Patch nests too deeply"));
    }
    let mut target = match current {
        Some(current) if current.get().starts_with('{') => members(current)?,
        _ => Members::new(),
    };
    let changes = members(change)?;
    // In one pass: one by one, each removal would move all that stand behind it.
    target.retain(|name, _| !changes.get(name).is_some_and(|change| is_null(change)));
    for (name, change) in changes.into_iter().filter(|(_, change)| !is_null(change)) {
        let value = merged(target.get(&name).map(AsRef::as_ref), &change, depth - 1)?;
        target.insert(name, value);
    }
    to_raw_value(&target).map_err(|error| ApiError::Internal(error.into()))
}

fn members(object: &RawValue) -> Result<Members, ApiError> {
    serde_json::from_str(object.get()).map_err(|error| ApiError::Internal(error.into()))
}

fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

fn as_json(text: String) -> Response {
    let mut response = text.into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(current: &str, patch: &str) -> String {
        let current: Box<RawValue> = serde_json::from_str(current).unwrap();
        let patch: Box<RawValue> = serde_json::from_str(patch).unwrap();
        merged(Some(&current), &patch, MAX_DEPTH)
            .unwrap()
            .get()
            .to_owned()
    }

    #[test]
    fn merges_as_rfc_7396_shows() {
        let cases = [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            (r#"[1,2]"#, r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            (
                r#"{}"#,
                r#"{"a":{"bb":{"ccc":null}}}"#,
                r#"{"a":{"bb":{}}}"#,
            ),
        ];
        for (current, patch, expected) in cases {
            assert_eq!(apply(current, patch), expected, "{current} with {patch}");
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        assert_eq!(
            apply("{}", r#"{"n":9007199254740993,"x":1.50}"#),
            r#"{"n":9007199254740993,"x":1.50}"#
        );
    }

    #[test]
    fn a_patch_cannot_exhaust_the_stack() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
        let patch: Box<RawValue> = serde_json::from_str(&deep).unwrap();
        assert!(matches!(
            merged(None, &patch, MAX_DEPTH),
            Err(ApiError::BadRequest(_))
        ));
    }
}
