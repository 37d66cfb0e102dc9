use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use registry_core::model::{Step, check, programs};
use registry_core::storage::{Faulty, Memory};
use registry_core::{Registry, RegistryBuilder};

fn run(registry: RegistryBuilder, program: &[Step]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(check(&registry.build(), program)).map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn memory_answers_like_the_model(program in programs(40)) {
        run(Registry::builder(Arc::new(Memory::new())), &program)?;
    }

    #[test]
    fn so_does_one_that_keeps_much_in_memory(program in programs(40)) {
        let builder = Registry::builder(Arc::new(Memory::new())).manifest_cache(64 * 1024);
        let builder = builder.tag_cache(64 * 1024, Duration::from_hours(1));
        run(builder.catalog_cache(64 * 1024, Duration::from_hours(1)), &program)?;
    }

    #[test]
    fn so_does_one_that_lists_all_in_order(program in programs(40)) {
        run(Registry::builder(Arc::new(Memory::new().scanning())), &program)?;
        let builder = Registry::builder(Arc::new(Memory::new().scanning()));
        run(builder.catalog_cache(64 * 1024, Duration::from_hours(1)), &program)?;
    }

    #[test]
    fn a_wrapper_without_faults_answers_like_the_model(program in programs(20)) {
        run(Registry::builder(Arc::new(Faulty::new(Arc::new(Memory::new())))), &program)?;
    }
}
