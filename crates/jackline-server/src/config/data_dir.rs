//! The data folder: created with mode 0700, so that nobody else on the machine can list what is kept there. An existing folder is left as
//! it is, since it may be a mounted volume; the files inside are 0600 on their own.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::names::Setting;
use super::source::Reader;

/// Where embedded data lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// A data folder at this path; it need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Creates the folder and its parents if they are missing.
    ///
    /// # Errors
    ///
    /// Any that creating a folder can have; also if the path is a file.
    pub fn create(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
    }
}

pub(crate) fn read(reader: &mut Reader) -> DataDir {
    let Some(text) = reader.one(Setting::DATA_DIR) else {
        return DataDir::new("./data");
    };
    if !text.contains('\0') {
        return DataDir::new(text);
    }
    reader.report(
        Setting::DATA_DIR,
        "it holds a NUL character",
        "no folder can have such a name",
        "write a path, such as ./data",
    );
    DataDir::new("./data")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    // Proves: J6
    #[test]
    fn the_folder_is_created_for_its_owner_only() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = DataDir::new(temporary.path().join("a/b"));
        folder.create().unwrap();
        folder.create().unwrap();
        let mode = folder.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
