//! The filesystem backend on a real filesystem.

mod contract;
