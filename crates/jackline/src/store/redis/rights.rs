//! Whether the Redis user may do what the store does, found out at start (J11) rather than at the first login: by doing it,
//! on names that mean nothing.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::dial::Dialed;
use super::keys::Names;
use super::scripts::Script;
use crate::token::{Bucket, SessionKey};

/// What is missing, in Redis's words; `None` if nothing is.
pub(super) async fn missing(
    dialed: &mut Dialed,
    names: &Names,
    bucket: Bucket,
) -> Result<Option<String>, RedisError> {
    let script = Script::new(include_str!("rights.lua"));
    let nothing = SessionKey::from_parts(bucket, [0; 32]);
    let [index, epoch] = names.of_nobody(bucket);
    let call = script
        .call()
        .key(names.ping(bucket))
        .key(names.session(&nothing))
        .key(index)
        .key(epoch)
        .done();
    for command in [&call.in_full(), call.by_sha()] {
        match dialed.ask::<Vec<String>>(command).await {
            Ok(refused) if refused.is_empty() => {}
            Ok(refused) => return Ok(Some(commands(&refused))),
            Err(error) => match refused(&error) {
                Some(missing) => return Ok(Some(missing)),
                // Full, loading or read-only: not for want of rights, and `ping` says so when the store is used.
                None if error.code().is_some() => return Ok(None),
                None => return Err(error),
            },
        }
    }
    Ok(None)
}

/// What an error says that the user may not do; `None` if it is about something else.
pub(super) fn refused(error: &RedisError) -> Option<String> {
    if error.kind() != ErrorKind::Server(ServerErrorKind::NoPerm) {
        return None;
    }
    // `... no permissions to run the 'role' command`; without a command it is about names.
    let detail = error.detail().unwrap_or_default();
    let command = detail.split('\'').nth(1);
    Some(match command {
        Some(command) => commands(&[command.to_owned()]),
        None => "touch names under its prefix".to_owned(),
    })
}

fn commands(names: &[String]) -> String {
    format!("run {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    /// A command that a script begins to use is tried at start too.
    #[test]
    fn every_command_of_the_scripts_is_tried() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/redis");
        let mut seen = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|end| end != "lua") {
                continue;
            }
            let code = std::fs::read_to_string(&path).unwrap();
            for call in code.split("call('").skip(1) {
                let command = call.split('\'').next().unwrap();
                let tried = include_str!("rights.lua").contains(&format!("{{ '{command}',"));
                assert!(tried, "{command} of {}", path.display());
                seen += 1;
            }
        }
        assert!(seen > 20, "the scripts are read: {seen}");
    }
}
