//! The secret that development makes for itself, kept in the data folder so that a restart logs nobody out. The file is complete the
//! moment it exists: it is written under another name and linked into place, and linking fails if another process was first. So two
//! processes that start at once sign with the same secret.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::data_dir::DataDir;
use super::secrets::{Secret, Signing, WeakSecret};
use crate::random;

const FILE_NAME: &str = "session-secret";

/// Why the kept secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeptSecretError {
    /// The file or its folder cannot be read or written.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path is a folder, a link or a device.
    #[error("{} is not a plain file: remove it, and a new secret will be made", .0.display())]
    NotAFile(PathBuf),
    /// The file was edited or cut short.
    #[error("the secret in {} cannot be used: {weak}. Remove the file, and a new one will be made", path.display())]
    Weak {
        /// The file.
        path: PathBuf,
        /// What is wrong with its content.
        weak: WeakSecret,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random numbers")]
    Random(#[from] getrandom::Error),
}

impl Signing {
    /// The file of the secret that development makes for itself; `None` if the secret was set.
    pub fn kept_file(&self, folder: &DataDir) -> Option<PathBuf> {
        matches!(self, Self::KeptInDataDir { .. }).then(|| folder.file(FILE_NAME))
    }

    /// The secrets, newest first: the first signs, all verify. Makes or reads the kept secret where development needs one.
    ///
    /// # Errors
    ///
    /// [`KeptSecretError`], only where [`Signing::KeptInDataDir`] has to touch the data folder.
    pub fn secrets(&self, folder: &DataDir) -> Result<Vec<Secret>, KeptSecretError> {
        let (current, previous) = match self {
            Self::Given { current, previous } => (current.clone(), previous),
            Self::KeptInDataDir { previous } => (kept(folder)?, previous),
        };
        Ok(std::iter::once(current)
            .chain(previous.iter().cloned())
            .collect())
    }
}

fn kept(folder: &DataDir) -> Result<Secret, KeptSecretError> {
    let path = folder.file(FILE_NAME);
    if !exists(&path)? {
        folder
            .create()
            .map_err(|source| failed("create", folder.path(), source))?;
        make(folder, &path)?;
    }
    read(&path)
}

/// Writes a fresh secret at `path`, or leaves the one that another process put there meanwhile.
fn make(folder: &DataDir, path: &Path) -> Result<(), KeptSecretError> {
    let draft = folder.file(&format!(".{FILE_NAME}-{}", &*random::hex(8)?));
    let secret = random::hex(64)?;
    let written = write_new(&draft, &secret).and_then(|()| fs::hard_link(&draft, path));
    // A draft that stays behind would be a secret nobody looks after.
    let _ = fs::remove_file(&draft);
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed("write", path, error)),
        Ok(()) => sync(folder.path()),
    }
}

fn write_new(path: &Path, secret: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(secret.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn sync(folder: &Path) -> Result<(), KeptSecretError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| failed("sync", folder, error))
}

fn exists(path: &Path) -> Result<bool, KeptSecretError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(_) => Err(KeptSecretError::NotAFile(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("look at", path, error)),
    }
}

fn read(path: &Path) -> Result<Secret, KeptSecretError> {
    let file = File::open(path).map_err(|error| failed("read", path, error))?;
    close_to_others(&file, path)?;
    let mut text = Zeroizing::new(String::new());
    // No secret is longer; a file put here by mistake may be.
    file.take(4096)
        .read_to_string(&mut text)
        .map_err(|error| failed("read", path, error))?;
    Secret::parse(text.trim()).map_err(|weak| KeptSecretError::Weak {
        path: path.to_owned(),
        weak,
    })
}

/// Takes away what others may do with the file. They may have read the secret already, hence the warning.
fn close_to_others(file: &File, path: &Path) -> Result<(), KeptSecretError> {
    let mode = file
        .metadata()
        .map_err(|error| failed("look at", path, error))?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    file.set_permissions(fs::Permissions::from_mode(0o600))
        .map_err(|error| failed("take other users' access from", path, error))?;
    tracing::warn!(
        path = %path.display(),
        "other users could read the session secret; its mode is 0600 now. Remove the file to have a new one made"
    );
    Ok(())
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> KeptSecretError {
    KeptSecretError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, DataDir) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataDir::new(temporary.path().join("data"));
        (temporary, folder)
    }

    fn secret(folder: &DataDir) -> Result<Secret, KeptSecretError> {
        let signing = Signing::KeptInDataDir {
            previous: Vec::new(),
        };
        signing.secrets(folder).map(|mut secrets| secrets.remove(0))
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    // Proves: P5, D6
    #[test]
    fn a_secret_is_made_once_and_reused() {
        let (_temporary, folder) = folder();
        let first = secret(&folder).unwrap();
        let second = secret(&folder).unwrap();
        assert_eq!(first.expose(), second.expose());
        assert_eq!(first.expose().len(), 128);
        assert_eq!(mode(&folder.file(FILE_NAME)), 0o600);
        assert_eq!(mode(folder.path()), 0o700);
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1, "no draft may stay behind");
    }

    // Proves: D6, T5.2
    #[test]
    fn processes_that_start_at_once_agree_on_one_secret() {
        let (_temporary, folder) = folder();
        let secrets: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| secret(&folder).unwrap()))
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap())
                .collect()
        });
        assert!(secrets.iter().all(|s| s.expose() == secrets[0].expose()));
    }

    // Proves: P5
    #[test]
    fn a_file_that_others_can_read_is_closed_to_them() {
        let (_temporary, folder) = folder();
        secret(&folder).unwrap();
        let path = folder.file(FILE_NAME);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        secret(&folder).unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    // Proves: P5, J6
    #[test]
    fn a_damaged_file_is_refused_by_path_and_not_quoted() {
        let (_temporary, folder) = folder();
        folder.create().unwrap();
        fs::write(folder.file(FILE_NAME), "zqzq-too-short").unwrap();
        let message = secret(&folder).unwrap_err().to_string();
        assert!(message.contains("session-secret"), "{message}");
        assert!(message.contains("14 bytes"), "{message}");
        assert!(!message.contains("zqzq"), "{message}");
    }

    // Proves: P5
    #[test]
    fn a_link_in_place_of_the_file_is_refused() {
        let (_temporary, folder) = folder();
        folder.create().unwrap();
        std::os::unix::fs::symlink("/nowhere", folder.file(FILE_NAME)).unwrap();
        assert!(matches!(secret(&folder), Err(KeptSecretError::NotAFile(_))));
    }
}
