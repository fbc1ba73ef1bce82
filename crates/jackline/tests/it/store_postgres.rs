//! The PostgreSQL store keeps its promises with a real PostgreSQL.

mod contract;
