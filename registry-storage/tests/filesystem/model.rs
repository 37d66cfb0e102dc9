use std::sync::Arc;

use proptest::prelude::*;
use registry_core::Registry;
use registry_core::model::{check, programs};
use registry_storage::filesystem::{Filesystem, SyncMode};

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn answers_like_the_model_with_a_journal(program in programs(30)) {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let storage = Filesystem::builder(directory.path()).durability(SyncMode::Group).open().unwrap();
        let registry = Registry::builder(Arc::new(storage)).manifest_cache(64 * 1024).build();
        runtime.block_on(check(&registry, &program)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn answers_like_the_model(program in programs(30)) {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // What survives a power cut does not show in the answers.
        let storage = Filesystem::builder(directory.path()).durability(SyncMode::Os).open().unwrap();
        let registry = Registry::builder(Arc::new(storage)).manifest_cache(64 * 1024).build();
        runtime.block_on(check(&registry, &program)).map_err(TestCaseError::fail)?;
    }
}
