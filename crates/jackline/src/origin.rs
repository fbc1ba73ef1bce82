//! Placeholder until merged.
use serde::{Deserialize, Serialize};
/// Placeholder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {}
