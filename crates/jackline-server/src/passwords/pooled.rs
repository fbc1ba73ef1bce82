//! Argon2 in memory that is kept and used again. Allocated anew for every hash, its 19 MiB would leave holes that the next small
//! allocations make too small for the next hash, so that every wrong password of a stranger could cost the process 19 MiB for good.

use std::sync::{Mutex, PoisonError};

use argon2::password_hash::{self, CustomizedPasswordHasher, PasswordHasher, phc};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

/// Hashes and, by way of `PasswordVerifier`, checks. Keeps as much memory as it was ever asked for *at once*, which its user bounds.
#[derive(Debug)]
pub(super) struct PooledArgon2 {
    params: Params,
    /// Each is as long as `params` ask for. Every hash overwrites all of it before it reads any.
    idle: Mutex<Vec<Vec<Block>>>,
}

impl PooledArgon2 {
    pub(super) fn new(params: Params) -> Self {
        Self {
            params,
            idle: Mutex::default(),
        }
    }

    /// What new hashes cost.
    pub(super) fn params(&self) -> &Params {
        &self.params
    }

    fn compute(
        &self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: &[u8],
        out: &mut [u8],
    ) -> password_hash::Result<()> {
        let own = self.params.block_count();
        let needed = argon2.params().block_count();
        if needed > own {
            // Stored when hashes cost more: rare, and not worth keeping so much for.
            return Ok(argon2.hash_password_into(password, salt, out)?);
        }
        let idle = self.lock().pop();
        let mut memory = idle.unwrap_or_else(|| vec![Block::new(); own]);
        let result = argon2.hash_password_into_with_memory(password, salt, out, &mut memory);
        self.lock().push(memory);
        Ok(result?)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        // A push or a pop is done or not; there is no state in between.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.lock().len()
    }
}

impl CustomizedPasswordHasher<phc::PasswordHash> for PooledArgon2 {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> password_hash::Result<phc::PasswordHash> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?;
        let version = version.map(Version::try_from).transpose()?;
        let algorithm = algorithm.unwrap_or_default();
        let version = version.unwrap_or_default();
        let phc_params = phc::ParamsString::try_from(&params)?;
        let salt = phc::Salt::new(salt)?;
        let mut buffer = Zeroizing::new([0; phc::Output::MAX_LENGTH]);
        let out = buffer
            .get_mut(..params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN))
            .ok_or(password_hash::Error::OutputSize)?;
        self.compute(
            &Argon2::new(algorithm, version, params),
            password,
            &salt,
            out,
        )?;
        Ok(phc::PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: phc_params,
            salt: Some(salt),
            hash: Some(phc::Output::new(out)?),
        })
    }
}

impl PasswordHasher<phc::PasswordHash> for PooledArgon2 {
    /// Argon2id, in its latest version.
    fn hash_password_with_salt(
        &self,
        password: &[u8],
        salt: &[u8],
    ) -> password_hash::Result<phc::PasswordHash> {
        self.hash_password_customized(
            password,
            salt,
            Some(Algorithm::Argon2id.ident().as_str()),
            Some(Version::V0x13.into()),
            self.params.clone(),
        )
    }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier as _;

    use super::*;

    fn params(memory_kib: u32, lanes: u32, output: Option<usize>) -> Params {
        Params::new(memory_kib, 2, lanes, output).unwrap()
    }

    // Proves: R1
    #[test]
    fn used_memory_gives_the_same_hashes_as_fresh_memory() {
        let pooled = PooledArgon2::new(params(64, 1, None));
        let _ = pooled.hash_password(b"what was there before").unwrap();
        for algorithm in [Algorithm::Argon2id, Algorithm::Argon2i, Algorithm::Argon2d] {
            for version in [Version::V0x10, Version::V0x13] {
                for stored in [
                    params(64, 1, None),
                    params(16, 2, Some(16)),
                    // Costs more than new ones do.
                    params(128, 1, Some(64)),
                ] {
                    let hash = Argon2::new(algorithm, version, stored)
                        .hash_password(b"correct horse")
                        .unwrap();
                    assert_eq!(pooled.verify_password(b"correct horse", &hash), Ok(()));
                    assert_eq!(
                        pooled.verify_password(b"correct horsf", &hash),
                        Err(password_hash::Error::PasswordInvalid)
                    );
                }
            }
        }
        let hash = pooled.hash_password(b"correct horse").unwrap();
        let other = Argon2::default();
        assert_eq!(other.verify_password(b"correct horse", &hash), Ok(()));
        assert_eq!(pooled.kept(), 1);
    }
}
