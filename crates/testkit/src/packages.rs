//! Packages of other languages that tests run: fetched once per lockfile, and kept in the target folder.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sha2::{Digest as _, Sha256};

/// The folder below `target` with the packages that `lockfile` fixes. Whoever comes first has `install` put them into a fresh one; what
/// is there is whole.
pub(crate) fn installed(
    target: &Path,
    name: &str,
    lockfile: &Path,
    install: impl FnOnce(&Path),
) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // A test that failed here has said why.
    let _turn = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let hash = Sha256::digest(std::fs::read(lockfile).unwrap());
    let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let installed = target.join(format!("{name}-{hash}"));
    if !installed.exists() {
        std::fs::create_dir_all(target).unwrap();
        let fresh = tempfile::tempdir_in(target).unwrap();
        install(fresh.path());
        // Another process may have been faster: then its folder stays, and this one goes.
        if std::fs::rename(fresh.path(), &installed).is_ok() {
            let _ = fresh.keep();
        }
    }
    installed
}
